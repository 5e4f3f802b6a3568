//! Merges the stream and the chunks into one order (PROTOCOLS 1).
//!
//! Fed by the reader with events and by `chunk_tasks` with rows; feeds the sender. `core::copy_state` decides what happens to a change;
//! here a transaction is put together, the server is asked for the order of keys, and chunks open and close between two
//! transactions. Holds one part of a transaction, and the open chunks, whose bytes are bounded.

use crate::core::change::{BinlogPosition, Change, CopyRow, Item, Key, TxnPart};
use crate::core::copy_fold::SiftError;
use crate::core::copy_state::{Closed, CopyState};
use crate::core::copy_table::{CopyTable, ReadRows};
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::job_spec::DatabaseSpec;
use crate::core::job_state::PreparedWait;
use crate::core::row::RowError;
use crate::core::row_bag::change_bytes;
use crate::core::shape::{ShapeId, TableShape};
use crate::flow::error::FlowError;
use crate::mysql::error::Error;
use crate::mysql::source::key_oracle::KeyOracle;
use crate::mysql::source::reader::ReaderEvent;
use crate::mysql::source::xid::Xid;

/// A transaction whose end has not come yet.
#[derive(Debug)]
struct OpenTxn {
    gtid: Gtid,
    last_committed: i64,
    sequence_number: i64,
    commit_us: u64,
    /// A part of it was emitted.
    is_under_way: bool,
    /// Changes to be emitted with the next part: it is not known yet whether that is the last.
    pending: Vec<Change>,
    pending_bytes: u64,
    /// What it ends.
    prepared: Option<Gtid>,
}

/// Bytes of changes after which a transaction goes on as a new part: a quarter of what the sender cuts at, so that a large
/// transaction is never in memory as a whole.
const PART_BYTES: u64 = 1 << 20;

/// The state of the merge. Every method that opens or closes chunks must be called between two transactions.
#[derive(Debug)]
pub struct Merger {
    copy: CopyState,
    oracle: KeyOracle,
    passed: GtidSet,
    position: BinlogPosition,
    txn: Option<OpenTxn>,
    /// Prepared transactions, in the order of the stream: passed, but not before their end in what the target has.
    waiting: Vec<Waiting>,
}

/// A prepared transaction that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    gtid: Gtid,
    xid: Xid,
    prepared_us: u64,
}

impl Merger {
    /// A merger that goes on where `passed` ends; `copy` is what the target has of the tables to be copied.
    #[must_use]
    pub fn new(spec: &DatabaseSpec, shapes: &[TableShape], copy: &[CopyRow], passed: GtidSet) -> Self {
        Self {
            copy: CopyState::new(shapes, copy),
            oracle: KeyOracle::new(spec.clone()),
            passed,
            position: BinlogPosition::default(),
            txn: None,
            waiting: Vec::new(),
        }
    }

    /// How far the copy is.
    #[must_use]
    pub fn copy(&self) -> &CopyState {
        &self.copy
    }

    /// `W`: all transactions that were passed: emitted, folded or dropped.
    #[must_use]
    pub fn passed(&self) -> &GtidSet {
        &self.passed
    }

    /// Transactions that were passed and wait for their XA COMMIT.
    #[must_use]
    pub fn waiting(&self) -> GtidSet {
        let mut set = GtidSet::default();
        for waiting in &self.waiting {
            set.add(&waiting.gtid);
        }
        set
    }

    /// There are some.
    #[must_use]
    pub const fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The same for people; None: there is none.
    #[must_use]
    pub fn waiting_view(&self) -> Option<PreparedWait> {
        self.waiting.first().map(|oldest| PreparedWait {
            transactions: self.waiting.len() as u64,
            xid: oldest.xid.to_string(),
            gtid: oldest.gtid.to_string(),
            prepared_us: oldest.prepared_us,
        })
    }

    /// Where the stream is in the binlog.
    #[must_use]
    pub fn position(&self) -> &BinlogPosition {
        &self.position
    }

    /// No transaction is open: chunks may open and close.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.txn.is_none()
    }

    /// Takes one event of the stream and appends what is to be emitted because of it.
    ///
    /// # Errors
    /// The server could not be asked for an order, a row does not fit its shape, or events do not make transactions.
    pub async fn take(&mut self, event: ReaderEvent, out: &mut Vec<Item>) -> Result<(), FlowError> {
        match event {
            ReaderEvent::Begin {
                gtid,
                last_committed,
                sequence_number,
                commit_us,
            } => {
                if self.txn.is_some() {
                    return Err(out_of_order("the begin of a transaction inside another"));
                }
                self.txn = Some(OpenTxn {
                    gtid,
                    last_committed,
                    sequence_number,
                    commit_us,
                    is_under_way: false,
                    pending: Vec::new(),
                    pending_bytes: 0,
                    prepared: None,
                });
                Ok(())
            }
            ReaderEvent::Changes(changes) => {
                let kept = self.sift(changes).await?;
                let txn = self
                    .txn
                    .as_mut()
                    .ok_or_else(|| out_of_order("changes outside of a transaction"))?;
                if txn.pending_bytes >= PART_BYTES && !kept.is_empty() {
                    out.push(part(txn, &self.position, false));
                }
                txn.pending_bytes += kept.iter().map(change_bytes).sum::<u64>();
                txn.pending.extend(kept);
                Ok(())
            }
            ReaderEvent::Held { .. } | ReaderEvent::Release { .. } => Err(out_of_order("rows that wait, which `pump` keeps")),
            ReaderEvent::Commit { position } => self.commit(position, None, out),
            ReaderEvent::Resolved { position, prepared } => self.commit(position, Some(prepared), out),
            ReaderEvent::Prepared { position, xid } => {
                let txn = self
                    .txn
                    .take()
                    .ok_or_else(|| out_of_order("the preparation of what did not begin"))?;
                self.position = position;
                self.passed.add(&txn.gtid);
                self.waiting.push(Waiting {
                    gtid: txn.gtid,
                    xid,
                    prepared_us: txn.commit_us,
                });
                Ok(())
            }
            ReaderEvent::Ddl(ddl) => {
                let is_alone = |txn: &OpenTxn| !txn.is_under_way && txn.pending.is_empty();
                if !self.txn.take().is_some_and(|txn| is_alone(&txn)) {
                    return Err(out_of_order("a change of definitions that is not alone in its transaction"));
                }
                self.position.clone_from(&ddl.position);
                out.push(Item::Ddl(ddl));
                Ok(())
            }
            ReaderEvent::Position { position } => {
                self.position = position;
                Ok(())
            }
        }
    }

    fn commit(&mut self, position: BinlogPosition, prepared: Option<Gtid>, out: &mut Vec<Item>) -> Result<(), FlowError> {
        let mut txn = self
            .txn
            .take()
            .ok_or_else(|| out_of_order("the end of a transaction that did not begin"))?;
        self.copy.commit(&position);
        self.position = position;
        self.waiting.retain(|waiting| Some(&waiting.gtid) != prepared.as_ref());
        txn.prepared = prepared;
        out.push(part(&mut txn, &self.position, true));
        self.passed.add(&txn.gtid);
        Ok(())
    }

    async fn sift(&mut self, changes: Vec<Change>) -> Result<Vec<Change>, FlowError> {
        if self.copy.is_done() {
            return Ok(changes);
        }
        let questions = self.copy.questions(&changes, KeyOracle::is_needed).map_err(bad_row)?;
        if !questions.is_empty() {
            let copy = &self.copy;
            let shape_of = |shape| copy.table(shape).expect("questions are about tables of the copy").shape();
            self.oracle.ask(&questions, |question| shape_of(question.shape)).await?;
        }
        let sifted = self.copy.sift(changes, self.oracle.answers());
        sifted.map_err(|error| match error {
            SiftError::Row(error) => bad_row(error).into(),
            SiftError::Moved { .. } => FlowError::from(self.not_whole(&error)),
            SiftError::Cascade { .. } => FlowError::from(self.not_cascaded(&error)),
        })
    }

    fn not_whole(&self, error: &SiftError) -> Error {
        Error::NotReplicable {
            gtid: self.txn.as_ref().map_or_else(|| "none".into(), |txn| txn.gtid.to_string()),
            found: error.to_string(),
            expected: "binlog_row_image = FULL while a table is copied in which keys change".into(),
            fix: "set binlog_row_image = FULL on the source for all sessions, then copy the tables again with a new job; it may be set back when they are copied"
                .into(),
        }
    }

    fn not_cascaded(&self, error: &SiftError) -> Error {
        Error::NotReplicable {
            gtid: self.txn.as_ref().map_or_else(|| "none".into(), |txn| txn.gtid.to_string()),
            found: error.to_string(),
            expected: "such rows stay while a table that refers to itself, or one that came after its children, is copied".into(),
            fix: "copy the tables again with a new job while such rows stay, or start from a backup by `start` with its GTID set"
                .into(),
        }
    }

    /// Registers a chunk up to `high` and returns its lower border. Its `W0` is `passed()`.
    pub fn open(&mut self, shape: ShapeId, high: Option<Key>) -> Option<Key> {
        debug_assert!(self.is_between(), "chunks open between two transactions");
        let low = self.copy.table(shape).and_then(|table| table.cursor().cloned());
        self.copy.open(shape, high);
        low
    }

    /// Takes the rows of the open chunk of a table.
    pub fn put_rows(&mut self, shape: ShapeId, read: ReadRows) {
        self.copy.put_rows(shape, read);
    }

    /// Drops the open chunk of a table: it is read again.
    pub fn void(&mut self, shape: ShapeId) {
        self.copy.void(shape);
    }

    /// A table whose open chunk is of no use.
    pub fn spoiled(&self) -> Option<ShapeId> {
        self.copy.tables().find(|(_, table)| table.is_spoiled()).map(|(id, _)| id)
    }

    /// Ends every chunk whose time has come.
    ///
    /// # Errors
    /// A row does not fit its shape.
    pub fn close(&mut self) -> Result<Vec<(ShapeId, Closed)>, Error> {
        debug_assert!(self.is_between(), "chunks close between two transactions");
        self.copy.close(&self.position).map_err(bad_row)
    }

    /// A table whose open chunk holds more than its `bytes_max`, and more than one row with its changes.
    pub fn overfull(&self, bytes_max: impl Fn(&TableShape) -> u64) -> Option<ShapeId> {
        let is_over = |table: &CopyTable| table.held_bytes() > bytes_max(table.shape()) && !table.holds_one_row();
        self.copy.tables().find(|(_, table)| is_over(table)).map(|(id, _)| id)
    }
}

/// The pending changes as a part. The position of a part that is not the last is that of the transaction before: a hint only.
fn part(txn: &mut OpenTxn, position: &BinlogPosition, is_last: bool) -> Item {
    let is_first = !std::mem::replace(&mut txn.is_under_way, true);
    txn.pending_bytes = 0;
    Item::Txn(TxnPart {
        gtid: txn.gtid.clone(),
        is_first,
        is_last,
        last_committed: txn.last_committed,
        sequence_number: txn.sequence_number,
        commit_us: txn.commit_us,
        position: position.clone(),
        changes: std::mem::take(&mut txn.pending),
        prepared: txn.prepared.clone(),
    })
}

fn out_of_order(found: &str) -> FlowError {
    FlowError::OutOfOrder {
        found: found.into(),
        expected: "begin, changes, commit",
    }
}

fn bad_row(error: RowError) -> Error {
    Error::BadRow {
        table: "a table of the copy".into(),
        reason: error.to_string(),
    }
}
