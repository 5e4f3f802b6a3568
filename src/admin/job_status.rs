//! The answer of `status`: what is seen of a job, and what its owner reports.
//!
//! Fed by `job_lines::Seen` and the owner's `TaskReport`; feeds every door through `StatusView`.

use crate::actors::placement::PlacementWord;
use crate::actors::retry_report::RetryReport;
use crate::actors::task_report::TaskReport;
use crate::admin::job_history::concurrent_versions;
use crate::admin::job_lines::Seen;
use crate::admin::views::{
    ExplanationView, FailureView, HistoryView, HoldView, JobPhase, PlacementSummaryView, PlacementView, RetryView, StatusView,
};
use crate::core::ids::NodeId;
use crate::core::job_merge::Effective;
use crate::core::job_spec::DatabaseSpec;
use crate::core::job_state::SinkStatus;
use crate::core::member::{Member, name_of};
use crate::core::placement::{Outcome, Ranking, Task, Verdict};
use crate::core::placement_summary::{Placed, Totals, why};

/// Puts the whole screen together. `word` is what placement of this peer has to say.
#[must_use]
pub fn status_view(seen: &Seen<'_>, report: TaskReport, word: PlacementWord) -> StatusView {
    let PlacementWord {
        awaits,
        reason,
        explanations,
        ..
    } = word;
    let awaits = awaits.filter(|_| matches!(seen.effective, Effective::Run(_)));
    let record = seen.record;
    let mut view = StatusView::unmeasured(&record.name.0, record.inc.0, record.version(), seen.desired());
    view.state = seen.phase();
    if let Some(spec) = seen.spec() {
        view.source.endpoint = Some(endpoint(&spec.source.endpoint));
        view.sink.endpoint = Some(endpoint(&spec.sink.endpoint));
    }
    view.sink.peer = seen.sink_peer();
    view.source.peer = seen.source_peer();
    if let Some(sink) = &report.sink {
        view.absorb(sink);
        view.source.peer = sink.source.as_ref().map(|source| name_of(&seen.view.roster, source));
    }
    view.sink.state = view.sink.peer.as_ref().map(|_| view.state.word().to_owned());
    view.source.state = view.source.peer.as_ref().map(|_| view.state.word().to_owned());
    view.totals.restarts = Some(report.restarts);
    view.totals.conflicts = report.sink.as_ref().map(|sink| sink.totals.conflicts);
    view.totals.owner_changes = record.claim.as_ref().map(|claim| claim.epoch.0.saturating_sub(1));
    let reason = reason.or_else(|| report.retries.first().map(RetryReport::words));
    view.reason = match awaits {
        Some(name) => Some(format!("waiting for {name} to come back (restart announced)")),
        None => reason_of(seen, reason, report.sink.as_ref(), view.state),
    };
    if matches!(seen.effective, Effective::Run(_)) {
        view.retries = report.retries.into_iter().map(RetryView::from).collect();
    }
    view.failure = FailureView::of(record);
    view.errors = report.errors.into_iter().rev().collect();
    if let Some(placed) = seen.placed() {
        let claim = seen.claim;
        let (owner, source) = (claim.map(|claim| &claim.owner), claim.and_then(|claim| claim.source.as_ref()));
        view.placement = placement_rows(&placed);
        view.placement_summary = placement_summary(&placed, &seen.view.roster, owner, source);
    }
    view.explanations = explanations.into_iter().map(ExplanationView::from).collect();
    view.holds = holds(seen);
    view.history = history(seen);
    view.concurrent = concurrent_versions(record);
    view
}

fn endpoint(database: &DatabaseSpec) -> String {
    format!("{}:{}", database.host, database.port)
}

fn reason_of(seen: &Seen<'_>, placement: Option<String>, sink: Option<&SinkStatus>, state: JobPhase) -> Option<String> {
    match &seen.effective {
        Effective::Held(held) if !held.reason.is_empty() => Some(held.reason.clone()),
        Effective::Held(_) | Effective::Absent => None,
        Effective::Run(_) if state == JobPhase::Unplaced => {
            let unreadable = || "no peer of this version can read the job".to_owned();
            Some(nowhere(seen).or(placement).unwrap_or_else(unreadable))
        }
        // What the running flow meets is nearer than why it was placed there.
        Effective::Run(_) => sink.and_then(|sink| sink.reason.clone()).or(placement),
    }
}

/// Every peer's verdict, the source's before the sink's.
#[must_use]
pub fn placement_rows(placed: &Placed) -> Vec<PlacementView> {
    let line = |task: Task, verdict: &Verdict| {
        let is_candidate = matches!(verdict.verdict, Outcome::Eligible | Outcome::Avoided);
        PlacementView {
            task: task.as_str().to_owned(),
            peer: verdict.name.clone(),
            verdict: verdict.verdict.word().to_owned(),
            rule: (!verdict.rule.is_empty()).then(|| verdict.rule.clone()),
            score: is_candidate.then_some(in_one(verdict.score)),
            affinity: verdict.affinity.filter(|_| is_candidate).map(in_ones),
            spread: verdict.spread.filter(|_| is_candidate).map(in_ones),
        }
    };
    let of = |task: Task, ranking: &Ranking| ranking.verdicts.iter().map(|verdict| line(task, verdict)).collect::<Vec<_>>();
    [of(Task::Source, &placed.source), of(Task::Sink, &placed.sink)].concat()
}

/// Totals and choice of both tasks; `owner` and `source` run them now.
#[must_use]
pub fn placement_summary(
    placed: &Placed,
    roster: &[Member],
    owner: Option<&NodeId>,
    source: Option<&NodeId>,
) -> Vec<PlacementSummaryView> {
    let of = |task: Task, ranking: &Ranking, running: Option<&NodeId>| {
        let best = ranking.eligible.first();
        PlacementSummaryView {
            task: task.as_str().to_owned(),
            chosen: best.map(|(id, _)| name_of(roster, id)),
            score: best.map(|(_, score)| in_one(*score)),
            running: running.map(|id| name_of(roster, id)),
            why: why(ranking, task, roster, running),
            totals: Totals::of(ranking).into(),
        }
    };
    vec![of(Task::Source, &placed.source, source), of(Task::Sink, &placed.sink, owner)]
}

/// Why no peer may run one of the tasks: both reasons, when both have one.
fn nowhere(seen: &Seen<'_>) -> Option<String> {
    let placed = seen.placed()?;
    let of = |task: Task, ranking: &Ranking| ranking.eligible.is_empty().then(|| ranking.why_nobody(task));
    let told: Vec<String> = [of(Task::Source, &placed.source), of(Task::Sink, &placed.sink)]
        .into_iter()
        .flatten()
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn in_one(score: u64) -> f64 {
    score as f64 / u64::MAX as f64
}

fn in_ones(thousandths: i32) -> f64 {
    f64::from(thousandths) / 1000.0
}

fn holds(seen: &Seen<'_>) -> Vec<HoldView> {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let view = |hold: &crate::core::job_record::Hold| HoldView {
        kind: hold.kind.as_str().to_owned(),
        by: text(&hold.author),
        at: text(&hold.at),
        reason: text(&hold.reason),
    };
    seen.record.holds.values().map(view).collect()
}

fn history(seen: &Seen<'_>) -> Vec<HistoryView> {
    let event = |what: &str, version: u64, note: &str| {
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        format!("{what} (version {version}){note}")
    };
    let view = |entry: &crate::core::job_record::HistoryEntry| HistoryView {
        at: Some(entry.at.clone()),
        peer: Some(entry.author.clone()),
        event: event(&entry.what, entry.version, &entry.note),
    };
    seen.record.history.iter().map(view).collect()
}
