//! One rate shared by several senders: all jobs to one datacenter, or one job whose rate changes while it runs.
//!
//! Holds `core::rate::TokenBucket` behind a lock and does the waiting. Taken from by `flow::sender` before each frame.
//! Bytes are charged in the order of the calls; a waiting taker notices a new rate at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::core::rate::TokenBucket;

/// A shared rate limit; clones share the budget.
#[derive(Clone, Debug)]
pub struct RateLimit {
    bucket: Arc<Mutex<TokenBucket>>,
    rate: Arc<watch::Sender<u64>>,
    started_at: Instant,
}

impl RateLimit {
    /// A limit of `rate` bytes per second; 0: unlimited.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self {
            bucket: Arc::new(Mutex::new(TokenBucket::of_rate(rate))),
            rate: Arc::new(watch::Sender::new(rate)),
            started_at: Instant::now(),
        }
    }

    /// Bytes per second; 0: unlimited.
    #[must_use]
    pub fn rate(&self) -> u64 {
        *self.rate.borrow()
    }

    /// Changes the rate now, for waiting takers too.
    pub fn set_rate(&self, rate: u64) {
        let now = self.now();
        let mut bucket = self.lock();
        bucket.set_rate(rate, now);
        // Under the lock, so that a taker never computes its wait with one rate and corrects it from another.
        self.rate.send_if_modified(|known| std::mem::replace(known, rate) != rate);
    }

    /// Charges `bytes` and waits until they may leave. Dropped while waiting, the bytes stay charged.
    pub async fn take(&self, bytes: u64) {
        let mut rate = self.rate.subscribe();
        let mut asked_at = self.now();
        let (mut wait, mut known) = {
            let mut bucket = self.lock();
            (bucket.take(bytes, asked_at), *rate.borrow_and_update())
        };
        // What others take after us is their debt, not ours: our own wait only shrinks with time or a new rate.
        while !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => return,
                changed = rate.changed() => {
                    let fresh = *rate.borrow_and_update();
                    if changed.is_err() || fresh == 0 {
                        return;
                    }
                    let left = wait.saturating_sub(self.now().saturating_sub(asked_at));
                    wait = left.mul_f64(known.max(1) as f64 / fresh as f64);
                    asked_at = self.now();
                    known = fresh;
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.started_at.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, TokenBucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_takers_share_one_rate() {
        let limit = RateLimit::new(10_000);
        let started = Instant::now();
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let limit = limit.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        limit.take(1000).await;
                    }
                })
            })
            .collect();
        for taker in takers {
            taker.await.expect("joined");
        }
        let took = started.elapsed().as_millis();
        assert!((1900..=2100).contains(&took), "20 kB at 10 kB/s took {took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_taker_notices_a_new_rate() {
        let limit = RateLimit::new(1000);
        let started = Instant::now();
        let taker = tokio::spawn({
            let limit = limit.clone();
            async move { limit.take(100_000).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        limit.set_rate(1_000_000);
        taker.await.expect("joined");
        assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn unlimited_never_waits() {
        let started = Instant::now();
        RateLimit::new(0).take(u64::MAX).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
