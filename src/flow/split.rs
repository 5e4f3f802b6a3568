//! Cuts a large transaction into parts that fit the frames of the link.
//!
//! Used by `flow::sender`. Only transactions can be cut; a chunk is cut by whoever reads it, because its range must fit.

use crate::core::change::{Change, Item, TxnPart};
use crate::wire::batch::change_bytes;

/// The item, or the parts of its transaction in order, each with at most `bytes_max` bytes of rows or a single change.
#[must_use]
pub fn split(item: Item, bytes_max: usize) -> Vec<Item> {
    match item {
        Item::Txn(part) if part.changes.len() > 1 && item_bytes_of(&part) > bytes_max => cut(part, bytes_max),
        whole => vec![whole],
    }
}

fn item_bytes_of(part: &TxnPart) -> usize {
    part.changes.iter().map(change_bytes).sum()
}

fn cut(mut part: TxnPart, bytes_max: usize) -> Vec<Item> {
    let changes = std::mem::take(&mut part.changes);
    let mut pieces: Vec<Vec<Change>> = Vec::new();
    let mut bytes = usize::MAX;
    for change in changes {
        let weight = change_bytes(&change);
        if bytes.saturating_add(weight) > bytes_max {
            pieces.push(Vec::new());
            bytes = 0;
        }
        bytes += weight;
        if let Some(piece) = pieces.last_mut() {
            piece.push(change);
        }
    }
    let last = pieces.len() - 1;
    let of = |at: usize, changes| {
        let (is_first, is_last) = (part.is_first && at == 0, part.is_last && at == last);
        Item::Txn(TxnPart {
            changes,
            is_first,
            is_last,
            ..part.clone()
        })
    };
    pieces.into_iter().enumerate().map(|(at, changes)| of(at, changes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::{BinlogPosition, Row};
    use crate::core::gtid_set::{Gtid, SourceId};
    use crate::core::shape::ShapeId;

    fn txn(rows: usize, bytes: usize) -> TxnPart {
        let row = || Row(vec![0; bytes].into());
        TxnPart {
            gtid: Gtid {
                source: SourceId {
                    uuid: [1; 16],
                    tag: String::new(),
                },
                number: 1,
            },
            is_first: true,
            is_last: true,
            last_committed: 0,
            sequence_number: 1,
            commit_us: 0,
            position: BinlogPosition::default(),
            prepared: None,
            changes: (0..rows)
                .map(|_| Change::Insert {
                    shape: ShapeId(0),
                    after: row(),
                })
                .collect(),
        }
    }

    fn parts(items: Vec<Item>) -> Vec<TxnPart> {
        items
            .into_iter()
            .map(|item| {
                if let Item::Txn(part) = item {
                    part
                } else {
                    panic!("{item:?}")
                }
            })
            .collect()
    }

    #[test]
    fn parts_keep_all_changes_in_order_and_only_the_ends_are_marked() {
        let whole = txn(10, 84);
        let parts = parts(split(Item::Txn(whole.clone()), 250));
        assert_eq!(
            parts.iter().map(|part| part.changes.len()).collect::<Vec<_>>(),
            [2, 2, 2, 2, 2]
        );
        assert_eq!(
            parts.iter().map(|part| part.is_first).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
        assert_eq!(
            parts.iter().map(|part| part.is_last).collect::<Vec<_>>(),
            [false, false, false, false, true]
        );
        assert_eq!(
            parts.into_iter().flat_map(|part| part.changes).collect::<Vec<_>>(),
            whole.changes
        );
    }

    #[test]
    fn a_part_in_the_middle_stays_in_the_middle() {
        let middle = TxnPart {
            is_first: false,
            is_last: false,
            ..txn(4, 84)
        };
        assert!(
            parts(split(Item::Txn(middle), 100))
                .iter()
                .all(|part| !part.is_first && !part.is_last)
        );
    }

    #[test]
    fn what_fits_and_what_cannot_be_cut_stays_whole() {
        assert_eq!(split(Item::Txn(txn(2, 10)), 1000).len(), 1);
        assert_eq!(split(Item::Txn(txn(1, 10_000)), 1000).len(), 1);
        assert_eq!(split(Item::Txn(txn(0, 0)), 0).len(), 1);
    }
}
