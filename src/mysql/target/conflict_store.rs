//! The table `conflict` of the meta schema: what did not fit, what was decided, what was passed over.
//!
//! `replay` writes records in the transaction that carries the decision, `writer` what becomes of them in the group that passes
//! them; `read` is for anybody who reaches the target. Holds the newest records of a job; the numbers tell how many there were.

use crate::core::conflict::{CONFLICTS_KEPT, Conflict, ConflictList, Image, Incoming};
use crate::core::gtid_set::Gtid;
use crate::core::ids::{JobId, Seq};
use crate::core::skip::Skip;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::meta::{Meta, job_values, of_job};

/// Decision of a record of a transaction that waits for a person.
pub(super) const PAUSED: &str = "paused";

/// What the owner of a job must know of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Number of the last record.
    pub last: u64,
    /// Transactions that paused the job and were not passed yet, with their number of records; the empty text is the copy.
    pub paused: Vec<(String, u64)>,
}

/// Looks at the records of a job.
pub(super) async fn standing(session: &mut Session, meta: &Meta, job: &JobId) -> Result<Standing, Error> {
    let table = meta.table("conflict");
    let last = session
        .first::<u64>(format!(
            "SELECT CAST(COALESCE(MAX(number), 0) AS UNSIGNED) FROM {table} WHERE {}",
            of_job(job)
        ))
        .await?;
    let sql = format!(
        "SELECT gtid, COUNT(*) FROM {table} WHERE {} AND decision = '{PAUSED}' GROUP BY gtid",
        of_job(job)
    );
    Ok(Standing {
        last: last.unwrap_or(0),
        paused: session.rows(sql).await?,
    })
}

/// Writes a record; `seq` is the group it belongs to.
pub(super) fn record_statement(meta: &Meta, job: &JobId, seq: Seq, conflict: &Conflict) -> String {
    let json = |value: serde_json::Result<String>| quote::text(&value.expect("images hold only JSON values"));
    format!(
        "INSERT INTO {} (job, inc, seq, number, schema_name, table_name, kind, incoming, found, at, gtid, binlog_file, binlog_pos, \
         row_key, decision, author, reason) VALUES ({}, {seq}, {}, {}, {}, '{}', {}, {}, NOW(6), {}, {}, {}, {}, '{}', {}, {})",
        meta.table("conflict"),
        job_values(job),
        conflict.number,
        quote::text(&conflict.schema),
        quote::text(&conflict.table),
        conflict.kind,
        json(serde_json::to_string(&conflict.incoming)),
        json(serde_json::to_string(&conflict.found)),
        quote::text(&conflict.gtid),
        quote::text(&conflict.binlog_file),
        conflict.binlog_pos,
        quote::text(&conflict.key),
        conflict.decision,
        quote::text(&conflict.author),
        quote::text(&conflict.reason),
    )
}

/// Forgets what paused at this transaction: it is tried again and told anew.
pub(super) fn forget_paused_statement(meta: &Meta, job: &JobId, gtid: &str) -> String {
    format!(
        "DELETE FROM {} WHERE {} AND gtid = {} AND decision = '{PAUSED}'",
        meta.table("conflict"),
        of_job(job),
        quote::text(gtid)
    )
}

/// Forgets the records before the newest ones.
pub(super) fn prune_statement(meta: &Meta, job: &JobId, last: u64) -> String {
    format!(
        "DELETE FROM {} WHERE {} AND number <= {}",
        meta.table("conflict"),
        of_job(job),
        last.saturating_sub(CONFLICTS_KEPT)
    )
}

/// What paused at this transaction fitted when it was tried again.
pub(super) fn mended_statement(meta: &Meta, job: &JobId, gtid: &str) -> String {
    format!(
        "UPDATE {} SET decision = 'mended' WHERE {} AND gtid = {} AND decision = '{PAUSED}'",
        meta.table("conflict"),
        of_job(job),
        quote::text(gtid)
    )
}

/// What paused at this transaction was passed over.
pub(super) fn skipped_statement(meta: &Meta, job: &JobId, gtid: &str, skip: &Skip) -> String {
    format!(
        "UPDATE {} SET decision = 'skipped', at = NOW(6), author = {}, reason = {} WHERE {} AND gtid = {} AND decision = '{PAUSED}'",
        meta.table("conflict"),
        quote::text(&skip.author),
        quote::text(&skip.reason),
        of_job(job),
        quote::text(gtid)
    )
}

/// The record of a transaction that was passed over without a conflict before.
pub(super) fn skip_record(number: u64, gtid: &Gtid, skip: &Skip) -> Conflict {
    Conflict {
        number,
        kind: "skip".into(),
        gtid: gtid.to_string(),
        decision: "skipped".into(),
        author: skip.author.clone(),
        reason: skip.reason.clone(),
        ..Conflict::default()
    }
}

/// The records of a job, newest first.
pub async fn read(session: &mut Session, meta: &Meta, job: &JobId) -> Result<ConflictList, Error> {
    let table = meta.table("conflict");
    if !has_columns(session, meta).await? {
        return Ok(ConflictList::default());
    }
    type Head = (u64, String, String, String, String, String);
    type Tail = (String, String, u64, String, String, String);
    let sql = |columns: &str| {
        format!(
            "SELECT {columns} FROM {table} WHERE {} ORDER BY number DESC, seq DESC",
            of_job(job)
        )
    };
    session.execute("SET SESSION time_zone = '+00:00'").await?;
    session
        .execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        .await?;
    let heads: Vec<Head> = session
        .rows(sql(
            "number, DATE_FORMAT(at, '%Y-%m-%dT%H:%i:%s.%fZ'), schema_name, table_name, kind, row_key",
        ))
        .await?;
    let tails: Vec<Tail> = session
        .rows(sql("gtid, binlog_file, binlog_pos, decision, author, reason"))
        .await?;
    let images: Vec<(String, String)> = session.rows(sql("incoming, found")).await?;
    session.execute("COMMIT").await?;
    let mut list = ConflictList::default();
    for ((head, tail), (incoming, found)) in heads.into_iter().zip(tails).zip(images) {
        let incoming: Incoming = parse(session, &incoming)?;
        let found: Vec<Image> = parse(session, &found)?;
        list.conflicts.push(Conflict {
            number: head.0,
            at: head.1,
            schema: head.2,
            table: head.3,
            kind: head.4,
            key: head.5,
            gtid: tail.0,
            binlog_file: tail.1,
            binlog_pos: tail.2,
            incoming,
            found,
            decision: tail.3,
            author: tail.4,
            reason: tail.5,
        });
    }
    list.total = list.conflicts.first().map_or(0, |newest| newest.number);
    list.pruned = list.total.saturating_sub(list.conflicts.len() as u64);
    Ok(list)
}

fn parse<T: serde::de::DeserializeOwned>(session: &Session, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| session.unexpected(error.to_string(), "an image as JSON in conflict"))
}

/// The table has the form of this version.
async fn has_columns(session: &mut Session, meta: &Meta) -> Result<bool, Error> {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = {} AND table_name = 'conflict' AND column_name = 'decision'",
        quote::text(meta.schema())
    );
    Ok(session.first::<u64>(sql).await?.unwrap_or(0) > 0)
}

/// Gives a table that an earlier version made the columns it lacks.
pub(super) async fn ensure_columns(session: &mut Session, meta: &Meta) -> Result<(), Error> {
    if has_columns(session, meta).await? {
        return Ok(());
    }
    let columns = COLUMNS.map(|column| format!("ADD COLUMN {column}"));
    let sql = format!("ALTER TABLE {} {}", meta.table("conflict"), columns.join(", "));
    match session.execute(sql).await {
        // Another owner was faster.
        Err(error) if error.server_code() == Some(1060) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// What the first version of the table did not have.
pub(super) const COLUMNS: [&str; 8] = [
    "at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)",
    "gtid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''",
    "binlog_file VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ''",
    "binlog_pos BIGINT UNSIGNED NOT NULL DEFAULT 0",
    "row_key VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ''",
    "decision VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''",
    "author VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ''",
    "reason VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ''",
];
