//! A change of definitions as it travels in the one sequence, and what the target's progress is after it.
//!
//! Made by `mysql::source::assembler` from a statement and `ddl_plan`, completed by `flow::ddl_item` (which looks tables up that
//! are new to the job), carried by `wire::batch`, executed by `mysql::target::ddl`. It stands for one source transaction.

use serde::{Deserialize, Serialize};

use crate::core::change::{BinlogPosition, CopyRow};
use crate::core::ddl_policy::DdlKind;
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::progress::Progress;
use crate::core::shape::{TableName, TableShape};
use crate::core::sql_token::Reading;

/// Collation of a session that says nothing: utf8mb4_0900_ai_ci. Servers write the real one with every statement of this kind.
const CLIENT_COLLATION: u16 = 255;

/// One statement that defines tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ddl {
    /// Its transaction.
    pub gtid: Gtid,
    /// Original commit time on the source, microseconds since the epoch.
    pub commit_us: u64,
    /// Its end in the binlog.
    pub position: BinlogPosition,
    /// Its text in the client's character set. Not in the JSON: it may not be UTF-8.
    #[serde(skip)]
    pub statement: Vec<u8>,
    /// The session it ran in.
    pub session: DdlSession,
    /// What `on_ddl` calls it.
    #[serde(default)]
    pub kind: DdlKind,
    /// What is to be done, in this order.
    pub steps: Vec<DdlStep>,
}

impl Ddl {
    /// The text for people: at most 200 characters.
    #[must_use]
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.statement[..self.statement.len().min(800)]);
        text.chars().take(200).collect()
    }
}

/// What decided how the source understood the statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DdlSession {
    /// Default schema; empty: none.
    pub default_schema: String,
    /// `sql_mode` as a number.
    pub sql_mode: u64,
    /// Numbers of the collations of `character_set_client`, `collation_connection` and `collation_server`.
    pub collations: Option<[u16; 3]>,
    /// `default_collation_for_utf8mb4`.
    pub utf8mb4_collation: Option<u16>,
    /// The statement's clock, microseconds since the epoch: CURRENT_TIMESTAMP of a new column's rows.
    pub timestamp_us: u64,
    /// `time_zone`, when the statement depends on it.
    pub time_zone: Option<String>,
}

impl DdlSession {
    /// How it read its statements.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading {
            sql_mode: self.sql_mode,
            client_collation: self.collations.map_or(CLIENT_COLLATION, |collations| collations[0]),
        }
    }
}

/// One thing to do on the target. At most one step of a statement is `Execute` or `Rename`, and it is the first; all others may be
/// done twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DdlStep {
    /// Run the statement's text; it gives this table another definition.
    Execute {
        /// The table.
        table: TableName,
    },
    /// Rename.
    Rename {
        /// From, to; one after the other in one statement.
        pairs: Vec<(TableName, TableName)>,
        /// The names replicated tables have before and after; None: outside of the job.
        moved: Vec<(TableName, Option<TableName>)>,
    },
    /// The table goes, and leaves the job until it is made again.
    Drop {
        /// The table.
        table: TableName,
    },
    /// Its rows go.
    Truncate {
        /// The table.
        table: TableName,
    },
    /// Whatever is there under this name goes; the table is made as the source has it by now and copied.
    Replace {
        /// The table.
        table: TableName,
        /// How the source has it; None: not at all any more.
        by: Option<Box<Replacement>>,
    },
}

/// A table as the source had it some time after the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Its definition.
    pub shape: TableShape,
    /// Everything the source had executed then: of these transactions nothing that concerns the table is to be applied any more.
    pub since: GtidSet,
    /// The source's estimate of its rows.
    pub rows_estimate: Option<u64>,
}

/// What the target is like after the steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DdlOutcome {
    /// Definitions of the tables that `Execute` and `Rename` gave another, under their names now.
    pub shapes: Vec<TableShape>,
    /// Tables that were emptied because their copy cannot go on where it was.
    pub emptied: Vec<TableName>,
}

/// Progress once the statement is done: its transaction, the shapes and the copy.
#[must_use]
pub fn progress_after(mut progress: Progress, ddl: &Ddl, outcome: &DdlOutcome) -> Progress {
    progress.executed.add(&ddl.gtid);
    progress.position = ddl.position.clone();
    for step in &ddl.steps {
        match step {
            DdlStep::Execute { .. } | DdlStep::Truncate { .. } => {}
            DdlStep::Rename { pairs, moved } => {
                rename(&mut progress, moved);
                rename_parents(&mut progress, pairs);
            }
            DdlStep::Drop { table } => forget(&mut progress, table),
            DdlStep::Replace { table, by } => {
                forget(&mut progress, table);
                if let Some(by) = by {
                    progress.shapes.push(by.shape.clone());
                    let row = CopyRow::begun(table.clone(), by.rows_estimate);
                    progress.copy.push(CopyRow {
                        since: by.since.clone(),
                        ..row
                    });
                }
            }
        }
    }
    for shape in &outcome.shapes {
        if let Some(known) = progress.shapes.iter_mut().find(|known| known.name == shape.name) {
            known.clone_from(shape);
        }
    }
    for row in &mut progress.copy {
        if outcome.emptied.contains(&row.table) {
            (row.cursor, row.rows, row.is_done) = (None, 0, false);
        }
    }
    progress
}

fn forget(progress: &mut Progress, table: &TableName) {
    progress.shapes.retain(|shape| shape.name != *table);
    progress.copy.retain(|row| row.table != *table);
}

/// All at once: names may be exchanged.
fn rename(progress: &mut Progress, moved: &[(TableName, Option<TableName>)]) {
    let after = |name: &TableName| moved.iter().find(|(from, _)| from == name).map(|(_, to)| to.clone());
    let goes = |name: &TableName| after(name) == Some(None);
    progress.shapes.retain(|shape| !goes(&shape.name));
    progress.copy.retain(|row| !goes(&row.table));
    let names = progress.shapes.iter_mut().map(|shape| &mut shape.name);
    for name in names.chain(progress.copy.iter_mut().map(|row| &mut row.table)) {
        if let Some(Some(to)) = after(name) {
            *name = to;
        }
    }
}

/// Foreign keys follow the table they refer to, also out of the job.
fn rename_parents(progress: &mut Progress, pairs: &[(TableName, TableName)]) {
    let cascades = progress.shapes.iter_mut().flat_map(|shape| &mut shape.cascades);
    for parent in cascades.map(|cascade| &mut cascade.parent) {
        for (from, to) in pairs {
            if parent == from {
                parent.clone_from(to);
            }
        }
    }
}

/// A copy of the first cannot go on as one of the second where it was: the keys are others, or other bytes.
#[must_use]
pub fn has_other_key(before: &TableShape, after: &TableShape) -> bool {
    let key = |shape: &TableShape| {
        shape.key.as_ref().map(|key| {
            let column = |at: &usize| {
                let column = &shape.columns[*at];
                (column.kind.clone(), column.collation.clone())
            };
            key.columns.iter().map(column).collect::<Vec<_>>()
        })
    };
    key(before) != key(after) || before.key.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::tests::shape;
    use crate::core::shape::ColumnKind;

    fn name(table: &str) -> TableName {
        TableName {
            schema: "s".into(),
            table: table.into(),
        }
    }

    fn table(of: &str, columns: usize) -> TableShape {
        let int = ColumnKind::Int {
            bytes: 4,
            unsigned: false,
        };
        TableShape {
            name: name(of),
            ..shape(vec![int; columns], 1)
        }
    }

    fn progress(tables: &[&str]) -> Progress {
        Progress {
            shapes: tables.iter().map(|of| table(of, 1)).collect(),
            copy: tables.iter().map(|of| CopyRow::begun(name(of), None)).collect(),
            ..Progress::default()
        }
    }

    fn ddl(steps: Vec<DdlStep>) -> Ddl {
        Ddl {
            gtid: "11111111-1111-1111-1111-111111111111:7".parse().unwrap(),
            commit_us: 1,
            position: BinlogPosition::default(),
            statement: b"x".to_vec(),
            session: DdlSession::default(),
            kind: DdlKind::AlterTable,
            steps,
        }
    }

    fn names(progress: &Progress) -> Vec<&str> {
        assert!(
            progress
                .copy
                .iter()
                .all(|row| progress.shapes.iter().any(|shape| shape.name == row.table)),
            "a copy row without a shape: {progress:?}"
        );
        progress.shapes.iter().map(|shape| shape.name.table.as_str()).collect()
    }

    #[test]
    fn names_that_are_exchanged_keep_their_shapes_and_copies_apart() {
        let mut before = progress(&["a", "b", "c"]);
        before.copy[0].rows = 5;
        let moved = vec![(name("a"), Some(name("b"))), (name("b"), Some(name("a"))), (name("c"), None)];
        let pairs = vec![
            (name("a"), name("tmp")),
            (name("b"), name("a")),
            (name("tmp"), name("b")),
            (name("c"), name("x")),
        ];
        let refers_to = |parent: &str| crate::core::cascade::Cascade {
            constraint: "fk".into(),
            parent: name(parent),
            columns: vec!["id".into()],
            is_unlogged: true,
        };
        before.shapes[0].cascades = vec![refers_to("a"), refers_to("c")];
        let outcome = DdlOutcome {
            shapes: vec![table("a", 3)],
            emptied: Vec::new(),
        };
        let after = progress_after(before, &ddl(vec![DdlStep::Rename { pairs, moved }]), &outcome);
        assert_eq!(names(&after), ["b", "a"]);
        assert_eq!((after.copy[0].table.clone(), after.copy[0].rows), (name("b"), 5));
        assert_eq!((after.shapes[0].columns.len(), after.shapes[1].columns.len()), (1, 3));
        assert_eq!(after.shapes[0].cascades, [refers_to("b"), refers_to("x")]);
        assert_eq!(after.executed.to_string(), "11111111-1111-1111-1111-111111111111:7");
    }

    #[test]
    fn a_replaced_table_is_copied_again_and_a_dropped_one_is_forgotten() {
        let mut before = progress(&["a", "b"]);
        before.copy[0].is_done = true;
        let since = GtidSet::parse("11111111-1111-1111-1111-111111111111:1-9").unwrap();
        let by = Replacement {
            shape: table("a", 4),
            since: since.clone(),
            rows_estimate: Some(3),
        };
        let steps = vec![
            DdlStep::Drop { table: name("b") },
            DdlStep::Replace {
                table: name("a"),
                by: Some(Box::new(by)),
            },
        ];
        let after = progress_after(before, &ddl(steps), &DdlOutcome::default());
        assert_eq!(names(&after), ["a"]);
        assert_eq!((after.copy[0].is_done, &after.copy[0].since), (false, &since));
        assert_eq!(after.shapes[0].columns.len(), 4);
    }

    #[test]
    fn a_copy_goes_on_unless_its_key_is_another() {
        let wide = TableShape {
            columns: table("a", 2).columns,
            ..table("a", 1)
        };
        assert!(!has_other_key(&table("a", 1), &wide));
        let mut unsigned = table("a", 1);
        unsigned.columns[0].kind = ColumnKind::Int {
            bytes: 4,
            unsigned: true,
        };
        assert!(has_other_key(&table("a", 1), &unsigned));
        assert!(has_other_key(
            &TableShape {
                key: None,
                ..table("a", 1)
            },
            &table("a", 1)
        ));
    }
}
