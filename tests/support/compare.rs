//! What "equal" means: the same multiset of rows, every column equal byte for byte, and the same definition.
//!
//! FLOAT and DOUBLE by their bits, ENUM and SET by number, JSON as a typed tree (its text and the type of each scalar),
//! TIMESTAMP in UTC, invisible columns and generated invisible keys included; `SHOW CREATE TABLE` apart from AUTO_INCREMENT.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use super::servers::Server;

/// So that bytes come as they are stored, of every column there is.
const SESSION: &str = "SET character_set_results = NULL, time_zone = '+00:00', group_concat_max_len = 1 << 30, sql_mode = '', \
                       show_gipk_in_create_table_and_information_schema = ON";
/// Above so many bytes of text the types inside a JSON document are not looked at: the server needs minutes for it.
const TYPED_JSON_BYTES_MAX: u32 = 2 << 20;

async fn session(server: &Server) -> Conn {
    let mut conn = server.conn().await;
    conn.query_drop(SESSION).await.expect("session");
    conn
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// Columns of a table with the expressions that show their exact bytes.
async fn columns(conn: &mut Conn, schema: &str, table: &str) -> Vec<String> {
    let query = format!(
        "SELECT CONVERT(column_name USING utf8mb4), data_type FROM information_schema.columns \
         WHERE table_schema = {} AND table_name = _utf8mb4 {} ORDER BY ordinal_position",
        text(schema),
        text(table)
    );
    let columns: Vec<(String, String)> = conn.query(query).await.expect("columns");
    let exact = |(name, kind): &(String, String)| {
        let name = format!("{}.{}", quoted(table), quoted(name));
        match kind.as_str() {
            "enum" | "set" => vec![format!("CAST({name} AS UNSIGNED)")],
            "json" => {
                let types = format!(
                    "IF(LENGTH({name}) > {TYPED_JSON_BYTES_MAX}, JSON_TYPE({name}), (SELECT GROUP_CONCAT(JSON_TYPE(v) ORDER BY n) \
                     FROM JSON_TABLE({name}, '$**[0]' COLUMNS (n FOR ORDINALITY, v JSON PATH '$')) leaves))"
                );
                vec![name, types]
            }
            _ => vec![name],
        }
    };
    columns.iter().flat_map(exact).collect()
}

/// One value as bytes that only the same value has.
fn exact(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        Value::Float(float) => Some(format!("{float:?} {:08x}", float.to_bits()).into_bytes()),
        Value::Double(double) => Some(format!("{double:?} {:016x}", double.to_bits()).into_bytes()),
        other => Some(other.as_sql(true).into_bytes()),
    }
}

/// Every row as the bytes of its columns, with how often it is there.
async fn rows(server: &Server, schema: &str, table: &str) -> Result<HashMap<Vec<Option<Vec<u8>>>, i64>, String> {
    let mut conn = session(server).await;
    let columns = columns(&mut conn, schema, table).await;
    if columns.is_empty() {
        return Err("the table is not there".into());
    }
    let query = format!("SELECT {} FROM {}.{}", columns.join(", "), quoted(schema), quoted(table));
    // The binary protocol: the text of a FLOAT has six digits.
    let rows: Vec<Row> = conn.exec(&query, ()).await.map_err(|error| format!("{query}: {error}"))?;
    conn.disconnect().await.expect("disconnects");
    let mut counts = HashMap::new();
    for row in rows {
        *counts.entry(row.unwrap().into_iter().map(exact).collect()).or_insert(0) += 1;
    }
    Ok(counts)
}

/// Text, or hex when it is none.
fn shown(value: Option<&[u8]>) -> String {
    const SHOWN_MAX: usize = 300;
    let Some(bytes) = value else { return "NULL".into() };
    let cut = &bytes[..bytes.len().min(SHOWN_MAX)];
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.chars().take(SHOWN_MAX).collect(),
        _ => format!("x'{}'", cut.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// What differs, at most four rows of it; None when both are equal.
pub async fn difference(source: &Server, target: &Server, schema: &str, table: &str) -> Option<String> {
    let mut counts = match rows(source, schema, table).await {
        Ok(rows) => rows,
        Err(error) => return Some(format!("{schema}.{table} on the source: {error}")),
    };
    let total: i64 = counts.values().sum();
    let found = match rows(target, schema, table).await {
        Ok(rows) => rows,
        Err(error) => return Some(format!("{schema}.{table} on the target: {error}")),
    };
    for (row, count) in found {
        *counts.entry(row).or_insert(0) -= count;
    }
    counts.retain(|_, count| *count != 0);
    if counts.is_empty() {
        return None;
    }
    let show = |row: &[Option<Vec<u8>>]| {
        row.iter()
            .map(|value| shown(value.as_deref()))
            .collect::<Vec<_>>()
            .join(" | ")
    };
    let mut lines: Vec<String> = counts.iter().map(|(row, count)| format!("{} {count:+}", show(row))).collect();
    lines.sort();
    lines.truncate(4);
    Some(format!(
        "{schema}.{table}: {} of {total} rows differ (+ source only, - target only):\n{}",
        counts.len(),
        lines.join("\n")
    ))
}

/// `SHOW CREATE TABLE` without the counter of its rows.
async fn definition(server: &Server, schema: &str, table: &str) -> String {
    let mut conn = session(server).await;
    let query = format!("SHOW CREATE TABLE {}.{}", quoted(schema), quoted(table));
    let found: Option<(Value, Value)> = conn.query_first(query).await.unwrap_or(None);
    conn.disconnect().await.expect("disconnects");
    let Some((_, Value::Bytes(sql))) = found else {
        return "no table".into();
    };
    let sql = String::from_utf8_lossy(&sql).into_owned();
    let Some((before, counter)) = sql.rsplit_once(" AUTO_INCREMENT=") else {
        return sql;
    };
    format!("{before}{}", counter.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// The tables of a schema.
async fn tables(server: &Server, schema: &str) -> Vec<String> {
    let mut conn = session(server).await;
    let query = format!(
        "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables WHERE table_schema = {} AND table_type = 'BASE TABLE' \
         ORDER BY 1",
        text(schema)
    );
    let tables = conn.query(query).await.expect("tables");
    conn.disconnect().await.expect("disconnects");
    tables
}

/// What differs in a whole schema: tables that are on one side only, definitions, rows.
pub async fn schema_difference(source: &Server, target: &Server, schema: &str) -> Option<String> {
    let (there, here) = (tables(source, schema).await, tables(target, schema).await);
    if there != here {
        return Some(format!("{schema}: tables of the source {there:?}, of the target {here:?}"));
    }
    for table in &there {
        let (expected, found) = (
            definition(source, schema, table).await,
            definition(target, schema, table).await,
        );
        if expected != found {
            return Some(format!("source: {expected}\ntarget: {found}"));
        }
        if let Some(difference) = difference(source, target, schema, table).await {
            return Some(difference);
        }
    }
    None
}

/// Fails with the rows that differ.
pub async fn assert_equal(source: &Server, target: &Server, schema: &str, tables: &[&str]) {
    for table in tables {
        if let Some(difference) = difference(source, target, schema, table).await {
            panic!("{difference}");
        }
    }
}
