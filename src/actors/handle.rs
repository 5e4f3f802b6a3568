//! What the command layer may do with a running peer: read its views, change the job table, ask a job's owner.
//!
//! Made by `node`, used by `admin` and nobody else. Every call is bounded in time. Hides that actors exist.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::actors::cluster_view::ClusterView;
use crate::actors::drain::Drain;
use crate::actors::job_table::JobTableMsg;
use crate::actors::me::Me;
use crate::actors::placement::{PlacementMsg, PlacementWord};
use crate::actors::ports::Ports;
use crate::actors::spread::News;
use crate::actors::sync_table::SyncTable;
use crate::actors::table_keeper::{Change, ChangeError, Changed};
use crate::actors::table_view::TableView;
use crate::actors::task_report::TaskReport;
use crate::actors::tasks_msg::TasksMsg;
use crate::core::fault::Fault;
use crate::core::ids::{JobName, Life, NodeId};
use crate::core::job_record::JobRecord;
use crate::gossip::Leaving;
use crate::wire::message::{Request, Response};

/// How long a durable change may take before the caller is told to ask again.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a submit waits for other peers to take the record; the exchange carries it to the rest.
const PUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// How long the owner of a job may take to answer; then its status is unknown, which is said.
const REPORT_TIME_MAX: Duration = Duration::from_secs(2);

/// How long another peer may take to do as it is told: to keep on its disk that it drains, or to begin to leave.
const ORDER_TIME_MAX: Duration = Duration::from_secs(4);

/// How often a leaving peer looks whether its tasks are gone.
const IDLE_LOOK: Duration = Duration::from_millis(20);

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
    pub(super) drain: Drain,
    /// Weak: the pushing ends with the job table, not with the last door.
    pub(super) news: mpsc::WeakSender<News>,
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
                reply,
            },
            Some(CHANGE_TIME_MAX),
        );
        match asked.await {
            Ok(ractor::rpc::CallResult::Success(changed)) => changed,
            _ => Err(ChangeError::Busy),
        }
    }

    /// Gives a changed job to every live peer; returns how many have it, this one included.
    pub async fn spread(&self, record: &JobRecord) -> usize {
        let (reply, count) = oneshot::channel();
        let news = News {
            name: record.name.clone(),
            reply: Some(reply),
        };
        let told = async {
            self.news.upgrade()?.send(news).await.ok()?;
            count.await.ok()
        };
        // Who did not answer in time is not counted; the exchange carries it there.
        timeout(PUSH_TIME_MAX, told).await.ok().flatten().unwrap_or(1)
    }

    /// The tasks, for the door that takes subscriptions.
    #[must_use]
    pub fn tasks(&self) -> ActorRef<TasksMsg> {
        self.tasks.clone()
    }

    /// Placement, for those who ask when a job is tried again.
    #[must_use]
    pub fn placement(&self) -> ActorRef<PlacementMsg> {
        self.placement.clone()
    }

    /// The table, for the exchange with other peers.
    #[must_use]
    pub fn sync_table(&self) -> SyncTable {
        SyncTable::new(self.table.clone(), self.job_table.clone())
    }

    /// Asks the owner of a job what it knows; None when it does not answer or never ran it.
    pub async fn report(&self, job: &JobName, owner: &NodeId) -> Option<TaskReport> {
        if *owner == self.me.node {
            return local_report(&self.tasks, &self.placement, job).await;
        }
        let address = self
            .view()
            .facts
            .iter()
            .find(|peer| peer.id == *owner && peer.is_live())?
            .address;
        let question = Request::Status { job: job.clone() };
        match timeout(REPORT_TIME_MAX, self.me.endpoint.ask(address, &question)).await {
            Ok(Ok(Response::Status { json })) => serde_json::from_str(&json).ok(),
            _ => None,
        }
    }

    /// Whether this peer drains.
    #[must_use]
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Lets a peer give its tasks away, or take tasks again; returns false when it was so already.
    ///
    /// # Errors
    /// It refused, and nothing changed; or it did not answer, and that is not known.
    pub async fn set_draining(&self, peer: &NodeId, is_draining: bool) -> Result<bool, Fault> {
        if *peer == self.me.node {
            return self.drain.set(is_draining).await;
        }
        self.order(peer, &Request::Drain { is_draining }).await
    }

    /// Lets a peer end soon, this one too: for a restart, its sinks wait for it; otherwise it gives its tasks away first.
    /// Returns false when it was leaving already.
    ///
    /// # Errors
    /// It did not answer, and whether it leaves is not known.
    pub async fn leave(&self, peer: &NodeId, is_restart: bool) -> Result<bool, Fault> {
        if *peer == self.me.node {
            return Ok(self.drain.leave(Leaving::of(is_restart)));
        }
        self.order(peer, &Request::Leave { is_restart }).await
    }

    /// Tells another peer what to do with itself; returns false when it was so already.
    async fn order(&self, peer: &NodeId, order: &Request) -> Result<bool, Fault> {
        let silent = |found: &str| {
            let fix = "look at `peer members` before you repeat it; repeating is safe";
            Fault::new(
                "PEER1709",
                format!("peer {peer}"),
                found,
                "an answer to drain, undrain or leave",
                fix,
            )
        };
        let facts = self.me.membership.facts().borrow().clone();
        let address = facts.iter().find(|known| known.id == *peer).map(|known| known.address);
        let address = address.ok_or_else(|| silent("its address is not known"))?;
        match timeout(ORDER_TIME_MAX, self.me.endpoint.ask(address, order)).await {
            Ok(Ok(Response::Drained { is_changed } | Response::Leaves { is_changed })) => Ok(is_changed),
            Ok(Ok(Response::Refused { fault_json })) => {
                Err(serde_json::from_str(&fault_json).unwrap_or_else(|_| silent("a refusal that is not readable")))
            }
            Ok(Ok(_)) => Err(silent("an answer to another question")),
            Ok(Err(error)) => Err(silent(&error.to_string())),
            Err(_) => Err(silent(&format!("no answer within {} s", ORDER_TIME_MAX.as_secs()))),
        }
    }

    /// Gives all tasks away and returns when nothing runs here any more, or when the time is up.
    pub async fn hand_over(&self, limit: Duration) -> bool {
        // Asked for already when a person asked for it.
        let _ = self.drain.leave(Leaving::ForGood);
        let gone = async {
            while !self.is_idle().await {
                sleep(IDLE_LOOK).await;
            }
        };
        timeout(limit, gone).await.is_ok()
    }

    /// Nothing runs here; also when nobody is left who would run it.
    async fn is_idle(&self) -> bool {
        match self.tasks.call(TasksMsg::IsIdle, Some(REPORT_TIME_MAX)).await {
            Ok(ractor::rpc::CallResult::Success(is_idle)) => is_idle,
            Ok(ractor::rpc::CallResult::Timeout) => false,
            _ => true,
        }
    }

    /// Why this peer does or does not try to own the job, and how the verdicts changed lately.
    pub async fn word(&self, job: &JobName) -> PlacementWord {
        word(&self.placement, job).await
    }
}

async fn word(placement: &ActorRef<PlacementMsg>, job: &JobName) -> PlacementWord {
    let asked = placement.call(|reply| PlacementMsg::Word { job: job.clone(), reply }, Some(REPORT_TIME_MAX));
    match asked.await {
        Ok(ractor::rpc::CallResult::Success(word)) => word,
        _ => PlacementWord::default(),
    }
}

/// What this peer knows of a job: its tasks, and when they are tried again.
pub(super) async fn local_report(
    tasks: &ActorRef<TasksMsg>,
    placement: &ActorRef<PlacementMsg>,
    job: &JobName,
) -> Option<TaskReport> {
    let asked = tasks.call(|reply| TasksMsg::Report { job: job.clone(), reply }, Some(REPORT_TIME_MAX));
    let mut report = match asked.await {
        Ok(ractor::rpc::CallResult::Success(report)) => report?,
        _ => return None,
    };
    report.retries.extend(word(placement, job).await.retry);
    Some(report)
}
