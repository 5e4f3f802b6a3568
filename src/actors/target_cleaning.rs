//! Forgets a purged job's progress in its target. A target out of reach keeps rows that no later incarnation sees.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use crate::core::ids::JobId;
use crate::core::job_spec::SinkSpec;
use crate::mysql::target::purge::purge;

/// How long a target may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Ends the job's owner in the target and deletes its rows there.
pub async fn clean_target(job: JobId, sink: SinkSpec) {
    match timeout(TIME_MAX, purge(&sink, &job)).await {
        Ok(Ok(_)) => info!(job = %job, "progress was removed from the target"),
        Ok(Err(error)) => warn!(job = %job, %error, "progress stays in the target"),
        Err(_) => warn!(job = %job, "progress stays in the target: it did not answer"),
    }
}
