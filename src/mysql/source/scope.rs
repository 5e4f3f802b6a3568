//! The tables a reader looks at: those it decodes, and those the job wants although they are not there.
//!
//! Made by `flow::source_flow` from the target's progress; asked by `table_map` for each map and by `assembler` for each statement.
//! Names are the server's own spelling; a server that folds names to lower case (`lower_case_table_names`) is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::core::cascade::referenced;
use crate::core::change::CopyRow;
use crate::core::ddl::{DdlSession, DdlStep};
use crate::core::ddl_plan::{self, Standing};
use crate::core::ddl_policy::DdlKind;
use crate::core::ddl_scope::{ReplicatedNames, Touch, changes_rows};
use crate::core::ddl_statement::{self, Statement};
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::row::RowLayout;
use crate::core::shape::{Column, ShapeId, TableName, TableShape};
use crate::core::table_choice::Chosen;
use crate::core::table_wanted::Wanted;
use crate::mysql::source::query_session::updated_schemas;

/// The tables a reader looks at; all others are skipped.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    schemas: HashMap<String, HashMap<String, Arc<ScopeTable>>>,
    /// What the job asks for; None: only the tables that are there.
    wanted: Option<Wanted>,
    /// Those of them that are known by name.
    names_known: Vec<TableName>,
    names: ReplicatedNames,
    is_folding: bool,
}

/// One table in scope.
#[derive(Debug)]
pub(super) struct ScopeTable {
    pub id: ShapeId,
    pub shape: TableShape,
    pub layout: RowLayout,
    /// What a column becomes that an INSERT leaves out.
    pub left_out: Vec<LeftOut>,
    /// Of these transactions nothing that concerns the table is looked at.
    pub since: GtidSet,
    /// Columns by which the engine cascades from it; None: it does not.
    pub referenced: Option<BTreeSet<usize>>,
}

/// What a column becomes that an INSERT leaves out, when the image leaves it out too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    Null,
    Value(Vec<u8>),
    /// Not known.
    Unknown,
}

impl ScopeTable {
    pub fn new(id: ShapeId, shape: TableShape, since: GtidSet) -> Self {
        let layout = RowLayout::new(&shape);
        let left_out = |(at, column): (usize, &Column)| match shape.defaults.as_ref().map(|defaults| defaults.get(&at)) {
            Some(Some(hex)) => from_hex(hex).map_or(LeftOut::Unknown, LeftOut::Value),
            Some(None) if column.is_nullable || column.is_generated => LeftOut::Null,
            Some(None) | None => LeftOut::Unknown,
        };
        Self {
            id,
            layout,
            left_out: shape.columns.iter().enumerate().map(left_out).collect(),
            shape,
            since,
            referenced: None,
        }
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect()
}

/// What a statement is to the job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing.
    Elsewhere,
    /// Nothing, but rows follow in its transaction.
    ElsewhereWithRows,
    /// These are to be done.
    Steps(DdlKind, Vec<DdlStep>),
    /// It may concern a replicated table and cannot be carried out.
    Refused(Touch),
}

impl Scope {
    /// The scope of these tables, and no others.
    #[must_use]
    pub fn new(tables: Vec<(ShapeId, TableShape)>) -> Self {
        Self::of(tables, &[], None)
    }

    /// The scope of these tables, some of which were looked up after the job began, in a job that wants those too.
    #[must_use]
    pub fn of(tables: Vec<(ShapeId, TableShape)>, copy: &[CopyRow], wanted: Option<Wanted>) -> Self {
        let mut names_known = wanted.as_ref().map(|wanted| wanted.exact.clone()).unwrap_or_default();
        let mut schemas: HashMap<String, HashMap<String, Arc<ScopeTable>>> = HashMap::new();
        let of = |(_, shape): &(ShapeId, TableShape)| referenced(shape, tables.iter().map(|(_, shape)| shape));
        let referenced: Vec<_> = tables.iter().map(of).collect();
        for ((id, shape), referenced) in tables.into_iter().zip(referenced) {
            let name = shape.name.clone();
            if !names_known.contains(&name) {
                names_known.push(name.clone());
            }
            let row = copy.iter().find(|row| row.table == name);
            let since = row.map(|row| row.since.clone()).unwrap_or_default();
            let table = Arc::new(ScopeTable {
                referenced,
                ..ScopeTable::new(id, shape, since)
            });
            schemas.entry(name.schema).or_default().insert(name.table, table);
        }
        Self {
            names: ReplicatedNames::new(&names_known),
            schemas,
            wanted,
            names_known,
            is_folding: false,
        }
    }

    /// The server takes names in any case.
    #[must_use]
    pub fn folding(self, is_folding: bool) -> Self {
        Self { is_folding, ..self }
    }

    pub(super) fn find(&self, schema: &[u8], table: &[u8]) -> Option<&Arc<ScopeTable>> {
        // Names in table maps are UTF-8; one that is not cannot be in scope.
        let schema = std::str::from_utf8(schema).ok()?;
        self.schemas.get(schema)?.get(std::str::from_utf8(table).ok()?)
    }

    /// What a statement with these status variables is to the job: it defines tables, changes rows in statement format, or does
    /// something else.
    pub(super) fn meaning(&self, text: &[u8], status: &[u8], session: &DdlSession, gtid: &Gtid) -> Meaning {
        let Some(statement) = ddl_statement::read(text, session.reading(), &session.default_schema) else {
            if changes_rows(text) {
                return match self.names.touched_by_rows(updated_schemas(status).as_deref()) {
                    Touch::No => Meaning::Elsewhere,
                    touch => Meaning::Refused(touch),
                };
            }
            return match self.names.touched_by(text, &session.default_schema) {
                Touch::No => Meaning::Elsewhere,
                touch => Meaning::Refused(touch),
            };
        };
        let has_rows = matches!(statement, Statement::CreateTable(_)) && text.trim_ascii_end().ends_with(b"START TRANSACTION");
        let statement = statement.with_names(&|name| self.spelled(name));
        let kind = statement.kind();
        let known: Vec<TableName> = self.tables().map(|table| table.shape.name.clone()).collect();
        let steps = ddl_plan::steps(statement, &known, &|name| self.standing(&self.spelled(name.clone()), gtid));
        let steps = self.possible(steps);
        match (steps.is_empty(), has_rows) {
            (false, _) => Meaning::Steps(kind, steps),
            (true, true) => Meaning::ElsewhereWithRows,
            (true, false) => Meaning::Elsewhere,
        }
    }

    fn choice(&self, name: &TableName) -> Option<Chosen> {
        self.wanted.as_ref()?.choice(name)
    }

    /// The steps that are possible: tables that change between rules by which their rows are others come anew.
    fn possible(&self, steps: Vec<DdlStep>) -> Vec<DdlStep> {
        let way = |name: &TableName| self.choice(name).map(|chosen| chosen.way());
        let Some(DdlStep::Rename { pairs, moved }) = steps.first() else {
            return steps;
        };
        if moved
            .iter()
            .all(|(from, to)| to.as_ref().is_none_or(|to| way(from) == way(to)))
        {
            return steps;
        }
        let last = |before: &TableName| {
            let follow = |name: TableName, (from, to): &(TableName, TableName)| if name == *from { to.clone() } else { name };
            pairs.iter().fold(before.clone(), follow)
        };
        let (staying, leaving): (Vec<_>, Vec<_>) = moved.iter().cloned().partition(|(_, to)| to.is_some());
        let mut possible = Vec::new();
        if !leaving.is_empty() {
            possible.push(DdlStep::Rename {
                pairs: leaving.iter().map(|(from, _)| (from.clone(), last(from))).collect(),
                moved: leaving,
            });
        }
        possible.extend(staying.iter().map(|(from, _)| DdlStep::Drop { table: from.clone() }));
        let comes = |to: TableName| DdlStep::Replace { table: to, by: None };
        possible.extend(staying.into_iter().filter_map(|(_, to)| to).map(comes));
        possible.extend(steps.iter().skip(1).cloned());
        possible
    }

    fn tables(&self) -> impl Iterator<Item = &Arc<ScopeTable>> {
        self.schemas.values().flat_map(HashMap::values)
    }

    /// The tables that were looked up after this transaction, which is of no concern to them.
    pub(super) fn covered(&self, gtid: &Gtid) -> Vec<ShapeId> {
        let tables = self.tables().filter(|table| table.since.contains(gtid));
        tables.map(|table| table.id).collect()
    }

    fn standing(&self, name: &TableName, gtid: &Gtid) -> Standing {
        match self.find(name.schema.as_bytes(), name.table.as_bytes()) {
            Some(table) if table.since.contains(gtid) => Standing::Covered,
            Some(_) => Standing::Known,
            None if self.choice(name).is_some() => Standing::Missing,
            None => Standing::Outside,
        }
    }

    /// The name as the server and the job spell it.
    fn spelled(&self, name: TableName) -> TableName {
        if !self.is_folding {
            return name;
        }
        let fold = |name: &TableName| (name.schema.to_lowercase(), name.table.to_lowercase());
        let folded = fold(&name);
        let known = self.names_known.iter().find(|known| fold(known) == folded);
        known.cloned().unwrap_or(TableName {
            schema: folded.0,
            table: folded.1,
        })
    }
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

    /// `s.t` is there, looked up after transaction 5; `s.m` is wanted.
    fn scope() -> Scope {
        let table = shape(vec![ColumnKind::Year], 1);
        let row = CopyRow {
            since: GtidSet::parse("11111111-1111-1111-1111-111111111111:1-5").unwrap(),
            ..CopyRow::begun(name("t"), None)
        };
        let wanted = Wanted {
            exact: vec![name("t"), name("m")],
            ..Wanted::default()
        };
        Scope::of(vec![(ShapeId(0), table)], &[row], Some(wanted))
    }

    fn meaning(scope: &Scope, text: &str, number: u64) -> Meaning {
        let gtid = format!("11111111-1111-1111-1111-111111111111:{number}").parse().unwrap();
        let session = DdlSession {
            default_schema: "s".into(),
            ..DdlSession::default()
        };
        scope.meaning(text.as_bytes(), &[], &session, &gtid)
    }

    #[test]
    fn what_a_table_was_looked_up_after_is_passed_over() {
        let execute = Meaning::Steps(DdlKind::AlterTable, vec![DdlStep::Execute { table: name("t") }]);
        assert_eq!(meaning(&scope(), "ALTER TABLE t ADD c INT", 5), Meaning::Elsewhere);
        assert_eq!(meaning(&scope(), "ALTER TABLE t ADD c INT", 6), execute);
    }

    #[test]
    fn a_wanted_table_that_is_made_is_looked_up() {
        let replace = Meaning::Steps(
            DdlKind::CreateTable,
            vec![DdlStep::Replace {
                table: name("m"),
                by: None,
            }],
        );
        assert_eq!(meaning(&scope(), "CREATE TABLE m LIKE x", 9), replace);
        let made = meaning(&scope(), "CREATE TABLE `x` (a INT) START TRANSACTION", 9);
        assert_eq!(made, Meaning::ElsewhereWithRows);
    }

    #[test]
    fn names_fold_only_where_the_server_folds_them() {
        let dropped = "DROP TABLE S.T";
        assert_eq!(meaning(&scope(), dropped, 9), Meaning::Elsewhere);
        let steps = |kind| Meaning::Steps(kind, vec![DdlStep::Drop { table: name("t") }]);
        assert_eq!(meaning(&scope().folding(true), dropped, 9), steps(DdlKind::DropTable));
        let all = meaning(&scope().folding(true), "DROP DATABASE S", 9);
        assert_eq!(all, steps(DdlKind::DropDatabase));
        assert_eq!(meaning(&scope(), "DROP DATABASE S", 9), Meaning::Elsewhere);
    }

    #[test]
    fn a_column_that_is_called_like_a_table_of_the_job_is_none() {
        assert_eq!(meaning(&scope(), "ALTER TABLE x ADD COLUMN t INT", 9), Meaning::Elsewhere);
    }
}
