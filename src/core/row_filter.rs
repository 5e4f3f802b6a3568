//! `where`: which rows of a table are replicated.
//!
//! Compiled once per table, by preflight to refuse it and by `core::projection` to use it. Decides a row or says that only the
//! server can (`mysql::source::filter_oracle`). The chunk reads of the copy use the same filter as SQL.

use crate::core::change::Row;
use crate::core::expr::{Exact, Expr};
use crate::core::expr_check::{Class, check};
use crate::core::expr_eval::{Truth, Val, truth};
use crate::core::expr_parse::parse;
use crate::core::expr_temporal::{moment, timestamp};
use crate::core::expr_text::Collation;
use crate::core::row::{RowError, RowLayout};
use crate::core::shape::{Column, ColumnKind, TableShape};
use crate::core::value::Value;

/// Longest filter in bytes. A guess.
pub const FILTER_BYTES_MAX: usize = 16 << 10;

/// A filter, bound to the columns of one table.
#[derive(Clone, Debug)]
pub struct RowFilter {
    expr: Expr,
    layout: RowLayout,
    columns: Vec<FilterColumn>,
    names: Vec<String>,
}

/// A column that a filter names.
#[derive(Clone, Debug)]
struct FilterColumn {
    at: usize,
    column: Column,
    collation: Collation,
    is_utf8: bool,
}

impl RowFilter {
    /// Binds a filter to a table.
    ///
    /// # Errors
    /// Says what is not understood, which column is missing, or which comparison has no one meaning.
    pub fn of(text: &str, shape: &TableShape) -> Result<Self, String> {
        let parsed = parse(text).map_err(|error| error.to_string())?;
        let bound = parsed.names.iter().map(|name| bind(name, shape));
        let columns = bound.collect::<Result<Vec<FilterColumn>, String>>()?;
        let classes: Vec<Class> = columns.iter().map(|column| Class::of(&column.column.kind)).collect();
        check(&parsed.expr, &classes)?;
        Ok(Self {
            expr: parsed.expr,
            layout: RowLayout::new(shape),
            names: columns.iter().map(|column| column.column.name.clone()).collect(),
            columns,
        })
    }

    /// The condition as SQL over the table's columns.
    #[must_use]
    pub fn sql(&self) -> String {
        self.expr.sql(&self.names)
    }

    /// The columns it names, in the order of `constants`.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|column| &column.column)
    }

    /// Ordinals of the columns it names.
    pub fn columns_at(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|column| column.at)
    }

    /// The name of a column it names.
    #[must_use]
    pub fn name_of(&self, at: usize) -> String {
        let column = self.columns.iter().find(|column| column.at == at);
        column.map(|column| column.column.name.clone()).unwrap_or_default()
    }

    /// Whether the row belongs to the target; None: only the server knows.
    ///
    /// # Errors
    /// The row does not fit the shape.
    pub fn decides(&self, row: &Row) -> Result<Option<bool>, RowError> {
        let mut raw = Vec::with_capacity(self.layout.columns());
        self.layout.split(&row.0, &mut raw)?;
        let values: Vec<Val<'_>> = self.columns.iter().map(|column| column.value(raw[column.at])).collect();
        Ok(match truth(&self.expr, &values) {
            Truth::True => Some(true),
            Truth::False | Truth::Null => Some(false),
            Truth::Unknown => None,
        })
    }

    /// The canonical bytes of the columns it names, in one row.
    ///
    /// # Errors
    /// The row does not fit the shape.
    pub fn constants(&self, row: &Row) -> Result<Vec<Option<Vec<u8>>>, RowError> {
        let mut raw = Vec::with_capacity(self.layout.columns());
        self.layout.split(&row.0, &mut raw)?;
        Ok(self.columns.iter().map(|column| raw[column.at].map(<[u8]>::to_vec)).collect())
    }
}

fn bind(name: &str, shape: &TableShape) -> Result<FilterColumn, String> {
    let same = |column: &Column| column.name.to_lowercase() == name.to_lowercase();
    let at = shape
        .columns
        .iter()
        .position(same)
        .ok_or_else(|| format!("no column `{name}`"))?;
    let column = shape.columns[at].clone();
    Ok(FilterColumn {
        at,
        collation: column.collation.as_deref().map_or(Collation::Bytes, Collation::named),
        is_utf8: matches!(column.charset.as_deref(), Some("utf8mb4" | "utf8mb3" | "utf8" | "ascii")),
        column,
    })
}

impl FilterColumn {
    /// A value that cannot be read is for the server to judge: it refuses the constant.
    fn value<'a>(&self, raw: Option<&'a [u8]>) -> Val<'a> {
        let Some(raw) = raw else { return Val::Null };
        let whole = |mantissa: i128, is_unsigned| {
            Val::Exact(Exact {
                mantissa,
                scale: 0,
                is_unsigned,
            })
        };
        match (&self.column.kind, Value::decode(&self.column.kind, raw)) {
            (_, Ok(Value::Int(value))) => whole(i128::from(value), false),
            (_, Ok(Value::UInt(value) | Value::Bit(value))) => whole(i128::from(value), true),
            (_, Ok(Value::Decimal(text))) => decimal(&text),
            (_, Ok(Value::Float(value))) => Val::Double(f64::from(value)),
            (_, Ok(Value::Double(value))) => Val::Double(value),
            (_, Ok(Value::Date(value) | Value::DateTime(value))) => Val::Date(moment(&value)),
            (_, Ok(Value::Timestamp { seconds, micros })) => Val::Date(timestamp(seconds, micros)),
            (_, Ok(Value::Text(text))) => Val::Text(text, self.collation, self.is_utf8),
            (ColumnKind::Binary { .. } | ColumnKind::VarBinary { .. } | ColumnKind::Blob { .. }, Ok(Value::Bytes(bytes))) => {
                Val::Bytes(bytes)
            }
            _ => Val::Other,
        }
    }
}

/// `-1.50`. It always has a scale here: calculations with DECIMAL are the server's.
fn decimal(text: &str) -> Val<'static> {
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = text.replace('.', "");
    let mantissa = if scale == 0 { format!("{digits}0") } else { digits }.parse::<i128>();
    match (mantissa, u8::try_from(scale.max(1))) {
        (Ok(mantissa), Ok(scale)) => Val::Exact(Exact {
            mantissa,
            scale,
            is_unsigned: false,
        }),
        _ => Val::Other,
    }
}
