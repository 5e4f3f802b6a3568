//! Dates in row filters: the texts that are dates, and their order.
//!
//! Used by `core::expr_check` and `core::expr_eval`. Only full forms are dates here: MySQL's shorter ones mean something else each.

use crate::core::value::{DateTimeValue, TimeValue};

/// Parts in the order in which they are compared. A DATE has midnight.
pub type Moment = (u16, u8, u8, u8, u8, u8, u32);

/// `2026-01-31`, `2026-01-31 23:59:59` or with up to six digits behind a point; None: something else.
#[must_use]
pub fn parse_date_time(text: &str) -> Option<Moment> {
    let (date, time) = text.split_once(' ').map_or((text, None), |(date, time)| (date, Some(time)));
    let [year, month, day] = parts(date, '-', [4, 2, 2])?;
    let (mut hours, mut minutes, mut seconds, mut micros) = (0, 0, 0, 0);
    if let Some(time) = time {
        let (clock, fraction) = time
            .split_once('.')
            .map_or((time, None), |(clock, fraction)| (clock, Some(fraction)));
        [hours, minutes, seconds] = parts(clock, ':', [2, 2, 2])?;
        if let Some(fraction) = fraction {
            micros = fraction_of(fraction)?;
        }
    }
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => return None,
    };
    let is_valid = (1..=longest).contains(&day) && year > 0 && hours < 24 && minutes < 60 && seconds < 60;
    let small = |part: u16| u8::try_from(part).ok();
    is_valid.then_some(())?;
    Some((
        year,
        small(month)?,
        small(day)?,
        small(hours)?,
        small(minutes)?,
        small(seconds)?,
        micros,
    ))
}

/// `23:59:59`, `-838:59:59` or with up to six digits behind a point, in microseconds; None: something else.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let (is_negative, clock) = text.strip_prefix('-').map_or((false, text), |clock| (true, clock));
    let (clock, micros) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, fraction_of(fraction)?),
        None => (clock, 0),
    };
    let hour_digits = clock.find(':').filter(|digits| (2..=3).contains(digits))?;
    let [hours, minutes, seconds] = parts(clock, ':', [hour_digits, 2, 2])?;
    let is_valid = hours < 838 || (hours == 838 && micros == 0);
    let whole = i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds);
    let size = whole * 1_000_000 + i64::from(micros);
    (is_valid && minutes < 60 && seconds < 60).then_some(if is_negative { -size } else { size })
}

/// A value of a TIME, in microseconds.
#[must_use]
pub fn time_micros(value: &TimeValue) -> i64 {
    let whole = i64::from(value.hours) * 3600 + i64::from(value.minutes) * 60 + i64::from(value.seconds);
    let size = whole * 1_000_000 + i64::from(value.micros);
    if value.is_negative { -size } else { size }
}

fn fraction_of(digits: &str) -> Option<u32> {
    let is_valid = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    format!("{digits:0<6}").parse().ok().filter(|_| is_valid)
}

fn parts(text: &str, separator: char, digits: [usize; 3]) -> Option<[u16; 3]> {
    let mut found = text.split(separator);
    let mut next = |digits: usize| {
        let part = found
            .next()
            .filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse::<u16>().ok()
    };
    let all = [next(digits[0])?, next(digits[1])?, next(digits[2])?];
    found.next().is_none().then_some(all)
}

/// A value of a DATE or DATETIME.
#[must_use]
pub fn moment(value: &DateTimeValue) -> Moment {
    (
        value.year,
        value.month,
        value.day,
        value.hours,
        value.minutes,
        value.seconds,
        value.micros,
    )
}

/// A TIMESTAMP in UTC; seconds 0 is the zero date.
#[must_use]
pub fn timestamp(seconds: u32, micros: u32) -> Moment {
    if seconds == 0 {
        return (0, 0, 0, 0, 0, 0, 0);
    }
    // Civil date of a day number, by Howard Hinnant's algorithm for years from 0 on.
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    let rest = seconds % 86_400;
    let small = |part: u32| u8::try_from(part).expect("a part of a date is below 60");
    let year = u16::try_from(year).expect("32 bits of seconds end in 2106");
    (
        year,
        small(month),
        small(day),
        small(rest / 3600),
        small(rest / 60 % 60),
        small(rest % 60),
        micros,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_forms_are_dates_and_others_are_not() {
        assert_eq!(parse_date_time("2024-02-29"), Some((2024, 2, 29, 0, 0, 0, 0)));
        assert_eq!(
            parse_date_time("1970-01-01 23:59:59.5"),
            Some((1970, 1, 1, 23, 59, 59, 500_000))
        );
        for text in [
            "2023-02-29",
            "26-01-01",
            "2026-1-1",
            "2026-01-01T00:00:00",
            "2026-01-01 24:00:00",
            "2026-01-01 1:0:0",
            "",
            "0000-00-00",
            "2026-01-01 00:00:00.1234567",
        ] {
            assert_eq!(parse_date_time(text), None, "{text}");
        }
    }

    #[test]
    fn whole_times_are_times_and_others_are_not() {
        assert_eq!(parse_time("-01:00:00.5"), Some(-3_600_500_000));
        assert_eq!(parse_time("838:59:59"), Some(3_020_399_000_000));
        for text in [
            "838:59:59.1",
            "839:00:00",
            "1:00:00",
            "10:00",
            "10",
            "100000",
            "10:60:00",
            "1 10:00:00",
            "",
            "-",
            "10:00:00.",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn timestamps_are_utc() {
        assert_eq!(timestamp(0, 0), (0, 0, 0, 0, 0, 0, 0));
        assert_eq!(timestamp(1, 5), (1970, 1, 1, 0, 0, 1, 5));
        assert_eq!(timestamp(951_782_400, 0), (2000, 2, 29, 0, 0, 0, 0));
        assert_eq!(timestamp(u32::MAX, 0), (2106, 2, 7, 6, 28, 15, 0));
    }
}
