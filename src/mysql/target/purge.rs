//! Looking at, shutting, adopting and forgetting a job's rows in a target, without owning it.
//!
//! Called by placement (who owns it, is the owner alive) and for `stop --fence`, `submit --adopt`, `purge --target`. All three
//! end the owner first.

use crate::core::ids::{Epoch, Incarnation, JobId, Life};
use crate::core::job_spec::SinkSpec;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::fence::{self, AcquireRequest, FenceRow};
use crate::mysql::target::fence_orders;
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

/// Earlier incarnations of the job of which this cluster has rows in the target, each with its life: their purge did not reach
/// it, so an owner that has not heard of that may still write.
pub async fn earlier(spec: &SinkSpec, request: &AcquireRequest) -> Result<Vec<(JobId, Life)>, Error> {
    let meta = Meta::new(&spec.meta_schema);
    let mut session = Session::connect(&spec.endpoint).await?;
    let mut rows: Vec<(u64, String)> = Vec::new();
    if meta.exists(&mut session).await? {
        let sql = format!(
            "SELECT inc, life FROM {} WHERE job = {} AND inc < {} AND cluster_id = {} ORDER BY inc",
            meta.table("fence"),
            quote::text(&request.job.name.0),
            request.job.inc,
            quote::text(&request.cluster_id.0)
        );
        rows = session.rows(sql).await?;
    }
    session.close().await;
    let id = |inc| JobId {
        name: request.job.name.clone(),
        inc: Incarnation(inc),
    };
    Ok(rows.into_iter().map(|(inc, life)| (id(inc), Life(life))).collect())
}

/// What `shut_out` and `adopt` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The row as it was.
    pub before: FenceRow,
    /// The epoch it has now, which belongs to nobody.
    pub epoch: Epoch,
    /// `server_uuid` of the target.
    pub target_uuid: String,
}

/// Ends the job's owner and takes nobody from now on who has not heard of it. None: nobody ever wrote there.
pub async fn shut_out(spec: &SinkSpec, request: &AcquireRequest) -> Result<Option<Ended>, Error> {
    let meta = Meta::new(&spec.meta_schema);
    let mut session = Session::connect(&spec.endpoint).await?;
    fence::prepare_control(&mut session).await?;
    let ended = match meta.exists(&mut session).await? {
        true => fence_orders::shut(&mut session, &meta, request).await?,
        false => None,
    };
    told(session, ended).await
}

/// Makes progress of another cluster or life this life's. None: there is none, or it is this life's already.
pub async fn adopt(spec: &SinkSpec, request: &AcquireRequest) -> Result<Option<Ended>, Error> {
    let meta = Meta::new(&spec.meta_schema);
    let mut session = Session::connect(&spec.endpoint).await?;
    fence::prepare_control(&mut session).await?;
    let ended = match meta.exists(&mut session).await? {
        true => fence_orders::adopt(&mut session, &meta, request).await?,
        false => None,
    };
    told(session, ended).await
}

async fn told(mut session: Session, ended: Option<(FenceRow, Epoch)>) -> Result<Option<Ended>, Error> {
    let target_uuid = session.first::<String>("SELECT @@server_uuid").await?.unwrap_or_default();
    session.close().await;
    Ok(ended.map(|(before, epoch)| Ended {
        before,
        epoch,
        target_uuid,
    }))
}
