//! Looking at and forgetting a job's rows in a target, without owning it.
//!
//! Called by the job actor (who owns it, is the owner alive) and by `peer purge --target`. Purge ends the owner first.

use crate::core::ids::JobId;
use crate::core::job_spec::SinkSpec;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::target::fence::{self, FenceRow};
use crate::mysql::target::meta::{JOB_TABLES, Meta, of_job};

/// The fence row of a job; None when the target has none.
pub async fn read_fence(spec: &SinkSpec, job: &JobId) -> Result<Option<FenceRow>, Error> {
    let meta = Meta::new(&spec.meta_schema);
    let mut session = Session::connect(&spec.endpoint).await?;
    let row = if meta.exists(&mut session).await? {
        fence::read(&mut session, &meta, job).await?
    } else {
        None
    };
    session.close().await;
    Ok(row)
}

/// Ends the job's owner and forgets its progress. False: there was nothing.
pub async fn purge(spec: &SinkSpec, job: &JobId) -> Result<bool, Error> {
    let meta = Meta::new(&spec.meta_schema);
    let mut session = Session::connect(&spec.endpoint).await?;
    fence::prepare_control(&mut session).await?;
    let is_there = meta.exists(&mut session).await? && fence::end_owner(&mut session, &meta, job).await?;
    if is_there {
        let deletes = JOB_TABLES.map(|table| format!("DELETE FROM {} WHERE {}", meta.table(table), of_job(job)));
        session.execute(format!("BEGIN; {}; COMMIT", deletes.join("; "))).await?;
    }
    session.close().await;
    Ok(is_there)
}
