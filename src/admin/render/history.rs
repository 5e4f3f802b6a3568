//! The answer of `history` as a table: one line per event, below each other what it changed.

use std::fmt::Write;

use crate::admin::render::or_unknown;
use crate::admin::render::table::table;
use crate::admin::views::{EventView, JobHistoryView};

/// What happened, newest first.
#[must_use]
pub fn history(view: &JobHistoryView, width: u16) -> String {
    let mut text = table(
        &["VERSION", "AT", "BY", "WHAT", "CHANGED"],
        view.events.iter().map(row),
        width,
    );
    let now = match view.version {
        Some(version) => format!("version {version} of life {}", view.incarnation),
        None => "purged".to_owned(),
    };
    let kept = view.events.iter().filter(|event| event.kept).count();
    let _ = writeln!(
        text,
        "{}: {now}; * is in force, + can be reverted to ({kept} kept)",
        view.name
    );
    text
}

fn row(event: &EventView) -> Vec<String> {
    let mark = match (event.in_force, event.kept) {
        (true, _) => "*",
        (false, true) => "+",
        (false, false) => "",
    };
    let changed = event
        .changes
        .as_ref()
        .map(|changes| changes.join("; "))
        .filter(|text| !text.is_empty());
    vec![
        format!("{}{mark}", event.version),
        or_unknown(event.at.as_deref()),
        or_unknown(event.by.as_deref()),
        event.what.clone(),
        or_unknown(changed.or_else(|| event.note.clone()).as_deref()),
    ]
}
