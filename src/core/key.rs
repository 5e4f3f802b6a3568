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
