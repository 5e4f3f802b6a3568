//! MySQL's binary JSON to JSON text, as the server prints it: key order, spaces, numbers, opaque values.
//!
//! Fed by `core::value`. Opaque DECIMAL becomes a number, temporals and binary become strings, so their inner type does not
//! survive text: `json_tree` keeps it. Depth and output are bounded: damaged bytes are an error.

use std::fmt::Write as _;

use crate::core::decimal;
use crate::core::value::{DateTimeValue, TimeValue, ValueError, packed_date_time, packed_time};

/// The server's own limit of nesting.
pub(super) const DEPTH_MAX: usize = 100;
/// Text is never longer than so many times the binary form plus `TEXT_BYTES_BASE` (a control character: 1 byte to 6), so
/// only a damaged document that refers to its parts many times reaches it.
const TEXT_TIMES_MAX: usize = 16;
const TEXT_BYTES_BASE: usize = 4096;

/// The first byte of a value.
pub(super) mod kinds {
    pub const SMALL_OBJECT: u8 = 0;
    pub const LARGE_OBJECT: u8 = 1;
    pub const SMALL_ARRAY: u8 = 2;
    pub const LARGE_ARRAY: u8 = 3;
    pub const LITERAL: u8 = 4;
    pub const INT16: u8 = 5;
    pub const UINT16: u8 = 6;
    pub const INT32: u8 = 7;
    pub const UINT32: u8 = 8;
    pub const INT64: u8 = 9;
    pub const UINT64: u8 = 10;
    pub const DOUBLE: u8 = 11;
    pub const STRING: u8 = 12;
    pub const OPAQUE: u8 = 15;
}
use kinds::{
    DOUBLE, INT16, INT32, INT64, LARGE_ARRAY, LARGE_OBJECT, LITERAL, OPAQUE, SMALL_ARRAY, SMALL_OBJECT, STRING, UINT16, UINT32,
    UINT64,
};

pub(super) const TYPE_TIMESTAMP: u8 = 7;
pub(super) const TYPE_DATE: u8 = 10;
pub(super) const TYPE_TIME: u8 = 11;
pub(super) const TYPE_DATETIME: u8 = 12;
pub(super) const TYPE_DECIMAL: u8 = 246;

/// The text of a binary document. No bytes at all are the JSON null, as for the server.
pub(super) fn to_text(bytes: &[u8]) -> Result<String, ValueError> {
    let Some((kind, value)) = bytes.split_first() else {
        return Ok("null".into());
    };
    let limit = bytes.len() * TEXT_TIMES_MAX + TEXT_BYTES_BASE;
    let mut walker = Walker {
        text: String::with_capacity(bytes.len() * 2),
        limit,
    };
    walker.value(*kind, value, DEPTH_MAX)?;
    Ok(walker.text)
}

const fn damaged(expected: &'static str) -> ValueError {
    ValueError::Content { expected }
}

/// Offsets and counts take two bytes in small containers, four in large ones.
#[derive(Clone, Copy)]
pub(super) struct Container<'a> {
    /// From the element count on, cut at the container's own size.
    bytes: &'a [u8],
    width: usize,
    pub count: usize,
    pub is_object: bool,
}

impl<'a> Container<'a> {
    pub fn open(kind: u8, bytes: &'a [u8]) -> Result<Self, ValueError> {
        let width = if matches!(kind, SMALL_OBJECT | SMALL_ARRAY) { 2 } else { 4 };
        let count = number(bytes, 0, width)?;
        let size = number(bytes, width, width)?;
        let bytes = bytes.get(..size).ok_or(damaged("a json container within its bytes"))?;
        Ok(Self {
            bytes,
            width,
            count,
            is_object: matches!(kind, SMALL_OBJECT | LARGE_OBJECT),
        })
    }

    pub fn key(&self, at: usize) -> Result<&'a [u8], ValueError> {
        let entry = 2 * self.width + at * (self.width + 2);
        let offset = number(self.bytes, entry, self.width)?;
        let length = number(self.bytes, entry + self.width, 2)?;
        offset
            .checked_add(length)
            .and_then(|end| self.bytes.get(offset..end))
            .ok_or(damaged("a json key within its object"))
    }

    /// Type and bytes of an element; small ones stand in the entry itself.
    pub fn element(&self, at: usize) -> Result<(u8, &'a [u8]), ValueError> {
        let keys = if self.is_object { self.count * (self.width + 2) } else { 0 };
        let entry = 2 * self.width + keys + at * (self.width + 1);
        let kind = *self.bytes.get(entry).ok_or(damaged("a json entry within its container"))?;
        let start = if is_inline(kind, self.width) {
            entry + 1
        } else {
            number(self.bytes, entry + 1, self.width)?
        };
        self.bytes
            .get(start..)
            .map(|value| (kind, value))
            .ok_or(damaged("a json value within its container"))
    }
}

/// The value stands in its entry.
pub(super) fn is_inline(kind: u8, width: usize) -> bool {
    matches!(kind, LITERAL | INT16 | UINT16) || (width == 4 && matches!(kind, INT32 | UINT32))
}

fn number(bytes: &[u8], at: usize, width: usize) -> Result<usize, ValueError> {
    let raw = bytes
        .get(at..at + width)
        .ok_or(damaged("a json offset within the document"))?;
    Ok(raw.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes
        .first_chunk()
        .copied()
        .ok_or(damaged("a json number within the document"))
}

/// Length with seven bits per byte, least first, at most five bytes; then so many bytes.
pub(super) fn sized(bytes: &[u8]) -> Result<&[u8], ValueError> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return bytes[at + 1..]
                .get(..length)
                .ok_or(damaged("a json string within the document"));
        }
    }
    Err(damaged("the length of a json string"))
}

struct Walker {
    text: String,
    limit: usize,
}

impl Walker {
    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Result<(), ValueError> {
        if self.text.len() > self.limit {
            return Err(damaged("a json document whose parts occur once"));
        }
        match kind {
            SMALL_OBJECT..=LARGE_ARRAY => self.container(Container::open(kind, bytes)?, depth)?,
            LITERAL => self.text.push_str(match bytes.first() {
                Some(0) => "null",
                Some(1) => "true",
                Some(2) => "false",
                _ => return Err(damaged("a json literal")),
            }),
            INT16 => self.print(i16::from_le_bytes(fixed(bytes)?)),
            UINT16 => self.print(u16::from_le_bytes(fixed(bytes)?)),
            INT32 => self.print(i32::from_le_bytes(fixed(bytes)?)),
            UINT32 => self.print(u32::from_le_bytes(fixed(bytes)?)),
            INT64 => self.print(i64::from_le_bytes(fixed(bytes)?)),
            UINT64 => self.print(u64::from_le_bytes(fixed(bytes)?)),
            DOUBLE => {
                let double = f64::from_le_bytes(fixed(bytes)?);
                if !double.is_finite() {
                    return Err(damaged("a finite json number"));
                }
                self.text.push_str(&double_text(double));
            }
            STRING => self.string(sized(bytes)?)?,
            OPAQUE => self.opaque(bytes)?,
            _ => return Err(damaged("a json type")),
        }
        Ok(())
    }

    fn print(&mut self, value: impl std::fmt::Display) {
        write!(self.text, "{value}").expect("writing to a String cannot fail");
    }

    fn container(&mut self, container: Container<'_>, depth: usize) -> Result<(), ValueError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(damaged("json nested at most 100 deep"));
        };
        self.text.push(if container.is_object { '{' } else { '[' });
        for at in 0..container.count {
            if at > 0 {
                self.text.push_str(", ");
            }
            if container.is_object {
                self.string(container.key(at)?)?;
                self.text.push_str(": ");
            }
            let (kind, bytes) = container.element(at)?;
            self.value(kind, bytes, depth)?;
        }
        self.text.push(if container.is_object { '}' } else { ']' });
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), ValueError> {
        let string = std::str::from_utf8(bytes).map_err(|_| damaged("a json string in utf-8"))?;
        self.text.push('"');
        for c in string.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\u{8}' => self.text.push_str("\\b"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\u{c}' => self.text.push_str("\\f"),
                '\r' => self.text.push_str("\\r"),
                c if c < ' ' => write!(self.text, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail"),
                c => self.text.push(c),
            }
        }
        self.text.push('"');
        Ok(())
    }

    /// A value of a column type that JSON does not know.
    fn opaque(&mut self, bytes: &[u8]) -> Result<(), ValueError> {
        let (kind, sized_bytes) = bytes.split_first().ok_or(damaged("the type of an opaque json value"))?;
        let value = sized(sized_bytes)?;
        match *kind {
            TYPE_DECIMAL => self.text.push_str(&decimal(value)?),
            TYPE_DATE | TYPE_DATETIME | TYPE_TIMESTAMP => {
                self.date_time(date_time(value)?, *kind != TYPE_DATE);
            }
            TYPE_TIME => self.time(time(value)?),
            kind => {
                write!(self.text, "\"base64:type{kind}:").expect("writing to a String cannot fail");
                self.base64(value);
                self.text.push('"');
            }
        }
        Ok(())
    }

    fn date_time(&mut self, v: DateTimeValue, has_time: bool) {
        write!(self.text, "\"{:04}-{:02}-{:02}", v.year, v.month, v.day).expect("writing to a String cannot fail");
        if has_time {
            write!(self.text, " {:02}:{:02}:{:02}.{:06}", v.hours, v.minutes, v.seconds, v.micros)
                .expect("writing to a String cannot fail");
        }
        self.text.push('"');
    }

    fn time(&mut self, v: TimeValue) {
        let sign = if v.is_negative { "-" } else { "" };
        write!(
            self.text,
            "\"{sign}{:02}:{:02}:{:02}.{:06}\"",
            v.hours, v.minutes, v.seconds, v.micros
        )
        .expect("writing to a String cannot fail");
    }

    fn base64(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for three in bytes.chunks(3) {
            let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
            for digit in 0..4 {
                let is_padding = digit > three.len();
                let index = bits >> (18 - 6 * digit) & 63;
                self.text.push(if is_padding { '=' } else { char::from(DIGITS[index]) });
            }
        }
    }
}

/// The text of an opaque DECIMAL.
pub(super) fn decimal(bytes: &[u8]) -> Result<String, ValueError> {
    match bytes {
        [precision, scale, digits @ ..] => decimal::to_text(*precision, *scale, digits),
        _ => Err(damaged("a json decimal")),
    }
}

/// An opaque DATE, DATETIME or TIMESTAMP.
pub(super) fn date_time(bytes: &[u8]) -> Result<DateTimeValue, ValueError> {
    let packed = u64::from_le_bytes(fixed(bytes)?);
    Ok(packed_date_time(packed >> 24, micros(packed)))
}

/// An opaque TIME.
pub(super) fn time(bytes: &[u8]) -> Result<TimeValue, ValueError> {
    let packed = i64::from_le_bytes(fixed(bytes)?);
    let size = packed.unsigned_abs();
    Ok(packed_time(packed < 0, size >> 24, micros(size)))
}

/// The fewest digits that are this number and no other, with an exponent where the server writes one: from 16 digits before
/// the point or 15 zeros behind it (`my_gcvt`).
fn double_text(double: f64) -> String {
    let text = format!("{double:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    if !matches!(exponent.parse(), Ok(-15..=14)) {
        return format!("{digits}e{exponent}");
    }
    let text = format!("{double}");
    if text.contains('.') { text } else { text + ".0" }
}

fn micros(packed: u64) -> u32 {
    (packed & 0xff_ffff) as u32
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scalars_and_containers_print_as_the_server_prints_them() {
        let text = |bytes: &[u8]| to_text(bytes).unwrap();
        assert_eq!(text(b""), "null");
        assert_eq!(text(&[LITERAL, 1]), "true");
        assert_eq!(text(&[INT16, 0xff, 0xff]), "-1");
        assert_eq!(text(&[STRING, 4, b'a', b'"', 1, b'\n']), "\"a\\\"\\u0001\\n\"");
        // {"a": 1, "bc": [null, "x"]}: two keys, the second value an array at offset 21.
        let array: &[u8] = &[2, 0, 12, 0, LITERAL, 0, 0, STRING, 10, 0, 1, b'x'];
        let head: &[u8] = &[
            SMALL_OBJECT,
            2,
            0,
            33,
            0,
            18,
            0,
            1,
            0,
            19,
            0,
            2,
            0,
            INT16,
            1,
            0,
            SMALL_ARRAY,
            21,
            0,
            b'a',
            b'b',
            b'c',
        ];
        assert_eq!(text(&[head, array].concat()), "{\"a\": 1, \"bc\": [null, \"x\"]}");
    }

    /// Documents that MySQL 9.7.4 wrote into its binlog, and what SELECT showed of them.
    pub const FROM_THE_SERVER: &[(&str, &str)] = &[
        (
            "0003009400190001001a0001001b000100001c000239000c880061627303001d0019000000190001001a00030004000004010004020078226b0a09004f0005010005feff0b1f000b27000b2f00073700073b000a3f000a47000000000000000c407dc39425ad49b254000000000000f03f7011010090eefeff00f2052a01000000ffffffffffffffff0b71225c200109f09f98802f",
            r#"{"a": {"": null, "x": true, "\"k\n": false}, "b": [1, -2, 3.5, 1e100, 1.0, 70000, -70000, 5000000000, 18446744073709551615], "s": "q\"\\ \u0001\t😀/"}"#,
        ),
        (
            "00060069002e0001002f000100300001003100020033000300360003000f39000f42000f4c000f4f000f59000f5f00647479647462696e646179f6070b027ffffffef50b08a051f54737ffffff0f01050c08801a068310bab2190f04616263640a080000000000bab219",
            r#"{"d": -1.10, "t": "-12:34:56.700000", "y": "base64:type15:BQ==", "dt": "2024-02-29 01:02:03.400000", "bin": "base64:type15:YWJjZA==", "day": "2024-02-29"}"#,
        ),
    ];

    pub fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn what_the_server_wrote_is_what_it_shows() {
        for (hex, text) in FROM_THE_SERVER {
            let bytes = bytes(hex);
            assert_eq!(&to_text(&bytes).unwrap(), text);
            for cut in 0..bytes.len() {
                // A cut document is an error or a shorter one, never a panic.
                let _ = to_text(&bytes[..cut]);
            }
        }
    }

    #[test]
    fn opaque_bytes_are_base64_with_their_type() {
        assert_eq!(to_text(&[OPAQUE, 252, 4, 1, 2, 3, 4]).unwrap(), "\"base64:type252:AQIDBA==\"");
    }

    #[test]
    fn a_document_that_contains_itself_is_an_error() {
        // An array whose one element is the array itself.
        let own: &[u8] = &[SMALL_ARRAY, 2, 0, 10, 0, SMALL_ARRAY, 0, 0, SMALL_ARRAY, 0, 0];
        assert!(to_text(own).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_text_or_an_error(kind in 0u8..=15, bytes in prop::collection::vec(0u8..40, 0..120), raw in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = to_text(&[&[kind], &bytes[..]].concat());
            let _ = to_text(&raw);
        }
    }
}
