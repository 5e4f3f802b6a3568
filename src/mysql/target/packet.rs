//! Several statements in one packet, and which of them failed.
//!
//! Built by `turn` and `apply`, run on an apply session. The server stops at the first statement that fails; the number of
//! answers that came before tells which one it was. Holds no meaning of its own.

use std::time::Duration;

use mysql_async::Row;
use mysql_async::prelude::Queryable;

use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// Statements to be sent as one COM_QUERY.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    sql: String,
    statements: usize,
}

/// The statement that failed, and why. The ones before it took effect, the ones behind it did not run. When the connection
/// is gone, `statement` is only a lower bound and the outcome is unknown.
#[derive(Debug)]
pub struct PacketError {
    /// Index of the statement.
    pub statement: usize,
    /// What happened.
    pub error: Error,
}

impl Packet {
    /// Appends a statement; returns its index.
    pub fn push(&mut self, statement: &str) -> usize {
        if self.statements > 0 {
            self.sql.push_str(";\n");
        }
        self.sql.push_str(statement);
        self.statements += 1;
        self.statements - 1
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sql.len()
    }

    /// Nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements == 0
    }

    /// Sends it and reads every answer: the affected rows of each statement.
    pub async fn run(&self, session: &mut Session, operation: &'static str, limit: Duration) -> Result<Vec<u64>, PacketError> {
        let mut counts = Vec::with_capacity(self.statements);
        let outcome = session
            .within(limit, operation, async |conn| {
                let mut answers = conn.query_iter(self.sql.as_str()).await?;
                loop {
                    let affected = answers.affected_rows();
                    let has_more = !answers.is_empty();
                    // Fails when the answer in hand is an error: the driver keeps it until somebody consumes it.
                    answers.collect::<Row>().await?;
                    counts.push(affected);
                    if !has_more {
                        break;
                    }
                }
                Ok(())
            })
            .await;
        match outcome {
            Ok(()) if counts.len() == self.statements => Ok(counts),
            Ok(()) => Err(PacketError {
                statement: counts.len(),
                error: session.unexpected(format!("{} answers", counts.len()), format!("{} answers", self.statements)),
            }),
            Err(error) => Err(PacketError {
                statement: counts.len(),
                error,
            }),
        }
    }
}
