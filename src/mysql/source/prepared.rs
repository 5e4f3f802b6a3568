//! Prepared XA transactions that wait for XA COMMIT or XA ROLLBACK (PROTOCOLS 4); their rows wait in `flow::xa_spill`.
//!
//! Kept by the assembler. Nothing of it is stored elsewhere: the GTID of an XA PREPARE enters the target's progress together with
//! that of its end, so the server sends a transaction that waits again after any restart.

use std::collections::BTreeMap;

use crate::core::change::BinlogPosition;
use crate::core::gtid_set::Gtid;
use crate::mysql::source::xid::Xid;

/// What the reader of a job does about prepared transactions.
#[derive(Clone, Debug, Default)]
pub struct PreparedRules {
    /// An XA COMMIT up to here whose XA PREPARE was not seen is passed over: every view of the copy sees its rows.
    pub is_seen_up_to: Option<BinlogPosition>,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub rules: PreparedRules,
    waiting: BTreeMap<Xid, Gtid>,
}

impl Prepared {
    /// It waits from now on; false when one of that name does.
    pub fn put(&mut self, xid: Xid, gtid: Gtid) -> bool {
        self.waiting.insert(xid, gtid).is_none()
    }

    /// It ends.
    pub fn take(&mut self, xid: &Xid) -> Option<Gtid> {
        self.waiting.remove(xid)
    }
}
