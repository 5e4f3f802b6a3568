//! Changes of a table whose rows cannot be told apart: one statement each, in the order of the source.
//!
//! Part of `statement`. A row goes or changes only when every column of it is as it was, and only one that is so.

use std::sync::Arc;

use crate::core::change::{Change, Row};
use crate::mysql::error::Error;
use crate::mysql::target::form::ignoring;
use crate::mysql::target::statement::{Statement, TableSql};

impl TableSql {
    pub(super) fn keyless(&self, change: &Change, statements: &mut Vec<Statement>) -> Result<(), Error> {
        match change {
            Change::Insert { after, .. } => statements.push(self.keyless_insert(after)?),
            Change::Delete { before, .. } => statements.push(self.keyless_delete(before)?),
            Change::Update { before, after, .. } if self.has_json => {
                statements.push(self.keyless_delete(before)?);
                statements.push(self.keyless_insert(after)?);
            }
            Change::Update { before, after, .. } => {
                if self.tuple(before, &self.written)? != self.tuple(after, &self.written)? {
                    let (set, exactly) = (self.assignments(after)?, self.exactly(before)?);
                    let verb = ignoring("UPDATE", self.has_empty_enum(after)?);
                    let sql = format!("{verb} {} SET {set} WHERE {exactly} LIMIT 1", self.name);
                    statements.push(self.one(sql, "update", before)?);
                }
            }
        }
        Ok(())
    }

    fn keyless_insert(&self, after: &Row) -> Result<Statement, Error> {
        let head = ignoring(&self.insert.head, self.has_empty_enum(after)?);
        self.one(format!("{head}{}", self.tuple(after, &self.written)?), "insert", after)
    }

    pub(super) fn keyless_delete(&self, before: &Row) -> Result<Statement, Error> {
        let sql = format!("DELETE FROM {} WHERE {} LIMIT 1", self.name, self.exactly(before)?);
        self.one(sql, "delete", before)
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
}
