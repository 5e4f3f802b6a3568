//! One sink task's lifecycle: starts the sink flow, passes on what it tells, ends with it.
//!
//! Started by `tasks`, one per job on this peer. Knows nothing of rows, fences or placement.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::actors::flow_guard::FlowGuard;
use crate::actors::tasks_msg::TasksMsg;
use crate::core::ids::JobId;
use crate::flow::error::FlowError;
use crate::flow::sink_flow::{self, SinkArgs, SinkEvent};

/// What a sink task is told.
pub enum SinkTaskMsg {
    /// From `tasks`: finish the turn in hand, release the fence, end.
    Stop,
    /// From its flow: it ended. Passed on to `tasks`; the actor stops.
    Ended(Result<(), FlowError>),
}

/// What it is started with.
pub struct SinkTaskArgs {
    /// The job.
    pub job: JobId,
    /// For the flow.
    pub flow: SinkArgs,
    /// What the flow tells while it runs; bounded by its maker.
    pub events: mpsc::Receiver<SinkEvent>,
    /// Who hears of events and of the end.
    pub tasks: ActorRef<TasksMsg>,
}

/// State of the actor.
pub struct SinkTaskState {
    job: JobId,
    tasks: ActorRef<TasksMsg>,
    flow: FlowGuard,
}

/// The actor.
pub struct SinkTask;

impl Actor for SinkTask {
    type Msg = SinkTaskMsg;
    type State = SinkTaskState;
    type Arguments = SinkTaskArgs;

    async fn pre_start(&self, myself: ActorRef<SinkTaskMsg>, args: SinkTaskArgs) -> Result<SinkTaskState, ActorProcessingErr> {
        let SinkTaskArgs {
            job,
            flow,
            mut events,
            tasks,
        } = args;
        let stop = CancellationToken::new();
        let (told, told_job) = (tasks.clone(), job.clone());
        let running = {
            let stop = stop.clone();
            async move {
                let flow = sink_flow::run(flow, stop);
                tokio::pin!(flow);
                loop {
                    tokio::select! {
                        biased;
                        // A closed event channel only means that the flow is about to end.
                        Some(event) = events.recv() => drop(told.cast(TasksMsg::SinkEvent { job: told_job.clone(), event })),
                        result = &mut flow => return result,
                    }
                }
            }
        };
        // The cast fails only when the actor is gone, and then nobody is left to hear it.
        let flow = FlowGuard::start(stop, running, move |result| drop(myself.cast(SinkTaskMsg::Ended(result))));
        Ok(SinkTaskState { job, tasks, flow })
    }

    async fn handle(
        &self,
        myself: ActorRef<SinkTaskMsg>,
        msg: SinkTaskMsg,
        state: &mut SinkTaskState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            SinkTaskMsg::Stop => state.flow.stop(),
            SinkTaskMsg::Ended(result) => {
                state.tasks.cast(TasksMsg::SinkEnded {
                    job: state.job.clone(),
                    result,
                })?;
                myself.stop(None);
            }
        }
        Ok(())
    }
}
