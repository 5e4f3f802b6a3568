//! Looks up on the source what a change of definitions brings into the job: tables that were made, or renamed into it.
//!
//! Used by `merge_stage` before it emits the item. The table is taken as the source has it now, which may be later than the
//! statement: everything it has executed by then is noted, and of those transactions the next stream applies nothing to it.

use crate::core::ddl::{Ddl, DdlStep, Replacement};
use crate::core::job_spec::JobSpec;
use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::chunk_reader::check_server;
use crate::mysql::source::definition_hold::DefinitionHold;
use crate::mysql::source::heartbeat::beat;
use crate::mysql::source::{inspect, tables};

/// How often the server may be late with its own past, 10 s each (PROTOCOLS 1: a statement is in the stream before it is visible).
const WAITS_MAX: u32 = 6;

/// Completes the steps that replace a table.
///
/// # Errors
/// The source cannot be asked, is another server, or has the table in a form that cannot be replicated.
pub async fn complete(ddl: &mut Ddl, spec: &JobSpec, source_uuid: &str) -> Result<(), Error> {
    let is_to_look_up = |step: &DdlStep| matches!(step, DdlStep::Replace { .. });
    if !ddl.steps.iter().any(is_to_look_up) {
        return Ok(());
    }
    let mut session = Session::connect(&spec.source.endpoint).await?;
    check_server(session.address(), session.server_uuid(), source_uuid)?;
    wait_until_visible(&mut session, ddl).await?;
    let found = ddl.excerpt();
    for step in &mut ddl.steps {
        if let DdlStep::Replace { table, by } = step {
            let looked_up = look_up(&mut session, spec, table).await;
            *by = looked_up
                .map_err(|error| refused(error, &ddl.gtid.to_string(), &found))?
                .map(Box::new);
        }
    }
    session.close().await;
    Ok(())
}

async fn wait_until_visible(session: &mut Session, ddl: &Ddl) -> Result<(), Error> {
    let sql = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', 10)", ddl.gtid);
    for _ in 0..WAITS_MAX {
        if session.first::<Option<i64>>(&sql).await?.flatten() == Some(0) {
            return Ok(());
        }
    }
    Err(session.unexpected(
        format!("no end of {} within a minute", ddl.gtid),
        "a transaction that the stream already showed",
    ))
}

async fn look_up(session: &mut Session, spec: &JobSpec, table: &TableName) -> Result<Option<Replacement>, Error> {
    let names = std::slice::from_ref(table);
    let hold = DefinitionHold::take(&spec.source.endpoint, names).await?;
    let found = if hold.is_missing(table) {
        None
    } else {
        let since = beat(session).await?.executed;
        let shape = tables::one(session, spec, table).await?;
        let rows_estimate = inspect::row_estimates(session, names).await?.pop().flatten();
        shape.map(|shape| Replacement {
            shape,
            since,
            rows_estimate,
        })
    };
    hold.release().await;
    Ok(found)
}

/// A table that cannot be replicated stops the job with the statement that brought it.
fn refused(error: Error, gtid: &str, statement: &str) -> Error {
    match error {
        Error::Unsuitable {
            object,
            found,
            expected,
            fix,
        } => Error::NotReplicable {
            gtid: gtid.to_owned(),
            found: format!("`{statement}`, which brings {object} into the job with {found}"),
            expected,
            fix,
        },
        other => other,
    }
}
