//! Rows and changes of a mapped table in the form the target gets them.
//!
//! Used by `flow::merge_stage` between the merger, which sees whole rows of the source, and the sender. Leaves out kinds that
//! are skipped and columns that were not chosen. A change of nothing but columns that were left out is no change.

use crate::core::change::{Change, Row};
use crate::core::row::{RowError, RowLayout};
use crate::core::shape::TableShape;
use crate::core::table_choice::RowKind;

/// What happens to the rows of one table.
#[derive(Clone, Debug)]
pub struct Projection {
    source: RowLayout,
    target: RowLayout,
    /// Ordinals on the source, in the order of the target; None: the row stays as it is.
    columns: Option<Vec<usize>>,
    skip: Vec<RowKind>,
}

impl Projection {
    /// The projection of a table; None: its rows travel as they are.
    #[must_use]
    pub fn of(shape: &TableShape) -> Option<Self> {
        let map = shape.map.as_ref()?;
        let columns: Vec<usize> = map.columns.iter().map(|mapped| mapped.at).collect();
        let is_same = columns.is_empty() || columns.iter().copied().eq(0..shape.columns.len());
        if is_same && map.skip.is_empty() {
            return None;
        }
        Some(Self {
            source: RowLayout::new(shape),
            target: RowLayout::new(&shape.on_target()),
            columns: (!is_same).then_some(columns),
            skip: map.skip.clone(),
        })
    }

    /// One row of the copy.
    ///
    /// # Errors
    /// The row does not fit the shape.
    pub fn row(&self, row: Row) -> Result<Row, RowError> {
        let Some(columns) = &self.columns else {
            return Ok(row);
        };
        let mut values = Vec::with_capacity(self.source.columns());
        self.source.split(&row.0, &mut values)?;
        let chosen: Vec<Option<&[u8]>> = columns.iter().map(|at| values[*at]).collect();
        self.target.build(&chosen)
    }

    /// One change of the stream; None: nothing of it reaches the target.
    ///
    /// # Errors
    /// A row does not fit the shape.
    pub fn change(&self, change: Change) -> Result<Option<Change>, RowError> {
        let is_skipped = |kind| self.skip.contains(&kind);
        Ok(match change {
            Change::Insert { .. } if is_skipped(RowKind::Insert) => None,
            Change::Update { .. } if is_skipped(RowKind::Update) => None,
            Change::Delete { .. } if is_skipped(RowKind::Delete) => None,
            Change::Insert { shape, after } => Some(Change::Insert {
                shape,
                after: self.row(after)?,
            }),
            Change::Delete { shape, before } => Some(Change::Delete {
                shape,
                before: self.row(before)?,
            }),
            Change::Update { shape, before, after } => {
                let (before, after) = (self.row(before)?, self.row(after)?);
                (before != after).then_some(Change::Update { shape, before, after })
            }
        })
    }
}
