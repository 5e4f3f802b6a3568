//! One column value, decoded from its canonical bytes.
//!
//! Fed by `RowLayout::split` with the value that has lost its length prefix; feeds the applier, JSON and people. Strings stay
//! in the column's character set. Every length is checked: damaged bytes are an error, never a panic.

use std::borrow::Cow;

use crate::core::decimal;
use crate::core::jsonb;
use crate::core::shape::{ColumnKind, Storage};

/// The bytes are no value of this kind. The row cannot be trusted; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A value of fixed length has another one.
    #[error("value: expected {expected} bytes, found {found}")]
    Length {
        /// Bytes it must have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// The length fits, the content cannot be.
    #[error("value: expected {expected}, found other bytes")]
    Content {
        /// What should be there.
        expected: &'static str,
    },
}

/// A time of day or a duration: the sign, then its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeValue {
    /// Below zero.
    pub is_negative: bool,
    /// 0–838.
    pub hours: u16,
    /// 0–59.
    pub minutes: u8,
    /// 0–59.
    pub seconds: u8,
    /// 0–999,999.
    pub micros: u32,
}

/// A date with a time; each part may be zero, as MySQL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTimeValue {
    /// 0–9999.
    pub year: u16,
    /// 0–12.
    pub month: u8,
    /// 0–31.
    pub day: u8,
    /// 0–23.
    pub hours: u8,
    /// 0–59.
    pub minutes: u8,
    /// 0–59.
    pub seconds: u8,
    /// 0–999,999.
    pub micros: u32,
}

/// A decoded value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Signed integer.
    Int(i64),
    /// Unsigned integer.
    UInt(u64),
    /// Exact decimal text with all digits of its scale, `-1.50`.
    Decimal(String),
    /// FLOAT.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// BIT, as a number.
    Bit(u64),
    /// YEAR; 0 is `0000`.
    Year(u16),
    /// DATE; the time is zero.
    Date(DateTimeValue),
    /// TIME.
    Time(TimeValue),
    /// DATETIME, without a zone.
    DateTime(DateTimeValue),
    /// TIMESTAMP: seconds and microseconds since the epoch, UTC. Seconds 0 is the zero date.
    Timestamp {
        /// Seconds since the epoch.
        seconds: u32,
        /// 0–999,999.
        micros: u32,
    },
    /// CHAR, VARCHAR, TEXT in the column's character set.
    Text(&'a [u8]),
    /// BINARY (padded to its length), VARBINARY, BLOB, GEOMETRY (SRID + WKB), VECTOR (raw f32).
    Bytes(Cow<'a, [u8]>),
    /// JSON text; the types within it are lost, `core::json_tree` keeps them.
    Json(String),
    /// ENUM index from 1; 0 is the empty error value.
    Enum(u16),
    /// SET, bit 0 being the first member.
    Set(u64),
}

impl<'a> Value<'a> {
    /// The value that `raw` holds for a column of this kind.
    pub fn decode(kind: &ColumnKind, raw: &'a [u8]) -> Result<Self, ValueError> {
        if let Storage::Fixed(length) = kind.storage()
            && raw.len() != usize::from(length)
        {
            return Err(ValueError::Length {
                expected: usize::from(length),
                found: raw.len(),
            });
        }
        Ok(match kind {
            ColumnKind::Int { unsigned: true, .. } => Self::UInt(little_endian(raw)),
            ColumnKind::Int { .. } => Self::Int(signed_little_endian(raw)),
            ColumnKind::Decimal { precision, scale } => Self::Decimal(decimal::to_text(*precision, *scale, raw)?),
            ColumnKind::Float => Self::Float(f32::from_le_bytes(array(raw)?)),
            ColumnKind::Double => Self::Double(f64::from_le_bytes(array(raw)?)),
            ColumnKind::Bit { .. } => Self::Bit(big_endian(raw)),
            ColumnKind::Year => Self::Year(year(raw[0])),
            ColumnKind::Date => Self::Date(date(raw)),
            ColumnKind::Time { .. } => Self::Time(time(raw)),
            ColumnKind::DateTime { .. } => Self::DateTime(date_time(raw)?),
            ColumnKind::Timestamp { .. } => Self::Timestamp {
                seconds: u32::from_be_bytes(array(&raw[..4])?),
                micros: fraction_micros(big_endian(&raw[4..]), raw.len() - 4),
            },
            ColumnKind::Char { .. } | ColumnKind::VarChar { .. } | ColumnKind::Text { .. } => Self::Text(raw),
            ColumnKind::Binary { bytes } => Self::Bytes(padded(raw, *bytes)),
            ColumnKind::VarBinary { .. } | ColumnKind::Blob { .. } | ColumnKind::Geometry | ColumnKind::Vector => {
                Self::Bytes(Cow::Borrowed(raw))
            }
            ColumnKind::Json => Self::Json(jsonb::to_text(raw)?),
            ColumnKind::Enum { .. } => Self::Enum(u16::try_from(little_endian(raw)).map_err(|_| content("an enum index"))?),
            ColumnKind::Set { .. } => Self::Set(little_endian(raw)),
        })
    }
}

fn content(expected: &'static str) -> ValueError {
    ValueError::Content { expected }
}

fn array<const N: usize>(raw: &[u8]) -> Result<[u8; N], ValueError> {
    raw.try_into().map_err(|_| ValueError::Length {
        expected: N,
        found: raw.len(),
    })
}

fn little_endian(raw: &[u8]) -> u64 {
    raw.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn big_endian(raw: &[u8]) -> u64 {
    raw.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn signed_little_endian(raw: &[u8]) -> i64 {
    let unused_bits = 64 - 8 * raw.len().clamp(1, 8);
    (little_endian(raw) << unused_bits).cast_signed() >> unused_bits
}

/// Cuts a number that was masked to fit.
fn low8(value: u64) -> u8 {
    (value & 0xff) as u8
}

fn low16(value: u64) -> u16 {
    (value & 0xffff) as u16
}

fn year(byte: u8) -> u16 {
    if byte == 0 { 0 } else { 1900 + u16::from(byte) }
}

fn date(raw: &[u8]) -> DateTimeValue {
    let packed = little_endian(raw);
    DateTimeValue {
        year: low16(packed >> 9),
        month: low8(packed >> 5 & 15),
        day: low8(packed & 31),
        hours: 0,
        minutes: 0,
        seconds: 0,
        micros: 0,
    }
}

/// A fraction of 0–3 bytes holds hundredths, ten-thousandths or millionths.
fn fraction_micros(fraction: u64, bytes: usize) -> u32 {
    let scale = match bytes {
        1 => 10_000,
        2 => 100,
        _ => 1,
    };
    u32::try_from(fraction * scale).unwrap_or(u32::MAX)
}

fn time(raw: &[u8]) -> TimeValue {
    // Seconds and fraction are one number with an offset: only so are negative fractions right.
    let bits = 8 * raw.len();
    let value = big_endian(raw).cast_signed() - (1 << (bits - 1));
    let fraction_bytes = raw.len() - 3;
    let size = value.unsigned_abs();
    let fraction = size & ((1 << (8 * fraction_bytes)) - 1);
    packed_time(
        value < 0,
        size >> (8 * fraction_bytes),
        fraction_micros(fraction, fraction_bytes),
    )
}

pub(super) fn packed_time(is_negative: bool, packed: u64, micros: u32) -> TimeValue {
    TimeValue {
        is_negative,
        hours: low16(packed >> 12 & 0x3ff),
        minutes: low8(packed >> 6 & 63),
        seconds: low8(packed & 63),
        micros,
    }
}

fn date_time(raw: &[u8]) -> Result<DateTimeValue, ValueError> {
    let packed = big_endian(&raw[..5])
        .checked_sub(1 << 39)
        .ok_or(content("a date and time that is not negative"))?;
    Ok(packed_date_time(
        packed,
        fraction_micros(big_endian(&raw[5..]), raw.len() - 5),
    ))
}

pub(super) fn packed_date_time(packed: u64, micros: u32) -> DateTimeValue {
    let year_month = packed >> 22;
    DateTimeValue {
        year: low16(year_month / 13),
        month: low8(year_month % 13),
        day: low8(packed >> 17 & 31),
        hours: low8(packed >> 12 & 31),
        minutes: low8(packed >> 6 & 63),
        seconds: low8(packed & 63),
        micros,
    }
}

fn padded(raw: &[u8], bytes: u32) -> Cow<'_, [u8]> {
    let bytes = bytes as usize;
    if raw.len() >= bytes {
        return Cow::Borrowed(raw);
    }
    let mut value = raw.to_vec();
    value.resize(bytes, 0);
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::row::tests::any_kind;

    fn decode(kind: ColumnKind, raw: &[u8]) -> Value<'static> {
        match Value::decode(&kind, raw).unwrap() {
            Value::Text(_) | Value::Bytes(_) | Value::Json(_) => unreachable!("not used with borrowed values"),
            Value::Int(v) => Value::Int(v),
            Value::UInt(v) => Value::UInt(v),
            Value::Decimal(v) => Value::Decimal(v),
            Value::Time(v) => Value::Time(v),
            Value::DateTime(v) => Value::DateTime(v),
            Value::Date(v) => Value::Date(v),
            Value::Year(v) => Value::Year(v),
            Value::Bit(v) => Value::Bit(v),
            other => unreachable!("{other:?}"),
        }
    }

    fn time(raw: &[u8], fsp: u8) -> (bool, u16, u8, u8, u32) {
        let Value::Time(t) = decode(ColumnKind::Time { fsp }, raw) else {
            unreachable!()
        };
        (t.is_negative, t.hours, t.minutes, t.seconds, t.micros)
    }

    #[test]
    fn negative_integers_of_three_bytes_keep_their_sign() {
        let medium = |raw: &[u8]| {
            decode(
                ColumnKind::Int {
                    bytes: 3,
                    unsigned: false,
                },
                raw,
            )
        };
        assert_eq!(medium(&[0xff, 0xff, 0xff]), Value::Int(-1));
        assert_eq!(medium(&[0, 0, 0x80]), Value::Int(-8_388_608));
        assert_eq!(
            decode(
                ColumnKind::Int {
                    bytes: 3,
                    unsigned: true
                },
                &[0xff, 0xff, 0xff]
            ),
            Value::UInt(16_777_215)
        );
    }

    #[test]
    fn negative_times_with_a_fraction_are_exact() {
        assert_eq!(time(&[0x7f, 0xff, 0xff, 0xff], 2), (true, 0, 0, 0, 10_000));
        assert_eq!(time(&[0x7f, 0xff, 0xfe, 0xce], 1), (true, 0, 0, 1, 500_000));
        assert_eq!(time(&[0x7f, 0xff, 0xff, 0, 0, 0], 6), (true, 0, 0, 1, 0));
        assert_eq!(time(&[0x80, 0, 0], 0), (false, 0, 0, 0, 0));
    }

    /// Column, bytes and text of MySQL 9.7.4 (binlog image and SELECT of the same row).
    const FROM_THE_SERVER: &[(ColumnKind, &str, &str)] = &[
        (
            ColumnKind::Decimal {
                precision: 65,
                scale: 30,
            },
            "7a0a1f00c4653600c4653600c4653600c4653600c4653600c4653600fc18",
            "-99999999999999999999999999999999999.999999999999999999999999999999",
        ),
        (
            ColumnKind::Decimal {
                precision: 65,
                scale: 30,
            },
            "800000000000000000000000000000000000000000000000000000000001",
            "0.000000000000000000000000000001",
        ),
        (ColumnKind::Decimal { precision: 10, scale: 2 }, "7ffffffffe", "-0.01"),
        (ColumnKind::Decimal { precision: 1, scale: 0 }, "76", "-9"),
        (ColumnKind::Time { fsp: 0 }, "4b9105", "-838:59:59.000000"),
        (ColumnKind::Time { fsp: 3 }, "4b9105d8fa", "-838:59:58.999000"),
        (ColumnKind::Time { fsp: 6 }, "4b9105f0bdc1", "-838:59:58.999999"),
        (ColumnKind::Time { fsp: 6 }, "7ffffffe2b40", "-00:00:00.120000"),
        (
            ColumnKind::DateTime { fsp: 6 },
            "fef3ff7efb0f423f",
            "9999-12-31 23:59:59.999999",
        ),
        (ColumnKind::DateTime { fsp: 0 }, "8000000000", "0000-00-00 00:00:00.000000"),
        (ColumnKind::DateTime { fsp: 2 }, "8cb242000001", "1000-01-01 00:00:00.010000"),
        (ColumnKind::Date, "00d00f", "2024-00-00 00:00:00.000000"),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn what_the_server_wrote_is_what_it_shows() {
        for (kind, hex, text) in FROM_THE_SERVER {
            let found = match decode(kind.clone(), &bytes(hex)) {
                Value::Decimal(v) => v,
                Value::Time(v) => {
                    let sign = if v.is_negative { "-" } else { "" };
                    format!("{sign}{:02}:{:02}:{:02}.{:06}", v.hours, v.minutes, v.seconds, v.micros)
                }
                Value::Date(v) | Value::DateTime(v) => {
                    let (day, time) = ((v.year, v.month, v.day), (v.hours, v.minutes, v.seconds));
                    format!(
                        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
                        day.0, day.1, day.2, time.0, time.1, time.2, v.micros
                    )
                }
                other => unreachable!("{other:?}"),
            };
            assert_eq!(&found, text, "{kind:?} {hex}");
        }
        let stamp = Value::decode(&ColumnKind::Timestamp { fsp: 3 }, &[0x7f, 0xff, 0xff, 0xff, 0x27, 0x06]).unwrap();
        assert_eq!(
            stamp,
            Value::Timestamp {
                seconds: 2_147_483_647,
                micros: 999_000
            }
        );
        assert_eq!(decode(ColumnKind::Bit { bits: 17 }, &[1, 0, 1]), Value::Bit(65537));
    }

    #[test]
    fn the_year_zero_is_not_1900() {
        assert_eq!(decode(ColumnKind::Year, &[0]), Value::Year(0));
        assert_eq!(decode(ColumnKind::Year, &[1]), Value::Year(1901));
    }

    #[test]
    fn decimals_become_text_with_every_digit() {
        // The example of the server's source: decimal(14,4) 1234567890.1234 and its negative.
        let kind = ColumnKind::Decimal { precision: 14, scale: 4 };
        let plus = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        let minus = [0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d];
        assert_eq!(decode(kind.clone(), &plus), Value::Decimal("1234567890.1234".into()));
        assert_eq!(decode(kind, &minus), Value::Decimal("-1234567890.1234".into()));
        assert_eq!(
            decode(ColumnKind::Decimal { precision: 2, scale: 2 }, &[0x80 | 7]),
            Value::Decimal("0.07".into())
        );
    }

    #[test]
    fn binary_gets_its_zero_bytes_back() {
        let value = Value::decode(&ColumnKind::Binary { bytes: 4 }, b"ab").unwrap();
        assert_eq!(value, Value::Bytes(Cow::Borrowed(b"ab\0\0")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_an_error(kind in any_kind(), raw in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Value::decode(&kind, &raw);
            if let Storage::Fixed(length) = kind.storage() {
                let mut exact = raw;
                exact.resize(usize::from(length), 0xa5);
                let _ = Value::decode(&kind, &exact);
            }
        }
    }
}
