//! How far the target is behind the source (PROTOCOLS 12): zero when idle, growing when stuck.
//!
//! Pure. Fed by the receiver (heartbeats, transactions received) and the applier (transactions applied), read by the
//! status publisher. Times ending in `_us` are the source's clock; `now` is this host's monotonic clock. They are
//! never subtracted from each other: the local clock only says how much time passed since a heartbeat.
//!
//! A heartbeat passes the rows that wait before the link. So one that is not reached says that something is missing, also when
//! all that was received is applied; how old it is, is known from what was applied last.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::gtid_set::GtidSet;

/// Silence after which the lag grows even when everything known is applied. Three heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Heartbeat {
    /// All that the source had executed.
    executed: GtidSet,
    source_now_us: u64,
    /// When it arrived, by the local clock.
    at: Duration,
    /// All of `executed` is applied.
    is_reached: bool,
}

/// Follows heartbeats, received and applied transactions. Its queue is bounded by what the receiver may hold.
#[derive(Debug, Default)]
pub struct LagClock {
    last: Option<Heartbeat>,
    /// By the source's clock, up to when all is applied: the last heartbeat that was reached or transaction that was applied,
    /// or when the source was first heard.
    level_us: Option<u64>,
    /// Since when, by the local clock, something is missing and nothing was applied. A floor that no step of the source's clock moves.
    still_since: Option<Duration>,
    /// Commit times of transactions received and not applied, oldest first.
    pending_us: VecDeque<u64>,
}

impl LagClock {
    /// The source said what it has executed at `source_now_us`; `applied` is what the target has.
    pub fn heartbeat(&mut self, executed: GtidSet, source_now_us: u64, applied: &GtidSet, now: Duration) {
        let is_reached = executed.is_subset_of(applied);
        if is_reached || self.level_us.is_none() {
            self.level_us = Some(source_now_us);
        }
        self.still_since = if is_reached { None } else { self.still_since.or(Some(now)) };
        self.last = Some(Heartbeat {
            executed,
            source_now_us,
            at: now,
            is_reached,
        });
    }

    /// A transaction arrived that was committed on the source at `commit_us`.
    pub fn received(&mut self, commit_us: u64) {
        self.pending_us.push_back(commit_us);
    }

    /// The `transactions` oldest received ones are done with; `applied` is what the target has now.
    pub fn applied(&mut self, transactions: usize, applied: &GtidSet, now: Duration) {
        let mut done = self.pending_us.drain(..transactions.min(self.pending_us.len()));
        self.level_us = done.next_back().or(self.level_us);
        self.still_since = self.still_since.map(|_| now);
        if let Some(last) = &mut self.last
            && !last.is_reached
            && last.executed.is_subset_of(applied)
        {
            last.is_reached = true;
            self.level_us = Some(last.source_now_us);
            self.still_since = None;
        }
    }

    /// What was received and not applied is gone with its stream; it will come again.
    pub fn forget_received(&mut self) {
        self.pending_us.clear();
    }

    /// The lag; None before the first heartbeat.
    #[must_use]
    pub fn lag_ms(&self, now: Duration) -> Option<u64> {
        let last = self.last.as_ref()?;
        let silence = now.saturating_sub(last.at);
        if last.is_reached {
            return Some(if silence < SILENCE_MAX { 0 } else { as_ms(silence) });
        }
        let source_now_us = last.source_now_us + u64::try_from(silence.as_micros()).unwrap_or(u64::MAX / 2);
        let oldest_us = self
            .pending_us
            .front()
            .copied()
            .or(self.level_us)
            .unwrap_or(last.source_now_us);
        let behind = Duration::from_micros(source_now_us.saturating_sub(oldest_us));
        let still = self.still_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        Some(as_ms(behind.max(still).max(if silence < SILENCE_MAX {
            Duration::ZERO
        } else {
            silence
        })))
    }

    /// All that the source had at the last heartbeat is applied, and that heartbeat is fresh.
    #[must_use]
    pub fn is_caught_up(&self, now: Duration) -> bool {
        self.last
            .as_ref()
            .is_some_and(|last| last.is_reached && now.saturating_sub(last.at) < SILENCE_MAX)
    }
}

fn as_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(last: u64) -> GtidSet {
        GtidSet::parse(&format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{last}")).expect("a valid set")
    }

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn there_is_no_lag_before_the_first_heartbeat() {
        assert_eq!(LagClock::default().lag_ms(s(9)), None);
        assert!(!LagClock::default().is_caught_up(s(9)));
    }

    #[test]
    fn an_idle_source_that_beats_has_lag_zero_for_ever() {
        let mut clock = LagClock::default();
        for second in 0..100 {
            clock.heartbeat(set(5), 1_000_000 * (second + 7_000), &set(5), s(second));
            assert_eq!(clock.lag_ms(s(second)), Some(0));
            assert!(clock.is_caught_up(s(second)));
        }
    }

    #[test]
    fn lag_grows_when_a_received_transaction_is_stuck() {
        let mut clock = LagClock::default();
        clock.received(10_000_000);
        clock.heartbeat(set(6), 11_000_000, &set(5), s(1));
        assert_eq!(clock.lag_ms(s(1)), Some(1000));
        assert_eq!(clock.lag_ms(s(2)), Some(2000));
        clock.heartbeat(set(6), 13_000_000, &set(5), s(3));
        assert_eq!(clock.lag_ms(s(3)), Some(3000));
        assert!(!clock.is_caught_up(s(3)));
        clock.applied(1, &set(6), s(3));
        assert_eq!(clock.lag_ms(s(3)), Some(0));
    }

    #[test]
    fn lag_grows_when_the_source_reads_nothing_though_it_has_more() {
        let mut clock = LagClock::default();
        clock.heartbeat(set(5), 10_000_000, &set(5), s(0));
        clock.heartbeat(set(9), 11_000_000, &set(5), s(1));
        clock.heartbeat(set(9), 15_000_000, &set(5), s(5));
        assert_eq!(clock.lag_ms(s(5)), Some(5000));
    }

    #[test]
    fn lag_grows_from_the_last_heartbeat_after_three_seconds_of_silence() {
        let mut clock = LagClock::default();
        clock.heartbeat(set(5), 10_000_000, &set(5), s(0));
        assert_eq!(clock.lag_ms(Duration::from_millis(2900)), Some(0));
        assert_eq!(clock.lag_ms(s(3)), Some(3000));
        assert_eq!(clock.lag_ms(s(60)), Some(60_000));
        assert!(!clock.is_caught_up(s(3)));
    }

    #[test]
    fn clocks_of_the_two_hosts_never_meet() {
        let offset_us = 86_400_000_000;
        let mut ahead = LagClock::default();
        let mut behind = LagClock::default();
        for (clock, offset) in [(&mut ahead, offset_us), (&mut behind, 0)] {
            clock.received(offset + 1_000_000);
            clock.heartbeat(set(2), offset + 3_000_000, &set(1), s(100));
        }
        assert_eq!(ahead.lag_ms(s(101)), behind.lag_ms(s(101)));
    }

    #[test]
    fn what_a_dead_stream_took_with_it_no_longer_counts_as_received() {
        let mut clock = LagClock::default();
        clock.heartbeat(set(1), 5_000_000, &set(1), s(0));
        clock.received(1_000);
        clock.forget_received();
        clock.heartbeat(set(2), 6_000_000, &set(1), s(1));
        assert_eq!(clock.lag_ms(s(1)), Some(1000));
    }

    /// On a slow link each heartbeat names more than what is there, and the target is always done with what arrived.
    #[test]
    fn a_link_that_is_four_seconds_behind_has_a_lag_of_four_seconds() {
        let mut clock = LagClock::default();
        for second in 1..100_u64 {
            let arrived = second.saturating_sub(4);
            clock.received(1_000_000 * arrived);
            clock.applied(1, &set(arrived.max(1)), s(second));
            clock.heartbeat(set(second), 1_000_000 * second, &set(arrived.max(1)), s(second));
            if second > 5 {
                assert_eq!(clock.lag_ms(s(second)), Some(4_000), "at {second}");
                assert!(!clock.is_caught_up(s(second)));
            }
        }
    }

    #[test]
    fn a_stuck_target_has_a_lag_though_the_source_sets_its_clock_back() {
        let mut clock = LagClock::default();
        clock.heartbeat(set(5), 7_200_000_000, &set(5), s(0));
        for second in 1..10 {
            clock.heartbeat(set(6), 3_600_000_000 + 1_000_000 * second, &set(5), s(second));
        }
        assert_eq!(clock.lag_ms(s(9)), Some(8_000));
        clock.applied(1, &set(6), s(9));
        assert_eq!(clock.lag_ms(s(9)), Some(0));
    }
}
