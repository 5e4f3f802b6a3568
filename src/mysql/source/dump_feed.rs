//! The bytes that a server sends for a binlog dump, to events one by one.
//!
//! Fed by `dump_connection` with what the socket gives, read by `reader` through it. Pure. Holds one event: of a compressed
//! transaction, which is one event however large, the part that was not inflated yet never waits here either (`payload`).

use bytes::{Buf, BytesMut};
use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::{BinlogChecksumAlg, BinlogVersion};
use mysql_common::binlog::events::{BinlogEventHeader, Event};

use crate::mysql::source::event::{Damaged, kind};
use crate::mysql::source::payload::Payload;

/// Length and sequence number before each packet.
const PACKET_HEAD: usize = 4;
/// A packet of this length goes on in the next.
const PACKET_FULL: usize = 0xff_ffff;
/// First byte of a packet with an event.
const EVENT: u8 = 0;
/// First byte of a packet with an error.
const ERROR: u8 = 0xff;
/// First byte of the packet that ends a dump, which is short.
const END: u8 = 0xfe;
/// Offset of an event's type in its packet.
const TYPE_AT: usize = 1 + 4;
/// Space that is kept from event to event. Rows events are 8 KiB unless one row is larger.
const CONTENT_KEPT_BYTES: usize = 64 * 1024;
/// A server sends no event above this (`max_allowed_packet` has the same bound).
const EVENT_BYTES_MAX: usize = 1 << 30;
/// Bytes of a packet that hold an event's header.
const HEAD_BYTES: usize = 1 + BinlogEventHeader::LEN;

/// What a server says instead of an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::mysql) enum FeedError {
    /// It refuses.
    #[error("error {code}: {message}")]
    Server {
        /// Its number.
        code: u16,
        /// Its text.
        message: String,
    },
    /// The bytes are no events.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// One step of a dump.
#[derive(Debug)]
pub(super) enum Delivered {
    /// An event.
    Event(Event),
    /// An event of a compressed transaction, which ends at this offset of the file. The last one comes when the checksum of all
    /// was found right.
    Inner(Event, u64),
    /// The server ended the dump.
    End,
}

/// Takes bytes, gives events.
#[derive(Debug)]
pub(super) struct Feed {
    /// As they came.
    raw: BytesMut,
    /// Of the packets in `raw`, without their heads: one event, or a part of one.
    content: BytesMut,
    /// Bytes of the packet in hand that are still in `raw` or to come.
    packet_left: usize,
    /// Bytes of it that were moved over.
    packet_bytes: usize,
    /// `content` ends with the end of an event's last packet.
    is_whole: bool,
    events: EventStreamReader,
    has_checksum: bool,
    payload: Option<Payload>,
}

impl Feed {
    /// Before the first byte.
    pub fn new() -> Self {
        Self {
            raw: BytesMut::new(),
            content: BytesMut::new(),
            packet_left: 0,
            packet_bytes: 0,
            is_whole: false,
            events: EventStreamReader::new(BinlogVersion::Version4),
            has_checksum: false,
            payload: None,
        }
    }

    /// Where what the socket gives is put.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.raw
    }

    /// The next event; None: more bytes are needed.
    pub fn step(&mut self) -> Result<Option<Delivered>, FeedError> {
        loop {
            self.unpack();
            if self.payload.is_some() {
                return self.payload_step();
            }
            let is_payload = self.content.len() >= HEAD_BYTES
                && self.content[0] == EVENT
                && self.content[TYPE_AT] == kind::TRANSACTION_PAYLOAD;
            if is_payload {
                let head = self.content.split_to(HEAD_BYTES);
                self.payload = Some(Payload::begin(&head[1..], self.has_checksum)?);
            } else if self.is_whole {
                let mut packet = std::mem::take(&mut self.content);
                self.is_whole = false;
                let delivered = self.packet(&packet).map(Some);
                // The next event finds the space of this one, unless that was a large one.
                if packet.capacity() <= CONTENT_KEPT_BYTES {
                    packet.clear();
                    self.content = packet;
                }
                return delivered;
            } else {
                return Ok(None);
            }
        }
    }

    fn payload_step(&mut self) -> Result<Option<Delivered>, FeedError> {
        let Some(payload) = &mut self.payload else {
            return Ok(None);
        };
        let event = payload.step(&mut self.content, &mut self.events)?;
        let end = payload.end();
        if payload.is_over() {
            if !self.is_whole || !self.content.is_empty() {
                return Err(Damaged("bytes behind a compressed transaction").into());
            }
            self.payload = None;
            self.is_whole = false;
        } else if event.is_none() && self.is_whole {
            return Err(Damaged("a compressed transaction that ends early").into());
        }
        Ok(event.map(|event| Delivered::Inner(event, end)))
    }

    /// Moves the content of packets over, up to the end of an event.
    fn unpack(&mut self) {
        while !self.is_whole {
            if self.packet_left == 0 {
                let Some((head, _)) = self.raw.split_first_chunk::<PACKET_HEAD>() else {
                    return;
                };
                let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
                self.raw.advance(PACKET_HEAD);
                // An empty packet ends an event whose last packet was full.
                (self.packet_left, self.is_whole) = (length, length == 0);
                continue;
            }
            let taken = self.packet_left.min(self.raw.len());
            if taken == 0 {
                return;
            }
            self.make_room();
            // Not `split_to`: that makes a counted reference of the buffer for each packet.
            self.content.extend_from_slice(&self.raw[..taken]);
            self.raw.advance(taken);
            self.packet_left -= taken;
            self.packet_bytes += taken;
            if self.packet_left == 0 {
                self.is_whole = self.packet_bytes != PACKET_FULL;
                self.packet_bytes = 0;
            }
        }
    }

    /// Space for the event whose header is here, once: growing by doubling would hold a large one three times.
    fn make_room(&mut self) {
        let Some(head) = self.content.get(..HEAD_BYTES) else { return };
        let is_plain = head[0] == EVENT && head[TYPE_AT] != kind::TRANSACTION_PAYLOAD;
        let size = u32::from_le_bytes([head[10], head[11], head[12], head[13]]) as usize;
        let room = (1 + size.min(EVENT_BYTES_MAX)).saturating_sub(self.content.len());
        if is_plain && self.payload.is_none() && self.content.capacity() - self.content.len() < room {
            self.content.reserve(room);
        }
    }

    fn packet(&mut self, packet: &[u8]) -> Result<Delivered, FeedError> {
        match packet.first() {
            Some(&EVENT) => self.event(&packet[1..]).map(Delivered::Event),
            Some(&ERROR) => Err(server_error(packet)),
            Some(&END) if packet.len() < 8 => Ok(Delivered::End),
            _ => Err(Damaged("a packet that is none of a dump").into()),
        }
    }

    fn event(&mut self, bytes: &[u8]) -> Result<Event, FeedError> {
        const WRONG: Damaged = Damaged("an event that is not as long as it says");
        let size = bytes.get(9..13).ok_or(WRONG)?;
        let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
        let checksum = if self.has_checksum { 4 } else { 0 };
        if size != bytes.len() || size < BinlogEventHeader::LEN + checksum {
            return Err(WRONG.into());
        }
        let event = self.events.read(bytes).map_err(|_| Damaged("an event that cannot be read"))?;
        let event = event.ok_or(WRONG)?;
        if event.header().event_type_raw() == kind::FORMAT_DESCRIPTION {
            let algorithm = event.footer().get_checksum_alg();
            let algorithm = algorithm.map_err(|_| Damaged("unknown checksum algorithm"))?;
            self.has_checksum = algorithm == Some(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32);
        }
        Ok(event)
    }
}

/// An error packet, with a state before the text or without.
pub(in crate::mysql) fn server_error(packet: &[u8]) -> FeedError {
    let Some((&[_, low, high], text)) = packet.split_first_chunk() else {
        return Damaged("an error without a number").into();
    };
    let text = if text.first() == Some(&b'#') {
        text.get(6..).unwrap_or_default()
    } else {
        text
    };
    FeedError::Server {
        code: u16::from_le_bytes([low, high]),
        message: String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event as it stands in the binlog.
    fn event(event_kind: u8, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(19 + body.len()).unwrap();
        let mut bytes = vec![0, 0, 0, 0, event_kind, 1, 0, 0, 0];
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&700u32.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(body);
        bytes
    }

    /// The same in packets of the protocol.
    fn packets(event: &[u8]) -> Vec<u8> {
        let content = [&[EVENT], event].concat();
        let mut bytes = Vec::new();
        let mut parts = content.chunks(PACKET_FULL).collect::<Vec<_>>();
        if content.len() % PACKET_FULL == 0 {
            parts.push(&[]);
        }
        for (at, part) in parts.into_iter().enumerate() {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap().to_le_bytes()[..3]);
            bytes.push(u8::try_from(at % 256).unwrap());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// A compressed transaction, with the checksum that the server appends.
    fn compressed(inner: &[Vec<u8>], checksum: Option<u32>) -> Vec<u8> {
        let plain = inner.concat();
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        let number = |value: usize| [&[0xfe][..], &value.to_le_bytes()].concat();
        let fields = [
            &[2, 1, 0, 1, 9][..],
            &number(packed.len()),
            &[3, 9],
            &number(plain.len()),
            &[0],
        ]
        .concat();
        let footer = if checksum.is_some() { &[0; 4][..] } else { &[] };
        let mut bytes = event(kind::TRANSACTION_PAYLOAD, &[&fields, &packed[..], footer].concat());
        if let Some(damage) = checksum {
            let at = bytes.len() - 4;
            let right = crc32fast::hash(&bytes[..at]) ^ damage;
            bytes[at..].copy_from_slice(&right.to_le_bytes());
        }
        bytes
    }

    /// What comes of `bytes` when they come in pieces of this length: types and ends.
    fn delivered(feed: &mut Feed, bytes: &[u8], piece: usize) -> Result<Vec<(u8, u64)>, FeedError> {
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            feed.buffer().extend_from_slice(piece);
            while let Some(delivered) = feed.step()? {
                found.push(match delivered {
                    Delivered::Event(event) => (event.header().event_type_raw(), 0),
                    Delivered::Inner(event, end) => (event.header().event_type_raw(), end),
                    Delivered::End => (0, 0),
                });
            }
        }
        Ok(found)
    }

    fn rows(bytes: usize) -> Vec<u8> {
        event(kind::WRITE_ROWS, &vec![7; bytes])
    }

    #[test]
    fn events_are_the_same_however_their_bytes_arrive() {
        let inner = [rows(100), rows(300_000), event(kind::XID, &[0; 8])];
        let stream = [
            packets(&event(kind::HEARTBEAT, b"binlog.000007")),
            packets(&compressed(&inner, None)),
            packets(&event(kind::XID, &[1; 8])),
            vec![1, 0, 0, 9, END],
        ]
        .concat();
        let expected = [
            (kind::HEARTBEAT, 0),
            (kind::WRITE_ROWS, 700),
            (kind::WRITE_ROWS, 700),
            (kind::XID, 700),
            (kind::XID, 0),
            (0, 0),
        ];
        for piece in [1, 7, 4096, stream.len()] {
            assert_eq!(delivered(&mut Feed::new(), &stream, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn an_event_may_take_several_packets() {
        // With the byte before it the first fills one packet exactly, the second two.
        for bytes in [PACKET_FULL - 20, 2 * PACKET_FULL - 20, PACKET_FULL] {
            let stream = [packets(&rows(bytes)), packets(&event(kind::XID, &[0; 8]))].concat();
            let found = delivered(&mut Feed::new(), &stream, 1 << 20).unwrap();
            assert_eq!(found, [(kind::WRITE_ROWS, 0), (kind::XID, 0)], "{bytes}");
        }
    }

    #[test]
    fn a_large_event_takes_its_own_size_while_it_arrives_and_gives_it_back() {
        let stream = packets(&rows(5_000_000));
        let mut feed = Feed::new();
        for piece in stream[..stream.len() - 1].chunks(60_000) {
            feed.buffer().extend_from_slice(piece);
            assert!(feed.step().unwrap().is_none());
            assert!(feed.content.capacity() < 5_100_000, "{} bytes", feed.content.capacity());
        }
        feed.buffer().extend_from_slice(&stream[stream.len() - 1..]);
        assert!(matches!(feed.step(), Ok(Some(Delivered::Event(_)))));
        assert!(feed.content.capacity() <= CONTENT_KEPT_BYTES);
    }

    #[test]
    fn a_compressed_transaction_is_never_whole_in_memory() {
        let inner: Vec<_> = (0..2_000).map(|_| rows(60_000)).chain([event(kind::XID, &[0; 8])]).collect();
        let stream = packets(&compressed(&inner, None));
        let mut feed = Feed::new();
        feed.buffer().extend_from_slice(&stream);
        let mut count = 0;
        while let Some(Delivered::Inner(..)) = feed.step().unwrap() {
            count += 1;
            let payload = feed.payload.as_ref().map_or(0, Payload::waiting_bytes);
            assert!(payload < 300_000, "{payload} bytes wait after {count} events");
        }
        assert_eq!(count, 2_001);
    }

    #[test]
    fn the_end_of_a_compressed_transaction_waits_for_its_checksum() {
        let inner = [rows(100), event(kind::XID, &[0; 8])];
        let of = |damage| {
            let mut feed = Feed::new();
            feed.has_checksum = true;
            let stream = packets(&compressed(&inner, Some(damage)));
            let before = delivered(&mut feed, &stream[..stream.len() - 1], 10).unwrap();
            (before, delivered(&mut feed, &stream[stream.len() - 1..], 1))
        };
        let before = vec![(kind::WRITE_ROWS, 700)];
        assert_eq!(of(0), (before.clone(), Ok(vec![(kind::XID, 700)])));
        assert_eq!(of(1), (before, Err(Damaged("checksum does not match").into())));
    }

    #[test]
    fn damaged_bytes_are_an_error_and_never_a_wrong_event() {
        let inner = [rows(100), event(kind::XID, &[0; 8])];
        let whole = compressed(&inner, None);
        let mut cut = whole[..whole.len() - 3].to_vec();
        let size = u32::try_from(cut.len()).unwrap();
        cut[9..13].copy_from_slice(&size.to_le_bytes());
        let mut longer = event(kind::XID, &[0; 8]);
        longer.push(0);
        for damaged in [cut, longer, vec![1, 2, 3], Vec::new()] {
            let found = delivered(&mut Feed::new(), &packets(&damaged), 1 << 20);
            assert!(matches!(found, Err(FeedError::Damaged(_))), "{found:?}");
        }
    }

    #[test]
    fn an_error_of_the_server_has_its_number_and_text() {
        let body = [&[ERROR, 0xd4, 4][..], b"#HY000purged"].concat();
        let packet = [&[u8::try_from(body.len()).unwrap(), 0, 0, 1], &body[..]].concat();
        let error = delivered(&mut Feed::new(), &packet, 3).unwrap_err();
        let (code, message) = (1236, "purged".to_owned());
        assert_eq!(error, FeedError::Server { code, message });
    }
}
