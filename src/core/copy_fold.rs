//! What the stream did to each key of an open chunk, to be laid over the rows that are read for it (PROTOCOLS 1 steps 7, 8, 10).
//!
//! Part of `core::copy_table`. Holds one fate per key; its bytes are counted. A change whose effect on the row cannot be told
//! from its images spoils the fold: the chunk is then read again, and shows the effect itself.

use std::collections::BTreeMap;

use crate::core::change::{Key, Row};
use crate::core::image::Image;
use crate::core::row::{RowError, RowLayout};
use crate::core::row_bag::{key_bytes, row_bytes};
use crate::core::shape::TableName;

/// A change that cannot be placed. Nothing of its transaction may be emitted; a person acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiftError {
    /// A row does not fit its shape.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A row got a key whose range is on the target already, from one that is not, and its image lacks columns.
    #[error("{table}: a key was changed while the table is copied, in a row image without all columns")]
    Moved {
        /// The table.
        table: TableName,
    },
    /// The engine of the source changed children of a row whose range is not on the target; children are.
    #[error(
        "{table}: a row with children was deleted or renumbered while the table is copied, and what its foreign keys did is not logged"
    )]
    Cascade {
        /// The table.
        table: TableName,
    },
}

/// What became of a key.
#[derive(Debug)]
enum Fate {
    /// The last image. It decides: a view shows a prefix of the key's history.
    Row(Row),
    Gone,
    /// Columns that were set on whatever row the view shows.
    Patch(Image),
}

/// The fates of all keys the stream touched.
#[derive(Debug, Default)]
pub(super) struct KeyFold {
    fates: BTreeMap<Key, Fate>,
    bytes: u64,
    is_spoiled: bool,
}

impl KeyFold {
    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It cannot be laid over any rows.
    pub fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// A change came whose effect is not known.
    pub fn spoil(&mut self) {
        self.is_spoiled = true;
        self.fates.clear();
        self.bytes = 0;
    }

    /// The keys it holds.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.fates.keys()
    }

    /// The row with this key is this one now, or gone.
    pub fn set(&mut self, key: Key, row: Option<&Row>) {
        self.put(key, row.map_or(Fate::Gone, |row| Fate::Row(row.detached())));
    }

    /// Some columns of the row with this key are these now.
    ///
    /// # Errors
    /// A row does not fit the layout.
    pub fn patch(&mut self, key: Key, image: &Image, layout: &RowLayout) -> Result<(), RowError> {
        let fate = match self.fates.get(&key) {
            _ if image.has_json_changes(layout)? => {
                self.spoil();
                return Ok(());
            }
            None => Fate::Patch(image.detached()),
            Some(Fate::Patch(below)) => Fate::Patch(image.joined(below, layout)?),
            Some(Fate::Row(row)) => Fate::Row(image.over(row, layout)?),
            // A row that went cannot change before it comes again.
            Some(Fate::Gone) => {
                self.spoil();
                return Ok(());
            }
        };
        self.put(key, fate);
        Ok(())
    }

    fn put(&mut self, key: Key, fate: Fate) {
        if self.is_spoiled {
            return;
        }
        self.bytes += key_bytes(&key) + fate_bytes(&fate);
        if let Some(old) = self.fates.insert(key, fate) {
            self.bytes -= fate_bytes(&old);
        }
    }

    /// Lays the fates over the rows, whose keys `key_of` tells. Replaced rows keep their place, new ones follow at the end.
    ///
    /// # Errors
    /// A row does not fit the layout.
    pub fn replay(
        mut self,
        rows: Vec<Row>,
        layout: &RowLayout,
        key_of: impl Fn(&Row) -> Result<Key, RowError>,
    ) -> Result<Vec<Row>, RowError> {
        let mut kept = Vec::with_capacity(rows.len());
        for row in rows {
            match self.fates.remove(&key_of(&row)?) {
                None => kept.push(row),
                Some(Fate::Row(image)) => kept.push(image),
                Some(Fate::Gone) => {}
                Some(Fate::Patch(image)) => kept.push(image.over(&row, layout)?),
            }
        }
        // A patch without its row: the view is later than the row's end, which the stream would have shown by now. None is left.
        kept.extend(self.fates.into_values().filter_map(|fate| match fate {
            Fate::Row(row) => Some(row),
            Fate::Gone | Fate::Patch(_) => None,
        }));
        Ok(kept)
    }
}

fn fate_bytes(fate: &Fate) -> u64 {
    match fate {
        Fate::Row(row) => row_bytes(row),
        Fate::Gone => 0,
        Fate::Patch(image) => row_bytes(&image.row) + image.present.len() as u64,
    }
}
