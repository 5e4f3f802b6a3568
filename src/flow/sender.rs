//! Batches items and sends them within credit and rate.
//!
//! Fed by `flow::merger` through a byte channel of `Outgoing`; feeds the link. Heartbeats keep their place between the items.

use crate::core::change::Item;
use crate::core::job_state::ErrorReport;
use crate::wire::batch::item_bytes;

/// What the stages of the source task hand to the sender, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// An element of the sequence.
    Item(Item),
    /// Each second, and when the source becomes idle (PROTOCOLS 11, 12).
    Heartbeat {
        /// The source's `@@gtid_executed`, canonical text.
        executed: String,
        /// Nothing is left to read.
        is_caught_up: bool,
        /// The source server's clock, microseconds since the epoch.
        source_now_us: u64,
    },
    /// The last thing of a subscription: why it ends. The sender delivers what came before it.
    Failed(ErrorReport),
}

impl Outgoing {
    /// What it counts in a byte channel.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Item(item) => item_bytes(item),
            Self::Heartbeat { executed, .. } => 64 + executed.len(),
            Self::Failed(report) => 64 + report.text.len() + report.fix.len(),
        }
    }
}
