//! The applier at a change of definitions: everything before it is committed, it is carried out, the stream ends.
//!
//! Called by `flow::applier`. While the target works, possibly for hours, the owner's other sessions and its sign of life are kept up.
//! Afterwards the shapes are other ones: the sink subscribes anew, and the source reads on with them.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::info;

use crate::core::ddl::Ddl;
use crate::core::gtid_set::GtidSet;
use crate::flow::applier::Applier;
use crate::flow::error::FlowError;

/// Between two signs of life; others wait 3 s for one.
const CARE_EVERY: Duration = Duration::from_secs(2);

impl Applier<'_> {
    /// Carries it out and commits it.
    pub(super) async fn ddl(&mut self, ddl: &Ddl) -> Result<(), FlowError> {
        self.write_passed().await?;
        let mut run = self.target.ddl_begin(ddl).await?;
        let outcome = {
            let mut running = std::pin::pin!(run.run());
            let mut ticks = tokio::time::interval(CARE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    outcome = &mut running => break outcome?,
                    _ = ticks.tick() => {
                        self.target.ping().await?;
                        if self.meter.is_source_healthy() {
                            self.target.beat().await?;
                        }
                    }
                }
            }
        };
        let seq = self.target.ddl_done(run, &outcome).await?;
        info!(gtid = %ddl.gtid, seq = seq.0, "definitions changed");
        let mut added = GtidSet::default();
        added.add(&ddl.gtid);
        self.meter.started(&added, &self.target.progress().copy);
        self.committed(seq, &added, 1, 0, Some(&ddl.position));
        Ok(())
    }
}
