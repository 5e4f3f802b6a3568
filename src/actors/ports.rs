//! Clock and randomness as the actors get them: made in `node`, so that a test may offset or fix them.
//!
//! Nothing below `actors` decides by wall time; the text form is for people only.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time. Clones share one origin.
#[derive(Clone)]
pub struct Clock {
    start: tokio::time::Instant,
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Clock {
    /// A clock that starts now and takes wall time from `wall`.
    pub fn new(wall: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            start: tokio::time::Instant::now(),
            wall: Arc::new(wall),
        }
    }

    /// Monotonic time since the peer started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Wall time in milliseconds since 1970.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        let since = (self.wall)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Wall time in microseconds since 1970.
    #[must_use]
    pub fn wall_us(&self) -> i64 {
        let since = (self.wall)().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    /// Wall time after `wait` as RFC 3339 UTC with milliseconds.
    #[must_use]
    pub fn wall_text_in(&self, wait: Duration) -> String {
        rfc3339((self.wall)() + wait)
    }

    /// Wall time as RFC 3339 UTC with milliseconds.
    #[must_use]
    pub fn wall_text(&self) -> String {
        rfc3339((self.wall)())
    }
}

/// Randomness and the clock together.
#[derive(Clone)]
pub struct Ports {
    /// Time.
    pub clock: Clock,
    /// 64 random bits.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Ports {
    /// `digits` random hex digits.
    #[must_use]
    pub fn random_hex(&self, digits: usize) -> String {
        let mut text = String::new();
        while text.len() < digits {
            text.push_str(&format!("{:016x}", (self.random)()));
        }
        text.truncate(digits);
        text
    }
}

/// Civil date from days since the epoch: Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn rfc3339(at: SystemTime) -> String {
    let millis = at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        rest % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_reads_as_rfc_3339() {
        let at = |millis| rfc3339(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(at(1_795_261_445_999), "2026-11-21T11:44:05.999Z");
    }

    #[test]
    fn random_text_has_the_wanted_length() {
        let ports = Ports {
            clock: Clock::new(|| UNIX_EPOCH),
            random: Arc::new(|| 0xabc),
        };
        assert_eq!(ports.random_hex(32), "0000000000000abc0000000000000abc");
    }
}
