//! Sessions that the job's earlier owner left on the target: whoever takes the job over ends them first (PROCESSLIST, KILL), which needs no
//! privilege among sessions of one account.

use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::JobSpec;
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::preflight::access::grant;
use crate::mysql::preflight::source_tables::list;
use crate::mysql::quote;
use crate::mysql::session::Session;

/// Rights with which sessions of other accounts can be ended.
const KILLERS: [&str; 2] = ["CONNECTION_ADMIN", "SUPER"];

/// The account may end what is there.
pub(super) async fn check(session: &mut Session, spec: &JobSpec, grants: &Grants) -> Result<Finding, Error> {
    let object = "sessions of the job on the target";
    let foreign = foreign(session, spec).await?;
    if foreign.is_empty() {
        return Ok(Finding::ok("PEER1831", object, "none of another account"));
    }
    let found = format!("{} of another account than `{}`", list(&foreign), spec.sink.endpoint.user);
    if KILLERS.iter().any(|right| grants.has_global(right)) {
        return Ok(Finding::ok("PEER1831", object, format!("{found}, which it may end")));
    }
    Ok(Finding::bad(
        Severity::Warn,
        "PEER1831",
        object,
        found,
        "sessions of one account, or the right to end them: a peer that takes the job over ends them first, and fails without",
        format!(
            "{}; -- and SYSTEM_USER when the other account has it; or stop the job before its account is changed",
            grant(KILLERS[0], "*.*", grants)
        ),
    ))
}

/// Registered sessions that still are there, and are another account's.
async fn foreign(session: &mut Session, spec: &JobSpec) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT conn_id FROM {} WHERE job = {} AND IS_USED_LOCK(lock_name) = conn_id",
        quote::qualified(&spec.sink.meta_schema, "session"),
        quote::text(&spec.name.0)
    );
    // Without its tables, or a look at them, the job has none.
    let Ok(alive) = session.rows::<u64>(sql).await else {
        return Ok(Vec::new());
    };
    if alive.is_empty() {
        return Ok(Vec::new());
    }
    // An account sees its own sessions without any privilege.
    let rows = session.rows::<mysql_async::Row>("SHOW PROCESSLIST").await?;
    let is_own = |conn_id: &u64| {
        rows.iter().any(|row| {
            let user = row.get::<Option<String>, _>("User").flatten();
            row.get::<u64, _>("Id") == Some(*conn_id) && user.as_deref() == Some(spec.sink.endpoint.user.as_str())
        })
    };
    Ok(alive
        .iter()
        .filter(|conn_id| !is_own(conn_id))
        .map(ToString::to_string)
        .collect())
}
