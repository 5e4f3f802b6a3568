//! What the command layer may do with a running peer: read its views, change the job table, ask a job's owner.
//!
//! Made by `node`, used by `admin` and nobody else. Every call is bounded in time. Hides that actors exist.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::actors::cluster_view::ClusterView;
use crate::actors::job_table::JobTableMsg;
use crate::actors::me::Me;
use crate::actors::placement::{PlacementMsg, PlacementWord};
use crate::actors::ports::Ports;
use crate::actors::sync_table::{SyncTable, record_bytes};
use crate::actors::table_keeper::{Change, ChangeError, Changed};
use crate::actors::table_view::TableView;
use crate::actors::task_report::TaskReport;
use crate::actors::tasks_msg::TasksMsg;
use crate::core::ids::{JobName, Life, NodeId};
use crate::core::job_record::JobRecord;
use crate::gossip::table_sync;
use crate::wire::message::{Request, Response, StreamKind};

/// How long a durable change may take before the caller is told to ask again.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a submit waits for other peers to take the record; the exchange carries it to the rest.
const PUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// How long the owner of a job may take to answer; then its status is unknown, which is said.
const REPORT_TIME_MAX: Duration = Duration::from_secs(2);

/// A running peer.
#[derive(Clone)]
pub struct PeerHandle {
    /// Who it is.
    pub me: Me,
    /// Time and randomness.
    pub ports: Ports,
    pub(super) table: watch::Receiver<Arc<TableView>>,
    pub(super) job_table: ActorRef<JobTableMsg>,
    pub(super) tasks: ActorRef<TasksMsg>,
    pub(super) placement: ActorRef<PlacementMsg>,
}

impl PeerHandle {
    /// Returns everybody and what they tell, as seen from here.
    #[must_use]
    pub fn view(&self) -> ClusterView {
        ClusterView::of(&self.me.membership)
    }

    /// Returns the job table.
    #[must_use]
    pub fn table(&self) -> Arc<TableView> {
        self.table.borrow().clone()
    }

    /// A life for a new incarnation.
    #[must_use]
    pub fn new_life(&self) -> Life {
        Life(self.ports.random_hex(32))
    }

    /// Makes one change and returns when it is durable here.
    pub async fn change(&self, name: &JobName, change: Change) -> Changed {
        let author = self.me.name.clone();
        let asked = self.job_table.call(
            |reply| JobTableMsg::Change {
                name: name.clone(),
                change,
                author,
                reply: Some(reply),
            },
            Some(CHANGE_TIME_MAX),
        );
        match asked.await {
            Ok(ractor::rpc::CallResult::Success(changed)) => changed,
            _ => Err(ChangeError::Busy),
        }
    }

    /// Gives a record to every live peer; returns how many have it, this one included.
    pub async fn spread(&self, record: &JobRecord) -> usize {
        let addresses = self.me.membership.live_addresses();
        let records = [record_bytes(record)];
        let pushed = table_sync::push(&self.me.endpoint, &addresses, &records);
        // Who did not answer in time is not counted; the exchange carries it there.
        let failed = timeout(PUSH_TIME_MAX, pushed)
            .await
            .map_or(addresses.len(), |failed| failed.len());
        1 + addresses.len() - failed
    }

    /// The tasks, for the door that takes subscriptions.
    #[must_use]
    pub fn tasks(&self) -> ActorRef<TasksMsg> {
        self.tasks.clone()
    }

    /// The table, for the exchange with other peers.
    #[must_use]
    pub fn sync_table(&self) -> SyncTable {
        SyncTable::new(self.table.clone(), self.job_table.clone())
    }

    /// Asks the owner of a job what it knows; None when it does not answer or never ran it.
    pub async fn report(&self, job: &JobName, owner: &NodeId) -> Option<TaskReport> {
        if *owner == self.me.node {
            return local_report(&self.tasks, job).await;
        }
        let address = self
            .view()
            .facts
            .iter()
            .find(|peer| peer.id == *owner && peer.is_live())?
            .address;
        let asked = async {
            let mut stream = self.me.endpoint.open(address, StreamKind::Control).await.ok()?;
            stream.send(&Request::Status { job: job.clone() }).await.ok()?;
            match stream.recv::<Response>().await.ok()? {
                Response::Status { json } => serde_json::from_str(&json).ok(),
                _ => None,
            }
        };
        timeout(REPORT_TIME_MAX, asked).await.ok()?
    }

    /// Why this peer does or does not try to own the job, and how the verdicts changed lately.
    pub async fn word(&self, job: &JobName) -> PlacementWord {
        let asked = self
            .placement
            .call(|reply| PlacementMsg::Word { job: job.clone(), reply }, Some(REPORT_TIME_MAX));
        match asked.await {
            Ok(ractor::rpc::CallResult::Success(word)) => word,
            _ => PlacementWord::default(),
        }
    }
}

/// What `tasks` of this peer knows of a job.
pub(super) async fn local_report(tasks: &ActorRef<TasksMsg>, job: &JobName) -> Option<TaskReport> {
    let asked = tasks.call(|reply| TasksMsg::Report { job: job.clone(), reply }, Some(REPORT_TIME_MAX));
    match asked.await {
        Ok(ractor::rpc::CallResult::Success(report)) => report,
        _ => None,
    }
}
