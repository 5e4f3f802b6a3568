//! The fixed parts around the rows of one kind of statement, and how each row is written between them.
//!
//! Made once per table by `statement`, which fills the rows in. Knows no values.

use crate::core::shape::{ColumnKind, TableShape};
use crate::mysql::quote;

/// How the rows of one kind of statement are put together.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) operation: &'static str,
    pub(super) head: String,
    pub(super) separator: &'static str,
    pub(super) tail: String,
    /// Affected rows per row.
    pub(super) count: u64,
    pub(super) row: RowForm,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum RowForm {
    /// All columns that are written: `(1,'a')`.
    Whole,
    /// The key as a tuple.
    Key,
    /// The key as a condition.
    KeyCondition,
    /// The key and every column, byte by byte.
    Image,
}

/// The statement's beginning with IGNORE behind its first word. It lets the empty value of an ENUM in; a row that is there
/// already is then skipped, which the count tells.
pub(super) fn ignoring(head: &str, is_ignored: bool) -> String {
    let (verb, rest) = head.split_at(6);
    format!("{verb}{}{rest}", if is_ignored { " IGNORE" } else { "" })
}

/// Rows by key on the key's own index. Compared in a tuple, ENUM and SET never equal a number (tried on 9.7: no row found),
/// so their keys become conditions, at twice the price per row.
pub(super) fn delete_form(shape: &TableShape, name: &str, key_list: &str) -> Form {
    let index = shape.key.as_ref().map_or(String::new(), |key| quote::identifier(&key.index));
    let key_columns = shape.key.as_ref().map_or(&[][..], |key| &key.columns);
    let is_by_number = |at: &usize| matches!(shape.columns[*at].kind, ColumnKind::Enum { .. } | ColumnKind::Set { .. });
    let from = format!("DELETE FROM {name} USING {name} FORCE INDEX ({index}) WHERE");
    let (head, separator, tail, row) = if key_columns.iter().any(is_by_number) {
        (format!("{from} "), " OR ", "", RowForm::KeyCondition)
    } else {
        (format!("{from} ({key_list}) IN ("), ",", ")", RowForm::Key)
    };
    Form {
        operation: "delete",
        head,
        separator,
        tail: tail.into(),
        count: 1,
        row,
    }
}

/// Rows by key, each only when all of it is as it was.
pub(super) fn delete_exact_form(shape: &TableShape, name: &str) -> Form {
    let index = shape.key.as_ref().map_or(String::new(), |key| quote::identifier(&key.index));
    Form {
        operation: "delete",
        head: format!("DELETE FROM {name} USING {name} FORCE INDEX ({index}) WHERE "),
        separator: " OR ",
        tail: String::new(),
        count: 1,
        row: RowForm::Image,
    }
}
