//! The applier at a change of definitions: everything before it is committed, it is carried out, the stream ends.
//!
//! Called by `flow::applier`. While the target works, possibly for hours, the owner's other sessions and its sign of life are kept up.
//! Afterwards the shapes are other ones: the sink subscribes anew, and the source reads on with them.

use tracing::info;

use crate::core::ddl::Ddl;
use crate::core::ddl_policy::{DdlAction, DdlPolicy};
use crate::core::gtid_set::GtidSet;
use crate::core::ids::Seq;
use crate::core::skip::ddl_without_effect;
use crate::core::table_wanted::Wanted;
use crate::flow::applier::Applier;
use crate::flow::error::FlowError;
use crate::mysql::error::Error;

/// What to do with changes, and what was asked for so far.
#[derive(Clone, Debug, Default)]
pub struct OnDdl {
    /// By kind.
    pub policy: DdlPolicy,
    /// Restarts that a person asked for.
    pub restarts: u64,
    /// The tables the job asks for.
    pub wanted: Wanted,
}

impl Applier<'_> {
    /// Carries it out and commits it.
    pub(super) async fn ddl(&mut self, ddl: &Ddl) -> Result<(), FlowError> {
        self.write_passed().await?;
        let seq = match self.on_ddl.policy.action(ddl.kind) {
            _ if self.target.is_skipped(&ddl.gtid) => self.pass_over(ddl).await?,
            DdlAction::Skip => self.target.ddl_skip(ddl, &self.on_ddl.wanted).await?,
            DdlAction::Apply => self.carry_out(ddl, None).await?,
            DdlAction::Pause => self.carry_out(ddl, Some(self.on_ddl.restarts)).await?,
        };
        info!(gtid = %ddl.gtid, seq = seq.0, "definitions changed");
        let mut added = GtidSet::default();
        added.add(&ddl.gtid);
        self.meter.started(&added, &self.target.progress().copy);
        self.committed(seq, &added, 1, 0, Some(&ddl.position));
        Ok(())
    }

    /// A person passed it over. When the rows behind it could not be applied, it waits for a person instead.
    async fn pass_over(&mut self, ddl: &Ddl) -> Result<Seq, FlowError> {
        let reason = match ddl_without_effect(ddl, &self.target.progress().shapes) {
            Ok(left) => {
                info!(gtid = %ddl.gtid, "a change of definitions was passed over");
                return Ok(self.target.ddl_skip(&left, &self.on_ddl.wanted).await?);
            }
            Err(reason) => reason,
        };
        let refused = |reason| Error::NotSkippable {
            gtid: ddl.gtid.to_string(),
            statement: ddl.excerpt(),
            reason,
        };
        match self.carry_out(ddl, Some(self.on_ddl.restarts)).await {
            Err(FlowError::Database(Error::DdlWaits { .. })) => Err(refused(reason).into()),
            Err(FlowError::Database(Error::DdlFailed { reason: answer, .. })) => {
                Err(refused(format!("{reason}, and the target answers {answer}")).into())
            }
            outcome => outcome,
        }
    }

    async fn carry_out(&mut self, ddl: &Ddl, asks: Option<u64>) -> Result<Seq, FlowError> {
        let mut run = self.target.ddl_begin(ddl, asks, &self.on_ddl.wanted).await?;
        self.beside(run.look()).await??;
        self.target.ddl_intend(&mut run).await?;
        let outcome = match self.beside(run.run()).await? {
            Ok(outcome) => outcome,
            Err(error) => {
                self.target.ddl_refused(&run).await?;
                return Err(error.into());
            }
        };
        Ok(self.target.ddl_done(run, &outcome).await?)
    }

    /// Waits for work on a session of its own, and keeps the owner's other sessions and its sign of life up meanwhile.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, FlowError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep_until(self.care_at) => self.care(false).await?,
            }
        }
    }
}
