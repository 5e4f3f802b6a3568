//! Every prerequisite of a job on its two databases, each with its fix (`peer check`).
//!
//! Each side is checked by a peer that reaches it. Changes nothing. A check that cannot be made because of an earlier one is left out.

use crate::core::disposition::Disposition;
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::{DatabaseSpec, JobSpec};
use crate::core::shape::TableName;
use crate::core::table_choice::target_schemas;
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::preflight_tables;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::chunk_reader::binlog_end;
use crate::mysql::source::inspect;

/// Oldest server whose binlog and statements this version knows.
const VERSION_MIN: (u32, u32) = (8, 0);

/// A server variable and the value a source must have.
struct Setting {
    id: &'static str,
    name: &'static str,
    expected: &'static str,
    severity: Severity,
    /// SET PERSIST is enough; else the server must be started anew.
    is_dynamic: bool,
}

const fn fatal(id: &'static str, name: &'static str, expected: &'static str, is_dynamic: bool) -> Setting {
    Setting {
        id,
        name,
        expected,
        severity: Severity::Fail,
        is_dynamic,
    }
}

const SOURCE_SETTINGS: [Setting; 7] = [
    fatal("PEER1353", "log_bin", "ON", false),
    fatal("PEER1354", "gtid_mode", "ON", true),
    fatal("PEER1355", "enforce_gtid_consistency", "ON", true),
    fatal("PEER1356", "binlog_format", "ROW", true),
    fatal("PEER1357", "binlog_row_image", "FULL", true),
    fatal("PEER1358", "binlog_row_value_options", "", true),
    // Off, the binlog's order is not that of visibility: PROTOCOLS 1 and 8.
    fatal("PEER1359", "binlog_order_commits", "ON", true),
];

/// Checks the source side.
///
/// # Errors
/// Never for what a finding can say; only when the connection breaks on the way.
pub async fn check_source(spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let Some(mut session) = reach(&spec.source.endpoint, "source", &mut findings).await else {
        return Ok(findings);
    };
    findings.extend(examine_source(&mut session, spec).await?);
    session.close().await;
    Ok(findings)
}

/// The checks of `check_source` on a session that is there.
///
/// # Errors
/// As `check_source`.
pub async fn examine_source(session: &mut Session, spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![check_version("source", session.version())];
    for setting in &SOURCE_SETTINGS {
        findings.push(check_setting(session, setting).await?);
    }
    let grants = Grants::read(session).await?;
    findings.push(check_replication(&grants, &spec.source.endpoint));
    findings.push(match binlog_end(session).await {
        Ok(end) => Finding::ok(
            "PEER1361",
            "binlog position of the source",
            format!("{}:{}", end.file, end.offset),
        ),
        Err(error) => refused(
            "PEER1361",
            "binlog position of the source",
            &error,
            &grant("REPLICATION CLIENT", "*.*", &spec.source.endpoint),
        ),
    });
    findings.extend(preflight_tables::check(session, spec, &grants).await?);
    Ok(findings)
}

/// Checks the target side.
///
/// # Errors
/// As `check_source`.
pub async fn check_target(spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let Some(mut session) = reach(&spec.sink.endpoint, "target", &mut findings).await else {
        findings.push(check_endpoints(spec));
        return Ok(findings);
    };
    findings.extend(examine_target(&mut session, spec).await?);
    session.close().await;
    Ok(findings)
}

/// The checks of `check_target` on a session that is there.
///
/// # Errors
/// As `check_source`.
pub async fn examine_target(session: &mut Session, spec: &JobSpec) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![check_endpoints(spec), check_version("target", session.version())];
    findings.push(check_writable(session).await?);
    let grants = Grants::read(session).await?;
    let mut schemas = target_schemas(&spec.tables, &spec.selection);
    schemas.insert(spec.sink.meta_schema.clone());
    findings.extend(
        schemas
            .iter()
            .map(|schema| check_schema_grants(&grants, schema, &spec.sink.endpoint)),
    );
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
fn check_endpoints(spec: &JobSpec) -> Finding {
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

/// Connects; None with a finding when that is not possible.
async fn reach(endpoint: &DatabaseSpec, side: &str, findings: &mut Vec<Finding>) -> Option<Session> {
    let object = format!("{side} {}:{}", endpoint.host, endpoint.port);
    let session = match Session::connect(endpoint).await {
        Ok(session) => session,
        Err(error) => {
            let expected = format!("a login as `{}`", endpoint.user);
            findings.push(Finding::bad(
                Severity::Fail,
                "PEER1351",
                object,
                error.to_string(),
                expected,
                error.fix(),
            ));
            return None;
        }
    };
    findings.push(Finding::ok("PEER1351", &object, format!("server {}", session.server_uuid())));
    Some(session)
}

fn check_version(object: &str, version: &str) -> Finding {
    let object = format!("version of {object}");
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version.to_lowercase().contains("mariadb") || found < VERSION_MIN {
        return Finding::bad(
            Severity::Fail,
            "PEER1352",
            object,
            version,
            "MySQL 8.0 or later",
            "upgrade the server",
        );
    }
    Finding::ok("PEER1352", object, version)
}

async fn check_setting(session: &mut Session, setting: &Setting) -> Result<Finding, Error> {
    let Setting {
        id,
        name,
        expected,
        severity,
        is_dynamic,
    } = *setting;
    let row = session
        .first::<(String, String)>(format!("SHOW GLOBAL VARIABLES LIKE '{name}'"))
        .await?;
    // A server without the variable behaves as the expected value says: each was introduced with that default.
    let Some((_, found)) = row else {
        return Ok(Finding::ok(id, name, "not known to this server"));
    };
    if found.eq_ignore_ascii_case(expected) {
        return Ok(Finding::ok(id, name, if found.is_empty() { "none" } else { expected }));
    }
    let fix = if name == "gtid_mode" {
        "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE; SET PERSIST gtid_mode = ON_PERMISSIVE; \
         (wait until ongoing_anonymous_transaction_count is 0) SET PERSIST gtid_mode = ON"
            .to_owned()
    } else if is_dynamic {
        format!("SET PERSIST {name} = '{expected}' (and reconnect the clients)")
    } else {
        format!("start the server with {name} = {expected}")
    };
    Ok(Finding::bad(
        severity,
        id,
        name,
        found,
        if expected.is_empty() { "none" } else { expected },
        fix,
    ))
}

/// The dump, where the binlog ends, and prepared transactions whose rows a copy would miss.
const SOURCE_PRIVILEGES: [&str; 3] = ["REPLICATION SLAVE", "REPLICATION CLIENT", "XA_RECOVER_ADMIN"];

fn check_replication(grants: &Grants, endpoint: &DatabaseSpec) -> Finding {
    let object = format!("privileges of `{}` on the source", endpoint.user);
    let missing: Vec<_> = SOURCE_PRIVILEGES
        .iter()
        .copied()
        .filter(|privilege| !grants.has_global(privilege))
        .collect();
    if missing.is_empty() {
        return Finding::ok("PEER1360", object, SOURCE_PRIVILEGES.join(", "));
    }
    let missing = missing.join(", ");
    let fix = grant(&missing, "*.*", endpoint);
    Finding::bad(
        Severity::Fail,
        "PEER1360",
        object,
        format!("no {missing}"),
        SOURCE_PRIVILEGES.join(", "),
        fix,
    )
}

pub(super) async fn check_table(
    session: &mut Session,
    name: &TableName,
    grants: &Grants,
    endpoint: &DatabaseSpec,
) -> Result<Finding, Error> {
    let object = format!("table {name} of the source");
    let shapes = match inspect::shapes(session, std::slice::from_ref(name)).await {
        Ok(shapes) => shapes,
        Err(error) if error.disposition() == Disposition::Fatal => {
            let mut fix = error.fix();
            // A table one may not read looks like one that is not there.
            if !grants.has("SELECT", &name.schema) {
                let right = grant("SELECT", &quote::table(name), endpoint);
                fix = format!("correct its name in the job, or {right}");
            }
            return Ok(refused("PEER1362", &object, &error, &fix));
        }
        Err(error) => return Err(error),
    };
    let reading = session
        .first::<u8>(format!("SELECT 1 FROM {} LIMIT 1", quote::table(name)))
        .await;
    match reading {
        Ok(_) => {}
        Err(error) if error.disposition() == Disposition::Fatal => {
            return Ok(refused(
                "PEER1362",
                &object,
                &error,
                &grant("SELECT", &quote::table(name), endpoint),
            ));
        }
        Err(error) => return Err(error),
    }
    Ok(match shapes.first().and_then(|shape| shape.key.as_ref()) {
        Some(key) => Finding::ok("PEER1362", object, format!("InnoDB, key {}", key.index)),
        None => {
            let fix = format!(
                "ALTER TABLE {} ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
                quote::table(name)
            );
            let expected = "a primary key, or a unique key of NOT NULL columns: without one the copy cannot be resumed";
            Finding::bad(Severity::Warn, "PEER1362", object, "InnoDB, no key", expected, fix)
        }
    })
}

async fn check_writable(session: &mut Session) -> Result<Finding, Error> {
    let flags = session
        .first::<(bool, bool)>("SELECT @@GLOBAL.read_only, @@GLOBAL.super_read_only")
        .await?;
    if flags == Some((false, false)) {
        return Ok(Finding::ok("PEER1363", "target", "writable"));
    }
    let fix = "point the endpoint at the writable server, or SET GLOBAL super_read_only = OFF, read_only = OFF";
    Ok(Finding::bad(
        Severity::Fail,
        "PEER1363",
        "target",
        "read_only = ON",
        "read_only = OFF",
        fix,
    ))
}

/// What the sink does in a schema of the target.
const TARGET_PRIVILEGES: [&str; 7] = ["CREATE", "SELECT", "INSERT", "UPDATE", "DELETE", "DROP", "REFERENCES"];

fn check_schema_grants(grants: &Grants, schema: &str, endpoint: &DatabaseSpec) -> Finding {
    let object = format!("privileges of `{}` on schema `{schema}` of the target", endpoint.user);
    let missing: Vec<_> = TARGET_PRIVILEGES
        .iter()
        .copied()
        .filter(|privilege| !grants.has(privilege, schema))
        .collect();
    if missing.is_empty() {
        return Finding::ok("PEER1366", object, "all that is needed");
    }
    // Grants on single tables or by patterns are not read: it may still work.
    let fix = grant(&missing.join(", "), &format!("{}.*", quote::identifier(schema)), endpoint);
    Finding::bad(
        Severity::Warn,
        "PEER1366",
        object,
        format!("no {}", missing.join(", ")),
        TARGET_PRIVILEGES.join(", "),
        fix,
    )
}

fn grant(privileges: &str, on: &str, endpoint: &DatabaseSpec) -> String {
    format!("GRANT {privileges} ON {on} TO {}", quote::text(&endpoint.user))
}

fn refused(id: &str, object: &str, error: &Error, fix: &str) -> Finding {
    let (found, expected) = match error {
        Error::Unsuitable { found, expected, .. } => (found.clone(), expected.clone()),
        other => (other.to_string(), "an answer".to_owned()),
    };
    Finding::bad(Severity::Fail, id, object, found, expected, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_on_both_sides_fails() {
        assert_eq!(check_pair("a", "a").severity, Severity::Fail);
        assert_eq!(check_pair("a", "b").severity, Severity::Ok);
    }

    #[test]
    fn a_server_that_is_too_old_or_another_product_fails() {
        for version in ["5.7.44-log", "10.11.6-MariaDB"] {
            assert_eq!(check_version("source", version).severity, Severity::Fail, "{version}");
        }
        for version in ["8.0.30", "8.4.2-commercial", "9.7.0"] {
            assert_eq!(check_version("source", version).severity, Severity::Ok, "{version}");
        }
    }
}
