//! What a running job tells about itself: the typed body of `status` (DESIGN 1.5).
//!
//! Made by the flows, published by the task actors, answered by `admin`. Times are microseconds of the source's clock
//! or durations; nothing here decides anything.

use serde::{Deserialize, Serialize};

use crate::core::commit_sizes::RecentCommits;
use crate::core::disposition::Disposition;
use crate::core::fault::Fault;
use crate::core::ids::{Epoch, NodeId};
use crate::core::row_by_row::RowByRow;

/// What the sink flow is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Acquiring the fence, choosing and reaching the source.
    #[default]
    Starting,
    /// The copy is not complete.
    Copying,
    /// The copy is complete, changes flow.
    Streaming,
}

/// How far one table's copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProgress {
    /// Database.
    pub schema: String,
    /// Table.
    pub table: String,
    /// `waiting`, `copying` or `done`.
    pub state: String,
    /// Rows on the target.
    pub rows: u64,
    /// The source's estimate of rows; None: unknown.
    pub rows_estimate: Option<u64>,
}

/// Counters since the sink task started on this peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Source transactions applied.
    pub transactions: u64,
    /// Rows written, copy included.
    pub rows: u64,
    /// Bytes before compression.
    pub bytes_raw: u64,
    /// Bytes on the link.
    pub bytes_wire: u64,
    /// Target transactions.
    pub groups: u64,
    /// Rows that did not fit, since the job began; a paused one is counted once.
    #[serde(default)]
    pub conflicts: u64,
}

/// XA transactions that the source has prepared and not ended: their rows are nowhere yet, and the binlog from the oldest on is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedWait {
    /// How many.
    pub transactions: u64,
    /// Name of the oldest, as XA COMMIT takes it.
    pub xid: String,
    /// Its GTID.
    pub gtid: String,
    /// When it was prepared, by the source's clock.
    pub prepared_us: u64,
}

/// The sink flow's view of its job, sent through a watch at least each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// What it is doing.
    pub phase: Phase,
    /// Why it does not get on: no peer may run the source, or its last error; None while rows can flow.
    pub reason: Option<String>,
    /// Epoch it holds; 0 before the fence was acquired.
    pub epoch: Epoch,
    /// Peer that runs the source task.
    pub source: Option<NodeId>,
    /// All GTIDs received, canonical text.
    pub received: String,
    /// All GTIDs committed on the target, canonical text.
    pub applied: String,
    /// Source's executed set at the last heartbeat, without transactions that are only prepared.
    pub read: String,
    /// Binlog file of the last applied transaction.
    pub binlog_file: String,
    /// And the offset in it.
    pub binlog_pos: u64,
    /// PROTOCOLS 12; None before the first heartbeat.
    pub lag_ms: Option<u64>,
    /// DESIGN 1.5.
    pub caught_up: bool,
    /// Rows per second over the last seconds.
    pub rows_per_s: f64,
    /// Rows of the copy per second over the last seconds; None: not copying, or not for long enough to tell.
    pub copy_rows_per_s: Option<f64>,
    /// Per table of the copy; empty without one.
    pub tables: Vec<TableProgress>,
    /// Counters.
    pub totals: Totals,
    /// Prepared transactions that wait; None: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<PreparedStatus>,
    /// The large transaction that is being applied; None: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<LargeTransaction>,
    /// Target transactions of the last minute, the copy's left out; None: there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<RecentCommits>,
    /// Why the copy is not read on now; None: it is, or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_held: Option<CopyHeld>,
    /// Tables with changes that were carried out one by one, most rows first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_by_row: Vec<RowByRow>,
}

/// The copy waits until the changes beside it are less late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyHeld {
    /// How far behind the target is.
    pub lag_ms: u64,
    /// How far it may be for the copy to go on.
    pub lag_max_ms: u64,
}

/// A transaction too large for one group, of which parts are applied. Nothing of it is visible before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeTransaction {
    /// Its GTID.
    pub gtid: String,
    /// Rows applied so far. How many there will be only its end tells.
    pub rows: u64,
    /// Bytes of their images.
    #[serde(default)]
    pub bytes: u64,
}

/// `PreparedWait` with what is known of its age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedStatus {
    /// How many wait.
    pub transactions: u64,
    /// Name of the oldest, as XA COMMIT takes it.
    pub xid: String,
    /// Its GTID: the binlog from it on is needed.
    pub gtid: String,
    /// For how long it waits.
    pub age_ms: u64,
}

/// An error as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// Wall clock of the peer that saw it, RFC 3339 UTC; for people only.
    pub at: String,
    /// What it means.
    pub class: Disposition,
    /// `PEERnnnn`.
    pub code: String,
    /// What was found and expected.
    pub text: String,
    /// What to do.
    pub fix: String,
    /// Each thing that is wrong, when the whole of it is known (preflight); else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}
