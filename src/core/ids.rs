//! Names and numbers that identify things, each its own type so that two of them cannot be swapped.
//!
//! Pure data. Made by config, store and the fence; compared everywhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A peer's identity: random, made with its store, kept in data_dir, bound to its certificate. Not its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub String);

/// How often a peer's store was opened; grows at each start. The gossip generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boot(pub u64);

/// A job's name, `[a-z0-9][a-z0-9_-]{0,63}` (checked by `config`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobName(pub String);

/// The causal length of a job name: odd while the job lives, even once purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// One life of a job: its name and incarnation. The key of every row in `peer_meta`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The job's name.
    pub name: JobName,
    /// Its incarnation.
    pub inc: Incarnation,
}

/// Who may write into the target: issued by the fence row, grows with every owner (PROTOCOLS 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Numbers the source tasks that one sink owner starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceEpoch(pub u64);

/// Number of a group committed in the target: the compare-and-set of `progress.seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// SHA-256 of the first CA certificate in `cluster.key`, as 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub String);

/// 128 random bits made with an incarnation, as 32 hex digits: tells two jobs of one name apart (PROTOCOLS 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Life(pub String);

macro_rules! display_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

display_inner!(NodeId, Boot, JobName, Incarnation, Epoch, SourceEpoch, Seq, ClusterId, Life);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.inc)
    }
}
