//! Ranges of keys as SQL, written so that the server reads them from the key's index.
//!
//! Used by `chunk_reader`. `a > 1 OR (a = 1 AND b > 2)` instead of `(a, b) > (1, 2)`: MySQL does not use an index for the latter.

use crate::core::change::Key;
use crate::core::shape::{ColumnKind, RowKey, TableShape};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::source::key_literal::literal;

/// The key's columns, quoted, in key order.
#[must_use]
pub fn columns(shape: &TableShape, key: &RowKey) -> Vec<String> {
    key.columns
        .iter()
        .map(|at| quote::identifier(&shape.columns[*at].name))
        .collect()
}

/// What borders are compared with. The number of a SET of 64 members is signed in a comparison: with its last member it would lie in front of
/// all others, and in the index it lies behind them. As an expression it is right, at the price of the index's ranges.
fn comparands(shape: &TableShape, key: &RowKey) -> Vec<String> {
    let names = columns(shape, key).into_iter().zip(&key.columns);
    names
        .map(|(name, at)| match &shape.columns[*at].kind {
            ColumnKind::Set { members } if members.len() > 63 => format!("CAST({name} AS UNSIGNED)"),
            _ => name,
        })
        .collect()
}

/// The values of a key as literals that compare as the columns do.
///
/// # Errors
/// The key does not fit the shape.
pub fn literals(shape: &TableShape, key: &RowKey, values: &Key) -> Result<Vec<String>, Error> {
    if key.columns.len() != values.0.len() {
        return Err(Error::BadRow {
            table: shape.name.to_string(),
            reason: format!(
                "a key of {} values where the index has {} columns",
                values.0.len(),
                key.columns.len()
            ),
        });
    }
    let pairs = key.columns.iter().zip(&values.0);
    pairs
        .map(|(at, value)| literal(&shape.name, &shape.columns[*at], value))
        .collect()
}

/// `low < key AND key <= high`, each border only where there is one.
///
/// # Errors
/// A key does not fit the shape.
pub fn condition(shape: &TableShape, key: &RowKey, low: Option<&Key>, high: Option<&Key>) -> Result<String, Error> {
    let columns = comparands(shape, key);
    let mut parts = Vec::new();
    if let Some(low) = low {
        parts.push(bound(&columns, &literals(shape, key, low)?, ">", ">"));
    }
    if let Some(high) = high {
        parts.push(bound(&columns, &literals(shape, key, high)?, "<", "<="));
    }
    Ok(if parts.is_empty() {
        "TRUE".into()
    } else {
        parts.join(" AND ")
    })
}

/// The lexicographic comparison, expanded; `last` compares the last column, `inner` those before it.
fn bound(columns: &[String], values: &[String], inner: &str, last: &str) -> String {
    let pairs = columns.iter().zip(values).rev();
    let mut sql = String::new();
    for (column, value) in pairs {
        sql = if sql.is_empty() {
            format!("{column} {last} {value}")
        } else {
            // The first term is implied by the others; it is what lets the server see one range of the index.
            format!("({column} {inner}= {value} AND ({column} {inner} {value} OR ({column} = {value} AND {sql})))")
        };
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_border_is_expanded_column_by_column() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(bound(&names(&["`a`"]), &names(&["1"]), "<", "<="), "`a` <= 1");
        assert_eq!(
            bound(&names(&["`a`", "`b`"]), &names(&["1", "2"]), ">", ">"),
            "(`a` >= 1 AND (`a` > 1 OR (`a` = 1 AND `b` > 2)))"
        );
    }
}
