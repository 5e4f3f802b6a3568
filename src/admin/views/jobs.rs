//! Answers about jobs in a line, and about changes to them. See the folder for the rules of all views.

use serde::{Deserialize, Serialize};

use crate::core::check::Check;

/// Answer of `jobs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobsView {
    /// Every job, by name.
    pub jobs: Vec<JobLine>,
}

/// One job in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobLine {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: JobPhase,
    /// What people asked for.
    pub desired: Desired,
    /// Which life of the name.
    pub incarnation: u64,
    /// Version of its text.
    pub version: u64,
    /// Owner of the source task.
    pub source: OwnerView,
    /// Owner of the sink task.
    pub sink: OwnerView,
    /// How far behind the target is.
    pub lag_ms: Option<u64>,
    /// Rows written per second, lately.
    pub rows_per_s: Option<f64>,
    /// Newest error, code first.
    pub error: Option<String>,
}

/// Who runs a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerView {
    /// Name of the peer; None: nobody.
    pub peer: Option<String>,
}

/// The one word for what a job does. A conflict is `paused`, reason `conflict`.
///
/// unplaced → starting → copying → streaming → done; any of them → paused | stopped | held (a hold) | failed, and back to
/// unplaced when the holds are gone or someone says restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    /// No peer may or can run it.
    Unplaced,
    /// Placed; not yet moving rows.
    Starting,
    /// The copy is under way.
    Copying,
    /// Changes flow.
    Streaming,
    /// A person, or a row that did not fit, paused it.
    Paused,
    /// A person stopped it.
    Stopped,
    /// Another hold keeps it.
    Held,
    /// It gave up; the errors say why.
    Failed,
    /// A job that ends has ended.
    Done,
}

impl JobPhase {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::Unplaced,
        Self::Starting,
        Self::Copying,
        Self::Streaming,
        Self::Paused,
        Self::Stopped,
        Self::Held,
        Self::Failed,
        Self::Done,
    ];

    /// The word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unplaced => "unplaced",
            Self::Starting => "starting",
            Self::Copying => "copying",
            Self::Streaming => "streaming",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}

/// What people asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// No hold.
    Run,
    /// A pause is the strongest hold.
    Pause,
    /// A stop is.
    Stop,
}

impl Desired {
    /// The word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Stop => "stop",
        }
    }
}

/// Answer of `submit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitView {
    /// The job's name.
    pub name: String,
    /// Which life of the name.
    pub incarnation: u64,
    /// Version of its text, now.
    pub version: u64,
    /// What came of it.
    pub result: SubmitResult,
    /// Peers that are known to have it, the one that answers included.
    pub seen_by: u64,
    /// Live peers in all.
    pub peers: u64,
    /// Progress that was adopted: the epoch that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_epoch: Option<u64>,
    /// What the check of a new job warns of, and what it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Check>,
}

/// What came of a `submit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmitResult {
    /// A new job.
    Accepted,
    /// The same text is there already.
    Unchanged,
    /// A new version of a known job.
    Updated,
}

/// What was done in a job's target from the peer that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// `host:port`.
    pub endpoint: String,
    /// The epoch that ended; None: the job never wrote there, or all it wrote is forgotten.
    pub ended_epoch: Option<u64>,
    /// Name of the peer that owned it; None: nobody did.
    pub ended_owner: Option<String>,
    /// Rows of the job were deleted.
    pub forgot: bool,
}

/// Answer of `pause`, `resume`, `stop`, `restart` and `purge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// The job's name.
    pub name: String,
    /// Which life of the name.
    pub incarnation: u64,
    /// What was asked for: `pause`, `resume`, `stop`, `restart`, `purge`.
    pub action: String,
    /// What the job is meant to do now; None: it is gone.
    pub desired: Option<Desired>,
    /// False: it was so already.
    pub changed: bool,
    /// Of `stop --fence` and `purge --target`: what was done in the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetView>,
}
