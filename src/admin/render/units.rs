//! Numbers as people say them: `12.3k rows/s`, `1.2 s`, `64.0 MiB`. Exact numbers are in the JSON.

/// `950`, `12.3k`, `4.56M`, `7.8G`.
#[must_use]
pub fn count(number: u64) -> String {
    scaled(number as f64, 1000.0, &["", "k", "M", "G", "T"])
}

/// `512 B`, `256 KiB`, `1.5 MiB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    scaled(number as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

/// `0 rows/s`, `12.3k rows/s`.
#[must_use]
pub fn rate(rows_per_s: f64) -> String {
    format!("{} rows/s", scaled(rows_per_s.max(0.0), 1000.0, &["", "k", "M", "G", "T"]))
}

/// `12 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
#[must_use]
pub fn duration_ms(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=9 => format!("{seconds}.{} s", ms % 1000 / 100),
        10..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Three digits that count, in the largest unit that keeps the number at one or more.
fn scaled(number: f64, base: f64, units: &[&str]) -> String {
    let mut number = number;
    let mut at = 0;
    // Compared as it will be printed, so that 999.96k is not shown as 1000k.
    while number.round() >= base && at + 1 < units.len() {
        number /= base;
        at += 1;
    }
    let unit = units[at];
    if number < 100.0 && (at > 0 || number.fract() > 0.05) {
        format!("{number:.1}{unit}")
    } else {
        format!("{number:.0}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_say_them() {
        let counts = [0, 950, 1_000, 12_345, 999_999, 4_560_000].map(count);
        assert_eq!(counts, ["0", "950", "1.0k", "12.3k", "1.0M", "4.6M"]);
        assert_eq!([512, 262_144, 1_572_864].map(bytes), ["512 B", "256 KiB", "1.5 MiB"]);
        assert_eq!(rate(12_345.0), "12.3k rows/s");
        assert_eq!(rate(0.0), "0 rows/s");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let read = [12, 1_250, 12_345, 185_000, 7_800_000, 273_600_000].map(duration_ms);
        assert_eq!(read, ["12 ms", "1.2 s", "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"]);
    }
}
