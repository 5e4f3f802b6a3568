//! How many bytes may be under way: as many as the link holds, twice.
//!
//! A link holds rate × delay. Neither is configured, both are measured, as TCP sizes its receive buffers: what came back per round trip is
//! what the link holds, and a window of twice that is never what it waits for. `GrantWindow` is the sink's side, fed by `flow::receiver`;
//! `send_window` what QUIC may keep for sending again, asked by `transport::stream`.

use std::time::Duration;

/// Less is not worth a message.
const GROWTH_MIN_PART: u64 = 8;

/// What one job's stream may have under way. It grows and never shrinks: its end is the end of the stream.
#[derive(Clone, Debug)]
pub struct GrantWindow {
    bytes: u64,
    round_began: Duration,
    /// Given back since.
    returned: u64,
}

impl GrantWindow {
    /// A window of so many bytes.
    #[must_use]
    pub fn new(bytes: u64, now: Duration) -> Self {
        Self {
            bytes,
            round_began: now,
            returned: 0,
        }
    }

    /// Notes bytes that are given back; answers what the window lacks to be twice what comes back within `delay`: the round trip and
    /// the time that credit waits for company. Once for each `delay`, which bounds how fast it grows to a doubling.
    pub fn gave_back(&mut self, bytes: u64, delay: Duration, now: Duration) -> u64 {
        self.returned += bytes;
        let elapsed = now.saturating_sub(self.round_began);
        if elapsed < delay || elapsed.is_zero() {
            return 0;
        }
        let within_delay = self.returned as f64 * delay.as_secs_f64() / elapsed.as_secs_f64();
        (self.round_began, self.returned) = (now, 0);
        let lacks = ((2.0 * within_delay) as u64).saturating_sub(self.bytes);
        if lacks > self.bytes / GROWTH_MIN_PART { lacks } else { 0 }
    }

    /// What is added was granted.
    pub fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

/// Bytes that a connection keeps until they are acknowledged: those in flight, and as many behind them, so that congestion control
/// always has something to send. More would only wait here, in front of what is sent later: a second of a slow line is a second of lag.
#[must_use]
pub fn send_window(congestion_window: u64, (min, max): (u64, u64)) -> u64 {
    congestion_window.saturating_mul(2).clamp(min, max.max(min))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const DELAY: Duration = Duration::from_millis(110);

    /// The window after a while when a line of `rate` bytes per second has a loop of `delay` and the target works `busy` at each window.
    fn settled(rate: f64, busy: impl Fn(f64) -> f64) -> u64 {
        let (mut window, mut now) = (GrantWindow::new(4 * MIB, Duration::ZERO), 0.0);
        for _ in 0..100 {
            let bytes = window.bytes as f64;
            now += (bytes / rate).max(DELAY.as_secs_f64() + busy(bytes));
            let more = window.gave_back(window.bytes, DELAY, Duration::from_secs_f64(now));
            window.grow(more);
        }
        window.bytes
    }

    #[test]
    fn the_window_grows_until_the_line_is_full_and_is_twice_what_it_holds_at_most() {
        // 125 MB/s for 110 ms are 13.75 MB.
        let found = settled(125e6, |_| 0.0);
        assert!((13_750_000..=27_500_000).contains(&found), "{found}");
        // 12.5 MB/s for 110 ms are less than it begins with.
        assert_eq!(settled(12.5e6, |_| 0.0), 4 * MIB);
    }

    #[test]
    fn a_target_that_always_has_work_gets_no_more() {
        // 20 MB/s: 4 MiB are 0.2 s of work.
        assert_eq!(settled(1e9, |bytes| bytes / 20e6), 4 * MIB);
    }

    #[test]
    fn an_idle_job_keeps_its_window() {
        let mut window = GrantWindow::new(4 * MIB, Duration::ZERO);
        for second in 1..100 {
            assert_eq!(window.gave_back(1000, DELAY, Duration::from_secs(second)), 0);
        }
    }

    #[test]
    fn credit_within_one_delay_is_counted_together() {
        let mut window = GrantWindow::new(4 * MIB, Duration::ZERO);
        assert_eq!(window.gave_back(2 * MIB, DELAY, DELAY / 2), 0);
        assert_eq!(window.gave_back(2 * MIB, DELAY, DELAY), 4 * MIB);
        window.grow(4 * MIB);
        assert_eq!(window.gave_back(4 * MIB, DELAY, DELAY * 2), 0, "as large as it needs to be");
    }

    #[test]
    fn what_is_kept_to_send_again_is_twice_the_congestion_window() {
        assert_eq!(send_window(3 * MIB, (MIB, 16 * MIB)), 6 * MIB);
        assert_eq!(send_window(12_000, (MIB, 16 * MIB)), MIB);
        assert_eq!(send_window(u64::MAX, (MIB, 16 * MIB)), 16 * MIB);
    }
}
