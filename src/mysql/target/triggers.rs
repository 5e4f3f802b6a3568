//! Triggers on the job's tables of the target: refused, or dropped when the job says so (`[sink] drop_triggers = true`).
//!
//! What a trigger of the source wrote arrives as rows; one of the target would write it once more. Looked for when the job starts, each
//! time an owner takes it over, and while it runs (`flow::applier_care`). A dropped one is kept as text in `dropped_trigger` of peer's own
//! schema, which a purge leaves.

use tracing::warn;

use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::writer::Target;

/// The table of dropped triggers.
const DROPPED: &str = "dropped_trigger";
/// Somebody else dropped it.
const NO_SUCH_TRIGGER: u16 = 1360;

struct Trigger {
    table: TableName,
    name: String,
}

impl Trigger {
    fn quoted(&self) -> String {
        quote::qualified(&self.table.schema, &self.name)
    }
}

impl Target {
    /// Looks for triggers on the tables of the job and drops them, or fails.
    ///
    /// # Errors
    /// `Unsuitable` names those of the first table that has some, unless the job drops them; or a statement failed.
    pub async fn mind_triggers(&mut self) -> Result<(), Error> {
        let tables: Vec<TableName> = self.tables.iter().flatten().map(|table| table.name().clone()).collect();
        let triggers = triggers(&mut self.control, &tables).await?;
        let Some(first) = triggers.first() else { return Ok(()) };
        if !self.drops_triggers {
            return Err(refused(&first.table, &triggers));
        }
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (number BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, job VARCHAR(64) NOT NULL, at \
             TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), schema_name VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, \
             trigger_name VARCHAR(64) NOT NULL, sql_mode TEXT NOT NULL, definition MEDIUMTEXT NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4 \
             COLLATE utf8mb4_bin",
            self.meta.table(DROPPED)
        );
        self.control.execute(sql).await?;
        for trigger in &triggers {
            self.drop_trigger(trigger).await?;
        }
        Ok(())
    }

    /// Its text is kept before it goes.
    async fn drop_trigger(&mut self, trigger: &Trigger) -> Result<(), Error> {
        let shown = self
            .control
            .first::<mysql_async::Row>(format!("SHOW CREATE TRIGGER {}", trigger.quoted()))
            .await;
        let row = match shown {
            Err(error) if error.server_code() == Some(NO_SUCH_TRIGGER) => return Ok(()),
            other => other?,
        };
        let text = |at: usize| {
            row.as_ref()
                .and_then(|row| row.get_opt::<String, usize>(at))
                .and_then(Result::ok)
        };
        let Some((sql_mode, definition)) = text(1).zip(text(2)) else {
            return Err(self.control.unexpected(
                format!("no definition of trigger {}", trigger.quoted()),
                "its text, so that it can be made again",
            ));
        };
        let sql = format!(
            "INSERT INTO {} (job, schema_name, table_name, trigger_name, sql_mode, definition) VALUES ({}, {}, {}, {}, {}, {})",
            self.meta.table(DROPPED),
            quote::text(&self.job.name.0),
            quote::text(&trigger.table.schema),
            quote::text(&trigger.table.table),
            quote::text(&trigger.name),
            quote::text(&sql_mode),
            quote::text(&definition)
        );
        self.control.execute(sql).await?;
        self.control
            .execute(format!("DROP TRIGGER IF EXISTS {}", trigger.quoted()))
            .await?;
        warn!(job = %self.job, object = %trigger.quoted(), statement = %definition, "trigger of the target dropped");
        Ok(())
    }
}

async fn triggers(session: &mut Session, tables: &[TableName]) -> Result<Vec<Trigger>, Error> {
    let mut schemas: Vec<String> = tables.iter().map(|table| quote::text(&table.schema)).collect();
    schemas.sort();
    schemas.dedup();
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, @@lower_case_table_names <> 0 FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA IN ({}) ORDER BY EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME",
        schemas.join(", ")
    );
    let rows = session.rows::<(String, String, String, bool)>(sql).await?;
    let of_job = |(schema, table, name, is_folding): (String, String, String, bool)| {
        let found = TableName { schema, table };
        let is_it =
            |own: &TableName| *own == found || (is_folding && own.to_string().to_lowercase() == found.to_string().to_lowercase());
        tables.iter().any(is_it).then_some(Trigger { table: found, name })
    };
    Ok(rows.into_iter().filter_map(of_job).collect())
}

fn refused(table: &TableName, triggers: &[Trigger]) -> Error {
    let own: Vec<&Trigger> = triggers.iter().filter(|trigger| trigger.table == *table).collect();
    let names: Vec<&str> = own.iter().map(|trigger| trigger.name.as_str()).collect();
    let quoted: Vec<String> = own.iter().map(|trigger| trigger.quoted()).collect();
    Error::Unsuitable {
        object: format!("table {table} of the target"),
        found: format!("triggers: {}", names.join(", ")),
        expected: "none: the rows that the source's triggers write come from the source".into(),
        fix: format!(
            "DROP TRIGGER {} on the target, then `peer restart`; or write drop_triggers = true in [sink]",
            quoted.join("; DROP TRIGGER ")
        ),
    }
}
