//! What a group's failure means: a lost fence, or an error of the server.
//!
//! Part of `writer`, which calls it after the transaction was rolled back. Rows that do not fit are the business of `replay`.

use crate::mysql::error::Error;
use crate::mysql::target::apply::Failure;
use crate::mysql::target::fence;
use crate::mysql::target::statement::Statement;
use crate::mysql::target::turn::{GUARD, LOST_FENCE};
use crate::mysql::target::writer::Target;

impl Target {
    /// What a failure means. The transaction is rolled back already.
    pub(super) async fn explain(&mut self, failure: Failure, statements: &[Statement]) -> Error {
        match failure {
            Failure::Turn(error) if matches!(error.server_code(), Some(LOST_FENCE | GUARD)) => {
                match fence::lost(&mut self.control, &self.meta, &self.job, self.epoch).await {
                    Ok(lost) | Err(lost) => lost,
                }
            }
            Failure::Turn(error) | Failure::Other(error) => error,
            Failure::Statement { error: Some(error), .. } => error,
            Failure::Statement { at, found, .. } => {
                let operation = statements.get(at).map_or("a statement", |statement| statement.operation);
                let expected = statements.get(at).map_or(0, |statement| statement.expected);
                let found = found.map_or_else(|| "another number of".to_owned(), |found| found.to_string());
                self.control
                    .unexpected(format!("{found} rows affected by {operation}"), format!("{expected} rows"))
            }
        }
    }
}
