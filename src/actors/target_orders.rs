//! What people may ask of a job's target through any peer that reaches it, owner or not: shut, adopt, forget.
//!
//! Called by the command layer through `PeerHandle`. Bounded in time; what is asked twice is done once more and harms nothing.
//! Starts no task.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use crate::actors::handle::PeerHandle;
use crate::actors::table_keeper::{Change, ChangeError};
use crate::core::ids::{Epoch, JobId, Life};
use crate::core::job_record::{Claim, JobRecord};
use crate::core::job_spec::SinkSpec;
use crate::mysql::error::Error;
use crate::mysql::target::fence::AcquireRequest;
use crate::mysql::target::purge::{self, Ended};

/// How long the target may take. With the table's own changes it stays below what a door waits (10 s); ending a session that
/// rolls back much takes longer, and then the order is given again.
const TARGET_TIME_MAX: Duration = Duration::from_secs(6);

/// Why an order was not carried out, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The target refused, or is out of reach from here.
    #[error(transparent)]
    Target(#[from] Error),
    /// The target was shut, but the others were not told.
    #[error(transparent)]
    Table(#[from] ChangeError),
}

impl PeerHandle {
    /// Ends the job's owner in the target, and those of earlier incarnations, and tells the others by which epoch. None: nobody
    /// ever wrote there.
    ///
    /// # Errors
    /// The target is not reached from here or refuses; or the job table could not take the epoch.
    pub async fn shut_target(&self, record: &JobRecord, sink: &SinkSpec) -> Result<Option<Ended>, OrderError> {
        let request = self.request(id_of(record), record.life().clone());
        let shut = async {
            let ended = purge::shut_out(sink, &request).await?;
            for (job, life) in purge::earlier(sink, &request).await? {
                purge::shut_out(sink, &self.request(job, life)).await?;
            }
            Ok(ended)
        };
        let Some(ended) = in_time(sink, shut).await? else {
            return Ok(None);
        };
        // Who hears this claim may go on above its epoch; who does not is kept out.
        let claim = Claim {
            inc: record.inc,
            epoch: ended.epoch,
            is_released: true,
            src_epoch: ended.before.src_epoch,
            owner: self.me.node.clone(),
            owner_name: self.me.name.clone(),
            boot: self.me.boot,
            life: record.life().clone(),
            target_uuid: ended.target_uuid.clone(),
            spec: record.newest_spec().map(|(dot, _)| dot.clone()).unwrap_or_default(),
            at: self.me.clock.wall_text(),
            ..Claim::default()
        };
        let (record, _) = self.change(&record.name, Change::Claim(Box::new(claim))).await?;
        self.spread(&record).await;
        Ok(Some(ended))
    }

    /// Makes progress that another cluster or life left for this job's own. None: nothing to adopt.
    ///
    /// # Errors
    /// The target is not reached from here or refuses.
    pub async fn adopt_in_target(&self, job: JobId, life: Life, sink: &SinkSpec) -> Result<Option<Ended>, OrderError> {
        Ok(in_time(sink, purge::adopt(sink, &self.request(job, life))).await?)
    }

    /// Forgets the job's rows in the target, those of earlier incarnations too. False: there were none.
    ///
    /// # Errors
    /// The target is not reached from here or refuses.
    pub async fn purge_target(&self, record: &JobRecord, sink: &SinkSpec) -> Result<bool, OrderError> {
        let request = self.request(id_of(record), record.life().clone());
        let forget = async {
            let mut forgot = purge::purge(sink, &request.job).await?;
            for (job, _) in purge::earlier(sink, &request).await? {
                forgot |= purge::purge(sink, &job).await?;
            }
            Ok(forgot)
        };
        Ok(in_time(sink, forget).await?)
    }

    fn request(&self, job: JobId, life: Life) -> AcquireRequest {
        AcquireRequest {
            job,
            cluster_id: self.me.cluster_id.clone(),
            life,
            owner: self.me.node.clone(),
            owner_name: self.me.name.clone(),
            boot: self.me.boot,
            epoch_seen: Epoch(0),
        }
    }
}

fn id_of(record: &JobRecord) -> JobId {
    JobId {
        name: record.name.clone(),
        inc: record.inc,
    }
}

async fn in_time<T>(sink: &SinkSpec, order: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(TARGET_TIME_MAX, order).await.unwrap_or_else(|_| {
        Err(Error::TimedOut {
            address: format!("{}:{}", sink.endpoint.host, sink.endpoint.port),
            operation: "carry out the order",
            limit: TARGET_TIME_MAX,
        })
    })
}
