//! The tables of a job, found on its source: names by `core::table_choice`, definitions by `inspect`, their way by `core::table_map`.
//!
//! Used when a job starts (the outcome is kept in the target, so a resumed job goes on with the same tables), by preflight and
//! by `peer plan`. A table that comes later is looked up when it does.

use crate::core::fault::Faults;
use crate::core::job_spec::JobSpec;
use crate::core::shape::{TableName, TableShape};
use crate::core::table_choice::{self, Chosen, SYSTEM_SCHEMAS, choose, choose_one};
use crate::core::table_map::TableMap;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::{cascades, inspect};
use crate::mysql::target::meta::MARKS;

/// The tables a job chooses, by name. Asks the server only for jobs that do not name them all.
///
/// # Errors
/// The query failed; what is wrong with the choice itself is the inner result.
pub async fn chosen(session: &mut Session, spec: &JobSpec) -> Result<Result<Vec<Chosen>, Faults>, Error> {
    let is_exact = spec.selection.is_empty() && !spec.tables.is_empty();
    let found = if is_exact { Vec::new() } else { candidates(session).await? };
    Ok(choose(&spec.tables, &spec.selection, &found))
}

/// Tables that the job's rules would take if they did not look like those of an online schema change.
///
/// # Errors
/// The query failed.
pub async fn left_to_tools(session: &mut Session, spec: &JobSpec) -> Result<Vec<TableName>, Error> {
    let is_exact = spec.selection.is_empty() && !spec.tables.is_empty();
    let found = if is_exact { Vec::new() } else { candidates(session).await? };
    Ok(table_choice::left_to_tools(&spec.tables, &spec.selection, &found))
}

/// Their names on the source.
///
/// # Errors
/// As `chosen`; the first fault of the choice as `Unsuitable`.
pub async fn names(session: &mut Session, spec: &JobSpec) -> Result<Vec<TableName>, Error> {
    let chosen = chosen(session, spec).await?.map_err(first)?;
    Ok(chosen.into_iter().map(|table| table.name).collect())
}

/// The definition of one table that came into the job after it began, with its way to the target; None: it is not of the job.
///
/// # Errors
/// As `inspect::shapes`; the first fault of the choice as `Unsuitable`.
pub async fn one(session: &mut Session, spec: &JobSpec, name: &TableName) -> Result<Option<TableShape>, Error> {
    let Some(chosen) = choose_one(&spec.tables, &spec.selection, name) else {
        return Ok(None);
    };
    if is_of_peer(session, &name.schema).await? {
        return Ok(None);
    }
    let mut shapes = inspect::shapes(session, std::slice::from_ref(name)).await?;
    let Some(mut shape) = shapes.pop() else { return Ok(None) };
    let map = TableMap::of(&shape, &chosen, &spec.selection.skip);
    shape.map = map.map_err(|faults| first(Faults(faults)))?.map(Box::new);
    Ok(Some(shape))
}

/// The definitions of a job's tables, each with its way to the target.
///
/// # Errors
/// As `inspect::shapes`; what is wrong with the choice itself is the inner result, all of it.
pub async fn mapped(session: &mut Session, spec: &JobSpec) -> Result<Result<Vec<TableShape>, Faults>, Error> {
    let chosen = match chosen(session, spec).await? {
        Ok(chosen) => chosen,
        Err(faults) => return Ok(Err(faults)),
    };
    let names: Vec<TableName> = chosen.iter().map(|table| table.name.clone()).collect();
    let mut shapes = inspect::shapes(session, &names).await?;
    let mut all = Faults::default();
    for (shape, chosen) in shapes.iter_mut().zip(&chosen) {
        match TableMap::of(shape, chosen, &spec.selection.skip) {
            Ok(map) => shape.map = map.map(Box::new),
            Err(faults) => all.0.extend(faults),
        }
    }
    if all.0.is_empty() {
        cascades::check(session, &shapes, |name| names.contains(name)).await?;
    }
    Ok(all.or(shapes))
}

/// The tables of a job that goes on are still such that the target can do what the source's engine does and does not log.
///
/// # Errors
/// `Unsuitable` names the first foreign key of which that is not so.
pub async fn check_cascades(session: &mut Session, spec: &JobSpec, shapes: &[TableShape]) -> Result<(), Error> {
    let is_chosen = |name: &TableName| choose_one(&spec.tables, &spec.selection, name).is_some();
    cascades::check(session, shapes, is_chosen).await
}

/// The same for a job that starts.
///
/// # Errors
/// As `mapped`; the first fault of the choice as `Unsuitable`.
pub async fn resolved(session: &mut Session, spec: &JobSpec) -> Result<Vec<TableShape>, Error> {
    mapped(session, spec).await?.map_err(first)
}

/// Preflight shows all of them; here they are only met when the source changed since.
fn first(faults: Faults) -> Error {
    let fault = faults.0.into_iter().next();
    let fault = fault.expect("as an error it is never empty");
    Error::Unsuitable {
        object: fault.object,
        found: fault.found,
        expected: fault.expected,
        fix: fault.fix,
    }
}

/// The schema holds peer's own tables (PROTOCOLS 3).
async fn is_of_peer(session: &mut Session, schema: &str) -> Result<bool, Error> {
    let sql = format!(
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND {MARKS} LIMIT 1",
        quote::text(schema)
    );
    Ok(session.first::<u32>(sql).await?.is_some())
}

/// Every table that may be replicated: not the server's, and none of a schema that holds peer's own tables (PROTOCOLS 3).
async fn candidates(session: &mut Session) -> Result<Vec<TableName>, Error> {
    let system: Vec<String> = SYSTEM_SCHEMAS.iter().map(|schema| quote::text(schema)).collect();
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' \
         AND TABLE_SCHEMA NOT IN ({}) AND TABLE_SCHEMA NOT IN (SELECT TABLE_SCHEMA FROM information_schema.TABLES \
         WHERE {MARKS}) ORDER BY TABLE_SCHEMA, TABLE_NAME",
        system.join(", ")
    );
    let rows = session.rows::<(String, String)>(sql).await?;
    Ok(rows.into_iter().map(|(schema, table)| TableName { schema, table }).collect())
}
