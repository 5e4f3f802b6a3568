//! What a job's target holds of it, for people: where it stands and which rows did not fit. Owns and changes nothing.
//!
//! Called by `actors::target_look` on any peer that reaches the target, whoever owns the job and while nobody does.

use crate::core::conflict::{ConflictList, TargetLook};
use crate::core::gtid_set::GtidSet;
use crate::core::ids::JobId;
use crate::core::job_spec::SinkSpec;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::target::conflict_store;
use crate::mysql::target::meta::{Meta, of_job};

/// Looks.
///
/// # Errors
/// The target is not reached from here, or is not readable.
pub async fn look(spec: &SinkSpec, job: &JobId) -> Result<TargetLook, Error> {
    let meta = Meta::new(&spec.meta_schema);
    let mut session = Session::connect(&spec.endpoint).await?;
    if !meta.exists(&mut session).await? {
        session.close().await;
        return Ok(TargetLook::default());
    }
    let sql = format!("SELECT gtid_set FROM {} WHERE {}", meta.table("progress"), of_job(job));
    let text: Option<String> = session.first(sql).await?;
    let executed = GtidSet::parse(&text.unwrap_or_default())
        .map_err(|error| session.unexpected(error.to_string(), "a GTID set in progress"))?;
    let list: ConflictList = conflict_store::read(&mut session, &meta, job).await?;
    session.close().await;
    Ok(TargetLook { executed, list })
}
