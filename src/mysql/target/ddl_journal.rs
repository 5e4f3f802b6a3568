//! The journal of definition changes in the target: what was begun, and how to tell later whether it was done (PROTOCOLS 5).
//!
//! Used by `ddl`. A statement that gives a table another definition is told by the hashes of the definitions before and after
//! (`core::ddl_takeover`); one that renames tables renames a marker along in the same atomic statement, because names that are exchanged
//! may look the same afterwards.

use crate::core::ddl::Ddl;
use crate::core::ddl_takeover::Attempt;
use crate::core::gtid_set::Gtid;
use crate::core::ids::{JobId, Seq};
use crate::core::shape::TableName;
use crate::core::stable_hash::hex256;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::meta::{Meta, job_values, of_job};

/// Begins `after_hash` of an intent that waits for a person; the number of restarts that were asked for until then follows.
const ASKED: &str = "asked ";
/// The `after_hash` of an intent that the target answered with an error.
const REFUSED: &str = "refused";

/// A change that was begun and not marked done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Number of the group that wrote it.
    pub seq: Seq,
    /// Its transaction.
    pub gtid: String,
    /// Its statement, for people.
    pub statement: String,
    /// How far it came.
    pub attempt: Attempt,
}

/// The change of this job that was begun and not marked done.
pub async fn pending(session: &mut Session, meta: &Meta, job: &JobId) -> Result<Option<Intent>, Error> {
    let sql = format!(
        "SELECT seq, gtid, statement, before_hash, after_hash FROM {} WHERE {} AND state = 'intent' ORDER BY seq DESC LIMIT 1",
        meta.table("ddl"),
        of_job(job)
    );
    let row: Option<(u64, String, String, String, String)> = session.first(sql).await?;
    Ok(row.map(|(seq, gtid, statement, before, after)| Intent {
        seq: Seq(seq),
        gtid,
        statement,
        attempt: attempt(before, after),
    }))
}

/// What the two hashes of a row stand for.
fn attempt(before: String, after: String) -> Attempt {
    let restarts = after.strip_prefix(ASKED).and_then(|count| count.parse().ok());
    match restarts {
        Some(restarts) => Attempt::Asked { restarts, before },
        None if after == REFUSED => Attempt::Refused { before },
        None => Attempt::Begun {
            before,
            after: Some(after).filter(|after| !after.is_empty()),
        },
    }
}

fn hashes(attempt: &Attempt) -> (&str, String) {
    match attempt {
        Attempt::None => ("", String::new()),
        Attempt::Asked { restarts, before } => (before, format!("{ASKED}{restarts}")),
        Attempt::Begun { before, after } => (before, after.clone().unwrap_or_default()),
        Attempt::Refused { before } => (before, REFUSED.to_owned()),
    }
}

/// Writes an intent in place of what is there; for the transaction of group `seq`.
#[must_use]
pub fn intent_statements(meta: &Meta, job: &JobId, seq: Seq, ddl: &Ddl, attempt: &Attempt) -> [String; 2] {
    let (before, after) = hashes(attempt);
    [
        format!("DELETE FROM {} WHERE {} AND state = 'intent'", meta.table("ddl"), of_job(job)),
        format!(
            "INSERT INTO {} (job, inc, seq, gtid, statement, state, before_hash, after_hash) \
             VALUES ({}, {seq}, {}, {}, 'intent', {}, {})",
            meta.table("ddl"),
            job_values(job),
            quote::text(&ddl.gtid.to_string()),
            quote::text(&String::from_utf8_lossy(&ddl.statement)),
            quote::text(before),
            quote::text(&after)
        ),
    ]
}

/// Notes that the target refused the intent of group `seq`.
#[must_use]
pub fn refused_statement(meta: &Meta, job: &JobId, seq: Seq) -> String {
    format!(
        "UPDATE {} SET after_hash = '{REFUSED}' WHERE {} AND seq = {seq} AND state = 'intent'",
        meta.table("ddl"),
        of_job(job)
    )
}

/// Marks the intent of group `seq` done and forgets all but it: for the transaction of the group that holds the new shapes.
#[must_use]
pub fn done_statements(meta: &Meta, job: &JobId, seq: Seq, gtid: &Gtid) -> [String; 2] {
    let (table, of_job) = (meta.table("ddl"), of_job(job));
    [
        format!("DELETE FROM {table} WHERE {of_job} AND seq < {seq}"),
        format!(
            "UPDATE {table} SET state = 'done' WHERE {of_job} AND seq = {seq} AND gtid = {}",
            quote::text(&gtid.to_string())
        ),
    ]
}

/// The marker of a job before and after its renames.
#[derive(Clone, Debug)]
pub struct Marker {
    meta: Meta,
    before: String,
    after: String,
}

impl Marker {
    /// Names the marker of a job.
    #[must_use]
    pub fn of(meta: &Meta, job: &JobId) -> Self {
        let hash = hex256(job.to_string().as_bytes());
        let name = |state: &str| format!("ddl_{state}_{}", &hash[..24]);
        Self {
            meta: meta.clone(),
            before: name("begun"),
            after: name("renamed"),
        }
    }

    /// Lays it out, whatever was left.
    pub async fn lay_out(&self, session: &mut Session) -> Result<(), Error> {
        self.remove(session).await?;
        let sql = format!(
            "CREATE TABLE {} (one INT PRIMARY KEY) ENGINE=InnoDB",
            self.meta.table(&self.before)
        );
        session.execute(sql).await.map(drop)
    }

    /// The statement was executed.
    pub async fn is_renamed(&self, session: &mut Session) -> Result<bool, Error> {
        let sql = format!(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = {} AND table_name = {}",
            quote::text(self.meta.schema()),
            quote::text(&self.after)
        );
        Ok(session.first::<u32>(sql).await?.is_some())
    }

    /// One atomic statement for the pairs and the marker.
    #[must_use]
    pub fn rename_statement(&self, pairs: &[(TableName, TableName)]) -> String {
        let pairs = pairs.iter().map(|(from, to)| (quote::table(from), quote::table(to)));
        let marker = (self.meta.table(&self.before), self.meta.table(&self.after));
        let all: Vec<String> = pairs.chain([marker]).map(|(from, to)| format!("{from} TO {to}")).collect();
        format!("RENAME TABLE {}", all.join(", "))
    }

    /// Takes it away.
    pub async fn remove(&self, session: &mut Session) -> Result<(), Error> {
        let (before, after) = (self.meta.table(&self.before), self.meta.table(&self.after));
        session
            .execute(format!("DROP TABLE IF EXISTS {before}, {after}"))
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_comes_back_from_its_row() {
        let before = || "b".to_owned();
        let begun = |after: Option<&str>| Attempt::Begun {
            before: before(),
            after: after.map(str::to_owned),
        };
        let asked = Attempt::Asked {
            restarts: 3,
            before: before(),
        };
        for one in [begun(None), begun(Some("0af")), asked, Attempt::Refused { before: before() }] {
            let (before, after) = hashes(&one);
            assert_eq!(attempt(before.to_owned(), after), one);
        }
    }
}
