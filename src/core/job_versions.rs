//! The versions of a job: which specs are kept, which one a number means, and what each of them changed.
//!
//! Reads the record alone: live specs, replaced ones and the list of events. `job_operations` keeps and reverts with it,
//! `admin::job_history` shows it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::job_merge::in_force;
use crate::core::job_record::{Dot, HistoryEntry, JobRecord, PastSpec, SpecEntry, canonical_json};
use crate::core::spec_diff::differences;

/// A larger replaced spec is not kept. Trades going back for the size of the record (256 KiB at most, with six of these);
/// some 400 tables fit.
pub const PAST_SPEC_BYTES_MAX: usize = 16 * 1024;

/// Why a version cannot be gone back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Never was, is too old, or was too large to be kept.
    #[error("version {wanted} is not kept, kept are {kept:?}")]
    NotKept {
        /// What was asked for.
        wanted: u64,
        /// What there is, ascending.
        kept: Vec<u64>,
    },
    /// Written on two sides of a partition.
    #[error("{count} different specs have version {version}")]
    Ambiguous {
        /// What was asked for.
        version: u64,
        /// How many.
        count: usize,
    },
}

/// Returns the live specs as they are kept once replaced.
#[must_use]
pub fn past_of(live: &BTreeMap<Dot, SpecEntry>) -> Vec<PastSpec> {
    let fits = |entry: &&SpecEntry| canonical_json(&entry.spec).len() <= PAST_SPEC_BYTES_MAX;
    let kept = live.iter().filter(|(_, entry)| fits(entry));
    kept.map(|(dot, entry)| PastSpec {
        dot: dot.clone(),
        version: entry.version,
        at: entry.at.clone(),
        author: entry.author.clone(),
        spec: entry.spec.clone(),
        extra: entry.extra.clone(),
    })
    .collect()
}

/// One kept spec.
#[derive(Clone, Copy, Debug)]
struct Kept<'a> {
    dot: &'a Dot,
    version: u64,
    at: &'a str,
    spec: &'a Value,
}

fn kept(record: &JobRecord) -> impl Iterator<Item = Kept<'_>> {
    let live = record.spec.iter().map(|(dot, entry)| Kept {
        dot,
        version: entry.version,
        at: &entry.at,
        spec: &entry.spec,
    });
    live.chain(record.past.iter().map(|past| Kept {
        dot: &past.dot,
        version: past.version,
        at: &past.at,
        spec: &past.spec,
    }))
}

/// Returns the spec of a version.
pub fn spec_of(record: &JobRecord, version: u64) -> Result<&Value, VersionError> {
    let mut found: Vec<&Value> = Vec::new();
    for candidate in kept(record).filter(|candidate| candidate.version == version) {
        if !found.contains(&candidate.spec) {
            found.push(candidate.spec);
        }
    }
    match found.as_slice() {
        [spec] => Ok(spec),
        [] => {
            let mut kept: Vec<u64> = kept(record).map(|kept| kept.version).collect();
            kept.sort_unstable();
            kept.dedup();
            Err(VersionError::NotKept { wanted: version, kept })
        }
        several => Err(VersionError::Ambiguous {
            version,
            count: several.len(),
        }),
    }
}

/// One event of a job's life, explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<'a> {
    /// The event.
    pub event: &'a HistoryEntry,
    /// What it changed in the spec. None: it wrote none, or one of the two specs is not kept.
    pub changes: Option<Vec<String>>,
    /// Its spec is the one in force.
    pub is_in_force: bool,
    /// Its spec is kept: `revert` can go back to it.
    pub is_kept: bool,
}

/// Returns the events, newest first, each with what it changed.
#[must_use]
pub fn told<'a>(record: &'a JobRecord) -> Vec<Told<'a>> {
    let running = in_force(record).map(|(dot, _)| dot);
    let tell = |event: &'a HistoryEntry| {
        let written = kept(record).find(|kept| *kept.dot == event.dot);
        Told {
            event,
            changes: written.and_then(|written| changes(record, &written)),
            is_in_force: running == Some(&event.dot),
            is_kept: written.is_some(),
        }
    };
    record.history.iter().map(tell).collect()
}

/// What a spec changed against the one of the version before it.
fn changes(record: &JobRecord, written: &Kept<'_>) -> Option<Vec<String>> {
    let before = kept(record).filter(|other| other.version + 1 == written.version);
    let before = before.max_by_key(|other| (other.at, other.dot))?;
    Some(differences(before.spec, written.spec))
}

/// One of several live specs.
#[derive(Clone, Debug, PartialEq)]
pub struct Concurrent<'a> {
    /// Its entry.
    pub entry: &'a SpecEntry,
    /// It is the one in force.
    pub is_in_force: bool,
    /// How it differs from the one in force, or from the newest while none is.
    pub changes: Vec<String>,
}

/// Returns the live specs that were written without knowing of each other; empty when there is no conflict.
#[must_use]
pub fn concurrent<'a>(record: &'a JobRecord) -> Vec<Concurrent<'a>> {
    let Some((chosen, base)) = in_force(record).or_else(|| record.newest_spec()) else {
        return Vec::new();
    };
    if record.spec.values().all(|entry| entry.spec == base.spec) {
        return Vec::new();
    }
    let is_decided = in_force(record).is_some();
    let view = |(dot, entry): (&Dot, &'a SpecEntry)| Concurrent {
        entry,
        is_in_force: is_decided && dot == chosen,
        changes: differences(&base.spec, &entry.spec),
    };
    record.spec.iter().map(view).collect()
}
