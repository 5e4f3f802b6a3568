//! Runs this peer's tasks: starts and stops sink tasks for placement, serves sinks of other peers with source tasks.
//!
//! Fed by `placement` (start, stop), `incoming` (subscriptions) and its children (events, ends). Tells placement how a task
//! ended, the job table what was claimed, gossip what runs here. One sink and one source task per job at most. It restarts
//! nothing by itself: whether and when a task starts again is nomination's decision.

use std::collections::BTreeMap;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::actors::errands::Errand;
use crate::actors::job_table::JobTableMsg;
use crate::actors::me::Me;
use crate::actors::placement::PlacementMsg;
use crate::actors::sink_task::{SinkTask, SinkTaskArgs, SinkTaskMsg};
use crate::actors::sink_wires::SinkWires;
use crate::actors::source_task::{SourceTask, SourceTaskArgs, SourceTaskMsg};
use crate::actors::target_cleaning::clean_target;
use crate::actors::task_entries::{Sink, Source, report};
use crate::actors::tasks_msg::{StartSink, SubscriptionId, TasksMsg};
use crate::core::disposition::Disposition;
use crate::core::ids::{JobId, JobName};
use crate::core::job_record::{Claim, Dot};
use crate::core::job_spec::JobSpec;
use crate::core::member::{TaskCounts, name_of};
use crate::flow::error::FlowError;
use crate::flow::sink_flow::SinkEvent;
use crate::flow::source_flow::SourceArgs;
use crate::flow::status::SourceStatus;
use crate::gossip::keys::{Fact, Leaving, TaskFact, TaskKind};
use crate::telemetry::metrics::TASK_RESTARTS;

/// How often gossip hears of the tasks. Trades freshness of `peer jobs` on other peers against gossip bytes.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// What it is started with.
pub struct TasksArgs {
    /// Who this peer is and what it reaches.
    pub me: Me,
    /// Where claims go.
    pub job_table: ActorRef<JobTableMsg>,
}

/// State of the actor.
pub struct TasksState {
    me: Me,
    job_table: ActorRef<JobTableMsg>,
    placement: Option<ActorRef<PlacementMsg>>,
    sinks: BTreeMap<JobName, Sink>,
    sources: BTreeMap<JobName, Source>,
    told_counts: TaskCounts,
    stopping: Option<(Leaving, RpcReplyPort<()>)>,
    cleaning: TaskTracker,
}

/// The actor.
pub struct Tasks;

impl TasksState {
    async fn start_sink(&mut self, start: StartSink, myself: &ActorRef<TasksMsg>) -> Result<(), ActorProcessingErr> {
        let name = start.job.name.clone();
        if self.stopping.is_some() || self.sinks.get(&name).is_some_and(|sink| sink.actor.is_some()) {
            let report = FlowError::Died {
                reason: "another sink of the job is still ending here".into(),
            }
            .report(self.me.clock.wall_text());
            self.tell_placement(PlacementMsg::Ended {
                job: start.job,
                disposition: Some(Disposition::Retry),
                report: Some(report),
            });
            return Ok(());
        }
        let (flow, SinkWires { status, events, live }) = start.wired(&self.me);
        info!(job = %start.job, "sink task started");
        let args = SinkTaskArgs {
            job: start.job.clone(),
            flow,
            events,
            tasks: myself.clone(),
        };
        let (actor, _) = SinkTask::spawn_linked(None, SinkTask, args, myself.get_cell()).await?;
        let old = self.sinks.remove(&name);
        if let Some(old) = &old {
            let newest = old.errors.back().map_or("none", |error| error.class.word());
            TASK_RESTARTS.of(newest).increment(1);
        }
        let (errors, starts, told) = old.map_or_else(Default::default, |old| (old.errors, old.starts, old.told));
        let sink = Sink {
            start,
            actor: Some(actor),
            status,
            live,
            claim: None,
            errors,
            starts: starts + 1,
            told,
        };
        self.sinks.insert(name, sink);
        Ok(())
    }

    /// A running sink takes up what changed of its job: its claim names the new text from now on.
    fn change_sink(&mut self, job: &JobId, spec: JobSpec, dot: Dot) {
        let sink = self.sinks.get_mut(&job.name).filter(|sink| sink.start.job == *job);
        if let Some(claim) = sink.and_then(|sink| sink.change(spec, dot)) {
            info!(job = %job, epoch = claim.epoch.0, "sink task took up a new version");
            self.claim(&job.name, claim);
        }
    }

    fn stop_sink(&mut self, job: &JobName, reason: &str) {
        if let Some(actor) = self.sinks.get(job).and_then(|sink| sink.actor.as_ref()) {
            info!(job = %job, reason, "sink task was asked to stop");
            // A dead actor has ended already, and its end is on the way here.
            let _ = actor.cast(SinkTaskMsg::Stop);
        }
    }

    async fn subscribe(
        &mut self,
        subscription: SubscriptionId,
        flow: SourceArgs,
        status: watch::Receiver<SourceStatus>,
        myself: &ActorRef<TasksMsg>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(old) = self.sources.get(&subscription.job) {
            if old.subscription >= subscription {
                warn!(job = %subscription.job, "subscription refused: a newer one is served");
                return Ok(());
            }
            let _ = old.actor.cast(SourceTaskMsg::Stop);
        }
        if self.stopping.is_some() {
            return Ok(());
        }
        info!(job = %subscription.job, epoch = subscription.epoch.0, "source task started");
        let args = SourceTaskArgs {
            subscription: subscription.clone(),
            flow,
            tasks: myself.clone(),
        };
        let (actor, _) = SourceTask::spawn_linked(None, SourceTask, args, myself.get_cell()).await?;
        self.sources.insert(
            subscription.job.clone(),
            Source {
                subscription,
                actor,
                status,
            },
        );
        Ok(())
    }

    fn sink_event(&mut self, job: &JobId, event: SinkEvent) {
        let Some(sink) = self.sinks.get_mut(&job.name).filter(|sink| sink.start.job == *job) else {
            return;
        };
        let claim = match event {
            SinkEvent::Acquired { epoch, target_uuid } => {
                self.tell_placement(PlacementMsg::Acquired { job: job.clone(), epoch });
                let sink = self.sinks.get_mut(&job.name).expect("found above");
                sink.claim.insert(sink.start.claim(&self.me, epoch, target_uuid)).clone()
            }
            SinkEvent::SourceChosen { src_epoch, node } => {
                let Some(claim) = &mut sink.claim else { return };
                claim.src_epoch = src_epoch;
                claim.source_name = name_of(&self.me.roster().borrow(), &node);
                claim.source = Some(node);
                claim.clone()
            }
            SinkEvent::SourceFailed { node, error } => {
                let report = error.report(self.me.clock.wall_text());
                warn!(job = %job, peer = %node, error = %report.text, "source failed, another try follows");
                return sink.remember(report);
            }
        };
        self.claim(&job.name, claim);
    }

    fn sink_ended(&mut self, job: &JobId, result: Result<(), FlowError>) {
        let Some(sink) = self.sinks.get_mut(&job.name).filter(|sink| sink.start.job == *job) else {
            return;
        };
        sink.actor = None;
        let disposition = result.as_ref().err().map(FlowError::disposition);
        let report = result.as_ref().err().map(|error| error.report(self.me.clock.wall_text()));
        match (&report, disposition) {
            (None, _) => info!(job = %job, "sink task ended"),
            (Some(report), Some(Disposition::Superseded)) => info!(job = %job, reason = %report.text, "sink task lost the fence"),
            (Some(report), Some(Disposition::Fatal)) => error!(job = %job, error = %report.text, "sink task failed"),
            (Some(report), _) => warn!(job = %job, error = %report.text, "sink task ended, another try will follow"),
        }
        if let Some(report) = report.clone().filter(|_| disposition != Some(Disposition::Superseded)) {
            sink.remember(report);
        }
        // After an error the claim stays: this peer tries again first, until nomination gives it up. So it does for a restart.
        let is_restart = self
            .stopping
            .as_ref()
            .is_some_and(|(leaving, _)| *leaving == Leaving::Restart);
        if disposition.is_none() && !is_restart {
            self.release_claim(job, None);
        }
        self.tell_placement(PlacementMsg::Ended {
            job: job.clone(),
            disposition,
            report,
        });
        self.answer_when_stopped();
    }

    /// Nothing of this peer writes for the job any more: others need not wait. `known` is the claim of a start that is
    /// forgotten here, of this process or an earlier one.
    fn release_claim(&mut self, job: &JobId, known: Option<Claim>) {
        let sink = self.sinks.get_mut(&job.name).filter(|sink| sink.start.job == *job);
        if let Some(mut claim) = sink.and_then(|sink| sink.claim.take()).or(known) {
            claim.is_released = true;
            self.claim(&job.name, claim);
        }
    }

    fn source_ended(&mut self, subscription: &SubscriptionId, result: &Result<(), FlowError>) {
        if self
            .sources
            .get(&subscription.job)
            .is_some_and(|source| source.subscription == *subscription)
        {
            self.sources.remove(&subscription.job);
        }
        match result {
            Ok(()) => info!(job = %subscription.job, "source task ended"),
            Err(error) => warn!(job = %subscription.job, error = %error, "source task ended, its sink decides what follows"),
        }
        self.answer_when_stopped();
    }

    fn claim(&self, job: &JobName, claim: Claim) {
        let claim = Claim {
            at: self.me.clock.wall_text(),
            ..claim
        };
        let errand = Errand::Claim(Box::new(claim));
        // A dead job table ends the peer.
        let _ = self.job_table.cast(JobTableMsg::Note {
            name: job.clone(),
            errand,
        });
    }

    fn tell_placement(&self, msg: PlacementMsg) {
        // Before the introduction nothing runs; after placement died the whole peer ends.
        if let Some(placement) = &self.placement {
            let _ = placement.cast(msg);
        }
    }

    fn publish(&mut self) {
        let counts = TaskCounts {
            source: u32::try_from(self.sources.len()).unwrap_or(u32::MAX),
            sink: u32::try_from(self.sinks.values().filter(|sink| sink.actor.is_some()).count()).unwrap_or(u32::MAX),
        };
        if counts != self.told_counts {
            self.me.publish(&Fact::Tasks(counts));
            self.told_counts = counts;
        }
        for (job, sink) in &mut self.sinks {
            match sink.news() {
                None => {}
                Some(text) if text.is_empty() => self.me.withdraw_sink(job),
                Some(state) => self.me.publish(&Fact::Task(TaskFact {
                    job: job.clone(),
                    kind: TaskKind::Sink,
                    state,
                })),
            }
        }
    }

    fn stop_all(&mut self, leaving: Leaving, reply: RpcReplyPort<()>) {
        self.stopping = Some((leaving, reply));
        let jobs: Vec<JobName> = self.sinks.keys().cloned().collect();
        for job in jobs {
            self.stop_sink(&job, "the peer is stopping");
        }
        for source in self.sources.values() {
            let _ = source.actor.cast(SourceTaskMsg::Stop);
        }
        self.answer_when_stopped();
    }

    fn is_idle(&self) -> bool {
        self.sources.is_empty() && self.sinks.values().all(|sink| sink.actor.is_none())
    }

    fn answer_when_stopped(&mut self) {
        if self.is_idle()
            && let Some((_, reply)) = self.stopping.take()
        {
            // The caller may have stopped waiting.
            let _ = reply.send(());
        }
    }

    /// A child that died without a word (its handler failed): the same as a flow that failed.
    fn child_died(&mut self, cell: &ractor::ActorCell, why: &str) {
        let id = cell.get_id();
        let sink = self
            .sinks
            .values()
            .find(|sink| sink.actor.as_ref().is_some_and(|actor| actor.get_id() == id));
        if let Some(job) = sink.map(|sink| sink.start.job.clone()) {
            self.sink_ended(&job, Err(FlowError::Died { reason: why.to_owned() }));
        }
        let source = self.sources.values().find(|source| source.actor.get_id() == id);
        if let Some(subscription) = source.map(|source| source.subscription.clone()) {
            self.source_ended(&subscription, &Err(FlowError::Died { reason: why.to_owned() }));
        }
    }
}

impl Actor for Tasks {
    type Msg = TasksMsg;
    type State = TasksState;
    type Arguments = TasksArgs;

    async fn pre_start(&self, myself: ActorRef<TasksMsg>, args: TasksArgs) -> Result<TasksState, ActorProcessingErr> {
        myself.send_interval(PUBLISH_INTERVAL, || TasksMsg::Publish);
        Ok(TasksState {
            me: args.me,
            job_table: args.job_table,
            placement: None,
            sinks: BTreeMap::new(),
            sources: BTreeMap::new(),
            told_counts: TaskCounts::default(),
            stopping: None,
            cleaning: TaskTracker::new(),
        })
    }

    async fn handle(&self, myself: ActorRef<TasksMsg>, msg: TasksMsg, state: &mut TasksState) -> Result<(), ActorProcessingErr> {
        match msg {
            TasksMsg::Placement(placement) => state.placement = Some(placement),
            TasksMsg::StartSink(start) => state.start_sink(*start, &myself).await?,
            TasksMsg::ChangeSink { job, spec, dot } => state.change_sink(&job, *spec, dot),
            TasksMsg::StopSink { job, reason } => state.stop_sink(&job, &reason),
            TasksMsg::ReleaseClaim { job, claim } => state.release_claim(&job, claim.map(|claim| *claim)),
            TasksMsg::CleanTarget { job, sink } => {
                state.sinks.remove(&job.name);
                drop(state.cleaning.spawn(clean_target(job, *sink)));
            }
            TasksMsg::Subscribe {
                subscription,
                flow,
                status,
            } => state.subscribe(subscription, *flow, status, &myself).await?,
            TasksMsg::SinkEvent { job, event } => state.sink_event(&job, event),
            TasksMsg::SinkEnded { job, result } => state.sink_ended(&job, result),
            TasksMsg::SourceEnded { subscription, result } => state.source_ended(&subscription, &result),
            TasksMsg::Report { job, reply } => drop(reply.send(report(state.sinks.get(&job), state.sources.get(&job)))),
            TasksMsg::IsIdle(reply) => drop(reply.send(state.is_idle())),
            TasksMsg::Publish => state.publish(),
            TasksMsg::StopAll { leaving, reply } => state.stop_all(leaving, reply),
        }
        Ok(())
    }

    /// A task's end never ends the others.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<TasksMsg>,
        event: SupervisionEvent,
        state: &mut TasksState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(cell, error) = event {
            state.child_died(&cell, &error.to_string());
        }
        Ok(())
    }
}
