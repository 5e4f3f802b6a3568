//! How often a failing task is tried again on this peer, and when it should move to another.
//!
//! DESIGN 1.3 `[restart]`: delays double, by default from 1 s to 30 s; after the attempts of an interval (five in ten minutes)
//! the peer avoids the task for a time that doubles from 30 s to 5 min, so that the next rank takes it. What this peer cannot
//! do at all it leaves at once, and for a shorter time: perhaps nobody can at the moment. Whether it may move
//! at all is `[reschedule]`: the moves of all peers are counted in the job's record. Pure: the caller gives `now` and a random
//! number.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::job_policy::{Policy, RestartPolicy};

/// First time a peer avoids a task. Long enough that another rank (1 s each) has acquired; a guess.
pub const AVOID_MIN: Duration = Duration::from_secs(30);
/// Longest time a peer avoids a task (facts/cluster 1.7: capped at 5 min).
pub const AVOID_MAX: Duration = Duration::from_secs(300);

/// First time a peer leaves to others what it cannot do. Longer than two more ranks (1 s each) need to try; when they fail
/// too, the database itself is down, and whoever comes back first serves it.
pub const CANNOT_MIN: Duration = Duration::from_secs(4);
/// Longest such time: how late a database that comes back after an hour may be found.
pub const CANNOT_MAX: Duration = Duration::from_secs(30);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again here after this delay.
    Again(Duration),
    /// Leave it to others for this time.
    Move(Duration),
    /// It moved as often as the job allows: nobody tries again.
    Fail,
}

/// How one job's failures on this peer are answered: its policy, what happened, and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    policy: Policy,
    attempts: Attempts,
    /// Moves of all peers that count, as the job's record had them last.
    moves_seen: u32,
    not_before: Duration,
}

/// Where a job stands after failures, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Failures that count on this peer; 0 after a move.
    pub attempts: u32,
    /// The most of them.
    pub attempts_max: u32,
    /// Moves that count: of all peers when they are limited, else those of this peer.
    pub moves: u32,
    /// The most of them; None: unlimited.
    pub moves_max: Option<u32>,
    /// This peer tries again then, if nobody else took the job.
    pub due: Duration,
}

impl Retry {
    /// Takes the policy in force, and how many moves count by now.
    pub fn judge_by(&mut self, policy: Policy, moves: u32) {
        (self.policy, self.moves_seen) = (policy, moves);
    }

    /// Notes a failure; `is_here` when a new try on this peer may mend it.
    pub fn failed(&mut self, is_here: bool, now: Duration, random: u64) -> Next {
        let restart = &self.policy.restart;
        let next = if is_here {
            self.attempts.failed(restart, now, random)
        } else {
            self.attempts.cannot(restart, now)
        };
        match next {
            Next::Again(wait) => self.not_before = now + wait,
            Next::Move(_) if self.policy.reschedule.attempts.is_some_and(|most| self.moves_seen >= most) => return Next::Fail,
            Next::Move(wait) => {
                self.moves_seen = self.moves_seen.saturating_add(1);
                self.not_before = now + wait;
            }
            Next::Fail => {}
        }
        next
    }

    /// Notes how long the task ran with the fence before it ended.
    pub fn ran_for(&mut self, time: Duration) {
        self.attempts.ran_for(&self.policy.restart, time);
    }

    /// Begins anew: a person asked, or the job changed.
    pub fn begin_anew(&mut self) {
        self.attempts.reset();
        self.not_before = Duration::ZERO;
    }

    /// Nothing is tried before.
    #[must_use]
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// Moves are counted in the job's record.
    #[must_use]
    pub fn has_limit(&self) -> bool {
        self.policy.reschedule.attempts.is_some()
    }

    /// Moves that counted at the last failure.
    #[must_use]
    pub fn moves(&self) -> u32 {
        self.moves_seen
    }

    /// Why the job failed, for people; `text` is the last error.
    #[must_use]
    pub fn given_up(&self, text: &str) -> String {
        format!(
            "given up after {} moves, as many as `reschedule` allows: {text}",
            self.moves_seen
        )
    }

    /// None: nothing failed since it began anew.
    #[must_use]
    pub fn standing(&self, now: Duration) -> Option<Standing> {
        let moves_max = self.policy.reschedule.attempts;
        let standing = Standing {
            attempts: self.attempts.failures(&self.policy.restart, now),
            attempts_max: self.policy.restart.attempts,
            moves: if moves_max.is_some() {
                self.moves_seen
            } else {
                self.attempts.moves
            },
            moves_max,
            due: self.not_before,
        };
        (standing.attempts > 0 || self.attempts.moves > 0).then_some(standing)
    }
}

/// The failures of one task on one peer; at most `attempts` + 1 of them are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    failures: VecDeque<Duration>,
    moves: u32,
}

impl Attempts {
    /// Notes a failure that a new try may mend.
    pub fn failed(&mut self, policy: &RestartPolicy, now: Duration, random: u64) -> Next {
        self.forget(policy, now);
        self.failures.push_back(now);
        let failures = count(&self.failures);
        if failures > policy.attempts {
            return self.moved(AVOID_MIN, AVOID_MAX);
        }
        Next::Again(jittered(policy.delay(failures), random))
    }

    /// Notes a failure that only another peer may mend.
    pub fn cannot(&mut self, policy: &RestartPolicy, now: Duration) -> Next {
        self.forget(policy, now);
        self.moved(CANNOT_MIN, CANNOT_MAX)
    }

    /// Failures that count at `now`; 0 after a move.
    #[must_use]
    pub fn failures(&self, policy: &RestartPolicy, now: Duration) -> u32 {
        let counts = |at: &&Duration| now.saturating_sub(**at) <= policy.interval();
        u32::try_from(self.failures.iter().filter(counts).count()).unwrap_or(u32::MAX)
    }

    /// Begins anew: a person asked, or the job changed.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Notes how long the task ran before it ended: a whole interval of health forgives everything.
    pub fn ran_for(&mut self, policy: &RestartPolicy, time: Duration) {
        if time >= policy.interval() {
            self.reset();
        }
    }

    fn moved(&mut self, avoid_min: Duration, avoid_max: Duration) -> Next {
        let avoid = avoid_min.saturating_mul(2u32.saturating_pow(self.moves)).min(avoid_max);
        self.moves = self.moves.saturating_add(1);
        self.failures.clear();
        Next::Move(avoid)
    }

    fn forget(&mut self, policy: &RestartPolicy, now: Duration) {
        while self
            .failures
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > policy.interval())
        {
            self.failures.pop_front();
        }
    }
}

fn count(failures: &VecDeque<Duration>) -> u32 {
    u32::try_from(failures.len()).unwrap_or(u32::MAX)
}

/// Adds up to a quarter, so that many tasks that failed together do not come back together.
fn jittered(delay: Duration, random: u64) -> Duration {
    let quarter_ms = u64::try_from(delay.as_millis() / 4).unwrap_or(u64::MAX);
    delay + Duration::from_millis(random % quarter_ms.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn delays_double_and_the_sixth_failure_moves_the_task() {
        let (policy, mut attempts) = (RestartPolicy::default(), Attempts::default());
        let next: Vec<Next> = (0..6).map(|n| attempts.failed(&policy, s(n * 10), 0)).collect();
        let again = |seconds| Next::Again(s(seconds));
        assert_eq!(next, [again(1), again(2), again(4), again(8), again(16), Next::Move(s(30))]);
    }

    #[test]
    fn avoiding_grows_to_five_minutes_and_health_forgives() {
        let (policy, mut attempts) = (RestartPolicy::default(), Attempts::default());
        let mut sixth = |now| (0..6).map(|_| attempts.failed(&policy, s(now), 0)).last();
        let next: Vec<Option<Next>> = (0..5).map(&mut sixth).collect();
        assert_eq!(next, [30, 60, 120, 240, 300].map(|seconds| Some(Next::Move(s(seconds)))));
        attempts.ran_for(&policy, s(599));
        assert_eq!(attempts.cannot(&policy, s(9)), Next::Move(CANNOT_MAX));
        attempts.ran_for(&policy, s(600));
        assert_eq!(attempts.cannot(&policy, s(9)), Next::Move(CANNOT_MIN));
    }

    #[test]
    fn what_nobody_can_is_tried_again_by_everybody_twice_a_minute() {
        let (policy, mut attempts) = (RestartPolicy::default(), Attempts::default());
        let next: Vec<Next> = (0..5).map(|n| attempts.cannot(&policy, s(n))).collect();
        assert_eq!(next, [4, 8, 16, 30, 30].map(|seconds| Next::Move(s(seconds))));
    }

    #[test]
    fn failures_far_apart_stay_here() {
        let (policy, mut attempts) = (RestartPolicy::default(), Attempts::default());
        for n in 0..50 {
            assert_eq!(attempts.failed(&policy, s(n * 601), 0), Next::Again(s(1)));
        }
    }

    #[test]
    fn jitter_adds_at_most_a_quarter() {
        for random in [0, 1, 249, 250, 251, u64::MAX] {
            let delay = jittered(s(1), random);
            assert!(delay >= s(1) && delay <= Duration::from_millis(1250), "{delay:?}");
        }
    }
}
