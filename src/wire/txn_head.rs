//! The head of a transaction in a batch: everything of a `TxnPart` but its rows.
//!
//! Used by `batch`, which keeps the rows apart. The fields are numbered by their place on the wire: they never change.

use bincode::{Decode, Encode};

use crate::core::change::{BinlogPosition, Change, TxnPart};
use crate::core::gtid_set::{Gtid, SourceId};
use crate::wire::batch::ChangeHead;

/// A GTID.
#[derive(Debug, Encode, Decode)]
pub(super) struct GtidHead {
    uuid: [u8; 16],
    tag: String,
    number: u64,
}

impl GtidHead {
    /// The head of a GTID.
    pub fn of(gtid: &Gtid) -> Self {
        Self {
            uuid: gtid.source.uuid,
            tag: gtid.source.tag.clone(),
            number: gtid.number,
        }
    }

    /// And back.
    pub fn into_gtid(self) -> Gtid {
        let source = SourceId {
            uuid: self.uuid,
            tag: self.tag,
        };
        Gtid {
            source,
            number: self.number,
        }
    }
}

/// A transaction or a part of one.
#[derive(Debug, Encode, Decode)]
pub(super) struct TxnHead {
    gtid: GtidHead,
    is_first: bool,
    is_last: bool,
    last_committed: i64,
    sequence_number: i64,
    commit_us: u64,
    file: String,
    offset: u64,
    pub changes: Vec<ChangeHead>,
}

impl TxnHead {
    /// The head of a part whose changes have these heads.
    pub fn of(part: &TxnPart, changes: Vec<ChangeHead>) -> Self {
        Self {
            gtid: GtidHead::of(&part.gtid),
            is_first: part.is_first,
            is_last: part.is_last,
            last_committed: part.last_committed,
            sequence_number: part.sequence_number,
            commit_us: part.commit_us,
            file: part.position.file.clone(),
            offset: part.position.offset,
            changes,
        }
    }

    /// The part, with the changes that were read apart.
    pub fn into_part(self, changes: Vec<Change>, prepared: Option<Gtid>) -> TxnPart {
        TxnPart {
            gtid: self.gtid.into_gtid(),
            is_first: self.is_first,
            is_last: self.is_last,
            last_committed: self.last_committed,
            sequence_number: self.sequence_number,
            commit_us: self.commit_us,
            position: BinlogPosition {
                file: self.file,
                offset: self.offset,
            },
            changes,
            prepared,
        }
    }
}
