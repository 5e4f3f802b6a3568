//! What connects a sink flow to the rest of its peer: who may run its source, where it reports, and the job's live text.
//!
//! Made by `tasks` for each start; the flow takes its ends and `tasks` keeps the others.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::actors::better_placed::better_placed;
use crate::actors::me::Me;
use crate::actors::source_choice::{source_chooser, source_leaver};
use crate::actors::tasks_msg::StartSink;
use crate::core::job_spec::JobSpec;
use crate::core::job_state::SinkStatus;
use crate::flow::sink_flow::{SinkArgs, SinkEvent};

/// Events of a sink flow that were not handled yet: it makes a handful per start.
const SINK_EVENTS_MAX: usize = 16;

/// The ends that `tasks` keeps.
pub struct SinkWires {
    /// The flow's view.
    pub status: watch::Receiver<SinkStatus>,
    /// What the flow tells while it runs.
    pub events: mpsc::Receiver<SinkEvent>,
    /// The job's text, for what a running flow takes up.
    pub live: watch::Sender<Arc<JobSpec>>,
}

impl StartSink {
    /// The flow to run, and the other ends of its wires.
    #[must_use]
    pub fn wired(&self, me: &Me) -> (SinkArgs, SinkWires) {
        let (status_in, status) = watch::channel(SinkStatus::default());
        let (events_in, events) = mpsc::channel(SINK_EVENTS_MAX);
        let (live, live_out) = watch::channel(Arc::new(self.spec.clone()));
        let choose_source = source_chooser(live_out.clone(), me.roster());
        let flow = SinkArgs {
            job: self.job.clone(),
            spec: self.spec.clone(),
            owner: me.node.clone(),
            owner_name: me.name.clone(),
            boot: me.boot,
            cluster_id: me.cluster_id.clone(),
            life: self.life.clone(),
            epoch_seen: self.epoch_seen,
            restarts: self.restarts,
            skips: self.skips.clone(),
            endpoint: me.endpoint.clone(),
            leave_source: source_leaver(choose_source.clone(), live_out.clone(), me.roster()),
            choose_source,
            better_placed: better_placed(live_out.clone(), me),
            events: events_in,
            status: status_in,
            window_bytes: me.window_bytes(),
            windows: me.windows.clone(),
            memory_bytes: me.window_bytes() * 2,
            live: live_out,
        };
        (flow, SinkWires { status, events, live })
    }
}
