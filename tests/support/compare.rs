//! Row-for-row comparison of a table on two servers: the same multiset of rows, every column equal byte for byte.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::servers::Server;

/// Columns of a table with the expression that shows their exact bytes.
async fn columns(conn: &mut Conn, schema: &str, table: &str) -> Vec<String> {
    let query = format!(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = '{schema}' AND table_name = '{table}' \
         ORDER BY ordinal_position"
    );
    let columns: Vec<(String, String)> = conn.query(query).await.expect("columns");
    let exact = |(name, kind): &(String, String)| match kind.as_str() {
        "float" => format!("CAST(`{name}` AS DOUBLE)"),
        _ => format!("`{name}`"),
    };
    columns.iter().map(exact).collect()
}

/// Every row as the bytes of its columns, with how often it is there.
async fn rows(server: &Server, schema: &str, table: &str) -> HashMap<Vec<Option<Vec<u8>>>, i64> {
    let mut conn = server.conn().await;
    let columns = columns(&mut conn, schema, table).await;
    conn.query_drop("SET NAMES binary, time_zone = '+00:00'")
        .await
        .expect("session");
    let rows: Vec<Row> = conn
        .query(format!("SELECT {} FROM `{schema}`.`{table}`", columns.join(", ")))
        .await
        .expect("rows");
    conn.disconnect().await.expect("disconnects");
    let mut counts = HashMap::new();
    for row in rows {
        let values = row.unwrap().into_iter().map(|value| match value {
            mysql_async::Value::NULL => None,
            mysql_async::Value::Bytes(bytes) => Some(bytes),
            other => panic!("the text protocol gave {other:?}"),
        });
        *counts.entry(values.collect()).or_insert(0) += 1;
    }
    counts
}

/// What differs, at most three rows of it; None when both are equal.
pub async fn difference(source: &Server, target: &Server, schema: &str, table: &str) -> Option<String> {
    let mut counts = rows(source, schema, table).await;
    let total: i64 = counts.values().sum();
    for (row, count) in rows(target, schema, table).await {
        *counts.entry(row).or_insert(0) -= count;
    }
    counts.retain(|_, count| *count != 0);
    if counts.is_empty() {
        return None;
    }
    let show = |row: &[Option<Vec<u8>>]| {
        let values = row.iter().map(|value| {
            value
                .as_deref()
                .map_or("NULL".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
        });
        values.collect::<Vec<_>>().join(" | ")
    };
    let shown: Vec<String> = counts
        .iter()
        .take(3)
        .map(|(row, count)| format!("{count:+} {}", show(row)))
        .collect();
    Some(format!(
        "{schema}.{table}: {} of {total} rows differ (+ source only, - target only):\n{}",
        counts.len(),
        shown.join("\n")
    ))
}

/// Fails with the rows that differ.
pub async fn assert_equal(source: &Server, target: &Server, schema: &str, tables: &[&str]) {
    for table in tables {
        if let Some(difference) = difference(source, target, schema, table).await {
            panic!("{difference}");
        }
    }
}
