//! Rows of the copy as `LOAD DATA LOCAL INFILE`: text that the server stores as exactly the same values.
//!
//! Used by `copy_lane` where the server allows it. The text is read as bytes (`CHARACTER SET binary`): a string arrives as it is stored
//! whatever its character set. Columns whose text the server could read as another value (ENUM by label or number, JSON, BIT, floats)
//! keep a table on INSERT. LOCAL makes the server go on after a row it refuses: whoever runs this compares rows and warnings.

use std::io::Write as _;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use mysql_async::prelude::Queryable;

use crate::core::change::Row;
use crate::core::shape::{Column, ColumnKind};
use crate::core::value::{Value, ValueError};
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::target::apply::ROWS_LIMIT;
use crate::mysql::target::literal;
use crate::mysql::target::statement::TableSql;

/// Bytes of text in one statement (guess: as many rows as ten INSERTs; two of them are in memory at once).
pub const LOAD_BYTES: usize = 2 << 20;
/// Bytes handed to the connection at once: a packet of the protocol each.
const PACKET_BYTES: usize = 256 << 10;

/// What the server did with the rows of one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Rows it wrote.
    pub rows: u64,
    /// What it found fault with; a row it refused is one.
    pub warnings: u16,
}

/// The statement for a table; None: it has a column that must not go this way.
#[must_use]
pub fn statement(table: &TableSql) -> Option<String> {
    let columns = &table.table.shape.columns;
    if table.written.is_empty() || !table.written.iter().all(|at| is_exact(&columns[*at].kind)) {
        return None;
    }
    let names: Vec<&str> = table.written.iter().map(|at| table.quoted[*at].as_str()).collect();
    Some(format!(
        "LOAD DATA LOCAL INFILE 'peer' INTO TABLE {} CHARACTER SET binary FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' \
         LINES TERMINATED BY '\\n' ({})",
        table.name,
        names.join(",")
    ))
}

fn is_exact(kind: &ColumnKind) -> bool {
    match kind {
        ColumnKind::Int { .. }
        | ColumnKind::Decimal { .. }
        | ColumnKind::Year
        | ColumnKind::Date
        | ColumnKind::Time { .. }
        | ColumnKind::DateTime { .. }
        | ColumnKind::Timestamp { .. }
        | ColumnKind::Char { .. }
        | ColumnKind::VarChar { .. }
        | ColumnKind::Text { .. }
        | ColumnKind::Binary { .. }
        | ColumnKind::VarBinary { .. }
        | ColumnKind::Blob { .. } => true,
        ColumnKind::Float
        | ColumnKind::Double
        | ColumnKind::Bit { .. }
        | ColumnKind::Enum { .. }
        | ColumnKind::Set { .. }
        | ColumnKind::Json
        | ColumnKind::Geometry
        | ColumnKind::Vector => false,
    }
}

/// Appends the line of a row of a table that has a `statement`.
///
/// # Errors
/// The row does not fit the shape.
pub fn push_row<'a>(text: &mut Vec<u8>, table: &TableSql, row: &'a Row, values: &mut Vec<Option<&'a [u8]>>) -> Result<(), Error> {
    let split = table.table.layout.split(&row.0, values);
    split.map_err(|error| table.bad_row(error.to_string()))?;
    for (number, at) in table.written.iter().enumerate() {
        if number > 0 {
            text.push(b'\t');
        }
        let pushed = push(text, &table.table.shape.columns[*at], values[*at]);
        pushed.map_err(|error| table.bad_row(format!("column {}: {error}", table.quoted[*at])))?;
    }
    text.push(b'\n');
    Ok(())
}

fn push(text: &mut Vec<u8>, column: &Column, raw: Option<&[u8]>) -> Result<(), ValueError> {
    let Some(raw) = raw else {
        text.extend_from_slice(b"\\N");
        return Ok(());
    };
    // Writing to a Vec cannot fail.
    let _ = match Value::decode(&column.kind, raw)? {
        Value::Text(bytes) => {
            push_escaped(text, bytes);
            Ok(())
        }
        Value::Bytes(bytes) => {
            push_escaped(text, &bytes);
            Ok(())
        }
        Value::Int(value) => write!(text, "{value}"),
        Value::UInt(value) => write!(text, "{value}"),
        // As text, a year of one or two digits is one of this century.
        Value::Year(value) => write!(text, "{value:04}"),
        Value::Decimal(value) => text.write_all(value.as_bytes()),
        _ => {
            let mut sql = String::new();
            literal::push(&mut sql, column, Some(raw))?;
            text.write_all(sql.trim_matches('\'').as_bytes())
        }
    };
    Ok(())
}

fn push_escaped(text: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | 0)) {
        text.extend_from_slice(&rest[..at]);
        text.push(b'\\');
        // A zero byte goes as the digit; the others stand for themselves behind a backslash.
        text.push(if rest[at] == 0 { b'0' } else { rest[at] });
        rest = &rest[at + 1..];
    }
    text.extend_from_slice(rest);
}

/// The server lets clients send rows this way.
///
/// # Errors
/// The connection failed.
pub async fn is_allowed(session: &mut Session) -> Result<bool, Error> {
    Ok(session.first::<u64>("SELECT @@local_infile").await? == Some(1))
}

/// Runs the statement with this text.
///
/// # Errors
/// The server refuses it (nothing was written), or the connection is gone.
pub async fn load(session: &mut Session, statement: &str, text: Vec<u8>) -> Result<Loaded, Error> {
    let loading = session.within(ROWS_LIMIT, "rows of the copy", async |conn| {
        let mut rest = Bytes::from(text);
        let mut packets = Vec::with_capacity(rest.len().div_ceil(PACKET_BYTES));
        while !rest.is_empty() {
            packets.push(Ok(rest.split_to(PACKET_BYTES.min(rest.len()))));
        }
        conn.set_infile_handler(async move { Ok(stream::iter(packets).boxed()) });
        conn.query_drop(statement).await?;
        Ok(Loaded {
            rows: conn.affected_rows(),
            warnings: conn.get_warnings(),
        })
    });
    loading.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_value_or_begin_an_escape_is_escaped() {
        let mut text = Vec::new();
        push_escaped(&mut text, b"a\tb\nc\\d\0e\r'\"N");
        assert_eq!(text, b"a\\\tb\\\nc\\\\d\\0e\r'\"N");
    }

    #[test]
    fn nothing_is_not_the_letter_that_stands_for_it() {
        let column = Column {
            name: "c".into(),
            kind: ColumnKind::VarChar { bytes_max: 10 },
            is_nullable: true,
            is_generated: false,
            charset: Some("utf8mb4".into()),
            collation: None,
        };
        let mut text = Vec::new();
        push(&mut text, &column, None).unwrap();
        push(&mut text, &column, Some(b"\\N")).unwrap();
        push(&mut text, &column, Some(b"")).unwrap();
        assert_eq!(text, b"\\N\\\\N");
    }

    #[test]
    fn the_year_nought_has_four_digits() {
        let column = Column {
            name: "c".into(),
            kind: ColumnKind::Year,
            is_nullable: true,
            is_generated: false,
            charset: None,
            collation: None,
        };
        let mut text = Vec::new();
        push(&mut text, &column, Some(&[0])).unwrap();
        assert_eq!(text, b"0000");
    }
}
