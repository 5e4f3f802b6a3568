//! How fast a count grew over the last seconds.
//!
//! Pure: the caller passes a monotonic time. Fed by `flow::sink_meter` with rows, read as rows per second and as the time a
//! copy still takes. Unknown until it was watched long enough to mean something.

use std::collections::VecDeque;
use std::time::Duration;

/// Span of the rate: long enough to be readable, short enough to follow (guess).
const SPAN: Duration = Duration::from_secs(5);
/// Less than this tells nothing: a copy begins with small chunks, each comes at once and then none for a while. At 1 s the
/// first time left of a copy of 20 s was 4 min (measured 2026-11-21, 300k rows).
const SPAN_MIN: Duration = Duration::from_secs(2);
/// Closer points are one. Bounds the list to 50 points of the span and two around it.
const STEP: Duration = Duration::from_millis(100);

/// A count and its recent past.
#[derive(Clone, Debug, Default)]
pub struct RecentRate {
    points: VecDeque<(Duration, u64)>,
}

impl RecentRate {
    /// Notes what the count is now. It only grows; one that fell begins anew.
    pub fn note(&mut self, now: Duration, count: u64) {
        if self.points.back().is_some_and(|(_, before)| *before > count) {
            self.points.clear();
        }
        // The first point stays: it is where the span begins.
        if self.points.len() > 1 && self.points.back().is_some_and(|(at, _)| now.saturating_sub(*at) < STEP) {
            self.points.pop_back();
        }
        self.points.push_back((now, count));
        while self.points.len() > 2 && now.saturating_sub(self.points[1].0) >= SPAN {
            self.points.pop_front();
        }
    }

    /// Growth per second over the last seconds; None: not known yet.
    #[must_use]
    pub fn per_s(&self) -> Option<f64> {
        let (since, before) = self.points.front()?;
        let (now, count) = self.points.back()?;
        let span = now.saturating_sub(*since);
        (span >= SPAN_MIN).then(|| (count - before) as f64 / span.as_secs_f64())
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.points.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes `per_step` more at each of `steps` times 200 ms apart, from `at` on.
    fn grow(rate: &mut RecentRate, at: &mut (u64, u64), steps: u64, per_step: u64) {
        for _ in 0..steps {
            *at = (at.0 + 200, at.1 + per_step);
            rate.note(Duration::from_millis(at.0), at.1);
        }
    }

    #[test]
    fn a_rate_is_of_the_last_seconds() {
        let (mut rate, mut at) = (RecentRate::default(), (0, 0));
        grow(&mut rate, &mut at, 50, 200);
        assert!((990.0..=1010.0).contains(&rate.per_s().unwrap()), "{:?}", rate.per_s());
        grow(&mut rate, &mut at, 30, 0);
        assert_eq!(rate.per_s(), Some(0.0));
    }

    #[test]
    fn a_rate_of_less_than_two_seconds_is_unknown() {
        let mut rate = RecentRate::default();
        assert_eq!(rate.per_s(), None);
        rate.note(Duration::from_secs(1), 5);
        rate.note(Duration::from_millis(2900), 5000);
        assert_eq!(rate.per_s(), None);
        rate.note(Duration::from_secs(3), 10_005);
        assert_eq!(rate.per_s(), Some(5000.0));
    }

    #[test]
    fn a_count_that_fell_begins_anew() {
        let (mut rate, mut at) = (RecentRate::default(), (0, 0));
        grow(&mut rate, &mut at, 20, 200);
        rate.note(Duration::from_secs(5), 0);
        assert_eq!(rate.per_s(), None);
    }

    #[test]
    fn points_are_bounded_however_often_it_is_noted() {
        let mut rate = RecentRate::default();
        for ms in 0..60_000 {
            rate.note(Duration::from_millis(ms), ms);
        }
        assert!(rate.points.len() <= 60, "{}", rate.points.len());
        assert!((990.0..=1010.0).contains(&rate.per_s().unwrap()), "{:?}", rate.per_s());
    }
}
