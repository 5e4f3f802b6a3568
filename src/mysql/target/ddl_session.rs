//! The session on which a change of definitions runs: registered like every writer, and the only one of its job.
//!
//! Used by `ddl`. A definition change does not end with the fence: the session is ended by a newer owner, and the job's user lock
//! says that none of an older one still works. It is set up to read the statement as the source's session did.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::time::{Instant, sleep};

use crate::core::ddl::DdlSession;
use crate::core::ids::JobId;
use crate::core::stable_hash::hex256;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;

/// How the session is while it runs peer's own statements: F24's mode without strictness, so that every default the source has may
/// be written.
const OWN_SETTINGS: &str = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', \
    sql_quote_show_create = ON, autocommit = 1, foreign_key_checks = 0, lock_wait_timeout = 10, innodb_lock_wait_timeout = 10, \
    wait_timeout = 3600, time_zone = '+00:00', timestamp = DEFAULT; SET NAMES utf8mb4";
/// How long an older session of the job may take to go after it was ended.
const CLEAR_LIMIT: Duration = Duration::from_secs(30);
/// Longest run of one statement: a table of terabytes that is built anew. A dead server is noticed by the connection, not by this.
const STATEMENT_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Times a statement is tried that waits for somebody's lock on the table, 10 s each.
const LOCK_TRIES: u32 = 6;
/// Between two looks at it.
const CLEAR_PAUSE: Duration = Duration::from_millis(100);
/// `sql_mode` bits that servers from 8.0 on know; older ones wrote more.
const MODE_BITS: u64 = 0x1_effc_00ef;

/// Sets the session up for peer's own statements.
pub(super) async fn prepare(session: &mut Session) -> Result<(), Error> {
    session.execute(OWN_SETTINGS).await?;
    relax(session, "sql_require_primary_key", "OFF").await?;
    relax(session, "sql_generate_invisible_primary_key", "OFF").await?;
    relax(session, "show_gipk_in_create_table_and_information_schema", "ON").await
}

/// Gives a variable a value when it has another: setting some of them needs a privilege.
async fn relax(session: &mut Session, variable: &str, wanted: &str) -> Result<(), Error> {
    let found: Option<(String, String)> = session
        .first(format!("SHOW SESSION VARIABLES LIKE {}", quote::text(variable)))
        .await?;
    match found {
        Some((_, value)) if value != wanted => session.execute(format!("SET SESSION {variable} = {wanted}")).await.map(drop),
        _ => Ok(()),
    }
}

/// Runs one statement, however long it takes; what waits for a lock is tried again.
pub(super) async fn statement(session: &mut Session, text: &[u8]) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let running = session.within(STATEMENT_LIMIT, "a change of definitions", async |conn| {
            conn.query_drop(text).await
        });
        match running.await {
            Err(error) if error.is_lock_conflict() && tries < LOCK_TRIES => {}
            outcome => return outcome,
        }
    }
}

/// Takes the job's user lock; whoever of an older owner still holds it is ended.
pub(super) async fn lock(session: &mut Session, control: &mut Session, job: &JobId) -> Result<(), Error> {
    let name = quote::text(&hex256(format!("ddl\n{job}").as_bytes())[..60]);
    let deadline = Instant::now() + CLEAR_LIMIT;
    loop {
        let taken: Option<Option<i64>> = session.first(format!("SELECT GET_LOCK({name}, 0)")).await?;
        if taken.flatten() == Some(1) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut {
                address: session.address().into(),
                operation: "end the definition change of the earlier owner",
                limit: CLEAR_LIMIT,
            });
        }
        let holder: Option<Option<u64>> = control.first(format!("SELECT IS_USED_LOCK({name})")).await?;
        if let Some(conn_id) = holder.flatten() {
            crate::mysql::target::fence::kill(control, conn_id).await?;
        }
        sleep(CLEAR_PAUSE).await;
    }
}

/// Sets the session up as the source's was; the next text is read in its character set.
pub(super) async fn become_source(session: &mut Session, source: &DdlSession) -> Result<(), Error> {
    if !source.default_schema.is_empty() {
        let found: Option<u32> = session
            .first(format!(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name = {}",
                quote::text(&source.default_schema)
            ))
            .await?;
        // A schema that only the source has is not named in a statement about tables of another.
        if found.is_some() {
            session
                .execute(format!("USE {}", quote::identifier(&source.default_schema)))
                .await?;
        }
    }
    if let Some(collation) = source.utf8mb4_collation {
        let other: Option<String> = session
            .first(format!(
                "SELECT collation_name FROM information_schema.collations WHERE id = {collation} \
                 AND collation_name <> @@default_collation_for_utf8mb4"
            ))
            .await?;
        if let Some(other) = other {
            session
                .execute(format!("SET SESSION default_collation_for_utf8mb4 = {}", quote::text(&other)))
                .await?;
        }
    }
    session.execute(settings(source)).await.map(drop)
}

fn settings(source: &DdlSession) -> String {
    let (seconds, fraction) = (source.timestamp_us / 1_000_000, source.timestamp_us % 1_000_000);
    let mut settings = vec![
        format!("SESSION timestamp = {seconds}.{fraction:06}"),
        format!("SESSION sql_mode = {}", source.sql_mode & MODE_BITS),
    ];
    if let Some(zone) = &source.time_zone {
        settings.push(format!("SESSION time_zone = {}", quote::text(zone)));
    }
    if let Some([client, connection, server]) = source.collations {
        settings.push(format!("SESSION collation_connection = {connection}"));
        settings.push(format!("SESSION collation_server = {server}"));
        settings.push(format!("SESSION character_set_client = {client}"));
    }
    format!("SET {}", settings.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_newer_servers_do_not_know_are_left_out() {
        let no_auto_create_user = 1 << 28;
        let source = DdlSession {
            sql_mode: no_auto_create_user | 1 << 20 | 1 << 32 | 4,
            timestamp_us: 1_700_000_000_000_042,
            collations: Some([28, 28, 255]),
            ..DdlSession::default()
        };
        let text = settings(&source);
        assert!(text.contains(&format!("sql_mode = {}", 1u64 << 20 | 1 << 32 | 4)), "{text}");
        assert!(text.contains("timestamp = 1700000000.000042"), "{text}");
        assert!(text.ends_with("character_set_client = 28"), "{text}");
    }
}
