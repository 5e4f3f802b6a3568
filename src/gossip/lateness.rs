//! Notices that this peer itself was not running: paused, starved or swapped out.
//!
//! A task with a timer of its own, started by `membership`, read by the nomination guard: a peer that wakes up late believes
//! that everybody else is dead (PROTOCOLS 14). A machine suspended with its clock stopped is not noticed and does no harm:
//! no silence was measured either.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(500);
/// From when on a tick counts as late. Below the 2 s of PROTOCOLS 14, above what a busy machine does (a guess).
const LATE_MIN: Duration = Duration::from_secs(1);

/// The last late tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// Late ticks since the start; grows, so that no two are taken for one.
    pub times: u64,
    /// How late the last one was.
    pub late_ms: u64,
}

/// Reports late ticks until cancelled.
pub async fn watch_lateness(report: watch::Sender<Late>, cancel: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let late = last.elapsed().saturating_sub(PERIOD);
        last = Instant::now();
        if late > LATE_MIN {
            let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(lag_ms = late_ms, "this peer was not running for a while");
            report.send_modify(|state| {
                *state = Late {
                    times: state.times + 1,
                    late_ms,
                };
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_was_paused_says_so_once_and_for_how_long() {
        let (sender, mut receiver) = watch::channel(Late::default());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(watch_lateness(sender, cancel.clone()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!receiver.has_changed().unwrap(), "in time");
        tokio::time::advance(Duration::from_secs(7)).await;
        receiver.changed().await.unwrap();
        let late = *receiver.borrow_and_update();
        assert_eq!(late.times, 1);
        assert!((6_000..=7_500).contains(&late.late_ms), "found {late:?}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!receiver.has_changed().unwrap(), "in time again");
        cancel.cancel();
        task.await.unwrap();
    }
}
