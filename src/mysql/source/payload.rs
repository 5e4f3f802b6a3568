//! A compressed transaction, inflated as its bytes arrive.
//!
//! Part of `dump_feed`. Holds one inflated event and what zstd needs to look back at (2 MiB at the server's default level), never
//! the transaction. The last event is held back until the checksum of the whole was found right: before, it may be damaged.

use bytes::{Buf, BytesMut};
use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::events::{BinlogEventHeader, Event};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::mysql::source::event::{Damaged, PayloadFields, payload_fields};

/// Bytes inflated at once.
const STEP_BYTES: usize = 64 << 10;
/// Bytes before the payload at most: three numbers with their kinds and lengths.
const FIELDS_BYTES_MAX: usize = 64;
/// `binlog_transaction_compression` knows these two.
const ZSTD: u64 = 0;
const PLAIN: u64 = 255;

/// One compressed transaction.
pub(super) struct Payload {
    end: u64,
    checksum: Option<crc32fast::Hasher>,
    /// Bytes of the event that were not taken yet, without the checksum.
    event_left: u64,
    inflater: Option<Inflater>,
    last: Option<Event>,
    is_over: bool,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload")
            .field("event_left", &self.event_left)
            .finish_non_exhaustive()
    }
}

impl Payload {
    /// Behind the header of its event.
    pub fn begin(header: &[u8], has_checksum: bool) -> Result<Self, Damaged> {
        const WRONG: Damaged = Damaged("the header of a compressed transaction");
        let number = |at: usize| -> Result<u32, Damaged> {
            let bytes = header.get(at..at + 4).ok_or(WRONG)?;
            Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let (size, end) = (u64::from(number(9)?), u64::from(number(13)?));
        let other = BinlogEventHeader::LEN as u64 + if has_checksum { 4 } else { 0 };
        let checksum = has_checksum.then(|| {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(header);
            hasher
        });
        Ok(Self {
            end,
            checksum,
            event_left: size.checked_sub(other).ok_or(WRONG)?,
            inflater: None,
            last: None,
            is_over: false,
        })
    }

    /// Where it ends in the file.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Inflated bytes that were not given.
    #[cfg(test)]
    pub fn waiting_bytes(&self) -> usize {
        self.inflater.as_ref().map_or(0, |inflater| inflater.plain.len())
    }

    /// All its events were given.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Its next event; None: more bytes are needed, or it is over.
    pub fn step(&mut self, content: &mut BytesMut, events: &mut EventStreamReader) -> Result<Option<Event>, Damaged> {
        if self.inflater.is_none() && !self.open(content)? {
            return Ok(None);
        }
        if self.last.is_none() {
            let Some(event) = self.inflate(content, events)? else {
                return Ok(None);
            };
            let Some(inflater) = &self.inflater else { return Ok(None) };
            if inflater.left > 0 {
                return Ok(Some(event));
            }
            self.last = Some(event);
        }
        self.close(content)
    }

    /// Reads the fields; false: they are not there yet.
    fn open(&mut self, content: &mut BytesMut) -> Result<bool, Damaged> {
        let Some(fields) = payload_fields(content)? else {
            return if content.len() < FIELDS_BYTES_MAX {
                Ok(false)
            } else {
                Err(Damaged("transaction payload event"))
            };
        };
        let taken = content.split_to(fields.bytes);
        self.took(&taken)?;
        if fields.payload != self.event_left || fields.inflated == 0 {
            return Err(Damaged("a compressed transaction that is not as long as it says"));
        }
        self.inflater = Some(Inflater::new(&fields)?);
        Ok(true)
    }

    fn took(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        const WRONG: Damaged = Damaged("a compressed transaction that is longer than it says");
        self.event_left = self.event_left.checked_sub(bytes.len() as u64).ok_or(WRONG)?;
        if let Some(hasher) = &mut self.checksum {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn inflate(&mut self, content: &mut BytesMut, events: &mut EventStreamReader) -> Result<Option<Event>, Damaged> {
        loop {
            let Some(inflater) = &mut self.inflater else { return Ok(None) };
            if let Some(event) = inflater.event(events)? {
                return Ok(Some(event));
            }
            let offered = usize::try_from(self.event_left).unwrap_or(usize::MAX).min(content.len());
            let (taken, made) = inflater.run(&content[..offered])?;
            let taken = content.split_to(taken);
            self.took(&taken)?;
            if taken.is_empty() && made == 0 {
                return if offered == 0 && self.event_left > 0 {
                    Ok(None)
                } else {
                    Err(Damaged("a compressed transaction that cannot be inflated"))
                };
            }
        }
    }

    /// Takes what is behind the last inflated byte, then the checksum, and gives the last event.
    fn close(&mut self, content: &mut BytesMut) -> Result<Option<Event>, Damaged> {
        let rest = usize::try_from(self.event_left).unwrap_or(usize::MAX).min(content.len());
        let taken = content.split_to(rest);
        self.took(&taken)?;
        if self.event_left > 0 {
            return Ok(None);
        }
        if let Some(hasher) = self.checksum.clone() {
            let Some(found) = content.first_chunk::<4>() else {
                return Ok(None);
            };
            if u32::from_le_bytes(*found) != hasher.finalize() {
                return Err(Damaged("checksum does not match"));
            }
            content.advance(4);
        }
        self.is_over = true;
        Ok(self.last.take())
    }
}

/// Compressed bytes to events.
struct Inflater {
    /// None: they are not compressed.
    decoder: Option<Decoder<'static>>,
    /// Inflated and not given.
    plain: BytesMut,
    /// Inflated bytes that were not given, those to come included.
    left: u64,
    step: Box<[u8]>,
}

impl Inflater {
    fn new(fields: &PayloadFields) -> Result<Self, Damaged> {
        let decoder = match fields.algorithm {
            ZSTD => Some(Decoder::new().map_err(|_| Damaged("zstd does not begin"))?),
            PLAIN => None,
            _ => return Err(Damaged("a compression that is not known")),
        };
        Ok(Self {
            decoder,
            plain: BytesMut::new(),
            left: fields.inflated,
            step: vec![0; STEP_BYTES].into_boxed_slice(),
        })
    }

    /// Inflates some of `bytes`: how many it took, and how many it made of them.
    fn run(&mut self, bytes: &[u8]) -> Result<(usize, usize), Damaged> {
        let (taken, made) = match &mut self.decoder {
            Some(decoder) => {
                let mut from = InBuffer::around(bytes);
                let mut to = OutBuffer::around(&mut self.step[..]);
                decoder.run(&mut from, &mut to).map_err(|_| Damaged("damaged zstd"))?;
                (from.pos(), to.pos())
            }
            None => {
                let taken = bytes.len().min(STEP_BYTES);
                self.step[..taken].copy_from_slice(&bytes[..taken]);
                (taken, taken)
            }
        };
        self.plain.extend_from_slice(&self.step[..made]);
        if self.plain.len() as u64 > self.left {
            return Err(Damaged("a compressed transaction that holds more than it says"));
        }
        Ok((taken, made))
    }

    /// The first event of what was inflated, when it is whole.
    fn event(&mut self, events: &mut EventStreamReader) -> Result<Option<Event>, Damaged> {
        const WRONG: Damaged = Damaged("an event in a compressed transaction");
        let Some(size) = self.plain.get(9..13) else { return Ok(None) };
        let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
        if size < BinlogEventHeader::LEN || size as u64 > self.left {
            return Err(WRONG);
        }
        if self.plain.len() < size {
            return Ok(None);
        }
        let bytes = self.plain.split_to(size);
        self.left -= size as u64;
        let event = events.read_decompressed(&bytes[..]).map_err(|_| WRONG)?;
        event.ok_or(WRONG).map(Some)
    }
}
