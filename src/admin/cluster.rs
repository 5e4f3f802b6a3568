//! The port through which the command layer sees the cluster.
//!
//! Implemented above the actors by the node, and by a scripted fake in tests; called by `execute` and nobody else.
//! Object-safe, so the doors hold one `Arc<dyn Cluster>`. An implementation answers within 5 s or refuses `NotReady`.

use std::future::Future;
use std::pin::Pin;

use crate::admin::refusal::Refusal;
use crate::admin::views::{
    ChangeView, CheckView, ConflictsView, HealthView, JobHistoryView, JobsView, MembersView, PeerChangeView, PlanView,
    StatusView, SubmitView, VersionView,
};

/// The boxed future of one answer.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// A `submit` as it came through a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitRequest {
    /// The text of job.toml; at most [`JOB_TEXT_BYTES_MAX`].
    pub text: String,
    /// Make the next version when the job exists with another content.
    pub update: bool,
    /// Refuse when the present version is another one.
    pub expect_version: Option<u64>,
    /// Resume from progress that another cluster or an earlier life left in the target.
    pub adopt: bool,
    /// Take a new job without looking at its databases.
    pub is_unchecked: bool,
}

/// Most bytes of a job's text, at every door. Guess: 256 KiB is some five thousand tables; the job table keeps it in memory.
pub const JOB_TEXT_BYTES_MAX: usize = 256 * 1024;

/// Which hold a person puts on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldKind {
    /// `pause`.
    Pause,
    /// `stop`.
    Stop,
}

/// What one peer can be asked.
pub trait Cluster: Send + Sync + 'static {
    /// Who is here, as this peer sees it.
    fn members(&self) -> Reply<'_, MembersView>;
    /// Every job in a line.
    fn jobs(&self) -> Reply<'_, JobsView>;
    /// One job in full; refuses `Unknown`.
    fn status<'a>(&'a self, name: &'a str) -> Reply<'a, StatusView>;
    /// Takes a job's text; refuses `Invalid` with all faults, those of the databases of a new job too, `Exists` with the difference.
    /// May take as long as `check`.
    fn submit(&self, request: SubmitRequest) -> Reply<'_, SubmitView>;
    /// Makes the next version with other settings, each `KEY=VALUE`; refuses `Invalid` with all faults, `Unknown`.
    fn set<'a>(&'a self, name: &'a str, settings: Vec<String>) -> Reply<'a, SubmitView>;
    /// What happened to a job and what each version changed, a purged one too; refuses `Unknown`.
    fn history<'a>(&'a self, name: &'a str) -> Reply<'a, JobHistoryView>;
    /// Makes the next version from the text of an earlier one; refuses `Unknown`, and `Exists` when it is not kept.
    fn revert<'a>(&'a self, name: &'a str, version: u64) -> Reply<'a, SubmitView>;
    /// Says what a submit of this text would do; changes nothing. Refuses `Invalid` with all faults.
    fn plan(&self, text: String) -> Reply<'_, PlanView>;
    /// Looks at every prerequisite of this text on both databases and in the cluster; changes nothing. Answers within
    /// `CHECK_TIME_MAX`; refuses `Invalid` with all faults of the text.
    fn check(&self, text: String) -> Reply<'_, CheckView>;
    /// Puts a person's hold on a job; refuses `Unknown`.
    fn hold<'a>(&'a self, name: &'a str, kind: HoldKind) -> Reply<'a, ChangeView>;
    /// Removes every hold a person put; refuses `Unknown`.
    fn release<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView>;
    /// Starts both tasks again, a failed job too; refuses `Unknown`.
    fn restart<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView>;
    /// Forgets the job and its progress; refuses `Unknown`.
    fn purge<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView>;
    /// Holds the job like `stop`, and ends its owner in the target, which need not hear of it; refuses `Unknown`, and `NotReady`
    /// when the target is not reached from here (the hold stays).
    fn stop_fence<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView>;
    /// Forgets the job and, from here, its rows in the target; refuses `Unknown`, and `NotReady` when the target is not reached
    /// from here (the job stays forgotten).
    fn purge_target<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView>;
    /// The rows of a job that did not fit, from its target; refuses `Unknown`, and `NotReady` when no peer reaches it.
    fn conflicts<'a>(&'a self, name: &'a str) -> Reply<'a, ConflictsView>;
    /// Orders that one source transaction be passed over; refuses `Unknown`, `Exists` when it is applied already, and `NotReady` when
    /// no peer reaches the target to know that.
    fn skip<'a>(&'a self, name: &'a str, gtid: &'a str, reason: String) -> Reply<'a, ChangeView>;
    /// Lets a peer, by name or id, give its tasks away, or take tasks again; refuses `Unknown`.
    fn drain<'a>(&'a self, peer: &'a str, is_draining: bool) -> Reply<'a, PeerChangeView>;
    /// Lets a peer, by name or id, end: for a restart its sinks wait for it, else it gives its tasks away first. None: this peer.
    /// Answers before it ends; refuses `Unknown`, and `NotReady` when it is not heard of.
    fn leave<'a>(&'a self, peer: Option<&'a str>, is_restart: bool) -> Reply<'a, PeerChangeView>;
    /// What this peer is and runs.
    fn version(&self) -> Reply<'_, VersionView>;
    /// The process works.
    fn health(&self) -> Reply<'_, HealthView>;
    /// The peer takes commands; `ok: false` with a reason while it does not.
    fn ready(&self) -> Reply<'_, HealthView>;
}
