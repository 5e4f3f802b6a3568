//! What only the two servers together get wrong: one server on both sides, ids, versions, packets, names, collations, zones.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::check::{ServerFacts, SourceFacts};
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::JobSpec;
use crate::mysql::error::Error;
use crate::mysql::preflight::access::numbers;
use crate::mysql::preflight::settings::{global, global_number};
use crate::mysql::preflight::source_tables::list;
use crate::mysql::quote;
use crate::mysql::session::Session;

/// What a server says of itself.
pub(super) async fn facts(session: &mut Session) -> Result<ServerFacts, Error> {
    let offset = session
        .first::<i64>("SELECT CAST(TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), NOW()) AS SIGNED)")
        .await?;
    Ok(ServerFacts {
        uuid: session.server_uuid().to_owned(),
        id: global_number(session, "server_id").await?.unwrap_or(0),
        version: session.version().to_owned(),
        max_allowed_packet: global_number(session, "max_allowed_packet").await?.unwrap_or(0),
        lower_case_table_names: u8::try_from(global_number(session, "lower_case_table_names").await?.unwrap_or(0)).unwrap_or(0),
        time_zone: global(session, "time_zone").await?.unwrap_or_default(),
        utc_offset_minutes: offset.unwrap_or(0),
    })
}

/// Every comparison of the two.
pub(super) async fn check(session: &mut Session, source: &SourceFacts) -> Result<Vec<Finding>, Error> {
    let target = facts(session).await?;
    let mut findings = vec![
        check_pair(&source.server.uuid, &target.uuid),
        check_ids(&source.server, &target),
        check_age(&source.server, &target),
        check_packets(&source.server, &target),
        check_names(source, &target),
    ];
    findings.push(check_collations(session, source).await?);
    findings.push(check_zone(session, &source.server, &target).await?);
    Ok(findings)
}

/// Source and target are one server: every change would come back. For whoever has connected to both.
#[must_use]
pub fn check_pair(source_uuid: &str, target_uuid: &str) -> Finding {
    let object = "source and target";
    if source_uuid == target_uuid {
        let found = format!("one server, {source_uuid}");
        return Finding::bad(
            Severity::Fail,
            "PEER1365",
            object,
            found,
            "two servers",
            "correct one of the two endpoints in the job",
        );
    }
    Finding::ok("PEER1365", object, "two servers")
}

/// The same address on both sides; other names of one server are found by `check_pair`.
pub(super) fn check_endpoints(spec: &JobSpec) -> Finding {
    let (source, target) = (&spec.source.endpoint, &spec.sink.endpoint);
    let object = "endpoints of source and target";
    if (source.host.as_str(), source.port) == (target.host.as_str(), target.port) {
        let found = format!("both {}:{}", source.host, source.port);
        return Finding::bad(
            Severity::Fail,
            "PEER1364",
            object,
            found,
            "two servers",
            "correct one of the two endpoints in the job",
        );
    }
    Finding::ok("PEER1364", object, "two addresses")
}

fn check_ids(source: &ServerFacts, target: &ServerFacts) -> Finding {
    let object = "server_id of both";
    if source.id != target.id {
        return Finding::ok("PEER1818", object, format!("{} and {}", source.id, target.id));
    }
    Finding::bad(
        Severity::Warn,
        "PEER1818",
        object,
        format!("both {}", source.id),
        "two numbers: should one ever replicate from the other, it passes over what has its own number",
        format!("SET PERSIST server_id = {}; -- on the target", target.id % 4_294_967_295 + 1),
    )
}

fn check_age(source: &ServerFacts, target: &ServerFacts) -> Finding {
    let object = "versions of both";
    if numbers(&target.version) >= numbers(&source.version) {
        return Finding::ok("PEER1819", object, format!("{} to {}", source.version, target.version));
    }
    Finding::bad(
        Severity::Warn,
        "PEER1819",
        object,
        format!("{} to {}, which is older", source.version, target.version),
        "a target no older than the source: it may not know a definition, type or collation",
        "upgrade the target",
    )
}

fn check_packets(source: &ServerFacts, target: &ServerFacts) -> Finding {
    let object = "max_allowed_packet of the target";
    if target.max_allowed_packet >= source.max_allowed_packet {
        return Finding::ok("PEER1820", object, target.max_allowed_packet.to_string());
    }
    Finding::bad(
        Severity::Warn,
        "PEER1820",
        object,
        target.max_allowed_packet.to_string(),
        format!(
            "{}, that of the source: the target may refuse its largest rows",
            source.max_allowed_packet
        ),
        format!("SET PERSIST max_allowed_packet = {}", source.max_allowed_packet),
    )
}

/// A target that folds names may take two tables for one.
fn check_names(source: &SourceFacts, target: &ServerFacts) -> Finding {
    let object = "lower_case_table_names of both";
    let (here, there) = (source.server.lower_case_table_names, target.lower_case_table_names);
    let same = |found: String| Finding::ok("PEER1821", object, found);
    if here == there {
        return same(format!("both {here}"));
    }
    let found = format!("{here} on the source, {there} on the target");
    let mut folded: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in &source.tables {
        let name = table.target.to_string();
        folded.entry(name.to_lowercase()).or_default().push(name);
    }
    let clashing: Vec<String> = folded.values().filter(|names| names.len() > 1).flatten().cloned().collect();
    if there != 0 && !clashing.is_empty() {
        return Finding::bad(
            Severity::Fail,
            "PEER1821",
            object,
            format!("{found}, where {} are one table", list(&clashing)),
            "names that differ by more than their case",
            "give one of them another name on the target: `to` of the table",
        );
    }
    let has_upper = folded.iter().any(|(lower, names)| names.iter().any(|name| name != lower));
    if !has_upper {
        return same(format!("{found}; every name is in lower case"));
    }
    Finding::bad(
        Severity::Warn,
        "PEER1821",
        object,
        found,
        "the same on both, or names in lower case: statements of the source may name a table that the target does not find",
        "give the tables names in lower case on the target: `to` of the tables (the variable is fixed when a server is made)",
    )
}

/// Collations of the tables that the target does not know.
async fn check_collations(session: &mut Session, source: &SourceFacts) -> Result<Finding, Error> {
    let object = "collations of the tables";
    let mut needed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for table in &source.tables {
        let of_columns = table.columns.iter().filter_map(|column| column.collation.clone());
        for collation in of_columns.chain(table.collation.clone()) {
            needed
                .entry(current_name(&collation))
                .or_default()
                .insert(table.source.to_string());
        }
    }
    let known = session
        .rows::<String>("SELECT COLLATION_NAME FROM information_schema.COLLATIONS")
        .await?;
    let known: BTreeSet<String> = known.iter().map(|name| current_name(name)).collect();
    let missing: Vec<(&String, &BTreeSet<String>)> = needed.iter().filter(|(name, _)| !known.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(Finding::ok(
            "PEER1822",
            object,
            format!("{}, the target knows each", needed.len()),
        ));
    }
    let texts: Vec<String> = missing
        .iter()
        .map(|(name, tables)| format!("{name} of {}", list(&tables.iter().cloned().collect::<Vec<_>>())))
        .collect();
    let tables: BTreeSet<&String> = missing.iter().flat_map(|(_, tables)| tables.iter()).collect();
    let fix: Vec<String> = source
        .tables
        .iter()
        .filter(|table| tables.contains(&table.source.to_string()))
        .map(|table| {
            format!(
                "ALTER TABLE {} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
                quote::table(&table.source)
            )
        })
        .collect();
    Ok(Finding::bad(
        Severity::Fail,
        "PEER1822",
        object,
        format!("the target does not know {}", list(&texts)),
        "collations that both servers know",
        format!("{}; -- on the source; or upgrade the target", fix.join("; ")),
    ))
}

/// Servers from 8.0.30 on call `utf8_…` `utf8mb3_…`, and take both.
fn current_name(collation: &str) -> String {
    let lower = collation.to_lowercase();
    match lower.strip_prefix("utf8_") {
        Some(rest) => format!("utf8mb3_{rest}"),
        None => lower,
    }
}

/// Definitions that depend on the time are carried out in the zone of the session that made them.
async fn check_zone(session: &mut Session, source: &ServerFacts, target: &ServerFacts) -> Result<Finding, Error> {
    let object = "time_zone of both";
    let zone = &source.time_zone;
    let found = format!("{zone} on the source, {} on the target", target.time_zone);
    if zone == "SYSTEM" {
        if source.utc_offset_minutes == target.utc_offset_minutes || target.time_zone != "SYSTEM" {
            return Ok(Finding::ok("PEER1827", object, found));
        }
        let (here, there) = (source.utc_offset_minutes, target.utc_offset_minutes);
        return Ok(Finding::bad(
            Severity::Warn,
            "PEER1827",
            object,
            format!("{found}, which are {here} and {there} minutes from UTC"),
            "the same: a new column with DEFAULT CURRENT_TIMESTAMP gets other values in the rows that are there",
            format!("SET PERSIST time_zone = '{}'; -- on the source", offset(here)),
        ));
    }
    let sql = format!(
        "SELECT CONVERT_TZ('2020-01-01 12:00:00', {}, '+00:00') IS NOT NULL",
        quote::text(zone)
    );
    if session.first::<bool>(sql).await? == Some(true) {
        return Ok(Finding::ok("PEER1827", object, found));
    }
    Ok(Finding::bad(
        Severity::Warn,
        "PEER1827",
        object,
        format!("{zone} on the source, which the target does not know"),
        "a zone that both know: the target refuses statements of sessions in it",
        format!(
            "SET PERSIST time_zone = '{}'; -- on the source; or fill the target's zones with mysql_tzinfo_to_sql",
            offset(source.utc_offset_minutes)
        ),
    ))
}

fn offset(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::check::TableFacts;
    use crate::core::shape::TableName;

    #[test]
    fn one_server_on_both_sides_fails() {
        assert_eq!(check_pair("a", "a").severity, Severity::Fail);
        assert_eq!(check_pair("a", "b").severity, Severity::Ok);
    }

    fn names(tables: &[&str], here: u8, there: u8) -> Severity {
        let table = |table: &&str| {
            let name = TableName {
                schema: "s".into(),
                table: (*table).into(),
            };
            TableFacts {
                source: name.clone(),
                target: name,
                columns: Vec::new(),
                collation: None,
                has_key: true,
                key: None,
            }
        };
        let of = |lower_case_table_names| ServerFacts {
            lower_case_table_names,
            ..ServerFacts::default()
        };
        let source = SourceFacts {
            server: of(here),
            tables: tables.iter().map(table).collect(),
            left_out: 0,
        };
        check_names(&source, &of(there)).severity
    }

    #[test]
    fn names_matter_only_where_a_server_folds_them() {
        assert_eq!(names(&["a", "A"], 0, 0), Severity::Ok);
        assert_eq!(names(&["a", "A"], 0, 1), Severity::Fail);
        assert_eq!(names(&["Orders"], 0, 1), Severity::Warn);
        assert_eq!(names(&["orders"], 1, 0), Severity::Ok);
    }

    #[test]
    fn an_offset_reads_as_the_server_takes_it() {
        assert_eq!(
            (offset(0).as_str(), offset(330).as_str(), offset(-210).as_str()),
            ("+00:00", "+05:30", "-03:30")
        );
    }
}
