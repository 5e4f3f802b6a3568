//! Which tables and rows a job carries and under which names: choice, mapping and skipped kinds, with real peers and servers.
//!
//! Every story looks at rows that were there before, rows written while it streams, and rows written around a kill.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use support::job_bed::JobBed;
use support::servers::{Server, servers};
use support::wait::until;

const LIMIT: Duration = Duration::from_secs(20);

/// The rows of a query, one text each.
fn rows(bed: &JobBed, server: &Server, sql: &str) -> Result<Vec<String>, String> {
    let sql = bed.filled(sql);
    bed.runtime.block_on(async {
        let mut conn = server.conn().await;
        let found = conn.query::<String, _>(&sql).await.map_err(|error| error.to_string());
        conn.disconnect().await.unwrap();
        found
    })
}

fn on_target(bed: &JobBed, sql: &str) -> Result<Vec<String>, String> {
    rows(bed, &servers().target, sql)
}

/// Waits until the target answers so.
fn await_target(bed: &JobBed, sql: &str, expected: &[&str]) {
    let mut last = Ok(Vec::new());
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(sql, LIMIT, || {
            last = on_target(bed, sql);
            (last.as_deref() == Ok(&expected.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>()[..])).then_some(())
        });
    }));
    assert!(
        waited.is_ok(),
        "{sql}: expected {expected:?}, found {last:?}\n{:#}",
        bed.status()
    );
}

/// A bed with these statements run on the source and a job of this text behind its endpoints.
fn bed(word: &str, statements: &[&str], job: &str) -> JobBed {
    let mut bed = JobBed::new(word, &[]);
    bed.on_source(statements);
    bed.job.extra = bed.filled(job);
    bed.cluster.add("one", "dc1", &[]);
    bed
}

#[test]
fn patterns_excludes_columns_and_names_hold_in_copy_stream_and_after_a_kill() {
    let mut bed = bed(
        "mapped",
        &[
            "CREATE TABLE {}.orders_1 (id INT PRIMARY KEY, total DECIMAL(10,2), note TEXT, secret VARCHAR(20), \
             twice DECIMAL(12,2) AS (total * 2), KEY (secret), KEY t (total))",
            "CREATE TABLE {}.orders_2 LIKE {}.orders_1",
            "CREATE TABLE {}._tmp_1 (id INT PRIMARY KEY)",
            "CREATE TABLE {}.people (id INT PRIMARY KEY, name VARCHAR(40))",
            "INSERT INTO {}.orders_1 (id, total, note, secret) VALUES (1, 1.50, 'a', 'x'), (2, NULL, 'b', NULL)",
            "INSERT INTO {}.orders_2 (id, total) VALUES (7, 70)",
            "INSERT INTO {}.people VALUES (1, 'Ada')",
        ],
        "[[tables]]\nschema = \"{}\"\ntable = '/orders_(\\d+)/'\ncolumns = [\"total\", \"id\", \"twice\"]\n\
         to = { schema = \"{}_dr\", table = \"o_$1\", columns = { total = \"amount\" } }\n\
         [[tables]]\nschema = \"{}\"\n[[exclude]]\nschema = \"{}\"\ntable = \"/_tmp_.*/\"\n",
    );
    bed.submit();
    bed.await_state("streaming");
    let orders = "SELECT CONCAT_WS(' ', id, IFNULL(amount, '-'), IFNULL(twice, '-')) FROM {}_dr.o_1 ORDER BY id";
    await_target(&bed, orders, &["1 1.50 3.00", "2 - -"]);
    await_target(&bed, "SELECT CONCAT_WS(' ', id, amount) FROM {}_dr.o_2", &["7 70.00"]);
    await_target(&bed, "SELECT CONCAT_WS(' ', id, name) FROM {}.people", &["1 Ada"]);
    await_target(
        &bed,
        "SELECT CAST(CONCAT_WS('.', TABLE_SCHEMA, TABLE_NAME) AS CHAR) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA IN ('{}', '{}_dr') ORDER BY TABLE_SCHEMA, TABLE_NAME",
        &[&bed.filled("{}.people"), &bed.filled("{}_dr.o_1"), &bed.filled("{}_dr.o_2")],
    );
    await_target(
        &bed,
        "SELECT CAST(CONCAT_WS(' ', COLUMN_NAME, COLUMN_KEY) AS CHAR) FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = '{}_dr' AND TABLE_NAME = 'o_1' ORDER BY ORDINAL_POSITION",
        &["amount MUL", "id PRI", "twice "],
    );

    bed.on_source(&[
        "INSERT INTO {}.orders_1 (id, total, note) VALUES (3, 3, 'c')",
        "UPDATE {}.orders_1 SET note = 'only a column that does not travel' WHERE id = 1",
        "UPDATE {}.orders_1 SET total = 2.25 WHERE id = 2",
        "UPDATE {}.orders_1 SET id = 30 WHERE id = 3",
        "DELETE FROM {}.orders_2",
        "INSERT INTO {}._tmp_1 VALUES (1)",
    ]);
    await_target(&bed, orders, &["1 1.50 3.00", "2 2.25 4.50", "30 3.00 6.00"]);
    await_target(&bed, "SELECT CAST(COUNT(*) AS CHAR) FROM {}_dr.o_2", &["0"]);

    // A table that is made later is taken up when the stream comes to it, also after a kill.
    bed.cluster.kill_all();
    bed.on_source(&[
        "CREATE TABLE {}.orders_3 LIKE {}.orders_1",
        "INSERT INTO {}.orders_3 (id) VALUES (1)",
        "UPDATE {}.orders_1 SET total = total + 1",
        "INSERT INTO {}.people VALUES (2, 'Bob')",
    ]);
    bed.cluster.restart_all();
    await_target(&bed, orders, &["1 2.50 5.00", "2 3.25 6.50", "30 4.00 8.00"]);
    await_target(
        &bed,
        "SELECT CONCAT_WS(' ', id, name) FROM {}.people ORDER BY id",
        &["1 Ada", "2 Bob"],
    );
    await_target(
        &bed,
        "SELECT CONCAT_WS(' ', id, IFNULL(amount, '-')) FROM {}_dr.o_3",
        &["1 -"],
    );
}

#[test]
fn a_keyless_table_keeps_its_multiset_through_a_choice_of_columns() {
    let bed = bed(
        "bag",
        &[
            "CREATE TABLE {}.bag (a INT, b INT, c INT)",
            "INSERT INTO {}.bag VALUES (1, 1, 1), (1, 1, 2), (2, 2, 2)",
        ],
        "[[tables]]\nschema = \"{}\"\ntable = \"bag\"\ncolumns = [\"b\", \"a\"]\nto = { table = \"sack\" }\n",
    );
    bed.submit();
    bed.await_state("streaming");
    let sack = "SELECT CONCAT_WS(' ', b, a) FROM {}.sack ORDER BY a, b";
    await_target(&bed, sack, &["1 1", "1 1", "2 2"]);
    bed.on_source(&[
        "DELETE FROM {}.bag WHERE c = 1",
        "UPDATE {}.bag SET c = 9",
        "UPDATE {}.bag SET b = 5 WHERE a = 2",
        "INSERT INTO {}.bag VALUES (3, NULL, 3)",
    ]);
    await_target(&bed, sack, &["1 1", "5 2", "3"]);
}

#[test]
fn skipped_kinds_do_not_reach_the_target() {
    let bed = bed(
        "skips",
        &[
            "CREATE TABLE {}.log (id INT PRIMARY KEY, v TEXT)",
            "INSERT INTO {}.log VALUES (1, 'one'), (2, 'two')",
        ],
        "[[tables]]\nschema = \"{}\"\ntable = \"log\"\n[filter]\nskip = [\"dml.delete\"]\n",
    );
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&[
        "DELETE FROM {}.log WHERE id = 1",
        "UPDATE {}.log SET v = 'zwei' WHERE id = 2",
        "INSERT INTO {}.log VALUES (3, 'three')",
    ]);
    let log = "SELECT CONCAT_WS(' ', id, v) FROM {}.log ORDER BY id";
    await_target(&bed, log, &["1 one", "2 zwei", "3 three"]);
    let status = bed.await_status("all is applied", |status| status["caught_up"] == true);
    assert_eq!(status["state"], "streaming", "{status:#}");
}

#[test]
fn a_choice_that_cannot_be_is_refused_with_all_its_faults_and_leaves_nothing() {
    let bed = bed(
        "refused",
        &[
            "CREATE TABLE {}.a (id INT PRIMARY KEY, v INT)",
            "CREATE TABLE {}.b (id INT PRIMARY KEY, v INT)",
        ],
        "[[tables]]\nschema = \"{}\"\ntable = \"a\"\ncolumns = [\"v\", \"w\"]\n\
         [[tables]]\nschema = \"{}\"\ntable = \"b\"\ncolumns = [\"v\"]\n",
    );
    bed.submit_unchecked();
    let status = bed.await_state("failed");
    let text = status["errors"][0]["text"].to_string();
    for word in ["no column `w`", "without `id`"] {
        assert!(text.contains(word), "it does not say {word}: {status:#}");
    }
    let meta = bed.schema.meta.clone();
    let schemas =
        format!("SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME IN ('{{}}', '{meta}')");
    assert_eq!(on_target(&bed, &schemas).as_deref(), Ok(&["0".to_owned()][..]));
}

#[test]
fn two_sources_for_one_target_are_refused_by_name() {
    let bed = bed(
        "clash",
        &[
            "CREATE TABLE {}.a (id INT PRIMARY KEY)",
            "CREATE TABLE {}.b (id INT PRIMARY KEY)",
        ],
        "[[tables]]\nschema = \"{}\"\nto = { table = \"all_in_one\" }\n[[tables]]\nschema = \"{}\"\ntable = \"/x.*/\"\n",
    );
    bed.submit_unchecked();
    let status = bed.await_state("failed");
    let text = status["errors"][0]["text"].to_string();
    for word in [bed.filled("{}.a and {}.b"), bed.filled("{}./x.*/")] {
        assert!(text.contains(&word), "it does not say {word}: {status:#}");
    }
}

#[test]
fn without_tables_every_table_is_carried_but_the_servers_and_peers_own() {
    let mut bed = JobBed::with_own_source("whole", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.a (id INT PRIMARY KEY, v TEXT)",
        "INSERT INTO {}.a VALUES (1, 'one')",
        "CREATE DATABASE {}_two",
        "CREATE TABLE {}_two.b (id INT PRIMARY KEY)",
        "CREATE DATABASE {}_chain",
        "CREATE TABLE {}_chain.fence (id INT PRIMARY KEY) COMMENT 'peer-meta v1'",
        "CREATE TABLE {}_chain.progress (id INT PRIMARY KEY)",
    ]);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&["INSERT INTO {}_two.b VALUES (5)"]);
    await_target(&bed, "SELECT CONCAT_WS(' ', id, v) FROM {}.a", &["1 one"]);
    await_target(&bed, "SELECT CAST(id AS CHAR) FROM {}_two.b", &["5"]);
    let chain = on_target(&bed, "SELECT CAST(COUNT(*) AS CHAR) FROM {}_chain.progress");
    assert!(chain.is_err(), "peer's own tables of another job were carried: {chain:?}");
    bed.on_target(&["DROP DATABASE {}_two"]);
}

#[test]
fn a_plan_shows_the_tables_of_the_source_with_their_way() {
    let bed = bed(
        "planned",
        &[
            "CREATE TABLE {}.orders_1 (id INT PRIMARY KEY, total INT)",
            "CREATE TABLE {}.people (id INT PRIMARY KEY)",
        ],
        "[[tables]]\nschema = \"{}\"\ntable = '/orders_(\\d+)/'\ncolumns = [\"id\", \"total\"]\n\
         to = { table = \"o_$1\", columns = { total = \"amount\" } }\n[[tables]]\nschema = \"{}\"\n",
    );
    let plan = bed.cluster.any().json(&["plan", &bed.file()]).unwrap();
    let column = |source: &str, target: &str| serde_json::json!({ "source": source, "target": target });
    let expected = serde_json::json!([
        { "source": bed.filled("{}.orders_1"), "target": bed.filled("{}.o_1"),
          "columns": [column("id", "id"), column("total", "amount")], "where": null },
        { "source": bed.filled("{}.people"), "target": bed.filled("{}.people"), "columns": [], "where": null },
    ]);
    assert_eq!((&plan["tables"], &plan["tables_faults"]), (&expected, &serde_json::json!([])));
    bed.on_source(&["DROP TABLE {}.people", "DROP TABLE {}.orders_1"]);
    let plan = bed.cluster.any().json(&["plan", &bed.file()]).unwrap();
    assert!(plan["tables"].is_null(), "{plan:#}");
    assert_eq!(plan["tables_faults"].as_array().unwrap().len(), 2, "{plan:#}");
}
