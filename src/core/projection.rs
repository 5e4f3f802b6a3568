//! Rows and changes of a mapped table in the form the target gets them.
//!
//! Used by `flow::projector`, behind the merger, which sees whole rows of the source. Leaves out rows that the filter keeps away,
//! kinds that are skipped and columns that were not chosen. A row that comes under the filter appears on the target, one that
//! leaves it goes. A change of nothing but columns that were left out is no change.

use crate::core::change::{Change, Row};
use crate::core::row::{RowError, RowLayout};
use crate::core::row_filter::RowFilter;
use crate::core::shape::TableShape;
use crate::core::table_choice::RowKind;

/// What happens to the rows of one table.
#[derive(Clone, Debug)]
pub struct Projection {
    source: RowLayout,
    target: RowLayout,
    /// Ordinals on the source, in the order of the target; None: the row stays as it is.
    columns: Option<Vec<usize>>,
    filter: Option<RowFilter>,
    skip: Vec<RowKind>,
}

impl Projection {
    /// The projection of a table; None: its rows travel as they are.
    ///
    /// # Errors
    /// The filter does not fit the shape.
    pub fn of(shape: &TableShape) -> Result<Option<Self>, String> {
        let Some(map) = &shape.map else { return Ok(None) };
        let columns: Vec<usize> = map.columns.iter().map(|mapped| mapped.at).collect();
        let is_same = columns.is_empty() || columns.iter().copied().eq(0..shape.columns.len());
        if is_same && map.skip.is_empty() && map.filter.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            source: RowLayout::new(shape),
            target: RowLayout::new(&shape.on_target()),
            columns: (!is_same).then_some(columns),
            filter: map.filter.as_ref().map(|text| RowFilter::of(text, shape)).transpose()?,
            skip: map.skip.clone(),
        }))
    }

    /// The filter of the table; None: all rows.
    #[must_use]
    pub fn filter(&self) -> Option<&RowFilter> {
        self.filter.as_ref()
    }

    /// One row of the copy under the names of the target; whether it passes the filter was asked before.
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

    /// One change of the stream; None: nothing of it reaches the target. `passes` tells which rows the filter lets through.
    ///
    /// # Errors
    /// A row does not fit the shape.
    pub fn change(&self, change: Change, passes: impl Fn(&Row) -> Result<bool, RowError>) -> Result<Option<Change>, RowError> {
        let Some(change) = filtered(change, passes)? else {
            return Ok(None);
        };
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

/// The change as it looks through the filter.
fn filtered(change: Change, passes: impl Fn(&Row) -> Result<bool, RowError>) -> Result<Option<Change>, RowError> {
    Ok(match change {
        Change::Insert { shape, after } => passes(&after)?.then_some(Change::Insert { shape, after }),
        Change::Delete { shape, before } => passes(&before)?.then_some(Change::Delete { shape, before }),
        Change::Update { shape, before, after } => match (passes(&before)?, passes(&after)?) {
            (true, true) => Some(Change::Update { shape, before, after }),
            (true, false) => Some(Change::Delete { shape, before }),
            (false, true) => Some(Change::Insert { shape, after }),
            (false, false) => None,
        },
    })
}
