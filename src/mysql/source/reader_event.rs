//! What the reader tells: transactions, their changes, where the binlog stands.
//!
//! Made by `assembler`, one for each event of the binlog at most; merged with the copy by `flow::merger`.

use crate::core::change::{BinlogPosition, Change};
use crate::core::ddl::Ddl;
use crate::core::gtid_set::Gtid;
use crate::core::shape::ShapeId;
use crate::mysql::source::xid::Xid;

/// What the source's binlog says, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderEvent {
    /// A transaction begins.
    Begin {
        /// Its id.
        gtid: Gtid,
        /// The largest `sequence_number` it depends on, within its binlog file.
        last_committed: i64,
        /// Its own number within its binlog file.
        sequence_number: i64,
        /// Original commit time, microseconds since the epoch.
        commit_us: u64,
    },
    /// The next changes of the open transaction, in scope, never empty: those of one rows event, 8 KiB unless one row is
    /// larger or the server's `binlog_row_event_max_size` is.
    Changes(Vec<Change>),
    /// The next changes of the open transaction, an XA transaction: they wait for its end, which `Release` begins.
    Held {
        /// The transaction.
        gtid: Gtid,
        /// As those of `Changes`.
        changes: Vec<Change>,
    },
    /// All changes that were `Held` for this transaction belong to the open one now, which is it itself (ONE PHASE) or its XA COMMIT.
    Release {
        /// The transaction with XA START.
        gtid: Gtid,
        /// Tables that were looked up after the open transaction: of these nothing comes.
        covered: Vec<ShapeId>,
    },
    /// The open transaction ends. Without `Changes` before, nothing in it concerns the scope.
    Commit {
        /// Its end.
        position: BinlogPosition,
    },
    /// The open transaction ends as a prepared one: its changes come when it is committed. Chunks may open and close behind it.
    Prepared {
        /// Its end.
        position: BinlogPosition,
        /// Its name.
        xid: Xid,
    },
    /// As `Commit`, of a transaction that commits what was prepared (then behind its `Release`) or rolls it back.
    Resolved {
        /// Its end.
        position: BinlogPosition,
        /// The transaction that was `Prepared`.
        prepared: Gtid,
    },
    /// The open transaction is this change of definitions; there is no `Commit`. What follows cannot be read with the shapes of before.
    Ddl(Box<Ddl>),
    /// Everything up to here was delivered. Only between transactions: from heartbeats and rotations.
    Position {
        /// Where.
        position: BinlogPosition,
    },
}
