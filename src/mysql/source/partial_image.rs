//! Row images that lack columns (`binlog_row_image` MINIMAL, NOBLOB) or hold changes of JSON documents (PARTIAL_JSON).
//!
//! Fed by `rows_event`. Completes what can be completed: an INSERT by the defaults of its columns (all that MySQL leaves out: it
//! logs the values of expressions), an UPDATE whose image before is whole by that. The rest goes on as `Change::Partial`, which
//! needs the row's key. What cannot be told without the missing columns is an error that names them.

use crate::core::change::Change;
use crate::core::image::{Image, JSON_CHANGES, bitmap, is_set};
use crate::core::row::RowError;
use crate::mysql::source::event::{Cursor, Damaged, kind};
use crate::mysql::source::rows_event::{Head, RowsError};
use crate::mysql::source::scope::{LeftOut, ScopeTable};

/// Bit of the options before an image: JSON values may be changes.
const PARTIAL_JSON_UPDATES: usize = 1;

/// Reads all rows of an event.
pub(super) fn changes(event_kind: u8, head: &Head<'_>, table: &ScopeTable) -> Result<Vec<Change>, RowsError> {
    let mut images = Images { rest: head.rows, table };
    let mut changes = Vec::new();
    while !images.rest.is_empty() {
        let left = images.rest.len();
        let first = images.next(head.present)?;
        // An image of no columns has no length: reading on would never end.
        if images.rest.len() == left {
            return Err(Damaged("rows event").into());
        }
        changes.push(match event_kind {
            kind::WRITE_ROWS | kind::WRITE_ROWS_V1 => table.inserted(first)?,
            kind::DELETE_ROWS | kind::DELETE_ROWS_V1 => table.deleted(first)?,
            _ if head.is_partial_json => {
                let after = images.next_with_json(head.present_after)?;
                table.updated(first, after)?
            }
            _ => {
                let after = images.next(head.present_after)?;
                table.updated(first, after)?
            }
        });
    }
    Ok(changes)
}

struct Images<'a> {
    rest: &'a [u8],
    table: &'a ScopeTable,
}

impl Images<'_> {
    fn next(&mut self, present: &[u8]) -> Result<Image, RowError> {
        let layout = &self.table.layout;
        let mut values = Vec::new();
        let length = layout.split_some(self.rest, present, &mut values)?;
        self.rest = &self.rest[length..];
        Ok(Image {
            row: layout.build(&values)?,
            present: bitmap(layout.columns(), |at| is_set(present, at)),
        })
    }

    /// An image behind its options. An empty list of changes says that the document is unchanged: it counts as not there.
    fn next_with_json(&mut self, present: &[u8]) -> Result<Image, RowsError> {
        const WRONG: Damaged = Damaged("options of a partial update");
        let layout = &self.table.layout;
        let mut cursor = Cursor::new(self.rest);
        let options = cursor.packed().ok_or(WRONG)?;
        let documents: Vec<usize> = (0..layout.columns()).filter(|at| layout.is_json(*at)).collect();
        let bits = if options & PARTIAL_JSON_UPDATES == 0 {
            &[]
        } else {
            cursor.take(documents.len().div_ceil(8)).ok_or(WRONG)?
        };
        let is_changes = |at: usize| {
            documents
                .iter()
                .position(|json| *json == at)
                .is_some_and(|nth| is_set(bits, nth))
        };
        self.rest = cursor.rest();
        let mut values = Vec::new();
        let length = layout.split_some(self.rest, present, &mut values)?;
        self.rest = &self.rest[length..];
        let is_there = |at: usize| is_set(present, at) && !(is_changes(at) && values[at].is_some_and(<[u8]>::is_empty));
        let present = bitmap(layout.columns(), is_there);
        let mark = |(at, value): (usize, &Option<&[u8]>)| {
            let value = value.filter(|_| is_set(&present, at))?;
            let marker: &[u8] = if is_changes(at) { &[JSON_CHANGES] } else { &[] };
            Some([marker, value].concat())
        };
        let values: Vec<Option<Vec<u8>>> = values.iter().enumerate().map(mark).collect();
        let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
        Ok(Image {
            row: layout.build(&values)?,
            present,
        })
    }
}

impl ScopeTable {
    fn is_whole(&self, image: &Image) -> bool {
        (0..self.layout.columns()).all(|at| image.has(at))
    }

    fn inserted(&self, image: Image) -> Result<Change, RowsError> {
        let mut values = Vec::new();
        self.layout.split(&image.row.0, &mut values)?;
        for (at, left_out) in self.left_out.iter().enumerate().filter(|(at, _)| !image.has(*at)) {
            values[at] = match left_out {
                LeftOut::Null => None,
                LeftOut::Value(bytes) => Some(bytes),
                LeftOut::Unknown => return Err(self.lacks(at, "an INSERT")),
            };
            // Its value is calculated; a filter could ask for it.
            if self.shape.columns[at].is_generated && self.has_filter() {
                return Err(self.lacks(at, "an INSERT"));
            }
        }
        Ok(Change::Insert {
            shape: self.id,
            after: self.layout.build(&values)?,
        })
    }

    fn deleted(&self, image: Image) -> Result<Change, RowsError> {
        if self.is_whole(&image) {
            return Ok(Change::Delete {
                shape: self.id,
                before: image.row,
            });
        }
        self.check_key(&image, "a DELETE")?;
        Ok(Change::Partial {
            shape: self.id,
            before: image,
            after: None,
        })
    }

    fn updated(&self, before: Image, after: Image) -> Result<Change, RowsError> {
        if self.is_whole(&before) && !after.has_json_changes(&self.layout)? {
            return Ok(Change::Update {
                shape: self.id,
                after: after.over(&before.row, &self.layout)?,
                before: before.row,
            });
        }
        self.check_key(&before, "an UPDATE")?;
        Ok(Change::Partial {
            shape: self.id,
            before,
            after: Some(after),
        })
    }

    /// The row can be found by what the image before has.
    fn check_key(&self, image: &Image, operation: &str) -> Result<(), RowsError> {
        let missing = match &self.shape.key {
            Some(key) => key.columns.iter().copied().find(|at| !image.has(*at)),
            None => (0..self.layout.columns()).find(|at| !image.has(*at)),
        };
        missing.map_or(Ok(()), |at| Err(self.lacks(at, operation)))
    }

    fn has_filter(&self) -> bool {
        self.shape.map.as_ref().is_some_and(|map| map.filter.is_some())
    }

    fn lacks(&self, at: usize, operation: &str) -> RowsError {
        let column = &self.shape.columns[at].name;
        RowsError::Incomplete(format!("the row image of {operation} without column `{column}`"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::change::Row;
    use crate::core::row::tests::shape;
    use crate::core::shape::{ColumnKind, ShapeId};
    use crate::mysql::source::rows_event;

    /// `c0 TINYINT KEY, c1 TINYINT, c2 JSON, c3 JSON`, all but the first with a default.
    fn table(key: usize) -> ScopeTable {
        let int = || ColumnKind::Int {
            bytes: 1,
            unsigned: true,
        };
        let mut shape = shape(vec![int(), int(), ColumnKind::Json, ColumnKind::Json], key);
        shape.columns[0].is_nullable = false;
        shape.defaults = Some(BTreeMap::from([(1, "07".into())]));
        ScopeTable::new(ShapeId(5), shape, Default::default())
    }

    const HEAD: [u8; 11] = [7, 0, 0, 0, 0, 0, 1, 0, 2, 0, 4];

    fn read(event_kind: u8, body: &[&[u8]], key: usize) -> Result<Vec<Change>, RowsError> {
        rows_event::changes(event_kind, &[&HEAD[..], &body.concat()].concat(), &table(key))
    }

    fn row(values: [Option<&[u8]>; 4]) -> Row {
        table(1).layout.build(&values).unwrap()
    }

    fn image(present: u8, values: [Option<&[u8]>; 4]) -> Image {
        Image {
            row: row(values),
            present: vec![present].into(),
        }
    }

    #[test]
    fn an_insert_gets_the_defaults_of_what_it_leaves_out() {
        let found = read(kind::WRITE_ROWS, &[&[0b0001], &[0, 9]], 1).unwrap();
        let after = row([Some(&[9]), Some(&[7]), None, None]);
        assert_eq!(
            found,
            [Change::Insert {
                shape: ShapeId(5),
                after
            }]
        );
        let error = read(kind::WRITE_ROWS, &[&[0b0010], &[0, 9]], 1).unwrap_err();
        assert!(error.to_string().contains("an INSERT without column `c0`"), "{error}");
    }

    #[test]
    fn an_update_by_key_knows_what_it_changed_and_a_delete_only_its_key() {
        let found = read(kind::UPDATE_ROWS, &[&[0b0001, 0b0110], &[0, 9], &[0b10, 3]], 1).unwrap();
        let before = || image(0b0001, [Some(&[9]), None, None, None]);
        let after = Some(image(0b0110, [None, Some(&[3]), None, None]));
        let change = |after| Change::Partial {
            shape: ShapeId(5),
            before: before(),
            after,
        };
        assert_eq!(found, [change(after)]);
        assert_eq!(read(kind::DELETE_ROWS, &[&[0b0001], &[0, 9]], 1).unwrap(), [change(None)]);
    }

    #[test]
    fn an_update_whose_row_before_is_whole_is_completed_by_it() {
        let found = read(kind::UPDATE_ROWS, &[&[0b1111, 0b0010], &[0b1100, 9, 1], &[0, 3]], 0).unwrap();
        let expected = Change::Update {
            shape: ShapeId(5),
            before: row([Some(&[9]), Some(&[1]), None, None]),
            after: row([Some(&[9]), Some(&[3]), None, None]),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_change_that_finds_no_row_is_refused_with_the_column_that_is_missing() {
        let error = read(kind::DELETE_ROWS, &[&[0b0010], &[0, 9]], 1).unwrap_err();
        assert_eq!(error.to_string(), "the row image of a DELETE without column `c0`");
        assert!(
            read(kind::DELETE_ROWS, &[&[0b0001], &[0, 9]], 0).is_err(),
            "a table without a key needs all"
        );
    }

    #[test]
    fn changes_of_a_document_are_marked_and_an_empty_list_is_no_change() {
        let list: &[u8] = &[2, 3, b'$', b'.', b'a'];
        let after = [&[1, 0b11, 0][..], &[5, 0, 0, 0], list, &[0, 0, 0, 0]].concat();
        let found = read(kind::PARTIAL_UPDATE_ROWS, &[&[0b0001, 0b1100], &[0, 9], &after], 1).unwrap();
        let expected = Change::Partial {
            shape: ShapeId(5),
            before: image(0b0001, [Some(&[9]), None, None, None]),
            after: Some(image(0b0100, [None, None, Some(&[&[JSON_CHANGES], list].concat()), None])),
        };
        assert_eq!(found, [expected]);
    }
}
