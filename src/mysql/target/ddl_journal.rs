//! The journal of definition changes in the target: what was begun, and how to tell later whether it was done (PROTOCOLS 5).
//!
//! Used by `ddl`. A statement that gives a table another definition is told by a fingerprint from before; one that renames tables
//! renames a marker along in the same atomic statement, because names that are exchanged may look the same afterwards.

use crate::core::ddl::{Ddl, DdlStep};
use crate::core::gtid_set::Gtid;
use crate::core::ids::{JobId, Seq};
use crate::core::shape::{TableName, TableShape};
use crate::core::stable_hash::hex256;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::create::without_counter;
use crate::mysql::target::meta::{Meta, job_values, of_job};

/// Begins `after_hash` of an intent that waits for a person; the number of restarts that were asked for until then follows.
const ASKED: &str = "asked ";
/// The table is not there.
const MISSING: u16 = 1146;

/// A change that was begun and not marked done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Number of the group that wrote it.
    pub seq: Seq,
    /// Its transaction.
    pub gtid: String,
    /// Its statement, for people.
    pub statement: String,
    /// Fingerprint of the definition before; empty: there was nothing to compare.
    pub before: String,
    /// It waits for a restart after this one; None: nobody needs to be asked.
    pub asked: Option<u64>,
}

/// The change of this job that was begun and not marked done.
pub async fn pending(session: &mut Session, meta: &Meta, job: &JobId) -> Result<Option<Intent>, Error> {
    let sql = format!(
        "SELECT seq, gtid, statement, before_hash, after_hash FROM {} WHERE {} AND state = 'intent' ORDER BY seq DESC LIMIT 1",
        meta.table("ddl"),
        of_job(job)
    );
    let row: Option<(u64, String, String, String, String)> = session.first(sql).await?;
    Ok(row.map(|(seq, gtid, statement, before, asked)| Intent {
        seq: Seq(seq),
        gtid,
        statement,
        before,
        asked: asked.strip_prefix(ASKED).and_then(|count| count.parse().ok()),
    }))
}

/// Writes an intent; for the transaction of group `seq`. `asked`: it waits for a restart after this one.
#[must_use]
pub fn intent_statement(meta: &Meta, job: &JobId, seq: Seq, ddl: &Ddl, before: &str, asked: Option<u64>) -> String {
    let asked = asked.map_or_else(String::new, |restarts| format!("{ASKED}{restarts}"));
    format!(
        "INSERT INTO {} (job, inc, seq, gtid, statement, state, before_hash, after_hash) VALUES ({}, {seq}, {}, {}, 'intent', {}, '{asked}')",
        meta.table("ddl"),
        job_values(job),
        quote::text(&ddl.gtid.to_string()),
        quote::text(&String::from_utf8_lossy(&ddl.statement)),
        quote::text(before)
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

/// The definition of the table a statement is about, without the counter of its rows; empty when no step needs it.
pub async fn fingerprint(session: &mut Session, ddl: &Ddl, shapes: &[TableShape]) -> Result<String, Error> {
    let Some(DdlStep::Execute { table }) = ddl.steps.first() else {
        return Ok(String::new());
    };
    let known = shapes.iter().find(|shape| shape.name == *table);
    let table = known.map_or_else(|| table.clone(), |shape| shape.on_target().name.clone());
    let definition = match session
        .first::<(String, String)>(format!("SHOW CREATE TABLE {}", quote::table(&table)))
        .await
    {
        Ok(row) => row.map(|(_, definition)| without_counter(&definition)).unwrap_or_default(),
        Err(error) if error.server_code() == Some(MISSING) => "missing".into(),
        Err(error) => return Err(error),
    };
    Ok(hex256(definition.as_bytes())[..60].to_owned())
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
