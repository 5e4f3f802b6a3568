//! The statement that commits a group: fence check, predecessor check, progress and COMMIT in one packet (PROTOCOLS 2, 6).
//!
//! Used by `apply`. It fails closed: with another epoch in the fence, without fence or progress row, or with progress at
//! another number, the statement fails and the COMMIT behind it is not executed, whatever the sql_mode.

use std::time::Duration;

use crate::core::change::BinlogPosition;
use crate::core::ids::{Epoch, JobId, Seq};
use crate::mysql::quote;
use crate::mysql::target::fence::IS_FENCED;
use crate::mysql::target::meta::{Meta, of_job};

/// Longest wait for the answer to a turn; after it the outcome is unknown (PROTOCOLS 2 step 10).
pub const TURN_LIMIT: Duration = Duration::from_secs(30);
/// A column is NULL that must not be: another epoch, or the fence or progress row is gone.
pub const LOST_FENCE: u16 = 1048;
/// A subquery of two rows was evaluated: progress is at another number, or a guard found a wrong count.
pub const GUARD: u16 = 1242;

/// What progress becomes.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Number of this group.
    pub seq: Seq,
    /// All GTIDs that are in the target with it, canonical text.
    pub executed: String,
    /// Server the set came from.
    pub source_uuid: String,
    /// Where that was in the binlog.
    pub position: BinlogPosition,
    /// Commit time of the last transaction on the source.
    pub commit_us: u64,
}

/// The progress statement; `COMMIT` follows it in the same packet.
#[must_use]
pub fn progress_statement(meta: &Meta, job: &JobId, epoch: Epoch, turn: &Turn) -> String {
    let (progress, fence, of_job) = (meta.table("progress"), meta.table("fence"), of_job(job));
    let expected = turn.seq.0 - 1;
    let epoch_seen = format!("(SELECT f.epoch FROM {fence} f WHERE {of_job} AND f.epoch = {epoch} FOR SHARE)");
    let seq_after = format!(
        "IF({progress}.seq = {expected}, {seq}, (SELECT 1 UNION ALL SELECT 2))",
        seq = turn.seq
    );
    let (epoch_seen, seq_after) = if IS_FENCED {
        (epoch_seen, seq_after)
    } else {
        (epoch.to_string(), turn.seq.to_string())
    };
    // The first subquery is NULL when the progress row is gone: the INSERT must never make it anew in the middle.
    format!(
        "INSERT INTO {progress} (job, inc, seq, epoch, gtid_set, source_uuid, binlog_file, binlog_pos, origin, commit_us, at) VALUES \
         ({name}, {inc}, (SELECT {seq} FROM {progress} p WHERE {of_job}), {epoch_seen}, {executed}, {uuid}, {file}, {offset}, {uuid}, \
         {commit_us}, NOW(6)) ON DUPLICATE KEY UPDATE seq = {seq_after}, epoch = VALUES(epoch), \
         gtid_set = VALUES(gtid_set), source_uuid = VALUES(source_uuid), binlog_file = VALUES(binlog_file), \
         binlog_pos = VALUES(binlog_pos), origin = VALUES(origin), commit_us = VALUES(commit_us), at = VALUES(at)",
        name = quote::text(&job.name.0),
        inc = job.inc,
        seq = turn.seq,
        executed = quote::text(&turn.executed),
        uuid = quote::text(&turn.source_uuid),
        file = quote::text(&turn.position.file),
        offset = turn.position.offset,
        commit_us = turn.commit_us,
    )
}

/// The statement that fails when the one before it did not affect `expected` rows.
#[must_use]
pub fn guard_statement(expected: u64) -> String {
    format!("DO IF(ROW_COUNT() = {expected}, 1, (SELECT 1 UNION ALL SELECT 2))")
}
