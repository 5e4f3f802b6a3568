//! Passes a change of definitions over: the target stays as it is, and rows go on with the columns that both sides have.
//!
//! Called by `flow::ddl_apply` where `on_ddl` or `filter.skip` says so. What the source has afterwards must be known all the same, or
//! its rows could not be read: `ddl_mapped` looks at a shadow.

use crate::core::ddl::{Ddl, DdlOutcome, DdlStep, progress_after};
use crate::core::ddl_policy::DdlKind;
use crate::core::ids::Seq;
use crate::core::table_wanted::Wanted;
use crate::mysql::error::Error;
use crate::mysql::target::ddl::explained;
use crate::mysql::target::ddl_journal;
use crate::mysql::target::ddl_mapped;
use crate::mysql::target::progress_store::replace_statements;
use crate::mysql::target::writer::Target;

impl Target {
    /// Commits that it is passed over; the target stays as it is. One that was begun before counts as done.
    pub async fn ddl_skip(&mut self, ddl: &Ddl, wanted: &Wanted) -> Result<Seq, Error> {
        let mut ddl = ddl.clone();
        let mut outcome = DdlOutcome::default();
        // A table that is not made on the target is none of the job's.
        let is_made = ddl.kind == DdlKind::CreateTable;
        ddl.steps.retain(|step| !(is_made && matches!(step, DdlStep::Replace { .. })));
        match ddl.steps.first() {
            Some(DdlStep::Execute { table }) => {
                let before = self.progress().shapes.iter().find(|shape| shape.name == *table);
                let before = before.cloned().ok_or_else(|| other_rows(&ddl))?;
                let mut session = self.ddl_session().await?;
                let skipped = ddl_mapped::skipped(&mut session, &self.meta, &ddl, &before, wanted).await;
                outcome.shapes.push(skipped.map_err(|error| explained(&ddl, error))?);
                self.close_ddl_session(session).await?;
            }
            Some(DdlStep::Replace { .. } | DdlStep::Rename { .. }) => return Err(other_rows(&ddl)),
            Some(DdlStep::Drop { .. } | DdlStep::Truncate { .. }) | None => {}
        }
        let ddl = &ddl;
        let next = progress_after(self.next_progress(), ddl, &outcome);
        let mut inside = replace_statements(&self.meta, &self.job, &next);
        let pending = ddl_journal::pending(&mut self.control, &self.meta, &self.job).await?;
        if let Some(intent) = pending.filter(|intent| intent.gtid == ddl.gtid.to_string()) {
            inside.extend(ddl_journal::done_statements(&self.meta, &self.job, intent.seq, &ddl.gtid));
        }
        let seq = self.commit(&[], &inside, next, ddl.commit_us).await?;
        self.name_tables().await?;
        Ok(seq)
    }
}

/// It cannot be passed over.
fn other_rows(ddl: &Ddl) -> Error {
    Error::NotReplicable {
        gtid: ddl.gtid.to_string(),
        found: format!(
            "`{}`, which the policy skips and after which the table has other rows",
            ddl.excerpt()
        ),
        expected: format!("{} that leaves the rows as they are", ddl.kind.word()),
        fix: format!(
            "take {} out of `on_ddl` and `filter.skip`, then `peer restart`",
            ddl.kind.word()
        ),
    }
}
