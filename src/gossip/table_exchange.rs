//! Keeps job tables equal: compares with every peer that (re)appears, then every few seconds with one that differs.
//!
//! One task, spawned by the job table's owner. It publishes the root hash of the table by gossip and reads those of the others,
//! so equal tables cost nothing. Fresh changes do not wait for it: the owner pushes them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::core::ids::NodeId;
use crate::core::stable_hash::hash64;
use crate::gossip::keys::Fact;
use crate::gossip::membership::Membership;
use crate::gossip::table_sync::{self, Table};
use crate::gossip::view::PeerFacts;
use crate::transport::endpoint::Endpoint;

/// How often it looks at its own table's hash and for new peers.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// Mean time between two comparisons with peers already compared with (facts 6.2).
const ROUND_PERIOD_MS: u64 = 5_000;
/// Rounds are up to this much shorter or longer, so that peers do not fall into step.
const JITTER_MS: u64 = 1_000;

/// Publishes the table's hash and repairs differences until cancelled.
pub async fn run(membership: Membership, endpoint: Endpoint, table: Arc<dyn Table>, cancel: CancellationToken) {
    let mut rounds = Rounds::new(endpoint.node_id().clone());
    let facts = membership.facts();
    let mut looks = interval(LOOK_PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_round = Instant::now() + rounds.pause();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = looks.tick() => {}
        }
        let root = table.root_hash();
        if let Err(error) = membership.set(&Fact::TableRoot(root.clone())) {
            tracing::warn!(%error, "hash of the job table not published");
        }
        let peers = Arc::clone(&facts.borrow());
        let is_round = Instant::now() >= next_round;
        if is_round {
            next_round = Instant::now() + rounds.pause();
        }
        let Some((peer, address)) = rounds.choose(&peers, &root, is_round) else {
            continue;
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            result = table_sync::compare(&endpoint, address, table.as_ref()) => match result {
                Ok(synced) => table_sync::report(&peer, &synced),
                Err(error) => {
                    tracing::debug!(%peer, %error, "job tables not compared");
                }
            }
        }
    }
}

/// Whom to compare with and when. Pure: varies by the hash of own id and a counter.
#[derive(Debug)]
struct Rounds {
    own: NodeId,
    count: u64,
    met: BTreeSet<NodeId>,
}

impl Rounds {
    fn new(own: NodeId) -> Self {
        Self {
            own,
            count: 0,
            met: BTreeSet::new(),
        }
    }

    /// A number that differs from peer to peer and from call to call.
    fn draw(&mut self) -> u64 {
        self.count += 1;
        hash64(&[self.own.0.as_bytes(), &self.count.to_be_bytes()])
    }

    fn pause(&mut self) -> Duration {
        Duration::from_millis(ROUND_PERIOD_MS - JITTER_MS + self.draw() % (2 * JITTER_MS))
    }

    /// Returns a live peer with another table: one not met since it (re)appeared, else any in a round.
    fn choose(&mut self, peers: &[PeerFacts], root: &str, is_round: bool) -> Option<(NodeId, SocketAddr)> {
        self.met
            .retain(|id| peers.iter().any(|peer| peer.id == *id && peer.is_live()));
        let differs = |peer: &&PeerFacts| {
            let theirs = peer.table_root.as_deref();
            !peer.is_self && peer.is_live() && theirs.is_some_and(|theirs| theirs != root)
        };
        let differing: Vec<&PeerFacts> = peers.iter().filter(differs).collect();
        let new: Vec<&PeerFacts> = differing
            .iter()
            .filter(|peer| !self.met.contains(&peer.id))
            .copied()
            .collect();
        let among = match (new.is_empty(), is_round) {
            (false, _) => new,
            (true, true) => differing,
            (true, false) => return None,
        };
        let at = self.draw() % u64::try_from(among.len()).unwrap_or(u64::MAX).max(1);
        let peer = among.get(usize::try_from(at).ok()?)?;
        self.met.insert(peer.id.clone());
        Some((peer.id.clone(), peer.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::member::MemberState;

    fn peer(id: &str, root: &str, state: MemberState) -> PeerFacts {
        PeerFacts {
            id: NodeId(id.into()),
            address: "127.0.0.1:7700".parse().unwrap(),
            state,
            leaving: None,
            table_root: Some(root.into()),
            tasks: Vec::new(),
            is_self: id == "own",
        }
    }

    fn chosen(rounds: &mut Rounds, peers: &[PeerFacts], is_round: bool) -> Option<String> {
        rounds.choose(peers, "r", is_round).map(|(id, _)| id.0)
    }

    #[test]
    fn a_new_peer_that_differs_is_asked_at_once_and_again_when_it_returns() {
        use MemberState::{Alive, Dead};
        let mut rounds = Rounds::new(NodeId("own".into()));
        let peers = [peer("own", "x", Alive), peer("equal", "r", Alive), peer("other", "o", Alive)];
        assert_eq!(chosen(&mut rounds, &peers, false).as_deref(), Some("other"));
        assert_eq!(chosen(&mut rounds, &peers, false), None, "met already, not its round");
        assert_eq!(chosen(&mut rounds, &peers, true).as_deref(), Some("other"));
        assert_eq!(chosen(&mut rounds, &[peer("other", "o", Dead)], true), None);
        assert_eq!(chosen(&mut rounds, &peers, false).as_deref(), Some("other"), "it came back");
    }

    #[test]
    fn rounds_stay_near_five_seconds_and_differ_between_peers() {
        let mut a = Rounds::new(NodeId("a".into()));
        let mut b = Rounds::new(NodeId("b".into()));
        let (a, b): (Vec<_>, Vec<_>) = (0..20).map(|_| (a.pause(), b.pause())).unzip();
        assert_ne!(a, b);
        let near = |pause: &Duration| (4..6).contains(&pause.as_secs());
        assert!(a.iter().chain(&b).all(near));
    }
}
