//! Answers as text for people: tables that fit a terminal, human units, every fault in full.
//!
//! Fed by the doors with views; pure. JSON is not made here: the views are the JSON.

mod apply;
mod check;
mod conflicts;
mod history;
mod plan;
mod status;
mod table;
mod units;

use std::fmt::Write;

use crate::admin::command::Answer;
use crate::admin::refusal::Refusal;
use crate::admin::render::status::put_wrapped;
use crate::admin::render::table::table;
use crate::admin::views::{
    ChangeView, JobLine, JobsView, MemberView, MembersView, PeerChangeView, PlacementSummaryView, PlacementView, SubmitResult,
    SubmitView, TargetView, VersionView,
};

pub use check::check;
pub use conflicts::conflicts;
pub use history::history;
pub use plan::plan;
pub use status::status;
pub use units::{bytes, count, duration_ms, rate};

/// Columns that every terminal has.
pub const WIDTH_DEFAULT: u16 = 80;

/// What stands for something unknown.
const UNKNOWN: &str = "-";

/// An answer as text of at most `width` columns where the words allow it. Ends with a line end.
#[must_use]
pub fn answer(answer: &Answer, width: u16) -> String {
    match answer {
        Answer::Members(view) => members(view, width),
        Answer::Jobs(view) => jobs(view, width),
        Answer::Status(view) => status(view, width),
        Answer::History(view) => history(view, width),
        Answer::Conflicts(view) => conflicts(view, width),
        Answer::Submit(view) => submit(view, width),
        Answer::Plan(view) => plan(view, width),
        Answer::Check(view) => check(view, width),
        Answer::Change(view) => change(view),
        Answer::Peer(view) => peer_change(view),
        Answer::Version(view) => version(view),
        Answer::Help(view) => view.help.clone(),
    }
}

/// Every fault in full.
#[must_use]
pub fn refusal(refusal: &Refusal) -> String {
    format!("{}\n", refusal.faults)
}

/// Who is here.
#[must_use]
pub fn members(view: &MembersView, width: u16) -> String {
    let rows = view.members.iter().map(member_row);
    let mut text = table(
        &["NAME", "DATACENTER", "STATE", "VERSION", "SRC", "SINK", "ADDRESS"],
        rows,
        width,
    );
    let alive = view
        .members
        .iter()
        .filter(|m| matches!(m.state.word(), "alive" | "draining"))
        .count();
    let _ = writeln!(
        text,
        "cluster {}: {alive} of {} alive, as {} sees it",
        view.cluster,
        view.members.len(),
        view.as_seen_by
    );
    text
}

fn member_row(member: &MemberView) -> Vec<String> {
    let mark = if member.is_self { "*" } else { "" };
    vec![
        format!("{}{mark}", member.name),
        member.datacenter.clone(),
        member.state.word().to_owned(),
        or_unknown(member.version.as_deref()),
        member.tasks.source.to_string(),
        member.tasks.sink.to_string(),
        or_unknown(member.address.as_deref()),
    ]
}

/// One line per job, and below them what is wrong.
#[must_use]
pub fn jobs(view: &JobsView, width: u16) -> String {
    if view.jobs.is_empty() {
        return "no jobs; `peer submit job.toml` makes one\n".to_owned();
    }
    let mut text = table(
        &["JOB", "STATE", "SOURCE -> SINK", "LAG", "RATE"],
        view.jobs.iter().map(job_row),
        width,
    );
    for job in &view.jobs {
        if let Some(error) = &job.error {
            let _ = writeln!(text, "{}: {error}", job.name);
        }
    }
    text
}

fn job_row(job: &JobLine) -> Vec<String> {
    vec![
        job.name.clone(),
        job.state.word().to_owned(),
        format!(
            "{} -> {}",
            or_unknown(job.source.peer.as_deref()),
            or_unknown(job.sink.peer.as_deref())
        ),
        job.lag_ms.map_or_else(|| UNKNOWN.to_owned(), duration_ms),
        job.rows_per_s.map_or_else(|| UNKNOWN.to_owned(), rate),
    ]
}

/// Who may run what, and which rule keeps the others out; the peer that is or would be chosen has a `*`. Below it the totals
/// and the choice of each task.
#[must_use]
pub fn placement(rows: &[PlacementView], summaries: &[PlacementSummaryView], width: u16) -> String {
    let is_chosen = |row: &PlacementView| {
        let mut of_task = summaries.iter().filter(|summary| summary.task == row.task);
        row.score.is_some() && of_task.any(|summary| summary.chosen.as_ref() == Some(&row.peer))
    };
    let cells = rows.iter().map(|row| {
        let mark = if is_chosen(row) { "*" } else { "" };
        vec![
            row.task.clone(),
            format!("{}{mark}", row.peer),
            row.verdict.clone(),
            score(row),
            or_unknown(row.rule.as_deref()),
        ]
    });
    let mut text = table(&["TASK", "PEER", "VERDICT", "SCORE", "RULE"], cells, width);
    for summary in summaries {
        put_wrapped(&mut text, &summary.task, &summary_line(summary), width);
    }
    text
}

fn summary_line(summary: &PlacementSummaryView) -> String {
    let totals = summary.totals;
    let counts = [
        ("eligible", totals.eligible),
        ("excluded by rule", totals.excluded),
        ("dead", totals.dead),
        ("draining", totals.draining),
        ("full", totals.full),
    ];
    let told: Vec<String> = counts
        .into_iter()
        .filter(|(word, count)| *count > 0 || *word == "eligible")
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let choice = summary.chosen.as_ref().map(|peer| {
        let score = summary.score.map(|score| format!(" (score {score:.3})")).unwrap_or_default();
        format!("*{peer}{score}: ")
    });
    format!("{}; {}{}", told.join(", "), choice.unwrap_or_default(), summary.why)
}

/// The parts of the score, in the order they decide.
fn score(row: &PlacementView) -> String {
    let part = |word: &str, value: Option<f64>| value.map(|value| format!("{word}{value:.3}"));
    let parts = [
        part("affinity ", row.affinity),
        part("spread ", row.spread),
        part("", row.score),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        UNKNOWN.to_owned()
    } else {
        parts.join(", ")
    }
}

fn submit(view: &SubmitView, width: u16) -> String {
    let done = match view.result {
        SubmitResult::Accepted => "accepted",
        SubmitResult::Unchanged => "unchanged",
        SubmitResult::Updated => "updated",
    };
    let adopted = view.adopted_epoch.map_or_else(String::new, |epoch| {
        format!("resumes from the target's progress of epoch {epoch}\n")
    });
    let warnings = check::lines(&view.warnings, width);
    format!(
        "{} {done}: version {}, on {} of {} peers\n{adopted}{warnings}",
        view.name, view.version, view.seen_by, view.peers
    )
}

fn change(view: &ChangeView) -> String {
    let done = match view.action.as_str() {
        "pause" => "paused",
        "resume" => "resumed",
        "stop" => "stopped",
        "restart" => "restarted",
        "purge" => "purged",
        "skip" if view.changed => {
            "passes that transaction over when it comes; `peer resume` goes on with a paused job, `peer restart` with a failed one"
        }
        "skip" => "ordered to pass that transaction over",
        other => other,
    };
    let already = if view.changed { "" } else { " already" };
    let target = view.target.as_ref().map_or_else(String::new, target);
    match view.desired {
        Some(desired) => format!("{}{already} {done}: it is meant to {}\n{target}", view.name, desired.word()),
        None => format!("{}{already} {done}\n{target}", view.name),
    }
}

fn target(view: &TargetView) -> String {
    let what = match (view.forgot, view.ended_epoch) {
        (true, _) => "its rows are forgotten".to_owned(),
        (false, None) => "it has no rows there".to_owned(),
        (false, Some(epoch)) => {
            let owner = view
                .ended_owner
                .as_ref()
                .map_or_else(|| "nobody".to_owned(), |name| format!("`{name}`"));
            format!("epoch {epoch} of {owner} is ended, nothing of it commits any more")
        }
    };
    format!("target {}: {what}\n", view.endpoint)
}

fn peer_change(view: &PeerChangeView) -> String {
    let done = match (view.action.as_str(), view.changed) {
        ("drain", true) => "drains: its tasks move to other peers",
        ("drain", false) => "drained already",
        ("undrain", true) => "takes tasks again",
        ("undrain", false) => "did not drain",
        ("leave", true) => "gives its tasks away and ends",
        ("leave_for_restart", true) => "stops its tasks and ends; its sinks wait 90 s for it to come back",
        ("leave" | "leave_for_restart", false) => "was leaving already",
        (other, _) => other,
    };
    format!("{} {done}\n", view.name)
}

fn version(view: &VersionView) -> String {
    let name = or_unknown(view.name.as_deref());
    format!(
        "peer {} on {name}, cluster {}\n",
        view.version,
        or_unknown(view.cluster.as_deref())
    )
}

fn or_unknown(text: Option<&str>) -> String {
    match text {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}
