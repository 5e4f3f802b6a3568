//! When a group is full, by the job's text of the moment: `[apply]` changes while the sink task runs.
//!
//! Made by `flow::subscription` over the watch the actor above feeds, asked by `flow::applier` before each group.

use std::sync::Arc;

use tokio::sync::watch;

use crate::core::group::GroupLimits;
use crate::core::job_spec::JobSpec;

/// The limits of one sink flow.
#[derive(Clone, Debug)]
pub struct LiveLimits {
    live: watch::Receiver<Arc<JobSpec>>,
    bytes_max: u64,
}

impl LiveLimits {
    /// Limits of `[apply]`; `bytes_max` is what the flow's memory has room for.
    #[must_use]
    pub fn new(live: watch::Receiver<Arc<JobSpec>>, bytes_max: u64) -> Self {
        Self { live, bytes_max }
    }

    /// The limits in force now.
    #[must_use]
    pub fn now(&self) -> GroupLimits {
        let apply = &self.live.borrow().apply;
        GroupLimits {
            transactions: apply.group_transactions,
            bytes: apply.group_bytes.min(self.bytes_max),
        }
    }
}
