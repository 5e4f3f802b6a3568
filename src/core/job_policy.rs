//! How a job answers failures, as its job.toml says: `[restart]` on one peer, `[reschedule]` over peers.
//!
//! Made by `config::job_policy`, kept in `core::job_spec`, obeyed by `core::nomination` through `core::retry`. A change of
//! these is in force at the next failure and restarts nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// DESIGN 1.3 `[restart]`: tries on one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// Failures within `interval_ms` that are answered on the same peer; one more moves the task.
    pub attempts: u32,
    /// The window, in milliseconds; as long without a failure forgives all of them.
    pub interval_ms: u64,
    /// First delay, in milliseconds; doubles with each failure.
    pub delay_ms: u64,
    /// Longest delay, in milliseconds.
    pub delay_max_ms: u64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            interval_ms: 600_000,
            delay_ms: 1000,
            delay_max_ms: 30_000,
        }
    }
}

impl RestartPolicy {
    /// True for the defaults: such a policy is not written down, so that older records stay as they are.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The window.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// The delay after the failure number `failures` of the window, 1 the first.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let doubled = self
            .delay_ms
            .saturating_mul(2u64.saturating_pow(failures.saturating_sub(1)))
            .min(self.delay_max_ms);
        Duration::from_millis(doubled)
    }

    /// The least time that all attempts take: a shorter interval would never see the last of them.
    #[must_use]
    pub fn attempts_take(&self) -> Duration {
        let delays = (1..=self.attempts).map(|failures| self.delay(failures));
        delays.fold(Duration::ZERO, Duration::saturating_add)
    }
}

/// DESIGN 1.3 `[reschedule]`: moves from peer to peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReschedulePolicy {
    /// Moves within `interval_ms`; the next one fails the job. None: no limit.
    pub attempts: Option<u32>,
    /// The window, in milliseconds; without a meaning when unlimited.
    pub interval_ms: u64,
}

impl Default for ReschedulePolicy {
    fn default() -> Self {
        Self {
            attempts: None,
            interval_ms: 1_800_000,
        }
    }
}

impl ReschedulePolicy {
    /// True for the defaults, see `RestartPolicy::is_default`.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// On one peer.
    pub restart: RestartPolicy,
    /// Over peers.
    pub reschedule: ReschedulePolicy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_their_limit_however_many_failures_there_were() {
        let policy = RestartPolicy::default();
        let seconds: Vec<u64> = [1, 2, 5, 6, 7, 1000].map(|n| policy.delay(n).as_secs()).to_vec();
        assert_eq!(seconds, [1, 2, 16, 30, 30, 30]);
        assert_eq!(policy.attempts_take(), Duration::from_secs(31));
    }

    #[test]
    fn a_policy_of_a_newer_version_with_fewer_fields_reads_with_the_defaults() {
        let read: RestartPolicy = serde_json::from_str(r#"{"attempts": 2}"#).expect("reads");
        assert_eq!((read.attempts, read.interval_ms), (2, 600_000));
    }
}
