//! Row keys: taking them from a row, and ordering them as the server does where Rust can.
//!
//! Fed by the merger, the chunk reader and the applier. Strings are not ordered here: only the server knows its collations
//! (`mysql::source::key_oracle`). ENUM, SET, FLOAT and DOUBLE keys are left to the server too.

use std::cmp::Ordering;

use crate::core::change::{Key, Row};
use crate::core::row::{RowError, RowLayout};
use crate::core::shape::{ColumnKind, TableShape};

/// Who can order the keys of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOrder {
    /// `compare` gives the order of the server.
    Rust,
    /// Only the server can.
    Server,
}

impl KeyOrder {
    /// Who can order this table's keys. A table without a key has nothing to order: `Rust`.
    #[must_use]
    pub fn of(shape: &TableShape) -> Self {
        if key_kinds(shape).all(is_ordered_here) {
            Self::Rust
        } else {
            Self::Server
        }
    }
}

fn key_kinds(shape: &TableShape) -> impl Iterator<Item = &ColumnKind> {
    let columns = shape.key.iter().flat_map(|key| &key.columns);
    columns.filter_map(|at| shape.columns.get(*at)).map(|column| &column.kind)
}

fn is_ordered_here(kind: &ColumnKind) -> bool {
    use ColumnKind as K;
    match kind {
        K::Int { .. } | K::Decimal { .. } | K::Bit { .. } | K::Year | K::Date => true,
        K::Time { .. } | K::DateTime { .. } | K::Timestamp { .. } | K::Binary { .. } | K::VarBinary { .. } => true,
        K::Float | K::Double | K::Char { .. } | K::VarChar { .. } | K::Blob { .. } | K::Text { .. } => false,
        K::Json | K::Geometry | K::Vector | K::Enum { .. } | K::Set { .. } => false,
    }
}

/// The key of a row; None for a table without one.
pub fn key_of(shape: &TableShape, layout: &RowLayout, row: &Row) -> Result<Option<Key>, RowError> {
    let Some(key) = &shape.key else {
        return Ok(None);
    };
    let mut values = Vec::with_capacity(layout.columns());
    layout.split(&row.0, &mut values)?;
    let value_at = |at: &usize| {
        values
            .get(*at)
            .copied()
            .flatten()
            .map(<[u8]>::to_vec)
            .ok_or(RowError::NoKeyValue { column: *at })
    };
    key.columns
        .iter()
        .map(value_at)
        .collect::<Result<_, _>>()
        .map(|values| Some(Key(values)))
}

/// The server's order of two keys of this table. Right only where `KeyOrder::of` says `Rust`.
#[must_use]
pub fn compare(shape: &TableShape, left: &Key, right: &Key) -> Ordering {
    debug_assert_eq!(
        KeyOrder::of(shape),
        KeyOrder::Rust,
        "the server orders the keys of {}",
        shape.name
    );
    let pairs = left.0.iter().zip(&right.0);
    let different = key_kinds(shape)
        .zip(pairs)
        .map(|(kind, (a, b))| compare_values(kind, a, b))
        .find(|order| order.is_ne());
    different.unwrap_or_else(|| left.0.len().cmp(&right.0.len()))
}

fn compare_values(kind: &ColumnKind, left: &[u8], right: &[u8]) -> Ordering {
    match kind {
        ColumnKind::Int { unsigned: false, .. } => signed(left).cmp(&signed(right)),
        ColumnKind::Int { .. } | ColumnKind::Date => unsigned(left).cmp(&unsigned(right)),
        // MySQL stores these big-endian with an offset or a flipped sign, made to be compared as bytes; BINARY without its
        // trailing zero bytes orders as with them.
        _ => left.cmp(right),
    }
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .take(8)
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let unused_bits = 64 - 8 * bytes.len().clamp(1, 8);
    (unsigned(bytes) << unused_bits).cast_signed() >> unused_bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::row::tests::{any_kind, shape};
    use crate::core::shape::Storage;
    use crate::core::value::{DateTimeValue, TimeValue, Value};

    fn orderable() -> impl Strategy<Value = ColumnKind> {
        any_kind().prop_filter("ordered by the server", is_ordered_here)
    }

    /// Bytes a server could have written: the fields of temporals within their ranges, the digits of decimals below ten.
    fn canonical(kind: &ColumnKind, random: u64) -> Vec<u8> {
        let ColumnKind::Binary { bytes } = kind else {
            return match kind.storage() {
                Storage::Fixed(length) => fixed(kind, usize::from(length), random),
                Storage::Prefixed(_) => random.to_be_bytes()[usize::try_from(random % 8).unwrap()..].to_vec(),
            };
        };
        let mut value = random.to_be_bytes()[..usize::try_from(random % 8).unwrap().min(*bytes as usize)].to_vec();
        while value.last() == Some(&0) {
            value.pop();
        }
        value
    }

    fn fixed(kind: &ColumnKind, length: usize, random: u64) -> Vec<u8> {
        let mut raw = random.to_le_bytes().repeat(4)[..length].to_vec();
        match kind {
            ColumnKind::Time { .. } => temporal(3, length, random, random & 1 == 1),
            ColumnKind::DateTime { .. } => temporal(5, length, random, false),
            ColumnKind::Timestamp { .. } => temporal(4, length, random, false),
            ColumnKind::Decimal { .. } => {
                let is_negative = random & 1 == 1;
                raw.fill(0);
                let last = raw.len() - 1;
                raw[last] = u8::try_from(random % 9).unwrap();
                raw[0] ^= 0x80;
                if is_negative {
                    raw.iter_mut().for_each(|byte| *byte = !*byte);
                }
                raw
            }
            ColumnKind::Bit { bits } if bits % 8 != 0 => {
                raw[0] &= (1 << (bits % 8)) - 1;
                raw
            }
            _ => raw,
        }
    }

    /// Under a minute, with a fraction of two digits a byte: whole seconds in `whole` bytes, then the fraction, as one big-endian
    /// number. TIME and DATETIME carry an offset of half their range, so a negative one is below it.
    fn temporal(whole: usize, length: usize, random: u64, is_negative: bool) -> Vec<u8> {
        let fraction_bytes = u32::try_from(length - whole).unwrap();
        let fraction = (random >> 8) % 100u64.pow(fraction_bytes);
        let size = i64::try_from((random % 60) << (8 * fraction_bytes) | fraction).unwrap();
        let offset = if whole == 4 { 0 } else { 1i64 << (8 * length - 1) };
        let stored = offset + if is_negative { -size } else { size };
        stored.to_be_bytes()[8 - length..].to_vec()
    }

    fn micros(time: &TimeValue) -> i64 {
        let seconds = (i64::from(time.hours) * 60 + i64::from(time.minutes)) * 60 + i64::from(time.seconds);
        let size = seconds * 1_000_000 + i64::from(time.micros);
        if time.is_negative { -size } else { size }
    }

    fn parts(d: &DateTimeValue) -> (u16, u8, u8, u8, u8, u8, u32) {
        (d.year, d.month, d.day, d.hours, d.minutes, d.seconds, d.micros)
    }

    fn by_value(left: &Value<'_>, right: &Value<'_>) -> Ordering {
        match (left, right) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::UInt(a) | Value::Bit(a), Value::UInt(b) | Value::Bit(b)) => a.cmp(b),
            (Value::Year(a), Value::Year(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => micros(a).cmp(&micros(b)),
            (Value::Date(a) | Value::DateTime(a), Value::Date(b) | Value::DateTime(b)) => parts(a).cmp(&parts(b)),
            (Value::Timestamp { seconds: a, micros: x }, Value::Timestamp { seconds: b, micros: y }) => (a, x).cmp(&(b, y)),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            // One last digit each, so the text orders by sign and that digit.
            (Value::Decimal(a), Value::Decimal(b)) => a.parse::<f64>().unwrap().partial_cmp(&b.parse().unwrap()).unwrap(),
            other => unreachable!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn keys_order_as_their_values_do(kind in orderable(), a in any::<u64>(), b in any::<u64>()) {
            let shape = shape(vec![kind.clone()], 1);
            let (a, b) = (canonical(&kind, a), canonical(&kind, b));
            let values = (Value::decode(&kind, &a).unwrap(), Value::decode(&kind, &b).unwrap());
            let expected = by_value(&values.0, &values.1);
            let found = compare(&shape, &Key(vec![a.clone()]), &Key(vec![b.clone()]));
            let is_minus_zero = matches!(&values, (Value::Decimal(a), Value::Decimal(b)) if a != b && expected.is_eq());
            prop_assert!(found == expected || is_minus_zero, "{:?} {:?}: {:?}", values.0, values.1, found);
        }
    }

    #[test]
    fn the_first_different_column_decides() {
        let int = ColumnKind::Int {
            bytes: 4,
            unsigned: false,
        };
        let shape = shape(vec![int.clone(), int], 2);
        let key = |a: i32, b: i32| Key(vec![a.to_le_bytes().to_vec(), b.to_le_bytes().to_vec()]);
        assert_eq!(compare(&shape, &key(-1, 9), &key(0, 1)), Ordering::Less);
        assert_eq!(compare(&shape, &key(3, -256), &key(3, -1)), Ordering::Less);
        assert_eq!(compare(&shape, &key(3, 7), &key(3, 7)), Ordering::Equal);
    }

    #[test]
    fn strings_are_left_to_the_server() {
        assert_eq!(
            KeyOrder::of(&shape(vec![ColumnKind::VarChar { bytes_max: 4 }], 1)),
            KeyOrder::Server
        );
        assert_eq!(
            KeyOrder::of(&shape(vec![ColumnKind::VarBinary { bytes_max: 4 }], 1)),
            KeyOrder::Rust
        );
        assert_eq!(KeyOrder::of(&shape(vec![ColumnKind::Json], 0)), KeyOrder::Rust);
    }

    #[test]
    fn a_key_is_taken_in_key_order_and_never_null() {
        let mut shape = shape(vec![ColumnKind::Year, ColumnKind::Binary { bytes: 4 }], 2);
        shape.key.as_mut().unwrap().columns = vec![1, 0];
        let layout = RowLayout::new(&shape);
        let row = layout.build(&[Some(&[120]), Some(b"ab")]).unwrap();
        assert_eq!(key_of(&shape, &layout, &row), Ok(Some(Key(vec![b"ab".to_vec(), vec![120]]))));
        let row = layout.build(&[None, Some(b"ab")]).unwrap();
        assert_eq!(key_of(&shape, &layout, &row), Err(RowError::NoKeyValue { column: 0 }));
    }
}
