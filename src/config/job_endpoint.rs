//! The `[source]` and `[sink]` tables of job.toml: how to reach a database, where to start.
//!
//! Called by `config::job`. Passwords are read here and never printed.

use toml::de::DeValue;

use crate::config::document::{Found, Section};
use crate::config::fault_list::FaultList;
use crate::core::change::BinlogPosition;
use crate::core::gtid_set::GtidSet;
use crate::core::job_spec::{DatabaseSpec, Secret, StartPoint, TlsMode};

/// Keys that both kinds of endpoint share.
pub(crate) const ENDPOINT_KEYS: [&str; 11] = [
    "kind",
    "host",
    "port",
    "user",
    "password",
    "tls",
    "ca",
    "constraint",
    "affinity",
    "spread",
    "meta_schema",
];

const TLS_MODES: [(&str, TlsMode); 5] = [
    ("preferred", TlsMode::Preferred),
    ("disabled", TlsMode::Disabled),
    ("required", TlsMode::Required),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-identity", TlsMode::VerifyIdentity),
];

/// Reads how to reach the database; None after a fault.
pub(crate) fn database(section: &Section<'_, '_>, kinds: &[&str], faults: &mut FaultList) -> Option<DatabaseSpec> {
    if let Some(kind) = section.word("kind", kinds, faults)
        && kind.value != "mysql"
    {
        faults.later(&kind.key, kind.at, &format!("`{}`", kind.value), "`mysql`");
    }
    let host = section.required_text("host", "127.0.0.1", faults);
    if let Some(host) = &host
        && host.value.contains(|c: char| c.is_whitespace() || c == '/')
    {
        faults.value(
            host,
            &format!("`{}`", host.value),
            "a host name or address, without port or scheme",
            "host = \"10.0.0.9\"",
        );
    }
    let port = section
        .number("port", (1, 65535), 3306, faults)
        .map_or(3306, |port| port.value);
    let user = section.required_text("user", "repl", faults);
    let password = password(section, faults);
    let (tls, tls_ca) = tls(section, faults);
    Some(DatabaseSpec {
        host: host?.value,
        port: u16::try_from(port).expect("the bounds were checked"),
        user: user?.value,
        password: password?,
        tls,
        tls_ca,
    })
}

fn password(section: &Section<'_, '_>, faults: &mut FaultList) -> Option<Secret> {
    const EXPECTED: &str = "a string, { env = \"NAME\" } or { file = \"/path\" }";
    const FIX: &str = "password = { env = \"PEER_PASSWORD\" }";
    let Some(node) = section.node("password") else {
        return Some(Secret::Text(String::new()));
    };
    match node.get_ref() {
        DeValue::String(text) => Some(Secret::Text(text.to_string())),
        DeValue::Table(_) => {
            let table = Section::of(section.full("password"), node, &["env", "file"], faults);
            let env = table.text("env", "PEER_PASSWORD", faults);
            let file = table.text("file", "/run/secrets/peer", faults);
            match (env, file) {
                (Some(env), None) if is_variable(&env.value) => Some(Secret::Env(env.value)),
                (Some(env), None) => {
                    faults.value(&env, "not the name of a variable", "letters, digits and _", FIX);
                    None
                }
                (None, Some(file)) if file.value.starts_with('/') => Some(Secret::File(file.value)),
                (None, Some(file)) => {
                    faults.value(
                        &file,
                        "a relative path",
                        "an absolute path on the peer that runs the task",
                        FIX,
                    );
                    None
                }
                (both, _) => {
                    let found = if both.is_some() {
                        "both `env` and `file`"
                    } else {
                        "neither a valid `env` nor a valid `file`"
                    };
                    faults.value(&section.found("password", node, ()), found, EXPECTED, FIX);
                    None
                }
            }
        }
        _ => {
            faults.wrong_type(&section.full("password"), node, EXPECTED, FIX);
            None
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn tls(section: &Section<'_, '_>, faults: &mut FaultList) -> (TlsMode, Option<String>) {
    let found = section.word("tls", &TLS_MODES.map(|(word, _)| word), faults);
    let mode = found
        .as_ref()
        .and_then(|found| TLS_MODES.iter().find(|(word, _)| *word == found.value));
    let mode = mode.map_or(TlsMode::default(), |(_, mode)| *mode);
    let ca = section.text("ca", "/etc/peer/mysql-ca.pem", faults);
    let verifies = matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
    match (&found, &ca) {
        (Some(found), None) if verifies => {
            let fix = "ca = \"/etc/peer/mysql-ca.pem\"";
            faults.value(
                found,
                &format!("`{}` without `ca`", found.value),
                "a `ca` file to verify against",
                fix,
            );
        }
        (_, Some(ca)) if !verifies => {
            faults.value(
                ca,
                "a `ca` that nothing verifies against",
                "tls = verify-ca or verify-identity",
                "tls = \"verify-ca\"",
            );
        }
        (_, Some(ca)) if !ca.value.starts_with('/') => {
            faults.value(
                ca,
                "a relative path",
                "an absolute path on the peer that runs the task",
                "ca = \"/etc/peer/ca.pem\"",
            );
        }
        _ => {}
    }
    (mode, ca.map(|ca| ca.value))
}

/// Reads `start`.
pub(crate) fn start(section: &Section<'_, '_>, faults: &mut FaultList) -> StartPoint {
    const WORDS: [&str; 3] = ["snapshot", "now", "snapshot-only"];
    let Some(node) = section.node("start") else {
        return StartPoint::Snapshot;
    };
    if node.get_ref().as_table().is_some() {
        let table = Section::of(section.full("start"), node, &["gtid", "file", "position"], faults);
        return start_table(&table, node.span().start, faults).unwrap_or(StartPoint::Snapshot);
    }
    match section.word("start", &WORDS, faults) {
        Some(found) if found.value == "now" => StartPoint::Now,
        Some(found) if found.value == "snapshot-only" => StartPoint::SnapshotOnly,
        _ => StartPoint::Snapshot,
    }
}

/// `{ gtid = … }` or `{ file = …, position = … }`; None after a fault.
fn start_table(table: &Section<'_, '_>, at: usize, faults: &mut FaultList) -> Option<StartPoint> {
    const FIX: &str = "start = \"snapshot\"";
    let gtid = table.text("gtid", "3E11FA47-71CA-11E1-9E33-C80AA9429562:1-140", faults);
    let file = table.filled_text("file", "binlog.000003", faults);
    let position = table.number("position", (4, u64::MAX), 157, faults);
    match (gtid, file, position) {
        (Some(gtid), None, None) => match GtidSet::parse(&gtid.value) {
            Ok(set) => Some(StartPoint::Gtid(set)),
            Err(error) => {
                faults.value(&gtid, &format!("`{}`: {error}", gtid.value), "a GTID set", FIX);
                None
            }
        },
        (None, Some(file), Some(position)) => Some(StartPoint::File(BinlogPosition {
            file: file.value,
            offset: position.value,
        })),
        _ => {
            let place = Found {
                value: (),
                key: table.place().0,
                at,
            };
            let expected = "{ gtid = … } or { file = …, position = … }";
            faults.value(&place, "an incomplete or mixed start", expected, FIX);
            None
        }
    }
}
