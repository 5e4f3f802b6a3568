//! What happened to a job, from its record alone: events with what each changed, and versions that contradict.
//!
//! Fed by the job table; feeds every door through `JobHistoryView` and `StatusView`. Explains, decides nothing.

use crate::admin::views::{ConcurrentView, EventView, JobHistoryView};
use crate::core::job_record::JobRecord;
use crate::core::job_versions::{concurrent, told};

/// Puts the list together.
#[must_use]
pub fn job_history(record: &JobRecord) -> JobHistoryView {
    let event = |told: crate::core::job_versions::Told<'_>| EventView {
        version: told.event.version,
        at: text(&told.event.at),
        by: text(&told.event.author),
        what: told.event.what.clone(),
        note: text(&told.event.note),
        changes: told.changes,
        in_force: told.is_in_force,
        kept: told.is_kept,
    };
    JobHistoryView {
        name: record.name.0.clone(),
        incarnation: record.inc.0,
        version: record.is_alive().then(|| record.version()),
        events: told(record).into_iter().map(event).collect(),
    }
}

/// The versions of which an edit must choose; none when there is no conflict.
#[must_use]
pub fn concurrent_versions(record: &JobRecord) -> Vec<ConcurrentView> {
    let view = |one: crate::core::job_versions::Concurrent<'_>| ConcurrentView {
        version: one.entry.version,
        at: text(&one.entry.at),
        by: text(&one.entry.author),
        in_force: one.is_in_force,
        changes: one.changes,
    };
    concurrent(record).into_iter().map(view).collect()
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
