//! Prepared XA transactions: their rows wait here for XA COMMIT or XA ROLLBACK (PROTOCOLS 4).
//!
//! Kept by the assembler. Nothing of it is stored elsewhere: the GTID of an XA PREPARE enters the target's progress together with
//! that of its end, so the server sends a transaction that waits again after any restart. Bytes are bounded for all together.

use std::collections::BTreeMap;

use crate::core::change::{BinlogPosition, Change};
use crate::core::gtid_set::Gtid;
use crate::core::row_bag::change_bytes;
use crate::mysql::source::xid::Xid;

/// Bytes of rows that may wait in all prepared transactions of a job together, and in the one that is being read (guess).
pub const PREPARED_BYTES_MAX: u64 = 64 << 20;

/// What the reader of a job does about prepared transactions.
#[derive(Clone, Debug)]
pub struct PreparedRules {
    /// Bytes of rows that may wait.
    pub bytes_max: u64,
    /// An XA COMMIT up to here whose XA PREPARE was not seen is passed over: every view of the copy sees its rows.
    pub is_seen_up_to: Option<BinlogPosition>,
}

impl Default for PreparedRules {
    fn default() -> Self {
        Self {
            bytes_max: PREPARED_BYTES_MAX,
            is_seen_up_to: None,
        }
    }
}

/// A transaction between XA START and its end, or one that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub gtid: Gtid,
    /// One element per rows event.
    pub changes: Vec<Vec<Change>>,
    bytes: u64,
}

impl Held {
    /// Nothing of it was read yet.
    pub fn new(gtid: Gtid) -> Self {
        let changes = Vec::new();
        Self { gtid, changes, bytes: 0 }
    }

    /// Takes the changes of one rows event.
    pub fn push(&mut self, changes: Vec<Change>) {
        let bytes = |change: &Change| change_bytes(change) + size_of::<Change>() as u64;
        self.bytes += changes.iter().map(bytes).sum::<u64>();
        self.changes.push(changes);
    }
}

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub rules: PreparedRules,
    waiting: BTreeMap<Xid, Held>,
    bytes: u64,
}

impl Prepared {
    /// It and all that wait hold more than they may.
    pub fn is_too_much(&self, held: &Held) -> bool {
        self.bytes + held.bytes > self.rules.bytes_max
    }

    /// It waits from now on; false when one of that name does.
    pub fn put(&mut self, xid: Xid, held: Held) -> bool {
        self.bytes += held.bytes;
        self.waiting.insert(xid, held).is_none()
    }

    /// It ends.
    pub fn take(&mut self, xid: &Xid) -> Option<Held> {
        let held = self.waiting.remove(xid)?;
        self.bytes -= held.bytes;
        Some(held)
    }
}
