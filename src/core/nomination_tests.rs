//! The story of one job's sink at one peer, event by event.

use super::*;

#[path = "nomination_lost_tests.rs"]
mod lost;
#[path = "nomination_policy_tests.rs"]
mod policy;

fn node(name: &str) -> NodeId {
    NodeId(name.into())
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn claim(owner: &str, epoch: u64) -> Claim {
    Claim {
        owner: node(owner),
        epoch: Epoch(epoch),
        ..Claim::default()
    }
}

/// Plays events at one peer and keeps what it did.
struct Peer {
    state: State,
    did: Vec<Effect>,
    random: u64,
}

impl Peer {
    fn new(rank: u32) -> Self {
        let mut peer = Self {
            state: State::new(node("me")),
            did: Vec::new(),
            random: 0,
        };
        peer.at(0, roster(Some(rank), false));
        peer
    }

    fn running(epoch: u64) -> Self {
        let mut peer = Self::new(0);
        peer.at(0, runs());
        peer.at(10, Event::AcquireWon(Epoch(epoch)));
        peer.at(10, Event::ClaimSeen(claim("me", epoch)));
        peer.did.clear();
        peer
    }

    fn at(&mut self, now: u64, event: Event) -> &mut Self {
        let (state, effects) = step(&self.state, event, ms(now), self.random);
        self.state = state;
        self.did.extend(effects);
        self
    }

    /// Ticks until it does something; answers when.
    fn ticks(&mut self, from: u64, to: u64) -> Option<u64> {
        let before = self.did.len();
        (from..=to).step_by(250).find(|now| {
            self.at(*now, Event::Tick);
            self.did.len() > before
        })
    }
}

fn roster(rank: Option<u32>, is_owner_alive: bool) -> Event {
    Event::RosterChanged {
        rank,
        is_only: false,
        is_owner_alive,
        live: vec![node("a"), node("b")],
    }
}

fn runs() -> Event {
    Event::JobChanged { runs: true, revision: 1 }
}

fn start(above: u64) -> Effect {
    Effect::StartSink { above: Epoch(above) }
}

#[test]
fn a_new_job_starts_at_the_best_rank_at_once_and_at_the_next_a_second_later() {
    let mut best = Peer::new(0);
    best.at(0, runs());
    assert_eq!(best.did, [start(0)]);
    let mut second = Peer::new(1);
    second.at(0, runs());
    assert_eq!((second.ticks(0, 5000), second.did.clone()), (Some(1000), vec![start(0)]));
}

#[test]
fn a_claim_of_another_ends_the_wait() {
    let mut peer = Peer::new(1);
    peer.at(0, runs())
        .at(500, Event::ClaimSeen(claim("a", 1)))
        .at(500, roster(Some(1), true));
    assert_eq!(peer.ticks(500, 20_000), None);
    assert_eq!(peer.state.phase(), Phase::Idle);
}

#[test]
fn a_vanished_owner_is_protected_then_pinged_then_replaced() {
    let mut peer = Peer::new(0);
    peer.at(0, Event::ClaimSeen(claim("a", 4)))
        .at(0, roster(Some(0), true))
        .at(0, runs());
    peer.at(10_000, Event::HeardPeer(node("a")));
    peer.at(10_000, Event::Tick)
        .at(12_000, Event::Tick)
        .at(12_000, roster(Some(0), false));
    assert_eq!(peer.ticks(12_000, 20_000), Some(13_000), "three seconds after the last sign");
    assert_eq!(peer.did, [Effect::SeekOwner(Some(node("a")))]);
    assert_eq!(peer.ticks(13_250, 20_000), Some(14_000));
    assert_eq!(peer.did.last(), Some(&start(4)));
}

#[test]
fn an_answered_ping_gives_the_owner_its_protection_again() {
    let mut peer = Peer::new(0);
    peer.at(0, Event::ClaimSeen(claim("a", 4))).at(0, runs());
    assert_eq!(peer.ticks(0, 10_000), Some(3000));
    peer.at(3500, Event::SignOfOwner { lasts: PROTECTION });
    assert_eq!(peer.ticks(3500, 20_000), Some(6500));
    assert_eq!(
        peer.did,
        [Effect::SeekOwner(Some(node("a"))), Effect::SeekOwner(Some(node("a")))]
    );
}

#[test]
fn an_old_trace_on_the_target_protects_only_for_the_rest_of_its_time() {
    let mut peer = Peer::new(0);
    peer.at(0, Event::ClaimSeen(claim("a", 4))).at(0, runs());
    assert_eq!(peer.ticks(0, 10_000), Some(3000));
    let lasts = Duration::from_millis(500);
    peer.at(3100, Event::SignOfOwner { lasts });
    assert_eq!(
        peer.ticks(3100, 20_000),
        Some(3600),
        "searched again when the trace is too old to count"
    );
    assert_eq!(peer.ticks(3850, 20_000), Some(4600));
    assert_eq!(peer.did.last(), Some(&start(4)));
}

#[test]
fn a_released_sink_is_taken_without_protection() {
    let mut peer = Peer::new(0);
    peer.at(
        0,
        Event::ClaimSeen(Claim {
            is_released: true,
            ..claim("a", 4)
        }),
    )
    .at(100, runs());
    assert_eq!(peer.did, [start(4)]);
}

#[test]
fn a_drained_sink_is_taken_as_soon_as_either_news_of_it_arrives() {
    let released = || {
        Event::ClaimSeen(Claim {
            is_released: true,
            ..claim("a", 4)
        })
    };
    let follower = || {
        let mut peer = Peer::new(1);
        peer.at(0, Event::ClaimSeen(claim("a", 4)))
            .at(0, roster(Some(1), true))
            .at(0, runs());
        assert_eq!((peer.ticks(0, 10_000), peer.state.phase()), (None, Phase::Idle));
        peer
    };
    // The roster says first that the better peer drains, then the claim is released.
    let mut peer = follower();
    peer.at(10_000, roster(Some(0), true)).at(10_400, released());
    assert_eq!(peer.did, [start(4)]);
    // The other way round: the rank that changes ends the wait for the better peer.
    let mut peer = follower();
    peer.at(10_000, released());
    assert_eq!(peer.did, [], "a second for the better peer");
    peer.at(10_400, roster(Some(0), true));
    assert_eq!(peer.did, [start(4)]);
}

#[test]
fn a_draining_owner_gives_its_sink_up_and_does_not_take_it_back() {
    let mut peer = Peer::running(4);
    peer.at(1000, roster(None, true));
    assert_eq!(peer.did.last(), Some(&Effect::StopSink));
    peer.at(1100, Event::TaskEnded(Disposition::Retry, String::new()));
    assert_eq!(peer.did.last(), Some(&Effect::ReleaseClaim));
    peer.did.clear();
    assert_eq!(peer.ticks(1250, 20_000), None);
    // Undrained while another peer has it: still not.
    peer.at(20_000, Event::ClaimSeen(claim("a", 5)))
        .at(20_000, roster(Some(0), true));
    assert_eq!((peer.ticks(20_250, 40_000), peer.did.clone()), (None, vec![]));
}

#[test]
fn the_last_owner_resumes_before_its_rank_after_a_restart_when_no_newer_claim_came() {
    let mut peer = Peer::new(9);
    peer.at(0, Event::ClaimSeen(claim("me", 4))).at(0, runs());
    assert_eq!(peer.ticks(0, 60_000), Some(2_000));
    assert_eq!(peer.did, [start(4)]);
}

#[test]
fn a_restarted_owner_leaves_the_job_to_the_one_that_took_it_over_meanwhile() {
    let mut peer = Peer::new(0);
    peer.at(0, Event::ClaimSeen(claim("me", 4))).at(0, runs());
    peer.at(1_500, Event::ClaimSeen(claim("a", 5)))
        .at(1_500, roster(Some(0), true));
    assert_eq!(peer.ticks(1_500, 60_000), None);
}

#[test]
fn an_owner_whose_task_failed_goes_on_without_the_wait_of_a_restart() {
    let mut peer = Peer::running(4);
    peer.at(500, Event::TaskEnded(Disposition::Retry, "lost".into()));
    assert!(peer.ticks(500, 60_000).expect("starts again") < 2_000);
}

#[test]
fn a_peer_that_slept_waits_until_it_heard_each_peer_twice() {
    let mut peer = Peer::new(0);
    peer.at(
        0,
        Event::ClaimSeen(Claim {
            is_released: true,
            ..claim("a", 1)
        }),
    );
    peer.at(0, Event::GossipLate { late_ms: 2001 }).at(0, runs());
    for (now, id) in [(100, "a"), (200, "b"), (300, "a")] {
        peer.at(now, Event::HeardPeer(node(id)));
    }
    assert_eq!(peer.did, []);
    peer.at(400, Event::HeardPeer(node("b")));
    assert_eq!(peer.did, [start(1)]);
}

#[test]
fn a_peer_that_slept_and_hears_nobody_waits_three_seconds() {
    let mut peer = Peer::new(0);
    peer.at(0, Event::Tick).at(9000, Event::Tick).at(9000, runs());
    assert_eq!(peer.ticks(9000, 20_000), Some(12_000));
}

#[test]
fn a_small_delay_of_gossip_holds_nothing() {
    let mut peer = Peer::new(0);
    peer.at(0, Event::GossipLate { late_ms: 2000 }).at(0, runs());
    assert_eq!(peer.did, [start(0)]);
}

#[test]
fn a_held_job_stops_and_a_resumed_one_starts_after_the_task_ended() {
    let mut peer = Peer::running(1);
    peer.at(
        100,
        Event::JobChanged {
            runs: false,
            revision: 1,
        },
    );
    peer.at(110, runs());
    assert_eq!(peer.did, [Effect::StopSink]);
    peer.at(200, Event::TaskEnded(Disposition::Retry, "cancelled".into()));
    assert_eq!(peer.did, [Effect::StopSink, start(1)]);
}

#[test]
fn a_new_revision_restarts_the_task() {
    let mut peer = Peer::running(1);
    peer.at(100, Event::JobChanged { runs: true, revision: 2 });
    peer.at(200, Event::TaskEnded(Disposition::Retry, "cancelled".into()));
    assert_eq!(peer.did, [Effect::StopSink, start(1)]);
}

#[test]
fn a_fatal_error_marks_the_job_and_starts_nothing_until_it_changes() {
    let mut peer = Peer::running(1);
    peer.at(100, Event::TaskEnded(Disposition::Fatal, "no such table".into()))
        .at(110, runs());
    assert_eq!(peer.ticks(110, 60_000), None);
    assert_eq!(peer.did, [Effect::MarkFailed("no such table".into())]);
    peer.at(60_000, Event::JobChanged { runs: true, revision: 2 });
    assert_eq!(peer.did.last(), Some(&start(1)));
}

#[test]
fn a_failing_sink_backs_off_here_five_times_then_gives_the_job_away() {
    let mut peer = Peer::running(1);
    let (mut now, mut starts) = (100, Vec::new());
    for _ in 0..6 {
        peer.at(now, Event::TaskEnded(Disposition::Retry, "lost".into()));
        if peer.did.contains(&Effect::ReleaseClaim) {
            break;
        }
        let started = peer.ticks(now, now + 40_000).expect("tries again");
        starts.push((started - now).div_ceil(1000));
        now = started;
    }
    assert_eq!(starts, [1, 2, 4, 8, 16]);
    let released = Claim {
        is_released: true,
        ..claim("me", 1)
    };
    peer.did.clear();
    peer.at(now, Event::ClaimSeen(released));
    assert_eq!(
        peer.ticks(now, now + 60_000),
        Some(now + 30_000),
        "it comes back when nobody else took it"
    );
}

#[test]
fn what_another_peer_might_do_is_given_away_at_once() {
    let mut peer = Peer::running(1);
    peer.at(100, Event::TaskEnded(Disposition::Replace, "no route".into()));
    assert_eq!(peer.did, [Effect::ReleaseClaim, Effect::PublishReason("no route".into())]);
}

#[test]
fn an_owner_that_lost_the_fence_stops_quietly_and_does_not_snatch_it_back() {
    let mut peer = Peer::running(1);
    peer.at(100, Event::TaskEnded(Disposition::Superseded, "epoch 2".into()));
    assert_eq!(peer.ticks(100, 3000), None);
    peer.at(3000, Event::ClaimSeen(claim("b", 2))).at(3000, roster(Some(0), true));
    assert_eq!(peer.ticks(3000, 60_000), None);
    assert_eq!(peer.did, []);
}

#[test]
fn an_owner_that_lost_the_fence_to_nobody_it_knows_seeks_it_before_it_starts() {
    let mut peer = Peer::running(1);
    peer.at(100, Event::TaskEnded(Disposition::Superseded, "epoch 2".into()));
    let sought = peer.ticks(100, 10_000).expect("seeks");
    assert_eq!(peer.did, [Effect::SeekOwner(None)]);
    peer.at(sought + 100, Event::SignOfOwner { lasts: PROTECTION });
    let again = peer.ticks(sought + 100, 20_000).expect("seeks again");
    assert!(again >= sought + 3000, "{again} ms");
    assert_eq!(peer.did, [Effect::SeekOwner(None), Effect::SeekOwner(None)]);
    peer.ticks(again, 30_000).expect("starts: nothing was found");
    assert_eq!(peer.did.last(), Some(&Effect::StartSink { above: Epoch(1) }));
}

#[test]
fn a_newer_claim_stops_an_owner_that_has_not_noticed() {
    let mut peer = Peer::running(1);
    peer.at(100, Event::ClaimSeen(claim("b", 2)));
    assert_eq!(peer.did, [Effect::StopSink]);
}

#[test]
fn a_peer_that_may_no_longer_run_the_task_hands_it_over() {
    let mut peer = Peer::running(1);
    peer.at(100, roster(None, false));
    assert_eq!(peer.did[1..], [Effect::StopSink]);
    peer.at(200, Event::TaskEnded(Disposition::Retry, "cancelled".into()));
    assert_eq!(peer.did.last(), Some(&Effect::ReleaseClaim), "only once the flow has ended");
    assert_eq!(peer.ticks(200, 20_000), None);
}

#[test]
fn an_owner_that_is_alone_keeps_working() {
    let mut peer = Peer::running(1);
    peer.at(
        100,
        Event::RosterChanged {
            rank: Some(0),
            is_only: true,
            is_owner_alive: true,
            live: vec![],
        },
    );
    peer.at(9000, Event::GossipLate { late_ms: 5000 });
    assert_eq!(peer.ticks(9000, 60_000), None);
    assert_eq!(peer.did, []);
}

#[path = "announced_restart_tests.rs"]
mod announced;

#[path = "nomination_only_tests.rs"]
mod only;
