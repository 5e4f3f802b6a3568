//! A source transaction too large for one group: its parts, one after the other, in one target transaction.
//!
//! Part of `writer`, fed by `flow::applier`. A part that does not fit is undone to where it began and gone through row by row: the parts
//! before it stay.

use crate::core::group::Group;
use crate::core::ids::Seq;
use crate::mysql::error::Error;
use crate::mysql::target::apply::Failure;
use crate::mysql::target::replay::{Misfits, Origin, is_of_a_row};
use crate::mysql::target::writer::Target;

impl Target {
    /// Opens the transaction of a large source transaction. Until `large_commit` or `large_abort` no other method may write.
    pub async fn large_begin(&mut self) -> Result<(), Error> {
        self.large = Misfits::default();
        self.apply.begin().await
    }

    /// Applies one part of it. After an error nothing of it is left.
    pub async fn large_part(&mut self, part: &Group) -> Result<(), Error> {
        let statements = self.statements(part, self.apply.limits())?;
        self.apply.session().execute("SAVEPOINT part").await?;
        match self.apply.execute(&statements).await {
            Ok(()) => Ok(()),
            Err(failure) if is_of_a_row(&failure) => self.large_by_rows(part).await,
            Err(failure) => Err(self.undo(failure).await),
        }
    }

    /// Applies its last part and commits.
    pub async fn large_commit(&mut self, last: &Group) -> Result<Seq, Error> {
        self.large_part(last).await?;
        let next = self.progress_after(last);
        let misfits = std::mem::take(&mut self.large);
        let gtid = gtid_of(last);
        let origin = Origin {
            gtid: &gtid,
            position: &last.position,
        };
        match self.finish(misfits, origin, &[], next, last.commit_us).await {
            Ok(seq) => Ok(seq),
            Err(error) => Err(self.undo(Failure::Other(error)).await),
        }
    }

    /// Gives it up.
    pub async fn large_abort(&mut self) -> Result<(), Error> {
        self.apply.rollback().await
    }

    async fn large_by_rows(&mut self, part: &Group) -> Result<(), Error> {
        self.apply.session().execute("ROLLBACK TO SAVEPOINT part").await?;
        let gtid = gtid_of(part);
        let mut misfits = std::mem::take(&mut self.large);
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
                self.large = decided;
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
