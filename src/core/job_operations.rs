//! What people and the machine do to a job: each operation is a new record, made from the one that was seen.
//!
//! Called by `actors::job_table`, which owns the actor's counter, stores the result and pushes it. Every operation takes
//! one fresh dot, so that history and causal context name it. Nothing here reads a clock: times come in as text.

use serde_json::Value;

use crate::core::gtid_set::Gtid;
use crate::core::ids::{Incarnation, JobName, Life};
use crate::core::job_failure::{COMPLETED, CONFLICT, CONFLICT_REASON, Cause, Move, RunId, merge_moves};
use crate::core::job_merge::{claim_order, has_one_meaning, in_force, merge_history, merge_past};
use crate::core::job_record::{Claim, Dot, Extra, HistoryEntry, Hold, HoldKind, JobRecord, SpecEntry};
use crate::core::job_versions::{self, past_of};
use crate::core::setting::Setting;
use crate::core::skip::{self, REASON_CHARS_MAX, Skip};

/// Who acts: the store's identity, the next unused counter, and the words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Random per store creation.
    pub id: String,
    /// The next dot's counter; the caller makes it durable before a record with it leaves the peer.
    pub next: u64,
    /// Who asked, for people.
    pub author: String,
    /// Wall clock as RFC 3339 text, for people.
    pub at: String,
}

impl Actor {
    fn dot(&mut self, record: &mut JobRecord) -> Dot {
        let dot = Dot {
            actor: self.id.clone(),
            counter: self.next,
        };
        self.next += 1;
        let seen = record.vv.entry(dot.actor.clone()).or_default();
        debug_assert!(*seen < dot.counter, "actor {} reused counter {}", dot.actor, dot.counter);
        *seen = (*seen).max(dot.counter);
        dot
    }

    fn note(&self, record: &mut JobRecord, dot: Dot, what: &str, note: &str) {
        let version = record.version();
        self.note_at(record, version, dot, what, note);
    }

    fn note_at(&self, record: &mut JobRecord, version: u64, dot: Dot, what: &str, note: &str) {
        let (at, author) = (self.at.clone(), self.author.clone());
        let entry = HistoryEntry {
            version,
            at,
            dot,
            what: what.into(),
            author,
            note: note.into(),
            extra: Extra::default(),
        };
        record.history = merge_history(&record.history, &[entry]);
    }
}

/// Why an operation is refused; the record is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// A job of that name lives with another content: edit it.
    #[error("job exists with another content at version {found}")]
    Exists {
        /// Its version.
        found: u64,
    },
    /// The job was purged or never was.
    #[error("no such job")]
    Absent,
    /// Somebody else edited in between: look again.
    #[error("job is at version {found}, expected {expected}")]
    VersionMoved {
        /// The version it has.
        found: u64,
        /// The version the caller saw.
        expected: u64,
    },
    /// A setting would decide by the way which of several concurrent versions is meant.
    #[error("{count} concurrent versions differ in what they replicate")]
    Undecided {
        /// How many.
        count: usize,
    },
    /// No spec of that version is kept, or two different ones are.
    #[error(transparent)]
    Version(#[from] job_versions::VersionError),
}

/// What submit or edit did.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "made once per command and taken apart at once")]
pub enum Written {
    /// Same content: nothing to store.
    Unchanged,
    /// A new record.
    Changed(JobRecord),
}

/// Makes a job, or a new incarnation of a purged one. `life` is 128 fresh random bits.
pub fn submit(
    current: Option<&JobRecord>,
    name: &JobName,
    spec: Value,
    life: Life,
    actor: &mut Actor,
) -> Result<Written, OperationError> {
    if let Some(old) = current.filter(|record| record.is_alive()) {
        let is_same = !old.spec.is_empty() && old.spec.values().all(|entry| entry.spec == spec);
        return if is_same {
            Ok(Written::Unchanged)
        } else {
            Err(OperationError::Exists { found: old.version() })
        };
    }
    let inc = Incarnation(current.map_or(1, |record| record.inc.0 + 1));
    let mut record = JobRecord {
        name: name.clone(),
        inc,
        life,
        ..JobRecord::default()
    };
    let dot = actor.dot(&mut record);
    record.spec.insert(dot.clone(), entry(spec, 1, actor));
    actor.note(&mut record, dot, "submit", "");
    Ok(Written::Changed(record))
}

/// Replaces every spec that was seen by a new one. Holds stay.
pub fn edit(record: &JobRecord, spec: Value, expect_version: Option<u64>, actor: &mut Actor) -> Result<Written, OperationError> {
    let record = living(record)?;
    let found = record.version();
    if let Some(expected) = expect_version.filter(|expected| *expected != found) {
        return Err(OperationError::VersionMoved { found, expected });
    }
    Ok(replace(record, spec, actor, "edit", ""))
}

/// Writes the spec in force with other settings as a new version. Refused while concurrent versions differ in meaning.
pub fn set(record: &JobRecord, settings: &[Setting], actor: &mut Actor) -> Result<Written, OperationError> {
    let record = living(record)?;
    let base = in_force(&record).filter(|_| has_one_meaning(&record));
    let count = record.spec.len();
    let (_, base) = base.ok_or(OperationError::Undecided { count })?;
    let mut spec = base.spec.clone();
    for setting in settings {
        setting.put(&mut spec);
    }
    let words: Vec<String> = settings.iter().map(ToString::to_string).collect();
    Ok(replace(record, spec, actor, "set", &words.join(", ")))
}

/// Writes the spec of an earlier version as a new version.
pub fn revert(record: &JobRecord, version: u64, actor: &mut Actor) -> Result<Written, OperationError> {
    let record = living(record)?;
    let spec = job_versions::spec_of(&record, version)?.clone();
    Ok(replace(record, spec, actor, "revert", &format!("to version {version}")))
}

/// Puts one spec in the place of all live ones, which become past.
fn replace(mut record: JobRecord, spec: Value, actor: &mut Actor, what: &str, note: &str) -> Written {
    if record.spec.len() == 1 && record.spec.values().all(|entry| entry.spec == spec) {
        return Written::Unchanged;
    }
    let next = record.version() + 1;
    let dot = actor.dot(&mut record);
    record.past = merge_past(&record.past, &past_of(&record.spec));
    record.spec.clear();
    record.spec.insert(dot.clone(), entry(spec, next, actor));
    actor.note(&mut record, dot, what, note);
    Written::Changed(record)
}

/// Holds the job. Replaces the holds of the same kind that were seen, so repeated stops do not pile up.
pub fn hold(record: &JobRecord, kind: HoldKind, reason: &str, actor: &mut Actor) -> Result<JobRecord, OperationError> {
    put_hold(record, kind, reason, None, actor)
}

/// What a person and what the machine holds for the same reason are two holds.
fn put_hold(
    record: &JobRecord,
    kind: HoldKind,
    reason: &str,
    cause: Option<Box<Cause>>,
    actor: &mut Actor,
) -> Result<JobRecord, OperationError> {
    let mut record = living(record)?;
    let dot = actor.dot(&mut record);
    record
        .holds
        .retain(|_, hold| hold.kind != kind || hold.cause.is_some() != cause.is_some());
    let what = kind.as_str().to_owned();
    let (at, author) = (actor.at.clone(), actor.author.clone());
    record.holds.insert(
        dot.clone(),
        Hold {
            kind,
            reason: reason.into(),
            at,
            author,
            cause,
            extra: Extra::default(),
        },
    );
    actor.note(&mut record, dot, &what, reason);
    Ok(record)
}

/// Holds the job as `failed`, as `done` when that is what ended it, or paused by a conflict. What failed may be history by now, edited, restarted or purged: then nothing changes.
pub fn fail(record: &JobRecord, reason: &str, cause: Cause, actor: &mut Actor) -> Result<Written, OperationError> {
    if RunId::of(&living(record)?).as_ref() != Some(&cause.run) {
        return Ok(Written::Unchanged);
    }
    let (kind, reason) = match cause.error.code.as_str() {
        COMPLETED => (HoldKind::Done, reason),
        CONFLICT => (HoldKind::Pause, CONFLICT_REASON),
        _ => (HoldKind::Failed, reason),
    };
    let record = put_hold(record, kind, reason, Some(Box::new(cause)), actor)?;
    Ok(Written::Changed(record))
}

/// Counts that a peer gave the sink up for others. A move of another incarnation changes nothing.
#[must_use]
pub fn moved(record: &JobRecord, made: Move) -> JobRecord {
    let mut record = record.clone();
    if record.is_alive() && made.run.inc == record.inc {
        record.moves = merge_moves(&record.moves, &[made]);
    }
    record
}

/// Lifts the holds of people that were seen (`resume`). What the machine holds stays.
pub fn release(record: &JobRecord, actor: &mut Actor) -> Result<JobRecord, OperationError> {
    let mut record = living(record)?;
    let dot = actor.dot(&mut record);
    record.holds.retain(|_, hold| !hold.kind.is_of_a_person());
    actor.note(&mut record, dot, "resume", "");
    Ok(record)
}

/// Asks the owner to start its tasks anew and lifts a seen `failed`, `done` or conflict. What people hold stays.
pub fn restart(record: &JobRecord, actor: &mut Actor) -> Result<JobRecord, OperationError> {
    let mut record = living(record)?;
    let dot = actor.dot(&mut record);
    record
        .holds
        .retain(|_, hold| !matches!(hold.kind, HoldKind::Failed | HoldKind::Done) && hold.cause.is_none());
    record.restart += 1;
    actor.note(&mut record, dot, "restart", "");
    Ok(record)
}

/// Orders that one source transaction be passed over. Says nothing of an order that stands already.
pub fn skip(record: &JobRecord, gtid: &Gtid, reason: &str, actor: &mut Actor) -> Result<Written, OperationError> {
    let mut record = living(record)?;
    let text = gtid.to_string();
    if record.skips.contains_key(&text) {
        return Ok(Written::Unchanged);
    }
    let order = Skip {
        at: actor.at.clone(),
        author: actor.author.clone(),
        reason: reason.chars().take(REASON_CHARS_MAX).collect(),
        extra: Extra::default(),
    };
    let note = format!("{text}, {}", order.reason);
    record.skips = skip::merge(&record.skips, &[(text, order)].into());
    let dot = actor.dot(&mut record);
    actor.note(&mut record, dot, "skip", &note);
    Ok(Written::Changed(record))
}

/// Ends the incarnation. The tombstone keeps the history and nothing else.
pub fn purge(record: &JobRecord, actor: &mut Actor) -> Result<JobRecord, OperationError> {
    let old = living(record)?;
    let mut gone = JobRecord {
        name: old.name.clone(),
        inc: Incarnation(old.inc.0 + 1),
        ..JobRecord::default()
    };
    gone.history = old.history.clone();
    let dot = actor.dot(&mut gone);
    actor.note_at(&mut gone, old.version(), dot, "purge", "");
    Ok(gone)
}

/// Writes down who owns the sink. A claim of another incarnation, or not newer than the known one, changes nothing.
#[must_use]
pub fn claim(record: &JobRecord, claim: Claim) -> JobRecord {
    let mut record = record.clone();
    let is_newer = record.claim.as_ref().is_none_or(|known| claim_order(known, &claim).is_lt());
    if record.is_alive() && claim.inc == record.inc && is_newer {
        record.claim = Some(claim);
    }
    record
}

fn living(record: &JobRecord) -> Result<JobRecord, OperationError> {
    if record.is_alive() {
        Ok(record.clone())
    } else {
        Err(OperationError::Absent)
    }
}

fn entry(spec: Value, version: u64, actor: &Actor) -> SpecEntry {
    SpecEntry {
        spec,
        version,
        at: actor.at.clone(),
        author: actor.author.clone(),
        extra: Extra::default(),
    }
}
