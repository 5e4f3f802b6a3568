//! What a task tells about itself to people: in full over QUIC when asked, in brief through gossip.
//!
//! Made by `tasks`, read by `handle`. Decides nothing.

use serde::{Deserialize, Serialize};

use crate::actors::retry_report::RetryReport;
use crate::core::disposition::Disposition;
use crate::core::ids::{Epoch, Incarnation};
use crate::core::job_state::{ErrorReport, Phase, SinkStatus};
use crate::flow::status::SourceStatus;

/// The last errors kept per job. Guess: enough to see a pattern.
pub const ERRORS_MAX: usize = 5;

/// Everything the sink's peer knows about a job; the answer to `Request::Status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The running sink flow's view; None while none runs here.
    pub sink: Option<SinkStatus>,
    /// The source flow that runs on this same peer, if one does.
    pub source: Option<SourceStatus>,
    /// Newest last.
    pub errors: Vec<ErrorReport>,
    /// Starts of the sink on this peer after the first.
    pub restarts: u64,
    /// Peers that try the sink again after failures: one in an answer of one peer, the next to try first in a merged one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<RetryReport>,
}

impl TaskReport {
    /// What several peers know of one job: the newest errors of all of them, the rest from the one that works.
    #[must_use]
    pub fn merged(reports: impl IntoIterator<Item = Self>) -> Self {
        let mut merged = Self::default();
        for report in reports {
            merged.sink = merged.sink.or(report.sink);
            merged.source = merged.source.or(report.source);
            merged.errors.extend(report.errors);
            merged.restarts = merged.restarts.max(report.restarts);
            merged.retries.extend(report.retries);
        }
        merged
            .retries
            .sort_by(|a, b| (a.next_in_ms, &a.peer).cmp(&(b.next_in_ms, &b.peer)));
        merged.errors.sort_by(|a, b| a.at.cmp(&b.at));
        let superfluous = merged.errors.len().saturating_sub(ERRORS_MAX);
        merged.errors.drain(..superfluous);
        merged
    }
}

/// The value of a sink's gossip key: a line of `peer jobs`. At most 1 KiB as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskBrief {
    /// Incarnation it works for.
    pub inc: Incarnation,
    /// Epoch it holds, 0 before the fence.
    pub epoch: Epoch,
    /// What it does.
    pub phase: Phase,
    /// PROTOCOLS 12, in steps that keep gossip quiet.
    pub lag_ms: Option<u64>,
    /// Rows per second, whole.
    pub rows_per_s: u64,
    /// Why it does not get on, or the newest error while it starts; cut.
    pub error: Option<String>,
}

/// Longest error text in a brief, in bytes.
const BRIEF_ERROR_BYTES_MAX: usize = 200;

impl TaskBrief {
    /// Returns the brief of a status and the newest error.
    #[must_use]
    pub fn of(inc: Incarnation, status: &SinkStatus, newest: Option<&ErrorReport>) -> Self {
        let is_starting = status.phase == Phase::Starting;
        let newest = newest.filter(|_| is_starting).map(|error| error.text.as_str());
        Self {
            inc,
            epoch: status.epoch,
            phase: status.phase,
            lag_ms: status.lag_ms,
            rows_per_s: status.rows_per_s.max(0.0) as u64,
            error: status.reason.as_deref().or(newest).map(cut),
        }
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(BRIEF_ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// True for an error that a person must mend before anything can go on.
#[must_use]
pub fn needs_a_person(error: &ErrorReport) -> bool {
    error.class == Disposition::Fatal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_several_peers_are_told_in_their_order() {
        let report = |times: &[&str]| TaskReport {
            errors: times.iter().map(|at| error(at, "no")).collect(),
            ..TaskReport::default()
        };
        let merged = TaskReport::merged([report(&["2", "3", "7"]), report(&["1", "4", "5", "6"])]);
        let at: Vec<&str> = merged.errors.iter().map(|error| error.at.as_str()).collect();
        assert_eq!(at, ["3", "4", "5", "6", "7"]);
    }

    fn error(at: &str, text: &str) -> ErrorReport {
        ErrorReport {
            at: at.into(),
            class: Disposition::Retry,
            code: "PEER1300".into(),
            text: text.into(),
            fix: String::new(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn a_brief_is_small_whatever_the_error_says() {
        let error = error("", &"é".repeat(5000));
        let brief = TaskBrief::of(Incarnation(1), &SinkStatus::default(), Some(&error));
        let json = serde_json::to_string(&brief).unwrap();
        assert!(json.len() < 1024, "{} bytes", json.len());
    }
}
