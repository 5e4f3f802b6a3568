//! Rows of a SELECT as canonical row bytes: exactly what a FULL binlog image of the same row holds (JSON: the same document in
//! its normal form, `core::json_tree`).
//!
//! Fed by `chunk_reader` with rows of the binary protocol from a session prepared by `SESSION_SETTINGS`; the rows meet those of the
//! binlog in `core::copy_state`, which compares keys as bytes. `core::row` adds null bitmap and length prefixes.

use mysql_async::Value;
use thiserror::Error;

use crate::core::change::{Key, Row};
use crate::core::decimal;
use crate::core::json_order::PARTS_MARK;
use crate::core::json_text::{self, LETTERS, OPAQUE_LETTER};
use crate::core::row::{RowError, RowLayout};
use crate::core::shape::{Column, ColumnKind, RowKey, Storage, TableShape};
use crate::mysql::quote;

/// What a session must have set so that a SELECT shows bytes as they are stored: columns in their own character set, TIMESTAMP in
/// UTC, CHAR not padded, no limit on rows or time from the account's defaults.
pub const SESSION_SETTINGS: &str = "SET SESSION character_set_results = NULL, time_zone = '+00:00', sql_mode = '', \
     sql_select_limit = DEFAULT, max_execution_time = 0, net_write_timeout = 600, group_concat_max_len = 1073741824, \
     div_precision_increment = 4, transaction_isolation = 'REPEATABLE-READ'";

/// Documents above this are walked twice. One walk takes a second for 200,000 scalars on MySQL 9.7.4, and four times that for twice as
/// many; below 64 KiB it is the faster one.
const LARGE_BYTES: u32 = 64 << 10;

/// DATETIME is stored as its packed value above this, TIME's seconds above the other: so that they compare as bytes.
const DATETIME_OFFSET: u64 = 0x80_0000_0000;
const TIME_OFFSET: i64 = 0x80_0000;

/// A value of a SELECT cannot be one of its column: the definition changed under the copy, or a server sends another form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CanonicalError {
    /// The value has another type or is out of range.
    #[error("column `{column}`: expected {expected}, found {found}")]
    Value {
        /// The column.
        column: String,
        /// What its type sends.
        expected: &'static str,
        /// What came, by type only.
        found: &'static str,
    },
    /// The values do not make a row.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// The SELECT list that gives every column of the shape in the form `RowEncoder` reads: all columns, then the types within each
/// JSON column. The table is read under its own name.
#[must_use]
pub fn select_list(shape: &TableShape) -> String {
    let json = shape.columns.iter().filter(|column| column.kind == ColumnKind::Json);
    let types = json.map(|column| types_of_any_size(&quote::column(&shape.name, &column.name)));
    let columns = shape.columns.iter().map(select_expression);
    columns.chain(types).collect::<Vec<_>>().join(", ")
}

/// The letters of a document's scalars as `json_text::parse` takes them: of a large one those of cells and of members by themselves, which
/// the server finds in a time that grows as the document does.
fn types_of_any_size(document: &str) -> String {
    let (mark, cells, members) = (
        char::from(PARTS_MARK),
        letters_at(document, "$**[*]"),
        letters_at(document, "$**.*"),
    );
    format!(
        "IF(JSON_STORAGE_SIZE({document}) > {LARGE_BYTES} AND JSON_TYPE({document}) IN ('ARRAY', 'OBJECT'), \
         CONCAT(IFNULL(({cells}), ''), '{mark}', IFNULL(({members}), '')), ({}))",
        json_types(document)
    )
}

/// A query for the letters of a document's scalars in the order of its text. `$**[0]` finds each scalar once, because a scalar
/// counts as an array of itself; the objects it also finds have no letter.
pub(in crate::mysql) fn json_types(document: &str) -> String {
    letters_at(document, "$**[0]")
}

fn letters_at(document: &str, path: &str) -> String {
    let letters: String = LETTERS
        .iter()
        .map(|(name, letter)| format!(" WHEN '{name}' THEN '{letter}'"))
        .collect();
    format!(
        "SELECT GROUP_CONCAT(CASE COALESCE(JSON_TYPE(leaf), 'NULL') WHEN 'OBJECT' THEN '' WHEN 'ARRAY' THEN ''{letters} \
         ELSE '{OPAQUE_LETTER}' END ORDER BY place SEPARATOR '') FROM JSON_TABLE({document}, '{path}' COLUMNS (place FOR ORDINALITY, \
         leaf JSON PATH '$')) leaves"
    )
}

/// The expression that gives one column in the form `RowEncoder` reads.
#[must_use]
pub fn select_expression(column: &Column) -> String {
    let name = quote::identifier(&column.name);
    match column.kind {
        // By number: labels would come in the character set of the result, and `col + 0` is a double that loses bits of a SET.
        ColumnKind::Enum { .. } | ColumnKind::Set { .. } => format!("CAST({name} AS UNSIGNED)"),
        _ => name,
    }
}

/// Turns rows of one table into canonical bytes.
#[derive(Debug)]
pub struct RowEncoder<'a> {
    shape: &'a TableShape,
    layout: RowLayout,
    scratch: Vec<u8>,
    ends: Vec<Option<usize>>,
}

impl<'a> RowEncoder<'a> {
    /// An encoder for the rows of `select_list(shape)`.
    #[must_use]
    pub fn new(shape: &'a TableShape) -> Self {
        Self {
            shape,
            layout: RowLayout::new(shape),
            scratch: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The canonical bytes of one row.
    ///
    /// # Errors
    /// A value cannot be one of its column.
    pub fn encode(&mut self, values: &[Value]) -> Result<Row, CanonicalError> {
        self.scratch.clear();
        self.ends.clear();
        let mut types = values.iter().skip(self.shape.columns.len());
        for (column, value) in self.shape.columns.iter().zip(values) {
            let types = if column.kind == ColumnKind::Json { types.next() } else { None };
            let end = if matches!(value, Value::NULL) {
                None
            } else {
                let expected = match types {
                    Some(types) => encode_json(value, types, &mut self.scratch),
                    None => encode_value(&column.kind, value, &mut self.scratch),
                };
                expected.map_err(|expected| wrong(column, value, expected))?;
                Some(self.scratch.len())
            };
            self.ends.push(end);
        }
        let mut start = 0;
        let parts = self.ends.iter().map(|end| {
            end.map(|end| {
                let part = &self.scratch[start..end];
                start = end;
                part
            })
        });
        Ok(self.layout.build(&parts.collect::<Vec<_>>())?)
    }
}

/// The key of a row of which only the key's columns were selected, in key order.
///
/// # Errors
/// A value cannot be one of its column.
pub fn encode_key(shape: &TableShape, key: &RowKey, values: &[Value]) -> Result<Key, CanonicalError> {
    let encode = |(at, value): (&usize, &Value)| {
        let (column, mut out) = (&shape.columns[*at], Vec::new());
        encode_value(&column.kind, value, &mut out).map_err(|expected| wrong(column, value, expected))?;
        Ok(out)
    };
    key.columns.iter().zip(values).map(encode).collect::<Result<_, _>>().map(Key)
}

fn wrong(column: &Column, value: &Value, expected: &'static str) -> CanonicalError {
    let found = match value {
        Value::NULL => "NULL",
        Value::Bytes(_) => "bytes",
        Value::Int(_) | Value::UInt(_) => "an integer of another range",
        Value::Float(_) => "a float",
        Value::Double(_) => "a double",
        Value::Date(..) => "a date",
        Value::Time(..) => "a time",
    };
    CanonicalError::Value {
        column: column.name.clone(),
        expected,
        found,
    }
}

/// Appends a document as JSONB.
fn encode_json(text: &Value, types: &Value, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let types = match types {
        Value::Bytes(types) => types.as_slice(),
        // A document without scalars.
        _ => &[],
    };
    let Value::Bytes(text) = text else { return Err("bytes") };
    let tree = json_text::parse(text, types).map_err(|_| "a document whose text fits the types of its values")?;
    out.extend_from_slice(&tree.encode());
    Ok(())
}

/// Appends the canonical bytes of one value; the error names what was expected.
pub(super) fn encode_value(kind: &ColumnKind, value: &Value, out: &mut Vec<u8>) -> Result<(), &'static str> {
    use ColumnKind as K;
    match (kind, value) {
        (K::Int { bytes, .. }, value) => put_little(out, integer(value)?, *bytes),
        (K::Enum { .. } | K::Set { .. }, value) => put_little(out, integer(value)?, fixed_bytes(kind)),
        (K::Year, value) => put_year(out, integer(value)?)?,
        (K::Decimal { precision, scale }, Value::Bytes(text)) => {
            decimal::push(out, text, *precision, *scale).map_err(|_| "a decimal of the column's precision")?;
        }
        (K::Float, Value::Float(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (K::Double, Value::Double(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (K::Date, Value::Date(year, month, day, ..)) => {
            put_little(out, u64::from(*day) | u64::from(*month) << 5 | u64::from(*year) << 9, 3);
        }
        (K::DateTime { fsp }, Value::Date(year, month, day, hour, minute, second, micros)) => {
            let date = (u64::from(*year) * 13 + u64::from(*month)) << 5 | u64::from(*day);
            let time = u64::from(*hour) << 12 | u64::from(*minute) << 6 | u64::from(*second);
            put_big(out, (date << 17 | time) + DATETIME_OFFSET, 5);
            put_fraction(out, *micros, *fsp);
        }
        (K::Timestamp { fsp }, Value::Date(year, month, day, hour, minute, second, micros)) => {
            let time = u64::from(*hour) * 3600 + u64::from(*minute) * 60 + u64::from(*second);
            put_big(out, epoch_days(*year, *month, *day) * 86_400 + time, 4);
            put_fraction(out, *micros, *fsp);
        }
        (K::Time { fsp }, Value::Time(is_negative, days, hours, minutes, seconds, micros)) => {
            let hours = i64::from(*days) * 24 + i64::from(*hours);
            let whole = hours << 12 | i64::from(*minutes) << 6 | i64::from(*seconds);
            put_time(out, *is_negative, whole, i64::from(*micros), *fsp);
        }
        (K::Binary { .. }, Value::Bytes(bytes)) => out.extend_from_slice(without_trailing_zeros(bytes)),
        (
            K::Bit { .. }
            | K::Char { .. }
            | K::VarChar { .. }
            | K::VarBinary { .. }
            | K::Blob { .. }
            | K::Text { .. }
            | K::Geometry
            | K::Vector,
            Value::Bytes(bytes),
        ) => out.extend_from_slice(bytes),
        (K::Float, _) => return Err("a float"),
        (K::Double, _) => return Err("a double"),
        (K::Date | K::DateTime { .. } | K::Timestamp { .. }, _) => return Err("a date"),
        (K::Time { .. }, _) => return Err("a time"),
        _ => return Err("bytes"),
    }
    Ok(())
}

/// BINARY(n) comes padded with zero bytes to n; the binlog cuts them.
fn without_trailing_zeros(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..length]
}

fn fixed_bytes(kind: &ColumnKind) -> u8 {
    match kind.storage() {
        Storage::Fixed(bytes) => bytes,
        Storage::Prefixed(_) => 8,
    }
}

fn integer(value: &Value) -> Result<u64, &'static str> {
    match value {
        Value::Int(value) => Ok(value.cast_unsigned()),
        Value::UInt(value) => Ok(*value),
        _ => Err("an integer"),
    }
}

fn put_little(out: &mut Vec<u8>, value: u64, bytes: u8) {
    out.extend_from_slice(&value.to_le_bytes()[..usize::from(bytes)]);
}

fn put_big(out: &mut Vec<u8>, value: u64, bytes: u8) {
    out.extend_from_slice(&value.to_be_bytes()[8 - usize::from(bytes)..]);
}

/// One byte above 1900; 0 is the year 0000.
fn put_year(out: &mut Vec<u8>, year: u64) -> Result<(), &'static str> {
    let stored = if year == 0 {
        Some(0)
    } else {
        year.checked_sub(1900).and_then(|years| u8::try_from(years).ok())
    };
    out.push(stored.ok_or("a year")?);
    Ok(())
}

/// The fraction of DATETIME and TIMESTAMP: two digits per byte, big-endian.
fn put_fraction(out: &mut Vec<u8>, micros: u32, fsp: u8) {
    match fsp {
        0 => {}
        1 | 2 => put_big(out, u64::from(micros / 10_000), 1),
        3 | 4 => put_big(out, u64::from(micros / 100), 2),
        _ => put_big(out, u64::from(micros), 3),
    }
}

/// TIME: whole seconds and fraction are one signed number; with up to four digits each is cut out of it by itself.
fn put_time(out: &mut Vec<u8>, is_negative: bool, whole: i64, micros: i64, fsp: u8) {
    let packed = if is_negative {
        -(whole << 24 | micros)
    } else {
        whole << 24 | micros
    };
    let (seconds, fraction) = ((packed >> 24) + TIME_OFFSET, packed % (1 << 24));
    match fsp {
        0 => put_big(out, seconds.cast_unsigned(), 3),
        1 | 2 => {
            put_big(out, seconds.cast_unsigned(), 3);
            put_big(out, (fraction / 10_000).cast_unsigned(), 1);
        }
        3 | 4 => {
            put_big(out, seconds.cast_unsigned(), 3);
            put_big(out, (fraction / 100).cast_unsigned(), 2);
        }
        _ => put_big(out, (packed + (TIME_OFFSET << 24)).cast_unsigned(), 6),
    }
}

/// Days from 1970-01-01; 0 for the zero date, which TIMESTAMP stores as second 0.
fn epoch_days(year: u16, month: u8, day: u8) -> u64 {
    if year < 1970 {
        return 0;
    }
    // Howard Hinnant's days_from_civil, years counted from March.
    let (year, month) = if month <= 2 {
        (u64::from(year) - 1, u64::from(month) + 9)
    } else {
        (u64::from(year), u64::from(month) - 3)
    };
    let year_of_era = year % 400;
    let day_of_year = (153 * month + 2) / 5 + u64::from(day) - 1;
    (year / 400) * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(kind: &ColumnKind, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        encode_value(kind, value, &mut out).expect("encodable");
        out
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(epoch_days(1970, 1, 1), 0);
        assert_eq!(epoch_days(2000, 3, 1), 11_017);
        assert_eq!(epoch_days(2038, 1, 19), 24_855);
        assert_eq!(epoch_days(0, 0, 0), 0);
    }

    #[test]
    fn a_negative_time_borrows_from_its_seconds() {
        let time = Value::Time(true, 0, 0, 0, 1, 500_000);
        assert_eq!(encoded(&ColumnKind::Time { fsp: 2 }, &time), [0x7F, 0xFF, 0xFE, 0xCE]);
        assert_eq!(
            encoded(&ColumnKind::Time { fsp: 0 }, &Value::Time(false, 34, 22, 59, 59, 0)),
            [0xB4, 0x6E, 0xFB]
        );
    }
}
