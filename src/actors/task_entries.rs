//! What `tasks` keeps of each task it runs, and of the sinks that ran here before.

use std::collections::VecDeque;
use std::sync::Arc;

use ractor::ActorRef;
use tokio::sync::watch;

use crate::actors::sink_task::SinkTaskMsg;
use crate::actors::source_task::SourceTaskMsg;
use crate::actors::task_report::{ERRORS_MAX, TaskBrief, TaskReport};
use crate::actors::tasks_msg::{StartSink, SubscriptionId};
use crate::core::job_record::{Claim, Dot};
use crate::core::job_spec::JobSpec;
use crate::core::job_state::{ErrorReport, SinkStatus};
use crate::flow::status::SourceStatus;

/// A sink that runs here, or ran here last.
pub struct Sink {
    /// What it was started with.
    pub start: StartSink,
    /// None once it ended; errors stay for `status`.
    pub actor: Option<ActorRef<SinkTaskMsg>>,
    /// The flow's view.
    pub status: watch::Receiver<SinkStatus>,
    /// The job's text, for the flow.
    pub live: watch::Sender<Arc<JobSpec>>,
    /// The claim in force; None before the fence was won and after it was given up.
    pub claim: Option<Claim>,
    /// At most `ERRORS_MAX`, newest last.
    pub errors: VecDeque<ErrorReport>,
    /// How often it was started here.
    pub starts: u64,
    /// What gossip was told last.
    pub told: String,
}

impl Sink {
    /// Keeps an error for `status`.
    pub fn remember(&mut self, report: ErrorReport) {
        if self.errors.len() == ERRORS_MAX {
            self.errors.pop_front();
        }
        self.errors.push_back(report);
    }

    /// Takes up another text while it runs; returns the claim to publish. None: it does not run, has that text already, or has
    /// no claim yet, and the first one will name it.
    pub fn change(&mut self, spec: JobSpec, dot: Dot) -> Option<Claim> {
        if self.actor.is_none() || self.start.dot == dot {
            return None;
        }
        self.live.send_replace(Arc::new(spec.clone()));
        (self.start.spec, self.start.dot) = (spec, dot.clone());
        let claim = self.claim.as_mut()?;
        claim.spec = dot;
        claim.rewrites += 1;
        Some(claim.clone())
    }

    /// What gossip shall be told now: None when it knows, empty when nothing runs any more.
    pub fn news(&mut self) -> Option<String> {
        let text = if self.actor.is_some() {
            let brief = TaskBrief::of(self.start.job.inc, &self.status.borrow(), self.errors.back());
            serde_json::to_string(&brief).expect("a brief has only text keys")
        } else {
            String::new()
        };
        if text == self.told {
            return None;
        }
        self.told.clone_from(&text);
        Some(text)
    }
}

/// A source task that runs here.
pub struct Source {
    /// Which subscription it serves.
    pub subscription: SubscriptionId,
    /// Its actor.
    pub actor: ActorRef<SourceTaskMsg>,
    /// The flow's view.
    pub status: watch::Receiver<SourceStatus>,
}

/// What is known of a job here; None when neither task ever ran.
#[must_use]
pub fn report(sink: Option<&Sink>, source: Option<&Source>) -> Option<TaskReport> {
    if sink.is_none() && source.is_none() {
        return None;
    }
    let running = sink.filter(|sink| sink.actor.is_some());
    Some(TaskReport {
        sink: running.map(|sink| sink.status.borrow().clone()),
        source: source.map(|source| source.status.borrow().clone()),
        errors: sink.map_or_else(Vec::new, |sink| sink.errors.iter().cloned().collect()),
        restarts: sink.map_or(0, |sink| sink.starts.saturating_sub(1)),
        retries: Vec::new(),
    })
}
