//! Changes cut down to what a target needs that takes row events: the key, and the columns that changed (the images of
//! `binlog_row_image = MINIMAL`).
//!
//! Used at the end of the source task (`flow::minimal_cut`) for the tables that the sink asked for. The copy, filters and maps before it
//! work on whole rows. An insert stays whole; so do a change of the key and whatever cascades.

use crate::core::change::Change;
use crate::core::image::{Image, bitmap};
use crate::core::row::{RowError, RowLayout};
use crate::core::shape::TableShape;

/// How changes of one table are cut down.
#[derive(Clone, Debug)]
pub struct MinimalImages {
    layout: RowLayout,
    key: Vec<usize>,
}

impl MinimalImages {
    /// None: changes of this table stay whole. Without a key the whole row finds it; a map or a cascade needs whole rows; unique values
    /// beside the key may swap places, which takes whole rows to delete and insert; a generated column is not in the log of every server.
    #[must_use]
    pub fn of(shape: &TableShape) -> Option<Self> {
        let key = shape.key.as_ref()?.columns.clone();
        let is_generated = shape.columns.iter().any(|column| column.is_generated);
        let is_whole = shape.map.is_some() || shape.has_secondary_unique || !shape.cascades.is_empty() || is_generated;
        (!is_whole).then(|| Self {
            layout: RowLayout::new(shape),
            key,
        })
    }

    /// The change with the images it needs.
    ///
    /// # Errors
    /// A row does not fit the shape.
    pub fn cut(&self, change: Change) -> Result<Change, RowError> {
        match &change {
            Change::Delete { shape, before } => {
                let mut values = Vec::with_capacity(self.layout.columns());
                self.layout.split(&before.0, &mut values)?;
                Ok(Change::Partial {
                    shape: *shape,
                    before: self.image(&values, |at| self.is_key(at))?,
                    after: None,
                })
            }
            Change::Update { shape, before, after } => {
                let columns = self.layout.columns();
                let (mut old, mut new) = (Vec::with_capacity(columns), Vec::with_capacity(columns));
                self.layout.split(&before.0, &mut old)?;
                self.layout.split(&after.0, &mut new)?;
                let is_changed = |at: usize| old[at] != new[at];
                if self.key.iter().any(|at| is_changed(*at)) || !(0..columns).any(is_changed) {
                    return Ok(change);
                }
                Ok(Change::Partial {
                    shape: *shape,
                    before: self.image(&old, |at| self.is_key(at))?,
                    after: Some(self.image(&new, is_changed)?),
                })
            }
            Change::Insert { .. } | Change::Partial { .. } | Change::Cascade(_) => Ok(change),
        }
    }

    fn is_key(&self, column: usize) -> bool {
        self.key.contains(&column)
    }

    fn image(&self, values: &[Option<&[u8]>], is_in: impl Fn(usize) -> bool) -> Result<Image, RowError> {
        let known: Vec<Option<&[u8]>> = values
            .iter()
            .enumerate()
            .map(|(at, value)| value.filter(|_| is_in(at)))
            .collect();
        Ok(Image {
            row: self.layout.build(&known)?,
            present: bitmap(values.len(), is_in),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::Row;
    use crate::core::row::tests::shape;
    use crate::core::shape::{ColumnKind, ShapeId};

    const SHAPE: ShapeId = ShapeId(3);

    /// `c0 TINYINT KEY, c1 VARCHAR, c2 TINYINT`.
    fn table() -> TableShape {
        let int = || ColumnKind::Int {
            bytes: 1,
            unsigned: true,
        };
        shape(vec![int(), ColumnKind::VarBinary { bytes_max: 9 }, int()], 1)
    }

    fn row(values: [Option<&[u8]>; 3]) -> Row {
        RowLayout::new(&table()).build(&values).unwrap()
    }

    fn image(present: u8, values: [Option<&[u8]>; 3]) -> Image {
        Image {
            row: row(values),
            present: vec![present].into(),
        }
    }

    fn cut(change: Change) -> Change {
        MinimalImages::of(&table()).unwrap().cut(change).unwrap()
    }

    fn update(before: [Option<&[u8]>; 3], after: [Option<&[u8]>; 3]) -> Change {
        Change::Update {
            shape: SHAPE,
            before: row(before),
            after: row(after),
        }
    }

    #[test]
    fn an_update_keeps_its_key_and_the_columns_that_changed() {
        let found = cut(update([Some(&[1]), Some(b"old"), Some(&[7])], [Some(&[1]), None, Some(&[7])]));
        let expected = Change::Partial {
            shape: SHAPE,
            before: image(0b001, [Some(&[1]), None, None]),
            after: Some(image(0b010, [None, None, None])),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_delete_keeps_its_key() {
        let before = row([Some(&[1]), Some(b"old"), None]);
        let expected = Change::Partial {
            shape: SHAPE,
            before: image(0b001, [Some(&[1]), None, None]),
            after: None,
        };
        assert_eq!(cut(Change::Delete { shape: SHAPE, before }), expected);
    }

    #[test]
    fn what_the_key_and_the_changed_columns_do_not_tell_stays_whole() {
        for whole in [
            update([Some(&[1]), None, None], [Some(&[2]), None, None]),
            update([Some(&[1]), None, None], [Some(&[1]), None, None]),
            Change::Insert {
                shape: SHAPE,
                after: row([Some(&[1]), None, None]),
            },
        ] {
            assert_eq!(cut(whole.clone()), whole);
        }
    }

    #[test]
    fn tables_whose_rows_are_needed_whole_are_left_alone() {
        let is_cut = |change: &dyn Fn(&mut TableShape)| {
            let mut shape = table();
            change(&mut shape);
            MinimalImages::of(&shape).is_some()
        };
        assert!(is_cut(&|_| {}));
        assert!(!is_cut(&|shape| shape.key = None));
        assert!(!is_cut(&|shape| shape.has_secondary_unique = true));
        assert!(!is_cut(&|shape| shape.columns[2].is_generated = true));
    }
}
