//! Rows events to changes, without a copy per row.
//!
//! Fed by the assembler with events of tables in scope. The event's bytes are copied once; each row is a slice of them.
//! Refuses images that are not FULL: their rows cannot be compared or applied.

use bytes::Bytes;

use crate::core::change::{Change, Row};
use crate::core::row::RowError;
use crate::mysql::source::event::{Cursor, Damaged, kind};
use crate::mysql::source::scope::ScopeTable;

/// Why the rows cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowsError {
    /// The event's head is cut.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// A row is cut.
    #[error("damaged row: {0}")]
    Row(#[from] RowError),
    /// Columns are missing in the image.
    #[error("found a row image of {found} columns, expected all {expected}")]
    PartialImage { found: usize, expected: usize },
}

/// Table id of the event that only ends a statement.
pub(super) const TABLE_ID_NONE: u64 = 0x00ff_ffff;

/// Reads all rows of an event.
pub(super) fn changes(event_kind: u8, body: &[u8], table: &ScopeTable) -> Result<Vec<Change>, RowsError> {
    let is_update = matches!(event_kind, kind::UPDATE_ROWS | kind::UPDATE_ROWS_V1);
    let mut rows = Rows {
        bytes: rows_bytes(event_kind, is_update, body, table)?,
        at: 0,
        table,
    };
    let mut changes = Vec::new();
    while !rows.is_over() {
        let shape = table.id;
        let row = rows.next()?;
        changes.push(match event_kind {
            kind::WRITE_ROWS | kind::WRITE_ROWS_V1 => Change::Insert { shape, after: row },
            kind::DELETE_ROWS | kind::DELETE_ROWS_V1 => Change::Delete { shape, before: row },
            _ => Change::Update {
                shape,
                before: row,
                after: rows.next()?,
            },
        });
    }
    Ok(changes)
}

/// The part of the event behind its head, as one shared buffer.
fn rows_bytes(event_kind: u8, is_update: bool, body: &[u8], table: &ScopeTable) -> Result<Bytes, RowsError> {
    const WRONG: Damaged = Damaged("rows event");
    let mut cursor = Cursor::new(body);
    cursor.skip(8).ok_or(WRONG)?;
    if matches!(event_kind, kind::WRITE_ROWS | kind::UPDATE_ROWS | kind::DELETE_ROWS) {
        // Extra row information; the length counts itself.
        let extra = cursor.uint(2).ok_or(WRONG)?;
        cursor.skip(extra.checked_sub(2).ok_or(WRONG)?).ok_or(WRONG)?;
    }
    let expected = table.layout.columns();
    let columns = cursor.packed().ok_or(WRONG)?;
    // A row of no columns has no length: reading on would never end.
    if columns != expected || columns == 0 {
        return Err(RowsError::PartialImage {
            found: columns,
            expected,
        });
    }
    for _ in 0..=usize::from(is_update) {
        let present = cursor.take(columns.div_ceil(8)).ok_or(WRONG)?;
        let found = (0..columns).filter(|at| present[at / 8] & (1 << (at % 8)) != 0).count();
        if found != expected {
            return Err(RowsError::PartialImage { found, expected });
        }
    }
    Ok(Bytes::copy_from_slice(cursor.rest()))
}

struct Rows<'a> {
    bytes: Bytes,
    at: usize,
    table: &'a ScopeTable,
}

impl Rows<'_> {
    fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn next(&mut self) -> Result<Row, RowError> {
        let length = self.table.layout.row_bytes(&self.bytes[self.at..])?;
        let row = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(Row(row))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::row::RowLayout;
    use crate::core::row::tests::shape;
    use crate::core::shape::{ColumnKind, ShapeId};

    fn table() -> ScopeTable {
        let shape = shape(
            vec![
                ColumnKind::Int {
                    bytes: 1,
                    unsigned: true,
                },
                ColumnKind::VarChar { bytes_max: 9 },
            ],
            1,
        );
        ScopeTable {
            id: ShapeId(5),
            layout: RowLayout::new(&shape),
            shape,
            since: Default::default(),
        }
    }

    const HEAD: [u8; 11] = [7, 0, 0, 0, 0, 0, 1, 0, 2, 0, 2];

    #[test]
    fn each_row_is_a_slice_of_the_event() {
        let insert = [&HEAD[..], &[3], &[0, 1, 1, b'a'], &[2, 9]].concat();
        let row = |bytes: &[u8]| Row(Bytes::copy_from_slice(bytes));
        let shape = ShapeId(5);
        let expected = vec![
            Change::Insert {
                shape,
                after: row(&[0, 1, 1, b'a']),
            },
            Change::Insert {
                shape,
                after: row(&[2, 9]),
            },
        ];
        assert_eq!(changes(kind::WRITE_ROWS, &insert, &table()), Ok(expected));
        let update = [&HEAD[..], &[3, 3], &[0, 1, 1, b'a'], &[2, 9]].concat();
        let expected = vec![Change::Update {
            shape,
            before: row(&[0, 1, 1, b'a']),
            after: row(&[2, 9]),
        }];
        assert_eq!(changes(kind::UPDATE_ROWS, &update, &table()), Ok(expected));
        assert_eq!(changes(kind::DELETE_ROWS, &insert, &table()).unwrap().len(), 2);
    }

    #[test]
    fn an_image_without_all_columns_is_refused() {
        let minimal = [&HEAD[..], &[1], &[0, 1]].concat();
        assert_eq!(
            changes(kind::DELETE_ROWS, &minimal, &table()),
            Err(RowsError::PartialImage { found: 1, expected: 2 })
        );
    }

    #[test]
    fn an_update_without_its_second_image_is_an_error() {
        let cut = [&HEAD[..], &[3, 3], &[2, 9]].concat();
        assert!(changes(kind::UPDATE_ROWS, &cut, &table()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_changes_or_an_error(tail in prop::collection::vec(0u8..12, 0..60), event_kind in 23u8..33) {
            let _ = changes(event_kind, &tail, &table());
            let _ = changes(event_kind, &[&HEAD[..], &[3, 3], &tail].concat(), &table());
        }
    }
}
