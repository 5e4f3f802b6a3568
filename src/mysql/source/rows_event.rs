//! Rows events to changes, without a copy per row.
//!
//! Fed by the assembler with events of tables in scope. The event's bytes are copied once; each row is a slice of them.
//! Images that lack columns are read by `partial_image`.

use bytes::Bytes;

use crate::core::cascade::is_cascading;
use crate::core::change::{Change, Row};
use crate::core::image::is_set;
use crate::core::row::RowError;
use crate::mysql::source::event::{Cursor, Damaged, kind};
use crate::mysql::source::partial_image;
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
    /// Columns are missing in the image, and the change cannot be told without them.
    #[error("{0}")]
    Incomplete(String),
}

/// Table id of the event that only ends a statement.
pub(super) const TABLE_ID_NONE: u64 = 0x00ff_ffff;

/// The session had foreign keys off: its engine did nothing for them.
const NO_FOREIGN_KEY_CHECKS: u16 = 0x02;
/// The server looks after foreign keys above the engine, and logs what it does for them (9.6).
const SQL_FOREIGN_KEYS: u16 = 0x10;

/// Reads all rows of an event.
pub(super) fn changes(event_kind: u8, body: &[u8], table: &ScopeTable) -> Result<Vec<Change>, RowsError> {
    let head = Head::read(event_kind, body, table)?;
    let changes = if head.is_whole(table) {
        whole(event_kind, Bytes::copy_from_slice(head.rows), table)?
    } else {
        partial_image::changes(event_kind, &head, table)?
    };
    match &table.referenced {
        Some(columns) if head.flags & (NO_FOREIGN_KEY_CHECKS | SQL_FOREIGN_KEYS) == 0 => {
            let marked = |change: Change| {
                let is_cascading = is_cascading(&change, columns, &table.layout)?;
                Ok(if is_cascading {
                    Change::Cascade(Box::new(change))
                } else {
                    change
                })
            };
            changes.into_iter().map(marked).collect()
        }
        Some(_) | None => Ok(changes),
    }
}

/// Rows with all their columns.
fn whole(event_kind: u8, bytes: Bytes, table: &ScopeTable) -> Result<Vec<Change>, RowsError> {
    let mut rows = Rows { bytes, at: 0, table };
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

/// What stands before the rows.
pub(super) struct Head<'a> {
    /// Of the event.
    flags: u16,
    /// Columns of the first image of each change.
    pub present: &'a [u8],
    /// Columns of the second; as the first where there is one only.
    pub present_after: &'a [u8],
    /// JSON values may be changes of documents.
    pub is_partial_json: bool,
    /// The rows.
    pub rows: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(event_kind: u8, body: &'a [u8], table: &ScopeTable) -> Result<Self, RowsError> {
        const WRONG: Damaged = Damaged("rows event");
        let is_partial_json = event_kind == kind::PARTIAL_UPDATE_ROWS;
        let mut cursor = Cursor::new(body);
        // The table's number.
        cursor.skip(6).ok_or(WRONG)?;
        let flags = cursor.uint(2).and_then(|flags| u16::try_from(flags).ok()).ok_or(WRONG)?;
        if is_partial_json || matches!(event_kind, kind::WRITE_ROWS | kind::UPDATE_ROWS | kind::DELETE_ROWS) {
            // Extra row information; the length counts itself.
            let extra = cursor.uint(2).ok_or(WRONG)?;
            cursor.skip(extra.checked_sub(2).ok_or(WRONG)?).ok_or(WRONG)?;
        }
        let columns = cursor.packed().ok_or(WRONG)?;
        // A row of no columns has no length: reading on would never end.
        if columns != table.layout.columns() || columns == 0 {
            return Err(WRONG.into());
        }
        let present = cursor.take(columns.div_ceil(8)).ok_or(WRONG)?;
        let is_update = is_partial_json || matches!(event_kind, kind::UPDATE_ROWS | kind::UPDATE_ROWS_V1);
        let present_after = if is_update {
            cursor.take(columns.div_ceil(8)).ok_or(WRONG)?
        } else {
            present
        };
        Ok(Self {
            flags,
            present,
            present_after,
            is_partial_json,
            rows: cursor.rest(),
        })
    }

    fn is_whole(&self, table: &ScopeTable) -> bool {
        let all = |bits: &[u8]| (0..table.layout.columns()).all(|at| is_set(bits, at));
        !self.is_partial_json && all(self.present) && all(self.present_after)
    }
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
        ScopeTable::new(ShapeId(5), shape, Default::default())
    }

    const HEAD: [u8; 11] = [7, 0, 0, 0, 0, 0, 1, 0, 2, 0, 2];

    #[test]
    fn what_the_engine_cascades_from_is_marked_by_the_flags_of_the_event() {
        let mut parent = table();
        parent.referenced = Some([0].into());
        let cascades = |flags: u8, event_kind: u8, rows: &[u8]| {
            let update = [3].repeat(usize::from(event_kind == kind::UPDATE_ROWS) + 1);
            let body = [&[7, 0, 0, 0, 0, 0, flags, 0, 2, 0, 2], &update[..], rows].concat();
            let found = changes(event_kind, &body, &parent).unwrap();
            found
                .iter()
                .map(|change| matches!(change, Change::Cascade(_)))
                .collect::<Vec<_>>()
        };
        let renumbered = [0, 1, 1, b'a', 0, 2, 1, b'a'];
        let renamed = [0, 1, 1, b'a', 0, 1, 1, b'b'];
        let both = [renumbered, renamed].concat();
        assert_eq!(cascades(1, kind::UPDATE_ROWS, &both), [true, false]);
        assert_eq!(cascades(1, kind::DELETE_ROWS, &renumbered), [true, true]);
        assert_eq!(cascades(1, kind::WRITE_ROWS, &renumbered), [false, false]);
        assert_eq!(
            cascades(3, kind::DELETE_ROWS, &renumbered),
            [false, false],
            "foreign_key_checks = 0"
        );
        assert_eq!(
            cascades(0x11, kind::DELETE_ROWS, &renumbered),
            [false, false],
            "the server logs it"
        );
    }

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
    fn an_update_without_its_second_image_is_an_error() {
        let cut = [&HEAD[..], &[3, 3], &[2, 9]].concat();
        assert!(changes(kind::UPDATE_ROWS, &cut, &table()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_changes_or_an_error(tail in prop::collection::vec(0u8..12, 0..60), event_kind in 23u8..40) {
            let _ = changes(event_kind, &tail, &table());
            let _ = changes(event_kind, &[&HEAD[..], &[3, 3], &tail].concat(), &table());
            let _ = changes(event_kind, &[&HEAD[..], &[1, 2], &tail].concat(), &table());
        }
    }
}
