//! Rows of a table without a key: a multiset, and how many bytes rows and changes weigh.
//!
//! Used by `core::copy_table`. A bag is in memory as a whole; its driver counts the bytes and gives up above the budget. Rows are
//! found by their bytes, JSON by its normal form: the stream's documents may have gaps that those of the copy do not.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::core::change::{Change, Chunk, Key, Row};
use crate::core::json_tree;
use crate::core::row::RowLayout;
use crate::core::shape::{Column, ColumnKind, ShapeId, TableShape};

/// Rows of one piece of a keyless table, in bytes: far below the frame limit of 16 MiB, large enough that its group pays.
const KEYLESS_PIECE_BYTES: u64 = 4 << 20;

/// Bytes of rows of a keyless table: it is copied as a whole, in memory (PROTOCOLS 1 step 13).
pub const KEYLESS_READ_MAX: u64 = 64 << 20;

/// A multiset of rows that keeps the order they came in, as far as it can.
#[derive(Debug)]
pub struct RowBag {
    layout: RowLayout,
    /// Columns that hold JSON.
    json: Vec<usize>,
    rows: Vec<Option<Row>>,
    at: BTreeMap<Bytes, Vec<usize>>,
}

impl RowBag {
    /// These rows of a table.
    #[must_use]
    pub fn new(shape: &TableShape, rows: Vec<Row>) -> Self {
        let is_json = |(at, column): (usize, &Column)| (column.kind == ColumnKind::Json).then_some(at);
        let mut bag = Self {
            layout: RowLayout::new(shape),
            json: shape.columns.iter().enumerate().filter_map(is_json).collect(),
            rows: Vec::with_capacity(rows.len()),
            at: BTreeMap::new(),
        };
        rows.into_iter().for_each(|row| bag.insert(row));
        bag
    }

    fn insert(&mut self, row: Row) {
        self.at.entry(self.identity(&row)).or_default().push(self.rows.len());
        self.rows.push(Some(row));
    }

    /// What equal rows share. A row that cannot be read is itself only: then it is not found, and the table is read again.
    fn identity(&self, row: &Row) -> Bytes {
        if self.json.is_empty() {
            return row.0.clone();
        }
        self.normal(row).unwrap_or_else(|| row.0.clone())
    }

    fn normal(&self, row: &Row) -> Option<Bytes> {
        let mut values = Vec::new();
        self.layout.split(&row.0, &mut values).ok()?;
        let document = |at: &usize| values[*at].map(json_tree::normal).transpose().ok();
        let documents = self.json.iter().map(document).collect::<Option<Vec<_>>>()?;
        for (at, document) in self.json.iter().zip(&documents) {
            values[*at] = document.as_deref();
        }
        self.layout.build(&values).ok().map(|row| row.0)
    }

    fn remove(&mut self, row: &Row) -> bool {
        let identity = self.identity(row);
        let Some(at) = self.at.get_mut(&identity).and_then(Vec::pop) else {
            return false;
        };
        self.rows[at] = None;
        true
    }

    /// Applies one change; false: the row it removes is not there, and the bag is not to be used.
    #[must_use]
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Insert { after, .. } => {
                self.insert(after);
                true
            }
            Change::Delete { before, .. } => self.remove(&before),
            Change::Update { before, after, .. } => {
                let is_there = self.remove(&before);
                self.insert(after);
                is_there
            }
            // Only a change of a JSON document leaves columns out here; what it makes of the document is not known.
            Change::Partial { .. } => false,
            Change::Cascade(change) => self.apply(*change),
        }
    }

    /// The rows that are left.
    pub fn into_rows(self) -> impl Iterator<Item = Row> {
        self.rows.into_iter().flatten()
    }
}

/// Cuts a keyless table into chunks without borders; only the last one ends the copy, so a crash between them starts it anew.
pub fn pieces(shape: ShapeId, rows: impl Iterator<Item = Row>) -> Vec<Chunk> {
    let piece = |rows, is_last| Chunk {
        shape,
        low: None,
        high: None,
        rows,
        is_last,
    };
    let (mut done, mut rest, mut bytes) = (Vec::new(), Vec::new(), 0);
    for row in rows {
        if bytes >= KEYLESS_PIECE_BYTES {
            done.push(piece(std::mem::take(&mut rest), false));
            bytes = 0;
        }
        bytes += row_bytes(&row);
        rest.push(row);
    }
    done.push(piece(rest, true));
    done
}

/// Bytes a row occupies, with the share of the collections around it.
#[must_use]
pub fn row_bytes(row: &Row) -> u64 {
    row.0.len() as u64 + 48
}

/// Bytes a key occupies, with the share of the collections around it.
#[must_use]
pub fn key_bytes(key: &Key) -> u64 {
    key.0.iter().map(|value| value.len() as u64 + 24).sum::<u64>() + 48
}

/// Bytes the rows of a change occupy.
#[must_use]
pub fn change_bytes(change: &Change) -> u64 {
    match change {
        Change::Insert { after: row, .. } | Change::Delete { before: row, .. } => row_bytes(row),
        Change::Update { before, after, .. } => row_bytes(before) + row_bytes(after),
        Change::Partial { .. } | Change::Cascade(_) => change.rows().map(row_bytes).sum(),
    }
}
