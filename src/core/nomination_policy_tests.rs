//! How nomination answers failures: the job's own patience, moves that are limited, and what is told of them.

use super::*;
use crate::core::job_policy::{Policy, ReschedulePolicy, RestartPolicy};

fn policy_seen(restart: RestartPolicy, moves_max: u32, moves: u32) -> Event {
    let reschedule = ReschedulePolicy {
        attempts: Some(moves_max),
        ..ReschedulePolicy::default()
    };
    Event::PolicySeen {
        policy: Policy { restart, reschedule },
        moves,
    }
}

fn impatient() -> RestartPolicy {
    RestartPolicy {
        attempts: 2,
        interval_ms: 60_000,
        delay_ms: 3000,
        delay_max_ms: 4000,
    }
}

#[test]
fn the_jobs_own_policy_says_how_often_and_how_late_a_sink_is_tried_here() {
    let mut peer = Peer::running(1);
    peer.at(100, policy_seen(impatient(), 9, 0));
    let (mut now, mut waits) = (100, Vec::new());
    for _ in 0..2 {
        peer.at(now, Event::TaskEnded(Disposition::Retry, "lost".into()));
        let started = peer.ticks(now, now + 40_000).expect("tries again");
        waits.push((started - now).div_ceil(1000));
        now = started;
    }
    peer.did.clear();
    peer.at(now, Event::TaskEnded(Disposition::Retry, "lost".into()));
    assert_eq!(waits, [3, 4]);
    let given_away = [
        Effect::ReleaseClaim,
        Effect::CountMove("lost".into()),
        Effect::PublishReason("lost".into()),
    ];
    assert_eq!(peer.did, given_away, "the third failure is one more than the two attempts");
}

#[test]
fn a_job_that_moved_as_often_as_it_may_fails_with_the_last_error_and_is_tried_no_more() {
    let mut peer = Peer::running(1);
    peer.at(100, policy_seen(RestartPolicy::default(), 1, 1));
    peer.at(100, Event::TaskEnded(Disposition::Replace, "PEER1301 no route".into()));
    let [Effect::MarkFailed(text)] = peer.did.as_slice() else {
        panic!("{:?}", peer.did);
    };
    assert!(text.contains("1 moves") && text.contains("PEER1301 no route"), "{text}");
    assert_eq!(peer.ticks(100, 600_000), None);
    assert_eq!(peer.state.standing(ms(200)), None, "nothing waits to be tried again");
    peer.at(600_000, Event::JobChanged { runs: true, revision: 2 });
    assert_eq!(peer.did.last(), Some(&start(1)));
}

#[test]
fn a_new_policy_is_in_force_at_the_next_failure_and_stops_nothing() {
    let mut peer = Peer::running(1);
    peer.at(100, policy_seen(impatient(), 0, 0));
    assert_eq!((peer.did.clone(), peer.ticks(100, 5000)), (vec![], None));
    peer.at(5000, Event::TaskEnded(Disposition::Replace, "no route".into()));
    assert!(matches!(peer.did.as_slice(), [Effect::MarkFailed(_)]), "{:?}", peer.did);
}

#[test]
fn what_is_tried_again_tells_how_often_it_failed_and_when_the_next_try_is() {
    let mut peer = Peer::running(1);
    assert_eq!(peer.state.standing(ms(50)), None, "nothing failed");
    peer.at(100, policy_seen(impatient(), 4, 1));
    peer.at(100, Event::TaskEnded(Disposition::Retry, "lost".into()));
    let waiting = peer.state.standing(ms(200)).expect("waits");
    let expected = Standing {
        attempts: 1,
        attempts_max: 2,
        moves: 1,
        moves_max: Some(4),
        due: ms(3100),
    };
    assert_eq!(waiting, expected);
    peer.ticks(200, 10_000).expect("tries again");
    peer.at(10_000, Event::TaskEnded(Disposition::Replace, "no route".into()));
    let moved = peer.state.standing(ms(10_000)).expect("waits for others");
    assert_eq!((moved.attempts, moved.moves), (0, 2));
    peer.at(10_500, Event::ClaimSeen(claim("a", 2)))
        .at(10_500, roster(Some(0), true));
    assert_eq!(peer.state.standing(ms(10_500)), None, "another peer has it");
}
