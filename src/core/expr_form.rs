//! Of which form a part of a row filter is, for every row: what the server takes from the definitions and not from the values.
//!
//! Used by `core::expr_eval` where one of several values is chosen, or one collation rules several comparisons: a NULL of a DOUBLE
//! makes COALESCE a DOUBLE, and a column that is compared with no text of this row still decides how the others compare.

use crate::core::expr::{Arithmetic, Expr};
use crate::core::expr_text::Collation;

/// The form of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// NULL alone: it takes any.
    Null,
    /// A whole number with a sign.
    Integer,
    /// Another number.
    Number,
    /// A text of the filter; the flag says that it is ASCII.
    Literal(bool),
    /// A text of a collation; the flag says that it is UTF-8.
    Text(Collation, bool),
    /// A text of a collation that is not known here.
    SomeText,
    /// A date, with or without a time.
    Date,
    /// A time.
    Time,
    /// Anything else.
    Other,
}

impl Form {
    /// Of this part; `columns` are those of the columns.
    #[must_use]
    pub fn of(expr: &Expr, columns: &[Self]) -> Self {
        match expr {
            Expr::Column(at) => columns[*at],
            Expr::Null => Self::Null,
            Expr::Number(number) if number.scale == 0 && !number.is_unsigned => Self::Integer,
            Expr::Number(_) | Expr::Double(_) => Self::Number,
            Expr::Text(text) => Self::Literal(text.is_ascii()),
            Expr::Bytes(_) | Expr::Json(..) => Self::Other,
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Xor(..)
            | Expr::Not(_)
            | Expr::Compare(..)
            | Expr::IsNull(_)
            | Expr::In(..)
            | Expr::Between(..)
            | Expr::Like(..) => Self::Integer,
            Expr::Arithmetic(Arithmetic::Quotient, ..) => Self::Number,
            Expr::Arithmetic(_, a, b) => match (Self::of(a, columns), Self::of(b, columns)) {
                (Self::Integer, Self::Integer) => Self::Integer,
                _ => Self::Number,
            },
            Expr::Negative(_) => Self::Number,
            Expr::Call(name, arguments) => Self::of_call(name, arguments, columns),
            Expr::Case { arms, otherwise, .. } => {
                Self::joined(arms.iter().map(|(_, then)| then).chain(otherwise.as_deref()), columns)
            }
        }
    }

    fn of_call(name: &str, arguments: &[Expr], columns: &[Self]) -> Self {
        let first = || arguments.first().map_or(Self::Other, |first| Self::of(first, columns));
        match name {
            "IF" => Self::joined(arguments.iter().skip(1), columns),
            "COALESCE" | "IFNULL" => Self::joined(arguments.iter(), columns),
            "ABS" | "CEILING" | "FLOOR" | "MOD" | "SIGN" | "GREATEST" | "LEAST" | "NULLIF" | "ROUND" => {
                let is_integer = arguments.iter().all(|part| Self::of(part, columns) == Self::Integer);
                match (name, first()) {
                    ("GREATEST" | "LEAST" | "NULLIF", Self::Literal(_) | Self::Text(..) | Self::SomeText | Self::Null) => {
                        Self::SomeText
                    }
                    _ if is_integer => Self::Integer,
                    _ => Self::Number,
                }
            }
            "LOWER" | "UPPER" | "TRIM" | "LTRIM" | "RTRIM" | "LEFT" | "RIGHT" | "SUBSTRING" => match first() {
                text @ Self::Text(..) => text,
                _ => Self::SomeText,
            },
            "CONCAT" | "REPLACE" => Self::SomeText,
            "DATE" => Self::Date,
            _ => Self::Number,
        }
    }

    /// Of one of several values, by the row.
    pub fn joined<'e>(parts: impl Iterator<Item = &'e Expr>, columns: &[Self]) -> Self {
        let joined = parts
            .map(|part| Self::of(part, columns))
            .reduce(|one, other| match (one, other) {
                (Self::Null, form) | (form, Self::Null) => form,
                (one, other) if one == other => one,
                (Self::Literal(one), Self::Literal(other)) => Self::Literal(one && other),
                // A column's collation rules the texts of the filter, which are of its character set when they are ASCII.
                (Self::Literal(true), text @ Self::Text(..)) | (text @ Self::Text(..), Self::Literal(true)) => text,
                (Self::Integer | Self::Number, Self::Integer | Self::Number) => Self::Number,
                (Self::Literal(_) | Self::Text(..) | Self::SomeText, Self::Literal(_) | Self::Text(..) | Self::SomeText) => {
                    Self::SomeText
                }
                _ => Self::Other,
            });
        joined.unwrap_or(Self::Null)
    }

    /// Whether these are compared with each other one by one: numbers, dates, or texts under one collation.
    #[must_use]
    pub fn is_each_by_itself(parts: &[&Expr], columns: &[Self]) -> bool {
        let mut ruling = None;
        parts.iter().all(|part| match Self::of(part, columns) {
            Self::SomeText => false,
            Self::Text(collation, _) => *ruling.get_or_insert(collation) == collation,
            _ => true,
        })
    }
}
