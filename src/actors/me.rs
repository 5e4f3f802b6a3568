//! Who this peer is and what it reaches: what every actor that starts tasks needs, in one clonable value.
//!
//! Made by `node`. Holds no decision.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use crate::actors::link_rates::LinkRates;
use crate::actors::ports::Clock;
use crate::core::ids::{Boot, ClusterId, JobName, NodeId};
use crate::core::member::Roster;
use crate::flow::window_budget::WindowBudget;
use crate::gossip::keys::{Fact, TaskKind};
use crate::gossip::membership::Membership;
use crate::store::spill::SpillFolder;
use crate::transport::endpoint::Endpoint;

/// Share of `limits.memory` that one job's link may hold in flight: the sink's window, and as much again in the source's
/// channels. Trades the throughput of one job on a long link against how many jobs fit.
const WINDOW_SHARE: u64 = 8;
/// Share that the windows of all jobs may grow by together, on links that hold more (`core::link_window`).
const GROWTH_SHARE: u64 = 4;

/// This peer.
#[derive(Clone)]
pub struct Me {
    /// Identity.
    pub node: NodeId,
    /// Label.
    pub name: String,
    /// Which start of the store this is.
    pub boot: Boot,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Digest of the cluster's CA.
    pub cluster_id: ClusterId,
    /// `limits.memory` in bytes.
    pub memory_bytes: u64,
    /// What the windows of its jobs may grow by.
    pub windows: WindowBudget,
    /// `limits.link_rate`.
    pub link_rates: LinkRates,
    /// QUIC.
    pub endpoint: Endpoint,
    /// Gossip.
    pub membership: Membership,
    /// For rows that wait longer than memory should.
    pub spill: SpillFolder,
    /// Time.
    pub clock: Clock,
}

impl Me {
    /// Everybody, as seen from here.
    #[must_use]
    pub fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.membership.roster()
    }

    /// What windows may grow by under this `limits.memory`.
    #[must_use]
    pub fn window_budget(memory_bytes: u64) -> WindowBudget {
        WindowBudget::new(memory_bytes / GROWTH_SHARE)
    }

    /// Bytes of unacknowledged frames one sink grants its source, before its link is known.
    #[must_use]
    pub fn window_bytes(&self) -> u64 {
        (self.memory_bytes / WINDOW_SHARE).max(1024 * 1024)
    }

    /// Tells the others a fact; a refused one is logged, the old value stays.
    pub fn publish(&self, fact: &Fact) {
        if let Err(error) = self.membership.set(fact) {
            warn!(%error, "fact was not gossiped");
        }
    }

    /// Takes back what was told of a task.
    pub fn withdraw_sink(&self, job: &JobName) {
        if let Err(error) = self.membership.clear_task(job, TaskKind::Sink) {
            warn!(%error, "fact was not taken back");
        }
    }
}
