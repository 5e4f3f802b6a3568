//! Files loaded on the source: their rows arrive as any others; in statement format they stop the job. Tables of other engines beside.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mysql_async::prelude::Queryable;
use serde_json::Value;
use support::job_bed::JobBed;
use support::wait::until;

const LIMIT: Duration = Duration::from_secs(120);

/// Loads `text` as a file of the client's, with `settings` set before.
fn load(bed: &JobBed, settings: &str, text: &str, sql: &str) {
    let (sql, data) = (bed.filled(sql), Bytes::copy_from_slice(text.as_bytes()));
    let loading = async {
        let mut conn = bed.source.conn().await;
        conn.query_drop("SET GLOBAL local_infile = ON").await.unwrap();
        conn.query_drop(settings).await.unwrap();
        conn.set_infile_handler(async move { Ok(stream::iter([Ok(data)]).boxed()) });
        conn.query_drop(&sql).await.expect(&sql);
        conn.disconnect().await.unwrap();
    };
    bed.runtime.block_on(loading);
}

#[test]
fn loaded_rows_arrive_and_in_statement_format_stop_the_job_with_the_statement() {
    let bed = JobBed::streaming("load", &["t"]);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'there'), (2, 'there')",
        "CREATE DATABASE {}_out",
        "CREATE TABLE {}_out.m (id INT PRIMARY KEY, v TEXT) ENGINE = MyISAM",
    ]);
    let rows: String = (1..=20_000).map(|id| format!("{id}\tloaded {id}\n")).collect();
    let replaced = "LOAD DATA LOCAL INFILE 'rows' REPLACE INTO TABLE {}.t";
    load(&bed, "SET SESSION binlog_format = ROW", &rows, replaced);
    let ignored = "LOAD DATA LOCAL INFILE 'rows' IGNORE INTO TABLE {}.t FIELDS TERMINATED BY ';' (@id, @v) SET id = @id + 20000, v = UPPER(@v)";
    load(
        &bed,
        "SET SESSION binlog_format = ROW",
        "-1;not this\n1;ünd\n2;\\N\n",
        ignored,
    );
    bed.on_source(&[
        "INSERT INTO {}_out.m VALUES (1, 'of another engine')",
        "UPDATE {}_out.m SET v = 'x'",
        "BEGIN; INSERT INTO {}.t VALUES (30000, 'beside'); DELETE FROM {}.t WHERE id < 10; COMMIT",
        "DELETE FROM {}_out.m",
    ]);
    bed.await_equal(LIMIT);
    let elsewhere = "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {}_out.m (id)";
    load(&bed, "SET SESSION binlog_format = STATEMENT", "7\n8\n", elsewhere);
    bed.on_source(&["INSERT INTO {}.t VALUES (40000, 'behind')"]);
    bed.await_equal(LIMIT);
    let text = "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {}.t (id)";
    load(&bed, "SET SESSION binlog_format = STATEMENT", "50000\n", text);
    let failed: Value = until("the job is failed", LIMIT, || {
        let status = bed.status();
        (status["state"] == "failed").then_some(status)
    });
    let report = failed["errors"][0].to_string();
    assert!(
        report.contains("LOAD DATA LOCAL INFILE") && report.contains("statement format"),
        "{report}"
    );
    bed.on_source(&["DROP DATABASE {}_out"]);
}
