//! How many peers and jobs there are in each state, for `/metrics`.
//!
//! Counted when a scraper asks, from the same answers as `members` and `jobs`: never older than the scrape, nothing to do
//! in between. Every peer tells the whole cluster as it sees it; a sum over peers means nothing.

use crate::admin::cluster::Cluster;
use crate::admin::views::{JobPhase, MemberStanding};
use crate::telemetry::metrics::{GaugeGuard, JOB_TABLE_JOBS, MEMBERSHIP_PEERS};

/// The gauges of one door: one per state, always all of them, so that the labels are bounded and a state that emptied
/// reads 0.
pub struct Census {
    peers: Vec<(MemberStanding, GaugeGuard)>,
    jobs: Vec<(JobPhase, GaugeGuard)>,
}

impl Census {
    /// Nothing was counted yet.
    #[must_use]
    pub fn new() -> Self {
        let peers = MemberStanding::ALL.into_iter();
        let jobs = JobPhase::ALL.into_iter();
        Self {
            peers: peers.map(|state| (state, MEMBERSHIP_PEERS.of(state.word()))).collect(),
            jobs: jobs.map(|state| (state, JOB_TABLE_JOBS.of(state.word()))).collect(),
        }
    }

    /// Counts. What the cluster refuses to tell stays as it was.
    pub async fn take(&self, cluster: &dyn Cluster) {
        if let Ok(view) = cluster.members().await {
            for (state, gauge) in &self.peers {
                gauge.set(view.members.iter().filter(|member| member.state == *state).count() as f64);
            }
        }
        if let Ok(view) = cluster.jobs().await {
            for (state, gauge) in &self.jobs {
                gauge.set(view.jobs.iter().filter(|job| job.state == *state).count() as f64);
            }
        }
    }
}

impl Default for Census {
    fn default() -> Self {
        Self::new()
    }
}
