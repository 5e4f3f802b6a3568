//! Who this peer is and how often it started: node id, boot counter, dot counter; and whether it drains.
//!
//! Used by `database` inside its transactions. The id is made once per store and never again, so a store that is lost comes
//! back as another peer and cannot hand out a number twice. A data_dir that is copied or rolled back can: the documentation
//! of backups says to leave it out.

use std::ops::Range;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use crate::core::ids::{Boot, NodeId};
use crate::store::database::{NUMBERS, TEXTS};

/// Dots reserved by one durable write: one wait for the disk per hundred operations (facts: blocks of 100).
const DOT_BLOCK: u64 = 100;

/// Numbers reserved on disk and not yet given out.
#[derive(Debug)]
pub struct DotBlock(Range<u64>);

impl DotBlock {
    /// Returns the next number of the block; None when it is used up.
    pub fn take(&mut self) -> Option<u64> {
        self.0.next()
    }
}

/// Returns the identity, made by `new_id` if there is none, and the number of this start. The first start is 1.
pub(super) fn count_start(
    txn: &WriteTransaction,
    new_id: impl FnOnce() -> NodeId,
) -> Result<(NodeId, Boot, DotBlock), redb::Error> {
    let mut texts = txn.open_table(TEXTS)?;
    let known = texts.get("node_id")?.map(|value| value.value().to_owned());
    let node_id = match known {
        Some(text) => NodeId(text),
        None => {
            let node_id = new_id();
            texts.insert("node_id", node_id.0.as_str())?;
            node_id
        }
    };
    let boot = grow(txn, "boot", 1)?.end;
    Ok((node_id, Boot(boot), DotBlock(0..0)))
}

/// Returns the next block of dots. The first dot is 1.
pub(super) fn reserve_dots(txn: &WriteTransaction) -> Result<DotBlock, redb::Error> {
    let block = grow(txn, "dot", DOT_BLOCK)?;
    Ok(DotBlock(block.start + 1..block.end + 1))
}

/// Returns whether this peer gives its tasks away; false before anybody said so.
pub(super) fn is_draining(txn: &ReadTransaction) -> Result<bool, redb::Error> {
    let numbers = txn.open_table(NUMBERS)?;
    Ok(numbers.get("draining")?.is_some_and(|value| value.value() != 0))
}

/// Keeps that, and returns whether it is news.
pub(super) fn set_draining(txn: &WriteTransaction, is_draining: bool) -> Result<bool, redb::Error> {
    let mut numbers = txn.open_table(NUMBERS)?;
    let before = numbers.insert("draining", u64::from(is_draining))?;
    Ok(before.is_some_and(|value| value.value() != 0) != is_draining)
}

/// Adds to a counter and returns the values before and after.
fn grow(txn: &WriteTransaction, name: &str, by: u64) -> Result<Range<u64>, redb::Error> {
    let mut numbers = txn.open_table(NUMBERS)?;
    let before = numbers.get(name)?.map_or(0, |value| value.value());
    numbers.insert(name, before + by)?;
    Ok(before..before + by)
}
