//! One source task's lifecycle: serves one subscription with a source flow and ends with it.
//!
//! Started by `tasks` when a sink subscribes; stateless, so a newer subscription of the same job simply replaces it.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio_util::sync::CancellationToken;

use crate::actors::flow_guard::FlowGuard;
use crate::actors::tasks_msg::{SubscriptionId, TasksMsg};
use crate::flow::error::FlowError;
use crate::flow::source_flow::{self, SourceArgs};

/// What a source task is told.
pub enum SourceTaskMsg {
    /// From `tasks`: end.
    Stop,
    /// From its flow: it ended. Passed on to `tasks`; the actor stops.
    Ended(Result<(), FlowError>),
}

/// What it is started with.
pub struct SourceTaskArgs {
    /// Which subscription it serves.
    pub subscription: SubscriptionId,
    /// For the flow.
    pub flow: SourceArgs,
    /// Who hears of the end.
    pub tasks: ActorRef<TasksMsg>,
}

/// State of the actor.
pub struct SourceTaskState {
    subscription: SubscriptionId,
    tasks: ActorRef<TasksMsg>,
    flow: FlowGuard,
}

/// The actor.
pub struct SourceTask;

impl Actor for SourceTask {
    type Msg = SourceTaskMsg;
    type State = SourceTaskState;
    type Arguments = SourceTaskArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<SourceTaskMsg>,
        args: SourceTaskArgs,
    ) -> Result<SourceTaskState, ActorProcessingErr> {
        let stop = CancellationToken::new();
        let running = source_flow::run(args.flow, stop.clone());
        // The cast fails only when the actor is gone, and then nobody is left to hear it.
        let flow = FlowGuard::start(stop, running, move |result| drop(myself.cast(SourceTaskMsg::Ended(result))));
        Ok(SourceTaskState {
            subscription: args.subscription,
            tasks: args.tasks,
            flow,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<SourceTaskMsg>,
        msg: SourceTaskMsg,
        state: &mut SourceTaskState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            SourceTaskMsg::Stop => state.flow.stop(),
            SourceTaskMsg::Ended(result) => {
                state.tasks.cast(TasksMsg::SourceEnded {
                    subscription: state.subscription.clone(),
                    result,
                })?;
                myself.stop(None);
            }
        }
        Ok(())
    }
}
