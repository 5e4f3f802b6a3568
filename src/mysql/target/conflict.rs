//! What a group's failure means: a lost fence, an error of the server, or a row that does not fit, and which one.
//!
//! Part of `writer`, which calls it after the transaction was rolled back. A conflict is named by its key: the group is run
//! again row by row, uncommitted. Resolves nothing.

use crate::core::group::Group;
use crate::mysql::error::Error;
use crate::mysql::target::apply::Failure;
use crate::mysql::target::fence;
use crate::mysql::target::statement::Statement;
use crate::mysql::target::turn::{GUARD, LOST_FENCE};
use crate::mysql::target::writer::Target;

impl Target {
    /// What a failure means. The transaction is rolled back already.
    pub(super) async fn explain(&mut self, failure: Failure, statements: &[Statement], group: Option<&Group>) -> Error {
        match failure {
            Failure::Turn(error) if matches!(error.server_code(), Some(LOST_FENCE | GUARD)) => {
                match fence::lost(&mut self.control, &self.meta, &self.job, self.epoch).await {
                    Ok(lost) | Err(lost) => lost,
                }
            }
            Failure::Turn(error) | Failure::Other(error) => error,
            Failure::Statement { at, error, found } => {
                let Some(statement) = statements.get(at) else {
                    return error.unwrap_or_else(|| self.control.unexpected("a wrong count of no statement", "a statement"));
                };
                let Some(told) = mismatch(statement, error, found) else {
                    return self.control.unexpected("a failure without a reason", "an error or a count");
                };
                let (Error::RowMismatch { .. }, Some(group)) = (&told, group) else {
                    return told;
                };
                match self.find_row(group).await {
                    Ok(Some(exact)) => exact,
                    Ok(None) => told,
                    Err(error) => error,
                }
            }
        }
    }

    /// Runs a group that failed again, row by row and without committing, until the row that does not fit.
    async fn find_row(&mut self, group: &Group) -> Result<Option<Error>, Error> {
        let statements = self.statements(group, self.apply.limits().row_by_row())?;
        self.apply.begin().await?;
        let mut exact = None;
        for statement in &statements {
            let Err(Failure::Statement { error, found, .. }) = self.apply.execute(std::slice::from_ref(statement)).await else {
                continue;
            };
            exact = mismatch(statement, error, found);
            break;
        }
        if !exact.as_ref().is_some_and(Error::is_connection_gone) {
            self.apply.rollback().await?;
        }
        Ok(exact)
    }
}

/// The error of a statement that failed or counted wrong: a row conflict where it is one, else what the server said.
fn mismatch(statement: &Statement, error: Option<Error>, found: Option<u64>) -> Option<Error> {
    let (operation, expected) = (statement.operation, statement.expected);
    let expectation = match (&error, found) {
        (Some(Error::Server { code: 1062, message, .. }), _) => format!("{operation} expected no such row, found one: {message}"),
        (Some(_), _) => return error,
        (None, Some(found)) => format!("{operation} expected to affect {expected} rows, affected {found}"),
        (None, None) => format!("{operation} expected to affect {expected} rows, affected another number"),
    };
    Some(Error::RowMismatch {
        table: statement.table.shape.name.to_string(),
        expectation,
        key: statement.key.clone().unwrap_or_else(|| format!("one of {expected}")),
    })
}
