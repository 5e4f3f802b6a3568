//! The answer of `plan`, and the words about placement that `status` shares with it. See the folder for the rules of all views.

use serde::{Deserialize, Serialize};

use crate::admin::views::status::PlacementView;
use crate::core::explanation::Explanation;
use crate::core::fault::Fault;
use crate::core::finding::{Finding, Severity, faults};
use crate::core::placement_summary::Totals;
use crate::core::table_plan::{TablePlan, TablesPlan};

/// Answer of `plan`: what `submit --update` of the same text would do, as one peer sees it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    /// The job's name.
    pub name: String,
    /// Name of the peer that looked.
    pub as_seen_by: String,
    /// What a submit would come to.
    pub result: PlanResult,
    /// Version of the job's text now; None: there is no such job.
    pub version: Option<u64>,
    /// A live peer runs it now.
    pub running: bool,
    /// What differs from the job as it is, the costliest first. Empty for a new job.
    pub differences: Vec<DifferenceView>,
    /// Every peer's verdict, per task.
    pub placement: Vec<PlacementView>,
    /// Totals and choice, per task.
    pub placement_summary: Vec<PlacementSummaryView>,
    /// The job table that was looked at.
    pub table: TableDigestView,
    /// The tables as the source has them now, each with its way; None: not known.
    #[serde(default)]
    pub tables: Option<Vec<TablePlan>>,
    /// Why they are not known, or why the job would fail with them.
    #[serde(default)]
    pub tables_faults: Vec<Fault>,
    /// What is to be told of other jobs that go into the same tables of the target.
    #[serde(default)]
    pub other_jobs: Vec<Finding>,
    /// Why the submit would be refused; empty when it would not.
    pub faults: Vec<Fault>,
}

impl PlanView {
    /// The same with what the source has.
    #[must_use]
    pub fn with_tables(self, plan: TablesPlan) -> Self {
        Self {
            tables: plan.tables,
            tables_faults: plan.faults,
            ..self
        }
    }

    /// The same with what is told of other jobs. What fails is a refusal for a job that begins in its tables.
    #[must_use]
    pub fn with_other_jobs(mut self, findings: Vec<Finding>, begins: bool) -> Self {
        self.other_jobs = findings;
        self.other_jobs.retain(|finding| finding.severity > Severity::Ok);
        if begins {
            self.faults.extend(faults(&self.other_jobs, Severity::Fail).0);
        }
        if !self.faults.is_empty() {
            self.result = PlanResult::Refused;
        }
        self
    }
}

/// What a submit would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanResult {
    /// A new job.
    Create,
    /// The same content is there already.
    Unchanged,
    /// The next version of a known job.
    Update,
    /// It would be turned down; the faults say why.
    Refused,
}

/// One difference between the job as it is and as it would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceView {
    /// Where, `link.rate_bytes`.
    pub path: String,
    /// What, for people.
    pub text: String,
    /// `live`, `restart`, `new_copy` or `refused`.
    pub impact: String,
    /// What that means here.
    pub note: String,
}

/// Where one task would run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementSummaryView {
    /// `source` or `sink`.
    pub task: String,
    /// The best peer; None: no peer may run it.
    pub chosen: Option<String>,
    /// Its score.
    pub score: Option<f64>,
    /// The peer that runs it now.
    pub running: Option<String>,
    /// Why it is this one, or why the running one stays.
    pub why: String,
    /// How many peers have each verdict.
    pub totals: PlacementTotalsView,
}

/// How many peers have each verdict for one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementTotalsView {
    /// May run it.
    pub eligible: u64,
    /// Kept out by a rule.
    pub excluded: u64,
    /// Dead or gone.
    pub dead: u64,
    /// Draining.
    pub draining: u64,
    /// At their capacity.
    pub full: u64,
}

impl From<Totals> for PlacementTotalsView {
    fn from(totals: Totals) -> Self {
        let Totals {
            eligible,
            excluded,
            dead,
            draining,
            full,
        } = totals;
        Self {
            eligible,
            excluded,
            dead,
            draining,
            full,
        }
    }
}

/// How far the peers agree on the job table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDigestView {
    /// Digest of the whole table of the peer that looked.
    pub digest: String,
    /// Live peers whose table has this digest, that peer included.
    pub agree: u64,
    /// Live peers in all.
    pub peers: u64,
}

/// One change of the table *peer × first failing rule*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplanationView {
    /// RFC 3339 UTC, by the clock of the peer that answers.
    pub at: String,
    /// What changed.
    pub text: String,
}

impl From<Explanation> for ExplanationView {
    fn from(explanation: Explanation) -> Self {
        let Explanation { at, text } = explanation;
        Self { at, text }
    }
}
