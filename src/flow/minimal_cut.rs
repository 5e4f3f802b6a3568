//! Cuts changes down to the images the sink asked for, table by table.
//!
//! Part of `flow::merge_stage`, behind the projector: the last thing that happens to a change before it is sent. What a cut change holds
//! is `core::minimal_image`. The sink's wish may change at any time: whole and cut changes of a table may follow each other.

use std::collections::{HashMap, HashSet};

use tokio::sync::watch;

use crate::core::change::{Change, Item};
use crate::core::minimal_image::MinimalImages;
use crate::core::shape::{ShapeId, TableShape};
use crate::flow::source_start::shape_id;
use crate::mysql::error::Error;

/// Tables of which the sink wants minimal images.
pub type MinimalTables = HashSet<ShapeId>;

/// The tables that can be cut, and the sink's wish.
#[derive(Debug)]
pub struct MinimalCut {
    tables: HashMap<ShapeId, (MinimalImages, String)>,
    wanted: watch::Receiver<MinimalTables>,
}

impl MinimalCut {
    /// Element n of `shapes` is shape n.
    #[must_use]
    pub fn new(shapes: &[TableShape], wanted: watch::Receiver<MinimalTables>) -> Self {
        let table = |(at, shape): (usize, &TableShape)| {
            let images = MinimalImages::of(shape)?;
            Some((shape_id(at), (images, shape.name.to_string())))
        };
        Self {
            tables: shapes.iter().enumerate().filter_map(table).collect(),
            wanted,
        }
    }

    /// The item as the sink wants it.
    ///
    /// # Errors
    /// A row does not fit its shape.
    pub fn cut(&self, item: Item) -> Result<Item, Error> {
        let Item::Txn(mut part) = item else { return Ok(item) };
        let wanted = self.wanted.borrow();
        if !wanted.is_empty() {
            let cut = |change: Change| match self.tables.get(&change.shape()) {
                Some((images, name)) if wanted.contains(&change.shape()) => images.cut(change).map_err(|error| Error::BadRow {
                    table: name.clone(),
                    reason: error.to_string(),
                }),
                _ => Ok(change),
            };
            part.changes = part.changes.into_iter().map(cut).collect::<Result<_, _>>()?;
        }
        Ok(Item::Txn(part))
    }
}
