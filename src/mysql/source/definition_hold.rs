//! Keeps the definitions of tables as they are for a moment, so that they can be read together with the executed set.
//!
//! Used by `flow::source_start` and `flow::ddl_item`. A transaction that has read from a table shuts definition changes of it out
//! until it ends, and one that came before has left both its outcome and its GTID: what is read in between belongs together.

use crate::core::job_spec::DatabaseSpec;
use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;

/// How long a definition change that is under way is waited for; it holds readers up only at its end (guess).
const LOCK_WAIT_SECONDS: u32 = 30;
/// The table, or its schema, is not there.
const MISSING: [u16; 2] = [1146, 1049];

/// Definitions do not change while this is held; dropping it lets go too, once the server has noticed.
#[derive(Debug)]
pub struct DefinitionHold {
    session: Session,
    missing: Vec<TableName>,
}

impl DefinitionHold {
    /// Holds these tables; those that are not there are only noted.
    ///
    /// # Errors
    /// The connection failed, a table cannot be read, or a change of it goes on for too long.
    pub async fn take(spec: &DatabaseSpec, tables: &[TableName]) -> Result<Self, Error> {
        let mut session = Session::connect(spec).await?;
        session
            .execute(format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}, autocommit = 1"))
            .await?;
        session.execute("START TRANSACTION READ ONLY").await?;
        let mut missing = Vec::new();
        for table in tables {
            match session
                .execute(format!("SELECT 1 FROM {} LIMIT 0", quote::table(table)))
                .await
            {
                Err(error) if error.server_code().is_some_and(|code| MISSING.contains(&code)) => missing.push(table.clone()),
                other => drop(other?),
            }
        }
        Ok(Self { session, missing })
    }

    /// The table was not there.
    #[must_use]
    pub fn is_missing(&self, table: &TableName) -> bool {
        self.missing.contains(table)
    }

    /// Lets go.
    pub async fn release(self) {
        self.session.close().await;
    }
}
