//! The part of preflight that looks at the tables of a job: which they are, and whether each can go its way.
//!
//! Called by `preflight` with a session on the source. Changes nothing.

use crate::core::fault::{Fault, Faults};
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::JobSpec;
use crate::core::table_choice::Chosen;
use crate::core::table_map::TableMap;
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::preflight::check_table;
use crate::mysql::session::Session;
use crate::mysql::source::{inspect, tables};

/// A finding for each table, and for whatever is wrong with the choice.
pub(super) async fn check(session: &mut Session, spec: &JobSpec, grants: &Grants) -> Result<Vec<Finding>, Error> {
    let chosen = match tables::chosen(session, spec).await? {
        Ok(chosen) => chosen,
        Err(Faults(faults)) => return Ok(faults.into_iter().map(finding).collect()),
    };
    let mut findings = Vec::new();
    for table in &chosen {
        let found = check_table(session, &table.name, grants, &spec.source.endpoint).await?;
        let is_usable = found.severity != Severity::Fail;
        findings.push(found);
        if is_usable && goes_another_way(table, spec) {
            findings.extend(check_way(session, table, spec).await?);
        }
    }
    Ok(findings)
}

fn goes_another_way(table: &Chosen, spec: &JobSpec) -> bool {
    let rule = table.rule.as_ref();
    let has_columns = rule.is_some_and(|rule| !rule.columns.is_empty() || !rule.to.columns.is_empty() || rule.filter.is_some());
    has_columns || table.to != table.name || !spec.selection.skip.is_empty()
}

async fn check_way(session: &mut Session, table: &Chosen, spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let shapes = inspect::shapes(session, std::slice::from_ref(&table.name)).await?;
    let faults = shapes
        .iter()
        .filter_map(|shape| TableMap::of(shape, table, &spec.selection.skip).err())
        .flatten();
    Ok(faults.map(finding).collect())
}

fn finding(fault: Fault) -> Finding {
    let Fault {
        code,
        object,
        found,
        expected,
        fix,
    } = fault;
    Finding::bad(Severity::Fail, &code, object, found, expected, fix)
}
