//! Failures in the answer of `status`: tries that follow, and the one that ended all tries.
//!
//! Made from the peers' retry reports and from the hold `failed` of the job's record.

use serde::{Deserialize, Serialize};

use crate::actors::retry_report::RetryReport;
use crate::core::disposition::Disposition;
use crate::core::job_record::{HoldKind, JobRecord};

/// One peer's tries of the sink after failures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryView {
    /// Name of the peer that tries.
    pub peer: String,
    /// What the last error means: `retry` tries here again, `replace` only after other peers had their turn.
    pub class: Disposition,
    /// `PEERnnnn`.
    pub code: String,
    /// What was found and expected.
    pub text: String,
    /// When it failed, RFC 3339 UTC, by the clock of that peer.
    pub at: String,
    /// Failures that count on this peer; 0 after it gave the sink up for others.
    pub attempts: u32,
    /// The most of them, `restart.attempts`.
    pub attempts_max: u32,
    /// Moves that count: of all peers when they are limited, else those of this peer.
    pub moves: u32,
    /// The most of them, `reschedule.attempts`; None: unlimited.
    pub moves_max: Option<u32>,
    /// When it is tried next, RFC 3339 UTC; None: at this moment.
    pub next_at: Option<String>,
    /// Time until then; 0: now, as soon as it is this peer's turn.
    pub next_in_ms: u64,
}

impl From<RetryReport> for RetryView {
    fn from(report: RetryReport) -> Self {
        Self {
            peer: report.peer,
            class: report.error.class,
            code: report.error.code,
            text: report.error.text,
            at: report.error.at,
            attempts: report.attempts,
            attempts_max: report.attempts_max,
            moves: report.moves,
            moves_max: report.moves_max,
            next_at: report.next_at,
            next_in_ms: report.next_in_ms,
        }
    }
}

/// Why a job failed, or which row paused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// Which life of the name failed.
    pub incarnation: u64,
    /// Which version of its text.
    pub version: u64,
    /// The peer it failed on.
    pub peer: String,
    /// When, RFC 3339 UTC, by the clock of that peer.
    pub at: String,
    /// `fatal`: no try could mend it; else it moved as often as the job allows.
    pub class: Disposition,
    /// `PEERnnnn`.
    pub code: String,
    /// What was found and expected.
    pub text: String,
    /// Moves that had been made.
    pub moves: u32,
    /// What to do.
    pub fix: String,
}

impl FailureView {
    /// None: it has neither failed nor met a conflict, or the hold is of an older version and names no cause.
    #[must_use]
    pub fn of(record: &JobRecord) -> Option<Self> {
        let failed = record
            .holds
            .values()
            .filter(|hold| matches!(hold.kind, HoldKind::Failed | HoldKind::Pause));
        let (hold, cause) = failed.rev().find_map(|hold| Some((hold, hold.cause.as_deref()?)))?;
        let job = &record.name;
        let error = cause.error.clone();
        let mend = if error.fix.is_empty() {
            "mend what the error names".to_owned()
        } else {
            error.fix
        };
        let mend = mend.replace("JOB", &job.0);
        let is_held = record.holds.values().any(|hold| hold.kind.is_of_a_person());
        let resume = if is_held {
            format!(", and `peer resume {job}` since a person holds it too")
        } else {
            String::new()
        };
        Some(Self {
            incarnation: cause.run.inc.0,
            version: cause.version,
            peer: hold.author.clone(),
            at: error.at,
            class: error.class,
            code: error.code,
            text: error.text,
            moves: cause.moves,
            fix: match hold.kind {
                HoldKind::Pause => mend,
                _ => format!("{mend}; then `peer restart {job}`{resume}"),
            },
        })
    }
}
