//! What a peer tells of a job that waits to be tried again: how often, when next, and why.
//!
//! Made from nomination's standing and the last error by `nominee`, carried in `TaskReport` to whoever asks. Decides nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::actors::ports::Clock;
use crate::core::job_state::ErrorReport;
use crate::core::retry::Standing;

/// One peer's tries after failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryReport {
    /// Name of the peer that tries.
    pub peer: String,
    /// Failures that count on it; 0 after it gave the sink up for others.
    pub attempts: u32,
    /// The most of them.
    pub attempts_max: u32,
    /// Moves that count: of all peers when they are limited, else those of this peer.
    pub moves: u32,
    /// The most of them; None: unlimited.
    pub moves_max: Option<u32>,
    /// Wall clock of the next try, RFC 3339 UTC; None: it tries at this moment.
    pub next_at: Option<String>,
    /// Time until then; 0: now, as soon as it is this peer's turn.
    pub next_in_ms: u64,
    /// Why the last try failed.
    pub error: ErrorReport,
}

impl RetryReport {
    /// Puts together what is known at this moment.
    #[must_use]
    pub fn new(peer: &str, standing: Standing, is_trying: bool, error: &ErrorReport, clock: &Clock) -> Self {
        let wait = if is_trying {
            Duration::ZERO
        } else {
            standing.due.saturating_sub(clock.now())
        };
        Self {
            peer: peer.to_owned(),
            attempts: standing.attempts,
            attempts_max: standing.attempts_max,
            moves: standing.moves,
            moves_max: standing.moves_max,
            next_at: (!is_trying).then(|| clock.wall_text_in(wait)),
            next_in_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            error: error.clone(),
        }
    }

    /// The last error in one line, as the peer itself says why the job does not run.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} {}", self.error.code, self.error.text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::core::disposition::Disposition;

    #[tokio::test(start_paused = true)]
    async fn the_next_try_is_told_as_a_time_and_as_a_wait_and_a_running_try_as_neither() {
        let clock = Clock::new(|| UNIX_EPOCH + Duration::from_secs(86_400));
        let error = ErrorReport {
            at: String::new(),
            class: Disposition::Retry,
            code: "PEER1308".into(),
            text: "too many".into(),
            fix: String::new(),
            faults: Vec::new(),
        };
        let standing = Standing {
            attempts: 2,
            attempts_max: 5,
            moves: 0,
            moves_max: None,
            due: clock.now() + Duration::from_millis(2500),
        };
        let waiting = RetryReport::new("a", standing, false, &error, &clock);
        assert_eq!(
            (waiting.next_at.as_deref(), waiting.next_in_ms),
            (Some("1970-01-02T00:00:02.500Z"), 2500)
        );
        let trying = RetryReport::new("a", standing, true, &error, &clock);
        assert_eq!((trying.next_at, trying.next_in_ms), (None, 0));
    }
}
