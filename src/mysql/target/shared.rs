//! Tables of the target into which several tables of sources go: of one job, or of several jobs of this schema of peer's tables.
//!
//! Asked by `writer` when a job starts, and before anything that would take all rows of a table away. What stands in `peer_meta.shape`
//! is believed; a job that keeps its tables in another schema is not seen.

use crate::core::ddl::Ddl;
use crate::core::ids::JobId;
use crate::core::shape::{TableName, TableShape};
use crate::core::table_merge::{Rows, may_clash};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::meta::Meta;

/// A table that goes into one of the target.
#[derive(Debug)]
pub(super) struct Writer {
    /// `table s.t of this job`, `table s.t of job x`.
    pub who: String,
    /// It belongs to another job.
    pub is_foreign: bool,
    shape: TableShape,
}

/// The other tables that go into this one of the target. `shapes` are those of the job.
pub(super) async fn others(
    session: &mut Session,
    meta: &Meta,
    job: &JobId,
    shapes: &[TableShape],
    table: &TableShape,
) -> Result<Vec<Writer>, Error> {
    let target = folded(&table.on_target().name);
    let is_it = |shape: &TableShape| folded(&shape.on_target().name) == target;
    let own = shapes.iter().filter(|shape| shape.name != table.name && is_it(shape));
    let mut writers: Vec<Writer> = own
        .map(|shape| Writer {
            who: format!("table {} of this job", shape.name),
            is_foreign: false,
            shape: shape.clone(),
        })
        .collect();
    let sql = format!(
        "SELECT job, definition FROM {} WHERE job <> {} ORDER BY job, ordinal",
        meta.table("shape"),
        quote::text(&job.name.0)
    );
    for (job, text) in session.rows::<(String, String)>(sql).await? {
        // Another build's shape that cannot be read is not this job's to judge.
        let Ok(shape) = serde_json::from_str::<TableShape>(&text) else {
            continue;
        };
        if is_it(&shape) {
            writers.push(Writer {
                who: format!("table {} of job {job}", shape.name),
                is_foreign: true,
                shape,
            });
        }
    }
    Ok(writers)
}

/// Refuses a table of another job's, unless keys cannot clash or a person says so.
pub(super) fn check(table: &TableShape, others: &[Writer]) -> Result<(), Error> {
    let is_merged = table.map.as_ref().is_some_and(|map| map.merge);
    let target = table.on_target();
    let (rows, key) = (Rows::of_shape(table), target.key_names());
    let is_apart = |other: &&Writer| !may_clash(is_merged, &rows, Some(&key), &Rows::of_shape(&other.shape));
    let Some(other) = others.iter().find(|other| !is_apart(other)) else {
        return Ok(());
    };
    Err(Error::Unsuitable {
        object: format!("table {} of the target", target.name),
        found: format!("{} goes into it too", other.who),
        expected: format!("nothing but table {}: keys could clash", table.name),
        fix: "give the table another name with `to`, bound its key by `where` in both jobs, or write merge = true in its [[tables]] when \
              you know that no key is in both"
            .into(),
    })
}

/// A statement that would take the others' rows along.
pub(super) fn whole_table(ddl: &Ddl, table: &TableShape, other: &Writer) -> Error {
    let target = table.on_target().name.clone();
    Error::NotReplicable {
        gtid: ddl.gtid.to_string(),
        found: format!("`{}`, while {} goes into {target} too", ddl.excerpt(), other.who),
        expected: "a table of its own for what is dropped, emptied, renamed or replaced as a whole".into(),
        fix: format!(
            "delete the rows of {} from {target} by hand and pass the statement over with on_ddl = {{ {} = \"skip\" }}, where that is possible; \
             else purge the job and submit it again",
            table.name,
            ddl.kind.word()
        ),
    }
}

/// The copy of a table cannot begin anew while others have rows in it.
pub(super) fn no_reset(table: &TableShape, other: &Writer) -> Error {
    let target = table.on_target().name.clone();
    Error::Unsuitable {
        object: format!("table {target} of the target"),
        found: format!(
            "rows of others, {} goes into it too, while the copy of {} must begin anew",
            other.who, table.name
        ),
        expected: "a table of its own, or a copy that need not begin anew: a table without a key is copied in one go".into(),
        fix: format!(
            "delete the rows of {} from {target} by hand, purge the job and submit it again",
            table.name
        ),
    }
}

fn folded(name: &TableName) -> String {
    name.to_string().to_lowercase()
}
