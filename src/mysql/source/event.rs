//! Raw binlog events: header, checksum, body by type.
//!
//! Reads what `reader` takes from the driver. The driver frames events and knows the GTID formats; rows, table maps and
//! statements are read here and in `table_map` and `rows_event`. All lengths are checked.

use std::borrow::Cow;

use mysql_common::binlog::consts::BinlogChecksumAlg;
use mysql_common::binlog::events::{Event, GtidEvent};

use crate::core::gtid_set::{Gtid, SourceId};

/// Type numbers of binlog events (mysql: `libs/mysql/binlog/event/binlog_event.h`).
pub(super) mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const TAGGED_GTID: u8 = 42;
}

/// Header flag: an event that a reader who does not know it may skip.
pub(super) const FLAG_IGNORABLE: u16 = 0x80;

/// Bytes that cannot be the event they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged binlog event: {0}")]
pub(super) struct Damaged(pub &'static str);

/// Fails when the event carries a checksum that does not match its bytes.
pub(super) fn verify_checksum(event: &Event) -> Result<(), Damaged> {
    let algorithm = event
        .footer()
        .get_checksum_alg()
        .map_err(|_| Damaged("unknown checksum algorithm"))?;
    let (Some(found), Some(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32)) = (event.checksum(), algorithm) else {
        return Ok(());
    };
    let expected = event.calc_checksum(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32);
    if u32::from_le_bytes(found) == expected {
        Ok(())
    } else {
        Err(Damaged("checksum does not match"))
    }
}

/// The head of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransactionHead {
    pub gtid: Gtid,
    pub last_committed: i64,
    pub sequence_number: i64,
    /// Commit time on the server where it was executed first.
    pub commit_us: u64,
}

/// Reads a GTID event, with a tag or without.
pub(super) fn transaction_head(event: &Event) -> Result<TransactionHead, Damaged> {
    let head: GtidEvent = event.read_event().map_err(|_| Damaged("gtid event"))?;
    let tag = head.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
    let original = head.original_commit_timestamp();
    Ok(TransactionHead {
        gtid: Gtid {
            source: SourceId { uuid: head.sid(), tag },
            number: head.gno(),
        },
        last_committed: head.last_committed().cast_signed(),
        sequence_number: head.sequence_number().cast_signed(),
        commit_us: if original == 0 {
            head.immediate_commit_timestamp()
        } else {
            original
        },
    })
}

/// A statement in the binlog.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// Default schema of the session.
    pub schema: Cow<'a, str>,
    /// Status variables: `query_session` reads them.
    pub status: &'a [u8],
    /// The text in the session's character set.
    pub text: &'a [u8],
}

impl<'a> Query<'a> {
    /// Reads the body of a Query event.
    pub fn read(body: &'a [u8]) -> Result<Self, Damaged> {
        Self::read_behind(body, 0)
    }

    /// Reads the body of an EXECUTE_LOAD_QUERY event: LOAD DATA in statement format.
    pub fn read_load(body: &'a [u8]) -> Result<Self, Damaged> {
        // Number of the file, where its name stands in the text, what to do with duplicates.
        Self::read_behind(body, 13)
    }

    /// Reads a statement whose head is followed by so many more bytes.
    fn read_behind(body: &'a [u8], more: usize) -> Result<Self, Damaged> {
        const WRONG: Damaged = Damaged("query event");
        let mut cursor = Cursor::new(body);
        cursor.skip(8).ok_or(WRONG)?;
        let schema_bytes = cursor.uint(1).ok_or(WRONG)?;
        cursor.skip(2).ok_or(WRONG)?;
        let status_bytes = cursor.uint(2).ok_or(WRONG)?;
        cursor.skip(more).ok_or(WRONG)?;
        let status = cursor.take(status_bytes).ok_or(WRONG)?;
        let schema = cursor.take(schema_bytes).ok_or(WRONG)?;
        cursor.skip(1).ok_or(WRONG)?;
        Ok(Self {
            schema: String::from_utf8_lossy(schema),
            status,
            text: cursor.rest(),
        })
    }

    /// The text for an error: at most 200 characters.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.text[..self.text.len().min(800)]);
        text.chars().take(200).collect()
    }
}

/// Statements that frame a transaction; the server writes them in this form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Begin,
    Commit,
    Rollback,
    RollbackTo,
    Savepoint,
    Xa,
    Other,
}

impl Verb {
    /// The verb of a statement.
    pub fn of(statement: &[u8]) -> Self {
        let starts = |word: &str| {
            statement
                .get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
        };
        match statement.len() {
            5 if starts("BEGIN") => Self::Begin,
            6 if starts("COMMIT") => Self::Commit,
            8 if starts("ROLLBACK") => Self::Rollback,
            _ if starts("ROLLBACK TO ") => Self::RollbackTo,
            _ if starts("SAVEPOINT ") => Self::Savepoint,
            _ if starts("XA ") => Self::Xa,
            _ => Self::Other,
        }
    }
}

/// Position and file name of a Rotate event.
pub(super) fn rotation(body: &[u8]) -> Result<(u64, String), Damaged> {
    let mut cursor = Cursor::new(body);
    let offset = cursor.uint(8).ok_or(Damaged("rotate event"))?;
    Ok((offset as u64, String::from_utf8_lossy(cursor.rest()).into_owned()))
}

/// What stands before a compressed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PayloadFields {
    /// Length of these fields.
    pub bytes: usize,
    /// Bytes that follow them.
    pub payload: u64,
    /// Bytes of the events in it.
    pub inflated: u64,
    /// As in `binlog_transaction_compression`: 0 is zstd, 255 none.
    pub algorithm: u64,
}

/// Reads the fields at the front of `bytes`; None: they end too soon.
pub(super) fn payload_fields(bytes: &[u8]) -> Result<Option<PayloadFields>, Damaged> {
    const END: usize = 0;
    const PAYLOAD_SIZE: usize = 1;
    const ALGORITHM: usize = 2;
    const INFLATED_SIZE: usize = 3;
    let mut cursor = Cursor::new(bytes);
    let (mut payload, mut inflated, mut algorithm) = (None, None, None);
    loop {
        let Some(field) = cursor.packed() else { return Ok(None) };
        if field == END {
            break;
        }
        let value = cursor.packed().and_then(|length| cursor.take(length));
        let Some(value) = value else { return Ok(None) };
        let number = Cursor::new(value).packed().map(|number| number as u64);
        match field {
            PAYLOAD_SIZE => payload = number,
            ALGORITHM => algorithm = number,
            INFLATED_SIZE => inflated = number,
            _ => {}
        }
    }
    let fields = payload.zip(inflated).zip(algorithm);
    let ((payload, inflated), algorithm) = fields.ok_or(Damaged("transaction payload event"))?;
    Ok(Some(PayloadFields {
        bytes: bytes.len() - cursor.rest().len(),
        payload,
        inflated,
        algorithm,
    }))
}

/// Reads forward through bytes; None when they end too soon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next bytes.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.rest().get(..length)?;
        self.at += length;
        Some(taken)
    }

    /// Passes over bytes.
    pub fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(drop)
    }

    /// A little-endian number of so many bytes, at most 8.
    pub fn uint(&mut self, bytes: usize) -> Option<usize> {
        let raw = self.take(bytes)?;
        Some(raw.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }

    /// A length-encoded number of the client protocol.
    pub fn packed(&mut self) -> Option<usize> {
        match self.uint(1)? {
            0xfb | 0xff => None,
            0xfc => self.uint(2),
            0xfd => self.uint(3),
            0xfe => self.uint(8),
            small => Some(small),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_gives_its_schema_and_text() {
        let body = [&[0; 8][..], &[2, 0, 0, 3, 0], &[9, 9, 9], b"db\0", b"BEGIN"].concat();
        assert_eq!(
            Query::read(&body),
            Ok(Query {
                schema: "db".into(),
                status: &[9, 9, 9],
                text: b"BEGIN"
            })
        );
        assert!(Query::read(&body[..14]).is_err());
    }

    #[test]
    fn the_sizes_of_a_compressed_transaction_are_known_before_it_is_inflated() {
        // Fields: size 1 byte = 5, algorithm zstd, uncompressed size 0x0123, end, then the payload.
        let body = [1, 1, 5, 2, 1, 0, 3, 3, 0xfc, 0x23, 0x01, 0, 1, 2, 3, 4, 5];
        let fields = PayloadFields {
            bytes: 12,
            payload: 5,
            inflated: 0x123,
            algorithm: 0,
        };
        assert_eq!(payload_fields(&body), Ok(Some(fields)));
        assert_eq!(payload_fields(&body[..7]), Ok(None));
        assert!(payload_fields(&[1, 1, 5, 0]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_event_or_an_error(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Query::read(&body);
            let _ = Query::read_load(&body);
            let _ = rotation(&body);
            let _ = payload_fields(&body);
        }
    }
}
