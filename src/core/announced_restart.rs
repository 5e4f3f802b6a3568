//! How long the sinks of an owner wait that said that it restarts (facts/cluster 3.6).
//!
//! Kept by `core::nomination` for one job: told by gossip again and again, counted from the first time, over when the owner is
//! back or another has the sink.

use std::time::Duration;

/// Time an owner has to come back; then the next rank takes over. Trades a wait for a machine that did not start again against
/// moving everything twice for an upgrade.
pub const ANNOUNCED: Duration = Duration::from_secs(90);

/// Whether the owner announced a restart, and when. Absent → announced → absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnnouncedRestart {
    at: Option<Duration>,
}

impl AnnouncedRestart {
    /// The owner announces it; returns false when that was known.
    pub fn announce(&mut self, now: Duration) -> bool {
        let is_news = self.at.is_none();
        self.at.get_or_insert(now);
        is_news
    }

    /// The owner is back, or somebody else owns the sink.
    pub fn end(&mut self) {
        self.at = None;
    }

    /// Until when nobody else may take the sink; zero without an announcement.
    #[must_use]
    pub fn until(self) -> Duration {
        self.at.map_or(Duration::ZERO, |at| at + ANNOUNCED)
    }
}
