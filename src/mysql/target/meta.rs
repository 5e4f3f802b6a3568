//! The schema that peer keeps in every target: its name, its tables, their version (PROTOCOLS 3).
//!
//! `fence` goes through here before it touches a row. A schema that holds a table `fence` with the comment `peer-meta v1`, or one
//! that marks a schema beside it, is never replicated, whatever its name. All tables are InnoDB: they must commit and roll back with the rows.

use crate::core::ids::JobId;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::conflict_store;

/// Comment of the table `fence` by which a meta schema is known.
pub const FENCE_COMMENT: &str = "peer-meta v1";
/// Marks the schema of empty tables (`shadow`), which may hold one of any other name.
pub const MARK: &str = "peer_meta_mark";
/// Tables of `information_schema` by which a schema of peer's is known.
pub const MARKS: &str = "TABLE_NAME IN ('fence', 'peer_meta_mark') AND TABLE_COMMENT LIKE 'peer-meta v%'";
/// The schema of empty tables (`shadow`), beside peer's own.
#[must_use]
pub fn shadow_schema(meta_schema: &str) -> String {
    format!("{meta_schema}_shape")
}

/// Content of the table `version`.
const VERSION: u32 = 1;

/// Columns that begin every table but `version`; a job's name is ASCII, `config` checked it.
const JOB: &str = "job VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, inc BIGINT UNSIGNED NOT NULL";
const NAME: &str = "VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
const WORD: &str = "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";

/// The tables with a row per job, in the order in which a purge empties them: the fence goes last.
pub const JOB_TABLES: [&str; 8] = ["progress", "session", "copy", "shape", "ddl", "conflict", "beat", "fence"];

/// Names the tables of one meta schema.
#[derive(Clone, Debug)]
pub struct Meta {
    schema: String,
}

impl Meta {
    /// The tables of this schema.
    #[must_use]
    pub fn new(schema: impl Into<String>) -> Self {
        Self { schema: schema.into() }
    }

    /// `` `schema`.`table` ``.
    #[must_use]
    pub fn table(&self, table: &str) -> String {
        quote::qualified(&self.schema, table)
    }

    /// The schema's name, unquoted.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The schema and its fence exist and are ours.
    pub async fn exists(&self, session: &mut Session) -> Result<bool, Error> {
        let comment: Option<String> = session
            .first(format!(
                "SELECT table_comment FROM information_schema.tables WHERE table_schema = {} AND table_name = 'fence'",
                quote::text(&self.schema)
            ))
            .await?;
        match comment {
            None => Ok(false),
            Some(comment) if comment == FENCE_COMMENT => Ok(true),
            Some(comment) => Err(Error::Unsuitable {
                object: format!("schema {} of the target", self.schema),
                found: format!("a table `fence` with the comment `{comment}`"),
                expected: format!("the comment `{FENCE_COMMENT}`, or no such table"),
                fix: "set meta_schema of the sink to a schema that peer may have for itself".into(),
            }),
        }
    }

    /// Makes what is missing and checks the version. Needs no right to create when all is there.
    pub async fn ensure(&self, session: &mut Session) -> Result<(), Error> {
        if !self.exists(session).await? {
            self.create(session).await?;
        }
        let found: Option<u32> = session
            .first(format!("SELECT version FROM {}", self.table("version")))
            .await?;
        if found == Some(VERSION) {
            return conflict_store::ensure_columns(session, self).await;
        }
        Err(Error::Unsuitable {
            object: format!("schema {} of the target", self.schema),
            found: found.map_or("no version".into(), |version| format!("version {version}")),
            expected: format!("version {VERSION}"),
            fix: "run the peer version that made it, or `peer purge JOB --target` every job on this target and drop the schema"
                .into(),
        })
    }

    /// `fence` is made last: while it is missing, the next owner makes the rest again.
    async fn create(&self, session: &mut Session) -> Result<(), Error> {
        let exists: Option<String> = session
            .first(format!(
                "SELECT schema_name FROM information_schema.schemata WHERE schema_name = {}",
                quote::text(&self.schema)
            ))
            .await?;
        if exists.is_none() {
            let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", quote::identifier(&self.schema));
            session.execute(sql).await?;
        }
        for (table, columns) in definitions() {
            let comment = if table == "fence" { FENCE_COMMENT } else { "" };
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {} ({columns}) ENGINE=InnoDB COMMENT='{comment}'",
                self.table(table)
            );
            session.execute(sql).await?;
            if table == "version" {
                let sql = format!("INSERT IGNORE INTO {} VALUES (1, {VERSION})", self.table(table));
                session.execute(sql).await?;
            }
        }
        Ok(())
    }
}

/// `job = … AND inc = …`.
#[must_use]
pub fn of_job(job: &JobId) -> String {
    format!("job = {} AND inc = {}", quote::text(&job.name.0), job.inc)
}

/// `'…', …`: the first two values of every row.
#[must_use]
pub fn job_values(job: &JobId) -> String {
    format!("{}, {}", quote::text(&job.name.0), job.inc)
}

fn definitions() -> Vec<(&'static str, String)> {
    let key = "PRIMARY KEY (job, inc";
    vec![
        (
            "version",
            "one TINYINT UNSIGNED NOT NULL PRIMARY KEY, version INT UNSIGNED NOT NULL".into(),
        ),
        (
            "progress",
            format!(
                "{JOB}, seq BIGINT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL, gtid_set MEDIUMTEXT CHARACTER SET ascii NOT NULL, \
                 source_uuid {WORD}, binlog_file {WORD}, binlog_pos BIGINT UNSIGNED NOT NULL, origin VARCHAR(1024) CHARACTER SET ascii \
                 NOT NULL, commit_us BIGINT UNSIGNED NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), {key})"
            ),
        ),
        (
            "session",
            format!(
                "{JOB}, epoch BIGINT UNSIGNED NOT NULL, conn_id BIGINT UNSIGNED NOT NULL, lock_name {NAME}, \
                 connected_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), {key}, epoch, lock_name)"
            ),
        ),
        (
            "copy",
            format!(
                "{JOB}, schema_name {NAME}, table_name {NAME}, range_no INT UNSIGNED NOT NULL, low MEDIUMTEXT CHARACTER SET ascii NOT NULL, \
                 high MEDIUMTEXT CHARACTER SET ascii NOT NULL, cursor_key MEDIUMTEXT CHARACTER SET ascii NOT NULL, `rows` BIGINT UNSIGNED \
                 NOT NULL, rows_estimate BIGINT UNSIGNED, state VARCHAR(16) CHARACTER SET ascii NOT NULL, ordinal INT UNSIGNED NOT NULL, \
                 {key}, schema_name, table_name, range_no)"
            ),
        ),
        (
            "shape",
            format!(
                "{JOB}, schema_name {NAME}, table_name {NAME}, version BIGINT UNSIGNED NOT NULL, definition MEDIUMTEXT CHARACTER SET \
                 utf8mb4 NOT NULL, ordinal INT UNSIGNED NOT NULL, {key}, schema_name, table_name, version)"
            ),
        ),
        (
            "ddl",
            format!(
                "{JOB}, seq BIGINT UNSIGNED NOT NULL, gtid {WORD}, statement MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL, \
                 state ENUM('intent','done') NOT NULL, before_hash {NAME}, after_hash {NAME}, {key}, seq)"
            ),
        ),
        (
            "conflict",
            format!(
                "{JOB}, seq BIGINT UNSIGNED NOT NULL, number INT UNSIGNED NOT NULL, schema_name {NAME}, table_name {NAME}, \
                 kind VARCHAR(32) CHARACTER SET ascii NOT NULL, incoming MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL, found MEDIUMTEXT \
                 CHARACTER SET utf8mb4 NOT NULL, {}, {key}, seq, number)",
                conflict_store::COLUMNS.join(", ")
            ),
        ),
        (
            "beat",
            format!("{JOB}, epoch BIGINT UNSIGNED NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), {key})"),
        ),
        (
            "fence",
            format!(
                "{JOB}, cluster_id {NAME}, life {NAME}, epoch BIGINT UNSIGNED NOT NULL, owner {WORD}, owner_name {WORD}, \
                 boot BIGINT UNSIGNED NOT NULL, src_epoch BIGINT UNSIGNED NOT NULL, src_owner {WORD}, \
                 since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), {key})"
            ),
        ),
    ]
}
