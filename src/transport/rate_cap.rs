//! Congestion control for a link whose rate is known: as much in flight as that rate needs, whatever single packets are lost.
//!
//! Used by `quic` where cluster.toml says `congestion = "capped"`. On long links a loss-based controller gives most of the line away: at
//! 60 ms and 0.1 % loss, Cubic keeps 1 % of 1 Gbit/s (facts/crates 1.5). This one keeps rate × round trip in flight and gives way only
//! when a noticeable part of a round trip's bytes is lost: then the line is narrower than configured, or others want their share.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

/// In flight beyond rate × smallest round trip: acknowledgements come late and in bunches.
const GAIN_MAX: f64 = 1.25;
/// Never less than this part of the configured rate.
const GAIN_MIN: f64 = 0.1;
/// Lost part of a round trip's bytes from which the line counts as too narrow.
const LOSS_MAX: f64 = 0.03;
/// What such a round trip cuts the gain to.
const CUT: f64 = 0.7;
/// What a round trip without such loss gives back.
const GROWTH: f64 = 1.02;
/// Bytes in flight at least, and before the round trip is known: on a short link the product is smaller than a packet or two.
const WINDOW_MIN: u64 = 64 * 1024;

/// Makes controllers of one rate.
#[derive(Clone, Copy, Debug)]
pub struct RateCap {
    /// Bytes per second of the link.
    pub rate: u64,
}

impl ControllerFactory for RateCap {
    fn build(self: Arc<Self>, now: Instant, _: u16) -> Box<dyn Controller> {
        Box::new(Capped {
            rate: self.rate,
            gain: GAIN_MAX,
            round_trip: None,
            round_began: now,
            acked: 0,
            lost: 0,
        })
    }
}

/// The state of one connection.
#[derive(Clone, Debug)]
struct Capped {
    rate: u64,
    gain: f64,
    /// The smallest seen.
    round_trip: Option<Duration>,
    round_began: Instant,
    /// Bytes of the round that is going on.
    acked: u64,
    lost: u64,
}

impl Capped {
    fn end_round(&mut self, now: Instant) {
        let lost = self.lost as f64 / (self.lost + self.acked).max(1) as f64;
        let factor = if lost > LOSS_MAX { CUT } else { GROWTH };
        self.gain = (self.gain * factor).clamp(GAIN_MIN, GAIN_MAX);
        (self.acked, self.lost, self.round_began) = (0, 0, now);
    }
}

impl Controller for Capped {
    fn on_ack(&mut self, now: Instant, _: Instant, bytes: u64, _: bool, rtt: &RttEstimator) {
        self.round_trip = Some(rtt.min());
        self.acked += bytes;
        if now.duration_since(self.round_began) >= rtt.get() {
            self.end_round(now);
        }
    }

    fn on_congestion_event(&mut self, now: Instant, _: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.lost += lost_bytes;
        if is_persistent_congestion {
            self.end_round(now);
        }
    }

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        let round_trip = self.round_trip.unwrap_or_default().as_secs_f64();
        WINDOW_MIN.max((self.rate as f64 * round_trip * self.gain) as u64)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        WINDOW_MIN
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capped(now: Instant) -> Capped {
        Capped {
            rate: 10_000_000,
            gain: GAIN_MAX,
            round_trip: Some(Duration::from_millis(60)),
            round_began: now,
            acked: 0,
            lost: 0,
        }
    }

    #[test]
    fn single_losses_change_nothing_and_many_cut_the_window_for_a_while() {
        let now = Instant::now();
        let mut link = capped(now);
        assert_eq!(link.window(), 750_000);
        (link.acked, link.lost) = (990, 10);
        link.end_round(now);
        assert_eq!(link.window(), 750_000);
        (link.acked, link.lost) = (900, 100);
        link.end_round(now);
        assert_eq!(link.window(), 525_000);
        for _ in 0..19 {
            link.acked = 1_000;
            link.end_round(now);
        }
        assert_eq!(link.window(), 750_000);
    }

    #[test]
    fn a_short_link_still_has_room_for_packets() {
        let mut link = capped(Instant::now());
        link.round_trip = Some(Duration::from_micros(50));
        assert_eq!(link.window(), WINDOW_MIN);
    }
}
