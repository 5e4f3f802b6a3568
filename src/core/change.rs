//! What happens to rows, and the one ordered sequence of it that the source task emits (PROTOCOLS 1).
//!
//! Made by the reader and the merger, carried by `wire::batch`, grouped by `core::group`. The sink applies items in this
//! order and never compares keys with cursors.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::core::ddl::Ddl;
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::image::Image;
use crate::core::shape::{ShapeId, TableName, TableShape};

/// One row image: null bitmap of all columns, then the binlog encoding of each value that is not NULL, in ordinal order.
///
/// The same bytes a FULL image of a rows event holds (the columns-present bitmap left out): CHAR without trailing
/// spaces, BINARY without trailing zero bytes. `core::row` reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row(pub Bytes);

impl Row {
    /// The same row in memory of its own: a row of the stream is a slice that keeps its whole event.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

/// One row changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row appeared.
    Insert {
        /// Its table.
        shape: ShapeId,
        /// The new row.
        after: Row,
    },
    /// A row changed.
    Update {
        /// Its table.
        shape: ShapeId,
        /// The row as it was.
        before: Row,
        /// The row as it is.
        after: Row,
    },
    /// A row went.
    Delete {
        /// Its table.
        shape: ShapeId,
        /// The row as it was.
        before: Row,
    },
    /// A row changed or went, told by images that lack columns. `before` has the key, or every column where there is no key.
    Partial {
        /// Its table.
        shape: ShapeId,
        /// What is known of the row as it was.
        before: Image,
        /// What is known of the row as it is: other columns are unchanged. None: it went.
        after: Option<Image>,
    },
    /// The same, no insert, and what the engine of the source did because of it to rows of other tables: its log does not have that, the
    /// target's engine does it too.
    Cascade(Box<Change>),
}

impl Change {
    /// Its table.
    #[must_use]
    pub fn shape(&self) -> ShapeId {
        match self {
            Self::Insert { shape, .. }
            | Self::Update { shape, .. }
            | Self::Delete { shape, .. }
            | Self::Partial { shape, .. } => *shape,
            Self::Cascade(change) => change.shape(),
        }
    }

    /// Its rows, whole or not, the one before first.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let (first, second) = self.first_and_second();
        std::iter::once(first).chain(second)
    }

    fn first_and_second(&self) -> (&Row, Option<&Row>) {
        match self {
            Self::Insert { after: row, .. } | Self::Delete { before: row, .. } => (row, None),
            Self::Update { before, after, .. } => (before, Some(after)),
            Self::Partial { before, after, .. } => (&before.row, after.as_ref().map(|after| &after.row)),
            Self::Cascade(change) => change.first_and_second(),
        }
    }

    /// The change of the row alone.
    #[must_use]
    pub fn plain(&self) -> &Self {
        match self {
            Self::Cascade(change) => change.plain(),
            plain => plain,
        }
    }

    /// The same change in memory of its own.
    #[must_use]
    pub fn detached(self) -> Self {
        match self {
            Self::Insert { shape, after } => Self::Insert {
                shape,
                after: after.detached(),
            },
            Self::Update { shape, before, after } => Self::Update {
                shape,
                before: before.detached(),
                after: after.detached(),
            },
            Self::Delete { shape, before } => Self::Delete {
                shape,
                before: before.detached(),
            },
            Self::Partial { shape, before, after } => Self::Partial {
                shape,
                before: before.detached(),
                after: after.as_ref().map(Image::detached),
            },
            Self::Cascade(change) => Self::Cascade(Box::new(change.detached())),
        }
    }
}

/// Where the source's binlog stands: a hint for people and for `Chunk` closing, never a resume position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinlogPosition {
    /// File name, `binlog.000003`.
    pub file: String,
    /// Byte offset in it.
    pub offset: u64,
}

/// A transaction, or one part of a large one. Parts of one transaction follow each other with nothing between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnPart {
    /// The transaction's GTID.
    pub gtid: Gtid,
    /// This is its first part.
    pub is_first: bool,
    /// This is its last part: it commits here.
    pub is_last: bool,
    /// The largest `sequence_number` it depends on, within its binlog file.
    pub last_committed: i64,
    /// Its own number within its binlog file.
    pub sequence_number: i64,
    /// Original commit time on the source, microseconds since the epoch.
    pub commit_us: u64,
    /// End of the transaction in the binlog.
    pub position: BinlogPosition,
    /// Changes in scope, in order; empty when the filter left none.
    pub changes: Vec<Change>,
    /// The XA PREPARE that this transaction commits or rolls back: applied with it, never without (PROTOCOLS 4).
    pub prepared: Option<Gtid>,
}

/// The values of a row key, each the canonical column bytes; compared by `core::key`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(pub Vec<Vec<u8>>);

/// A key range of a table, read at one point of the sequence, with everything the stream changed in it folded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The table.
    pub shape: ShapeId,
    /// Rows have keys greater than this; None: from the start.
    pub low: Option<Key>,
    /// Rows have keys up to this; None: to the end of the table.
    pub high: Option<Key>,
    /// The rows: those that were read in key order, then those the stream added meanwhile.
    pub rows: Vec<Row>,
    /// This is the last chunk of its table: the copy of the table is done with it.
    pub is_last: bool,
}

/// A table that will be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyPlan {
    /// The table.
    pub shape: ShapeId,
    /// The source server's estimate of its rows, for people; None: it has none.
    pub rows_estimate: Option<u64>,
}

/// One element of the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// First of all when there is no progress yet: where the copy (or "now") begins, and what is to be copied.
    Start {
        /// `G0` of PROTOCOLS 1 step 1.
        executed: GtidSet,
        /// The source server.
        source_uuid: String,
        /// Tables that will be copied, in order; empty for `start = "now"`.
        copy: Vec<CopyPlan>,
    },
    /// Names a table for the items that follow; sent before `Start` too.
    Shape {
        /// Its number from now on.
        id: ShapeId,
        /// The definition.
        shape: TableShape,
    },
    /// A transaction or a part of one.
    Txn(TxnPart),
    /// A piece of the copy.
    Chunk(Chunk),
    /// The copy of this table starts anew: the sink empties it and its `copy` row (PROTOCOLS 1 steps 11, 13).
    Reset {
        /// The table.
        shape: ShapeId,
    },
    /// Definitions change. The last item of a stream: the next begins with the new shapes.
    Ddl(Box<Ddl>),
}

impl Item {
    /// What it is, for errors.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "a start",
            Self::Shape { .. } => "a shape",
            Self::Txn(_) => "a transaction",
            Self::Chunk(_) => "a chunk",
            Self::Reset { .. } => "a reset",
            Self::Ddl(_) => "a change of definitions",
        }
    }
}

/// How far the copy of one table is, as `peer_meta.copy` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRow {
    /// The table.
    pub table: TableName,
    /// Last key that was copied; None: nothing yet.
    pub cursor: Option<Key>,
    /// Rows copied so far.
    pub rows: u64,
    /// The source's estimate of its rows when the copy began, for people; None: unknown.
    pub rows_estimate: Option<u64>,
    /// The whole table is on the target.
    pub is_done: bool,
    /// The definition is that of the source after these transactions, and the copy began after them: what they did to the table is
    /// passed over. Empty for a table that was there when the job began.
    #[serde(default, skip_serializing_if = "GtidSet::is_empty")]
    pub since: GtidSet,
}

impl CopyRow {
    /// A table of which nothing is copied yet.
    #[must_use]
    pub fn begun(table: TableName, rows_estimate: Option<u64>) -> Self {
        Self {
            table,
            cursor: None,
            rows: 0,
            rows_estimate,
            is_done: false,
            since: GtidSet::default(),
        }
    }
}
