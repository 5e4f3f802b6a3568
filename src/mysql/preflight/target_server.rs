//! The target's server: whether it may be written, who else writes it, and what a failure of it would cost.

use crate::core::finding::{Finding, Severity};
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::preflight::settings::{global, global_number};
use crate::mysql::preflight::source_tables::list;
use crate::mysql::quote;
use crate::mysql::session::Session;

/// The server takes writes.
pub(super) async fn check_writable(session: &mut Session) -> Result<Finding, Error> {
    let flags = session
        .first::<(bool, bool)>("SELECT @@GLOBAL.read_only, @@GLOBAL.super_read_only")
        .await?;
    let object = "target";
    let found = match flags {
        Some((false, false)) => return Ok(Finding::ok("PEER1363", object, "writable")),
        Some((_, true)) => "super_read_only = ON",
        _ => "read_only = ON",
    };
    let fix = "SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF; -- or point the endpoint at the writable server";
    Ok(Finding::bad(
        Severity::Fail,
        "PEER1363",
        object,
        found,
        "read_only = OFF",
        fix,
    ))
}

/// What is committed survives a crash of the server; else a job finds its progress older than what it told the source.
pub(super) async fn check_durability(session: &mut Session) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for name in ["innodb_flush_log_at_trx_commit", "sync_binlog"] {
        let found = global_number(session, name).await?.unwrap_or(1);
        let object = format!("{name} of the target");
        findings.push(if found == 1 {
            Finding::ok("PEER1814", object, "1")
        } else {
            Finding::bad(
                Severity::Warn,
                "PEER1814",
                object,
                found.to_string(),
                "1: a crash of the server may lose committed transactions otherwise",
                format!("SET PERSIST {name} = 1"),
            )
        });
    }
    Ok(findings)
}

/// A replica writes what its own source tells it, beside the job.
pub(super) async fn check_replica(session: &mut Session, grants: &Grants) -> Result<Finding, Error> {
    let object = "replication on the target";
    // Not SHOW REPLICA STATUS: each of its sixty columns would leave a buffer with the driver, which later grows to the size of the
    // largest statements (some 60 MiB in all, measured with 1 MiB statements, 2026-11-21).
    let rows = session.rows::<mysql_async::Row>("SHOW PROCESSLIST").await?;
    let is_replica = |row: &&mysql_async::Row| row.get::<Option<String>, _>("User").flatten().as_deref() == Some("system user");
    let threads = rows.iter().filter(is_replica).count();
    if threads > 0 {
        return Ok(Finding::bad(
            Severity::Warn,
            "PEER1815",
            object,
            format!("it replicates from another server, with {threads} threads"),
            "one writer of each table: rows of both may clash",
            "STOP REPLICA; -- or point the endpoint at the server it follows, see SHOW REPLICA STATUS",
        ));
    }
    let found = if grants.has_global("PROCESS") {
        "none runs"
    } else {
        "none that this account may see (PROCESS)"
    };
    Ok(Finding::ok("PEER1815", object, found))
}

/// Replicas of the target, and jobs that go on from it, live from its binlog.
pub(super) async fn check_own_binlog(session: &mut Session) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (name, fix) in [
        ("log_bin", "start the server with log_bin = ON"),
        (
            "gtid_mode",
            "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE; SET PERSIST gtid_mode = \
             ON_PERMISSIVE; SET PERSIST gtid_mode = ON",
        ),
    ] {
        let found = global(session, name).await?.unwrap_or_default();
        let object = format!("{name} of the target");
        findings.push(if found == "ON" {
            Finding::ok("PEER1816", object, found)
        } else {
            let expected = "ON: without it no replica and no job can follow the target, nor the source after a switch";
            Finding::bad(Severity::Warn, "PEER1816", object, found, expected, fix)
        });
    }
    Ok(findings)
}

/// Events of the target's schemas write beside the job.
pub(super) async fn check_events(session: &mut Session, schemas: &[&str]) -> Result<Vec<Finding>, Error> {
    let object = "events of the target";
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let quoted: Vec<String> = schemas.iter().map(|schema| quote::text(schema)).collect();
    let sql = format!(
        "SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE STATUS = 'ENABLED' AND EVENT_SCHEMA IN ({})",
        quoted.join(", ")
    );
    let events = session.rows::<(String, String)>(sql).await?;
    if events.is_empty() {
        return Ok(vec![Finding::ok("PEER1813", object, "none is enabled")]);
    }
    let scheduler = global(session, "event_scheduler").await?.unwrap_or_default();
    let names: Vec<String> = events.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
    let found = format!("{} enabled, event_scheduler = {scheduler}", list(&names));
    let fix: Vec<String> = events
        .iter()
        .map(|(schema, name)| format!("ALTER EVENT {} DISABLE", quote::qualified(schema, name)))
        .collect();
    let expected = "none: what they write clashes with what the source's write";
    Ok(vec![Finding::bad(
        Severity::Warn,
        "PEER1813",
        object,
        found,
        expected,
        fix.join("; "),
    )])
}
