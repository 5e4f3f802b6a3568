//! How much a copy would read: tables without a key that do not fit one piece, and old versions of rows that slow every read down.
//!
//! Free disk is not among it: no server tells it over SQL.

use std::collections::BTreeMap;

use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::{JobSpec, StartPoint};
use crate::core::row_bag::KEYLESS_READ_MAX;
use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::preflight::source_tables::{Tables, list, schema_list};
use crate::mysql::quote;
use crate::mysql::session::Session;

/// Versions that are not purged, as transactions. MySQL's own default warnings (`innodb_max_purge_lag` is off) give none; a server at
/// rest has less than a thousand, a million is what one forgotten transaction leaves within an hour or so. Guess.
const HISTORY_MAX: u64 = 1_000_000;

/// The job reads whole tables.
fn is_copy(spec: &JobSpec) -> bool {
    matches!(spec.source.start, StartPoint::Snapshot | StartPoint::SnapshotOnly)
}

/// Bytes of rows as the server estimates them.
pub(super) async fn table_bytes(session: &mut Session, tables: &[TableName]) -> Result<u64, Error> {
    Ok(sizes(session, tables).await?.values().sum())
}

async fn sizes(session: &mut Session, tables: &[TableName]) -> Result<BTreeMap<TableName, u64>, Error> {
    let Some(schemas) = schema_list(tables) else {
        return Ok(BTreeMap::new());
    };
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COALESCE(DATA_LENGTH, 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ({schemas})"
    );
    let sizes = session.rows::<(String, String, u64)>(sql).await?;
    let sizes = sizes
        .into_iter()
        .map(|(schema, table, bytes)| (TableName { schema, table }, bytes));
    Ok(sizes.filter(|(name, _)| tables.contains(name)).collect())
}

/// A table without a key is copied in one piece, which a peer holds in memory.
pub(super) async fn check_keyless(session: &mut Session, spec: &JobSpec, found: &Tables) -> Result<Finding, Error> {
    let object = "size of tables without a key";
    let keyless = found.usable.iter().filter(|table| !table.has_key);
    let keyless: Vec<TableName> = keyless.map(|table| table.source.clone()).collect();
    if keyless.is_empty() || !is_copy(spec) {
        return Ok(Finding::ok("PEER1834", object, "none is copied"));
    }
    let mut large = sizes(session, &keyless).await?;
    large.retain(|_, bytes| *bytes > KEYLESS_READ_MAX);
    if large.is_empty() {
        return Ok(Finding::ok("PEER1834", object, "each fits one piece"));
    }
    let texts: Vec<String> = large
        .iter()
        .map(|(name, bytes)| format!("{name} of some {} MiB", bytes >> 20))
        .collect();
    let fix = large.keys().map(|name| {
        format!(
            "ALTER TABLE {} ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
            quote::table(name)
        )
    });
    Ok(Finding::bad(
        Severity::Warn,
        "PEER1834",
        object,
        list(&texts),
        format!(
            "at most {} MiB of rows: the copy of a larger one ends the job, as there is no key to cut it by",
            KEYLESS_READ_MAX >> 20
        ),
        format!("{}; -- or take fewer rows with `where`", fix.collect::<Vec<_>>().join("; ")),
    ))
}

/// Old versions that a transaction keeps from being purged: every piece of a copy reads past them.
pub(super) async fn check_history(session: &mut Session, spec: &JobSpec, grants: &Grants) -> Result<Finding, Error> {
    if !grants.has_global("PROCESS") {
        return Ok(Finding::ok(
            "PEER1833",
            "history list of the source",
            "not for this account to see (PROCESS)",
        ));
    }
    let sql = "SELECT CAST(MAX(COUNT) AS UNSIGNED) FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'";
    let length = session.first::<Option<u64>>(sql).await?.flatten().unwrap_or(0);
    let sql = "SELECT CAST(trx_mysql_thread_id AS UNSIGNED) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id > 0 \
               ORDER BY trx_started LIMIT 1";
    let oldest = session.first::<u64>(sql).await?;
    Ok(judge_history(length, oldest, is_copy(spec)))
}

fn judge_history(length: u64, oldest: Option<u64>, is_copy: bool) -> Finding {
    let object = "history list of the source";
    let found = format!("{length} transactions to purge");
    if !is_copy || length < HISTORY_MAX {
        return Finding::ok("PEER1833", object, found);
    }
    let fix = match oldest {
        Some(thread) => format!("KILL {thread}; -- the session of the oldest transaction, see information_schema.INNODB_TRX"),
        None => "wait until the purge is through: no transaction is open; see SHOW ENGINE INNODB STATUS".to_owned(),
    };
    Finding::bad(
        Severity::Warn,
        "PEER1833",
        object,
        found,
        format!("fewer than {HISTORY_MAX}: the copy reads past old versions of rows, and takes longer"),
        fix,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_is_told_with_the_session_that_holds_it_and_only_before_a_copy() {
        let long = judge_history(HISTORY_MAX, Some(7), true);
        assert_eq!(long.severity, Severity::Warn);
        assert!(long.found.contains("1000000") && long.fix.starts_with("KILL 7;"), "{long:?}");
        assert_eq!(judge_history(HISTORY_MAX - 1, Some(7), true).severity, Severity::Ok);
        assert_eq!(judge_history(HISTORY_MAX, Some(7), false).severity, Severity::Ok);
        assert!(judge_history(HISTORY_MAX, None, true).fix.starts_with("wait"));
    }
}
