//! What DESIGN 1.3 has and this version cannot do yet: every key is read and checked, then refused by name.
//!
//! Called by `config::job`. A key written with exactly its default passes, because that is what this version does. Nothing
//! is silently ignored.

use crate::config::document::{Found, Section};
use crate::config::fault_list::FaultList;

/// Notes `found` as not yet possible unless it is the default.
fn only<T: PartialEq>(found: Option<Found<T>>, default: &T, shown: &str, faults: &mut FaultList) {
    if let Some(found) = found.filter(|found| found.value != *default) {
        faults.later(&found.key, found.at, "another value than the default", &format!("`{shown}`"));
    }
}

fn only_word(section: &Section<'_, '_>, key: &str, words: &[&str], faults: &mut FaultList) {
    if let Some(found) = section.word(key, words, faults)
        && found.value != words[0]
    {
        faults.later(
            &found.key,
            found.at,
            &format!("`{}`", found.value),
            &format!("`{}`", words[0]),
        );
    }
}

/// `[source.snapshot]`.
pub(crate) fn snapshot(source: &Section<'_, '_>, faults: &mut FaultList) {
    let section = source.section("snapshot", &["parallel", "chunk_rows"], faults);
    only(section.number("parallel", (1, 64), 4, faults), &4, "4", faults);
    only(section.number("chunk_rows", (0, 10_000_000), 0, faults), &0, "0", faults);
}

/// The option of `[sink]` that decides about tables that are there.
pub(crate) fn sink_policies(sink: &Section<'_, '_>, faults: &mut FaultList) {
    only_word(sink, "existing_table", &["empty", "truncate", "drop", "merge"], faults);
}
