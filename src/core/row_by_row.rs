//! Which tables have changes that are carried out one by one instead of as multi-row statements, and why.
//!
//! Pure. Fed by `flow::sink_meter` with what every group did, read as the `row_by_row` of a job's status. A new reason is a
//! variant of [`Reason`] with its words, and a line in `reason_of`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::change::Change;
use crate::core::group::{Group, Table, Tables};
use crate::core::shape::TableName;

/// Why a change was carried out by itself. Stored nowhere; a word of the JSON, which only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The table has no key that tells its rows apart.
    NoKey,
    /// Row images of the source lack columns, or hold changes of a JSON document instead of the document.
    PartialImages,
    /// The change makes the target's engine change rows of other tables.
    Cascades,
    /// A reason of a newer version.
    #[serde(other)]
    Unknown,
}

impl Reason {
    /// The reason and what ends it, for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoKey => "it has no primary key and no unique key over columns that are NOT NULL; add one on both sides",
            Self::PartialImages => {
                "row images lack columns (binlog_row_image MINIMAL or NOBLOB, binlog_row_value_options PARTIAL_JSON) and cannot go as row \
                 events: that takes REPLICATION_APPLIER, the same columns on both sides and no other unique key"
            }
            Self::Cascades => {
                "a foreign key with CASCADE or SET NULL refers to it, and the source does not log what it does to the children"
            }
            Self::Unknown => "for a reason that this version of peer does not know",
        }
    }
}

/// The changes of one table that were carried out one by one, for one reason, since the sink task started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowByRow {
    /// Database on the target.
    pub schema: String,
    /// Table on the target.
    pub table: String,
    /// Why, one word.
    pub reason: Reason,
    /// Row changes.
    pub rows: u64,
    /// Time since the last of them was committed.
    pub last_ago_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    rows: u64,
    at: Duration,
}

/// Counts them. At most one entry per table and reason.
#[derive(Debug, Default)]
pub struct RowByRowLog(BTreeMap<(TableName, Reason), Seen>);

impl RowByRowLog {
    /// A group, or a part of a large transaction, was applied. `tables` are those its changes name.
    pub fn note(&mut self, group: &Group, tables: &Tables, now: Duration) {
        for effect in group.tables.iter().filter(|effect| !effect.in_order.is_empty()) {
            let Some(table) = tables.get(effect.shape) else { continue };
            let mut rows_of: BTreeMap<Reason, u64> = BTreeMap::new();
            for change in &effect.in_order {
                *rows_of.entry(reason_of(change, table)).or_default() += 1;
            }
            for (reason, rows) in rows_of {
                let seen = self.0.entry((table.shape.name.clone(), reason)).or_default();
                seen.rows += rows;
                seen.at = now;
            }
        }
    }

    /// All of them, most rows first.
    #[must_use]
    pub fn report(&self, now: Duration) -> Vec<RowByRow> {
        let line = |((name, reason), seen): (&(TableName, Reason), &Seen)| RowByRow {
            schema: name.schema.clone(),
            table: name.table.clone(),
            reason: *reason,
            rows: seen.rows,
            last_ago_ms: u64::try_from(now.saturating_sub(seen.at).as_millis()).unwrap_or(u64::MAX),
        };
        let mut all: Vec<RowByRow> = self.0.iter().map(line).collect();
        all.sort_by_key(|line| std::cmp::Reverse(line.rows));
        all
    }
}

fn reason_of(change: &Change, table: &Table) -> Reason {
    match change {
        Change::Cascade(_) => Reason::Cascades,
        _ if table.shape.key.is_none() => Reason::NoKey,
        // The first of them, and what follows it in its group.
        _ => Reason::PartialImages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::TxnPart;
    use crate::core::group::GroupLimits;
    use crate::core::group::Grouper;
    use crate::core::gtid_set::Gtid;
    use crate::core::image::Image;
    use crate::core::net_effect::tests::{row, shape_with_key};
    use crate::core::shape::{ShapeId, TableShape};

    /// Table 0 `s.t` has a key, table 1 `s.log` has none.
    fn grouper() -> Grouper {
        let mut grouper = Grouper::new(GroupLimits {
            transactions: 9,
            bytes: 1 << 20,
        });
        grouper.set_shape(ShapeId(0), shape_with_key());
        let mut log = TableShape {
            key: None,
            ..shape_with_key()
        };
        log.name.table = "log".into();
        grouper.set_shape(ShapeId(1), log);
        grouper
    }

    fn insert(shape: u32, id: i32) -> Change {
        Change::Insert {
            shape: ShapeId(shape),
            after: row(id, 1),
        }
    }

    fn told(changes: Vec<Change>) -> Vec<(String, Reason, u64)> {
        let mut grouper = grouper();
        let part = TxnPart {
            gtid: Gtid::parse("00000000-0000-0000-0000-000000000001:1").unwrap(),
            is_first: true,
            is_last: true,
            last_committed: 0,
            sequence_number: 0,
            commit_us: 1,
            position: Default::default(),
            prepared: None,
            changes,
        };
        grouper.push(part).unwrap();
        let group = grouper.take();
        let mut log = RowByRowLog::default();
        log.note(&group, grouper.tables(), Duration::from_secs(1));
        let report = log.report(Duration::from_secs(4));
        assert!(report.iter().all(|line| line.last_ago_ms == 3000), "{report:?}");
        report.into_iter().map(|line| (line.table, line.reason, line.rows)).collect()
    }

    #[test]
    fn a_table_with_a_key_and_whole_images_is_not_told() {
        assert_eq!(told(vec![insert(0, 1), insert(0, 2)]), []);
    }

    #[test]
    fn a_table_without_a_key_is_told_with_its_rows() {
        let found = told(vec![insert(1, 1), insert(0, 1), insert(1, 1)]);
        assert_eq!(found, [("log".into(), Reason::NoKey, 2)]);
    }

    #[test]
    fn images_that_lack_columns_and_cascades_are_told_apart_and_the_most_rows_come_first() {
        let partial = Change::Partial {
            shape: ShapeId(0),
            before: Image {
                row: row(1, 0),
                present: vec![1].into(),
            },
            after: None,
        };
        let cascade = Change::Cascade(Box::new(Change::Delete {
            shape: ShapeId(0),
            before: row(9, 9),
        }));
        let found = told(vec![partial, insert(0, 3), cascade]);
        assert_eq!(
            found,
            [("t".into(), Reason::PartialImages, 2), ("t".into(), Reason::Cascades, 1)]
        );
    }

    #[test]
    fn a_reason_of_a_newer_version_can_be_read() {
        let found: Reason = serde_json::from_str("\"differs\"").unwrap();
        assert_eq!(found, Reason::Unknown);
        assert_eq!(serde_json::to_string(&Reason::NoKey).unwrap(), "\"no_key\"");
    }
}
