//! The source's server beside its settings: its number, how long it keeps its binlog, whether the job can begin where it says,
//! and what stands in the way of a copy.

use crate::core::finding::{Finding, Severity};
use crate::core::gtid_set::GtidSet;
use crate::core::job_spec::{JobSpec, StartPoint};
use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::preflight::access::Check;
use crate::mysql::preflight::settings::{global, global_number};
use crate::mysql::preflight::source_sizes::table_bytes;
use crate::mysql::preflight::source_tables::list;
use crate::mysql::session::Session;

/// How long the binlog is kept.
pub(super) const RETENTION: Check = ("PEER1806", "binlog_expire_logs_seconds");
/// Where the job begins.
pub(super) const START: Check = ("PEER1807", "start of the job");
/// Transactions that are prepared and not ended.
pub(super) const PREPARED: Check = ("PEER1808", "prepared XA transactions of the source");

/// Bytes of a copy per second when nothing limits it. Guess, low: what two small servers and a link of 100 Mbit/s do.
const COPY_BYTES_PER_S: u64 = 10_000_000;
/// The binlog that any job should find after an outage, seconds: a night.
const RETENTION_MIN_S: u64 = 12 * 3600;

/// The server's own number.
pub(super) async fn check_server_id(session: &mut Session) -> Result<Finding, Error> {
    let object = "server_id of the source";
    Ok(match global_number(session, "server_id").await?.unwrap_or(0) {
        0 => Finding::bad(
            Severity::Fail,
            "PEER1804",
            object,
            "0",
            "a number of its own: with 0 it turns readers of its binlog away",
            "SET PERSIST server_id = 1001",
        ),
        own => Finding::ok("PEER1804", object, own.to_string()),
    })
}

/// Whether the binlog of the copy is still there when the copy is done.
pub(super) async fn check_retention(session: &mut Session, spec: &JobSpec, tables: &[TableName]) -> Result<Vec<Finding>, Error> {
    let object = RETENTION.1;
    let kept = global_number(session, object).await?.unwrap_or(0);
    let is_purging = global(session, "binlog_expire_logs_auto_purge").await?.as_deref() != Some("OFF");
    if kept == 0 || !is_purging {
        return Ok(vec![Finding::ok(
            RETENTION.0,
            object,
            "the binlog is kept until someone purges it",
        )]);
    }
    let bytes = match spec.source.start {
        StartPoint::Snapshot | StartPoint::SnapshotOnly => table_bytes(session, tables).await?,
        StartPoint::Now | StartPoint::Gtid(_) | StartPoint::File(_) => 0,
    };
    let wanted = wanted_seconds(bytes, spec.link.rate_bytes);
    let found = format!("{kept} s");
    if kept >= wanted {
        return Ok(vec![Finding::ok(RETENTION.0, object, found)]);
    }
    let copy = copy_seconds(bytes, spec.link.rate_bytes);
    Ok(vec![Finding::bad(
        Severity::Warn,
        RETENTION.0,
        object,
        found,
        format!(
            "{wanted} s or more: the copy of {} MB takes some {copy} s, and an outage its own time",
            bytes / 1_000_000
        ),
        format!("SET PERSIST binlog_expire_logs_seconds = {wanted}"),
    )])
}

/// Twice the copy, which slows the server down, and no less than a night.
fn wanted_seconds(bytes: u64, rate_bytes: u64) -> u64 {
    copy_seconds(bytes, rate_bytes).saturating_mul(2).max(RETENTION_MIN_S)
}

fn copy_seconds(bytes: u64, rate_bytes: u64) -> u64 {
    let rate = if rate_bytes == 0 {
        COPY_BYTES_PER_S
    } else {
        rate_bytes.min(COPY_BYTES_PER_S)
    };
    bytes / rate
}

/// The binlog from the start of the job on must be there.
pub(super) async fn check_start(session: &mut Session, spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let object = START.1;
    match &spec.source.start {
        StartPoint::Snapshot | StartPoint::SnapshotOnly => Ok(vec![Finding::ok(START.0, object, "a copy")]),
        StartPoint::Now => Ok(vec![Finding::ok(START.0, object, "the present")]),
        StartPoint::Gtid(set) => Ok(vec![check_set(session, object, set).await?]),
        StartPoint::File(position) => {
            let files = session.rows::<mysql_async::Row>("SHOW BINARY LOGS").await?;
            let files: Vec<(String, u64)> = files.iter().filter_map(|row| Some((row.get(0)?, row.get(1)?))).collect();
            let file = files.iter().find(|(name, _)| *name == position.file);
            if file.is_some_and(|(_, size)| position.offset <= *size) {
                return Ok(vec![Finding::ok(
                    START.0,
                    object,
                    format!("{}:{}", position.file, position.offset),
                )]);
            }
            let found = match file {
                Some((name, size)) => format!("{name} ends at {size}, before {}", position.offset),
                None => format!("no file {}: it was purged, or never was", position.file),
            };
            let name = |file: Option<&(String, u64)>| file.map_or_else(String::new, |(name, _)| name.clone());
            Ok(vec![Finding::bad(
                Severity::Fail,
                START.0,
                object,
                found,
                format!("a position in {} to {}", name(files.first()), name(files.last())),
                "take one from SHOW BINLOG EVENTS, or start = \"snapshot\"",
            )])
        }
    }
}

async fn check_set(session: &mut Session, object: &str, set: &GtidSet) -> Result<Finding, Error> {
    let sql = format!("SELECT GTID_SUBTRACT('{set}', @@GLOBAL.gtid_executed), GTID_SUBTRACT(@@GLOBAL.gtid_purged, '{set}')");
    let (ahead, purged) = session.first::<(String, String)>(sql).await?.unwrap_or_default();
    if !ahead.is_empty() {
        return Ok(Finding::bad(
            Severity::Fail,
            START.0,
            object,
            format!("the server has not executed {ahead}"),
            "a part of what it has executed",
            "take the set from SELECT @@GLOBAL.gtid_executed at the time the target was made",
        ));
    }
    if !purged.is_empty() {
        return Ok(Finding::bad(
            Severity::Fail,
            START.0,
            object,
            format!("the binlog of {purged} is purged"),
            "the binlog of every transaction that is not on the target",
            "start = \"snapshot\": the rows must be copied",
        ));
    }
    Ok(Finding::ok(START.0, object, "everything from there on is in the binlog"))
}

/// A copy waits for the end of prepared transactions.
pub(super) async fn check_prepared(session: &mut Session) -> Result<Vec<Finding>, Error> {
    let object = PREPARED.1;
    let rows = session.rows::<mysql_async::Row>("XA RECOVER CONVERT XID").await?;
    if rows.is_empty() {
        return Ok(vec![Finding::ok(PREPARED.0, object, "none")]);
    }
    let xid = |row: &mysql_async::Row| Some(xid_literal(&row.get::<String, _>(3)?, row.get(1)?, row.get(0)?));
    let found: Vec<String> = rows.iter().filter_map(xid).collect();
    let fix: Vec<String> = found.iter().map(|xid| format!("XA ROLLBACK {xid}")).collect();
    Ok(vec![Finding::bad(
        Severity::Warn,
        PREPARED.0,
        object,
        list(&found),
        "none that stays for a minute: a job that begins waits for their end, then gives up",
        format!("{}; -- or XA COMMIT, as their manager knows", fix.join("; ")),
    )])
}

/// `X'global',X'branch',format` of the hex text that XA RECOVER CONVERT XID prints.
fn xid_literal(data: &str, global_bytes: usize, format: i64) -> String {
    let digits = data.trim_start_matches("0x");
    let (global, branch) = digits.split_at((global_bytes * 2).min(digits.len()));
    format!("X'{global}',X'{branch}',{format}")
}

/// The source is the target of a job: a chain, and a loop when that job begins at this one's target.
pub(super) async fn check_chain(session: &mut Session) -> Result<Vec<Finding>, Error> {
    let object = "tables of peer on the source";
    let schemas = session
        .rows::<String>(
            "SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME = 'fence' AND TABLE_COMMENT LIKE 'peer-meta v%'",
        )
        .await?;
    if schemas.is_empty() {
        return Ok(vec![Finding::ok("PEER1811", object, "none")]);
    }
    Ok(vec![Finding::bad(
        Severity::Warn,
        "PEER1811",
        object,
        format!("schema {}", list(&schemas)),
        "none: the source is a target itself, and a job back to it would go round for ever",
        "see `peer jobs`; leave tables that come back out of one of the two jobs",
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_reckoned_with_the_slower_of_link_and_servers() {
        let terabyte = 1_000_000_000_000;
        assert_eq!(wanted_seconds(1, 0), RETENTION_MIN_S);
        assert_eq!(wanted_seconds(terabyte, 0), 200_000);
        assert_eq!(wanted_seconds(terabyte, 1_000_000), 2_000_000);
        assert_eq!(wanted_seconds(terabyte, 1_000_000_000), 200_000);
    }

    #[test]
    fn a_transaction_is_named_as_xa_rollback_takes_it() {
        assert_eq!(xid_literal("0x6162FF", 2, 1), "X'6162',X'FF',1");
        assert_eq!(xid_literal("0x61", 1, 7), "X'61',X'',7");
    }
}
