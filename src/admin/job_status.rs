//! The answer of `status`: what is seen of a job, and what its owner reports.
//!
//! Fed by `job_lines::Seen` and the owner's `TaskReport`; feeds every door through `StatusView`.

use crate::actors::task_report::TaskReport;
use crate::admin::job_history::concurrent_versions;
use crate::admin::job_lines::Seen;
use crate::admin::views::{ErrorView, HistoryView, HoldView, JobPhase, PlacementView, StatusView};
use crate::core::job_merge::Effective;
use crate::core::job_spec::DatabaseSpec;
use crate::core::job_state::SinkStatus;
use crate::core::member::name_of;
use crate::core::placement::{Outcome, Task, Verdict};

/// Puts the whole screen together. `reason` is placement's word on why nothing runs.
#[must_use]
pub fn status_view(seen: &Seen<'_>, report: TaskReport, reason: Option<String>) -> StatusView {
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
    view.totals.conflicts = Some(0);
    view.totals.owner_changes = record.claim.as_ref().map(|claim| claim.epoch.0.saturating_sub(1));
    view.reason = reason_of(seen, reason, report.sink.as_ref(), view.state);
    view.errors = report.errors.into_iter().rev().map(ErrorView::from).collect();
    view.placement = [("source", Task::Source), ("sink", Task::Sink)]
        .into_iter()
        .flat_map(|(word, task)| placement(seen, word, task))
        .collect();
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
            Some(placement.unwrap_or_else(|| "no peer may run one of the tasks; the table says why".to_owned()))
        }
        // What the running flow meets is nearer than why it was placed there.
        Effective::Run(_) => sink.and_then(|sink| sink.reason.clone()).or(placement),
    }
}

fn placement(seen: &Seen<'_>, word: &str, task: Task) -> Vec<PlacementView> {
    let Some(ranking) = seen.ranking(task) else {
        return Vec::new();
    };
    let line = |verdict: Verdict| {
        let is_candidate = matches!(verdict.verdict, Outcome::Eligible | Outcome::Avoided);
        PlacementView {
            task: word.to_owned(),
            peer: verdict.name,
            verdict: verdict.verdict.word().to_owned(),
            rule: (!verdict.rule.is_empty()).then_some(verdict.rule),
            score: is_candidate.then_some(verdict.score as f64 / u64::MAX as f64),
            affinity: verdict.affinity.filter(|_| is_candidate).map(in_ones),
            spread: verdict.spread.filter(|_| is_candidate).map(in_ones),
        }
    };
    ranking.verdicts.into_iter().map(line).collect()
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
