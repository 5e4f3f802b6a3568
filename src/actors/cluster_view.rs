//! Everybody and what they tell, at one moment, as this peer sees it.

use std::sync::Arc;

use crate::core::member::Roster;
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
}
