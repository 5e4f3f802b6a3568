//! Every prerequisite of a job on its two databases, each with its fix (`peer check`).
//!
//! Each side is looked at by a peer that reaches it; what only both together show is compared on the target's side, with the facts
//! of the source. Changes nothing. What cannot be looked at because of an earlier finding is left out. `examine_…` are the checks
//! that a task makes again when it begins.

mod access;
mod other_jobs;
mod pair;
mod settings;
mod source_replicas;
mod source_server;
mod source_sizes;
mod source_tables;
mod target_server;
mod target_sessions;
mod target_tables;

use crate::core::check::{ClockReading, Question, Report, SourceFacts};
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::JobSpec;
use crate::core::shape::TableName;
use crate::core::table_choice::target_schemas;
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::quote;
use crate::mysql::session::Session;
use source_tables::Tables;

pub use access::{not_reached, reach};
pub use other_jobs::writers;
pub use pair::check_pair;

/// This peer's wall clock, microseconds since 1970.
pub type WallClock<'a> = &'a (dyn Fn() -> i64 + Send + Sync);

/// Bytes of the facts that go to the target's peer, as JSON: with the job's text they must fit a control frame of 1 MiB.
const FACTS_BYTES_MAX: usize = 600 * 1024;
/// Readings of a clock; the one with the shortest round trip counts.
const CLOCK_READINGS: usize = 3;

/// Looks at the source side.
///
/// # Errors
/// Never for what a finding can say; only when the connection breaks on the way.
pub async fn check_source(question: &Question, now_us: WallClock<'_>) -> Result<Report, Error> {
    let spec = &question.spec;
    let mut report = Report::default();
    let endpoint = &spec.source.endpoint;
    report.findings.push(access::check_secret(endpoint, "source"));
    let Some(mut session) = access::enter(endpoint, "source", &mut report.findings).await else {
        return Ok(report);
    };
    report.clock = Some(read_clock(&mut session, now_us).await?);
    let tls = access::check_tls(&mut session, endpoint, "source").await?;
    report.findings.push(tls);
    let (grants, tables) = source_essentials(&mut session, spec, &mut report.findings).await?;
    source_details(&mut session, spec, &tables, &mut report.findings).await?;
    report
        .findings
        .push(source_sizes::check_keyless(&mut session, spec, &tables).await?);
    report
        .findings
        .push(source_sizes::check_history(&mut session, spec, &grants).await?);
    if let Some(own) = &question.replica {
        let replicas = source_replicas::check(&mut session, own, question.is_known).await;
        report.findings.extend(access::settle(source_replicas::REPLICAS, replicas)?);
    }
    let server = pair::facts(&mut session).await?;
    session.close().await;
    report.source = Some(bounded(SourceFacts {
        left_out: tables.chosen.len() - tables.usable.len(),
        server,
        tables: tables.usable,
    }));
    Ok(report)
}

/// What a source task is begun without only to fail, on a session that is there.
///
/// # Errors
/// As `check_source`.
pub async fn examine_source(session: &mut Session, spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    source_essentials(session, spec, &mut findings).await?;
    Ok(findings)
}

async fn source_essentials(
    session: &mut Session,
    spec: &JobSpec,
    findings: &mut Vec<Finding>,
) -> Result<(Grants, Tables), Error> {
    findings.push(access::check_version("source", session.version()));
    findings.extend(settings::check(session).await?);
    let grants = Grants::read(session).await?;
    findings.push(access::check_replication(&grants, &spec.source.endpoint));
    findings.push(access::check_position(session, &grants).await);
    let tables = source_tables::check(session, spec, &grants, findings).await?;
    findings.push(source_tables::check_locks(&tables, &grants));
    Ok((grants, tables))
}

async fn source_details(session: &mut Session, spec: &JobSpec, found: &Tables, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let tables = &found.chosen;
    findings.push(settings::check_checksum(session).await?);
    findings.push(source_server::check_server_id(session).await?);
    let retention = source_server::check_retention(session, spec, tables).await;
    findings.extend(access::settle(source_server::RETENTION, retention)?);
    let start = source_server::check_start(session, spec).await;
    findings.extend(access::settle(source_server::START, start)?);
    let prepared = source_server::check_prepared(session).await;
    findings.extend(access::settle(source_server::PREPARED, prepared)?);
    findings.extend(source_tables::check_programs(session, tables).await?);
    findings.extend(source_tables::check_parents(session, tables).await?);
    findings.push(source_tables::check_places(found));
    findings.push(source_tables::check_tool_tables(session, spec).await?);
    findings.extend(source_server::check_chain(session).await?);
    Ok(())
}

/// Looks at the target side, with what the question tells of the other side, of the job and of other jobs.
///
/// # Errors
/// As `check_source`.
pub async fn check_target(question: &Question, now_us: WallClock<'_>) -> Result<Report, Error> {
    let (spec, source) = (&question.spec, question.source.as_ref());
    let mut report = Report::default();
    let endpoint = &spec.sink.endpoint;
    report.findings.push(access::check_secret(endpoint, "target"));
    let Some(mut session) = access::enter(endpoint, "target", &mut report.findings).await else {
        report.findings.push(pair::check_endpoints(spec));
        return Ok(report);
    };
    report.clock = Some(read_clock(&mut session, now_us).await?);
    let tls = access::check_tls(&mut session, endpoint, "target").await?;
    report.findings.push(tls);
    let tables: Vec<&TableName> = source
        .iter()
        .flat_map(|source| &source.tables)
        .map(|table| &table.target)
        .collect();
    let grants = target_essentials(&mut session, spec, &tables, &mut report.findings).await?;
    target_details(&mut session, &grants, &tables, &mut report.findings).await?;
    report
        .findings
        .push(target_sessions::check(&mut session, spec, &grants).await?);
    if let Some(source) = source {
        report.findings.extend(pair::check(&mut session, source).await?);
        let is_begun = question.is_known && has_begun(&mut session, spec).await;
        let on_tables = target_tables::check(&mut session, spec, source, is_begun, &question.writers).await?;
        report.findings.extend(on_tables);
        report.findings.extend(left_out(source));
    }
    session.close().await;
    Ok(report)
}

/// What a sink is begun without only to fail, on a session that is there.
///
/// # Errors
/// As `check_source`.
pub async fn examine_target(session: &mut Session, spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let tables: Vec<&TableName> = if spec.selection.is_empty() {
        spec.tables.iter().collect()
    } else {
        Vec::new()
    };
    target_essentials(session, spec, &tables, &mut findings).await?;
    Ok(findings)
}

async fn target_essentials(
    session: &mut Session,
    spec: &JobSpec,
    tables: &[&TableName],
    findings: &mut Vec<Finding>,
) -> Result<Grants, Error> {
    findings.push(pair::check_endpoints(spec));
    findings.push(access::check_version("target", session.version()));
    findings.push(target_server::check_writable(session).await?);
    let grants = Grants::read(session).await?;
    let mut schemas = target_schemas(&spec.tables, &spec.selection);
    schemas.extend(tables.iter().map(|table| table.schema.clone()));
    schemas.insert(spec.sink.meta_schema.clone());
    for schema in &schemas {
        let inside: Vec<&TableName> = tables.iter().copied().filter(|table| table.schema == *schema).collect();
        findings.push(access::check_schema_grants(&grants, schema, &inside, spec));
    }
    findings.push(access::check_shadow_grants(&grants, spec));
    Ok(grants)
}

async fn target_details(
    session: &mut Session,
    grants: &Grants,
    tables: &[&TableName],
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    findings.extend(target_server::check_durability(session).await?);
    findings.extend(target_server::check_own_binlog(session).await?);
    findings.push(target_server::check_replica(session, grants).await?);
    let mut schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    schemas.sort_unstable();
    schemas.dedup();
    findings.extend(target_server::check_events(session, &schemas).await?);
    Ok(())
}

/// The job has progress on the target: the rows there are its own.
async fn has_begun(session: &mut Session, spec: &JobSpec) -> bool {
    let sql = format!(
        "SELECT 1 FROM {} WHERE job = {} LIMIT 1",
        quote::qualified(&spec.sink.meta_schema, "shape"),
        quote::text(&spec.name.0)
    );
    // Without its tables there is none.
    matches!(session.first::<u8>(sql).await, Ok(Some(_)))
}

/// How far the database's clock is ahead of this peer's.
async fn read_clock(session: &mut Session, now_us: WallClock<'_>) -> Result<ClockReading, Error> {
    let mut best: Option<ClockReading> = None;
    for _ in 0..CLOCK_READINGS {
        let asked = now_us();
        // SYSDATE is the clock; NOW is what the session may have been told.
        let theirs = session
            .first::<i64>("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)")
            .await?
            .unwrap_or(asked);
        let reading = ClockReading::of(asked, theirs, now_us());
        if best.is_none_or(|best| reading.within_us < best.within_us) {
            best = Some(reading);
        }
    }
    Ok(best.unwrap_or_default())
}

/// Takes tables off the end until the facts can travel.
fn bounded(mut facts: SourceFacts) -> SourceFacts {
    let mut bytes = 0;
    let fitting = facts.tables.iter().take_while(|table| {
        bytes += serde_json::to_string(table).map_or(0, |json| json.len());
        bytes <= FACTS_BYTES_MAX
    });
    let fitting = fitting.count();
    facts.left_out += facts.tables.len() - fitting;
    facts.tables.truncate(fitting);
    facts
}

fn left_out(source: &SourceFacts) -> Option<Finding> {
    (source.left_out > 0).then(|| {
        Finding::bad(
            Severity::Warn,
            "PEER1828",
            "tables of the target",
            format!("{} of the job's tables were not looked at", source.left_out),
            "a look at each",
            "mend what is told of them on the source; of a very large job, check a part with a file of its own",
        )
    })
}
