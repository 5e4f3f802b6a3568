//! Changes of definitions on two real servers: what is on the source is on the target, rows and definitions.
//!
//! One peer runs both tasks here; the kills are in `ddl_kills`.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use support::job_bed::JobBed;
use support::servers::{Server, servers};

/// For what takes a second or two on a quiet machine.
const LIMIT: Duration = Duration::from_secs(60);

/// `SHOW CREATE TABLE` without the counter of rows; None: no such table.
async fn definition(server: &Server, table: &str) -> Option<String> {
    let mut conn = server.conn().await;
    let found: Result<Option<(String, String)>, _> = conn.query_first(format!("SHOW CREATE TABLE {table}")).await;
    conn.disconnect().await.unwrap();
    let (_, text) = found.ok()??;
    Some(match text.split_once(" AUTO_INCREMENT=") {
        Some((before, rest)) => format!("{before}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => text,
    })
}

/// Waits until the tables have the same definitions and rows on both sides (or are on neither).
fn await_same(bed: &JobBed, tables: &[&str]) {
    let start = std::time::Instant::now();
    for table in tables {
        let name = bed.filled(&format!("{{}}.{table}"));
        loop {
            let (on_source, on_target) = bed.runtime.block_on(async {
                let target = &servers().target;
                (definition(&bed.source, &name).await, definition(target, &name).await)
            });
            let is_same =
                on_source == on_target && (on_source.is_none() || bed.runtime.block_on(bed.difference(table)).is_none());
            if is_same {
                break;
            }
            assert!(
                start.elapsed() < LIMIT,
                "{table} after {LIMIT:?}\nsource: {on_source:?}\ntarget: {on_target:?}\n{:#}",
                bed.status()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn p1_columns_and_indexes_change_while_rows_are_written() {
    let bed = JobBed::streaming("alter", &["t"]);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'one'), (2, 'two')",
        "ALTER TABLE {}.t ADD COLUMN n INT NOT NULL DEFAULT 7, ADD COLUMN first VARCHAR(20) FIRST",
        "INSERT INTO {}.t VALUES ('a', 3, 'three', 30)",
        "ALTER TABLE {}.t MODIFY COLUMN n BIGINT UNSIGNED NULL, RENAME COLUMN first TO beginning",
        "UPDATE {}.t SET n = 18446744073709551615 WHERE id = 1",
        "CREATE UNIQUE INDEX by_n ON {}.t (n, id)",
        "ALTER TABLE {}.t DROP COLUMN v, ADD COLUMN g INT AS (id * 2) STORED, COMMENT 'it''s'",
        "DELETE FROM {}.t WHERE id = 2",
        "INSERT INTO {}.t (beginning, id, n) VALUES (NULL, 9, 9)",
        "DROP INDEX by_n ON {}.t",
        "ALTER TABLE {}.t CONVERT TO CHARACTER SET latin1",
        "UPDATE {}.t SET beginning = 'é' WHERE id = 9",
    ]);
    await_same(&bed, &["t"]);
    let status = bed.await_status("caught up", |status| status["caught_up"] == true);
    assert_eq!(status["state"], "streaming");
    assert_eq!(status["errors"].as_array().map(Vec::len), Some(0), "{status:#}");
}

#[test]
fn p1_the_key_changes_and_rows_find_their_place_by_the_new_one() {
    let bed = JobBed::streaming("rekey", &["t"]);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'one'), (2, 'two')",
        "ALTER TABLE {}.t ADD COLUMN code CHAR(3) NOT NULL DEFAULT 'x', DROP PRIMARY KEY, ADD PRIMARY KEY (code, id)",
        "UPDATE {}.t SET code = 'y' WHERE id = 2",
        "INSERT INTO {}.t VALUES (2, 'two again', 'x')",
        "ALTER TABLE {}.t DROP PRIMARY KEY",
        "INSERT INTO {}.t VALUES (2, 'two again', 'x')",
        "DELETE FROM {}.t WHERE id = 2 LIMIT 1",
    ]);
    await_same(&bed, &["t"]);
}

#[test]
fn p1_a_column_filled_with_the_present_has_the_present_of_the_source() {
    let bed = JobBed::streaming("now", &["t"]);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'one')",
        "SET timestamp = 1000000000.125; ALTER TABLE {}.t ADD COLUMN at TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP(3)",
        "SET time_zone = '+05:30'; ALTER TABLE {}.t ADD COLUMN day DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6)",
        "INSERT INTO {}.t (id) VALUES (2)",
    ]);
    await_same(&bed, &["t"]);
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM {}.t WHERE id = 1 AND UNIX_TIMESTAMP(at) = 1000000000.125"),
        1
    );
}

#[test]
fn p1_a_statement_is_read_as_its_session_wrote_it() {
    let bed = JobBed::streaming("modes", &["t", "u"]);
    bed.on_source(&[
        "SET sql_mode = 'ANSI_QUOTES'; ALTER TABLE {}.\"t\" ADD COLUMN \"a\"\"b\" INT",
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; ALTER TABLE {}.t ADD COLUMN slash VARCHAR(9) DEFAULT 'a\\'",
        "/*!50000 ALTER */ TABLE {}.t -- {}.u\n ADD COLUMN c INT /* DROP COLUMN v */",
        "INSERT INTO {}.t VALUES (1, 'x', 2, DEFAULT, 4)",
    ]);
    let gbk = bed.filled("{}.t").into_bytes();
    let gbk = [
        b"ALTER TABLE ",
        &gbk[..],
        b" COMMENT '\xb0\x5c', ADD COLUMN `\xb0\x60` INT DEFAULT 5",
    ]
    .concat();
    bed.runtime.block_on(async {
        let mut conn = bed.source.conn().await;
        conn.query_drop("SET NAMES gbk").await.unwrap();
        conn.query_drop(gbk).await.unwrap();
        conn.disconnect().await.unwrap();
    });
    bed.on_source(&["INSERT INTO {}.t VALUES (2, 'y', 2, DEFAULT, 4, 6)"]);
    await_same(&bed, &["t", "u"]);
}

#[test]
fn p1_tables_of_the_job_go_come_back_and_are_emptied() {
    let bed = JobBed::streaming("life", &["t", "u"]);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'one')",
        "INSERT INTO {}.u VALUES (1, 'one')",
        "CREATE TABLE {}.other (id INT)",
        "TRUNCATE {}.t",
        "INSERT INTO {}.t VALUES (5, 'five')",
        "DROP TABLE {}.other, {}.u",
    ]);
    await_same(&bed, &["t", "u"]);
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}'"),
        1
    );
    bed.on_source(&[
        "CREATE TABLE {}.u (id INT AUTO_INCREMENT PRIMARY KEY, w VARCHAR(10) CHARACTER SET latin1) DEFAULT CHARSET=gbk",
        "INSERT INTO {}.u (w) VALUES ('a'), ('b')",
        "ALTER TABLE {}.u ADD COLUMN x INT DEFAULT 3",
        "INSERT INTO {}.u (w) VALUES ('c')",
    ]);
    await_same(&bed, &["t", "u"]);
    bed.on_source(&[
        "DROP TABLE {}.u",
        "CREATE TABLE {}.u AS SELECT id, v FROM {}.t",
        "INSERT INTO {}.u VALUES (6, 'six')",
        "DROP TABLE {}.t",
        "CREATE TABLE {}.t LIKE {}.u",
        "INSERT INTO {}.t VALUES (7, 'seven'), (7, 'seven')",
    ]);
    await_same(&bed, &["t", "u"]);
}

#[test]
fn p1_names_are_exchanged_and_ghost_tables_take_a_table_over() {
    let bed = JobBed::streaming("rename", &["t", "u"]);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'of t')",
        "INSERT INTO {}.u VALUES (2, 'of u')",
        "RENAME TABLE {}.t TO {}.tmp, {}.u TO {}.t, {}.tmp TO {}.u",
        "INSERT INTO {}.t VALUES (3, 'of u, called t')",
    ]);
    await_same(&bed, &["t", "u", "tmp"]);
    // As gh-ost and pt-online-schema-change do it: a copy with another definition takes the name.
    bed.on_source(&[
        "CREATE TABLE {}._t_gho LIKE {}.t",
        "ALTER TABLE {}._t_gho ADD COLUMN more INT DEFAULT 4, MODIFY v VARCHAR(100)",
        "INSERT INTO {}._t_gho (id, v) SELECT id, v FROM {}.t",
        "RENAME TABLE {}.t TO {}._t_del, {}._t_gho TO {}.t",
        "INSERT INTO {}.t VALUES (4, 'after the swap', 44)",
        "DROP TABLE {}._t_del",
        "ALTER TABLE {}.t ADD COLUMN last INT",
        "INSERT INTO {}.t VALUES (5, 'later', 5, 5)",
    ]);
    await_same(&bed, &["t", "u"]);
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}'"),
        2,
        "the tool's tables are not shipped"
    );
}

#[test]
fn p1_definitions_change_while_the_tables_are_copied() {
    let mut bed = JobBed::new("copying", &["t", "u", "k"]);
    bed.cluster.add("one", "dc1", &[]);
    for table in ["t", "u", "k"] {
        bed.on_source(&[
            &format!("INSERT INTO {{}}.{table} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('x', 300) FROM n"),
        ]);
    }
    for step in 1..14 {
        bed.on_source(&[&format!(
            "INSERT INTO {{}}.t SELECT id + {step} * 1000, CONCAT(SHA2(id + {step}, 512), SHA2(id * {step}, 512)) FROM {{}}.u"
        )]);
    }
    bed.job.extra = "[link]\nrate = \"400 KB/s\"\n".into();
    bed.submit();
    bed.await_status("rows are copied", |status| status["copy"]["rows"].as_u64() > Some(0));
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN n INT DEFAULT 3 FIRST",
        "UPDATE {}.t SET n = id WHERE id % 7 = 0",
        "ALTER TABLE {}.u DROP COLUMN v",
        "INSERT INTO {}.u VALUES (1000001)",
        "ALTER TABLE {}.t MODIFY id BIGINT, MODIFY v LONGTEXT",
        "DELETE FROM {}.t WHERE id % 5 = 0",
        "ALTER TABLE {}.k DROP PRIMARY KEY",
        "INSERT INTO {}.k VALUES (1, 'again')",
    ]);
    bed.await_status("the copy goes on", |status| {
        status["state"] == "copying" || status["state"] == "streaming"
    });
    await_same(&bed, &["u", "k", "t"]);
}

#[test]
fn p1_what_the_target_refuses_stops_the_job_and_is_passed_over_once_done_by_hand() {
    let bed = JobBed::streaming("refused", &["t"]);
    bed.on_target(&["ALTER TABLE {}.t ADD COLUMN c INT"]);
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN c INT, ADD COLUMN d INT",
        "INSERT INTO {}.t VALUES (1, 'x', 3, 4)",
    ]);
    let failed = bed.await_state("failed");
    let error = &failed["errors"][0];
    assert_eq!(error["code"], "PEER1321", "{failed:#}");
    let text = error["text"].as_str().unwrap();
    assert!(text.contains("ADD COLUMN d") && text.contains("1060"), "{text}");
    bed.on_target(&["ALTER TABLE {}.t ADD COLUMN d INT"]);
    bed.act("restart");
    await_same(&bed, &["t"]);
}

#[test]
fn p1_a_refused_statement_whose_way_was_only_cleared_is_run() {
    let bed = JobBed::streaming("cleared", &["t", "u"]);
    bed.on_target(&[
        "CREATE INDEX by_v ON {}.t (v(9))",
        "INSERT INTO {}.u VALUES (7, 'in the way'), (8, 'in the way')",
    ]);
    bed.on_source(&["CREATE INDEX by_v ON {}.t (v(5), id)", "INSERT INTO {}.t VALUES (1, 'x')"]);
    let failed = bed.await_state("failed");
    assert_eq!(failed["errors"][0]["code"], "PEER1321", "{failed:#}");
    bed.on_target(&["DROP INDEX by_v ON {}.t"]);
    bed.act("restart");
    await_same(&bed, &["t"]);
    bed.await_status("caught up", |status| {
        status["state"] == "streaming" && status["caught_up"] == true
    });
    // What only the rows stand in the way of is refused by the real table alone.
    bed.on_source(&[
        "ALTER TABLE {}.u ADD UNIQUE KEY one (v(20)), ADD COLUMN w INT",
        "INSERT INTO {}.u VALUES (1, 'x', 1)",
    ]);
    let failed = bed.await_state("failed");
    assert_eq!(failed["errors"][0]["code"], "PEER1321", "{failed:#}");
    // Whoever clears the way changes the definition too, to one that is neither.
    bed.on_target(&["DELETE FROM {}.u", "ALTER TABLE {}.u ADD KEY own (v(3))"]);
    bed.act("restart");
    bed.await_status("the row behind it", |_| bed.target_number("SELECT COUNT(*) FROM {}.u") == 1);
    bed.on_target(&["ALTER TABLE {}.u DROP KEY own"]);
    await_same(&bed, &["u"]);
}

#[test]
fn p1_tables_by_pattern_come_and_go_beside_a_renamed_one() {
    let mut bed = JobBed::new("patterns", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.p_1 (id INT PRIMARY KEY)",
        "CREATE TABLE {}.m (id INT PRIMARY KEY, v TEXT)",
        "INSERT INTO {}.m VALUES (1, 'x'), (2, 'y')",
    ]);
    let schema = bed.schema.base.clone();
    bed.job.extra = format!(
        "[[tables]]\nschema = \"{schema}\"\ntable = \"/p_.*/\"\n[[tables]]\nschema = \"{schema}\"\ntable = \"m\"\nto = {{ table = \"mapped\" }}\n"
    );
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&[
        "CREATE TABLE {}.p_2 (id INT PRIMARY KEY, v TEXT)",
        "INSERT INTO {}.p_2 VALUES (1, 'one')",
        "CREATE TABLE {}.other (id INT PRIMARY KEY)",
        "INSERT INTO {}.other VALUES (1)",
        "DROP TABLE {}.p_1",
        "RENAME TABLE {}.p_2 TO {}.p_3, {}.other TO {}.p_4",
        "INSERT INTO {}.p_3 VALUES (2, 'two')",
        "INSERT INTO {}.p_4 VALUES (2)",
        "ALTER TABLE {}.p_3 ADD COLUMN w INT, RENAME TO {}.p_5",
        "INSERT INTO {}.p_5 VALUES (3, 'three', 3)",
        "TRUNCATE {}.m",
        "INSERT INTO {}.m VALUES (3, 'z')",
    ]);
    await_same(&bed, &["p_1", "p_2", "p_3", "p_4", "p_5"]);
    bed.await_status("caught up", |status| status["caught_up"] == true);
    assert_eq!(bed.target_number("SELECT SUM(id) FROM {}.mapped"), 3);
}

#[test]
fn p1_a_change_waits_for_a_restart_and_a_skipped_one_leaves_the_target_alone() {
    let mut bed = JobBed::new("asked", &["t", "u"]);
    bed.job.sink = "on_ddl = { drop-column = \"pause\", truncate = \"skip\" }\n".into();
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&[
        "INSERT INTO {}.u VALUES (1, 'one')",
        "TRUNCATE {}.u",
        "INSERT INTO {}.u VALUES (2, 'two')",
        "ALTER TABLE {}.t ADD COLUMN w INT",
        "ALTER TABLE {}.t DROP COLUMN v",
        "INSERT INTO {}.t VALUES (1, 1)",
        "ALTER TABLE {}.t DROP COLUMN w",
        "INSERT INTO {}.t VALUES (2)",
    ]);
    for word in ["DROP COLUMN v", "DROP COLUMN w"] {
        let failed = bed.await_status(word, |status| {
            status["state"] == "failed" && status["errors"][0]["text"].as_str().is_some_and(|text| text.contains(word))
        });
        assert_eq!(failed["errors"][0]["code"], "PEER1322", "{failed:#}");
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = '{{}}' AND table_name = 't' AND column_name = '{}'",
            &word[12..]
        );
        assert_eq!(bed.target_number(&sql), 1, "nothing is done before it is asked for");
        bed.act("restart");
    }
    await_same(&bed, &["t"]);
    assert_eq!(bed.target_number("SELECT SUM(id) FROM {}.u"), 3, "the truncate was skipped");
}
