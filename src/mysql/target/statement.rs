//! Net effects as multi-row SQL with the number of rows each statement must affect (PROTOCOLS 10).
//!
//! Fed by `apply` with a folded group, or with the rows of a chunk. Inserts and updates never share a statement: "one
//! changed, one missing" would count like "one changed, one inserted". Deletes are forced onto the key's index: after a bulk
//! load without fresh statistics the optimizer would scan (facts/apply). Generated columns are never written.

use std::sync::Arc;

use crate::core::change::Row;
use crate::core::conflict::Check;
use crate::core::group::Table;
use crate::core::net_effect::TableEffect;
use crate::core::shape::{ColumnKind, TableName};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::target::form::{Form, RowForm, delete_exact_form, delete_form, ignoring};
use crate::mysql::target::literal;

/// Rows in one statement: the upper end of the plateau of a copy (facts/apply c); ordinary rows reach the limit of bytes first.
pub const STATEMENT_ROWS_MAX: usize = 5_000;

/// Any number of affected rows is right.
pub const ANY_COUNT: u64 = u64::MAX;

/// How large a statement may grow.
#[derive(Clone, Copy, Debug)]
pub struct StatementLimits {
    /// Rows.
    pub rows: usize,
    /// Bytes; exceeded by one row at most.
    pub bytes: usize,
}

impl StatementLimits {
    /// One row per statement: finds out which row a group failed at.
    #[must_use]
    pub fn row_by_row(self) -> Self {
        Self { rows: 1, ..self }
    }
}

/// A statement and what it must do.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// Affected rows when all went as it should, or `ANY_COUNT`.
    pub expected: u64,
    /// `schema.table`.
    pub table: Arc<Table>,
    /// `delete`, `update` or `insert`, for people.
    pub operation: &'static str,
    /// The key of its row when it has only one.
    pub key: Option<String>,
}

/// Writes the statements of one table. Made once per shape.
#[derive(Clone, Debug)]
pub struct TableSql {
    pub(super) table: Arc<Table>,
    pub(super) name: String,
    pub(super) quoted: Vec<String>,
    pub(super) written: Vec<usize>,
    delete: Form,
    /// Deletes a row only when every column is as it was.
    delete_exact: Form,
    pub(super) insert: Form,
    update: Form,
    /// Updates run as a delete and an insert.
    is_replaced: bool,
    pub(super) has_json: bool,
    enums: Vec<usize>,
}

impl TableSql {
    /// Prepares a table.
    #[must_use]
    pub fn new(table: Arc<Table>) -> Self {
        let shape = &table.shape;
        let name = quote::table(&shape.name);
        let quoted: Vec<String> = shape.columns.iter().map(|column| quote::identifier(&column.name)).collect();
        let written: Vec<usize> = (0..quoted.len()).filter(|at| !shape.columns[*at].is_generated).collect();
        let list = |columns: &[usize]| {
            let names = columns.iter().map(|at| quoted[*at].clone());
            names.collect::<Vec<_>>().join(",")
        };
        let key_columns = shape.key.as_ref().map_or(&[][..], |key| &key.columns);
        let assignments = written.iter().filter(|at| !key_columns.contains(at));
        // The server refuses an alias that is the table's own name.
        let alias = if shape.name.table.eq_ignore_ascii_case("n") {
            "m"
        } else {
            "n"
        };
        let assignments: Vec<String> = assignments.map(|at| format!("{0}={alias}.{0}", quoted[*at])).collect();
        let head = format!("INSERT INTO {name} ({}) VALUES ", list(&written));
        let insert = Form {
            operation: "insert",
            head,
            separator: ",",
            tail: String::new(),
            count: 1,
            row: RowForm::Whole,
        };
        let update = Form {
            operation: "update",
            tail: format!(" AS {alias} ON DUPLICATE KEY UPDATE {}", assignments.join(",")),
            count: 2,
            ..insert.clone()
        };
        let has_json = shape.columns.iter().any(|column| matches!(column.kind, ColumnKind::Json));
        let is_enum = |at: &usize| matches!(shape.columns[*at].kind, ColumnKind::Enum { .. });
        Self {
            delete: delete_form(shape, &name, &list(key_columns)),
            delete_exact: delete_exact_form(shape, &name),
            insert,
            update,
            is_replaced: shape.has_secondary_unique || has_json,
            has_json,
            enums: written.iter().copied().filter(is_enum).collect(),
            name,
            quoted,
            written,
            table,
        }
    }

    /// The table it writes.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.table.shape.name
    }

    /// The same with its layout.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Its name as SQL.
    pub(super) fn quoted_name(&self) -> &str {
        &self.name
    }

    /// The name of a column as SQL.
    pub(super) fn quoted_column(&self, at: usize) -> &str {
        &self.quoted[at]
    }

    /// One value of a row as SQL; None: NULL.
    pub(super) fn value(&self, row: &Row, at: usize) -> Result<Option<String>, Error> {
        if self.split(row)?[at].is_none() {
            return Ok(None);
        }
        let tuple = self.tuple(row, &[at])?;
        Ok(Some(tuple))
    }

    /// All statements of an effect, in the order in which they must run. With `Check::Image` an old row is only found when every
    /// column of it is as it was on the source.
    pub fn effect(&self, effect: &TableEffect, limits: StatementLimits, check: Check) -> Result<Vec<Statement>, Error> {
        let mut statements = Vec::new();
        // Rows go before others come: the server may find two keys equal whose bytes are not.
        let (gone, kept): (Vec<_>, Vec<_>) = effect.partials.iter().partition(|(_, after)| after.is_none());
        for (before, after) in gone {
            self.folded(before, after.as_ref(), check, &mut statements)?;
        }
        let (befores, afters) = (
            effect.updates.iter().map(|update| &update.0),
            effect.updates.iter().map(|update| &update.1),
        );
        if self.is_replaced || check == Check::Image {
            let delete = match check {
                Check::Key => &self.delete,
                Check::Image => &self.delete_exact,
            };
            // Values of a unique key may swap places: no row of the new state may meet one of the old. And JSON values that
            // are equal to the server, as 1 and 1.0, are no change to it: an update would leave the old one and count 0.
            statements.extend(self.rows(effect.deletes.iter().chain(befores), limits, delete)?);
            statements.extend(self.insert(afters.chain(&effect.inserts), limits)?);
        } else {
            statements.extend(self.rows(effect.deletes.iter(), limits, &self.delete)?);
            statements.extend(self.rows(afters, limits, &self.update)?);
            statements.extend(self.insert(effect.inserts.iter(), limits)?);
        }
        for (before, after) in kept {
            self.folded(before, after.as_ref(), check, &mut statements)?;
        }
        for change in &effect.in_order {
            self.in_order(change, check, &mut statements)?;
        }
        Ok(statements)
    }

    /// Plain strict inserts: the rows must not be there.
    pub fn insert<'a>(&self, rows: impl Iterator<Item = &'a Row>, limits: StatementLimits) -> Result<Vec<Statement>, Error> {
        self.rows(rows, limits, &self.insert)
    }

    fn rows<'a>(
        &self,
        rows: impl Iterator<Item = &'a Row>,
        limits: StatementLimits,
        form: &Form,
    ) -> Result<Vec<Statement>, Error> {
        let mut statements = Vec::new();
        let (mut sql, mut in_statement, mut key) = (String::new(), 0, None);
        let mut was_ignored = false;
        let mut close = |sql: &mut String, in_statement: &mut usize, key: Option<String>| {
            if *in_statement > 0 {
                sql.push_str(&form.tail);
                statements.push(Statement {
                    sql: std::mem::take(sql),
                    expected: form.count * *in_statement as u64,
                    table: Arc::clone(&self.table),
                    operation: form.operation,
                    key,
                });
                *in_statement = 0;
            }
        };
        for row in rows {
            let text = match form.row {
                RowForm::Whole => self.tuple(row, &self.written)?,
                RowForm::Key => self.tuple(row, self.key_columns())?,
                RowForm::KeyCondition => self.key_condition(row)?,
                // The key's own comparison finds the row by its index.
                RowForm::Image => format!("({} AND {})", self.key_condition(row)?, self.exactly(row)?),
            };
            let is_ignored = matches!(form.row, RowForm::Whole) && self.has_empty_enum(row)?;
            let is_full = in_statement >= limits.rows || sql.len() + text.len() + form.tail.len() > limits.bytes;
            if is_full || is_ignored != was_ignored {
                close(&mut sql, &mut in_statement, key.take());
            }
            was_ignored = is_ignored;
            match in_statement {
                0 => sql.push_str(&ignoring(&form.head, is_ignored)),
                _ => sql.push_str(form.separator),
            }
            sql.push_str(&text);
            in_statement += 1;
            if limits.rows == 1 {
                key = Some(self.key_text(row)?);
            }
        }
        close(&mut sql, &mut in_statement, key.take());
        Ok(statements)
    }

    /// A value that is none of the column's labels (number 0): only sessions that were not strict could write it.
    pub(super) fn has_empty_enum(&self, row: &Row) -> Result<bool, Error> {
        if self.enums.is_empty() {
            return Ok(false);
        }
        let values = self.split(row)?;
        let is_empty = |at: &usize| values[*at].is_some_and(|raw| raw.iter().all(|byte| *byte == 0));
        Ok(self.enums.iter().any(is_empty))
    }

    /// `(1,'a')`.
    pub(super) fn tuple(&self, row: &Row, columns: &[usize]) -> Result<String, Error> {
        let mut sql = String::with_capacity(row.0.len() * 2 + 16);
        sql.push('(');
        self.each(
            row,
            columns,
            |sql, at, raw| {
                if !sql.ends_with('(') {
                    sql.push(',');
                }
                literal::push(sql, &self.table.shape.columns[at], raw)
            },
            &mut sql,
        )?;
        sql.push(')');
        Ok(sql)
    }

    pub(super) fn assignments(&self, row: &Row) -> Result<String, Error> {
        let mut sql = String::new();
        self.each(
            row,
            &self.written,
            |sql, at, raw| {
                let separator = if sql.is_empty() { "" } else { ", " };
                sql.push_str(separator);
                sql.push_str(&self.quoted[at]);
                sql.push_str(" = ");
                literal::push(sql, &self.table.shape.columns[at], raw)
            },
            &mut sql,
        )?;
        Ok(sql)
    }

    pub(super) fn exactly(&self, row: &Row) -> Result<String, Error> {
        let mut sql = String::new();
        self.each(
            row,
            &self.written,
            |sql, at, raw| {
                if !sql.is_empty() {
                    sql.push_str(" AND ");
                }
                literal::push_exact_match(sql, &self.table.shape.columns[at], &self.quoted[at], raw)
            },
            &mut sql,
        )?;
        Ok(sql)
    }

    /// `(a = 1 AND b = 'x')`.
    pub(super) fn key_condition(&self, row: &Row) -> Result<String, Error> {
        let mut sql = String::from("(");
        self.each(
            row,
            self.key_columns(),
            |sql, at, raw| {
                let separator = if sql.len() == 1 { "" } else { " AND " };
                sql.push_str(separator);
                let column = &self.table.shape.columns[at];
                sql.push_str(&literal::comparand(&column.kind, &self.quoted[at]));
                sql.push_str(" = ");
                literal::push(sql, column, raw)
            },
            &mut sql,
        )?;
        sql.push(')');
        Ok(sql)
    }

    /// The key as people read it; the beginning of the row for a table without one.
    pub(super) fn key_text(&self, row: &Row) -> Result<String, Error> {
        let columns = if self.table.shape.key.is_some() {
            self.key_columns()
        } else {
            &self.written
        };
        let mut text = self.tuple(row, columns)?;
        if let Some((cut, _)) = text.char_indices().nth(200) {
            text.truncate(cut);
            text.push('…');
        }
        Ok(text)
    }

    fn key_columns(&self) -> &[usize] {
        self.table.shape.key.as_ref().map_or(&[], |key| &key.columns)
    }

    pub(super) fn each(
        &self,
        row: &Row,
        columns: &[usize],
        mut write: impl FnMut(&mut String, usize, Option<&[u8]>) -> Result<(), crate::core::value::ValueError>,
        sql: &mut String,
    ) -> Result<(), Error> {
        let values = self.split(row)?;
        for at in columns {
            write(sql, *at, values[*at]).map_err(|error| self.bad_row(format!("column {}: {error}", self.quoted[*at])))?;
        }
        Ok(())
    }

    pub(super) fn split<'a>(&self, row: &'a Row) -> Result<Vec<Option<&'a [u8]>>, Error> {
        let mut values = Vec::with_capacity(self.quoted.len());
        let split = self.table.layout.split(&row.0, &mut values);
        split.map_err(|error| self.bad_row(error.to_string()))?;
        Ok(values)
    }

    pub(super) fn bad_row(&self, reason: String) -> Error {
        Error::BadRow {
            table: self.table.shape.name.to_string(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::net_effect::tests::{row, shape_with_key};
    use crate::core::shape::{ShapeId, TableShape};

    const LIMITS: StatementLimits = StatementLimits { rows: 2, bytes: 1 << 20 };

    fn effect() -> TableEffect {
        TableEffect {
            shape: ShapeId(0),
            deletes: vec![row(1, 1)],
            updates: vec![(row(2, 1), row(2, 2)), (row(3, 1), row(3, 2)), (row(4, 1), row(4, 2))],
            inserts: vec![row(5, 5)],
            partials: vec![],
            is_uncountable: false,
            in_order: vec![],
        }
    }

    fn statements(shape: TableShape) -> Vec<(String, u64)> {
        let sql = TableSql::new(Arc::new(Table::new(shape)));
        let statements = sql.effect(&effect(), LIMITS, Check::Key).unwrap();
        statements
            .into_iter()
            .map(|statement| (statement.sql, statement.expected))
            .collect()
    }

    #[test]
    fn deletes_come_first_and_updates_never_share_a_statement_with_inserts() {
        let found = statements(shape_with_key());
        let update = |rows: &str| format!("INSERT INTO `s`.`t` (`id`,`v`) VALUES {rows} AS n ON DUPLICATE KEY UPDATE `v`=n.`v`");
        let expected = [
            (
                "DELETE FROM `s`.`t` USING `s`.`t` FORCE INDEX (`PRIMARY`) WHERE (`id`) IN ((1))".to_owned(),
                1,
            ),
            (update("(2,2),(3,2)"), 4),
            (update("(4,2)"), 2),
            ("INSERT INTO `s`.`t` (`id`,`v`) VALUES (5,5)".to_owned(), 1),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn with_a_secondary_unique_key_all_old_rows_go_before_any_new_one_comes() {
        let found = statements(TableShape {
            map: None,
            has_secondary_unique: true,
            ..shape_with_key()
        });
        let kinds: Vec<_> = found.iter().map(|(sql, expected)| (&sql[..6], *expected)).collect();
        assert_eq!(kinds, [("DELETE", 2), ("DELETE", 2), ("INSERT", 2), ("INSERT", 2)]);
    }

    #[test]
    fn with_the_image_checked_an_old_row_goes_only_when_all_of_it_is_as_it_was() {
        let sql = TableSql::new(Arc::new(Table::new(shape_with_key())));
        let found = sql.effect(&effect(), LIMITS, Check::Image).unwrap();
        let row = |id: u8, v: u8| format!("((`id` = {id}) AND `id` <=> {id} AND `v` <=> {v})");
        let expected = format!(
            "DELETE FROM `s`.`t` USING `s`.`t` FORCE INDEX (`PRIMARY`) WHERE {} OR {}",
            row(1, 1),
            row(2, 1)
        );
        assert_eq!((found[0].sql.as_str(), found[0].expected), (expected.as_str(), 2));
        assert!(
            found[2..].iter().all(|statement| statement.sql.starts_with("INSERT")),
            "{found:?}"
        );
    }

    #[test]
    fn a_generated_column_is_never_written() {
        let mut shape = shape_with_key();
        shape.columns[1].is_generated = true;
        let sql = TableSql::new(Arc::new(Table::new(shape)));
        let found = sql.insert([row(1, 1)].iter(), LIMITS).unwrap();
        assert_eq!(found[0].sql, "INSERT INTO `s`.`t` (`id`) VALUES (1)");
    }
}
