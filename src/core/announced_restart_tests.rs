//! The story of a sink whose owner announced its restart, event by event.

use super::*;

/// A candidate whose owner `a` said at second 10 that it restarts.
fn awaiting() -> Peer {
    let mut peer = Peer::new(1);
    let named = Claim {
        owner_name: "sh-1".into(),
        ..claim("a", 4)
    };
    peer.at(0, Event::ClaimSeen(named)).at(0, roster(Some(1), true)).at(0, runs());
    peer.at(10_000, Event::HeardPeer(node("a")))
        .at(10_000, roster(Some(0), false))
        .at(10_000, Event::OwnerRestarts);
    peer
}

#[test]
fn a_restart_that_was_announced_protects_for_ninety_seconds_from_its_announcement() {
    let mut peer = awaiting();
    assert_eq!(peer.state.expected_back(ms(10_000)), Some("sh-1"));
    // Each look at the roster tells it again: it counts once.
    peer.at(60_000, roster(Some(0), false)).at(60_000, Event::OwnerRestarts);
    assert_eq!(peer.ticks(60_000, 200_000), Some(100_000), "did {:?}", peer.did);
    assert_eq!(peer.did, [Effect::SeekOwner(Some(node("a")))]);
    assert_eq!(peer.state.expected_back(ms(100_000)), None);
    peer.at(100_000, roster(Some(0), false)).at(100_000, Event::OwnerRestarts);
    assert_eq!(peer.ticks(100_250, 200_000), Some(101_000));
    assert_eq!(peer.did.last(), Some(&start(4)));
}

#[test]
fn after_an_announced_restart_the_ranks_still_take_turns() {
    let mut peer = awaiting();
    peer.at(20_000, roster(Some(2), false));
    assert_eq!(peer.ticks(20_000, 200_000), Some(102_000));
}

#[test]
fn an_owner_that_came_back_is_protected_like_any_other_owner() {
    let mut peer = awaiting();
    peer.at(30_000, roster(Some(1), true));
    assert_eq!(peer.state.expected_back(ms(30_000)), None);
    assert_eq!(peer.ticks(30_000, 60_000), None);
    peer.at(60_000, Event::HeardPeer(node("a")))
        .at(62_000, roster(Some(0), false));
    assert_eq!(
        peer.ticks(62_000, 200_000),
        Some(63_000),
        "three seconds: this time it vanished"
    );
}

#[test]
fn a_restart_that_was_announced_protects_nobody_but_the_owner_who_said_so() {
    let mut peer = awaiting();
    peer.at(20_000, Event::ClaimSeen(claim("b", 5)));
    assert_eq!(peer.ticks(20_000, 200_000), Some(23_000));
    let released = Claim {
        is_released: true,
        ..claim("a", 4)
    };
    let mut peer = awaiting();
    peer.at(20_000, Event::ClaimSeen(released));
    assert_eq!(peer.did, [start(4)], "it gave the sink up after all");
}
