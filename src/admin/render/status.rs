//! The answer of `status` as one screen: what it should do, what it does and why, where, how far, what went wrong.

use std::fmt::Write;

use crate::admin::render::apply;
use crate::admin::render::table::table;
use crate::admin::render::{UNKNOWN, bytes, count, duration_ms, or_unknown, placement};
use crate::admin::views::{
    ConcurrentView, CopyView, Desired, FailureView, JobPhase, PositionView, RetryView, StatusView, TotalsView,
};
use crate::core::job_state::{PreparedStatus, TableProgress};

/// Tables of the copy, errors and events shown; the rest is in the JSON.
pub(super) const LIST_MAX: usize = 10;
/// Width of the labels on the left.
const LABEL: usize = 10;

/// One readable screen.
#[must_use]
pub fn status(view: &StatusView, width: u16) -> String {
    let mut text = String::new();
    let line = &mut text;
    put(
        line,
        "job",
        &format!("{}, version {} of life {}", view.name, view.version, view.incarnation),
    );
    put(line, "state", &state(view));
    if let Some(reason) = &view.reason {
        put_wrapped(line, "reason", reason, width);
    }
    put(
        line,
        "source",
        &owner(
            view.source.peer.as_deref(),
            view.source.endpoint.as_deref(),
            view.source.state.as_deref(),
        ),
    );
    let mut sink = owner(
        view.sink.peer.as_deref(),
        view.sink.endpoint.as_deref(),
        view.sink.state.as_deref(),
    );
    if let Some(epoch) = view.sink.epoch {
        let _ = write!(sink, ", epoch {epoch}");
    }
    put(line, "sink", &sink);
    put(line, "lag", &lag(view));
    if let Some(prepared) = &view.prepared {
        put_wrapped(line, "prepared", &waiting(prepared), width);
    }
    apply::applying(line, view, width);
    position(line, &view.position, width);
    copy(line, &view.copy, width);
    apply::commits(line, view, width);
    totals(line, &view.totals);
    if let Some(failure) = &view.failure {
        let word = if view.state == JobPhase::Paused {
            "conflict"
        } else {
            "failed"
        };
        put_wrapped(line, word, &failed(failure), width);
        put_wrapped(line, "", &format!("fix: {}", failure.fix), width);
    }
    for retry in &view.retries {
        put_wrapped(line, "retry", &next_try(retry), width);
    }
    for hold in &view.holds {
        let by = hold.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
        let at = hold.at.as_deref().map(|at| format!(" at {at}")).unwrap_or_default();
        let why = hold.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        put_wrapped(line, "hold", &format!("{}{by}{at}{why}", hold.kind), width);
    }
    for version in &view.concurrent {
        put_wrapped(line, "conflict", &concurrent_version(version), width);
    }
    for error in view.errors.iter().take(LIST_MAX) {
        put_wrapped(line, "error", &format!("{} {} {}", error.at, error.code, error.text), width);
        if !error.fix.is_empty() {
            put_wrapped(line, "", &format!("fix: {}", error.fix), width);
        }
    }
    for event in view.history.iter().take(LIST_MAX) {
        let at = or_unknown(event.at.as_deref());
        let peer = event.peer.as_deref().map(|peer| format!(" on {peer}")).unwrap_or_default();
        put_wrapped(line, "history", &format!("{at} {}{peer}", event.event), width);
    }
    for change in &view.explanations {
        put_wrapped(line, "changed", &format!("{} {}", change.at, change.text), width);
    }
    if !view.placement.is_empty() {
        line.push('\n');
        line.push_str(&placement(&view.placement, &view.placement_summary, width));
    }
    text
}

/// What failed for good, and where.
fn failed(view: &FailureView) -> String {
    let moves = if view.moves > 0 {
        format!(" after {} moves", view.moves)
    } else {
        String::new()
    };
    format!(
        "version {} of life {} on {} at {}{moves}: {} {} {}",
        view.version,
        view.incarnation,
        view.peer,
        view.at,
        view.class.word(),
        view.code,
        view.text
    )
}

/// When and how often a peer tries, and why it must.
fn next_try(view: &RetryView) -> String {
    let when = match &view.next_at {
        None => "now".to_owned(),
        Some(at) => format!("in {} at {at}", duration_ms(view.next_in_ms)),
    };
    let moves = match view.moves_max {
        Some(most) => format!("{} of {most} moves", view.moves),
        None => format!("{} moves", view.moves),
    };
    format!(
        "on {} {when}; {} of {} attempts, {moves}; {} {} {}",
        view.peer,
        view.attempts,
        view.attempts_max,
        view.class.word(),
        view.code,
        view.text
    )
}

/// One of the versions of which an edit must choose.
fn concurrent_version(version: &ConcurrentView) -> String {
    let by = version.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let at = version.at.as_deref().map(|at| format!(" at {at}")).unwrap_or_default();
    let what = match (version.in_force, version.changes.is_empty()) {
        (true, _) => "in force".to_owned(),
        (false, true) => "not in force".to_owned(),
        (false, false) => format!("not in force: {}", version.changes.join("; ")),
    };
    format!("version {}{by}{at}, {what}", version.version)
}

fn state(view: &StatusView) -> String {
    let wish = match view.desired {
        Desired::Run => "run",
        Desired::Pause => "be paused",
        Desired::Stop => "be stopped",
    };
    format!("{} (meant to {wish})", view.state.word())
}

fn owner(peer: Option<&str>, endpoint: Option<&str>, state: Option<&str>) -> String {
    let on = peer.map_or_else(|| "on no peer".to_owned(), |peer| format!("on {peer}"));
    let state = state.map(|state| format!(", {state}")).unwrap_or_default();
    format!("{} {on}{state}", or_unknown(endpoint))
}

fn lag(view: &StatusView) -> String {
    let lag = view.lag_ms.map_or_else(|| "unknown".to_owned(), duration_ms);
    if view.caught_up { format!("{lag}, caught up") } else { lag }
}

/// What the target cannot have before the source ends it.
fn waiting(prepared: &PreparedStatus) -> String {
    let (age, noun) = (
        duration_ms(prepared.age_ms),
        if prepared.transactions == 1 {
            "transaction waits"
        } else {
            "transactions wait"
        },
    );
    format!(
        "{} XA {noun} for XA COMMIT or XA ROLLBACK, the oldest for {age}: {} ({})",
        prepared.transactions, prepared.xid, prepared.gtid
    )
}

fn position(line: &mut String, view: &PositionView, width: u16) {
    if let (Some(file), Some(offset)) = (&view.binlog_file, view.binlog_pos) {
        put(line, "position", &format!("{file}:{offset}"));
    }
    // When all three agree, one is enough to read.
    let sets = [("applied", &view.applied), ("received", &view.received), ("read", &view.read)];
    for (at, (label, set)) in sets.into_iter().enumerate() {
        if let Some(set) = set
            && (at == 0 || Some(set) != view.applied.as_ref())
        {
            put(line, label, &cut(set, usize::from(width).saturating_sub(LABEL)));
        }
    }
}

fn copy(line: &mut String, view: &CopyView, width: u16) {
    let (Some(done), Some(tables)) = (view.tables_done, view.tables) else {
        return;
    };
    if tables == 0 {
        return;
    }
    let rows = count(view.rows.unwrap_or(0));
    let of = view
        .rows_estimate
        .filter(|_| done < tables)
        .map(|n| format!(" of about {}", count(n)))
        .unwrap_or_default();
    let eta = view
        .eta_ms
        .filter(|_| done < tables)
        .map(|ms| format!(", about {} left", duration_ms(ms)))
        .unwrap_or_default();
    put(line, "copy", &format!("{done} of {tables} tables, {rows}{of} rows{eta}"));
    if let Some(held) = &view.held {
        let (lag, most) = (duration_ms(held.lag_ms), duration_ms(held.lag_max_ms));
        let text = format!("held: lag {lag}; goes on when the lag is at most {most}");
        put_wrapped(line, "", &text, width);
    }
    let open: Vec<&TableProgress> = view.tables_detail.iter().filter(|t| t.state != "done").collect();
    if open.is_empty() {
        return;
    }
    let rows = open.iter().take(LIST_MAX).map(|t| {
        let estimate = t.rows_estimate.map_or_else(|| UNKNOWN.to_owned(), count);
        vec![
            " ".repeat(LABEL - 2),
            format!("{}.{}", t.schema, t.table),
            t.state.clone(),
            count(t.rows),
            estimate,
        ]
    });
    line.push_str(&table(&["", "TABLE", "STATE", "ROWS", "OF ABOUT"], rows, width));
    if open.len() > LIST_MAX {
        put(line, "", &format!("and {} more", open.len() - LIST_MAX));
    }
}

fn totals(line: &mut String, view: &TotalsView) {
    if let (Some(transactions), Some(rows), Some(groups)) = (view.transactions, view.rows, view.groups) {
        let text = format!(
            "{} transactions, {} rows in {} commits",
            count(transactions),
            count(rows),
            count(groups)
        );
        put(line, "total", &text);
    }
    if let (Some(raw), Some(wire)) = (view.bytes_raw, view.bytes_wire) {
        put(line, "link", &format!("{} sent for {} of changes", bytes(wire), bytes(raw)));
    }
    let events = [
        ("conflicts", view.conflicts),
        ("restarts", view.restarts),
        ("moves", view.owner_changes),
    ];
    let told: Vec<String> = events
        .iter()
        .filter_map(|(word, n)| n.map(|n| format!("{n} {word}")))
        .collect();
    if !told.is_empty() {
        put(line, "troubles", &told.join(", "));
    }
}

pub(super) fn put(line: &mut String, label: &str, text: &str) {
    let _ = writeln!(line, "{label:<LABEL$}{text}");
}

/// Puts a text that may be long: breaks between words, the next lines below the first one's text.
pub(super) fn put_wrapped(line: &mut String, label: &str, text: &str, width: u16) {
    let room = usize::from(width).saturating_sub(LABEL).max(20);
    let mut label = label;
    for row in wrapped(text, room) {
        put(line, std::mem::take(&mut label), &row);
    }
}

/// The words of a text in rows of at most `room` characters, as far as the words allow; one row at least.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let row = rows.last_mut().expect("one row at least");
        if !row.is_empty() && row.chars().count() + 1 + word.chars().count() > room {
            rows.push(word.to_owned());
            continue;
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    rows
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::job_state::CopyHeld;

    #[test]
    fn what_is_unknown_is_not_told_as_zero() {
        let text = status(&StatusView::unmeasured("orders", 1, 1, Desired::Stop), 80);
        assert_eq!(
            text,
            "job       orders, version 1 of life 1\nstate     unplaced (meant to be stopped)\nsource    - on no peer\n\
             sink      - on no peer\nlag       unknown\n"
        );
    }

    #[test]
    fn a_copy_that_is_held_says_why() {
        let mut view = StatusView::unmeasured("orders", 1, 1, Desired::Run);
        view.copy = CopyView {
            tables_done: Some(0),
            tables: Some(1),
            held: Some(CopyHeld {
                lag_ms: 12_000,
                lag_max_ms: 10_000,
            }),
            ..CopyView::default()
        };
        let text = status(&view, 80);
        let expected = format!(
            "held: lag {}; goes on when the lag is at most {}",
            duration_ms(12_000),
            duration_ms(10_000)
        );
        assert!(text.contains(&expected), "{text}");
    }

    #[test]
    fn a_long_gtid_set_is_cut_to_the_screen() {
        let mut view = StatusView::unmeasured("orders", 1, 1, Desired::Run);
        view.position.applied = Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-140,".repeat(9));
        let text = status(&view, 80);
        assert!(
            text.contains("…") && text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}
