//! Column values as SQL text that any sql_mode of an apply session reads as exactly the same value.
//!
//! Fed with canonical bytes by `statement`. FLOAT and DOUBLE are written as the DOUBLE they are, so that neither storing
//! nor comparing rounds (facts F15); strings carry their character set; ENUM and SET go by number; temporals have exactly
//! the digits of their column, so that they also compare equal as text.

use std::fmt::Write as _;

use crate::core::shape::{Column, ColumnKind};
use crate::core::value::{DateTimeValue, TimeValue, Value, ValueError};
use crate::mysql::quote::push_hex;
use crate::mysql::target::json_literal;

/// Character sets in which printable ASCII bytes are ASCII.
const ASCII_COMPATIBLE: [&str; 4] = ["utf8mb4", "utf8mb3", "latin1", "ascii"];

/// Appends the literal of a value; None is NULL.
pub fn push(sql: &mut String, column: &Column, raw: Option<&[u8]>) -> Result<(), ValueError> {
    let Some(raw) = raw else {
        sql.push_str("NULL");
        return Ok(());
    };
    if column.kind == ColumnKind::Json {
        return json_literal::push(sql, raw);
    }
    // Writing to a String cannot fail.
    let _ = match Value::decode(&column.kind, raw)? {
        Value::Int(value) => write!(sql, "{value}"),
        Value::UInt(value) | Value::Bit(value) | Value::Set(value) => write!(sql, "{value}"),
        Value::Year(value) => write!(sql, "{value}"),
        Value::Enum(value) => write!(sql, "{value}"),
        Value::Decimal(text) => write!(sql, "{text}"),
        Value::Float(value) => write!(sql, "{:e}", f64::from(value)),
        Value::Double(value) => write!(sql, "{value:e}"),
        Value::Date(value) => write!(sql, "'{}'", date(value)),
        Value::Time(value) => write!(sql, "'{}'", time(value, fsp(&column.kind))),
        Value::DateTime(value) => write!(sql, "'{}'", date_time(value, fsp(&column.kind))),
        Value::Timestamp { seconds, micros } => {
            write!(sql, "'{}'", date_time(civil(seconds, micros), fsp(&column.kind)))
        }
        Value::Text(bytes) => {
            push_text(sql, column.charset.as_deref(), bytes);
            Ok(())
        }
        Value::Bytes(bytes) => {
            push_hex(sql, &bytes);
            Ok(())
        }
        Value::Json(_) => unreachable!("JSON is written by `json_literal`"),
    };
    Ok(())
}

/// Appends a condition that holds for exactly this value and no other: bytes for strings, NULL equal to NULL.
pub fn push_exact_match(sql: &mut String, column: &Column, quoted_name: &str, raw: Option<&[u8]>) -> Result<(), ValueError> {
    let Some(bytes) = raw else {
        let _ = write!(sql, "{quoted_name} IS NULL");
        return Ok(());
    };
    match &column.kind {
        ColumnKind::Char { .. } | ColumnKind::VarChar { .. } | ColumnKind::Text { .. } => {
            let _ = write!(sql, "CAST({quoted_name} AS BINARY) <=> ");
            push_hex(sql, bytes);
        }
        ColumnKind::Vector | ColumnKind::Geometry => {
            let _ = write!(sql, "CAST({quoted_name} AS BINARY) <=> ");
            push_hex(sql, bytes);
        }
        ColumnKind::Json => json_literal::push_exact_match(sql, quoted_name, bytes)?,
        kind => {
            let _ = write!(sql, "{} <=> ", comparand(kind, quoted_name));
            push(sql, column, raw)?;
            if let Some(is_negative) = sign_of_zero(&Value::decode(kind, bytes)?) {
                let is = if is_negative { "=" } else { "<>" };
                let _ = write!(sql, " AND LEFT(CAST({quoted_name} AS CHAR), 1) {is} '-'");
            }
        }
    }
    Ok(())
}

/// Whether it is -0, which is equal to 0 but not the same; None: no zero of a floating type.
fn sign_of_zero(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Float(value) if *value == 0.0 => Some(value.is_sign_negative()),
        Value::Double(value) if *value == 0.0 => Some(value.is_sign_negative()),
        _ => None,
    }
}

/// What to compare with a literal. The number of a SET of 64 members is signed in a comparison: with the last member in it, it
/// would equal no number.
pub(super) fn comparand(kind: &ColumnKind, quoted_name: &str) -> String {
    match kind {
        ColumnKind::Set { members } if members.len() > 63 => format!("CAST({quoted_name} AS UNSIGNED)"),
        _ => quoted_name.to_owned(),
    }
}

/// `'text'` where it is plain, `_charset x'…'` otherwise.
pub(super) fn push_text(sql: &mut String, charset: Option<&str>, bytes: &[u8]) {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'\\' && *byte != b'\'';
    match charset {
        Some(charset) if ASCII_COMPATIBLE.contains(&charset) && bytes.iter().all(is_plain) => {
            sql.push('\'');
            sql.push_str(std::str::from_utf8(bytes).expect("printable ASCII is UTF-8"));
            sql.push('\'');
        }
        Some(charset) => {
            let _ = write!(sql, "_{charset} ");
            push_hex(sql, bytes);
        }
        None => push_hex(sql, bytes),
    }
}

fn fsp(kind: &ColumnKind) -> u8 {
    match kind {
        ColumnKind::Time { fsp } | ColumnKind::DateTime { fsp } | ColumnKind::Timestamp { fsp } => *fsp,
        _ => 0,
    }
}

/// `.123` for three digits, nothing for none.
fn fraction(micros: u32, fsp: u8) -> String {
    if fsp == 0 {
        return String::new();
    }
    format!(".{:06}", micros)[..=usize::from(fsp.min(6))].to_owned()
}

fn date(value: DateTimeValue) -> String {
    format!("{:04}-{:02}-{:02}", value.year, value.month, value.day)
}

fn date_time(value: DateTimeValue, fsp: u8) -> String {
    let DateTimeValue {
        hours,
        minutes,
        seconds,
        micros,
        ..
    } = value;
    format!(
        "{} {hours:02}:{minutes:02}:{seconds:02}{}",
        date(value),
        fraction(micros, fsp)
    )
}

fn time(value: TimeValue, fsp: u8) -> String {
    let sign = if value.is_negative { "-" } else { "" };
    let TimeValue {
        hours,
        minutes,
        seconds,
        micros,
        ..
    } = value;
    format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(micros, fsp))
}

/// Date and time in UTC of seconds since the epoch; 0 is the zero date. Days to date after Hinnant, "chrono-compatible
/// low-level date algorithms", civil_from_days.
fn civil(seconds: u32, micros: u32) -> DateTimeValue {
    if seconds == 0 {
        return DateTimeValue {
            year: 0,
            month: 0,
            day: 0,
            hours: 0,
            minutes: 0,
            seconds: 0,
            micros: 0,
        };
    }
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era_day = shifted % 146_097;
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let month_from_march = (5 * year_day + 2) / 153;
    let day = year_day - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era_year + shifted / 146_097 * 400 + u32::from(month <= 2);
    let small = |number: u32| u8::try_from(number).expect("a part of a date is below 100");
    DateTimeValue {
        year: u16::try_from(year).expect("32 bits of seconds end in 2106"),
        month: small(month),
        day: small(day),
        hours: small(rest / 3_600),
        minutes: small(rest / 60 % 60),
        seconds: small(rest % 60),
        micros,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnKind, charset: Option<&str>) -> Column {
        Column {
            name: "c".into(),
            kind,
            is_nullable: true,
            is_generated: false,
            charset: charset.map(Into::into),
            collation: None,
        }
    }

    fn literal(kind: ColumnKind, charset: Option<&str>, raw: &[u8]) -> String {
        let mut sql = String::new();
        push(&mut sql, &column(kind, charset), Some(raw)).unwrap();
        sql
    }

    #[test]
    fn a_float_is_written_as_the_double_it_is() {
        assert_eq!(
            literal(ColumnKind::Float, None, &0.1f32.to_le_bytes()),
            "1.0000000149011612e-1"
        );
        assert_eq!(literal(ColumnKind::Double, None, &(-0.0f64).to_le_bytes()), "-0e0");
    }

    #[test]
    fn a_zero_is_found_by_its_sign_too() {
        let exact = |raw: &[u8]| {
            let mut sql = String::new();
            push_exact_match(&mut sql, &column(ColumnKind::Double, None), "`c`", Some(raw)).unwrap();
            sql
        };
        assert_eq!(
            exact(&0f64.to_le_bytes()),
            "`c` <=> 0e0 AND LEFT(CAST(`c` AS CHAR), 1) <> '-'"
        );
        assert_eq!(
            exact(&(-0f64).to_le_bytes()),
            "`c` <=> -0e0 AND LEFT(CAST(`c` AS CHAR), 1) = '-'"
        );
        assert_eq!(exact(&1f64.to_le_bytes()), "`c` <=> 1e0");
    }

    #[test]
    fn text_that_a_quote_or_backslash_could_end_becomes_hex() {
        let kind = || ColumnKind::VarChar { bytes_max: 40 };
        assert_eq!(literal(kind(), Some("utf8mb4"), b"plain"), "'plain'");
        assert_eq!(literal(kind(), Some("utf8mb4"), b"it's"), "_utf8mb4 x'69742773'");
        assert_eq!(literal(kind(), Some("utf8mb4"), b"a\\"), "_utf8mb4 x'615c'");
        assert_eq!(literal(kind(), Some("gbk"), b"ab"), "_gbk x'6162'");
    }

    #[test]
    fn temporals_have_the_digits_of_their_column() {
        assert_eq!(fraction(120_000, 2), ".12");
        assert_eq!(fraction(0, 0), "");
        let value = TimeValue {
            is_negative: true,
            hours: 838,
            minutes: 59,
            seconds: 59,
            micros: 0,
        };
        assert_eq!(time(value, 3), "-838:59:59.000");
    }

    #[test]
    fn seconds_become_the_right_date() {
        let text = |seconds| date_time(civil(seconds, 0), 0);
        assert_eq!(text(0), "0000-00-00 00:00:00");
        assert_eq!(text(1), "1970-01-01 00:00:01");
        assert_eq!(text(951_827_696), "2000-02-29 12:34:56");
        assert_eq!(text(2_147_483_647), "2038-01-19 03:14:07");
        assert_eq!(text(u32::MAX), "2106-02-07 06:28:15");
    }
}
