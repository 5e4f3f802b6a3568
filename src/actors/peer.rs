//! The root supervisor: starts the job table, the tasks and placement, and ends the peer when one of them dies.
//!
//! Those three hold no state that is not on disk or in a target, so a peer that lost one ends and is started again by
//! whoever runs it, instead of limping on. Tasks and flows below them fail and restart without touching this level.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use crate::actors::drain::Drain;
use crate::actors::handle::PeerHandle;
use crate::actors::job_table::{JobTable, JobTableArgs, JobTableMsg};
use crate::actors::me::Me;
use crate::actors::placement::{Placement, PlacementArgs};
use crate::actors::ports::Ports;
use crate::actors::spread::News;
use crate::actors::table_view::TableView;
use crate::actors::tasks::{Tasks, TasksArgs};
use crate::actors::tasks_msg::TasksMsg;
use crate::gossip::Leaving;
use crate::store::database::Store;

/// How long all tasks together may take to finish their turn and release their fences.
const STOP_TIME_MAX: Duration = Duration::from_secs(6);

/// How long the claims released by that may take to the disk.
const CLAIMS_TIME_MAX: Duration = Duration::from_secs(1);

/// What the root is told.
pub enum PeerMsg {
    /// From `node`: finish the tasks in good order. Answered when nothing runs or the time is up; the root stops.
    Stop {
        /// For a restart the claims stay.
        leaving: Leaving,
        /// Told then.
        reply: RpcReplyPort<()>,
    },
    /// From itself: everything has stopped.
    Stopped(RpcReplyPort<()>),
    /// From `node`, once: what the command layer may use.
    Handle(RpcReplyPort<PeerHandle>),
}

/// What it is started with.
pub struct PeerArgs {
    /// Who this peer is.
    pub me: Me,
    /// Time and randomness.
    pub ports: Ports,
    /// The disk.
    pub store: Arc<Store>,
    /// Shows the job table; holds what was loaded at start.
    pub table: watch::Sender<Arc<TableView>>,
    /// Names changed here by this peer itself, to be pushed.
    pub news: mpsc::Sender<News>,
}

/// State of the root.
pub struct PeerState {
    handle: PeerHandle,
    is_stopping: bool,
}

/// The root.
pub struct Peer;

impl Actor for Peer {
    type Msg = PeerMsg;
    type State = PeerState;
    type Arguments = PeerArgs;

    async fn pre_start(&self, myself: ActorRef<PeerMsg>, args: PeerArgs) -> Result<PeerState, ActorProcessingErr> {
        let PeerArgs {
            me,
            ports,
            store,
            table,
            news,
        } = args;
        let seen = table.subscribe();
        let drain = Drain::new(me.clone(), Arc::clone(&store));
        // Before placement looks at the roster for the first time.
        drain.restore().await?;
        let cell = || myself.get_cell();
        let weak_news = news.downgrade();
        let job_table = JobTableArgs {
            node: me.node.clone(),
            store,
            view: table,
            news,
            clock: me.clock.clone(),
        };
        let (job_table, _) = JobTable::spawn_linked(None, JobTable, job_table, cell()).await?;
        let tasks = TasksArgs {
            me: me.clone(),
            job_table: job_table.clone(),
        };
        let (tasks, _) = Tasks::spawn_linked(None, Tasks, tasks, cell()).await?;
        let placement = PlacementArgs {
            me: me.clone(),
            ports: ports.clone(),
            table: seen.clone(),
            tasks: tasks.clone(),
            job_table: job_table.clone(),
        };
        let (placement, _) = Placement::spawn_linked(None, Placement, placement, cell()).await?;
        tasks.cast(TasksMsg::Placement(placement.clone()))?;
        let handle = PeerHandle {
            me,
            ports,
            table: seen,
            job_table,
            tasks,
            placement,
            drain,
            news: weak_news,
        };
        Ok(PeerState {
            handle,
            is_stopping: false,
        })
    }

    async fn handle(&self, myself: ActorRef<PeerMsg>, msg: PeerMsg, state: &mut PeerState) -> Result<(), ActorProcessingErr> {
        match msg {
            PeerMsg::Stop { leaving, reply } => {
                state.is_stopping = true;
                state.handle.placement.stop(Some("the peer is stopping".into()));
                let (tasks, job_table) = (state.handle.tasks.clone(), state.handle.job_table.clone());
                // Owned by the runtime for at most STOP_TIME_MAX; the process ends right after.
                tokio::spawn(async move {
                    let stop_all = |reply| TasksMsg::StopAll { leaving, reply };
                    let _ = tasks.call(stop_all, Some(STOP_TIME_MAX)).await;
                    // Orders are answered in turn: behind this one, every released claim is on the disk and on its way.
                    let nothing = |reply| JobTableMsg::Merge {
                        records: Vec::new(),
                        reply,
                    };
                    let _ = job_table.call(nothing, Some(CLAIMS_TIME_MAX)).await;
                    let _ = myself.cast(PeerMsg::Stopped(reply));
                });
            }
            PeerMsg::Stopped(reply) => {
                let _ = reply.send(());
                myself.stop(None);
            }
            PeerMsg::Handle(reply) => drop(reply.send(state.handle.clone())),
        }
        Ok(())
    }

    /// Any of the three gone means that this process cannot do its work: end, and start anew from disk.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<PeerMsg>,
        event: SupervisionEvent,
        state: &mut PeerState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                error!(actor = ?cell.get_id(), %error, "a core actor failed, the peer ends");
                myself.stop(Some("a core actor failed".into()));
            }
            SupervisionEvent::ActorTerminated(cell, _, reason) if !state.is_stopping => {
                error!(actor = ?cell.get_id(), ?reason, "a core actor ended, the peer ends");
                myself.stop(Some("a core actor ended".into()));
            }
            SupervisionEvent::ActorTerminated(..) => info!("a core actor ended"),
            _ => {}
        }
        Ok(())
    }
}
