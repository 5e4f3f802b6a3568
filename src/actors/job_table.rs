//! Owns the job table: starts its keeper thread, hands it orders, and dies with it.
//!
//! Asked by `handle` (a person's changes), `tasks` (claims) and the exchange between peers (`sync_table`). Answers come
//! from the keeper once a change is durable. Holds no law and touches no disk itself.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{mpsc, watch};

use crate::actors::errands::{Errand, Errands};
use crate::actors::ports::Clock;
use crate::actors::spread::News;
use crate::actors::table_keeper::{Change, ChangeError, Changed, Keeper, Order};
use crate::actors::table_view::TableView;
use crate::core::ids::{JobName, NodeId};
use crate::core::job_record::JobRecord;
use crate::store::database::Store;

/// Orders waiting for the disk. 256 × one exchange of records bounds it; a person who meets a full queue is told to retry,
/// and what nobody waits for does not queue here (`errands`).
const ORDERS_MAX: usize = 256;

/// What the job table is asked.
pub enum JobTableMsg {
    /// From `handle`: one change of one job. Answered when durable.
    Change {
        /// The job.
        name: JobName,
        /// What to do.
        change: Change,
        /// Who asks.
        author: String,
        /// Gets the record.
        reply: RpcReplyPort<Changed>,
    },
    /// From `tasks` and `placement`: what is written in any case, as soon as the disk takes it. Nobody waits.
    Note {
        /// The job.
        name: JobName,
        /// What to write.
        errand: Errand,
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
    errands: Errands,
    clock: Clock,
}

impl JobTableState {
    /// First the note, then the look at it: when the queue is full now, a look comes after this.
    fn note(&self, name: JobName, errand: Errand) {
        self.errands.note(name, errand);
        self.hand_on(Order::Look);
    }

    /// Hands an order on; a full queue answers `Busy` at once.
    fn hand_on(&self, order: Order) {
        if let Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) = self.orders.try_send(order) {
            match order {
                Order::Change { reply, .. } => drop(reply.send(Err(ChangeError::Busy))),
                Order::Merge { reply, .. } => drop(reply.send(0)),
                // A keeper with a full queue looks at the errands before each of the orders in it.
                Order::Look => {}
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
        let errands = Errands::default();
        let keeper = Keeper {
            node: args.node,
            store: args.store,
            view: args.view,
            news: args.news,
            errands: errands.clone(),
        };
        std::thread::Builder::new().name("job-table".into()).spawn(move || {
            keeper.run(&queue);
            // The actor may be gone already: then nobody has to hear it.
            let _ = myself.cast(JobTableMsg::KeeperEnded);
        })?;
        Ok(JobTableState {
            orders,
            errands,
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
            JobTableMsg::Note { name, errand } => state.note(name, errand),
            JobTableMsg::Merge { records, reply } => state.hand_on(Order::Merge { records, reply }),
            JobTableMsg::KeeperEnded => myself.stop(Some("the keeper ended".into())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::disposition::Disposition;
    use crate::core::ids::{Epoch, Incarnation};
    use crate::core::job_failure::{Cause, RunId};
    use crate::core::job_record::{Claim, Dot, HoldKind, SpecEntry};
    use crate::core::job_state::ErrorReport;

    fn name(number: usize) -> JobName {
        JobName(format!("job-{number}"))
    }

    fn failed(record: &JobRecord) -> Errand {
        let error = ErrorReport {
            at: "t".into(),
            class: Disposition::Fatal,
            code: "PEER1315".into(),
            text: "no such table".into(),
            fix: String::new(),
            faults: Vec::new(),
        };
        let run = RunId::of(record).expect("a spec in force");
        Errand::Failed {
            reason: "no such table".into(),
            cause: Box::new(Cause::new(run, 1, 0, &error)),
            author: "me".into(),
            at: "t".into(),
        }
    }

    fn record(number: usize) -> JobRecord {
        JobRecord {
            name: name(number),
            inc: Incarnation(1),
            spec: [(Dot::default(), SpecEntry::default())].into(),
            ..JobRecord::default()
        }
    }

    fn claim(epoch: u64) -> Errand {
        Errand::Claim(Box::new(Claim {
            inc: Incarnation(1),
            epoch: Epoch(epoch),
            ..Claim::default()
        }))
    }

    #[test]
    fn claims_and_failures_are_written_though_the_queue_before_the_disk_is_full() {
        let folder = tempfile::tempdir().expect("a folder");
        let node = NodeId("me".into());
        let store = Store::open(folder.path(), || node.clone()).expect("a store");
        let jobs = ORDERS_MAX * 2;
        let (view, seen) = watch::channel(Arc::new(TableView::new((0..jobs).map(record))));
        let (orders, queue) = sync_channel(ORDERS_MAX);
        let state = JobTableState {
            orders,
            errands: Errands::default(),
            clock: Clock::new(|| std::time::UNIX_EPOCH),
        };
        let keeper = Keeper {
            node: node.clone(),
            store: Arc::new(store),
            view,
            news: mpsc::channel(1).0,
            errands: state.errands.clone(),
        };
        for number in 0..jobs {
            state.note(name(number), claim(1));
            state.note(name(number), claim(2));
        }
        state.note(name(7), failed(&record(7)));
        // The keeper begins only now, and the queue closes behind what was noted.
        drop(state);
        keeper.run(&queue);
        let table = seen.borrow().clone();
        let epochs = table.records().map(|record| record.claim.as_ref().map(|claim| claim.epoch));
        assert_eq!(epochs.filter(|epoch| *epoch == Some(Epoch(2))).count(), jobs);
        let held = table.get(&name(7)).expect("the job").holds.values().next().cloned();
        assert_eq!(held.map(|hold| hold.kind), Some(HoldKind::Failed));
    }
}
