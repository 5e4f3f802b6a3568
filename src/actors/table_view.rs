//! The job table as everybody but its keeper sees it: an immutable snapshot behind a watch.
//!
//! Made by `table_keeper` after a change is on disk; read by placement, admin, spreading and the exchange between peers.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::core::ids::JobName;
use crate::core::job_merge::{hash, table_hash};
use crate::core::job_record::JobRecord;

/// Every record this peer knows, purged names included (their tombstones stay).
#[derive(Clone, Debug, Default)]
pub struct TableView {
    records: BTreeMap<JobName, Entry>,
    /// Worked out when somebody asks: a thousand changes in a second need one or two roots, not a thousand.
    root: OnceLock<String>,
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
        self.root.get_or_init(|| table_hash(self.hashes()))
    }

    /// Returns (name, digest) of each record.
    pub fn hashes(&self) -> impl Iterator<Item = (&JobName, &str)> {
        self.records.iter().map(|(name, entry)| (name, &*entry.hash))
    }

    /// Replaces one record.
    pub(super) fn insert(&mut self, record: JobRecord) {
        let entry = Entry {
            hash: hash(&record).into(),
            record: Arc::new(record),
        };
        self.records.insert(entry.record.name.clone(), entry);
        self.root = OnceLock::new();
    }

    /// Returns the records that are not the very same in `older`, in the order of names. Names never go away.
    pub(super) fn changed_since<'a>(&'a self, older: &'a Self) -> impl Iterator<Item = &'a Arc<JobRecord>> {
        let mut known = older.records.iter().peekable();
        self.records.iter().filter_map(move |(name, entry)| {
            let before = known.next_if(|(known, _)| *known == name);
            let is_same = before.is_some_and(|(_, before)| Arc::ptr_eq(&before.record, &entry.record));
            (!is_same).then_some(&entry.record)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, restart: u64) -> JobRecord {
        JobRecord {
            name: JobName(name.into()),
            restart,
            ..JobRecord::default()
        }
    }

    #[test]
    fn new_and_changed_records_are_told_from_the_others() {
        let older = TableView::new([record("a", 0), record("c", 0), record("d", 0)]);
        let mut newer = older.clone();
        newer.insert(record("b", 0));
        newer.insert(record("c", 1));
        let names: Vec<&str> = newer.changed_since(&older).map(|record| record.name.0.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(newer.changed_since(&newer).count(), 0);
        assert_eq!(newer.changed_since(&TableView::default()).count(), 4);
    }

    #[test]
    fn the_root_follows_every_change() {
        let older = TableView::new([record("a", 0)]);
        let before = older.root().to_owned();
        let mut newer = older.clone();
        newer.insert(record("a", 1));
        assert_ne!(newer.root(), before);
        assert_eq!(older.root(), before);
        assert_eq!(newer.root(), TableView::new([record("a", 1)]).root());
    }
}
