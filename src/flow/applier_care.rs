//! What the applier does beside applying: keeps connections alive, gives signs of life, writes down what was passed.
//!
//! Called by `flow::applier` between items and while it waits, and by `flow::ddl_apply` while the target works for long.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::gtid_set::GtidSet;
use crate::flow::applier::Applier;
use crate::flow::error::FlowError;

/// How often it looks whether the target needs care.
pub(super) const CARE_EVERY: Duration = Duration::from_secs(1);
/// Shortest time between two commits of nothing but progress (PROTOCOLS 2 step 12).
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Between two pings: the apply connection ends after 20 s of silence.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Between two signs of life when nothing is committed; others wait 3 s for one.
const BEAT_EVERY: Duration = Duration::from_secs(2);

/// Between two looks for triggers that somebody made meanwhile: one query (guess).
const TRIGGERS_EVERY: Duration = Duration::from_secs(15);

impl Applier<'_> {
    /// Keeps the connections alive, gives signs of life, and between transactions writes what was passed.
    pub(super) async fn care(&mut self, is_between: bool) -> Result<(), FlowError> {
        let now = Instant::now();
        self.care_at = now + CARE_EVERY;
        if is_between && now - self.passed.written_at >= PROGRESS_EVERY {
            self.write_passed().await?;
        }
        if now - self.pinged_at >= PING_EVERY {
            self.target.ping().await?;
            self.target.close_idle_lanes().await?;
            self.pinged_at = now;
        }
        if is_between && now - self.minded_at >= TRIGGERS_EVERY {
            self.target.mind_triggers().await?;
            self.minded_at = now;
        }
        if now - self.beaten_at >= BEAT_EVERY && self.meter.is_source_healthy() {
            self.target.beat().await?;
            self.beaten_at = now;
        }
        Ok(())
    }

    /// Commits that transactions were passed.
    pub(super) async fn write_passed(&mut self) -> Result<(), FlowError> {
        if self.passed.is_empty() {
            return Ok(());
        }
        let (position, commit_us) = (self.passed.position.clone(), self.passed.commit_us);
        let written = self.target.progress_only(&self.passed.added, position.clone(), commit_us);
        let seq = written.await?;
        self.passed.clear();
        self.committed(seq, &GtidSet::default(), 0, 0, Some(&position));
        self.settle();
        Ok(())
    }
}
