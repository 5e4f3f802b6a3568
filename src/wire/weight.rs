//! How many bytes items and changes take on the wire, before they are encoded: what they weigh in channels and how they are cut.
//!
//! Upper bounds; `batch` makes the bytes.

use crate::core::change::{Change, Item};
use crate::wire::batch::ddl_json;
use crate::wire::frame::DATA_BYTES_MAX;

/// Most bytes of an item's wire form beside its texts, keys and rows: all varints at their longest.
const ITEM_BYTES: usize = 128;

/// The same of one change or one row of a chunk.
const ROW_BYTES: usize = 16;

/// The same of the id of a prepared transaction.
const GTID_BYTES: usize = 40;

/// The same of one table to be copied.
const PLAN_BYTES: usize = 16;

/// An upper bound of the bytes an item takes in a batch before packing; what it weighs in channels.
#[must_use]
pub fn item_bytes(item: &Item) -> usize {
    ITEM_BYTES
        + match item {
            // A set has no cheap length; it is sent once.
            Item::Start {
                executed,
                source_uuid,
                copy,
            } => executed.to_string().len() + source_uuid.len() + copy.len() * PLAN_BYTES,
            // Definition text dominates; names and types of columns are counted generously.
            Item::Shape { shape, .. } => shape_bytes(shape),
            Item::Txn(part) => {
                let prepared = part.prepared.as_ref().map_or(0, |gtid| gtid.source.tag.len() + GTID_BYTES);
                part.gtid.source.tag.len()
                    + prepared
                    + part.position.file.len()
                    + part.changes.iter().map(change_bytes).sum::<usize>()
            }
            Item::Chunk(chunk) => {
                let keys = [&chunk.low, &chunk.high].into_iter().flatten().flat_map(|key| &key.0);
                keys.map(|value| value.len() + 9).sum::<usize>()
                    + chunk.rows.iter().map(|row| row.0.len() + ROW_BYTES).sum::<usize>()
            }
            Item::Reset { .. } => 0,
            Item::Ddl(ddl) => ddl.statement.len() + ddl_json(ddl).len(),
        }
}

/// An upper bound of the bytes one change takes in a batch before packing.
#[must_use]
pub fn change_bytes(change: &Change) -> usize {
    let images = match change.plain() {
        Change::Partial { before, after, .. } => {
            before.present.len() + after.as_ref().map_or(0, |after| after.present.len()) + ROW_BYTES
        }
        Change::Insert { .. } | Change::Update { .. } | Change::Delete { .. } | Change::Cascade(_) => 0,
    };
    ROW_BYTES + images + change.rows().map(|row| row.0.len()).sum::<usize>()
}

fn shape_bytes(shape: &crate::core::shape::TableShape) -> usize {
    serde_json::to_string(shape).map_or(DATA_BYTES_MAX, |json| json.len())
}
