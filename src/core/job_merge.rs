//! The law of the job table: how two records of one job become one, and what the result means.
//!
//! A larger incarnation wins whole. Within one: the context is the pointwise maximum; specs and holds keep what both have,
//! and what one has and the other has not seen; restart and claim are maxima; history, past specs, moves and skips are the
//! newest of the union. Every part is a join, so merges are commutative, associative and idempotent, and neither order, loss nor repetition of
//! messages matters. A hold is removed only by someone who saw it: a stop is never lost to a concurrent start or edit.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::core::ids::JobName;
use crate::core::job_failure::merge_moves;
use crate::core::job_record::{Dot, Extra, HistoryEntry, PastSpec, canonical_json};
use crate::core::job_spec::JobSpec;
use crate::core::skip;
use crate::core::stable_hash::hex256;

pub use crate::core::job_record::{Claim, Hold, HoldKind, JobRecord, SpecEntry};

/// Events kept per job. Trades record size (about 150 bytes each) for memory of people; a guess.
pub const HISTORY_MAX: usize = 32;

/// Replaced specs kept per job: enough to go back over a bad day's edits. A guess; `job_versions` bounds the size of each.
pub const PAST_MAX: usize = 6;

/// Spec fields that may differ between concurrent edits without holding the job: they change speed and patience, not what
/// arrives.
const LIVE_FIELDS: [&str; 4] = ["link", "apply", "restart", "reschedule"];

/// Returns the join of two records of the same name.
#[must_use]
pub fn merge(a: &JobRecord, b: &JobRecord) -> JobRecord {
    debug_assert_eq!(a.name, b.name, "records of two jobs never meet");
    match a.inc.cmp(&b.inc) {
        Ordering::Greater => return a.clone(),
        Ordering::Less => return b.clone(),
        Ordering::Equal => {}
    }
    let mut vv = a.vv.clone();
    for (actor, counter) in &b.vv {
        let seen = vv.entry(actor.clone()).or_default();
        *seen = (*seen).max(*counter);
    }
    JobRecord {
        name: a.name.clone(),
        inc: a.inc,
        life: a.life.clone().min(b.life.clone()),
        vv,
        spec: merge_dotted(&a.spec, &a.vv, &b.spec, &b.vv),
        holds: merge_dotted(&a.holds, &a.vv, &b.holds, &b.vv),
        restart: a.restart.max(b.restart),
        history: merge_history(&a.history, &b.history),
        past: merge_past(&a.past, &b.past),
        moves: merge_moves(&a.moves, &b.moves),
        skips: skip::merge(&a.skips, &b.skips),
        claim: newer_claim(a.claim.as_ref(), b.claim.as_ref()).cloned(),
        extra: merge_extra(&a.extra, &b.extra),
    }
}

/// Returns SHA-256 of the canonical JSON: equal records, equal hash, unknown fields included.
#[must_use]
pub fn hash(record: &JobRecord) -> String {
    hex256(canonical(record).as_bytes())
}

/// Returns the hash of a whole table from (name, record hash), in any order.
pub fn table_hash<'a>(records: impl IntoIterator<Item = (&'a JobName, &'a str)>) -> String {
    let sorted: BTreeMap<_, _> = records.into_iter().collect();
    let lines: Vec<String> = sorted.into_iter().map(|(name, hash)| format!("{name} {hash}\n")).collect();
    hex256(lines.concat().as_bytes())
}

/// The spec a job should run with.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSpec {
    /// Its entry; the owner names it in its claim.
    pub dot: Dot,
    /// Its version.
    pub version: u64,
    /// The spec, verbatim.
    pub spec: Value,
    /// Concurrent edits exist; a person should edit once more.
    pub is_conflict: bool,
}

impl RunSpec {
    /// Returns the typed spec. An error means that a newer version wrote it: this peer cannot run the job.
    pub fn job_spec(&self) -> Result<JobSpec, serde_json::Error> {
        serde_json::from_value(self.spec.clone())
    }
}

/// Why a job does not run.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The strongest live hold.
    pub kind: HoldKind,
    /// Its reason.
    pub reason: String,
    /// The newest spec, for display; None only in a damaged record.
    pub spec: Option<Value>,
    /// Concurrent edits exist.
    pub is_conflict: bool,
}

/// What a record asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Effective {
    /// Purged.
    Absent,
    /// Must not run.
    Held(Held),
    /// Must run.
    Run(RunSpec),
}

/// Returns what the record asks for.
#[must_use]
pub fn effective(record: &JobRecord) -> Effective {
    if !record.is_alive() {
        return Effective::Absent;
    }
    let choice = choose_spec(record);
    let is_conflict = !matches!(&choice, Choice::Agreed(_));
    let strongest = record.holds.iter().min_by_key(|(dot, hold)| (&hold.kind, *dot));
    if let Some((_, hold)) = strongest {
        return Effective::Held(held(record, hold.kind.clone(), hold.reason.clone(), is_conflict));
    }
    match choice {
        Choice::Agreed(dot) | Choice::Preferred(dot) => {
            let entry = &record.spec[dot];
            Effective::Run(RunSpec {
                dot: dot.clone(),
                version: entry.version,
                spec: entry.spec.clone(),
                is_conflict,
            })
        }
        Choice::Undecided => {
            let reason = format!(
                "{} concurrent versions differ in what they replicate; edit the job once more",
                record.spec.len()
            );
            Effective::Held(held(record, HoldKind::Arbitration, reason, true))
        }
    }
}

fn held(record: &JobRecord, kind: HoldKind, reason: String, is_conflict: bool) -> Held {
    Held {
        kind,
        reason,
        spec: record.newest_spec().map(|(_, entry)| entry.spec.clone()),
        is_conflict,
    }
}

/// Outcome of looking at concurrent specs.
enum Choice<'a> {
    /// One spec, or several with the same content.
    Agreed(&'a Dot),
    /// Several; this one runs meanwhile.
    Preferred(&'a Dot),
    /// Several, none of them running, different in meaning.
    Undecided,
}

fn choose_spec(record: &JobRecord) -> Choice<'_> {
    let Some((newest, entry)) = record.newest_spec() else {
        return Choice::Undecided;
    };
    if record.spec.values().all(|other| other.spec == entry.spec) {
        return Choice::Agreed(newest);
    }
    if has_one_meaning(record) {
        // Nobody saw both, so no count of edits tells which is meant: the later one, by its own clock.
        let later = record.spec.iter().max_by_key(|(dot, entry)| (&entry.at, *dot));
        return later.map_or(Choice::Undecided, |(dot, _)| Choice::Preferred(dot));
    }
    running_spec(record).map_or(Choice::Undecided, Choice::Preferred)
}

/// True when all live specs replicate the same: they differ at most in speed.
#[must_use]
pub fn has_one_meaning(record: &JobRecord) -> bool {
    let mut meanings = record.spec.values().map(|entry| without_live_fields(&entry.spec));
    meanings.next().is_some_and(|first| meanings.all(|meaning| meaning == first))
}

/// The live spec that the owner runs, or the one that replicates the same as what it runs.
fn running_spec(record: &JobRecord) -> Option<&Dot> {
    let claim = record.claim.as_ref().filter(|claim| !claim.is_released)?;
    if let Some((dot, _)) = record.spec.get_key_value(&claim.spec) {
        return Some(dot);
    }
    let replaced = record.past.iter().find(|past| past.dot == claim.spec)?;
    let meaning = without_live_fields(&replaced.spec);
    let same = record
        .spec
        .iter()
        .filter(|(_, entry)| without_live_fields(&entry.spec) == meaning);
    same.max_by_key(|(dot, entry)| (&entry.at, *dot)).map(|(dot, _)| dot)
}

/// Returns the spec in force: what runs, or would run without the holds. None while concurrent versions are undecided.
#[must_use]
pub fn in_force(record: &JobRecord) -> Option<(&Dot, &SpecEntry)> {
    match choose_spec(record) {
        Choice::Agreed(dot) | Choice::Preferred(dot) => record.spec.get_key_value(dot),
        Choice::Undecided => None,
    }
}

fn without_live_fields(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|key, _| !LIVE_FIELDS.contains(&key.as_str()));
    }
    spec
}

/// Keeps an entry when both sides have it, or one has it and the other has not seen its event.
fn merge_dotted<T: Clone + Serialize>(
    a: &BTreeMap<Dot, T>,
    a_seen: &BTreeMap<String, u64>,
    b: &BTreeMap<Dot, T>,
    b_seen: &BTreeMap<String, u64>,
) -> BTreeMap<Dot, T> {
    let mut joined = BTreeMap::new();
    for (dot, entry) in a {
        match b.get(dot) {
            Some(other) => joined.insert(dot.clone(), larger(entry, other).clone()),
            None if !covers(b_seen, dot) => joined.insert(dot.clone(), entry.clone()),
            None => None,
        };
    }
    for (dot, entry) in b {
        if !a.contains_key(dot) && !covers(a_seen, dot) {
            joined.insert(dot.clone(), entry.clone());
        }
    }
    joined
}

fn covers(seen: &BTreeMap<String, u64>, dot: &Dot) -> bool {
    seen.get(&dot.actor).is_some_and(|counter| *counter >= dot.counter)
}

/// Two entries of one dot are equal unless an actor broke the rules; even then every peer takes the same one.
fn larger<'a, T: Serialize>(a: &'a T, b: &'a T) -> &'a T {
    if canonical(a) >= canonical(b) { a } else { b }
}

/// Returns the newest events of both, newest first.
pub(crate) fn merge_history(a: &[HistoryEntry], b: &[HistoryEntry]) -> Vec<HistoryEntry> {
    let mut all: Vec<(String, &HistoryEntry)> = a.iter().chain(b).map(|entry| (canonical(entry), entry)).collect();
    all.sort_by(|(x_text, x), (y_text, y)| (y.version, &y.at, &y.dot, y_text).cmp(&(x.version, &x.at, &x.dot, x_text)));
    all.dedup_by(|(x, _), (y, _)| x == y);
    all.into_iter().take(HISTORY_MAX).map(|(_, entry)| entry.clone()).collect()
}

/// Returns the newest replaced specs of both, newest first.
pub(crate) fn merge_past(a: &[PastSpec], b: &[PastSpec]) -> Vec<PastSpec> {
    let mut all: Vec<(String, &PastSpec)> = a.iter().chain(b).map(|past| (canonical(past), past)).collect();
    all.sort_by(|(x_text, x), (y_text, y)| (y.version, &y.at, &y.dot, y_text).cmp(&(x.version, &x.at, &x.dot, x_text)));
    all.dedup_by(|(x, _), (y, _)| x == y);
    all.into_iter().take(PAST_MAX).map(|(_, past)| past.clone()).collect()
}

/// The claim of the newer epoch; within one epoch the release, then the newer source task, then the last one written.
fn newer_claim<'a>(a: Option<&'a Claim>, b: Option<&'a Claim>) -> Option<&'a Claim> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if claim_order(a, b) == Ordering::Less { b } else { a }),
        (one, None) | (None, one) => one,
    }
}

/// Orders claims: larger is newer. Total, so that all peers choose the same.
#[must_use]
pub fn claim_order(a: &Claim, b: &Claim) -> Ordering {
    let key = |c: &Claim| (c.inc, c.epoch, c.is_released, c.src_epoch, c.rewrites, c.boot);
    key(a)
        .cmp(&key(b))
        .then_with(|| a.owner.cmp(&b.owner))
        .then_with(|| canonical(a).cmp(&canonical(b)))
}

fn merge_extra(a: &Extra, b: &Extra) -> Extra {
    let mut joined = a.clone();
    for (key, value) in b {
        match joined.get(key) {
            Some(mine) if canonical_json(mine) >= canonical_json(value) => {}
            _ => {
                joined.insert(key.clone(), value.clone());
            }
        }
    }
    joined
}

fn canonical<T: Serialize>(value: &T) -> String {
    canonical_json(&serde_json::to_value(value).expect("records hold only JSON values and text keys"))
}

#[cfg(test)]
#[path = "job_merge_tests.rs"]
mod tests;
