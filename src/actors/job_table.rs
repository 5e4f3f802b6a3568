//! Owns the job table: starts its keeper thread, hands it orders, and dies with it.
//!
//! Asked by `handle` (a person's changes), `tasks` (claims) and the exchange between peers (`sync_table`). Answers come
//! from the keeper once a change is durable. Holds no law and touches no disk itself.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{mpsc, watch};

use crate::actors::ports::Clock;
use crate::actors::spread::News;
use crate::actors::table_keeper::{Change, ChangeError, Changed, Keeper, Order};
use crate::actors::table_view::TableView;
use crate::core::ids::{JobName, NodeId};
use crate::core::job_record::JobRecord;
use crate::store::database::Store;

/// Orders waiting for the disk. 256 × one exchange of records bounds it; a person who meets a full queue is told to retry.
const ORDERS_MAX: usize = 256;

/// What the job table is asked.
pub enum JobTableMsg {
    /// From `handle` and `tasks`: one change of one job. Answered when durable.
    Change {
        /// The job.
        name: JobName,
        /// What to do.
        change: Change,
        /// Who asks.
        author: String,
        /// Gets the record; None when nobody waits.
        reply: Option<RpcReplyPort<Changed>>,
    },
    /// From `sync_table`: records of another peer. Answered with how many were news.
    Merge {
        /// At most one exchange's worth.
        records: Vec<JobRecord>,
        /// Gets the count.
        reply: RpcReplyPort<usize>,
    },
    /// From the keeper's watcher: the thread ended, so must the actor.
    KeeperEnded,
}

/// What it is started with.
pub struct JobTableArgs {
    /// This peer.
    pub node: NodeId,
    /// The disk.
    pub store: Arc<Store>,
    /// Shows each durable state; holds what was loaded at start.
    pub view: watch::Sender<Arc<TableView>>,
    /// Names changed here.
    pub news: mpsc::Sender<News>,
    /// Wall clock for people.
    pub clock: Clock,
}

/// State of the actor.
pub struct JobTableState {
    orders: SyncSender<Order>,
    clock: Clock,
}

impl JobTableState {
    /// Hands an order on; a full queue answers `Busy` at once.
    fn hand_on(&self, order: Order) {
        if let Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) = self.orders.try_send(order) {
            match order {
                Order::Change { reply: Some(reply), .. } => drop(reply.send(Err(ChangeError::Busy))),
                Order::Change { reply: None, .. } => {}
                Order::Merge { reply, .. } => drop(reply.send(0)),
            }
        }
    }
}

/// The actor.
pub struct JobTable;

impl Actor for JobTable {
    type Msg = JobTableMsg;
    type State = JobTableState;
    type Arguments = JobTableArgs;

    async fn pre_start(&self, myself: ActorRef<JobTableMsg>, args: JobTableArgs) -> Result<JobTableState, ActorProcessingErr> {
        let (orders, queue) = sync_channel(ORDERS_MAX);
        let keeper = Keeper {
            node: args.node,
            store: args.store,
            view: args.view,
            news: args.news,
        };
        std::thread::Builder::new().name("job-table".into()).spawn(move || {
            keeper.run(&queue);
            // The actor may be gone already: then nobody has to hear it.
            let _ = myself.cast(JobTableMsg::KeeperEnded);
        })?;
        Ok(JobTableState {
            orders,
            clock: args.clock,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<JobTableMsg>,
        msg: JobTableMsg,
        state: &mut JobTableState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            JobTableMsg::Change {
                name,
                change,
                author,
                reply,
            } => {
                state.hand_on(Order::Change {
                    name,
                    change,
                    author,
                    at: state.clock.wall_text(),
                    reply,
                });
            }
            JobTableMsg::Merge { records, reply } => state.hand_on(Order::Merge { records, reply }),
            JobTableMsg::KeeperEnded => myself.stop(Some("the keeper ended".into())),
        }
        Ok(())
    }
}
