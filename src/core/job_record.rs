//! The record of one job in the job table: what is merged, pushed, stored and hashed.
//!
//! Made by `core::job_operations`, joined by `core::job_merge`, kept by `store`, exchanged by `gossip::table_sync`. Fields
//! that this version does not know survive at every level and count in the hash. Times here are text for people; no
//! decision reads them except to break a tie between equals.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::ids::{Boot, Epoch, Incarnation, JobName, Life, NodeId, SourceEpoch};
use crate::core::job_failure::{Cause, Move};
use crate::core::skip::Skips;

/// Fields of a newer version, kept as they came.
pub type Extra = Map<String, Value>;

/// Names one event: the actor that made it and its counter. Written `actor:counter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dot {
    /// Random per store creation, so that a lost store never issues an old dot again.
    pub actor: String,
    /// Grows with each event of that actor.
    pub counter: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.actor, self.counter)
    }
}

impl From<Dot> for String {
    fn from(dot: Dot) -> Self {
        dot.to_string()
    }
}

/// A dot that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dot `{found}` is not of the form `actor:counter`")]
pub struct DotError {
    /// What was there.
    pub found: String,
}

impl FromStr for Dot {
    type Err = DotError;

    fn from_str(text: &str) -> Result<Self, DotError> {
        let error = || DotError { found: text.to_owned() };
        let (actor, counter) = text.rsplit_once(':').ok_or_else(error)?;
        let counter = counter.parse().map_err(|_| error())?;
        Ok(Self {
            actor: actor.to_owned(),
            counter,
        })
    }
}

impl TryFrom<String> for Dot {
    type Error = DotError;

    fn try_from(text: String) -> Result<Self, DotError> {
        text.parse()
    }
}

/// One written spec. More than one live entry means concurrent edits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpecEntry {
    /// The spec, verbatim.
    pub spec: Value,
    /// 1 for the first of an incarnation, then one more than any it replaced.
    pub version: u64,
    /// When, for people.
    pub at: String,
    /// Who, for people.
    pub author: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A spec that a newer one replaced, kept for `peer history` and `peer revert`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastSpec {
    /// The event that wrote it.
    pub dot: Dot,
    /// Its version.
    pub version: u64,
    /// When it was written, for people.
    pub at: String,
    /// Who wrote it, for people.
    pub author: String,
    /// The spec, verbatim.
    pub spec: Value,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Why a job is held. Stronger ones first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum HoldKind {
    /// A person: stop.
    Stop,
    /// The machine: a Fatal error; lifted by `restart`.
    Failed,
    /// The machine: all that the job was to do is done; lifted by `restart`.
    Done,
    /// A person: pause.
    Pause,
    /// The machine: arbitration between concurrent wishes.
    Arbitration,
    /// A kind this version does not know: holds too.
    Other(String),
}

impl HoldKind {
    /// The word in the record.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::Pause => "pause",
            Self::Arbitration => "arb",
            Self::Other(word) => word,
        }
    }

    /// True for the holds that `resume` lifts.
    #[must_use]
    pub fn is_of_a_person(&self) -> bool {
        matches!(self, Self::Stop | Self::Pause)
    }
}

impl From<String> for HoldKind {
    fn from(word: String) -> Self {
        match word.as_str() {
            "stop" => Self::Stop,
            "failed" => Self::Failed,
            "done" => Self::Done,
            "pause" => Self::Pause,
            "arb" => Self::Arbitration,
            _ => Self::Other(word),
        }
    }
}

impl From<HoldKind> for String {
    fn from(kind: HoldKind) -> Self {
        kind.as_str().to_owned()
    }
}

/// One reason not to run. A job runs only without live holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Which.
    pub kind: HoldKind,
    /// In words; the error's text for `failed`.
    pub reason: String,
    /// When, for people.
    pub at: String,
    /// Who, for people.
    pub author: String,
    /// What failed and how; only for `failed`, and absent in the holds of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Cause>>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One line of `peer history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Version of the spec when it happened.
    pub version: u64,
    /// When, for people.
    pub at: String,
    /// The event.
    pub dot: Dot,
    /// `submit`, `edit`, `set`, `revert`, `stop`, `pause`, `failed`, `resume`, `restart`, `purge`.
    pub what: String,
    /// Who, for people.
    pub author: String,
    /// In words.
    pub note: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Who owns the sink task, as written by the one that acquired the epoch at the target. Display and choice of whom to
/// ask only: the fence row is the truth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Incarnation it is about.
    pub inc: Incarnation,
    /// Issued by the fence row.
    pub epoch: Epoch,
    /// The owner gave it back in good order: nobody need wait.
    pub is_released: bool,
    /// Number of the source task it started last.
    pub src_epoch: SourceEpoch,
    /// Peer that owns the sink.
    pub owner: NodeId,
    /// Its name, for people.
    pub owner_name: String,
    /// Its boot.
    pub boot: Boot,
    /// Peer that runs the source task, when chosen.
    pub source: Option<NodeId>,
    /// Its name, for people.
    pub source_name: String,
    /// The life that the target's progress belongs to.
    pub life: Life,
    /// `server_uuid` of the target that issued the epoch.
    pub target_uuid: String,
    /// The spec entry that runs.
    pub spec: Dot,
    /// Times this was written anew for the same epoch and source, because the owner took up another spec entry.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rewrites: u64,
    /// When it was acquired, for people.
    pub at: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One job name: its life, wishes and owner. See `core::job_merge` for the law.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job's name; the key.
    pub name: JobName,
    /// Causal length: odd lives, even is purged; the larger one replaces the whole rest.
    pub inc: Incarnation,
    /// The smallest proposed life of this incarnation; ask `life()`.
    pub life: Life,
    /// Causal context: the events of each actor that this record has seen.
    pub vv: BTreeMap<String, u64>,
    /// Specs nobody has replaced yet.
    pub spec: BTreeMap<Dot, SpecEntry>,
    /// Holds nobody has lifted yet.
    pub holds: BTreeMap<Dot, Hold>,
    /// How often a person asked for a restart.
    pub restart: u64,
    /// The last events, newest first.
    pub history: Vec<HistoryEntry>,
    /// The last replaced specs, newest first. Absent in the stored text when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<PastSpec>,
    /// The last times the sink was given up for other peers, newest first; written while the job limits them. Absent in the
    /// stored text when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// Source transactions that a person passed over. Absent in the stored text when there are none.
    #[serde(default, skip_serializing_if = "Skips::is_empty")]
    pub skips: Skips,
    /// The newest known owner.
    pub claim: Option<Claim>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl JobRecord {
    /// True while the incarnation lives; a purged one is a tombstone.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inc.0 % 2 == 1
    }

    /// Which life the target must hold: the claim's once one exists, else the smallest proposed.
    #[must_use]
    pub fn life(&self) -> &Life {
        self.claim.as_ref().map_or(&self.life, |claim| &claim.life)
    }

    /// The newest spec entry by (version, time text, dot).
    #[must_use]
    pub fn newest_spec(&self) -> Option<(&Dot, &SpecEntry)> {
        self.spec
            .iter()
            .max_by(|(a, x), (b, y)| (x.version, &x.at, a).cmp(&(y.version, &y.at, b)))
    }

    /// The version people see; 0 when purged.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.newest_spec().map_or(0, |(_, entry)| entry.version)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Returns JSON with sorted keys and no spaces: equal values give equal text in every build.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            text.push('{');
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write_canonical(&map[key], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_newer_version_survive_at_every_level() {
        let text = r#"{"name":"orders","inc":1,"life":"aa","vv":{"a":3},"future":{"x":[1,2]},
            "spec":{"a:1":{"spec":{"k":1},"version":1,"at":"t","author":"me","note":"n"}},
            "holds":{"a:2":{"kind":"guard","reason":"r","at":"t","author":"me","until":9}},"restart":0,
            "history":[{"version":1,"at":"t","dot":"a:1","what":"submit","author":"me","note":"","z":true}],
            "claim":{"inc":1,"epoch":4,"is_released":false,"src_epoch":1,"owner":"n1","owner_name":"bj-1","boot":2,"source":null,
                     "source_name":"","life":"aa","target_uuid":"u","spec":"a:1","at":"t","weight":7}}"#;
        let value: Value = serde_json::from_str(text).expect("is JSON");
        let record: JobRecord = serde_json::from_value(value.clone()).expect("reads");
        assert_eq!(
            record.holds.values().next().map(|h| h.kind.clone()),
            Some(HoldKind::Other("guard".into()))
        );
        let back = serde_json::to_value(&record).expect("writes");
        assert_eq!(canonical_json(&back), canonical_json(&value));
    }

    #[test]
    fn a_dot_reads_back() {
        let dot = Dot {
            actor: "n:1".into(),
            counter: 7,
        };
        assert_eq!(dot.to_string().parse(), Ok(dot));
        assert!("x".parse::<Dot>().is_err());
    }
}
