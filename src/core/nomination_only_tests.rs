//! The only peer that may run a sink.

use super::*;

/// Jitter is for those who could meet at the fence.
#[test]
fn the_only_peer_that_may_run_a_new_job_starts_without_jitter_but_not_before_a_living_owner_is_gone() {
    let only = |is_owner_alive| Event::RosterChanged {
        rank: Some(0),
        is_only: true,
        is_owner_alive,
        live: vec![node("b")],
    };
    let mut peer = Peer::new(0);
    peer.random = 299;
    peer.at(0, only(false));
    peer.at(0, runs());
    assert_eq!(peer.did, [start(0)]);
    let mut other = Peer::new(0);
    other.at(0, Event::ClaimSeen(claim("b", 5)));
    other.at(0, only(true));
    other.at(0, runs());
    assert_eq!(other.ticks(0, 20_000), None, "{:?}", other.did);
}
