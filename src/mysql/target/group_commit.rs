//! One group as one transaction, by itself: committed, tried again, or handed to `replay`.
//!
//! Part of `writer`. Groups beside each other are the business of `lanes`, which comes here with what did not fly; large transactions of
//! `large`, chunks of `copied`.

use crate::core::change::BinlogPosition;
use crate::core::group::Group;
use crate::core::gtid_set::GtidSet;
use crate::core::ids::Seq;
use crate::core::progress::Progress;
use crate::mysql::error::Error;
use crate::mysql::target::apply::Failure;
use crate::mysql::target::event_tables::GROUP_ROWS_MIN;
use crate::mysql::target::replay::is_of_a_row;
use crate::mysql::target::row_events::is_row_event;
use crate::mysql::target::statement::{Statement, StatementLimits};
use crate::mysql::target::turn::{Turn, progress_statement};
use crate::mysql::target::writer::Target;

/// Times a group is tried when locks are in its way; each wait is 2 s (guess: longer means a person must look).
pub(super) const LOCK_TRIES: u32 = 5;

impl Target {
    /// Commits a group of whole transactions.
    pub async fn apply_group(&mut self, group: &Group) -> Result<Seq, Error> {
        self.lanes.went_alone();
        self.ready_for_events().await?;
        let statements = self.group_statements(group, GROUP_ROWS_MIN)?;
        let has_events = statements.iter().any(is_row_event);
        let next = self.progress_after(group);
        match self.try_commit(&statements, &[], &next, group.commit_us).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) if is_of_a_row(&failure) => {
                if self.wants_whole(group) {
                    return Err(self.explain(failure, &statements).await);
                }
                let conflicts = self.conflicts();
                let seq = self.replay(group).await?;
                if has_events && self.conflicts() == conflicts {
                    self.give_events_up();
                }
                Ok(seq)
            }
            Err(failure) => Err(self.explain(failure, &statements).await),
        }
    }

    /// Commits that these transactions are passed, without a row.
    pub async fn progress_only(&mut self, added: &GtidSet, position: BinlogPosition, commit_us: u64) -> Result<Seq, Error> {
        let group = Group {
            added: added.clone(),
            position,
            commit_us,
            ..Group::default()
        };
        self.apply_group(&group).await
    }

    pub(super) async fn commit(
        &mut self,
        statements: &[Statement],
        inside: &[String],
        next: Progress,
        commit_us: u64,
    ) -> Result<Seq, Error> {
        match self.try_commit(statements, inside, &next, commit_us).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) => Err(self.explain(failure, statements).await),
        }
    }

    /// Commits; what locks made impossible is tried again, alone as it is.
    pub(super) async fn try_commit(
        &mut self,
        statements: &[Statement],
        inside: &[String],
        next: &Progress,
        commit_us: u64,
    ) -> Result<(), Failure> {
        let turn = self.turn(next, commit_us);
        let (notes, _) = self.notes(self.standing.clone(), next);
        let inside = [inside, notes.as_slice()].concat();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.apply.commit(statements, &inside, &turn).await {
                Err(failure) if tries < LOCK_TRIES && failure.error().is_some_and(Error::is_lock_conflict) => {}
                outcome => return outcome,
            }
        }
    }

    pub(super) fn turn(&self, next: &Progress, commit_us: u64) -> String {
        let turn = Turn {
            seq: next.seq,
            executed: next.executed.to_string(),
            source_uuid: next.source_uuid.clone(),
            position: next.position.clone(),
            commit_us,
        };
        progress_statement(&self.meta, &self.job, self.epoch, &turn)
    }

    pub(super) fn statements(&self, group: &Group, limits: StatementLimits) -> Result<Vec<Statement>, Error> {
        let mut statements = Vec::new();
        for effect in &group.tables {
            statements.extend(self.table(effect.shape)?.effect(effect, limits, self.policy.check)?);
        }
        Ok(statements)
    }
}
