//! Changes that run one by one, in source order: those of tables without a key, those whose images lack columns, and those from
//! which the engine cascades.
//!
//! Part of `statement`. A row is found by its key, or by everything that is known of it. Changes of a JSON document become calls of
//! the functions that made them on the source: JSON_REPLACE, JSON_INSERT or JSON_ARRAY_INSERT, JSON_REMOVE.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::core::change::{Change, Row};
use crate::core::conflict::Check;
use crate::core::image::{Image, JSON_CHANGES};
use crate::core::json_diff::{self, JsonOperation};
use crate::core::shape::ColumnKind;
use crate::core::value::ValueError;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::target::form::ignoring;
use crate::mysql::target::literal;
use crate::mysql::target::statement::{ANY_COUNT, Statement, TableSql};

/// For this statement foreign keys are in force; the session has them off (`apply`).
const WITH_FOREIGN_KEYS: &str = " /*+ SET_VAR(foreign_key_checks=1) */";

impl TableSql {
    /// Appends what one change takes.
    pub(super) fn in_order(&self, change: &Change, check: Check, statements: &mut Vec<Statement>) -> Result<(), Error> {
        match change {
            Change::Insert { after, .. } => statements.push(self.insert_one(after)?),
            Change::Delete { before, .. } => statements.push(self.delete_one(before, &self.this_row(before, check)?)?),
            Change::Update { before, after, .. } if self.has_json => {
                statements.push(self.delete_one(before, &self.this_row(before, check)?)?);
                statements.push(self.insert_one(after)?);
            }
            Change::Update { before, after, .. } => {
                if self.tuple(before, &self.written)? != self.tuple(after, &self.written)? {
                    let (set, row) = (self.assignments(after)?, self.this_row(before, check)?);
                    statements.push(self.update_one(before, &row, &set, self.has_empty_enum(after)?)?);
                }
            }
            Change::Cascade(change) => self.cascading(change, check, statements)?,
            Change::Partial { before, after, .. } => self.partial(before, after.as_ref(), check, statements)?,
        }
        Ok(())
    }

    /// A row of which the images lack columns goes (None) or gets those of the new image.
    pub(super) fn partial(
        &self,
        before: &Image,
        after: Option<&Image>,
        check: Check,
        statements: &mut Vec<Statement>,
    ) -> Result<(), Error> {
        let row = self.this_image(before, check)?;
        let Some(after) = after else {
            statements.push(self.delete_one(&before.row, &row)?);
            return Ok(());
        };
        let set = self.known_assignments(after)?;
        if !set.is_empty() {
            let mut update = self.update_one(&before.row, &row, &set, self.has_empty_enum(&after.row)?)?;
            if after.has_more(&self.table.layout) {
                update.expected = ANY_COUNT;
            }
            statements.push(update);
        }
        Ok(())
    }

    /// The same of a folded change: a whole new image may be that of the old row, which counts no change. Both are asked for.
    pub(super) fn folded(
        &self,
        before: &Image,
        after: Option<&Image>,
        check: Check,
        statements: &mut Vec<Statement>,
    ) -> Result<(), Error> {
        match after {
            Some(after) if (0..self.quoted.len()).all(|at| after.has(at)) => {
                self.partial(before, None, check, statements)?;
                statements.push(self.insert_one(&after.row)?);
                Ok(())
            }
            after => self.partial(before, after, check, statements),
        }
    }

    /// A change from which the engine cascades here as it did on the source: always one statement, for an insert behind a delete would
    /// not bring the children back.
    fn cascading(&self, change: &Change, check: Check, statements: &mut Vec<Statement>) -> Result<(), Error> {
        let from = statements.len();
        match change {
            Change::Update { before, after, .. } => {
                let (set, row) = (self.assignments(after)?, self.this_row(before, check)?);
                statements.push(self.update_one(before, &row, &set, self.has_empty_enum(after)?)?);
            }
            other => self.in_order(other, check, statements)?,
        }
        // Behind the first word, DELETE or UPDATE.
        statements[from..]
            .iter_mut()
            .for_each(|statement| statement.sql.insert_str(6, WITH_FOREIGN_KEYS));
        Ok(())
    }

    fn insert_one(&self, after: &Row) -> Result<Statement, Error> {
        let head = ignoring(&self.insert.head, self.has_empty_enum(after)?);
        self.one(format!("{head}{}", self.tuple(after, &self.written)?), "insert", after)
    }

    fn delete_one(&self, before: &Row, condition: &str) -> Result<Statement, Error> {
        let sql = format!("DELETE FROM {} WHERE {condition} LIMIT 1", self.name);
        self.one(sql, "delete", before)
    }

    /// Removes one of the rows that are exactly so.
    pub(super) fn delete_exactly(&self, before: &Row) -> Result<Statement, Error> {
        self.delete_one(before, &self.exactly(before)?)
    }

    fn update_one(&self, before: &Row, condition: &str, set: &str, is_ignored: bool) -> Result<Statement, Error> {
        let verb = ignoring("UPDATE", is_ignored);
        let sql = format!("{verb} {} SET {set} WHERE {condition} LIMIT 1", self.name);
        self.one(sql, "update", before)
    }

    /// A statement about one row.
    fn one(&self, sql: String, operation: &'static str, row: &Row) -> Result<Statement, Error> {
        Ok(Statement {
            sql,
            expected: 1,
            table: Arc::clone(&self.table),
            operation,
            key: Some(self.key_text(row)?),
        })
    }

    /// The condition that finds a row.
    fn this_row(&self, row: &Row, check: Check) -> Result<String, Error> {
        match (self.table.shape.key.is_some(), check) {
            (true, Check::Key) => self.key_condition(row),
            (true, Check::Image) => Ok(format!("{} AND {}", self.key_condition(row)?, self.exactly(row)?)),
            (false, _) => self.exactly(row),
        }
    }

    /// The same by what is known of it.
    pub(super) fn this_image(&self, image: &Image, check: Check) -> Result<String, Error> {
        if self.table.shape.key.is_none() || check == Check::Key {
            return self.this_row(&image.row, check);
        }
        let mut condition = self.key_condition(&image.row)?;
        let known: Vec<usize> = self.written.iter().copied().filter(|at| image.has(*at)).collect();
        let push = |sql: &mut String, at: usize, raw: Option<&[u8]>| {
            sql.push_str(" AND ");
            literal::push_exact_match(sql, &self.table.shape.columns[at], &self.quoted[at], raw)
        };
        self.each(&image.row, &known, push, &mut condition)?;
        Ok(condition)
    }

    /// Sets the columns that are known, and keeps the server from setting others by itself (ON UPDATE CURRENT_TIMESTAMP). Empty when
    /// none is known that is written.
    fn known_assignments(&self, after: &Image) -> Result<String, Error> {
        let (mut set, mut kept) = (String::new(), String::new());
        let values = self.split(&after.row)?;
        for at in self.written.iter().copied() {
            let (name, column) = (&self.quoted[at], &self.table.shape.columns[at]);
            if !after.has(at) {
                if matches!(column.kind, ColumnKind::Timestamp { .. } | ColumnKind::DateTime { .. }) {
                    let _ = write!(kept, ", {name} = {name}");
                }
                continue;
            }
            let separator = if set.is_empty() { "" } else { ", " };
            let _ = write!(set, "{separator}{name} = ");
            let pushed = match values[at] {
                Some([JSON_CHANGES, changes @ ..]) if matches!(column.kind, ColumnKind::Json) => {
                    self.push_json_changes(&mut set, at, changes)
                }
                value => literal::push(&mut set, column, value),
            };
            pushed.map_err(|error| self.bad_row(format!("column {name}: {error}")))?;
        }
        if !set.is_empty() {
            set.push_str(&kept);
        }
        Ok(set)
    }

    /// `JSON_REMOVE(JSON_REPLACE(j, '$.a', 1), '$.b')`.
    fn push_json_changes(&self, sql: &mut String, at: usize, changes: &[u8]) -> Result<(), ValueError> {
        let diffs = json_diff::read(changes)?;
        for diff in diffs.iter().rev() {
            sql.push_str(match diff.operation {
                JsonOperation::Replace => "JSON_REPLACE(",
                JsonOperation::Insert if diff.is_element() => "JSON_ARRAY_INSERT(",
                JsonOperation::Insert => "JSON_INSERT(",
                JsonOperation::Remove => "JSON_REMOVE(",
            });
        }
        sql.push_str(&self.quoted[at]);
        for diff in &diffs {
            let _ = write!(sql, ", {}", quote::text(diff.path));
            if diff.operation != JsonOperation::Remove {
                sql.push_str(", ");
                literal::push(sql, &self.table.shape.columns[at], Some(diff.value))?;
            }
            sql.push(')');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::group::Table;
    use crate::core::row::RowLayout;
    use crate::core::row::tests::shape;
    use crate::core::shape::{ShapeId, TableShape};

    /// `c0 TINYINT KEY, c1 JSON, c2 DATETIME`.
    fn table() -> TableShape {
        let int = ColumnKind::Int {
            bytes: 1,
            unsigned: true,
        };
        shape(vec![int, ColumnKind::Json, ColumnKind::DateTime { fsp: 0 }], 1)
    }

    fn sql(before: [Option<&[u8]>; 3], present: u8, after: Option<[Option<&[u8]>; 3]>) -> Vec<String> {
        let layout = RowLayout::new(&table());
        let image = |present: u8, values: [Option<&[u8]>; 3]| Image {
            row: layout.build(&values).unwrap(),
            present: vec![present].into(),
        };
        let change = Change::Partial {
            shape: ShapeId(0),
            before: image(1, before),
            after: after.map(|after| image(present, after)),
        };
        let mut statements = Vec::new();
        TableSql::new(Arc::new(Table::new(table())))
            .in_order(&change, Check::Key, &mut statements)
            .unwrap();
        statements.into_iter().map(|statement| statement.sql).collect()
    }

    #[test]
    fn a_row_is_found_by_its_key_and_only_known_columns_are_set() {
        let deleted = sql([Some(&[9]), None, None], 0, None);
        assert_eq!(deleted, ["DELETE FROM `s`.`t` WHERE (`c0` = 9) LIMIT 1"]);
        let moved = sql([Some(&[9]), None, None], 0b001, Some([Some(&[8]), None, None]));
        assert_eq!(moved, ["UPDATE `s`.`t` SET `c0` = 8, `c2` = `c2` WHERE (`c0` = 9) LIMIT 1"]);
        assert!(sql([Some(&[9]), None, None], 0, Some([None, None, None])).is_empty());
    }

    #[test]
    fn changes_of_a_document_are_applied_in_their_order() {
        let list = [
            &[JSON_CHANGES][..],
            &[2, 3],
            b"$.a",
            &[1, 4],
            b"$[0]",
            &[2, 4, 1],
            &[0, 3],
            b"$.b",
            &[2, 4, 2],
        ]
        .concat();
        let found = sql([Some(&[9]), None, None], 0b010, Some([None, Some(&list), None]));
        let expected = "UPDATE `s`.`t` SET `c1` = JSON_REPLACE(JSON_ARRAY_INSERT(JSON_REMOVE(`c1`, '$.a'), '$[0]', \
                        CAST('true' AS JSON)), '$.b', CAST('false' AS JSON)), `c2` = `c2` WHERE (`c0` = 9) LIMIT 1";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn the_engine_cascades_from_one_statement_with_foreign_keys_in_force() {
        let layout = RowLayout::new(&table());
        let row = |key: u8| layout.build(&[Some(&[key]), Some(&[4, 0]), None]).unwrap();
        let moved = Change::Cascade(Box::new(Change::Update {
            shape: ShapeId(0),
            before: row(9),
            after: row(8),
        }));
        let gone = Change::Cascade(Box::new(Change::Delete {
            shape: ShapeId(0),
            before: row(8),
        }));
        let sql = TableSql::new(Arc::new(Table::new(table())));
        let mut statements = Vec::new();
        for change in [moved, gone] {
            sql.in_order(&change, Check::Key, &mut statements).unwrap();
        }
        let found: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
        let expected = [
            "UPDATE /*+ SET_VAR(foreign_key_checks=1) */ `s`.`t` SET `c0` = 8, `c1` = CAST('null' AS JSON), `c2` = NULL WHERE (`c0` = 9) LIMIT 1",
            "DELETE /*+ SET_VAR(foreign_key_checks=1) */ FROM `s`.`t` WHERE (`c0` = 8) LIMIT 1",
        ];
        assert_eq!(found, expected);
    }
}
