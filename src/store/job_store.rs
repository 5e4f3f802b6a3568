//! Job records on disk: one JSON document per job name.
//!
//! Written by the job table after each merge, read once at start. A record that does not decode is moved to quarantine as the
//! bytes it was and reported: it stops neither the start nor the other jobs, and the same job comes back whole from any
//! other peer. Does not merge.

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::ids::JobName;
use crate::store::{Store, StoreError};

/// Job name to JSON.
const JOBS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("jobs");
/// Job name and start number to the bytes that did not decode.
const QUARANTINE: TableDefinition<'static, (&str, u64), &[u8]> = TableDefinition::new("quarantine");

/// All records at a start.
#[derive(Debug)]
pub struct LoadedJobs<R> {
    /// Those that decode, in the order of names.
    pub records: Vec<R>,
    /// Those that do not, of this start and all before it.
    pub quarantined: Vec<Quarantined>,
}

/// A record set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The job's name.
    pub name: JobName,
    /// The start that set it aside.
    pub boot: u64,
    /// Why: the decoder's text.
    pub reason: String,
    /// What was stored.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Returns all records and sets aside those that do not decode.
    pub fn load_jobs<R: DeserializeOwned>(&self) -> Result<LoadedJobs<R>, StoreError> {
        let (_, boot) = self.identity();
        let mut records = Vec::new();
        let mut bad = Vec::new();
        for (name, bytes) in self.read(all_jobs)? {
            match serde_json::from_slice::<R>(&bytes) {
                Ok(record) => records.push(record),
                Err(_) => bad.push((name, bytes)),
            }
        }
        if !bad.is_empty() {
            self.write(|txn| set_aside(txn, &bad, boot.0))?;
        }
        let quarantined = self.read(all_quarantined)?;
        let quarantined = quarantined.into_iter().map(explain::<R>).collect();
        Ok(LoadedJobs { records, quarantined })
    }

    /// Stores one record; durable when it returns.
    pub fn put_job<R: Serialize>(&self, name: &JobName, record: &R) -> Result<(), StoreError> {
        self.put_jobs(&[(name, record)])
    }

    /// Stores many records in one durable transaction: all or none.
    pub fn put_jobs<R: Serialize>(&self, records: &[(&JobName, &R)]) -> Result<(), StoreError> {
        let encode = |(name, record): &(&JobName, &R)| {
            let bytes = serde_json::to_vec(record).expect("job records have string keys and no failing serializer");
            ((*name).clone(), bytes)
        };
        let encoded: Vec<(JobName, Vec<u8>)> = records.iter().map(encode).collect();
        self.write(|txn| {
            let mut jobs = txn.open_table(JOBS)?;
            for (name, bytes) in &encoded {
                jobs.insert(name.0.as_str(), bytes.as_slice())?;
            }
            Ok(())
        })
    }
}

/// Makes the tables, so that readers find them in a new file.
pub(super) fn create_tables(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.open_table(JOBS)?;
    txn.open_table(QUARANTINE)?;
    Ok(())
}

fn all_jobs(txn: &redb::ReadTransaction) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
    let mut all = Vec::new();
    for entry in txn.open_table(JOBS)?.iter()? {
        let (name, bytes) = entry?;
        all.push((name.value().to_owned(), bytes.value().to_vec()));
    }
    Ok(all)
}

fn all_quarantined(txn: &redb::ReadTransaction) -> Result<Vec<(String, u64, Vec<u8>)>, redb::Error> {
    let mut all = Vec::new();
    for entry in txn.open_table(QUARANTINE)?.iter()? {
        let (key, bytes) = entry?;
        let (name, boot) = key.value();
        all.push((name.to_owned(), boot, bytes.value().to_vec()));
    }
    Ok(all)
}

fn set_aside(txn: &WriteTransaction, bad: &[(String, Vec<u8>)], boot: u64) -> Result<(), redb::Error> {
    let mut jobs = txn.open_table(JOBS)?;
    let mut quarantine = txn.open_table(QUARANTINE)?;
    for (name, bytes) in bad {
        quarantine.insert((name.as_str(), boot), bytes.as_slice())?;
        jobs.remove(name.as_str())?;
    }
    Ok(())
}

fn explain<R: DeserializeOwned>((name, boot, bytes): (String, u64, Vec<u8>)) -> Quarantined {
    let reason = match serde_json::from_slice::<R>(&bytes) {
        Ok(_) => "set aside by an older program".to_owned(),
        Err(error) => error.to_string(),
    };
    Quarantined {
        name: JobName(name),
        boot,
        reason,
        bytes,
    }
}
