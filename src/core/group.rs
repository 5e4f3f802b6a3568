//! Collects whole transactions, in order, into the groups that become one target transaction each (PROTOCOLS 2).
//!
//! Fed by the applier of `flow`, feeds `mysql::target`. Decides when a group is full; what a group does to each table is
//! folded by `core::net_effect`. Knows no SQL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::core::change::{BinlogPosition, Change, TxnPart};
use crate::core::gtid_set::GtidSet;
use crate::core::net_effect::{FoldError, NetEffect, TableEffect};
use crate::core::row::RowLayout;
use crate::core::shape::{ShapeId, TableShape};

/// Rows in one group: bounds how long its locks are held; beyond some hundred rows a larger group gains little
/// (facts/apply "Recommended apply engine": k = 100 to 1000 rows).
pub const GROUP_CHANGES_MAX: u64 = 4_000;

/// The same for a part of a large transaction, whose locks are held to its end anyway. Two of them are in memory: one is made while
/// the server works at the other.
const PART_CHANGES_MAX: u64 = 10_000;

/// A table as groups need it: its shape and how its rows lie. Shared, never changed.
#[derive(Debug)]
pub struct Table {
    /// The definition.
    pub shape: TableShape,
    /// How to split its rows.
    pub layout: RowLayout,
}

impl Table {
    /// Prepares a shape.
    #[must_use]
    pub fn new(shape: TableShape) -> Self {
        let layout = RowLayout::new(&shape);
        Self { shape, layout }
    }
}

/// The tables named so far.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    all: HashMap<ShapeId, Arc<Table>>,
    /// Those that are one table with a lower number: several of the source in one of the target.
    ones: HashMap<ShapeId, ShapeId>,
    /// Those whose images that lack columns are folded: the target takes them as row events.
    folded: HashSet<ShapeId>,
}

impl Tables {
    /// Names a table from now on.
    pub fn set(&mut self, id: ShapeId, shape: TableShape) {
        let is_one = |other: &Table| {
            other.shape.name == shape.name && other.shape.columns == shape.columns && other.shape.key == shape.key
        };
        let one = self
            .all
            .iter()
            .filter(|(other, table)| **other < id && is_one(table))
            .map(|(other, _)| *other)
            .min();
        match one {
            Some(one) => self.ones.insert(id, one),
            None => self.ones.remove(&id),
        };
        self.all.insert(id, Arc::new(Table::new(shape)));
    }

    /// Of these tables, and no others, images that lack columns are folded from now on.
    pub fn set_folded(&mut self, folded: &[ShapeId]) {
        self.folded = folded.iter().copied().collect();
    }

    /// Images of this table that lack columns are folded.
    #[must_use]
    pub fn is_folded(&self, id: ShapeId) -> bool {
        self.folded.contains(&id)
    }

    /// The change as one of the table that stands for all that are one: what it does to a key is seen beside what they do.
    fn as_one(&self, mut change: Change) -> Change {
        match &mut change {
            Change::Insert { shape, .. }
            | Change::Delete { shape, .. }
            | Change::Update { shape, .. }
            | Change::Partial { shape, .. } => *shape = self.ones.get(shape).copied().unwrap_or(*shape),
            // Its table is in the target as it is on the source, and only it.
            Change::Cascade(_) => {}
        }
        change
    }

    /// The table of this number.
    #[must_use]
    pub fn get(&self, id: ShapeId) -> Option<&Arc<Table>> {
        self.all.get(&id)
    }

    /// All of them, in the order of their numbers.
    #[must_use]
    pub fn in_order(&self) -> Vec<(ShapeId, Arc<Table>)> {
        let mut all: Vec<_> = self.all.iter().map(|(id, table)| (*id, Arc::clone(table))).collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }
}

/// When a group is full. A group exceeds them by at most one transaction part.
#[derive(Clone, Copy, Debug)]
pub struct GroupLimits {
    /// Source transactions.
    pub transactions: u64,
    /// Bytes of row images.
    pub bytes: u64,
}

/// What one target transaction does.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Per table, in the order the tables were first touched, and anew behind each change that cascades.
    pub tables: Vec<TableEffect>,
    /// What was pushed, in the order of the source: the transactions one by one, for when the group does not fit. Rows are shared.
    pub parts: Vec<TxnPart>,
    /// GTIDs that are applied with it; empty for a part of a large transaction that is not the last.
    pub added: GtidSet,
    /// End of its last transaction in the source's binlog.
    pub position: BinlogPosition,
    /// Commit time of its last transaction on the source, microseconds since the epoch.
    pub commit_us: u64,
    /// Source transactions that end in it.
    pub transactions: u64,
    /// Row changes before folding.
    pub changes: u64,
    /// Bytes of row images before folding.
    pub bytes: u64,
}

impl Group {
    /// Nothing is to be written but progress.
    #[must_use]
    pub fn is_progress_only(&self) -> bool {
        self.tables.iter().all(TableEffect::is_empty)
    }

    /// Of the transactions it brings to progress, those of which it holds no part: they had nothing to write.
    #[must_use]
    pub fn passed(&self) -> GtidSet {
        let mut own = GtidSet::default();
        for part in &self.parts {
            own.add(&part.gtid);
            if let Some(prepared) = &part.prepared {
                own.add(prepared);
            }
        }
        self.added.subtract(&own)
    }
}

/// Collects parts until somebody takes the group.
#[derive(Debug)]
pub struct Grouper {
    limits: GroupLimits,
    tables: Tables,
    effect: NetEffect,
    group: Group,
    is_inside: bool,
}

impl Grouper {
    /// An empty one.
    #[must_use]
    pub fn new(limits: GroupLimits) -> Self {
        Self {
            limits,
            tables: Tables::default(),
            effect: NetEffect::default(),
            group: Group::default(),
            is_inside: false,
        }
    }

    /// Names a table for the parts that follow.
    pub fn set_shape(&mut self, id: ShapeId, shape: TableShape) {
        self.tables.set(id, shape);
    }

    /// Of these tables, and no others, images that lack columns are folded from now on; between two groups.
    pub fn set_folded(&mut self, folded: &[ShapeId]) {
        self.tables.set_folded(folded);
    }

    /// Limits from now on, for what is collected already too.
    pub fn set_limits(&mut self, limits: GroupLimits) {
        self.limits = limits;
    }

    /// The tables named so far.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Adds the next part. After an error the collected group cannot be trusted and is to be dropped.
    pub fn push(&mut self, part: TxnPart) -> Result<(), FoldError> {
        debug_assert_ne!(part.is_first, self.is_inside, "parts of one transaction follow each other");
        for change in &part.changes {
            self.group.changes += 1;
            self.group.bytes += change_bytes(change);
            self.effect.push(&self.tables, self.tables.as_one(change.clone()))?;
        }
        self.is_inside = !part.is_last;
        if part.is_last {
            self.group.added.add(&part.gtid);
            if let Some(prepared) = &part.prepared {
                self.group.added.add(prepared);
            }
            self.group.transactions += 1;
        }
        self.group.position.clone_from(&part.position);
        self.group.commit_us = part.commit_us;
        self.group.parts.push(part);
        Ok(())
    }

    /// A transaction was begun and its last part has not come: `take` would cut it.
    #[must_use]
    pub fn is_inside_transaction(&self) -> bool {
        self.is_inside
    }

    /// Nothing was pushed since the last `take`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.group.transactions == 0 && self.group.changes == 0 && !self.is_inside
    }

    /// The group has reached a limit.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.group.transactions >= self.limits.transactions
            || self.group.bytes >= self.limits.bytes
            || self.group.changes >= GROUP_CHANGES_MAX
    }

    /// A part of a large transaction has reached a limit: half of a group's, because there are two at a time.
    #[must_use]
    pub fn is_part_full(&self) -> bool {
        self.group.bytes >= self.limits.bytes / 2 || self.group.changes >= PART_CHANGES_MAX
    }

    /// Row changes collected.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.group.changes
    }

    /// Bytes of row images collected.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.group.bytes
    }

    /// Drops what was collected, a transaction in the middle of it too.
    pub fn abandon(&mut self) {
        self.group = Group::default();
        self.effect = NetEffect::default();
        self.is_inside = false;
    }

    /// What was collected, folded; the grouper is empty again. In the middle of a transaction this is a piece of a large
    /// one, whose GTID is in the group that holds its last part.
    #[must_use]
    pub fn take(&mut self) -> Group {
        let mut group = std::mem::take(&mut self.group);
        group.tables = std::mem::take(&mut self.effect).finish();
        group
    }
}

fn change_bytes(change: &Change) -> u64 {
    change.rows().map(|row| row.0.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::gtid_set::Gtid;
    use crate::core::net_effect::tests::{row, shape_with_key};

    fn part(number: u64, is_first: bool, is_last: bool, ids: &[i32]) -> TxnPart {
        TxnPart {
            gtid: Gtid::parse(&format!("00000000-0000-0000-0000-000000000001:{number}")).unwrap(),
            is_first,
            is_last,
            last_committed: 0,
            sequence_number: 0,
            commit_us: number,
            position: BinlogPosition::default(),
            prepared: None,
            changes: ids
                .iter()
                .map(|id| Change::Insert {
                    shape: ShapeId(0),
                    after: row(*id, 1),
                })
                .collect(),
        }
    }

    fn grouper() -> Grouper {
        let mut grouper = Grouper::new(GroupLimits {
            transactions: 2,
            bytes: 1 << 20,
        });
        grouper.set_shape(ShapeId(0), shape_with_key());
        grouper
    }

    #[test]
    fn a_group_is_full_at_its_limit_and_empty_after_it_was_taken() {
        let mut grouper = grouper();
        grouper.push(part(1, true, true, &[1])).unwrap();
        assert!(!grouper.is_full());
        grouper.push(part(2, true, true, &[2])).unwrap();
        assert!(grouper.is_full());
        let group = grouper.take();
        assert_eq!((group.transactions, group.changes, group.commit_us), (2, 2, 2));
        assert_eq!(group.added.to_string(), "00000000-0000-0000-0000-000000000001:1-2");
        assert!(grouper.is_empty() && !grouper.is_full());
    }

    #[test]
    fn only_the_last_part_brings_its_gtid() {
        let mut grouper = grouper();
        grouper.push(part(1, true, false, &[1])).unwrap();
        assert!(grouper.is_inside_transaction());
        assert!(grouper.take().added.is_empty());
        grouper.push(part(1, false, true, &[2])).unwrap();
        assert!(!grouper.is_inside_transaction());
        assert_eq!(grouper.take().added.count(), 1);
    }

    #[test]
    fn what_ends_a_prepared_transaction_brings_both_gtids_with_its_last_part() {
        let mut grouper = grouper();
        let prepared = part(3, true, true, &[]).gtid;
        let of = |is_first, is_last, id| TxnPart {
            prepared: Some(prepared.clone()),
            ..part(9, is_first, is_last, &[id])
        };
        grouper.push(of(true, false, 1)).unwrap();
        assert!(grouper.take().added.is_empty());
        grouper.push(of(false, true, 2)).unwrap();
        assert_eq!(grouper.take().added.to_string(), "00000000-0000-0000-0000-000000000001:3:9");
    }

    #[test]
    fn what_was_passed_before_a_group_is_told_apart_from_both_gtids_of_its_transactions() {
        let mut grouper = grouper();
        grouper
            .push(TxnPart {
                prepared: Some(part(3, true, true, &[]).gtid),
                ..part(9, true, true, &[1])
            })
            .unwrap();
        let mut group = grouper.take();
        group.added.add(&part(5, true, true, &[]).gtid);
        assert_eq!(group.passed().to_string(), "00000000-0000-0000-0000-000000000001:5");
    }

    #[test]
    fn a_transaction_without_changes_is_progress_only() {
        let mut grouper = grouper();
        grouper.push(part(1, true, true, &[])).unwrap();
        assert!(!grouper.is_empty());
        assert!(grouper.take().is_progress_only());
    }
}
