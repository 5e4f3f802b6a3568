//! An owner that nobody heard of: found by the simulation (`tests/nomination_sim`), told here step by step.

use super::*;

#[test]
fn a_successor_that_died_before_anybody_heard_of_it_is_replaced() {
    let mut peer = Peer::running(4);
    // Its own claim names it, and it is alive itself: that says nothing about whoever took the fence.
    peer.at(1000, roster(Some(0), true));
    peer.at(5000, Event::TaskEnded(Disposition::Superseded, "epoch 5".into()));
    assert_eq!(peer.ticks(5000, 20_000), Some(8000));
    assert_eq!(peer.did, [Effect::SeekOwner(None)], "the target may show it at work");
    assert_eq!(peer.ticks(8250, 20_000), Some(9000));
    assert_eq!(peer.did.last(), Some(&start(4)));
}
