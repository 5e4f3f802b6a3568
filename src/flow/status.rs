//! What the flows tell about themselves while they run, beside `core::job_state::SinkStatus`.
//!
//! Sent through watches by the flows, read by the task actors. Numbers only; decides nothing.

use serde::{Deserialize, Serialize};

use crate::core::change::BinlogPosition;

/// What the source flow is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcePhase {
    /// Connecting, reading shapes, opening the dump.
    #[default]
    Starting,
    /// Chunks are being read beside the stream.
    Copying,
    /// Only the stream.
    Streaming,
}

/// The source flow's view of its subscription, sent through a watch at least each second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// What it is doing.
    pub phase: SourcePhase,
    /// All GTIDs read from the binlog, canonical text.
    pub read: String,
    /// Where the reader is.
    pub position: BinlogPosition,
    /// What the sink said is committed on the target.
    pub durable: Durable,
    /// What went over the link.
    pub sent: SentTotals,
}

/// Counters of one sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentTotals {
    /// Batches sent.
    pub batches: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes before compression.
    pub bytes_raw: u64,
    /// Bytes of frames on the link.
    pub bytes_wire: u64,
    /// Frame bytes sent and not yet granted back by the sink.
    pub bytes_in_flight: u64,
}

/// What is committed on the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durable {
    /// Executed GTIDs, canonical text.
    pub executed: String,
    /// Number of the last committed group.
    pub seq: u64,
}
