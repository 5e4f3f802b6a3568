//! `where`: which rows of a table are replicated.
//!
//! Compiled once per table, by preflight to refuse it and by `core::projection` to use it. Decides a row or says that only the
//! server can (`mysql::source::filter_oracle`). The chunk reads of the copy use the same filter as SQL.

use crate::core::change::Row;
use crate::core::expr::{Expr, name_sql};
use crate::core::expr_check::check;
use crate::core::expr_collation;
use crate::core::expr_eval::{self, Truth, Val, truth};
use crate::core::expr_form::Form;
use crate::core::expr_parse::parse;
use crate::core::row::{RowError, RowLayout};
use crate::core::row_filter_input::{Input, Inputs};
use crate::core::shape::{Column, TableShape};

/// Longest filter in bytes. A guess.
pub const FILTER_BYTES_MAX: usize = 16 << 10;

/// A filter, bound to the columns of one table.
#[derive(Clone, Debug)]
pub struct RowFilter {
    expr: Expr,
    layout: RowLayout,
    inputs: Vec<Input>,
    forms: Vec<Form>,
}

impl RowFilter {
    /// Binds a filter to a table.
    ///
    /// # Errors
    /// Says what is not understood, which column is missing, or which comparison has no one meaning.
    pub fn of(text: &str, shape: &TableShape) -> Result<Self, String> {
        let parsed = parse(text).map_err(|error| error.to_string())?;
        let mut expr = parsed.expr;
        let mut inputs = Inputs::of(&parsed.names, shape)?;
        inputs.bind(&mut expr)?;
        let inputs = inputs.all;
        let classes: Vec<_> = inputs.iter().map(Input::class).collect();
        check(&expr, &classes)?;
        let collations: Vec<_> = inputs.iter().map(|input| input.constant.collation.as_deref()).collect();
        expr_collation::check(&expr, &collations)?;
        Ok(Self {
            expr,
            layout: RowLayout::new(shape),
            forms: inputs.iter().map(Input::form).collect(),
            inputs,
        })
    }

    /// The condition as SQL over the table's columns.
    #[must_use]
    pub fn sql(&self) -> String {
        let names: Vec<String> = self.inputs.iter().map(Input::sql).collect();
        self.expr.sql(&names)
    }

    /// The condition as SQL over `constants`, under the names of `columns`.
    #[must_use]
    pub fn sql_over_constants(&self) -> String {
        let names: Vec<String> = self.columns().map(|column| name_sql(&column.name)).collect();
        self.expr.sql(&names)
    }

    /// What `constants` are, in their order: columns with names of their own.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.inputs.iter().map(|input| &input.constant)
    }

    /// Ordinals of the columns it names.
    pub fn columns_at(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().map(|input| input.at)
    }

    /// The name of a column it names.
    #[must_use]
    pub fn name_of(&self, at: usize) -> String {
        let input = self.inputs.iter().find(|input| input.at == at);
        input.map(|input| input.name.clone()).unwrap_or_default()
    }

    /// Whether the row belongs to the target; None: only the server knows.
    ///
    /// # Errors
    /// The row does not fit the shape.
    pub fn decides(&self, row: &Row) -> Result<Option<bool>, RowError> {
        let mut raw = Vec::with_capacity(self.layout.columns());
        self.layout.split(&row.0, &mut raw)?;
        let values: Vec<Val<'_>> = self.inputs.iter().map(|input| input.value(raw[input.at])).collect();
        let row = expr_eval::Row {
            values: &values,
            forms: &self.forms,
        };
        Ok(match truth(&self.expr, row) {
            Truth::True => Some(true),
            Truth::False | Truth::Null => Some(false),
            Truth::Unknown => None,
        })
    }

    /// What the filter needs of one row, as canonical bytes of `columns`.
    ///
    /// # Errors
    /// The row does not fit the shape.
    pub fn constants(&self, row: &Row) -> Result<Vec<Option<Vec<u8>>>, RowError> {
        let mut raw = Vec::with_capacity(self.layout.columns());
        self.layout.split(&row.0, &mut raw)?;
        Ok(self.inputs.iter().map(|input| input.constant(raw[input.at])).collect())
    }
}
