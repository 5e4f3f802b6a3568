//! Everybody and what they tell, at one moment, as this peer sees it.

use std::sync::Arc;

use crate::actors::task_report::TaskBrief;
use crate::core::ids::{JobName, NodeId};
use crate::core::member::Roster;
use crate::gossip::keys::TaskKind;
use crate::gossip::membership::Membership;
use crate::gossip::view::PeerFacts;

/// The roster and the facts that go with it.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Members, this peer first.
    pub roster: Arc<Roster>,
    /// What each of them tells.
    pub facts: Arc<Vec<PeerFacts>>,
}

impl ClusterView {
    /// What gossip shows now.
    #[must_use]
    pub fn of(membership: &Membership) -> Self {
        Self {
            roster: membership.roster().borrow().clone(),
            facts: membership.facts().borrow().clone(),
        }
    }

    /// This peer is heard of.
    #[must_use]
    pub fn is_live(&self, id: &NodeId) -> bool {
        self.facts.iter().any(|peer| peer.id == *id && peer.is_live())
    }

    /// How many peers are heard of, this one included.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.facts.iter().filter(|peer| peer.is_live()).count()
    }

    /// Live peers that run a sink of this job, and what they tell of it.
    pub fn sinks<'a>(&'a self, job: &'a JobName) -> impl Iterator<Item = (&'a NodeId, TaskBrief)> {
        let live = self.facts.iter().filter(|peer| peer.is_live());
        live.flat_map(move |peer| {
            let tasks = peer
                .tasks
                .iter()
                .filter(move |task| task.job == *job && task.kind == TaskKind::Sink);
            tasks.filter_map(move |task| Some((&peer.id, serde_json::from_str(&task.state).ok()?)))
        })
    }
}
