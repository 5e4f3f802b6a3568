//! The job table as the exchange between peers sees it: digests and bytes out of the snapshot, merges into the keeper.
//!
//! Implements `gossip::table_sync::Table`. A record that is not readable here is refused with its reason and not stored;
//! the peer that has it keeps it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ractor::ActorRef;
use tokio::sync::watch;

use crate::actors::job_table::JobTableMsg;
use crate::actors::table_view::TableView;
use crate::core::ids::JobName;
use crate::core::job_record::JobRecord;
use crate::gossip::table_sync::{BadRecord, Table};

/// How long one exchange's records may take to become durable; a slower disk makes the exchange repeat.
const MERGE_TIME_MAX: Duration = Duration::from_secs(10);

/// The table behind the exchange.
pub struct SyncTable {
    view: watch::Receiver<Arc<TableView>>,
    job_table: ActorRef<JobTableMsg>,
}

impl SyncTable {
    /// The table of this peer.
    #[must_use]
    pub fn new(view: watch::Receiver<Arc<TableView>>, job_table: ActorRef<JobTableMsg>) -> Self {
        Self { view, job_table }
    }
}

/// A record as it travels.
#[must_use]
pub fn record_bytes(record: &JobRecord) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has only text keys")
}

fn read(bytes: &[u8]) -> Result<JobRecord, BadRecord> {
    serde_json::from_slice(bytes).map_err(|error| BadRecord {
        name: None,
        reason: error.to_string(),
    })
}

impl Table for SyncTable {
    fn root_hash(&self) -> String {
        self.view.borrow().root().to_owned()
    }

    fn hashes(&self) -> Vec<(JobName, String)> {
        self.view
            .borrow()
            .hashes()
            .map(|(name, hash)| (name.clone(), hash.to_owned()))
            .collect()
    }

    fn records(&self, names: &[JobName]) -> Vec<Vec<u8>> {
        let view = self.view.borrow().clone();
        names
            .iter()
            .filter_map(|name| view.get(name))
            .map(|record| record_bytes(record))
            .collect()
    }

    fn merge(&self, records: Vec<Vec<u8>>) -> BoxFuture<'_, Vec<BadRecord>> {
        Box::pin(async move {
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for bytes in &records {
                match read(bytes) {
                    Ok(record) => good.push(record),
                    Err(error) => bad.push(error),
                }
            }
            let merged = self
                .job_table
                .call(|reply| JobTableMsg::Merge { records: good, reply }, Some(MERGE_TIME_MAX))
                .await;
            if !matches!(merged, Ok(ractor::rpc::CallResult::Success(_))) {
                bad.push(BadRecord {
                    name: None,
                    reason: "the job table did not take it in time".to_owned(),
                });
            }
            bad
        })
    }
}
