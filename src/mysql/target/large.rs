//! A source transaction too large for one group: its parts, one after the other, in one target transaction.
//!
//! Part of `writer`, fed by `flow::applier`. While the server works at a part, the next one is made ready: one part is on its way at most.
//! Rows go as row events where the server takes them. A part that does not fit is undone to where it began and goes as SQL, and
//! when that does not fit either, row by row: the parts before it stay.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use crate::core::group::Group;
use crate::core::ids::Seq;
use crate::mysql::error::Error;
use crate::mysql::target::apply::{ApplySession, Failure};
use crate::mysql::target::lanes::joined;
use crate::mysql::target::replay::{Misfits, Origin, is_of_a_row};
use crate::mysql::target::row_events::is_row_event;
use crate::mysql::target::writer::Target;

/// What is known of the large transaction that is open.
#[derive(Debug, Default)]
pub(super) struct Large {
    misfits: Misfits,
    under_way: Option<UnderWay>,
    /// Stands in for the connection while that is under way.
    spare: Option<ApplySession>,
}

/// A part the server works at.
#[derive(Debug)]
struct UnderWay {
    task: AbortOnDropHandle<(ApplySession, Result<(), Failure>)>,
    part: Arc<Group>,
    has_events: bool,
}

impl Target {
    /// Opens the transaction of a large source transaction. Until `large_commit` or `large_abort` no other method may write.
    pub async fn large_begin(&mut self) -> Result<(), Error> {
        self.large.misfits = Misfits::default();
        self.ready_for_events().await?;
        self.apply.begin().await
    }

    /// Sends one part of it on its way, when the one before has arrived. After an error nothing of the transaction is left.
    pub async fn large_part(&mut self, part: Arc<Group>) -> Result<(), Error> {
        let statements = self.group_statements(&part, 1)?;
        self.large_landed().await?;
        let spare = match self.large.spare.take() {
            Some(spare) => spare,
            None => self.lane().await?,
        };
        let mut session = std::mem::replace(&mut self.apply, spare);
        let has_events = statements.iter().any(is_row_event);
        let task = tokio::spawn(async move {
            let outcome = match session.session().execute("SAVEPOINT part").await {
                Ok(_) => session.execute(&statements).await,
                Err(error) => Err(Failure::Other(error)),
            };
            (session, outcome)
        });
        self.large.under_way = Some(UnderWay {
            task: AbortOnDropHandle::new(task),
            part,
            has_events,
        });
        Ok(())
    }

    /// Waits for the part that is under way. After an error nothing of the transaction is left.
    pub async fn large_landed(&mut self) -> Result<(), Error> {
        let Some(UnderWay { task, part, has_events }) = self.large.under_way.take() else {
            return Ok(());
        };
        let (session, outcome) = joined(task.await);
        self.large.spare = Some(std::mem::replace(&mut self.apply, session));
        match outcome {
            Ok(()) => Ok(()),
            Err(failure) if is_of_a_row(&failure) && self.wants_whole(&part) => Err(self.undo(failure).await),
            Err(failure) if has_events && is_of_a_row(&failure) => self.large_as_sql(&part).await,
            Err(failure) if is_of_a_row(&failure) => self.large_by_rows(&part).await,
            Err(failure) => Err(self.undo(failure).await),
        }
    }

    /// Applies its last part and commits.
    pub async fn large_commit(&mut self, last: Arc<Group>) -> Result<Seq, Error> {
        self.large_part(Arc::clone(&last)).await?;
        self.large_landed().await?;
        let next = self.progress_after(&last);
        let misfits = std::mem::take(&mut self.large.misfits);
        let gtid = gtid_of(&last);
        let origin = Origin {
            gtid: &gtid,
            position: &last.position,
        };
        let finished = self.finish(misfits, origin, &[], next, last.commit_us).await;
        self.large_over();
        match finished {
            Ok(seq) => Ok(seq),
            Err(error) => Err(self.undo(Failure::Other(error)).await),
        }
    }

    /// Gives it up.
    pub async fn large_abort(&mut self) -> Result<(), Error> {
        if let Some(UnderWay { task, .. }) = self.large.under_way.take() {
            let (session, _) = joined(task.await);
            self.large.spare = Some(std::mem::replace(&mut self.apply, session));
        }
        self.large_over();
        self.apply.rollback().await
    }

    /// Keeps the connections alive; at least each 10 s while nothing is applied, a large transaction being open or not.
    pub async fn ping(&mut self) -> Result<(), Error> {
        if self.large.under_way.as_ref().is_some_and(|part| part.task.is_finished()) {
            self.large_landed().await?;
        }
        if let Some(spare) = &mut self.large.spare {
            spare.session().ping().await?;
        }
        self.control.ping().await?;
        self.ping_copy_lanes().await?;
        self.apply.session().ping().await
    }

    fn large_over(&mut self) {
        if let Some(spare) = self.large.spare.take() {
            self.lanes.put(spare);
        }
    }

    /// The server refused row events: it says what is wrong with the same rows as SQL.
    async fn large_as_sql(&mut self, part: &Group) -> Result<(), Error> {
        self.apply.session().execute("ROLLBACK TO SAVEPOINT part").await?;
        let statements = self.statements(part, self.apply.limits())?;
        match self.apply.execute(&statements).await {
            Ok(()) => {
                self.give_events_up();
                Ok(())
            }
            Err(failure) if is_of_a_row(&failure) => self.large_by_rows(part).await,
            Err(failure) => Err(self.undo(failure).await),
        }
    }

    async fn large_by_rows(&mut self, part: &Group) -> Result<(), Error> {
        self.apply.session().execute("ROLLBACK TO SAVEPOINT part").await?;
        let gtid = gtid_of(part);
        let mut misfits = std::mem::take(&mut self.large.misfits);
        let changes = part.parts.iter().flat_map(|part| &part.changes);
        let outcome = self.rows(changes, &mut misfits).await;
        if outcome.is_err() && misfits.is_empty() {
            return match outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(self.undo(Failure::Other(error)).await.in_transaction(&gtid)),
            };
        }
        let origin = Origin {
            gtid: &gtid,
            position: &part.position,
        };
        match self.decide(misfits, origin, outcome).await {
            Ok(decided) => {
                self.large.misfits = decided;
                Ok(())
            }
            Err(error @ Error::RowMismatch { .. }) => Err(error),
            Err(error) => Err(self.undo(Failure::Other(error)).await.in_transaction(&gtid)),
        }
    }

    /// Rolls a transaction of several calls back and tells what its failure means.
    pub(super) async fn undo(&mut self, failure: Failure) -> Error {
        if !failure.error().is_some_and(Error::is_connection_gone)
            && let Err(error) = self.apply.rollback().await
        {
            return error;
        }
        self.explain(failure, &[]).await
    }
}

fn gtid_of(part: &Group) -> String {
    part.parts.last().map(|part| part.gtid.to_string()).unwrap_or_default()
}
