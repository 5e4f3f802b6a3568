//! Transactions of which nothing is to be written, and which the progress row does not hold yet.
//!
//! Kept by `flow::applier`: they go into the next group, or alone at most each 5 s, at a stop and before a chunk.

use tokio::time::Instant;

use crate::core::change::BinlogPosition;
use crate::core::group::Group;
use crate::core::gtid_set::GtidSet;

/// What was passed since progress was last written.
#[derive(Debug)]
pub struct Passed {
    /// The transactions.
    pub added: GtidSet,
    /// End of the last one in the source's binlog.
    pub position: BinlogPosition,
    /// Its commit time on the source, microseconds since the epoch.
    pub commit_us: u64,
    /// When progress was last written.
    pub written_at: Instant,
}

impl Default for Passed {
    fn default() -> Self {
        Self {
            added: GtidSet::default(),
            position: BinlogPosition::default(),
            commit_us: 0,
            written_at: Instant::now(),
        }
    }
}

impl Passed {
    /// Nothing was passed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
    }

    /// These are passed too.
    pub fn add(&mut self, group: Group) {
        self.added.union(&group.added);
        self.position = group.position;
        self.commit_us = group.commit_us;
    }

    /// Progress holds them now.
    pub fn clear(&mut self) {
        self.added = GtidSet::default();
        self.written_at = Instant::now();
    }
}
