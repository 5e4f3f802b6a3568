//! When a group is full and what is done with rows that do not fit, by the job's text of the moment: both change while the sink runs.
//!
//! Made by `flow::subscription` over the watch the actor above feeds, asked by `flow::applier` before each group.

use std::sync::Arc;

use tokio::sync::watch;

use crate::core::conflict::ConflictPolicy;
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

    /// How rows are checked now, and what is done with those that do not fit.
    #[must_use]
    pub fn conflict_policy(&self) -> ConflictPolicy {
        self.live.borrow().conflict_policy()
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
