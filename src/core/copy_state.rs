//! Where every key of every copied table stands, and what happens to a change because of it (PROTOCOLS 1 steps 3, 7, 8, 10).
//!
//! Fed by `flow::merger` with transactions in binlog order and with the rows of chunks; answers which changes go on, and the
//! chunks that are complete. The law: after each emitted item the target equals the source at that position, restricted
//! to the copied ranges. Does not read anything, does not order keys of types that only the server can order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::core::cascade::Family;
use crate::core::change::{BinlogPosition, Change, Chunk, CopyRow, Key};
use crate::core::copy_fold::SiftError;
use crate::core::copy_table::{Closing, CopyTable, ReadRows};
use crate::core::row::RowError;
use crate::core::shape::{ShapeId, TableName, TableShape};

/// Orders a key against a border of the copy, as the source's index orders them.
pub trait BorderOrder {
    /// `key <= border`.
    fn is_at_most(&self, shape: &TableShape, key: &Key, border: &Key) -> bool;
}

/// A comparison somebody must make before `sift` can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The table.
    pub shape: ShapeId,
    /// The key of a change.
    pub key: Key,
    /// A border of the copy.
    pub border: Key,
}

/// The copy of all tables of a job.
#[derive(Debug, Default)]
pub struct CopyState {
    tables: BTreeMap<ShapeId, CopyTable>,
    family: Family,
}

impl CopyState {
    /// The state a subscription starts from: `copy` is what the target has; a table without an entry is not copied, only followed.
    #[must_use]
    pub fn new(shapes: &[TableShape], copy: &[CopyRow]) -> Self {
        let mut tables = BTreeMap::new();
        for row in copy {
            let Some((number, shape)) = find(shapes, &row.table) else {
                continue;
            };
            let cursor = if shape.key.is_some() { row.cursor.clone() } else { None };
            tables.insert(number, CopyTable::new(number, shape.clone(), cursor, row.is_done));
        }
        let family = Family::of(shapes);
        Self { tables, family }
    }

    /// The table waits until its parents are copied: a row of it must find on the target the row by which the engine changes it.
    #[must_use]
    pub fn is_held(&self, shape: ShapeId) -> bool {
        let is_open = |parent: ShapeId| self.tables.get(&parent).is_some_and(|table| !table.is_done());
        self.family.before(shape).any(is_open)
    }

    /// A table whose open chunk the engine of the source may have changed.
    #[must_use]
    pub fn cascaded(&self) -> Option<ShapeId> {
        self.tables.iter().find(|(_, table)| table.is_cascaded()).map(|(id, _)| *id)
    }

    /// The copy of one table; None: it is not copied.
    #[must_use]
    pub fn table(&self, shape: ShapeId) -> Option<&CopyTable> {
        self.tables.get(&shape)
    }

    /// All tables of the copy.
    pub fn tables(&self) -> impl Iterator<Item = (ShapeId, &CopyTable)> {
        self.tables.iter().map(|(id, table)| (*id, table))
    }

    /// Nothing is left to copy.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.tables.values().all(CopyTable::is_done)
    }

    /// Keyless tables that are not done: their copy cannot go on where it was, the target must empty them.
    #[must_use]
    pub fn not_resumable(&self) -> Vec<ShapeId> {
        let is_lost = |table: &CopyTable| table.shape().key.is_none() && !table.is_done();
        self.tables
            .iter()
            .filter(|(_, table)| is_lost(table))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Every comparison that `sift` will need for tables whose keys are ordered by the server.
    ///
    /// # Errors
    /// A row does not fit its shape.
    pub fn questions(&self, changes: &[Change], is_needed: impl Fn(&TableShape) -> bool) -> Result<Vec<Question>, RowError> {
        let mut questions = Vec::new();
        for change in changes {
            let Some(table) = self.tables.get(&change.shape()) else {
                continue;
            };
            if table.is_done() || !is_needed(table.shape()) {
                continue;
            }
            for key in table.keys(change)? {
                let ask = |border: &Key| Question {
                    shape: change.shape(),
                    key: key.clone(),
                    border: border.clone(),
                };
                questions.extend(table.borders().map(ask));
            }
        }
        Ok(questions)
    }

    /// Keeps the changes that are to be emitted now; folds those in open chunks, drops those in unread ranges.
    ///
    /// # Errors
    /// A row does not fit its shape, or a change cannot be placed because its image lacks columns.
    pub fn sift(&mut self, changes: Vec<Change>, order: &impl BorderOrder) -> Result<Vec<Change>, SiftError> {
        if self.is_done() {
            return Ok(changes);
        }
        let all = changes.len();
        let mut kept = Vec::with_capacity(all);
        for change in changes {
            if let Change::Cascade(change) = change {
                kept.extend(self.sift_cascade(*change, order)?);
                continue;
            }
            match self.tables.get_mut(&change.shape()) {
                Some(table) => kept.extend(table.sift(change, order)?),
                None => kept.push(change),
            }
        }
        // Counted by its own bytes from here on: it must not keep the rows that were dropped beside it.
        if kept.len() < all {
            kept = kept.into_iter().map(Change::detached).collect();
        }
        Ok(kept)
    }

    /// The engine of the target does the rest when the row is there as it was on the source. What is not, has no children on the target
    /// as long as none is copied; open chunks of children are read again.
    fn sift_cascade(&mut self, change: Change, order: &impl BorderOrder) -> Result<Option<Change>, SiftError> {
        let parent = change.shape();
        let mut has_children = false;
        for child in self.family.children(parent) {
            has_children |= self.tables.get(&child).is_none_or(CopyTable::has_begun);
        }
        let sifted = match self.tables.get_mut(&parent) {
            Some(table) if !table.is_done() => table.sift(change.clone(), order)?,
            Some(_) | None => Some(change.clone()),
        };
        for child in self.family.children(parent) {
            if let Some(table) = self.tables.get_mut(&child) {
                table.cascade();
            }
        }
        match sifted {
            Some(same) if same == change => Ok(Some(Change::Cascade(Box::new(same)))),
            other if !has_children => Ok(other),
            _ => Err(SiftError::Cascade {
                table: self.tables[&parent].shape().name.clone(),
            }),
        }
    }

    /// A transaction ended here.
    pub fn commit(&mut self, end: &BinlogPosition) {
        self.tables.values_mut().for_each(|table| table.commit(end));
    }

    /// Registers the next chunk of a table, up to `high` (None: the end). Only between two transactions.
    pub fn open(&mut self, shape: ShapeId, high: Option<Key>) {
        if let Some(table) = self.tables.get_mut(&shape) {
            table.open(high);
        }
    }

    /// Takes the rows of the open chunk.
    pub fn put_rows(&mut self, shape: ShapeId, read: ReadRows) {
        if let Some(table) = self.tables.get_mut(&shape) {
            table.put_rows(read);
        }
    }

    /// Drops rows and fold of the open chunk; its range is read again later.
    pub fn void(&mut self, shape: ShapeId) {
        if let Some(table) = self.tables.get_mut(&shape) {
            table.void();
        }
    }

    /// Closes every chunk that may be closed with the stream at `at`. Only between two transactions.
    ///
    /// # Errors
    /// A row does not fit its shape.
    pub fn close(&mut self, at: &BinlogPosition) -> Result<Vec<(ShapeId, Closed)>, RowError> {
        let mut closed = Vec::new();
        for (id, table) in &mut self.tables {
            match table.close(at)? {
                Closing::NotYet => {}
                Closing::Stale => closed.push((*id, Closed::Stale)),
                Closing::Done(chunks) => closed.push((*id, Closed::Chunks(chunks))),
            }
        }
        Ok(closed)
    }
}

/// A chunk that ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Closed {
    /// Keyless: changed between view and mark. Try again.
    Stale,
    /// Emit these, with nothing between.
    Chunks(Vec<Chunk>),
}

fn find<'a>(shapes: &'a [TableShape], name: &TableName) -> Option<(ShapeId, &'a TableShape)> {
    let at = shapes.iter().position(|shape| shape.name == *name)?;
    Some((
        ShapeId(u32::try_from(at).expect("a job has fewer than 2^32 tables")),
        &shapes[at],
    ))
}

/// `a` is at or after `b` in the binlog. File numbers compare as numbers: `binlog.1000000` comes after `binlog.999999`.
#[must_use]
pub fn is_at_or_after(a: &BinlogPosition, b: &BinlogPosition) -> bool {
    let by_file = file_number(&a.file).cmp(&file_number(&b.file));
    by_file.then(a.offset.cmp(&b.offset)) != Ordering::Less
}

/// None, before every number: no file is known yet.
fn file_number(file: &str) -> Option<u64> {
    file.rsplit('.').next().and_then(|digits| digits.parse().ok())
}

#[cfg(test)]
#[path = "copy_state_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "copy_state_laws.rs"]
mod laws;
