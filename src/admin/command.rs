//! The commands of a running peer, typed, and what they answer.
//!
//! Made by `parse` (shell) and `http`, run by `execute`; one meaning for every door. Does not know how a door spells them.

use serde::Serialize;

use crate::admin::cluster::SubmitRequest;
use crate::admin::views::{
    ChangeView, CheckView, ConflictsView, JobHistoryView, JobsView, MembersView, PeerChangeView, PlanView, StatusView,
    SubmitView, VersionView,
};

/// What a peer can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Who is here.
    Members,
    /// One line per job.
    Jobs,
    /// One screen about a job.
    Status {
        /// The job.
        job: String,
    },
    /// Take a job's text.
    Submit(SubmitRequest),
    /// Make the next version with other settings.
    Set {
        /// The job.
        job: String,
        /// Each `KEY=VALUE`, not yet read.
        settings: Vec<String>,
    },
    /// What happened to the job, and what each version changed.
    History {
        /// The job.
        job: String,
    },
    /// The rows that did not fit.
    Conflicts {
        /// The job.
        job: String,
    },
    /// Pass over one source transaction.
    Skip {
        /// The job.
        job: String,
        /// Canonical text of its GTID.
        gtid: String,
        /// Why.
        reason: String,
    },
    /// Make the next version from an earlier one.
    Revert {
        /// The job.
        job: String,
        /// Which.
        version: u64,
    },
    /// Say what a submit of this text would do.
    Plan {
        /// The text of job.toml.
        text: String,
    },
    /// Look at every prerequisite of this text.
    Check {
        /// The text of job.toml.
        text: String,
    },
    /// Hold the job, to go on soon.
    Pause {
        /// The job.
        job: String,
    },
    /// Remove a person's holds.
    Resume {
        /// The job.
        job: String,
    },
    /// Hold the job.
    Stop {
        /// The job.
        job: String,
    },
    /// Hold the job, and end its owner in the target from the asked peer.
    StopFence {
        /// The job.
        job: String,
    },
    /// Start both tasks again.
    Restart {
        /// The job.
        job: String,
    },
    /// Forget the job and its progress.
    Purge {
        /// The job.
        job: String,
    },
    /// Forget the job, and its progress from the asked peer.
    PurgeTarget {
        /// The job.
        job: String,
    },
    /// Give a peer's tasks to others; it takes none.
    Drain {
        /// Name or id of the peer.
        peer: String,
    },
    /// Let a peer take tasks again.
    Undrain {
        /// Name or id of the peer.
        peer: String,
    },
    /// A peer ends.
    Leave {
        /// Name or id of the peer; None: the one that is asked.
        peer: Option<String>,
        /// Its sinks wait for it; otherwise it gives its tasks away first.
        is_restart: bool,
    },
    /// What the peer is and runs.
    Version,
    /// The commands, in groups.
    Help,
}

/// What a command answered. Serializes as the body of DESIGN 1.5, without a tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of `members`.
    Members(MembersView),
    /// Of `jobs`.
    Jobs(JobsView),
    /// Of `status`.
    Status(Box<StatusView>),
    /// Of `history`.
    History(JobHistoryView),
    /// Of `conflicts`.
    Conflicts(ConflictsView),
    /// Of `submit`, `set` and `revert`.
    Submit(SubmitView),
    /// Of `plan`.
    Plan(Box<PlanView>),
    /// Of `check`.
    Check(CheckView),
    /// Of `pause`, `resume`, `stop`, `restart`, `purge`, `skip`.
    Change(ChangeView),
    /// Of `drain`, `undrain`, `leave`.
    Peer(PeerChangeView),
    /// Of `version`.
    Version(VersionView),
    /// Of `help`.
    Help(HelpView),
}

/// The help text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HelpView {
    /// Lines for people.
    pub help: String,
}
