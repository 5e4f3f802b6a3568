//! The names of log fields, in one place: a fact has one name wherever it is logged.
//!
//! Used as `info!({ JOB } = %name, "task started")` or spelled the same; a reviewer and the tests compare with `ALL`.

/// Name of this peer.
pub const PEER: &str = "peer";
/// Datacenter of a peer.
pub const SITE: &str = "site";
/// A job's name.
pub const JOB: &str = "job";
/// `source` or `sink`, with the job: `orders/sink`.
pub const TASK: &str = "task";
/// A stage of a flow: `reader`, `applier`, …
pub const STAGE: &str = "stage";
/// A network address.
pub const ADDRESS: &str = "address";
/// A GTID or a set of them.
pub const GTID: &str = "gtid";
/// Number of a committed group.
pub const SEQ: &str = "seq";
/// Epoch of the fence.
pub const EPOCH: &str = "epoch";
/// Count of rows.
pub const ROWS: &str = "rows";
/// Count of bytes.
pub const BYTES: &str = "bytes";
/// Lag in milliseconds.
pub const LAG_MS: &str = "lag_ms";
/// Which try it is, from 1.
pub const ATTEMPT: &str = "attempt";
/// Why, one word.
pub const REASON: &str = "reason";
/// An error, with its chain.
pub const ERROR: &str = "error";
/// Lines of the same kind that were not written since the last one.
pub const HELD_BACK: &str = "held_back";

/// Every name.
pub const ALL: &[&str] = &[
    PEER, SITE, JOB, TASK, STAGE, ADDRESS, GTID, SEQ, EPOCH, ROWS, BYTES, LAG_MS, ATTEMPT, REASON, ERROR, HELD_BACK,
];
