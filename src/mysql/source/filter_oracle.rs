//! Asks the source server whether rows pass a filter, where `core::row_filter` cannot say (PROTOCOLS 13).
//!
//! Used by `flow::projector`. The values of the filter's columns become a table of constants of the same types and collations, so
//! the server judges them as it judges the table itself. Answers are kept, up to a bound: few values make most rows.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::core::job_spec::DatabaseSpec;
use crate::core::row_filter::RowFilter;
use crate::core::row_filter_input::set_text;
use crate::core::shape::{Column, ColumnKind, ShapeId};
use crate::core::value::{DateTimeValue, Value};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::canonical::SESSION_SETTINGS;

/// Rows in one question.
const ROWS_MAX: usize = 200;
/// Answers kept; then all are forgotten. At some 100 bytes each a few megabytes (guess).
const ANSWERS_MAX: usize = 20_000;

/// The values of a filter's columns in one row, canonical bytes.
pub type Constants = Vec<Option<Vec<u8>>>;

/// A row that is to be judged.
#[derive(Debug)]
pub struct Question<'a> {
    /// Its table.
    pub shape: ShapeId,
    /// The filter.
    pub filter: &'a RowFilter,
    /// The values.
    pub constants: Constants,
}

/// A connection that judges, made when it is first needed.
#[derive(Debug)]
pub struct FilterOracle {
    spec: DatabaseSpec,
    session: Option<Session>,
    answers: HashMap<(ShapeId, Constants), bool>,
}

impl FilterOracle {
    /// Asks this server.
    #[must_use]
    pub fn new(spec: DatabaseSpec) -> Self {
        Self {
            spec,
            session: None,
            answers: HashMap::new(),
        }
    }

    /// The answer, when the question was asked.
    #[must_use]
    pub fn answer(&self, shape: ShapeId, constants: Constants) -> Option<bool> {
        self.answers.get(&(shape, constants)).copied()
    }

    /// Asks what is not known yet. Afterwards `answer` has all of it.
    ///
    /// # Errors
    /// The server cannot be reached, or ends the statement: the filter overflows on these values.
    pub async fn ask(&mut self, mut questions: Vec<Question<'_>>) -> Result<(), Error> {
        if self.answers.len() + questions.len() > ANSWERS_MAX {
            self.answers.clear();
        }
        questions.retain(|question| !self.answers.contains_key(&(question.shape, question.constants.clone())));
        questions.sort_by_key(|question| question.shape);
        let mut rest = &questions[..];
        while let Some(first) = rest.first() {
            let of_table = rest.iter().take_while(|question| question.shape == first.shape).count();
            let (batch, later) = rest.split_at(of_table.min(ROWS_MAX));
            let sql = statement(first.filter, batch)?;
            let passed: Vec<usize> = self.session().await?.rows(sql).await?;
            for (at, question) in batch.iter().enumerate() {
                let is_passed = passed.contains(&at);
                self.answers.insert((question.shape, question.constants.clone()), is_passed);
            }
            rest = later;
        }
        Ok(())
    }

    async fn session(&mut self) -> Result<&mut Session, Error> {
        if self.session.is_none() {
            let mut session = Session::connect(&self.spec).await?;
            session.execute(SESSION_SETTINGS).await?;
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("just made"))
    }
}

/// `SELECT row FROM (constants) WHERE filter`. The last row of NULLs keeps it a union, which the server always puts into a table of
/// its own: the constants are columns then, with a column's say about collations.
fn statement(filter: &RowFilter, batch: &[Question<'_>]) -> Result<String, Error> {
    let mut sql = String::from("SELECT `peer row` FROM (");
    for (at, question) in batch.iter().enumerate() {
        let _ = write!(sql, "SELECT {at} AS `peer row`");
        for (column, value) in filter.columns().zip(&question.constants) {
            let _ = write!(
                sql,
                ", {} AS {}",
                constant(column, value.as_deref())?,
                quote::identifier(&column.name)
            );
        }
        sql.push_str(" UNION ALL ");
    }
    sql.push_str("SELECT -1");
    filter.columns().for_each(|_| sql.push_str(", NULL"));
    let _ = write!(sql, ") AS t WHERE `peer row` >= 0 AND {}", filter.sql_over_constants());
    Ok(sql)
}

/// A value as a constant of the column's type.
fn constant(column: &Column, raw: Option<&[u8]>) -> Result<String, Error> {
    let Some(raw) = raw else { return Ok("NULL".into()) };
    let value = Value::decode(&column.kind, raw).map_err(|error| Error::BadRow {
        table: format!("column `{}`", column.name),
        reason: error.to_string(),
    })?;
    Ok(match (value, &column.kind) {
        (Value::Int(value), _) => format!("CAST({value} AS SIGNED)"),
        (Value::UInt(value) | Value::Bit(value), _) => format!("CAST({value} AS UNSIGNED)"),
        (Value::Decimal(text), ColumnKind::Decimal { precision, scale }) => {
            format!("CAST('{text}' AS DECIMAL({precision}, {scale}))")
        }
        (Value::Decimal(text), _) => text,
        (Value::Float(value), _) => format!("CAST({:e} AS FLOAT)", f64::from(value)),
        (Value::Double(value), _) => format!("CAST({value:e} AS DOUBLE)"),
        // A filter has no number of one or two digits against it, which would mean another year.
        (Value::Year(year), _) => format!("CAST({year} AS UNSIGNED)"),
        (Value::Date(date), _) => format!("CAST('{}' AS DATE)", date_text(&date)),
        (Value::DateTime(at), _) => {
            let time = format!("{:02}:{:02}:{:02}.{:06}", at.hours, at.minutes, at.seconds, at.micros);
            format!("CAST('{} {time}' AS DATETIME(6))", date_text(&at))
        }
        (Value::Timestamp { seconds: 0, .. }, _) => "CAST('0000-00-00 00:00:00' AS DATETIME(6))".into(),
        (Value::Timestamp { seconds, micros }, _) => format!("CAST(FROM_UNIXTIME({seconds}.{micros:06}) AS DATETIME(6))"),
        (Value::Time(time), _) => {
            let sign = if time.is_negative { "-" } else { "" };
            let clock = format!("{:02}:{:02}:{:02}.{:06}", time.hours, time.minutes, time.seconds, time.micros);
            format!("CAST('{sign}{clock}' AS TIME(6))")
        }
        (Value::Text(bytes), _) => text(column, bytes),
        (Value::Enum(index), ColumnKind::Enum { members }) => {
            let label = usize::from(index).checked_sub(1).and_then(|at| members.get(at));
            label_text(column, label.map_or("", String::as_str))
        }
        (Value::Set(bits), ColumnKind::Set { members }) => label_text(column, &set_text(members, bits)),
        (Value::Bytes(bytes), ColumnKind::Binary { .. } | ColumnKind::VarBinary { .. } | ColumnKind::Blob { .. }) => {
            format!("CAST({} AS BINARY)", hex(&bytes))
        }
        // Only IS NULL can be asked of the others.
        (Value::Bytes(_) | Value::Json(_) | Value::Enum(_) | Value::Set(_), _) => "1".into(),
    })
}

/// The text of an ENUM or SET under the column's own character set and collation.
fn label_text(column: &Column, label: &str) -> String {
    let label = hex(label.as_bytes());
    match (&column.charset, &column.collation) {
        (Some(charset), Some(collation)) => format!("CONVERT(_utf8mb4 {label} USING {charset}) COLLATE {collation}"),
        _ => format!("_utf8mb4 {label}"),
    }
}

/// The bytes themselves under the column's own character set and collation.
fn text(column: &Column, bytes: &[u8]) -> String {
    match (&column.charset, &column.collation) {
        (Some(charset), Some(collation)) => format!("_{charset} {} COLLATE {collation}", hex(bytes)),
        _ => hex(bytes),
    }
}

fn date_text(date: &DateTimeValue) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("x'");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}
