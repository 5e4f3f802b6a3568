//! Sets of executed transactions: parse, print, add, subtract, compare.
//!
//! MySQL's GTID sets, tags included (`uuid:1-123:mytag:1`). Serialised as the server's canonical text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The server that numbered a transaction, and the tag it used (empty: none).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    /// The server's UUID, big-endian bytes.
    pub uuid: [u8; 16],
    /// Lower-case tag, empty for none.
    pub tag: String,
}

/// One transaction's global id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gtid {
    /// Who numbered it.
    pub source: SourceId,
    /// From 1.
    pub number: u64,
}

/// A set of transactions: per source, disjoint ascending inclusive intervals that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GtidSet {
    intervals: BTreeMap<SourceId, Vec<(u64, u64)>>,
}
