//! From a statement to what is to be done on the target, given which tables the job replicates.
//!
//! Fed by `mysql::source::assembler` with a statement that `ddl_statement` read; its steps travel in `core::ddl::Ddl`. Tables
//! that come into the job from outside (made, renamed in, exchanged) are not followed back: they are looked up on the source and
//! copied like any table at the start of a job. So the tables of gh-ost and pt-online-schema-change need not be shipped.

use std::collections::BTreeMap;

use crate::core::ddl::DdlStep;
use crate::core::ddl_statement::Statement;
use crate::core::shape::TableName;

/// What a table name is to the job at the statement's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not of the job.
    Outside,
    /// Of the job, and replicated.
    Known,
    /// Of the job, but the source did not have it so far.
    Missing,
    /// Of the job, and looked up on the source after this transaction: nothing of it concerns the name any more.
    Covered,
}

impl Standing {
    /// The job wants a table of this name.
    fn is_wanted(self) -> bool {
        self != Self::Outside
    }
}

/// The steps; empty: the statement concerns nothing that is replicated.
#[must_use]
pub fn steps(statement: Statement, known: &[TableName], standing: &impl Fn(&TableName) -> Standing) -> Vec<DdlStep> {
    match statement {
        // One that is known was there: IF NOT EXISTS did nothing.
        Statement::CreateTable(table) if standing(&table) == Standing::Missing => vec![replace(table)],
        Statement::CreateTable(_) => Vec::new(),
        Statement::AlterTable { table, .. } | Statement::CreateIndex(table) | Statement::DropIndex(table) => {
            only_known(table, standing, |table| DdlStep::Execute { table })
        }
        Statement::Truncate(table) => only_known(table, standing, |table| DdlStep::Truncate { table }),
        Statement::DropTable(tables) => {
            let dropped = tables.into_iter().filter(|table| standing(table) == Standing::Known);
            dropped.map(|table| DdlStep::Drop { table }).collect()
        }
        Statement::DropDatabase(schema) => {
            let dropped = known.iter().filter(|table| is_of(table, &schema, standing));
            dropped.cloned().map(|table| DdlStep::Drop { table }).collect()
        }
        Statement::ReplaceRows(tables) => {
            let is_here = |table: &TableName| matches!(standing(table), Standing::Known | Standing::Missing);
            tables.into_iter().filter(is_here).map(replace).collect()
        }
        Statement::RenameTable(pairs) => rename(pairs, standing),
        Statement::AlterAndRename(from, to) => alter_and_rename(from, to, standing),
    }
}

/// A known table of a schema, which is spelled as the statement has it: the server may fold it.
fn is_of(table: &TableName, schema: &str, standing: &impl Fn(&TableName) -> Standing) -> bool {
    let spelled = TableName {
        schema: schema.to_owned(),
        table: table.table.clone(),
    };
    table.schema.to_lowercase() == schema.to_lowercase() && standing(&spelled) == Standing::Known
}

fn replace(table: TableName) -> DdlStep {
    DdlStep::Replace { table, by: None }
}

fn only_known(
    table: TableName,
    standing: &impl Fn(&TableName) -> Standing,
    step: impl FnOnce(TableName) -> DdlStep,
) -> Vec<DdlStep> {
    match standing(&table) {
        Standing::Known => vec![step(table)],
        Standing::Outside | Standing::Missing | Standing::Covered => Vec::new(),
    }
}

/// A table that stays in the job comes as the source has it, one that leaves it only changes its name.
fn alter_and_rename(from: TableName, to: TableName, standing: &impl Fn(&TableName) -> Standing) -> Vec<DdlStep> {
    if standing(&to) == Standing::Outside {
        return rename(vec![(from, to)], standing);
    }
    let gone = only_known(from, standing, |table| DdlStep::Drop { table });
    let is_here = matches!(standing(&to), Standing::Known | Standing::Missing);
    gone.into_iter().chain(is_here.then(|| replace(to))).collect()
}

/// Follows each known table through the pairs. A name of the job that ends with a table from outside is replaced; what it held goes.
fn rename(pairs: Vec<(TableName, TableName)>, standing: &impl Fn(&TableName) -> Standing) -> Vec<DdlStep> {
    // Name now → name before, of known tables; None: a table from outside.
    let mut now: BTreeMap<TableName, Option<TableName>> = BTreeMap::new();
    let mut moving: Vec<(TableName, TableName, TableName)> = Vec::new();
    for (from, to) in pairs {
        let before = match now.remove(&from) {
            Some(before) => before,
            None => (standing(&from) == Standing::Known).then(|| from.clone()),
        };
        if let Some(before) = &before {
            moving.push((before.clone(), from.clone(), to.clone()));
        }
        now.insert(to, before);
    }
    let is_foreign = |name: &TableName| now.get(name) == Some(&None);
    let mut steps = Vec::new();
    let mut moved = Vec::new();
    let mut leaving = Vec::new();
    for (to, before) in now.iter().filter_map(|(to, before)| Some((to, before.as_ref()?))) {
        match standing(to) {
            _ if to == before => moved.push((before.clone(), Some(to.clone()))),
            Standing::Known | Standing::Missing => moved.push((before.clone(), Some(to.clone()))),
            // Its own name is taken by a table that replaces it, or the new name's rows are there already.
            Standing::Outside if is_foreign(before) => leaving.push(before.clone()),
            Standing::Covered => leaving.push(before.clone()),
            Standing::Outside => moved.push((before.clone(), None)),
        }
    }
    let kept: Vec<_> = moving
        .into_iter()
        .filter(|(before, _, _)| !leaving.contains(before))
        .map(|(_, from, to)| (from, to))
        .collect();
    if !kept.is_empty() {
        steps.push(DdlStep::Rename { pairs: kept, moved });
    }
    let is_replaced = |name: &TableName| is_foreign(name) && matches!(standing(name), Standing::Known | Standing::Missing);
    let gone = leaving.into_iter().filter(|name| !is_replaced(name));
    steps.extend(gone.map(|table| DdlStep::Drop { table }));
    let replaced = now.keys().filter(|name| standing(name).is_wanted() && is_replaced(name));
    steps.extend(replaced.cloned().map(replace));
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(table: &str) -> TableName {
        TableName {
            schema: "s".into(),
            table: table.into(),
        }
    }

    /// a, b, c are known, m is missing, v is covered.
    fn standing(table: &TableName) -> Standing {
        match (table.schema.as_str(), table.table.as_str()) {
            ("s", "a" | "b" | "c") => Standing::Known,
            ("s", "m") => Standing::Missing,
            ("s", "v") => Standing::Covered,
            _ => Standing::Outside,
        }
    }

    fn alter(table: TableName) -> Statement {
        Statement::AlterTable {
            table,
            drops_column: false,
        }
    }

    fn plan(statement: Statement) -> Vec<DdlStep> {
        steps(statement, &[name("a"), name("b"), name("c")], &standing)
    }

    fn pairs(text: &[(&str, &str)]) -> Vec<(TableName, TableName)> {
        text.iter().map(|(from, to)| (name(from), name(to))).collect()
    }

    #[test]
    fn what_concerns_only_other_tables_is_nothing() {
        let outside = || name("x");
        for statement in [
            Statement::CreateTable(outside()),
            Statement::CreateTable(name("a")),
            alter(outside()),
            alter(name("v")),
            Statement::CreateIndex(name("m")),
            Statement::DropTable(vec![outside(), name("m"), name("v")]),
            Statement::Truncate(outside()),
            Statement::DropDatabase("t".into()),
            Statement::RenameTable(pairs(&[("x", "y"), ("y", "v")])),
            Statement::ReplaceRows(vec![outside(), name("v")]),
        ] {
            assert_eq!(plan(statement.clone()), [], "{statement:?}");
        }
    }

    #[test]
    fn of_several_tables_only_those_of_the_job_go() {
        let dropped = plan(Statement::DropTable(vec![name("x"), name("b"), name("a")]));
        assert_eq!(dropped, ["b", "a"].map(|table| DdlStep::Drop { table: name(table) }));
        assert_eq!(plan(Statement::DropDatabase("s".into())).len(), 3);
    }

    #[test]
    fn the_swap_of_an_online_schema_change_replaces_the_table() {
        let swap = pairs(&[("a", "_a_del"), ("_a_gho", "a")]);
        assert_eq!(plan(Statement::RenameTable(swap)), [replace(name("a"))]);
    }

    #[test]
    fn tables_of_the_job_that_change_names_keep_their_rows() {
        let swap = pairs(&[("a", "tmp"), ("b", "a"), ("tmp", "b")]);
        let moved = vec![(name("b"), Some(name("a"))), (name("a"), Some(name("b")))];
        let expected = DdlStep::Rename {
            pairs: swap.clone(),
            moved,
        };
        assert_eq!(plan(Statement::RenameTable(swap)), [expected]);
        let out = pairs(&[("a", "x")]);
        let expected = DdlStep::Rename {
            pairs: out.clone(),
            moved: vec![(name("a"), None)],
        };
        assert_eq!(plan(Statement::RenameTable(out)), [expected]);
    }

    #[test]
    fn a_table_that_changes_its_form_and_its_name_comes_anew() {
        let drop = DdlStep::Drop { table: name("a") };
        assert_eq!(
            plan(Statement::AlterAndRename(name("a"), name("m"))),
            [drop, replace(name("m"))]
        );
        assert_eq!(plan(Statement::AlterAndRename(name("x"), name("m"))), [replace(name("m"))]);
        assert_eq!(plan(Statement::AlterAndRename(name("x"), name("y"))), []);
        let leaving = plan(Statement::AlterAndRename(name("a"), name("y")));
        assert!(matches!(&leaving[..], [DdlStep::Rename { .. }]), "{leaving:?}");
    }

    #[test]
    fn a_table_that_moves_where_the_rows_are_already_only_goes() {
        let moved = plan(Statement::RenameTable(pairs(&[("a", "v")])));
        assert_eq!(moved, [DdlStep::Drop { table: name("a") }]);
    }

    /// What the names of the job hold after the steps: a known table's old name, or `new`.
    fn simulate(steps: &[DdlStep]) -> BTreeMap<String, String> {
        let mut held: BTreeMap<String, String> = ["a", "b", "c"].map(|name| (name.to_owned(), name.to_owned())).into();
        for step in steps {
            match step {
                DdlStep::Rename { pairs, .. } => {
                    for (from, to) in pairs {
                        let table = held.remove(&from.table).expect("a table of this name");
                        assert!(held.insert(to.table.clone(), table).is_none(), "{to} is taken");
                    }
                }
                DdlStep::Drop { table } => assert!(held.remove(&table.table).is_some(), "{table} is there"),
                DdlStep::Replace { table, .. } => drop(held.insert(table.table.clone(), "new".into())),
                DdlStep::Execute { .. } | DdlStep::Truncate { .. } => {}
            }
        }
        held.retain(|name, _| ["a", "b", "c", "m"].contains(&name.as_str()));
        held
    }

    proptest! {
        /// The law of renames: whatever is renamed, each name of the job ends with the table the source has there.
        #[test]
        fn every_name_of_the_job_ends_with_the_right_table(choices in prop::collection::vec((0..8usize, 0..8usize), 1..8)) {
            let all = ["a", "b", "c", "m", "x", "y", "z", "w"];
            let mut source: BTreeMap<&str, String> = ["a", "b", "c", "x", "y"].into_iter().map(|name| (name, name.to_owned())).collect();
            let mut pairs = Vec::new();
            for (from, to) in choices {
                let (from, to) = (all[from], all[to]);
                if source.contains_key(from) && !source.contains_key(to) {
                    let table = source.remove(from).unwrap();
                    source.insert(to, table);
                    pairs.push((name(from), name(to)));
                }
            }
            let expected: BTreeMap<String, String> = source
                .into_iter()
                .filter(|(name, _)| ["a", "b", "c", "m"].contains(name))
                .map(|(name, table)| (name.to_owned(), if ["x", "y"].contains(&table.as_str()) { "new".to_owned() } else { table }))
                .collect();
            prop_assert_eq!(simulate(&plan(Statement::RenameTable(pairs))), expected);
        }
    }
}
