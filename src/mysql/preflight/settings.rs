//! Variables of the source's server that decide what its binary log holds, each with the statement that sets it right.

use crate::core::finding::{Finding, Severity};
use crate::mysql::error::Error;
use crate::mysql::session::Session;

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

/// It works otherwise too, at a price that the page of the finding tells.
const fn costly(id: &'static str, name: &'static str, expected: &'static str) -> Setting {
    Setting {
        severity: Severity::Warn,
        ..fatal(id, name, expected, true)
    }
}

const SOURCE_SETTINGS: [Setting; 7] = [
    fatal("PEER1353", "log_bin", "ON", false),
    fatal("PEER1354", "gtid_mode", "ON", true),
    fatal("PEER1355", "enforce_gtid_consistency", "ON", true),
    fatal("PEER1356", "binlog_format", "ROW", true),
    costly("PEER1357", "binlog_row_image", "FULL"),
    costly("PEER1358", "binlog_row_value_options", ""),
    // Off, the binlog's order is not that of visibility: PROTOCOLS 1 and 8.
    fatal("PEER1359", "binlog_order_commits", "ON", true),
];

/// Without it a damaged event may pass for a good one.
const CHECKSUM: Setting = Setting {
    id: "PEER1803",
    name: "binlog_checksum",
    expected: "CRC32",
    severity: Severity::Warn,
    is_dynamic: true,
};

/// What a job cannot be begun without.
pub(super) async fn check(session: &mut Session) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for setting in &SOURCE_SETTINGS {
        findings.push(check_setting(session, setting).await?);
    }
    Ok(findings)
}

/// The binlog's own guard against damage.
pub(super) async fn check_checksum(session: &mut Session) -> Result<Finding, Error> {
    check_setting(session, &CHECKSUM).await
}

async fn check_setting(session: &mut Session, setting: &Setting) -> Result<Finding, Error> {
    let Setting { id, name, expected, .. } = *setting;
    // A server without the variable behaves as the expected value says: each was introduced with that default.
    let Some(found) = global(session, name).await? else {
        return Ok(Finding::ok(id, name, "not known to this server"));
    };
    if found.eq_ignore_ascii_case(expected) {
        return Ok(Finding::ok(id, name, if found.is_empty() { "none" } else { expected }));
    }
    let fix = fix(setting, &found);
    let expected = if expected.is_empty() { "none" } else { expected };
    Ok(Finding::bad(setting.severity, id, name, found, expected, fix))
}

fn fix(setting: &Setting, found: &str) -> String {
    let Setting { name, expected, .. } = *setting;
    match name {
        "gtid_mode" => gtid_steps(found),
        // ON is refused while a statement that breaks the rule is under way.
        "enforce_gtid_consistency" => "SET PERSIST enforce_gtid_consistency = ON".to_owned(),
        "binlog_checksum" | "binlog_order_commits" => format!("SET PERSIST {name} = {expected}"),
        _ if setting.is_dynamic => format!("SET PERSIST {name} = '{expected}'; -- then let the clients connect anew"),
        _ => format!("start the server with {name} = {expected}"),
    }
}

/// A server goes from one mode to the next only, and to the last one when no transaction without a GTID is left.
fn gtid_steps(found: &str) -> String {
    let modes = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"];
    let at = modes.iter().position(|mode| mode.eq_ignore_ascii_case(found)).unwrap_or(0);
    let steps: Vec<String> = modes[at + 1..]
        .iter()
        .map(|mode| format!("SET PERSIST gtid_mode = {mode}"))
        .collect();
    format!(
        "SET PERSIST enforce_gtid_consistency = ON; {}; -- the last one once ongoing_anonymous_transaction_count is 0",
        steps.join("; ")
    )
}

/// A global variable as text; None: the server does not know it.
pub(super) async fn global(session: &mut Session, name: &str) -> Result<Option<String>, Error> {
    let sql = format!("SHOW GLOBAL VARIABLES LIKE '{}'", name.replace('_', "\\_"));
    let row = session.first::<(String, String)>(sql).await?;
    Ok(row.map(|(_, value)| value))
}

/// A global variable that is a number.
pub(super) async fn global_number(session: &mut Session, name: &str) -> Result<Option<u64>, Error> {
    Ok(global(session, name).await?.and_then(|value| value.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_led_to_gtids_step_by_step_from_where_it_is() {
        let steps = |found| gtid_steps(found).matches("gtid_mode").count();
        assert_eq!((steps("OFF"), steps("OFF_PERMISSIVE"), steps("ON_PERMISSIVE")), (3, 2, 1));
    }
}
