//! Sizes, rates and times as people write them: `64 MiB`, `20 MB/s`, `250 ms`, `10 m`.
//!
//! Read by config, printed by admin. What is printed reads back to the same value. A bare number is bytes, bytes per second
//! or, for a time, refused unless it is 0: "30" of what?

use std::time::Duration;

/// Units of bytes, largest first within each family; decimal and binary ones mean what they say.
const BYTE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Units of time in milliseconds.
const TIME_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// What a size must look like; the `expected` of a fault.
pub const SIZE_FORM: &str = "a number and B, kB, MB, GB, KiB, MiB or GiB";
/// What a rate must look like.
pub const RATE_FORM: &str = "a size per second, such as `20 MB/s`, or 0 for no limit";
/// What a time must look like.
pub const TIME_FORM: &str = "a number and ms, s, m, h or d";

/// Returns the bytes that `text` names, None when it names none or more than fit.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return scale(number, 1);
    }
    let (_, factor) = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?;
    scale(number, *factor)
}

/// Returns bytes per second; `0` is no limit.
#[must_use]
pub fn parse_rate(text: &str) -> Option<u64> {
    match text.trim().strip_suffix("/s") {
        Some(size) => parse_size(size).filter(|_| split(size).is_some_and(|(_, unit)| !unit.is_empty())),
        None => parse_size(text).filter(|_| split(text).is_some_and(|(_, unit)| unit.is_empty())),
    }
}

/// Returns the time that `text` names, to the millisecond.
#[must_use]
pub fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return (scale(number, 1)? == 0).then_some(Duration::ZERO);
    }
    let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
    scale(number, *factor).map(Duration::from_millis)
}

/// Returns the largest binary unit that divides `bytes`, as `parse_size` reads it.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(
        bytes,
        &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)],
        "B",
    )
}

/// Returns the largest decimal unit that divides the rate, as `parse_rate` reads it; `0` for no limit.
#[must_use]
pub fn show_rate(bytes_per_s: u64) -> String {
    if bytes_per_s == 0 {
        return "0".to_owned();
    }
    show(
        bytes_per_s,
        &[
            ("TB/s", 1_000_000_000_000),
            ("GB/s", 1_000_000_000),
            ("MB/s", 1_000_000),
            ("kB/s", 1_000),
        ],
        "B/s",
    )
}

/// Returns the largest unit that divides the time, as `parse_time` reads it. Below a millisecond is cut.
#[must_use]
pub fn show_time(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    show(ms, &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)], "ms")
}

fn show(value: u64, units: &[(&str, u64)], base: &str) -> String {
    for (name, factor) in units {
        if value >= *factor && value.is_multiple_of(*factor) {
            return format!("{} {name}", value / factor);
        }
    }
    format!("{value} {base}")
}

/// Cuts "1.5 MiB" into ("1.5", "MiB"); None when it does not begin with a digit.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    number
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some((number, unit.trim()))
}

/// Multiplies a decimal text by a factor, exactly; a fraction that leaves a rest is cut.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let plain = number.replace('_', "");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    if fraction.contains('.') || fraction.len() > 9 || plain.ends_with('.') {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let mut value = whole.checked_mul(factor)?;
    if !fraction.is_empty() {
        let part: u64 = fraction.parse().ok()?;
        let scaled = u128::from(part) * u128::from(factor) / 10u128.pow(u32::try_from(fraction.len()).ok()?);
        value = value.checked_add(u64::try_from(scaled).ok()?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_is_read() {
        let cases = [
            ("64 MiB", 64 << 20),
            ("64MiB", 64 << 20),
            ("8 MB", 8_000_000),
            ("1.5 KiB", 1536),
            ("0", 0),
            ("1_000", 1000),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        assert_eq!(parse_rate("20 MB/s"), Some(20_000_000));
        assert_eq!(parse_rate("0"), Some(0));
        assert_eq!(parse_time("0 ms"), Some(Duration::ZERO));
        assert_eq!(parse_time("0"), Some(Duration::ZERO));
        assert_eq!(parse_time("30 s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_time("10 m"), Some(Duration::from_secs(600)));
    }

    #[test]
    fn what_could_mean_two_things_is_not_guessed() {
        for text in [
            "",
            "MiB",
            "-1 MiB",
            "1 mib",
            "1..2 MB",
            "1. MB",
            "18446744073709551616",
            "99999999 TiB",
            "1 MB 2",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        for text in ["20 MB", "20 Mbit/s", "/s", "20/s"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
        for text in ["30", "30 parsecs", "s"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(value in any::<u64>(), ms in 0u64..1 << 50) {
            prop_assert_eq!(parse_size(&show_size(value)), Some(value));
            prop_assert_eq!(parse_rate(&show_rate(value)), Some(value));
            let time = Duration::from_millis(ms);
            prop_assert_eq!(parse_time(&show_time(time)), Some(time));
        }
    }
}
