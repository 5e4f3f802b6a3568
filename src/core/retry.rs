//! How often a failing task is tried again on this peer, and when it should move to another.
//!
//! DESIGN 1.3 `[restart]` and `[reschedule]`: delays double from 1 s to 30 s; after five failures in ten minutes the peer
//! avoids the task for a time that doubles from 30 s to 5 min, so that the next rank takes it. Pure: the caller gives `now`
//! and a random number.

use std::collections::VecDeque;
use std::time::Duration;

/// Limits on one peer. The defaults are those of `[restart]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Failures within `interval` that are answered on this peer.
    pub attempts: usize,
    /// The window.
    pub interval: Duration,
    /// First delay.
    pub delay: Duration,
    /// Longest delay.
    pub delay_max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            interval: Duration::from_secs(600),
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(30),
        }
    }
}

/// First time a peer avoids a task. Long enough that another rank (1 s each) has acquired; a guess.
pub const AVOID_MIN: Duration = Duration::from_secs(30);
/// Longest time a peer avoids a task (facts/cluster 1.7: capped at 5 min).
pub const AVOID_MAX: Duration = Duration::from_secs(300);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again here after this delay.
    Again(Duration),
    /// Leave it to others for this time.
    Move(Duration),
}

/// The failures of one task on one peer; at most `attempts` + 1 of them are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    failures: VecDeque<Duration>,
    moves: u32,
}

impl Attempts {
    /// Notes a failure that a new try may mend.
    pub fn failed(&mut self, policy: &Policy, now: Duration, random: u64) -> Next {
        self.forget(policy, now);
        self.failures.push_back(now);
        if self.failures.len() > policy.attempts {
            return self.moved();
        }
        let doublings = u32::try_from(self.failures.len() - 1).unwrap_or(u32::MAX);
        let delay = policy
            .delay
            .saturating_mul(2u32.saturating_pow(doublings))
            .min(policy.delay_max);
        Next::Again(jittered(delay, random))
    }

    /// Notes a failure that only another peer may mend.
    pub fn cannot(&mut self, policy: &Policy, now: Duration) -> Next {
        self.forget(policy, now);
        self.moved()
    }

    /// Begins anew: a person asked, or the job changed.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Notes how long the task ran before it ended: a whole interval of health forgives everything.
    pub fn ran_for(&mut self, policy: &Policy, time: Duration) {
        if time >= policy.interval {
            self.reset();
        }
    }

    fn moved(&mut self) -> Next {
        let avoid = AVOID_MIN.saturating_mul(2u32.saturating_pow(self.moves)).min(AVOID_MAX);
        self.moves = self.moves.saturating_add(1);
        self.failures.clear();
        Next::Move(avoid)
    }

    fn forget(&mut self, policy: &Policy, now: Duration) {
        while self
            .failures
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > policy.interval)
        {
            self.failures.pop_front();
        }
    }
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
        let (policy, mut attempts) = (Policy::default(), Attempts::default());
        let next: Vec<Next> = (0..6).map(|n| attempts.failed(&policy, s(n * 10), 0)).collect();
        let again = |seconds| Next::Again(s(seconds));
        assert_eq!(next, [again(1), again(2), again(4), again(8), again(16), Next::Move(s(30))]);
    }

    #[test]
    fn avoiding_grows_to_five_minutes_and_health_forgives() {
        let (policy, mut attempts) = (Policy::default(), Attempts::default());
        let next: Vec<Next> = (0..5).map(|n| attempts.cannot(&policy, s(n))).collect();
        assert_eq!(next, [30, 60, 120, 240, 300].map(|seconds| Next::Move(s(seconds))));
        attempts.ran_for(&policy, s(599));
        assert_eq!(attempts.cannot(&policy, s(9)), Next::Move(s(300)));
        attempts.ran_for(&policy, s(600));
        assert_eq!(attempts.cannot(&policy, s(9)), Next::Move(s(30)));
    }

    #[test]
    fn failures_far_apart_stay_here() {
        let (policy, mut attempts) = (Policy::default(), Attempts::default());
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
