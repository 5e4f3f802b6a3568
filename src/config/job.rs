//! job.toml to a valid `JobSpec`.
//!
//! The whole of DESIGN 1.3 is read and checked. What this version cannot do yet is refused by `config::job_later`, endpoints
//! are read by `config::job_endpoint`, tables by `config::job_tables`, where tasks may run by `config::job_placement`, how failures
//! are answered by `config::job_policy`. Called by the command layer for
//! `submit`; opens no file and no database.

use crate::config::document::{Found, Section, parse};
use crate::config::fault_list::{FaultList, JOB};
use crate::config::job_ddl;
use crate::config::job_endpoint::{ENDPOINT_KEYS, database, start};
use crate::config::job_later;
use crate::config::job_placement::{constraints, preferences};
use crate::config::job_policy;
use crate::config::job_tables::{self, check_identifier};
use crate::core::conflict::{Check, OnConflict};
use crate::core::fault::Faults;
use crate::core::ids::JobName;
use crate::core::job_spec::{ApplySpec, Compression, JobSpec, LinkSpec, SinkSpec, SourceSpec};
use crate::core::reach;
use crate::core::size::{RATE_FORM, SIZE_FORM, TIME_FORM, parse_rate, parse_size, parse_time};
use crate::core::table_choice::SYSTEM_SCHEMAS;

/// Longest job.toml that is read, in bytes. Trades nothing a person writes for bounded memory; a guess.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// Bounds of `link.batch_bytes`: a batch must fit a data frame (16 MiB) with room for its headers.
pub(crate) const BATCH_BYTES: (u64, u64) = (1 << 10, 8 << 20);
/// Longest `link.batch_delay`; longer is a lag nobody asked for. A guess.
pub(crate) const BATCH_DELAY_MS_MAX: u64 = 10_000;
/// Bounds of `apply.group_transactions` and `apply.group_bytes`: a group is one target transaction. A guess.
pub(crate) const GROUP_TRANSACTIONS: (u64, u64) = (1, 100_000);
pub(crate) const GROUP_BYTES: (u64, u64) = (64 << 10, 256 << 20);

const ROOT_KEYS: [&str; 14] = [
    "name",
    "datacenters",
    "constraint",
    "affinity",
    "spread",
    "source",
    "tables",
    "exclude",
    "filter",
    "sink",
    "link",
    "apply",
    "restart",
    "reschedule",
];

/// Reads a job file, or says everything that is wrong with it.
pub fn parse_job(text: &str) -> Result<JobSpec, Faults> {
    if text.len() > TEXT_BYTES_MAX {
        let mut faults = FaultList::new("", JOB);
        let place = Found {
            value: (),
            key: "job.toml".into(),
            at: 0,
        };
        let expected = format!("at most {TEXT_BYTES_MAX} bytes");
        faults.value(&place, &format!("{} bytes", text.len()), &expected, "split the job");
        return faults.finish(None);
    }
    let (table, mut faults) = parse(text, JOB);
    let root = Section::root(&table, &ROOT_KEYS, &mut faults);
    let spec = job(&root, &mut faults);
    faults.finish(spec)
}

fn job(root: &Section<'_, '_>, faults: &mut FaultList) -> Option<JobSpec> {
    let name = name(root, faults);
    let datacenters = root.texts("datacenters", "shanghai", faults).unwrap_or_default();
    for glob in datacenters.iter().filter(|glob| glob.value.trim().is_empty()) {
        faults.value(
            glob,
            "an empty string",
            "a datacenter or a glob such as `shang*`",
            "datacenters = [\"shanghai\"]",
        );
    }
    let constraints = constraints(root, faults);
    let preferences = preferences(root, faults);
    let source = source(root, faults);
    let mut sink = sink(root, faults);
    let (skip, skipped_ddl) = job_tables::skipped(root, faults);
    if let Some(sink) = &mut sink {
        job_ddl::skip(&mut sink.on_ddl, skipped_ddl, faults);
    }
    let meta_schema = sink.as_ref().map_or("peer_meta", |sink| sink.meta_schema.as_str());
    let (tables, selection) = job_tables::choice(root, meta_schema, skip, faults);
    let link = link(root, faults);
    let apply = apply(root, faults);
    let restart = job_policy::restart(root, faults);
    let reschedule = job_policy::reschedule(root, faults);
    if let (Some(source), Some(sink)) = (&source, &sink) {
        not_into_itself(root, source, sink, faults);
    }
    let spec = JobSpec {
        name: name?,
        datacenters: datacenters.into_iter().map(|found| found.value).collect(),
        constraints,
        source: source?,
        sink: sink?,
        tables,
        link,
        apply,
        preferences,
        restart,
        reschedule,
        selection,
    };
    reaches_its_own(root, &spec, faults);
    Some(spec)
}

/// A peer tries only databases that the job uses, so another one would keep it waiting for ever.
fn reaches_its_own(root: &Section<'_, '_>, spec: &JobSpec, faults: &mut FaultList) {
    if let Some(foreign) = reach::foreign(spec) {
        let own = [&spec.source.endpoint, &spec.sink.endpoint].map(reach::address);
        let place = Found {
            value: (),
            key: "attr.reach".into(),
            at: root.key_at("sink").unwrap_or_default(),
        };
        let expected = format!("the address of a database of this job: {} or {}", own[0], own[1]);
        let fix = format!("attribute = \"${{attr.reach.{}}}\"", own[1]);
        faults.value(&place, &format!("`${{attr.reach.{foreign}}}`"), &expected, &fix);
    }
}

fn name(root: &Section<'_, '_>, faults: &mut FaultList) -> Option<JobName> {
    let name = root.required_text("name", "orders", faults)?;
    let is_head = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_valid = name.value.len() <= 64
        && name.value.starts_with(is_head)
        && name.value.chars().all(|c| is_head(c) || c == '_' || c == '-');
    if !is_valid {
        let expected = "a-z, 0-9, _ and -, beginning with a letter or digit, at most 64 characters";
        faults.value(&name, &format!("`{}`", name.value), expected, "name = \"orders\"");
    }
    Some(JobName(name.value))
}

fn source(root: &Section<'_, '_>, faults: &mut FaultList) -> Option<SourceSpec> {
    let mut known: Vec<&str> = ENDPOINT_KEYS.into_iter().filter(|key| *key != "meta_schema").collect();
    known.extend(["start", "snapshot"]);
    let section = root.section("source", &known, faults);
    let endpoint = database(&section, &["mysql"], faults);
    let start = start(&section, faults);
    job_later::snapshot(&section, faults);
    let constraints = constraints(&section, faults);
    let preferences = preferences(&section, faults);
    Some(SourceSpec {
        endpoint: endpoint?,
        start,
        constraints,
        preferences,
    })
}

fn sink(root: &Section<'_, '_>, faults: &mut FaultList) -> Option<SinkSpec> {
    let mut known = ENDPOINT_KEYS.to_vec();
    known.extend(["on_conflict", "existing_table", "on_ddl", "drop_triggers"]);
    let section = root.section("sink", &known, faults);
    let endpoint = database(&section, &["mysql", "kafka"], faults);
    job_later::sink_policies(&section, faults);
    let on_ddl = job_ddl::on_ddl(&section, faults);
    let on_conflict = match section.word("on_conflict", &["pause", "source-wins", "target-wins"], faults) {
        Some(found) if found.value == "source-wins" => OnConflict::SourceWins,
        Some(found) if found.value == "target-wins" => OnConflict::TargetWins,
        _ => OnConflict::Pause,
    };
    let meta_schema = match section.text("meta_schema", "peer_meta", faults) {
        None => "peer_meta".to_owned(),
        Some(found) => {
            check_identifier(&found, "meta_schema = \"peer_meta\"", faults);
            if SYSTEM_SCHEMAS.contains(&found.value.to_ascii_lowercase().as_str()) {
                faults.value(
                    &found,
                    &format!("`{}`", found.value),
                    "a schema of its own",
                    "meta_schema = \"peer_meta\"",
                );
            }
            found.value
        }
    };
    let constraints = constraints(&section, faults);
    let preferences = preferences(&section, faults);
    Some(SinkSpec {
        endpoint: endpoint?,
        meta_schema,
        constraints,
        preferences,
        on_ddl,
        on_conflict,
        drop_triggers: section.flag("drop_triggers", faults).is_some_and(|found| found.value),
    })
}

fn link(root: &Section<'_, '_>, faults: &mut FaultList) -> LinkSpec {
    let section = root.section("link", &["compression", "rate", "batch_bytes", "batch_delay"], faults);
    let compression = match section.word("compression", &["lz4", "none"], faults) {
        Some(found) if found.value == "none" => Compression::None,
        _ => Compression::Lz4,
    };
    let rate = section.unit("rate", parse_rate, RATE_FORM, "20 MB/s", faults);
    let batch = bounded_size(&section, "batch_bytes", BATCH_BYTES, "256 KiB", faults);
    let to_delay = |text: &str| parse_time(text).and_then(|time| u64::try_from(time.as_millis()).ok());
    let delay = section.unit(
        "batch_delay",
        |text| to_delay(text).filter(|ms| *ms <= BATCH_DELAY_MS_MAX),
        &format!("{TIME_FORM}, at most 10 s"),
        "0 ms",
        faults,
    );
    LinkSpec {
        compression,
        rate_bytes: rate.map_or(0, |found| found.value),
        batch_bytes: batch.unwrap_or(256 << 10),
        batch_delay_ms: delay.map_or(0, |found| found.value),
    }
}

fn apply(root: &Section<'_, '_>, faults: &mut FaultList) -> ApplySpec {
    let section = root.section("apply", &["group_transactions", "group_bytes", "check"], faults);
    let transactions = section.number("group_transactions", GROUP_TRANSACTIONS, 1000, faults);
    let bytes = bounded_size(&section, "group_bytes", GROUP_BYTES, "8 MiB", faults);
    let check = match section.word("check", &["key", "image"], faults) {
        Some(found) if found.value == "image" => Check::Image,
        _ => Check::Key,
    };
    ApplySpec {
        group_transactions: transactions.map_or(1000, |found| found.value),
        group_bytes: bytes.unwrap_or(8 << 20),
        check,
    }
}

fn bounded_size(section: &Section<'_, '_>, key: &str, bounds: (u64, u64), example: &str, faults: &mut FaultList) -> Option<u64> {
    let show = crate::core::size::show_size;
    let expected = format!("{SIZE_FORM}, from {} to {}", show(bounds.0), show(bounds.1));
    let parse = |text: &str| parse_size(text).filter(|bytes| (bounds.0..=bounds.1).contains(bytes));
    section.unit(key, parse, &expected, example, faults).map(|found| found.value)
}

/// One server cannot be both ends, also under new names: progress and rows would come back in its own binlog.
fn not_into_itself(root: &Section<'_, '_>, source: &SourceSpec, sink: &SinkSpec, faults: &mut FaultList) {
    let is_same = source.endpoint.host == sink.endpoint.host && source.endpoint.port == sink.endpoint.port;
    if let Some(at) = root.key_at("sink").filter(|_| is_same) {
        let found = format!("`{}:{}`, the source itself", sink.endpoint.host, sink.endpoint.port);
        let place = Found {
            value: (),
            key: "sink.host".into(),
            at,
        };
        faults.value(&place, &found, "another server than the source", "host = \"10.0.0.9\"");
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
