//! Rows and changes of a mapped table in the form the target gets them.
//!
//! Used by `flow::projector`, behind the merger, which sees whole rows of the source. Leaves out rows that the filter keeps away,
//! kinds that are skipped and columns that were not chosen. A row that comes under the filter appears on the target, one that
//! leaves it goes. A change of nothing but columns that were left out is no change.

use crate::core::change::{Change, Row};
use crate::core::image::{Image, bitmap};
use crate::core::row::{RowError, RowLayout};
use crate::core::row_filter::RowFilter;
use crate::core::shape::TableShape;
use crate::core::table_choice::RowKind;

/// A change that has no form for the target. Nothing of its transaction may be emitted; a person acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// A row does not fit its shape.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The filter cannot judge the row.
    #[error("a row image without column `{column}`, which the filter needs")]
    Lacks {
        /// The column.
        column: String,
    },
    /// The target would have to do by itself what the engine of the source did, and has another table.
    #[error(
        "a change by which foreign keys changed other rows, which the source does not log, of a table that is not carried as it is"
    )]
    Cascades,
    /// A row comes under the filter and is not known as a whole.
    #[error("a row that comes under the filter in an image without all columns")]
    Enters,
}

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

    /// The same of an image that lacks columns.
    fn image(&self, image: Image) -> Result<Image, RowError> {
        let Some(columns) = &self.columns else {
            return Ok(image);
        };
        let is_left_out = |at: &usize| image.has(*at) && !columns.contains(at);
        let has_more = (0..self.source.columns()).any(|at| is_left_out(&at));
        let present = bitmap(columns.len() + 1, |at| columns.get(at).map_or(has_more, |at| image.has(*at)));
        let row = self.row(image.row)?;
        Ok(Image { row, present })
    }

    /// The rows of a change of which the filter must know whether they pass: empty without a filter. Of an image that lacks columns
    /// they are right in the columns that the filter names.
    ///
    /// # Errors
    /// A row does not fit the shape, or lacks a column that the filter names.
    pub fn judged(&self, change: &Change) -> Result<Vec<Row>, ProjectionError> {
        let Some(filter) = &self.filter else {
            return Ok(Vec::new());
        };
        let Change::Partial { before, after, .. } = change else {
            return Ok(change.rows().cloned().collect());
        };
        if let Some(column) = filter.columns_at().find(|at| !before.has(*at)) {
            let column = filter.name_of(column);
            return Err(ProjectionError::Lacks { column });
        }
        let after = after
            .as_ref()
            .map(|after| after.over(&before.row, &self.source))
            .transpose()?;
        Ok(std::iter::once(before.row.clone()).chain(after).collect())
    }

    /// One change of the stream; None: nothing of it reaches the target. `passes` tells which rows the filter lets through.
    ///
    /// # Errors
    /// A row does not fit the shape, or lacks columns that are needed.
    pub fn change(
        &self,
        change: Change,
        passes: impl Fn(&Row) -> Result<bool, RowError>,
    ) -> Result<Option<Change>, ProjectionError> {
        if matches!(change, Change::Cascade(_)) {
            return Err(ProjectionError::Cascades);
        }
        let judged = self.judged(&change)?;
        let passing = judged.iter().map(passes).collect::<Result<Vec<bool>, RowError>>()?;
        let (old, new) = match passing[..] {
            [] => (true, true),
            [one] => (one, one),
            [old, new, ..] => (old, new),
        };
        let Some(change) = filtered(change, old, new)? else {
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
            Change::Cascade(_) => return Err(ProjectionError::Cascades),
            Change::Partial { after: None, .. } if is_skipped(RowKind::Delete) => None,
            Change::Partial { after: Some(_), .. } if is_skipped(RowKind::Update) => None,
            Change::Partial { shape, before, after } => {
                let after = after.map(|after| self.image(after)).transpose()?;
                let is_nothing = |after: &Image| (0..self.target.columns()).all(|at| !after.has(at));
                let is_nothing = after.as_ref().is_some_and(is_nothing);
                let before = self.image(before)?;
                (!is_nothing).then_some(Change::Partial { shape, before, after })
            }
        })
    }
}

/// The change as it looks through the filter, which lets the old row through, and the new one.
fn filtered(change: Change, old: bool, new: bool) -> Result<Option<Change>, ProjectionError> {
    Ok(match (old, new, change) {
        (true, true, change) => Some(change),
        (false, false, _) => None,
        (true, false, Change::Update { shape, before, .. }) => Some(Change::Delete { shape, before }),
        (false, true, Change::Update { shape, after, .. }) => Some(Change::Insert { shape, after }),
        (true, false, Change::Partial { shape, before, .. }) => Some(Change::Partial {
            shape,
            before,
            after: None,
        }),
        (false, true, Change::Partial { .. }) => return Err(ProjectionError::Enters),
        (_, _, Change::Cascade(_)) => return Err(ProjectionError::Cascades),
        // One row passes or does not.
        (_, _, Change::Insert { .. } | Change::Delete { .. }) => None,
    })
}
