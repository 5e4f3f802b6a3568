//! Puts what the merger emits into the form the target gets: other columns, fewer rows, fewer kinds of change.
//!
//! Stands between `flow::merge_stage` and the sender, behind the merger: the order, the copy and its folds work on whole rows of
//! the source. Holds nothing of what it passes on. What happens to a row is `core::projection`.

use std::collections::HashMap;

use crate::core::change::{Change, Chunk, Item, TxnPart};
use crate::core::copy_state::shape_of;
use crate::core::projection::Projection;
use crate::core::row::RowError;
use crate::core::shape::{ShapeId, TableShape};
use crate::flow::error::FlowError;
use crate::flow::source_start::shape_id;
use crate::mysql::error::Error;

/// The projections of a job's tables.
#[derive(Debug)]
pub struct Projector {
    /// Tables whose rows do not travel as they are.
    tables: HashMap<ShapeId, (TableShape, Projection)>,
}

impl Projector {
    /// Element n of `shapes` is shape n.
    #[must_use]
    pub fn new(shapes: &[TableShape]) -> Self {
        let projections = shapes.iter().enumerate().filter_map(|(at, shape)| {
            let projection = Projection::of(shape)?;
            Some((shape_id(at), (shape.clone(), projection)))
        });
        Self {
            tables: projections.collect(),
        }
    }

    /// The item as the target gets it. A transaction stays one, also when nothing of it is left.
    ///
    /// # Errors
    /// A row does not fit its shape.
    pub fn project(&self, item: Item) -> Result<Item, FlowError> {
        if self.tables.is_empty() {
            return Ok(item);
        }
        Ok(match item {
            Item::Txn(part) => Item::Txn(self.part(part)?),
            Item::Chunk(chunk) => Item::Chunk(self.chunk(chunk)?),
            other => other,
        })
    }

    fn part(&self, mut part: TxnPart) -> Result<TxnPart, Error> {
        let mut changes = Vec::with_capacity(part.changes.len());
        for change in part.changes {
            changes.extend(self.change(change)?);
        }
        part.changes = changes;
        Ok(part)
    }

    fn change(&self, change: Change) -> Result<Option<Change>, Error> {
        match self.tables.get(&shape_of(&change)) {
            Some((shape, projection)) => projection.change(change).map_err(|error| bad_row(shape, &error)),
            None => Ok(Some(change)),
        }
    }

    fn chunk(&self, mut chunk: Chunk) -> Result<Chunk, Error> {
        let Some((shape, projection)) = self.tables.get(&chunk.shape) else {
            return Ok(chunk);
        };
        let rows = chunk.rows.into_iter().map(|row| projection.row(row));
        chunk.rows = rows.collect::<Result<_, _>>().map_err(|error| bad_row(shape, &error))?;
        Ok(chunk)
    }
}

fn bad_row(shape: &TableShape, error: &RowError) -> Error {
    Error::BadRow {
        table: shape.name.to_string(),
        reason: error.to_string(),
    }
}
