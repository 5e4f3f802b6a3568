//! What becomes of a column that an INSERT leaves out, as canonical bytes.
//!
//! Used by `inspect` for every shape: with `binlog_row_image` MINIMAL the binlog leaves such columns out too, unless an expression
//! or the clock gave the value. Literal defaults are asked of the server; a NOT NULL column without one becomes what its type has
//! for nothing, which sessions that are not strict may use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};

use crate::core::shape::{Column, ColumnKind, TableName};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::canonical;

/// Stands for a value that cannot be written: an image that needs it is refused.
const UNKNOWN: &str = "?";
/// The binary document `null`.
const JSON_NULL: &str = "0400";
/// Longest wait for the values (guess: no row is read).
const ASK_LIMIT: Duration = Duration::from_secs(60);

/// Values by ordinal, in hex; columns without an entry become NULL, or are never left out.
pub(super) async fn read(session: &mut Session, name: &TableName, columns: &[Column]) -> Result<BTreeMap<usize, String>, Error> {
    let literal = literal_columns(session, name, columns).await?;
    let mut values = match &literal[..] {
        [] => Vec::new(),
        literal => ask(session, name, columns, literal).await?,
    };
    values.resize(literal.len(), Value::NULL);
    let mut defaults = BTreeMap::new();
    let text = |at: usize, value: &Value| {
        let mut bytes = Vec::new();
        let encoded = canonical::encode_value(&columns[at].kind, value, &mut bytes);
        if encoded.is_ok() { hex(&bytes) } else { UNKNOWN.to_owned() }
    };
    for (at, column) in columns.iter().enumerate() {
        if let Some(nth) = literal.iter().position(|literal| *literal == at) {
            defaults.insert(at, text(at, &values[nth]));
        } else if !column.is_nullable && column.kind == ColumnKind::Json {
            defaults.insert(at, JSON_NULL.to_owned());
        } else if !column.is_nullable && !column.is_generated {
            defaults.insert(at, text(at, &nothing(&column.kind)));
        }
    }
    Ok(defaults)
}

/// Columns whose default is a value, not an expression.
async fn literal_columns(session: &mut Session, name: &TableName, columns: &[Column]) -> Result<Vec<usize>, Error> {
    let sql = format!(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
         AND COLUMN_DEFAULT IS NOT NULL AND EXTRA NOT LIKE '%GENERATED%'",
        quote::text(&name.schema),
        quote::text(&name.table)
    );
    let names = session.rows::<String>(sql).await?;
    let at = |name: &String| columns.iter().position(|column| column.name == *name);
    Ok(names.iter().filter_map(at).collect())
}

/// The defaults of these columns. They come with a row of the table only; one without rows has one in the count of them.
async fn ask(session: &mut Session, name: &TableName, columns: &[Column], wanted: &[usize]) -> Result<Vec<Value>, Error> {
    let mut list = String::new();
    for at in wanted {
        let column = &columns[*at];
        let separator = if list.is_empty() { "" } else { ", " };
        let value = format!("DEFAULT({})", quote::identifier(&column.name));
        let value = match column.kind {
            ColumnKind::Enum { .. } | ColumnKind::Set { .. } => format!("CAST({value} AS UNSIGNED)"),
            // In the column's own character set.
            ColumnKind::Char { .. } | ColumnKind::VarChar { .. } => format!("CAST({value} AS BINARY)"),
            _ => value,
        };
        // Writing to a String cannot fail.
        let _ = write!(list, "{separator}{value}");
    }
    let table = quote::table(name);
    let row = one_row(session, format!("SELECT {list} FROM {table} LIMIT 1")).await?;
    if !row.is_empty() {
        return Ok(row);
    }
    one_row(session, format!("SELECT {list}, COUNT(*) FROM {table}")).await
}

/// The first row. Values come with their types by the binary protocol only.
async fn one_row(session: &mut Session, sql: String) -> Result<Vec<Value>, Error> {
    let row = session
        .within(ASK_LIMIT, "the defaults of a table", async |conn| {
            conn.exec_first::<Row, _, _>(sql, ()).await
        })
        .await?;
    Ok(row.map(Row::unwrap).unwrap_or_default())
}

/// What a NOT NULL column without a default holds when nothing is given.
fn nothing(kind: &ColumnKind) -> Value {
    use ColumnKind as K;
    match kind {
        K::Int { .. } | K::Year | K::Set { .. } => Value::Int(0),
        K::Enum { .. } => Value::Int(1),
        K::Decimal { .. } => Value::Bytes(b"0".to_vec()),
        K::Float => Value::Float(0.0),
        K::Double => Value::Double(0.0),
        K::Bit { bits } => Value::Bytes(vec![0; usize::from(bits.div_ceil(8))]),
        K::Date | K::DateTime { .. } | K::Timestamp { .. } => Value::Date(0, 0, 0, 0, 0, 0, 0),
        K::Time { .. } => Value::Time(false, 0, 0, 0, 0, 0),
        K::Char { .. } | K::VarChar { .. } | K::Binary { .. } | K::VarBinary { .. } | K::Blob { .. } | K::Text { .. } => {
            Value::Bytes(Vec::new())
        }
        // JSON is written by `JSON_NULL`; the others are never left out.
        K::Json | K::Geometry | K::Vector => Value::NULL,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
