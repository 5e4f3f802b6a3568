//! A token bucket that counts bytes: how long a sender must wait so that the link carries no more than its rate (P8).
//!
//! Pure: the caller passes a monotonic time. Fed by `flow::sender` and `transport::rate_limit`, which do the waiting. A
//! take larger than the bucket is allowed and leaves a debt, so one large frame needs no cutting and is paid for after all.

use std::time::Duration;

/// Share of a second's bytes that may leave at once after an idle time: small enough that three seconds stay within 2 %.
const BURST_PER_SECOND: u64 = 20;

/// A budget of bytes that refills with time. Rate 0 means unlimited.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: u64,
    burst: u64,
    /// Bytes that may leave now; negative: a debt.
    tokens: f64,
    refilled_at: Duration,
}

impl TokenBucket {
    /// A full bucket of `burst` bytes that refills by `rate` bytes per second.
    #[must_use]
    pub fn new(rate: u64, burst: u64) -> Self {
        Self {
            rate,
            burst,
            tokens: burst as f64,
            refilled_at: Duration::ZERO,
        }
    }

    /// A bucket whose burst is the twentieth part of a second.
    #[must_use]
    pub fn of_rate(rate: u64) -> Self {
        Self::new(rate, rate / BURST_PER_SECOND)
    }

    /// Bytes per second; 0: unlimited.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Takes `bytes` and returns how long to wait before they may leave.
    pub fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        self.refill(now);
        if self.rate > 0 {
            self.tokens -= bytes as f64;
        }
        self.wait(now)
    }

    /// How long until what was taken is paid for. Ask again after `set_rate`.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        if self.rate == 0 || self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        let whole = Duration::from_secs_f64((-self.tokens / self.rate as f64).min(3600.0));
        (self.refilled_at + whole).saturating_sub(now)
    }

    /// Changes the rate from `now` on, with the burst of `of_rate`. What is owed stays owed, at the new rate.
    pub fn set_rate(&mut self, rate: u64, now: Duration) {
        if rate == self.rate {
            return;
        }
        self.refill(now);
        self.rate = rate;
        self.burst = rate / BURST_PER_SECOND;
        self.tokens = if rate == 0 { 0.0 } else { self.tokens.min(self.burst as f64) };
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled_at);
        self.refilled_at = self.refilled_at.max(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate as f64).min(self.burst as f64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_full_bucket_lets_its_burst_pass_at_once_and_then_asks_to_wait() {
        let mut bucket = TokenBucket::new(1000, 100);
        assert_eq!(bucket.take(100, ms(0)), Duration::ZERO);
        assert_eq!(bucket.take(500, ms(0)), ms(500));
        assert_eq!(bucket.wait(ms(200)), ms(300));
    }

    #[test]
    fn rate_zero_never_waits() {
        let mut bucket = TokenBucket::of_rate(0);
        assert_eq!(bucket.take(u64::MAX, ms(1)), Duration::ZERO);
    }

    #[test]
    fn a_new_rate_changes_the_wait_of_what_is_owed() {
        let mut bucket = TokenBucket::new(1000, 0);
        assert_eq!(bucket.take(1000, ms(0)), ms(1000));
        bucket.set_rate(10_000, ms(0));
        assert_eq!(bucket.wait(ms(0)), ms(100));
        bucket.set_rate(0, ms(0));
        assert_eq!(bucket.wait(ms(0)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_times_time(sizes in prop::collection::vec(1u64..5000, 1..200), rate in 100u64..100_000) {
            let mut bucket = TokenBucket::of_rate(rate);
            let mut now = Duration::ZERO;
            let mut sent = 0u64;
            for bytes in sizes {
                now += bucket.take(bytes, now);
                sent += bytes;
                let allowed = rate as f64 * now.as_secs_f64() + (rate / BURST_PER_SECOND) as f64 + 1.0;
                prop_assert!(sent as f64 <= allowed, "sent {sent}, allowed {allowed}");
            }
        }
    }
}
