//! Getting in: login, TLS, the kind of server, and what the account may do.

use crate::core::check::NotReached;
use crate::core::disposition::Disposition;
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::{DatabaseSpec, JobSpec, Secret};
use crate::core::shape::TableName;
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::chunk_reader::binlog_end;
use crate::mysql::target::meta::shadow_schema;

/// Number and object of a check.
pub(super) type Check = (&'static str, &'static str);

/// Oldest server whose binlog and statements this version knows.
const VERSION_MIN: (u32, u32) = (8, 0);

/// The dump, where the binlog ends, and prepared transactions whose rows a copy would miss.
const SOURCE_PRIVILEGES: [&str; 3] = ["REPLICATION SLAVE", "REPLICATION CLIENT", "XA_RECOVER_ADMIN"];

/// What the sink does with rows of the target: without them no job runs.
const ROW_PRIVILEGES: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];
/// And with its definitions: needed for tables that are not there yet, and when the source's change.
const DEFINITION_PRIVILEGES: [&str; 5] = ["CREATE", "ALTER", "INDEX", "DROP", "REFERENCES"];

/// Connects; None with a finding when that is not possible.
pub(super) async fn enter(endpoint: &DatabaseSpec, side: &str, findings: &mut Vec<Finding>) -> Option<Session> {
    let object = format!("{side} {}:{}", endpoint.host, endpoint.port);
    let session = match Session::connect(endpoint).await {
        Ok(session) => session,
        Err(error) => {
            let expected = format!("a login as `{}`", endpoint.user);
            let (found, fix) = (error.to_string(), error.fix());
            findings.push(Finding::bad(Severity::Fail, "PEER1351", object, found, expected, fix));
            return None;
        }
    };
    findings.push(Finding::ok("PEER1351", &object, format!("server {}", session.server_uuid())));
    Some(session)
}

/// Why the database is not reached from here; None: it is.
pub async fn reach(endpoint: &DatabaseSpec) -> Option<NotReached> {
    match Session::connect(endpoint).await {
        Ok(session) => {
            session.close().await;
            None
        }
        Err(error) => Some(not_reached(&error)),
    }
}

/// An error as what it means for other peers.
#[must_use]
pub fn not_reached(error: &Error) -> NotReached {
    NotReached {
        fault: error.fault(),
        is_refused: error.disposition() == Disposition::Fatal,
    }
}

/// The connection is encrypted, or goes no further than this machine.
pub(super) async fn check_tls(session: &mut Session, endpoint: &DatabaseSpec, side: &str) -> Result<Finding, Error> {
    let object = format!("connection to the {side}");
    let status = session
        .first::<(String, String)>("SHOW SESSION STATUS LIKE 'Ssl_version'")
        .await?;
    let protocol = status.map(|(_, value)| value).unwrap_or_default();
    if !protocol.is_empty() {
        return Ok(Finding::ok("PEER1801", object, protocol));
    }
    if is_loopback(&endpoint.host) {
        return Ok(Finding::ok("PEER1801", object, "not encrypted, within one machine"));
    }
    let fix = format!(
        "tls = \"required\" under [{}] in the job, on a server with TLS",
        section(side)
    );
    Ok(Finding::bad(
        Severity::Warn,
        "PEER1801",
        object,
        "not encrypted",
        "TLS: rows and the password's hash cross the network",
        fix,
    ))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn section(side: &str) -> &'static str {
    if side == "source" { "source" } else { "sink" }
}

/// A job's text is in the table of every peer, on its disk too.
pub(super) fn check_secret(endpoint: &DatabaseSpec, side: &str) -> Finding {
    let object = format!("password for the {side}");
    match &endpoint.password {
        Secret::Text(text) if !text.is_empty() => Finding::bad(
            Severity::Warn,
            "PEER1802",
            object,
            "it stands in the job's text, which every peer keeps",
            "a file or variable of the peers that log in",
            format!(
                "password = {{ file = \"/etc/peer/{side}.password\" }} under [{}]",
                section(side)
            ),
        ),
        Secret::Text(_) => Finding::bad(
            Severity::Warn,
            "PEER1802",
            object,
            format!("`{}` has none", endpoint.user),
            "an account with a password",
            format!("ALTER USER {} IDENTIFIED BY '…'", quote::text(&endpoint.user)),
        ),
        Secret::Env(_) | Secret::File(_) => Finding::ok("PEER1802", object, "not in the job's text"),
    }
}

/// The kind of server.
pub(super) fn check_version(object: &str, version: &str) -> Finding {
    let object = format!("version of {object}");
    if version.to_lowercase().contains("mariadb") || numbers(version) < VERSION_MIN {
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

/// The first two numbers of a version.
pub(super) fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The account may read the binlog.
pub(super) fn check_replication(grants: &Grants, endpoint: &DatabaseSpec) -> Finding {
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
    let fix = grant(&missing, "*.*", grants);
    Finding::bad(
        Severity::Fail,
        "PEER1360",
        object,
        format!("no {missing}"),
        SOURCE_PRIVILEGES.join(", "),
        fix,
    )
}

/// The end of the binlog can be asked for.
pub(super) async fn check_position(session: &mut Session, grants: &Grants) -> Finding {
    let object = "binlog position of the source";
    match binlog_end(session).await {
        Ok(end) => Finding::ok("PEER1361", object, format!("{}:{}", end.file, end.offset)),
        Err(error) => refused("PEER1361", object, &error, &grant("REPLICATION CLIENT", "*.*", grants)),
    }
}

/// What the account may do in a schema of the target; `tables` are those of the job there.
pub(super) fn check_schema_grants(grants: &Grants, schema: &str, tables: &[&TableName], spec: &JobSpec) -> Finding {
    let endpoint = &spec.sink.endpoint;
    let object = format!("privileges of `{}` on schema `{schema}` of the target", endpoint.user);
    let lacks = |privilege: &&str| {
        let is_on_all = grants.has(privilege, schema);
        let is_on_each = !tables.is_empty() && tables.iter().all(|table| grants.has_on_table(privilege, table));
        !is_on_all && !is_on_each
    };
    let rows: Vec<&str> = ROW_PRIVILEGES.into_iter().filter(lacks).collect();
    let definitions: Vec<&str> = DEFINITION_PRIVILEGES.into_iter().filter(lacks).collect();
    let missing = [rows.clone(), definitions].concat().join(", ");
    if missing.is_empty() {
        return Finding::ok("PEER1366", object, "all that is needed");
    }
    // On some tables only, or before their names are known, the account may still do all that is needed.
    let is_certain = !rows.is_empty() && !grants.has_any_on_tables(schema);
    let severity = if is_certain { Severity::Fail } else { Severity::Warn };
    let expected = [ROW_PRIVILEGES.as_slice(), &DEFINITION_PRIVILEGES].concat().join(", ");
    let fix = grant(&missing, &format!("{}.*", quote::identifier(schema)), grants);
    Finding::bad(severity, "PEER1366", object, format!("no {missing}"), expected, fix)
}

/// What the account may do in the schema of empty tables, on which a change of definitions is tried before it is carried out.
pub(super) fn check_shadow_grants(grants: &Grants, spec: &JobSpec) -> Finding {
    let schema = shadow_schema(&spec.sink.meta_schema);
    let object = format!(
        "privileges of `{}` on schema `{schema}` of the target",
        spec.sink.endpoint.user
    );
    let lacks = |privilege: &&str| !grants.has(privilege, &schema);
    let missing: Vec<&str> = DEFINITION_PRIVILEGES.into_iter().filter(lacks).collect();
    if missing.is_empty() {
        return Finding::ok("PEER1366", object, "all that is needed");
    }
    let missing = missing.join(", ");
    let fix = grant(&missing, &format!("{}.*", quote::identifier(&schema)), grants);
    let expected = format!(
        "{}: else a change of definitions ends the job",
        DEFINITION_PRIVILEGES.join(", ")
    );
    Finding::bad(Severity::Warn, "PEER1366", object, format!("no {missing}"), expected, fix)
}

/// The statement that gives the session's account what it lacks.
pub(super) fn grant(privileges: &str, on: &str, grants: &Grants) -> String {
    format!("GRANT {privileges} ON {on} TO {}", grants.account())
}

/// A statement that the server refused, as a finding.
pub(super) fn refused(id: &str, object: &str, error: &Error, fix: &str) -> Finding {
    let (found, expected) = match error {
        Error::Unsuitable { found, expected, .. } => (found.clone(), expected.clone()),
        other => (other.to_string(), "an answer".to_owned()),
    };
    Finding::bad(Severity::Fail, id, object, found, expected, fix)
}

/// What came of a check that asks for more than every account may see: what the server refuses is told, not a reason to stop.
pub(super) fn settle((id, object): Check, outcome: Result<Vec<Finding>, Error>) -> Result<Vec<Finding>, Error> {
    match outcome {
        Err(error) if error.disposition() == Disposition::Fatal => Ok(vec![Finding::bad(
            Severity::Warn,
            id,
            object,
            format!("it could not be looked at: {error}"),
            "a look at it",
            error.fix(),
        )]),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
