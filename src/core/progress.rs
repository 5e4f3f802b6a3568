//! Where a job stands in its target: the row of `peer_meta.progress` and what travels with it.
//!
//! Read by the sink after it acquired the fence, carried to the source in `Subscribe`; written in the transaction of each group.

use serde::{Deserialize, Serialize};

use crate::core::change::{BinlogPosition, CopyRow};
use crate::core::gtid_set::GtidSet;
use crate::core::ids::Seq;
use crate::core::shape::TableShape;

/// Everything a source task needs to go on where the target is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of the last committed group; 0: nothing yet, the source decides where to start.
    pub seq: Seq,
    /// Executed GTIDs of the source that are in the target. Empty at seq 0.
    pub executed: GtidSet,
    /// Server the set came from; empty at seq 0.
    pub source_uuid: String,
    /// Where that was in the binlog; a hint.
    pub position: BinlogPosition,
    /// One entry per table that is to be copied; empty for a job without a copy.
    pub copy: Vec<CopyRow>,
    /// The shapes that are valid at this position; `ShapeId` n is element n.
    pub shapes: Vec<TableShape>,
    /// Transactions that a person passed over: the source does not read them. Only in what a sink says to its source.
    #[serde(default, skip_serializing_if = "GtidSet::is_empty")]
    pub skips: GtidSet,
}

impl Progress {
    /// Nothing was committed for this job yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.seq == Seq(0)
    }

    /// A copy was begun, and every table of it is on the target.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        !self.is_fresh() && self.copy.iter().all(|row| row.is_done)
    }
}
