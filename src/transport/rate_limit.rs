//! One rate shared by several senders: all jobs to one datacenter, or one job whose rate changes while it runs.
//!
//! Holds `core::rate::TokenBucket` behind a lock and does the waiting. A sender takes a turn, which comes when everything
//! charged before is paid for, and only then decides what to send: what piles up while it waits travels in one frame.
//! Turns come in the order of the calls; a waiting sender notices a new rate at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::Instant;

use crate::core::rate::TokenBucket;

/// A shared rate limit; clones share the budget.
#[derive(Clone, Debug)]
pub struct RateLimit {
    bucket: Arc<Mutex<TokenBucket>>,
    rate: Arc<watch::Sender<u64>>,
    line: Arc<tokio::sync::Mutex<()>>,
    started_at: Instant,
}

/// The right to send one frame; the next sender's turn comes after this is dropped and what was charged is paid for.
#[derive(Debug)]
pub struct Turn {
    _first_in_line: Option<OwnedMutexGuard<()>>,
}

impl RateLimit {
    /// A limit of `rate` bytes per second; 0: unlimited.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self {
            bucket: Arc::new(Mutex::new(TokenBucket::of_rate(rate))),
            rate: Arc::new(watch::Sender::new(rate)),
            line: Arc::default(),
            started_at: Instant::now(),
        }
    }

    /// Bytes per second; 0: unlimited.
    #[must_use]
    pub fn rate(&self) -> u64 {
        *self.rate.borrow()
    }

    /// Changes the rate now, for waiting senders too.
    pub fn set_rate(&self, rate: u64) {
        let now = self.now();
        self.lock().set_rate(rate, now);
        self.rate.send_if_modified(|known| std::mem::replace(known, rate) != rate);
    }

    /// Waits until everything charged so far is paid for. Cancel safe: the place in the line is lost.
    pub async fn turn(&self) -> Turn {
        if self.rate() == 0 {
            return Turn { _first_in_line: None };
        }
        let first = Arc::clone(&self.line).lock_owned().await;
        let mut rate = self.rate.subscribe();
        loop {
            let wait = self.lock().wait(self.now());
            if wait.is_zero() {
                return Turn {
                    _first_in_line: Some(first),
                };
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The sender half lives in `self`, so this only ever says that the rate changed.
                _ = rate.changed() => {}
            }
        }
    }

    /// Charges bytes that leave now, with or without a turn.
    pub fn charge(&self, bytes: u64) {
        let now = self.now();
        let _paid_by_the_next_turn = self.lock().take(bytes, now);
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

    async fn send(limit: &RateLimit, frames: u64, bytes: u64) {
        for _ in 0..frames {
            let turn = limit.turn().await;
            limit.charge(bytes);
            drop(turn);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_senders_share_one_rate() {
        let limit = RateLimit::new(10_000);
        let started = Instant::now();
        tokio::join!(send(&limit, 10, 1000), send(&limit, 10, 1000));
        limit.turn().await;
        let took = started.elapsed().as_millis();
        assert!((1900..=2100).contains(&took), "20 kB at 10 kB/s took {took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_sender_notices_a_new_rate() {
        let limit = RateLimit::new(1000);
        let started = Instant::now();
        limit.charge(100_000);
        let other = limit.clone();
        let waiting = tokio::spawn(async move { drop(other.turn().await) });
        tokio::time::sleep(Duration::from_secs(1)).await;
        limit.set_rate(1_000_000);
        waiting.await.expect("joined");
        assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn unlimited_never_waits() {
        let limit = RateLimit::new(0);
        let started = Instant::now();
        limit.charge(u64::MAX);
        limit.turn().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
