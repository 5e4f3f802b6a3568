//! Feeds nomination, one state per living job, and runs its effects. Decides nothing itself.
//!
//! Fed by the job table and gossip (watches, looked at on change and each tick: level-triggered, so no wake-up can be
//! lost), by `tasks` (fence won, task ended) and by pings. Feeds `tasks` and the job table. Idle jobs cost nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::actors::cluster_view::ClusterView;
use crate::actors::errands::Errand;
use crate::actors::job_table::JobTableMsg;
use crate::actors::me::Me;
use crate::actors::nominee::Nominee;
use crate::actors::owner_search::{self, Search};
use crate::actors::ports::Ports;
use crate::actors::retry_report::RetryReport;
use crate::actors::table_view::TableView;
use crate::actors::tasks_msg::TasksMsg;
use crate::core::disposition::Disposition;
use crate::core::explanation::Explanation;
use crate::core::ids::{Epoch, Incarnation, JobId, JobName, NodeId};
use crate::core::job_state::ErrorReport;
use crate::core::member::Roster;
use crate::core::nomination::{Effect, Event, TICK};

/// What placement is told.
pub enum PlacementMsg {
    /// From itself: time passes.
    Tick,
    /// From its watcher: the roster, the table or the lateness of gossip changed.
    Look,
    /// From `tasks`: the fence was won.
    Acquired {
        /// The job.
        job: JobId,
        /// The epoch now held.
        epoch: Epoch,
    },
    /// From `tasks`: the sink ended; None: in good order.
    Ended {
        /// The job.
        job: JobId,
        /// What it means.
        disposition: Option<Disposition>,
        /// For people.
        report: Option<ErrorReport>,
    },
    /// From a search: there is an owner.
    OwnerAnswered {
        /// The job.
        job: JobId,
        /// How much longer the sign counts.
        lasts: Duration,
    },
    /// From `handle`: what there is to say of the job. Answered at once.
    Word {
        /// The job.
        job: JobName,
        /// Gets the words.
        reply: RpcReplyPort<PlacementWord>,
    },
}

/// What placement of one peer says of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlacementWord {
    /// Name of the owner that said that it restarts, and is expected back.
    pub awaits: Option<String>,
    /// Why the job does not run here; None: nothing to say.
    pub reason: Option<String>,
    /// How this peer tries the sink again after failures; None: nothing failed here, or another peer has it.
    pub retry: Option<RetryReport>,
    /// The last changes of the verdicts, newest first.
    pub explanations: Vec<Explanation>,
}

/// What it is started with.
pub struct PlacementArgs {
    /// Who this peer is.
    pub me: Me,
    /// Time and randomness.
    pub ports: Ports,
    /// The job table.
    pub table: watch::Receiver<Arc<TableView>>,
    /// Who runs tasks.
    pub tasks: ActorRef<TasksMsg>,
    /// Where failures are recorded.
    pub job_table: ActorRef<JobTableMsg>,
}

/// State of the actor.
pub struct PlacementState {
    args: PlacementArgs,
    nominees: BTreeMap<JobId, Nominee>,
    heard: BTreeMap<NodeId, u64>,
    late_times: u64,
    /// The table and the roster looked at last: jobs for which neither changed are not looked at again.
    seen: (Arc<TableView>, Arc<Roster>),
    stop: CancellationToken,
}

/// The actor.
pub struct Placement;

impl PlacementState {
    fn tick(&mut self, myself: &ActorRef<PlacementMsg>) {
        self.look(myself);
        let heard = self.me().membership.heard();
        let news: Vec<NodeId> = heard
            .iter()
            .filter(|(id, times)| self.heard.get(*id) != Some(*times))
            .map(|(id, _)| id.clone())
            .collect();
        self.heard = BTreeMap::clone(&heard);
        for job in self.jobs_at_work() {
            for id in &news {
                self.step(&job, Event::HeardPeer(id.clone()), myself);
            }
            self.step(&job, Event::Tick, myself);
        }
    }

    /// Brings nominees up to date with the table, the roster and the lateness of gossip. Costs what changed: a record costs its
    /// own job, another roster costs the jobs at work.
    fn look(&mut self, myself: &ActorRef<PlacementMsg>) {
        let late = *self.me().membership.late().borrow();
        let is_late = late.times != self.late_times;
        self.late_times = late.times;
        let (table, view) = (self.args.table.borrow().clone(), ClusterView::of(&self.me().membership));
        let mut ids = self.take_table(&table);
        if is_late || !Arc::ptr_eq(&self.seen.1, &view.roster) {
            ids.extend(self.jobs_at_work());
        }
        self.seen = (table, view.roster.clone());
        for id in ids {
            let Some(nominee) = self.nominees.get_mut(&id) else { continue };
            let mut events = nominee.news(&id, &view);
            nominee.explain(|| self.args.ports.clock.wall_text());
            if is_late && nominee.is_at_work() {
                events.push(Event::GossipLate { late_ms: late.late_ms });
            }
            for event in events {
                self.step(&id, event, myself);
            }
            self.tell_live_change(&id);
            self.drop_when_over(&id);
        }
    }

    /// Hands changed records to their nominees; returns whose news there may be, ended incarnations too.
    fn take_table(&mut self, table: &TableView) -> BTreeSet<JobId> {
        let mut ids = BTreeSet::new();
        for record in table.changed_since(&self.seen.0) {
            let id = |inc| JobId {
                name: record.name.clone(),
                inc,
            };
            if record.is_alive() {
                let node = &self.args.me.node;
                let nominee = self.nominees.entry(id(record.inc));
                nominee.or_insert_with(|| Nominee::new(node.clone())).update(record);
            }
            let incarnations = id(Incarnation(0))..=id(Incarnation(u64::MAX));
            for (id, nominee) in self.nominees.range_mut(incarnations) {
                if id.inc != record.inc {
                    nominee.forget();
                }
                ids.insert(id.clone());
            }
        }
        ids
    }

    fn tell_live_change(&mut self, id: &JobId) {
        if let Some((spec, dot)) = self.nominees.get_mut(id).and_then(Nominee::live_change) {
            self.tell_tasks(TasksMsg::ChangeSink {
                job: id.clone(),
                spec: Box::new(spec),
                dot,
            });
        }
    }

    /// Ends a purged job: the peer that owned it last also cleans its target.
    fn drop_when_over(&mut self, id: &JobId) {
        let record = self.seen.0.get(&id.name);
        let is_alive = record.is_some_and(|record| record.is_alive() && record.inc == id.inc);
        let is_over = !is_alive && self.nominees.get(id).is_some_and(|nominee| !nominee.state.is_active());
        let Some(nominee) = is_over.then(|| self.nominees.remove(id)).flatten() else {
            return;
        };
        if let Some(spec) = nominee.spec_to_clean(&self.args.me.node) {
            self.tell_tasks(TasksMsg::CleanTarget {
                job: id.clone(),
                sink: Box::new(spec.sink),
            });
        }
    }

    fn step(&mut self, id: &JobId, event: Event, myself: &ActorRef<PlacementMsg>) {
        let (now, random) = (self.args.ports.clock.now(), (self.args.ports.random)());
        let Some(nominee) = self.nominees.get_mut(id) else { return };
        for effect in nominee.step(event, now, random) {
            self.run(id, effect, myself);
        }
    }

    fn run(&mut self, id: &JobId, effect: Effect, myself: &ActorRef<PlacementMsg>) {
        debug!(job = %id, ?effect, "nomination decided");
        let Some(nominee) = self.nominees.get_mut(id) else { return };
        match effect {
            Effect::StartSink { above } => match nominee.start(id, above) {
                Some(start) => self.tell_tasks(TasksMsg::StartSink(Box::new(start))),
                // The record changed under it: what it asks for now is told by the look that follows.
                None => self.ended(id, Disposition::Retry, None, myself),
            },
            Effect::StopSink => {
                let reason = nominee.reason().to_owned();
                self.tell_tasks(TasksMsg::StopSink {
                    job: id.name.clone(),
                    reason,
                });
            }
            Effect::ReleaseClaim => {
                let claim = nominee.own_claim().map(Box::new);
                self.tell_tasks(TasksMsg::ReleaseClaim { job: id.clone(), claim });
            }
            Effect::PublishReason(text) => nominee.tell(text),
            Effect::CountMove(text) => {
                let made = nominee.counted_move(self.args.ports.clock.wall_ms(), &text);
                self.note(id, made.map(|made| Errand::Moved(Box::new(made))));
            }
            Effect::MarkFailed(text) => {
                info!(job = %id, reason = %text, "job failed and waits for a person");
                let failed = nominee.cause().map(|cause| Errand::Failed {
                    reason: text,
                    cause: Box::new(cause),
                    author: self.args.me.name.clone(),
                    at: self.args.ports.clock.wall_text(),
                });
                self.note(id, failed);
            }
            Effect::SeekOwner(owner) => {
                let search = Search {
                    job: id.clone(),
                    owner,
                    sink: nominee.sink(),
                };
                let (me, job, myself) = (self.me().clone(), id.clone(), myself.clone());
                owner_search::spawn(me, search, &self.stop, move |lasts| {
                    drop(myself.cast(PlacementMsg::OwnerAnswered { job, lasts }))
                });
            }
        }
    }

    fn ended(&mut self, id: &JobId, disposition: Disposition, report: Option<ErrorReport>, myself: &ActorRef<PlacementMsg>) {
        let text = words(report.as_ref());
        let now_ms = self.args.ports.clock.wall_ms();
        let policy = self.nominees.get_mut(id).and_then(|nominee| {
            nominee.remember(report.filter(|report| report.class != Disposition::Superseded));
            nominee.policy_news(now_ms)
        });
        if let Some(policy) = policy {
            self.step(id, policy, myself);
        }
        self.step(id, Event::TaskEnded(disposition, text), myself);
        self.look(myself);
        self.drop_when_over(id);
    }

    fn note(&self, id: &JobId, errand: Option<Errand>) {
        // Without a run there is nothing to write down: the job was held or purged meanwhile.
        let Some(errand) = errand else { return };
        let msg = JobTableMsg::Note {
            name: id.name.clone(),
            errand,
        };
        // A dead job table ends the peer.
        let _ = self.args.job_table.cast(msg);
    }

    fn tell_tasks(&self, msg: TasksMsg) {
        // A dead tasks actor ends the peer.
        let _ = self.args.tasks.cast(msg);
    }

    fn jobs_at_work(&self) -> Vec<JobId> {
        self.nominees
            .iter()
            .filter(|(_, nominee)| nominee.is_at_work())
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn word(&self, name: &JobName) -> PlacementWord {
        let found = self.nominees.iter().rev().find(|(id, _)| id.name == *name);
        found.map_or_else(PlacementWord::default, |(_, nominee)| PlacementWord {
            awaits: nominee.state.expected_back(self.args.ports.clock.now()).map(str::to_owned),
            reason: Some(nominee.reason().to_owned()).filter(|reason| !reason.is_empty()),
            retry: nominee.retry(&self.me().name, &self.args.ports.clock),
            explanations: nominee.explanations(),
        })
    }

    fn me(&self) -> &Me {
        &self.args.me
    }
}

impl Drop for PlacementState {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Wakes the actor on every change it looks at.
async fn watch_changes(
    me: Me,
    mut table: watch::Receiver<Arc<TableView>>,
    actor: ActorRef<PlacementMsg>,
    stop: CancellationToken,
) {
    let (mut roster, mut late) = (me.membership.roster(), me.membership.late());
    loop {
        let is_changed = tokio::select! {
            () = stop.cancelled() => false,
            changed = table.changed() => changed.is_ok(),
            changed = roster.changed() => changed.is_ok(),
            changed = late.changed() => changed.is_ok(),
        };
        if !is_changed || actor.cast(PlacementMsg::Look).is_err() {
            return;
        }
    }
}

/// An error as nomination and the failed hold carry it.
fn words(report: Option<&ErrorReport>) -> String {
    report.map_or_else(String::new, |report| {
        let fix = if report.fix.is_empty() {
            String::new()
        } else {
            format!("; {}", report.fix)
        };
        format!("{} {}{fix}", report.code, report.text)
    })
}

impl Actor for Placement {
    type Msg = PlacementMsg;
    type State = PlacementState;
    type Arguments = PlacementArgs;

    async fn pre_start(&self, myself: ActorRef<PlacementMsg>, args: PlacementArgs) -> Result<PlacementState, ActorProcessingErr> {
        let stop = CancellationToken::new();
        tokio::spawn(watch_changes(
            args.me.clone(),
            args.table.clone(),
            myself.clone(),
            stop.clone(),
        ));
        myself.send_interval(TICK, || PlacementMsg::Tick);
        Ok(PlacementState {
            args,
            nominees: BTreeMap::new(),
            heard: BTreeMap::new(),
            late_times: 0,
            seen: Default::default(),
            stop,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<PlacementMsg>,
        msg: PlacementMsg,
        state: &mut PlacementState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            PlacementMsg::Tick => state.tick(&myself),
            PlacementMsg::Look => state.look(&myself),
            PlacementMsg::Acquired { job, epoch } => state.step(&job, Event::AcquireWon(epoch), &myself),
            PlacementMsg::Ended {
                job,
                disposition,
                report,
            } => state.ended(&job, disposition.unwrap_or(Disposition::Retry), report, &myself),
            PlacementMsg::OwnerAnswered { job, lasts } => state.step(&job, Event::SignOfOwner { lasts }, &myself),
            PlacementMsg::Word { job, reply } => drop(reply.send(state.word(&job))),
        }
        Ok(())
    }
}
