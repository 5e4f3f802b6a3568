//! The answer of `status`: everything about one job. See the folder for the rules of all views.
//!
//! The measured part comes from the sink flow through `StatusView::absorb`; the rest from the job table and placement.

use serde::{Deserialize, Serialize};

use crate::admin::views::failure::{FailureView, RetryView};
use crate::admin::views::history::ConcurrentView;
use crate::admin::views::jobs::{Desired, JobPhase};
use crate::admin::views::plan::{ExplanationView, PlacementSummaryView};
use crate::core::commit_sizes::RecentCommits;
use crate::core::job_state::{CopyHeld, ErrorReport, LargeTransaction, PreparedStatus, SinkStatus, TableProgress, Totals};
use crate::core::row_by_row::{Reason, RowByRow};

/// Answer of `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The job's name.
    pub name: String,
    /// What it does.
    pub state: JobPhase,
    /// What people asked for.
    pub desired: Desired,
    /// Which life of the name.
    pub incarnation: u64,
    /// Version of its text.
    pub version: u64,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// The source task.
    pub source: SourceView,
    /// The sink task.
    pub sink: SinkView,
    /// Where it stands.
    pub position: PositionView,
    /// How far behind the target is.
    pub lag_ms: Option<u64>,
    /// All that the source had at the last heartbeat is committed on the target.
    pub caught_up: bool,
    /// XA transactions of the source that are prepared and wait for their end; absent while there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<PreparedStatus>,
    /// The large transaction that is being applied, which is not visible before its end; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<LargeTransaction>,
    /// Target transactions of the last minute and how much was in each, the copy's left out; absent when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<RecentCommits>,
    /// Tables with changes that were carried out one by one since the sink task started, most rows first; absent without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_by_row: Vec<RowByRowView>,
    /// The copy.
    pub copy: CopyView,
    /// Counters.
    pub totals: TotalsView,
    /// Tries of the sink after failures, the next one first; absent while nothing waits to be tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<RetryView>,
    /// Why it is `failed`, and which version that was; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// Newest first.
    pub errors: Vec<ErrorReport>,
    /// Every peer's verdict, per task.
    pub placement: Vec<PlacementView>,
    /// Totals and choice, per task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement_summary: Vec<PlacementSummaryView>,
    /// The last changes of the verdicts as the answering peer saw them, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanations: Vec<ExplanationView>,
    /// What keeps it from running.
    pub holds: Vec<HoldView>,
    /// Newest first.
    pub history: Vec<HistoryView>,
    /// Versions written without knowing of each other, until an edit decides; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concurrent: Vec<ConcurrentView>,
}

impl StatusView {
    /// A job of which nothing but its table entry is known: every measured field is `null`.
    #[must_use]
    pub fn unmeasured(name: &str, incarnation: u64, version: u64, desired: Desired) -> Self {
        Self {
            name: name.to_owned(),
            state: JobPhase::Unplaced,
            desired,
            incarnation,
            version,
            reason: None,
            source: SourceView::default(),
            sink: SinkView::default(),
            position: PositionView::default(),
            lag_ms: None,
            caught_up: false,
            prepared: None,
            transaction: None,
            commits: None,
            row_by_row: Vec::new(),
            copy: CopyView::default(),
            totals: TotalsView::default(),
            retries: Vec::new(),
            failure: None,
            errors: Vec::new(),
            placement: Vec::new(),
            placement_summary: Vec::new(),
            explanations: Vec::new(),
            holds: Vec::new(),
            history: Vec::new(),
            concurrent: Vec::new(),
        }
    }

    /// Takes over what the sink flow measured: epoch, positions, lag, copy, totals. Owners and state stay as they are.
    pub fn absorb(&mut self, sink: &SinkStatus) {
        let text = |s: &String| (!s.is_empty()).then(|| s.clone());
        self.sink.epoch = (sink.epoch.0 > 0).then_some(sink.epoch.0);
        self.position = PositionView {
            read: text(&sink.read),
            received: text(&sink.received),
            applied: text(&sink.applied),
            binlog_file: text(&sink.binlog_file),
            binlog_pos: text(&sink.binlog_file).map(|_| sink.binlog_pos),
        };
        self.lag_ms = sink.lag_ms;
        self.caught_up = sink.caught_up;
        self.prepared.clone_from(&sink.prepared);
        self.transaction.clone_from(&sink.transaction);
        self.commits = sink.commits;
        self.row_by_row = sink.row_by_row.iter().map(RowByRowView::of).collect();
        self.copy = CopyView {
            held: sink.copy_held,
            ..CopyView::of(&sink.tables, sink.copy_rows_per_s)
        };
        self.totals.absorb(&sink.totals);
    }
}

/// A table with changes that were carried out one by one, and why. A table with two reasons is there twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowByRowView {
    /// Database on the target.
    pub schema: String,
    /// Table on the target.
    pub table: String,
    /// Why: `no_key`, `partial_images`, `cascades`, …
    pub reason: Reason,
    /// The same in words, with what ends it.
    pub why: String,
    /// Row changes.
    pub rows: u64,
    /// Time since the last of them.
    pub last_ago_ms: u64,
}

impl RowByRowView {
    fn of(found: &RowByRow) -> Self {
        Self {
            schema: found.schema.clone(),
            table: found.table.clone(),
            reason: found.reason,
            why: found.reason.words().to_owned(),
            rows: found.rows,
            last_ago_ms: found.last_ago_ms,
        }
    }
}

/// The source task of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Its owner; None: nobody.
    pub peer: Option<String>,
    /// `host:port` of the database.
    pub endpoint: Option<String>,
    /// What the task does, one word.
    pub state: Option<String>,
}

/// The sink task of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkView {
    /// Its owner; None: nobody.
    pub peer: Option<String>,
    /// `host:port` of the database.
    pub endpoint: Option<String>,
    /// What the task does, one word.
    pub state: Option<String>,
    /// Epoch of the fence it holds.
    pub epoch: Option<u64>,
}

/// Where a job stands. GTID sets are the server's canonical text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// Source's executed set at the last heartbeat.
    pub read: Option<String>,
    /// Received by the sink.
    pub received: Option<String>,
    /// Committed on the target.
    pub applied: Option<String>,
    /// Binlog file of the last applied transaction.
    pub binlog_file: Option<String>,
    /// And the offset in it.
    pub binlog_pos: Option<u64>,
}

/// How far the copy is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyView {
    /// Tables that are complete.
    pub tables_done: Option<u64>,
    /// Tables in all; 0: the job copies none.
    pub tables: Option<u64>,
    /// Rows on the target.
    pub rows: Option<u64>,
    /// The source's estimate of all rows.
    pub rows_estimate: Option<u64>,
    /// Time left at the present rate.
    pub eta_ms: Option<u64>,
    /// Why nothing more is read now; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<CopyHeld>,
    /// Per table.
    pub tables_detail: Vec<TableProgress>,
}

impl CopyView {
    /// Sums the tables; the time left is what the estimate leaves, divided by `rows_per_s`. An estimate that the rows have
    /// reached before the end says nothing about the time left.
    #[must_use]
    pub fn of(tables: &[TableProgress], rows_per_s: Option<f64>) -> Self {
        let rows: u64 = tables.iter().map(|t| t.rows).sum();
        let rows_estimate: Option<u64> = tables
            .iter()
            .map(|t| {
                t.rows_estimate
                    .map(|n| if t.state == "done" { t.rows } else { n.max(t.rows) })
            })
            .sum();
        let is_done = tables.iter().all(|t| t.state == "done");
        let left = rows_estimate.map(|n| n.saturating_sub(rows));
        let eta_ms = match (is_done, left, rows_per_s) {
            (true, ..) => Some(0),
            (false, Some(1..), Some(1.0..)) => left.zip(rows_per_s).map(|(n, rate)| (n as f64 / rate * 1000.0) as u64),
            _ => None,
        };
        Self {
            tables_done: Some(tables.iter().filter(|t| t.state == "done").count() as u64),
            tables: Some(tables.len() as u64),
            rows: Some(rows),
            rows_estimate,
            eta_ms,
            held: None,
            tables_detail: tables.to_vec(),
        }
    }
}

/// Counters since the sink task started on its present peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsView {
    /// Source transactions applied.
    pub transactions: Option<u64>,
    /// Rows written, copy included.
    pub rows: Option<u64>,
    /// Bytes before compression.
    pub bytes_raw: Option<u64>,
    /// Bytes on the link.
    pub bytes_wire: Option<u64>,
    /// Target transactions.
    pub groups: Option<u64>,
    /// Rows that did not fit.
    pub conflicts: Option<u64>,
    /// Restarts on the same peer.
    pub restarts: Option<u64>,
    /// Moves from one peer to another.
    pub owner_changes: Option<u64>,
}

impl TotalsView {
    /// Takes over the sink flow's counters; the others stay.
    pub fn absorb(&mut self, totals: &Totals) {
        self.transactions = Some(totals.transactions);
        self.rows = Some(totals.rows);
        self.bytes_raw = Some(totals.bytes_raw);
        self.bytes_wire = Some(totals.bytes_wire);
        self.groups = Some(totals.groups);
    }
}

/// What one peer is for one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementView {
    /// `source` or `sink`.
    pub task: String,
    /// Name of the peer.
    pub peer: String,
    /// `owner`, `eligible` or why not, in a word or two.
    pub verdict: String,
    /// The first rule that failed, as written.
    pub rule: Option<String>,
    /// Rank score among the eligible of equal affinity and spread; the highest runs the task.
    pub score: Option<f64>,
    /// How the affinities fit, -1 to 1: goes before `spread` and `score`. Absent without affinities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<f64>,
    /// How the spreads fit, -1 to 1: goes before `score`. Absent without spreads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
}

/// One thing that keeps a job from running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// `pause`, `stop`, `conflict`, …
    pub kind: String,
    /// Name of the peer that took the command.
    pub by: Option<String>,
    /// RFC 3339 UTC.
    pub at: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// One thing that happened to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// RFC 3339 UTC.
    pub at: Option<String>,
    /// Peer it happened on.
    pub peer: Option<String>,
    /// What happened, in words.
    pub event: String,
}
