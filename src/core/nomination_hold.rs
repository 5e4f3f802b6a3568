//! The hold of a peer that woke late: it nominates itself for nothing until it has fresh news of the others.
//!
//! Used by `core::nomination` alone, which tells it of news and of time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::ids::NodeId;

/// Longest hold of nominations after waking late, and signs of life wanted of each peer meanwhile.
pub const HOLD: Duration = Duration::from_secs(3);
const HEARD_MIN: u8 = 2;

/// After waking late: nominations wait for fresh news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    until: Duration,
    wanted: BTreeMap<NodeId, u8>,
}

impl Hold {
    /// Begins now and waits for news of these peers.
    #[must_use]
    pub fn new(live: &[NodeId], now: Duration) -> Self {
        Self {
            until: now + HOLD,
            wanted: live.iter().map(|id| (id.clone(), 0)).collect(),
        }
    }

    /// Notes news made by that peer.
    pub fn heard(&mut self, id: &NodeId) {
        if let Some(times) = self.wanted.get_mut(id) {
            *times = times.saturating_add(1);
        }
    }

    /// Every peer was heard often enough.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.wanted.values().all(|times| *times >= HEARD_MIN)
    }

    /// It has lasted long enough, whoever is silent.
    #[must_use]
    pub fn is_over(&self, now: Duration) -> bool {
        now >= self.until
    }
}
