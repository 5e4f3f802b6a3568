//! A group that does not fit, transaction by transaction and row by row (DESIGN 4.5, PROTOCOLS 10).
//!
//! Called by `writer`, `copied` and `large` when a count is wrong or the server refuses a row; what failed is rolled back already. What
//! fits is committed, each source transaction by itself. What does not is decided by the policy: decision, record and progress commit
//! together, or, for a pause, only the record does and the job ends with the conflict as its error.

use std::collections::VecDeque;

use crate::core::change::{BinlogPosition, Change, TxnPart};
use crate::core::conflict::{CONFLICTS_KEPT, Conflict, OnConflict};
use crate::core::disposition::Disposition;
use crate::core::group::{Group, GroupLimits, Grouper};
use crate::core::ids::Seq;
use crate::core::progress::Progress;
use crate::mysql::error::Error;
use crate::mysql::target::apply::Failure;
use crate::mysql::target::conflict_store::{self, Standing};
use crate::mysql::target::group_commit::LOCK_TRIES;
use crate::mysql::target::misfit::{Misfit, Place};
use crate::mysql::target::writer::Target;

/// No limit: what is folded is one transaction that fitted a group.
const ANY: GroupLimits = GroupLimits {
    transactions: u64::MAX,
    bytes: u64::MAX,
};

/// The conflicts of one transaction: all counted, the last ones kept.
#[derive(Debug, Default)]
pub(super) struct Misfits {
    kept: VecDeque<Misfit>,
    count: u64,
    /// One of them cannot be decided as the policy says.
    is_stuck: bool,
}

impl Misfits {
    fn push(&mut self, misfit: Misfit) {
        self.count += 1;
        self.is_stuck |= misfit.is_stuck;
        self.kept.push_back(misfit);
        if self.kept.len() as u64 > CONFLICTS_KEPT {
            self.kept.pop_front();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Where changes come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    /// The transaction; empty for a row of the copy.
    pub gtid: &'a str,
    /// Its end in the source's binlog.
    pub position: &'a BinlogPosition,
}

/// A row by itself may tell what is wrong: a count, or a row that the server refuses.
pub(super) fn is_of_a_row(failure: &Failure) -> bool {
    match failure {
        Failure::Statement { error: None, .. } => true,
        Failure::Statement { error: Some(error), .. } => error.disposition() == Disposition::Fatal,
        Failure::Turn(_) | Failure::Other(_) => false,
    }
}

impl Target {
    /// Commits the transactions of a group that did not fit as one, each by itself.
    pub(super) async fn replay(&mut self, group: &Group) -> Result<Seq, Error> {
        let transactions: Vec<&[TxnPart]> = group.parts.chunk_by(|a, b| a.gtid == b.gtid).collect();
        let passed = group.passed();
        for parts in &transactions {
            let mut one = self.folded(parts)?;
            one.added.union(&passed);
            self.replay_one(&one, transactions.len() == 1).await?;
        }
        Ok(self.progress().seq)
    }

    async fn replay_one(&mut self, one: &Group, is_known_to_fail: bool) -> Result<(), Error> {
        if !is_known_to_fail {
            let statements = self.statements(one, self.apply.limits())?;
            let next = self.progress_after(one);
            match self.try_commit(&statements, &[], &next, one.commit_us).await {
                Ok(()) => {
                    self.committed(next);
                    return Ok(());
                }
                Err(failure) if is_of_a_row(&failure) => {}
                Err(failure) => return Err(self.explain(failure, &statements).await),
            }
        }
        let Some(last) = one.parts.last() else {
            return Err(self
                .control
                .unexpected("a group that fails without a transaction", "one with rows"));
        };
        let gtid = last.gtid.to_string();
        let origin = Origin {
            gtid: &gtid,
            position: &last.position,
        };
        let changes = || one.parts.iter().flat_map(|part| &part.changes);
        let next = self.progress_after(one);
        let seq = self.by_rows(changes, origin, &[], next, one.commit_us).await;
        seq.map(drop).map_err(|error| error.in_transaction(&gtid))
    }

    /// Commits changes row by row; tried again when locks are in the way.
    pub(super) async fn by_rows<'a, I: Iterator<Item = &'a Change>>(
        &mut self,
        changes: impl Fn() -> I,
        origin: Origin<'_>,
        inside: &[String],
        next: Progress,
        commit_us: u64,
    ) -> Result<Seq, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.apply.begin().await?;
            let mut misfits = Misfits::default();
            let mut outcome = self.rows(changes(), &mut misfits).await;
            if outcome.is_ok() || !misfits.is_empty() {
                outcome = match self.decide(misfits, origin, outcome).await {
                    Ok(decided) => self.finish(decided, origin, inside, next.clone(), commit_us).await.map(drop),
                    Err(error) => Err(error),
                };
            }
            match outcome {
                Ok(()) => return Ok(self.progress().seq),
                Err(error) => {
                    if !error.is_connection_gone() {
                        self.apply.rollback().await?;
                    }
                    if tries >= LOCK_TRIES || !error.is_lock_conflict() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Applies changes one by one inside the open transaction.
    pub(super) async fn rows(&mut self, changes: impl Iterator<Item = &Change>, misfits: &mut Misfits) -> Result<(), Error> {
        for change in changes {
            let policy = self.policy;
            let Self {
                apply,
                control,
                tables,
                folding,
                ..
            } = self;
            let mut place = Place {
                apply,
                control,
                sql: Self::find(tables, change.shape())?,
                tables: folding,
                policy,
            };
            if let Some(misfit) = place.apply_one(change).await? {
                misfits.push(misfit);
            }
        }
        Ok(())
    }

    /// A pause ends here: everything is rolled back, the conflicts are recorded, and the first of them is the error.
    pub(super) async fn decide(
        &mut self,
        misfits: Misfits,
        origin: Origin<'_>,
        outcome: Result<(), Error>,
    ) -> Result<Misfits, Error> {
        let is_pause = misfits.is_stuck || self.policy.on_conflict == OnConflict::Pause;
        let told = misfits.kept.front().filter(|_| is_pause).map(|first| Error::RowMismatch {
            table: first.table.to_string(),
            expectation: first.expectation(),
            key: first.key.clone(),
            gtid: origin.gtid.to_owned(),
            others: misfits.count - 1,
        });
        let Some(told) = told else {
            return outcome.map(|()| misfits);
        };
        // Behind a conflict a failure may be its consequence.
        if let Err(error) = outcome
            && (error.is_connection_gone() || error.is_lock_conflict())
        {
            return Err(error);
        }
        self.apply.rollback().await?;
        self.apply.begin().await?;
        let next = self.next_progress();
        self.finish(misfits, origin, &[], next, 0).await?;
        Err(told)
    }

    /// Writes the records of what was decided, and commits. After an error the transaction may be open.
    pub(super) async fn finish(
        &mut self,
        misfits: Misfits,
        origin: Origin<'_>,
        inside: &[String],
        next: Progress,
        commit_us: u64,
    ) -> Result<Seq, Error> {
        let mut standing = self.standing.clone();
        if !misfits.is_empty() {
            self.write_records(&mut standing, misfits, origin, next.seq).await?;
        }
        let (notes, standing) = self.notes(standing, &next);
        let inside = [inside, notes.as_slice()].concat();
        let turn = self.turn(&next, commit_us);
        match self.apply.turn(&inside, &turn).await {
            Ok(()) => {
                let seq = self.committed(next);
                self.standing = standing;
                Ok(seq)
            }
            Err(failure) => Err(self.explain(failure, &[]).await),
        }
    }

    async fn write_records(
        &mut self,
        standing: &mut Standing,
        misfits: Misfits,
        origin: Origin<'_>,
        seq: Seq,
    ) -> Result<(), Error> {
        let decision = match misfits.is_stuck {
            true => conflict_store::PAUSED,
            false => self.policy.on_conflict.decision(),
        };
        if let Some(at) = standing.paused.iter().position(|(gtid, _)| gtid == origin.gtid) {
            let sql = conflict_store::forget_paused_statement(&self.meta, &self.job, origin.gtid);
            self.apply.session().execute(sql).await?;
            // They are the last ones: nothing was committed since.
            standing.last -= standing.last.min(standing.paused.remove(at).1);
        }
        if decision == conflict_store::PAUSED {
            standing.paused.push((origin.gtid.to_owned(), misfits.kept.len() as u64));
        }
        standing.last += misfits.count - misfits.kept.len() as u64;
        for misfit in misfits.kept {
            standing.last += 1;
            let record = record(misfit, standing.last, origin, decision);
            let sql = conflict_store::record_statement(&self.meta, &self.job, seq, &record);
            self.apply.session().execute(sql).await?;
        }
        let sql = conflict_store::prune_statement(&self.meta, &self.job, standing.last);
        self.apply.session().execute(sql).await.map(drop)
    }

    fn folded(&self, parts: &[TxnPart]) -> Result<Group, Error> {
        let mut grouper = Grouper::new(ANY);
        for (id, table) in self.folding.in_order() {
            grouper.set_shape(id, table.shape.clone());
        }
        for part in parts {
            grouper.push(part.clone()).map_err(|error| Error::BadRow {
                table: format!("transaction {}", part.gtid),
                reason: error.to_string(),
            })?;
        }
        Ok(grouper.take())
    }
}

fn record(misfit: Misfit, number: u64, origin: Origin<'_>, decision: &str) -> Conflict {
    Conflict {
        number,
        at: String::new(),
        schema: misfit.table.schema,
        table: misfit.table.table,
        kind: misfit.kind.word().into(),
        key: misfit.key,
        gtid: origin.gtid.to_owned(),
        binlog_file: origin.position.file.clone(),
        binlog_pos: origin.position.offset,
        incoming: misfit.incoming,
        found: misfit.found,
        decision: decision.into(),
        author: String::new(),
        reason: String::new(),
    }
}
