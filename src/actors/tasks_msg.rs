//! What the `tasks` actor is told: the contract between it and placement, the doors for streams, and its children.
//!
//! Commands, events and summaries only; rows never pass a mailbox.

use ractor::{ActorRef, RpcReplyPort};
use tokio::sync::watch;

use crate::actors::me::Me;
use crate::actors::placement::PlacementMsg;
use crate::actors::task_report::TaskReport;
use crate::core::ids::{Epoch, Incarnation, JobId, JobName, Life, SourceEpoch};
use crate::core::job_record::{Claim, Dot};
use crate::core::job_spec::{JobSpec, SinkSpec};
use crate::core::skip::Skips;
use crate::flow::error::FlowError;
use crate::flow::sink_flow::SinkEvent;
use crate::flow::source_flow::SourceArgs;
use crate::flow::status::SourceStatus;
use crate::gossip::Leaving;

/// Which subscription a source task serves; a larger one of the same job replaces it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriptionId {
    /// Incarnation of the job.
    pub inc: Incarnation,
    /// The sink's epoch.
    pub epoch: Epoch,
    /// Its count of source tasks.
    pub src_epoch: SourceEpoch,
    /// The job.
    pub job: JobName,
}

/// A sink to be started.
#[derive(Clone, Debug)]
pub struct StartSink {
    /// The job.
    pub job: JobId,
    /// What it is to do.
    pub spec: JobSpec,
    /// Which version of the spec that is.
    pub dot: Dot,
    /// Tells two jobs of one name apart in the target.
    pub life: Life,
    /// The largest epoch any claim named.
    pub epoch_seen: Epoch,
    /// How often a person asked for a restart.
    pub restarts: u64,
    /// Source transactions that a person passed over.
    pub skips: Skips,
}

impl StartSink {
    /// The claim of the peer `me` that just won the fence with `epoch`.
    #[must_use]
    pub fn claim(&self, me: &Me, epoch: Epoch, target_uuid: String) -> Claim {
        Claim {
            inc: self.job.inc,
            epoch,
            owner: me.node.clone(),
            owner_name: me.name.clone(),
            boot: me.boot,
            life: self.life.clone(),
            target_uuid,
            spec: self.dot.clone(),
            ..Claim::default()
        }
    }
}

/// What the actor is told.
pub enum TasksMsg {
    /// From `peer`, once: who decides.
    Placement(ActorRef<PlacementMsg>),
    /// From `placement`: own this job.
    StartSink(Box<StartSink>),
    /// From `placement`: the job it owns has another text, of which a running task takes up every difference.
    ChangeSink {
        /// The job.
        job: JobId,
        /// The new text.
        spec: Box<JobSpec>,
        /// Which version of it that is.
        dot: Dot,
    },
    /// From `placement`: stop owning it, in good order.
    StopSink {
        /// The job.
        job: JobName,
        /// For the log.
        reason: String,
    },
    /// From `placement`: others may take the job at once.
    ReleaseClaim {
        /// The job.
        job: JobId,
        /// This peer's claim as the table holds it.
        claim: Option<Box<Claim>>,
    },
    /// From `placement`: a purged job that ran here last; its progress in the target goes.
    CleanTarget {
        /// The job.
        job: JobId,
        /// Its target.
        sink: Box<SinkSpec>,
    },
    /// From `incoming`: a sink of another peer (or this one) wants changes.
    Subscribe {
        /// Which subscription.
        subscription: SubscriptionId,
        /// For the flow.
        flow: Box<SourceArgs>,
        /// What the flow tells.
        status: watch::Receiver<SourceStatus>,
    },
    /// From a sink task.
    SinkEvent {
        /// The job.
        job: JobId,
        /// What happened.
        event: SinkEvent,
    },
    /// From a sink task: it ended.
    SinkEnded {
        /// The job.
        job: JobId,
        /// How.
        result: Result<(), FlowError>,
    },
    /// From a source task: it ended.
    SourceEnded {
        /// Which.
        subscription: SubscriptionId,
        /// How.
        result: Result<(), FlowError>,
    },
    /// From `handle` and `incoming`: what is known of a job here. Answered at once.
    Report {
        /// The job.
        job: JobName,
        /// Gets the report; None when no sink of it ever ran here.
        reply: RpcReplyPort<Option<TaskReport>>,
    },
    /// From `handle`: does nothing run here? Answered at once.
    IsIdle(RpcReplyPort<bool>),
    /// From itself: tell gossip.
    Publish,
    /// From `peer`: stop everything.
    StopAll {
        /// For a restart the claims stay: the sinks wait for this peer.
        leaving: Leaving,
        /// Answered when nothing runs.
        reply: RpcReplyPort<()>,
    },
}
