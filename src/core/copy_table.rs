//! The copy of one table: what is on the target, the chunk that is open, and what the stream changed in it meanwhile.
//!
//! Driven by `core::copy_state`, which knows all tables of a job. Pure: rows and positions come in as values. Does not
//! order keys: who asks passes a `BorderOrder`. One chunk is open at most; its rows and its fold are counted in bytes,
//! and whoever drives the copy voids the chunk when the count is over its budget.

use crate::core::change::{BinlogPosition, Change, Chunk, Key, Row};
use crate::core::copy_fold::{KeyFold, SiftError};
use crate::core::copy_state::{BorderOrder, is_at_or_after};
use crate::core::key::key_of;
use crate::core::row::{RowError, RowLayout};
use crate::core::row_bag::{RowBag, change_bytes, pieces, row_bytes};
use crate::core::shape::{ShapeId, TableShape};

/// Where a key stands in the copy of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its range is on the target: changes go on as they are.
    Copied,
    /// In the open chunk: changes are folded into it.
    Open,
    /// Not read yet: changes are dropped, a later chunk will show them.
    Unread,
}

/// What was read for the open chunk, and from which position on it may be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRows {
    /// The rows of the range, in key order.
    pub rows: Vec<Row>,
    /// Everything the rows show was in the binlog before this (PROTOCOLS 1 step 6; step 13 for a keyless table).
    pub high_mark: BinlogPosition,
    /// Keyless only: writers were locked out around view and mark, so the rows show every event up to the mark.
    pub is_locked: bool,
}

/// How far a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Copied {
    Nothing,
    UpTo(Key),
    All,
}

/// Changes of a keyless table, with the end of the transaction each came from.
#[derive(Debug, Default)]
pub(super) struct Queue {
    committed: Vec<(BinlogPosition, Vec<Change>)>,
    pending: Vec<Change>,
}

/// What the stream changed inside the open chunk.
#[derive(Debug)]
pub(super) enum Fold {
    /// What became of each key.
    ByKey(KeyFold),
    /// A multiset has no keys: every change in order.
    InOrder(Queue),
}

#[derive(Debug)]
pub(super) struct OpenChunk {
    low: Option<Key>,
    high: Option<Key>,
    pub(super) fold: Fold,
    read: Option<ReadRows>,
    bytes: u64,
    /// Rows of it were changed in a way that no log tells.
    is_cascaded: bool,
}

/// What came of the wish to close a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Closing {
    /// Rows are missing, or the stream has not reached the high mark.
    NotYet,
    /// Keyless: the table changed between view and mark, or the stream removed a row in another form than the view showed it
    /// (JSON); the chunk is gone, read it again.
    Stale,
    /// The chunk, in pieces when it is keyless and large; nothing may come between them.
    Done(Vec<Chunk>),
}

/// The copy of one table.
#[derive(Debug)]
pub struct CopyTable {
    id: ShapeId,
    pub(super) shape: TableShape,
    pub(super) layout: RowLayout,
    copied: Copied,
    pub(super) open: Option<OpenChunk>,
}

impl CopyTable {
    /// A table of which everything up to `cursor` is on the target; None: nothing is.
    #[must_use]
    pub fn new(id: ShapeId, shape: TableShape, cursor: Option<Key>, is_done: bool) -> Self {
        let copied = match cursor {
            _ if is_done => Copied::All,
            Some(key) => Copied::UpTo(key),
            None => Copied::Nothing,
        };
        let layout = RowLayout::new(&shape);
        Self {
            id,
            shape,
            layout,
            copied,
            open: None,
        }
    }

    /// The definition.
    #[must_use]
    pub fn shape(&self) -> &TableShape {
        &self.shape
    }

    /// The whole table is on the target.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.copied == Copied::All
    }

    /// A chunk is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Rows of it are on the target.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.copied != Copied::Nothing
    }

    /// The engine of the source may have changed any row of the open chunk: it is to be read again.
    pub fn cascade(&mut self) {
        if let Some(open) = &mut self.open {
            open.is_cascaded = true;
        }
    }

    /// That happened.
    #[must_use]
    pub fn is_cascaded(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_cascaded)
    }

    /// The last copied key; None: nothing was copied, or everything was.
    #[must_use]
    pub fn cursor(&self) -> Option<&Key> {
        match &self.copied {
            Copied::UpTo(key) => Some(key),
            Copied::Nothing | Copied::All => None,
        }
    }

    /// The keys a key must be compared with to place it.
    pub fn borders(&self) -> impl Iterator<Item = &Key> {
        self.cursor()
            .into_iter()
            .chain(self.open.as_ref().and_then(|open| open.high.as_ref()))
    }

    /// Bytes of rows held for the open chunk.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        let folded = |open: &OpenChunk| match &open.fold {
            Fold::ByKey(fold) => fold.bytes(),
            Fold::InOrder(_) => 0,
        };
        self.open.as_ref().map_or(0, |open| open.bytes + folded(open))
    }

    /// The open chunk holds one row at most, and changes of that row only: less cannot travel.
    #[must_use]
    pub fn holds_one_row(&self) -> bool {
        let Some(open) = &self.open else { return true };
        let rows = open.read.as_ref().map_or(&[][..], |read| &read.rows);
        let Fold::ByKey(fold) = &open.fold else { return false };
        match (rows, fold.keys().len()) {
            ([], 0 | 1) | ([_], 0) => true,
            ([row], 1) => self
                .key(row)
                .is_ok_and(|key| key.is_some_and(|key| fold.keys().any(|folded| *folded == key))),
            _ => false,
        }
    }

    /// The key of a row; None for a keyless table.
    ///
    /// # Errors
    /// The row does not fit the shape.
    pub fn key(&self, row: &Row) -> Result<Option<Key>, RowError> {
        key_of(&self.shape, &self.layout, row)
    }

    /// Opens the chunk from the cursor up to `high`; None: to the end. Only between two transactions.
    pub fn open(&mut self, high: Option<Key>) {
        debug_assert!(
            self.open.is_none() && !self.is_done(),
            "one chunk at a time, of a table that is not done"
        );
        let fold = if self.shape.key.is_some() {
            Fold::ByKey(KeyFold::default())
        } else {
            Fold::InOrder(Queue::default())
        };
        self.open = Some(OpenChunk {
            low: self.cursor().cloned(),
            high,
            fold,
            read: None,
            bytes: 0,
            is_cascaded: false,
        });
    }

    /// Forgets the open chunk: its range is unread again.
    pub fn void(&mut self) {
        self.open = None;
    }

    /// Takes the rows that were read for the open chunk; ignored when it was voided meanwhile.
    pub fn put_rows(&mut self, read: ReadRows) {
        if let Some(open) = &mut self.open {
            open.bytes += read.rows.iter().map(row_bytes).sum::<u64>();
            open.read = Some(read);
        }
    }

    /// Marks the end of a transaction, for the queue of a keyless table.
    pub fn commit(&mut self, end: &BinlogPosition) {
        if let Some(OpenChunk {
            fold: Fold::InOrder(queue),
            ..
        }) = &mut self.open
            && !queue.pending.is_empty()
        {
            queue.committed.push((end.clone(), std::mem::take(&mut queue.pending)));
        }
    }

    /// Keeps what of `change` is to be emitted now; folds or drops the rest.
    ///
    /// # Errors
    /// A row does not fit the shape, or it came from a range that is not on the target and lacks columns.
    pub fn sift(&mut self, change: Change, order: &impl BorderOrder) -> Result<Option<Change>, SiftError> {
        if self.is_done() {
            return Ok(Some(change));
        }
        if self.shape.key.is_none() {
            self.queue(change);
            return Ok(None);
        }
        match change {
            Change::Insert { shape, after } => {
                let key = self.key_needed(&after)?;
                let kept = self.settle(self.place(&key, order), key, Some(&after));
                Ok(kept.then_some(Change::Insert { shape, after }))
            }
            Change::Delete { shape, before } => {
                let key = self.key_needed(&before)?;
                let kept = self.settle(self.place(&key, order), key, None);
                Ok(kept.then_some(Change::Delete { shape, before }))
            }
            Change::Update { shape, before, after } => Ok(self.sift_update(shape, before, after, order)?),
            Change::Partial { shape, before, after } => self.sift_partial(shape, before, after, order),
            Change::Cascade(change) => self.sift(*change, order),
        }
    }

    /// A change of the key is a DELETE of the old and an INSERT of the new one, each placed by itself.
    fn sift_update(
        &mut self,
        shape: ShapeId,
        before: Row,
        after: Row,
        order: &impl BorderOrder,
    ) -> Result<Option<Change>, RowError> {
        let (old, new) = (self.key_needed(&before)?, self.key_needed(&after)?);
        let old_place = self.place(&old, order);
        if old == new {
            let kept = self.settle(old_place, old, Some(&after));
            return Ok(kept.then_some(Change::Update { shape, before, after }));
        }
        let new_place = self.place(&new, order);
        let old_kept = self.settle(old_place, old, None);
        let new_kept = self.settle(new_place, new, Some(&after));
        Ok(match (old_kept, new_kept) {
            (true, true) => Some(Change::Update { shape, before, after }),
            (true, false) => Some(Change::Delete { shape, before }),
            (false, true) => Some(Change::Insert { shape, after }),
            (false, false) => None,
        })
    }

    /// Where a key stands.
    #[must_use]
    pub fn place(&self, key: &Key, order: &impl BorderOrder) -> Place {
        match &self.copied {
            Copied::All => return Place::Copied,
            Copied::UpTo(cursor) if order.is_at_most(&self.shape, key, cursor) => return Place::Copied,
            Copied::UpTo(_) | Copied::Nothing => {}
        }
        match &self.open {
            Some(OpenChunk { high: None, .. }) => Place::Open,
            Some(OpenChunk { high: Some(high), .. }) if order.is_at_most(&self.shape, key, high) => Place::Open,
            Some(_) | None => Place::Unread,
        }
    }

    /// Folds or drops one image; true when it is to be emitted.
    pub(super) fn settle(&mut self, place: Place, key: Key, image: Option<&Row>) -> bool {
        if place == Place::Open
            && let Some(OpenChunk {
                fold: Fold::ByKey(fold), ..
            }) = &mut self.open
        {
            fold.set(key, image);
        }
        place == Place::Copied
    }

    fn queue(&mut self, change: Change) {
        if let Some(OpenChunk {
            fold: Fold::InOrder(queue),
            bytes,
            ..
        }) = &mut self.open
        {
            *bytes += change_bytes(&change);
            queue.pending.push(change);
        }
    }

    pub(super) fn key_needed(&self, row: &Row) -> Result<Key, RowError> {
        Ok(self.key(row)?.expect("the shape has a key: asked before"))
    }

    /// Closes the chunk when its rows are there and the stream is at or after the high mark. Only between two transactions.
    ///
    /// # Errors
    /// A row does not fit the shape.
    pub fn close(&mut self, at: &BinlogPosition) -> Result<Closing, RowError> {
        let is_ready = self
            .open
            .as_ref()
            .and_then(|open| open.read.as_ref())
            .is_some_and(|r| is_at_or_after(at, &r.high_mark));
        if !is_ready || self.is_spoiled() || self.is_cascaded() {
            return Ok(Closing::NotYet);
        }
        let open = self.open.take().expect("ready means open");
        let read = open.read.expect("ready means read");
        match open.fold {
            Fold::ByKey(fold) => {
                let rows = fold.replay(read.rows, &self.layout, |row| self.key_needed(row))?;
                Ok(Closing::Done(vec![self.advance(open.low, open.high, rows)]))
            }
            Fold::InOrder(queue) => Ok(self.close_keyless(queue, read)),
        }
    }

    fn advance(&mut self, low: Option<Key>, high: Option<Key>, rows: Vec<Row>) -> Chunk {
        self.copied = high.clone().map_or(Copied::All, Copied::UpTo);
        Chunk {
            shape: self.id,
            is_last: high.is_none(),
            low,
            high,
            rows,
        }
    }

    fn close_keyless(&mut self, queue: Queue, read: ReadRows) -> Closing {
        debug_assert!(queue.pending.is_empty(), "chunks close between transactions");
        let is_shown = |end: &BinlogPosition| is_at_or_after(&read.high_mark, end);
        if !read.is_locked && queue.committed.iter().any(|(end, _)| is_shown(end)) {
            return Closing::Stale;
        }
        let mut after = queue
            .committed
            .into_iter()
            .filter(|(end, _)| !is_shown(end))
            .flat_map(|(_, changes)| changes);
        let mut bag = RowBag::new(&self.shape, read.rows);
        if !after.all(|change| bag.apply(change)) {
            return Closing::Stale;
        }
        self.copied = Copied::All;
        Closing::Done(pieces(self.id, bag.into_rows()))
    }
}
