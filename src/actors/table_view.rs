//! The job table as everybody but its keeper sees it: an immutable snapshot behind a watch.
//!
//! Made by `table_keeper` after a change is on disk; read by placement, admin, spreading and the exchange between peers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::ids::JobName;
use crate::core::job_merge::{hash, table_hash};
use crate::core::job_record::JobRecord;

/// Every record this peer knows, purged names included (their tombstones stay).
#[derive(Clone, Debug, Default)]
pub struct TableView {
    records: BTreeMap<JobName, Entry>,
    root: String,
}

/// A record and its digest.
#[derive(Clone, Debug)]
struct Entry {
    record: Arc<JobRecord>,
    hash: Arc<str>,
}

impl TableView {
    /// A table of these records.
    #[must_use]
    pub fn new(records: impl IntoIterator<Item = JobRecord>) -> Self {
        let mut view = Self::default();
        for record in records {
            view.insert(record);
        }
        view.seal();
        view
    }

    /// Returns a record, purged or not.
    #[must_use]
    pub fn get(&self, name: &JobName) -> Option<&Arc<JobRecord>> {
        self.records.get(name).map(|entry| &entry.record)
    }

    /// Returns every record in the order of names.
    pub fn records(&self) -> impl Iterator<Item = &Arc<JobRecord>> {
        self.records.values().map(|entry| &entry.record)
    }

    /// Returns the digest of the whole table; equal tables have equal roots on every build.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Returns (name, digest) of each record.
    pub fn hashes(&self) -> impl Iterator<Item = (&JobName, &str)> {
        self.records.iter().map(|(name, entry)| (name, &*entry.hash))
    }

    /// Replaces one record; the root is stale until [`seal`](Self::seal).
    pub(super) fn insert(&mut self, record: JobRecord) {
        let entry = Entry {
            hash: hash(&record).into(),
            record: Arc::new(record),
        };
        self.records.insert(entry.record.name.clone(), entry);
    }

    /// Makes the root fit the records.
    pub(super) fn seal(&mut self) {
        self.root = table_hash(self.hashes());
    }
}
