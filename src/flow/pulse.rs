//! What the sink measures its lag by: the newest answer of the source, past everything that waits to be sent (P9).
//!
//! Fed by `mysql::source::heartbeat` and the merge stage; feeds `flow::sender`.

use tokio::sync::watch;

use crate::core::gtid_set::GtidSet;
use crate::mysql::source::heartbeat::Beat;
use crate::wire::message::SourceToSink;

/// The sender's end of the heartbeat.
#[derive(Clone, Debug)]
pub struct Pulse {
    beats: watch::Receiver<Beat>,
    prepared: watch::Receiver<GtidSet>,
}

impl Pulse {
    /// Heartbeats of `beats`; what is `prepared` is not visible on the source: the target lacks nothing of it.
    #[must_use]
    pub const fn new(beats: watch::Receiver<Beat>, prepared: watch::Receiver<GtidSet>) -> Self {
        Self { beats, prepared }
    }

    /// The next heartbeat; only the newest counts. Waits for ever when the source is asked no more: why comes through the
    /// channel of the items. Cancel-safe.
    pub async fn next(&mut self) -> SourceToSink {
        if self.beats.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let beat = self.beats.borrow_and_update().clone();
        SourceToSink::Heartbeat {
            executed: beat.executed.subtract(&self.prepared.borrow()).to_string(),
            source_now_us: beat.source_now_us,
        }
    }
}
