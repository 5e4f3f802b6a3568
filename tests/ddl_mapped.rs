//! Changes of definitions of tables that are not on the target as on the source: other names, columns, rows, kinds.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use serde_json::Value;
use support::job_bed::JobBed;
use support::servers::{Server, servers};

/// For what takes a second or two on a quiet machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A job with these rules, streaming, after these statements on the source.
fn streaming(word: &str, statements: &[&str], rules: &str) -> JobBed {
    let mut bed = JobBed::new(word, &[]);
    bed.on_source(statements);
    bed.job.extra = bed.filled(rules);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed
}

/// The first column of all rows; None: the server refused it, as while definitions differ.
fn lines(bed: &JobBed, server: &Server, sql: &str) -> Option<Vec<String>> {
    let sql = bed.filled(sql);
    bed.runtime.block_on(async {
        let mut conn = server.conn().await;
        let found: Result<Vec<Option<String>>, _> = conn.query(&sql).await;
        conn.disconnect().await.unwrap();
        let found = found.ok()?;
        Some(found.into_iter().map(|line| line.unwrap_or_else(|| "NULL".into())).collect())
    })
}

/// Waits until both queries give the same rows.
fn await_rows(bed: &JobBed, on_source: &str, on_target: &str) {
    let start = Instant::now();
    loop {
        let source = lines(bed, &bed.source, on_source).unwrap_or_else(|| panic!("{on_source}"));
        let target = lines(bed, &servers().target, on_target);
        if target.as_ref() == Some(&source) {
            return;
        }
        assert!(
            start.elapsed() < LIMIT,
            "after {LIMIT:?}\nsource: {source:?}\ntarget: {target:?}\n{:#}",
            bed.status()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// `SHOW CREATE TABLE` without the name, each line for itself, indexes in any order.
fn definition(bed: &JobBed, server: &Server, table: &str) -> Vec<String> {
    let sql = bed.filled(&format!("SHOW CREATE TABLE {table}"));
    let text = bed.runtime.block_on(async {
        let mut conn = server.conn().await;
        let found: Option<(String, String)> = conn.query_first(&sql).await.unwrap();
        conn.disconnect().await.unwrap();
        found.unwrap().1
    });
    let mut lines: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| line.trim_end_matches(',').to_owned())
        .collect();
    lines.sort();
    lines
}

/// Waits until the target's table has these lines.
fn await_definition(bed: &JobBed, table: &str, mut expected: Vec<String>) {
    expected.sort();
    let start = Instant::now();
    loop {
        let found = definition(bed, &servers().target, table);
        if found == expected {
            return;
        }
        assert!(
            start.elapsed() < LIMIT,
            "after {LIMIT:?}\nfound: {found:#?}\nexpected: {expected:#?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn same_definition(bed: &JobBed, on_source: &str, on_target: &str) {
    await_definition(bed, on_target, definition(bed, &bed.source, on_source));
}

fn await_failed(bed: &JobBed, word: &str) -> Value {
    let failed = bed.await_state("failed");
    let error = &failed["errors"][0];
    assert_eq!(error["code"], "PEER1318", "{failed:#}");
    let text = error["text"].as_str().unwrap();
    assert!(text.contains(word), "{word}: {text}");
    failed
}

const TABLE: &str = "CREATE TABLE {}.t (id INT PRIMARY KEY, v VARCHAR(20), n INT DEFAULT 5, KEY by_v (v))";

#[test]
fn p1_a_table_with_another_name_changes_as_on_the_source() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"t\"\nto = { schema = \"{}_dr\", table = \"other\" }\n";
    let bed = streaming(
        "named",
        &[TABLE, "INSERT INTO {}.t VALUES (1, 'one', 1), (2, 'two', 2)"],
        rules,
    );
    bed.on_source(&[
        "SET timestamp = 1000000000; ALTER TABLE {}.t ADD COLUMN at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, ADD first INT FIRST",
        "INSERT INTO {}.t VALUES (1, 3, 'three', 3, '2020-01-01 00:00:00')",
        "USE {}; ALTER TABLE t MODIFY v TEXT CHARACTER SET latin1, RENAME COLUMN n TO m, DROP INDEX by_v",
        "UPDATE {}.t SET v = 'é', m = 7 WHERE id = 1",
        "CREATE UNIQUE INDEX by_m ON {}.t (m, id)",
        "ALTER TABLE {}.t DROP COLUMN m, ADD COLUMN m VARCHAR(9) NOT NULL DEFAULT 'new' AFTER id",
        "INSERT INTO {}.t (id, v) VALUES (4, 'four')",
        "ALTER TABLE {}.t ADD CHECK (id > 0), ADD CONSTRAINT up FOREIGN KEY (first) REFERENCES t (id), COMMENT 'it''s', STATS_PERSISTENT=1",
        "ALTER TABLE {}.t ADD g INT AS (id * 2) STORED, MODIFY first INT AFTER v, ALTER COLUMN m SET DEFAULT 'x'",
        "SET sql_mode = 'ANSI_QUOTES'; ALTER TABLE \"{}\".\"t\" ADD \"a\"\"b\" VARCHAR(9) DEFAULT 'c''d\\\\e'",
        "DELETE FROM {}.t WHERE id = 2",
        "INSERT INTO {}.t (id, v) VALUES (5, 'five')",
        "DROP INDEX by_m ON {}.t",
    ]);
    let all = "SELECT CONCAT_WS('|', id, m, v, first, at, g, `a\"b`) FROM";
    await_rows(
        &bed,
        &format!("{all} {{}}.t ORDER BY id"),
        &format!("{all} {{}}_dr.other ORDER BY id"),
    );
    let source = definition(&bed, &bed.source, "{}.t").into_iter();
    let without_parent = source.filter(|line| !line.contains("FOREIGN KEY"));
    await_definition(
        &bed,
        "{}_dr.other",
        without_parent.map(|line| line.replace("`t_chk", "`other_chk")).collect(),
    );
    bed.on_source(&[
        "ALTER TABLE {}.t DROP CHECK t_chk_1, CONVERT TO CHARACTER SET latin1, DROP COLUMN `a\"b`",
        "TRUNCATE {}.t",
    ]);
    await_rows(&bed, "SELECT 1 FROM {}.t", "SELECT 1 FROM {}_dr.other");
    bed.on_source(&["INSERT INTO {}.t (id, v) VALUES (9, 'é')"]);
    let all = "SELECT CONCAT_WS('|', id, m, v, first, g) FROM";
    await_rows(
        &bed,
        &format!("{all} {{}}.t ORDER BY id"),
        &format!("{all} {{}}_dr.other ORDER BY id"),
    );
    let shadows =
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}_meta_shape' AND table_name <> 'peer_meta_mark'";
    assert_eq!(bed.target_number(shadows), 0);
}

#[test]
fn p1_of_a_table_with_chosen_columns_only_those_change() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"t\"\ncolumns = [\"v\", \"id\"]\nto = { table = \"few\", columns = { v = \"w\" } }\n";
    let bed = streaming(
        "chosen",
        &[TABLE, "INSERT INTO {}.t VALUES (1, 'one', 1), (2, 'two', 2)"],
        rules,
    );
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN x INT DEFAULT 3 FIRST, DROP COLUMN n",
        "INSERT INTO {}.t VALUES (3, 3, 'three')",
        "ALTER TABLE {}.t MODIFY v VARCHAR(200) NOT NULL DEFAULT 'w' FIRST, MODIFY id BIGINT, ADD INDEX by_x (x), ADD INDEX by_id (id, v)",
        "UPDATE {}.t SET x = 4 WHERE id = 3",
        "INSERT INTO {}.t (id, x, v) VALUES (8000000000, 3, REPEAT('v', 150))",
        "DROP INDEX by_v ON {}.t",
    ]);
    await_rows(
        &bed,
        "SELECT CONCAT_WS('|', id, v) FROM {}.t ORDER BY id",
        "SELECT CONCAT_WS('|', id, w) FROM {}.few ORDER BY id",
    );
    let expected = [
        ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci",
        "  KEY `by_id` (`id`,`w`)",
        "  PRIMARY KEY (`id`)",
        "  `id` bigint NOT NULL",
        "  `w` varchar(200) NOT NULL DEFAULT 'w'",
    ];
    let expected = Vec::from(expected.map(str::to_owned));
    await_definition(&bed, "{}.few", expected.clone());
    bed.on_source(&["ALTER TABLE {}.t DROP COLUMN v"]);
    let failed = await_failed(&bed, "no column `v`");
    assert!(
        failed["errors"][0]["text"].as_str().unwrap().contains("DROP COLUMN v"),
        "{failed:#}"
    );
    await_definition(&bed, "{}.few", expected);
}

#[test]
fn p1_a_table_with_a_filter_changes_and_keeps_it() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"t\"\nwhere = \"n < 10\"\n";
    let rows = "INSERT INTO {}.t VALUES (1, 'one', 1), (2, 'two', 20), (3, 'three', 3)";
    let bed = streaming("filtered", &[TABLE, rows], rules);
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN x INT NOT NULL DEFAULT 3 FIRST, MODIFY n BIGINT",
        "INSERT INTO {}.t VALUES (1, 4, 'four', 4), (1, 5, 'five', 50)",
        "UPDATE {}.t SET n = 9 WHERE id = 2",
        "UPDATE {}.t SET n = 90 WHERE id = 1",
        "CREATE INDEX by_n ON {}.t (n)",
    ]);
    let all = "SELECT CONCAT_WS('|', x, id, v, n) FROM {}.t WHERE n < 10 ORDER BY id";
    await_rows(&bed, all, "SELECT CONCAT_WS('|', x, id, v, n) FROM {}.t ORDER BY id");
    same_definition(&bed, "{}.t", "{}.t");
    bed.on_source(&["ALTER TABLE {}.t DROP COLUMN n"]);
    await_failed(&bed, "where of table");
}

#[test]
fn p1_partitions_of_a_mapped_table_come_and_go_with_their_rows() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"p\"\nto = { table = \"q\", columns = { v = \"w\" } }\n";
    let table = "CREATE TABLE {}.p (id INT PRIMARY KEY, v TEXT) PARTITION BY RANGE (id) \
                 (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20), PARTITION c VALUES LESS THAN (30))";
    let bed = streaming(
        "parts",
        &[table, "INSERT INTO {}.p VALUES (1, 'a'), (11, 'b'), (21, 'c')"],
        rules,
    );
    bed.on_source(&[
        "ALTER TABLE {}.p DROP PARTITION a",
        "ALTER TABLE {}.p TRUNCATE PARTITION b",
        "ALTER TABLE {}.p ADD PARTITION (PARTITION d VALUES LESS THAN (40))",
        "INSERT INTO {}.p VALUES (12, 'b'), (31, 'd')",
        "ALTER TABLE {}.p REORGANIZE PARTITION c, d INTO (PARTITION e VALUES LESS THAN (50))",
        "INSERT INTO {}.p VALUES (41, 'e')",
    ]);
    let rows = |table: &str, column: &str| format!("SELECT CONCAT_WS('|', id, {column}) FROM {{}}.{table} ORDER BY id");
    await_rows(&bed, &rows("p", "v"), &rows("q", "w"));
    let parts = |table: &str| {
        format!(
            "SELECT partition_name FROM information_schema.partitions WHERE table_schema = '{{}}' AND table_name = '{table}' ORDER BY 1"
        )
    };
    await_rows(&bed, &parts("p"), &parts("q"));
    bed.on_source(&[
        "ALTER TABLE {}.p ADD x INT REMOVE PARTITIONING",
        "INSERT INTO {}.p VALUES (51, 'f', 1)",
    ]);
    await_rows(&bed, &rows("p", "v"), &rows("q", "w"));
    await_rows(&bed, &parts("p"), &parts("q"));
}

#[test]
fn p1_mapped_tables_change_names_within_and_out_of_the_job() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = '/m_(.*)/'\nto = { schema = \"{}_dr\", table = \"o_$1\" }\n\
                 [[tables]]\nschema = \"{}\"\ntable = \"few\"\ncolumns = [\"id\"]\n";
    let make = |table: &str| format!("CREATE TABLE {{}}.{table} (id INT PRIMARY KEY, v TEXT, CHECK (id > 0))");
    let tables = ["m_1", "m_2", "m_3", "few"].map(make);
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let bed = streaming("renamed", &tables, rules);
    bed.on_source(&[
        "INSERT INTO {}.m_1 VALUES (1, 'of 1')",
        "INSERT INTO {}.m_2 VALUES (2, 'of 2')",
        "INSERT INTO {}.m_3 VALUES (3, 'of 3')",
        "RENAME TABLE {}.m_1 TO {}.tmp, {}.m_2 TO {}.m_1, {}.tmp TO {}.m_2",
        "INSERT INTO {}.m_1 VALUES (4, 'of 2, called 1')",
        "ALTER TABLE {}.m_2 ADD x INT DEFAULT 3",
        "RENAME TABLE {}.m_3 TO {}.gone, {}.few TO {}.m_3",
        "INSERT INTO {}.m_3 VALUES (5, 'of few')",
        "INSERT INTO {}.gone VALUES (6, 'not followed')",
        "INSERT INTO {}.m_2 VALUES (7, 'seven', 7)",
    ]);
    for (source, target, columns) in [
        ("m_1", "{}_dr.o_1", "id, v"),
        ("m_2", "{}_dr.o_2", "id, v, x"),
        ("m_3", "{}_dr.o_3", "id, v"),
    ] {
        let rows = |table: &str| format!("SELECT CONCAT_WS('|', {columns}) FROM {table} ORDER BY id");
        await_rows(&bed, &rows(&format!("{{}}.{source}")), &rows(target));
    }
    assert_eq!(
        bed.target_number("SELECT SUM(id) FROM {}_dr.gone"),
        3,
        "it left the job with what it had"
    );
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}'"),
        0
    );
}

#[test]
fn p1_a_table_of_which_kinds_are_skipped_changes() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"t\"\n[filter]\nskip = [\"dml.delete\"]\n";
    let bed = streaming(
        "kept",
        &[TABLE, "INSERT INTO {}.t VALUES (1, 'one', 1), (2, 'two', 2)"],
        rules,
    );
    bed.on_source(&[
        "DELETE FROM {}.t WHERE id = 1",
        "ALTER TABLE {}.t ADD COLUMN x INT DEFAULT 3, ADD UNIQUE KEY (n)",
        "INSERT INTO {}.t VALUES (3, 'three', 3, 3)",
    ]);
    let rows = "SELECT CONCAT_WS('|', id, v, n, x) FROM {}.t ORDER BY id";
    await_rows(&bed, &format!("SELECT '1|one|1|3' UNION ALL ({rows})"), rows);
    same_definition(&bed, "{}.t", "{}.t");
}

#[test]
fn p1_skipped_changes_leave_the_target_and_rows_go_on_with_what_both_have() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = '/t.*/'\n[filter]\nskip = [\"ddl.alter-table\", \"ddl.create-index\", \"ddl.create-table\"]\n";
    let bed = streaming(
        "skipped",
        &[TABLE, "INSERT INTO {}.t VALUES (1, 'one', 1), (2, 'two', 2)"],
        rules,
    );
    let before = definition(&bed, &servers().target, "{}.t");
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN x INT DEFAULT 3 FIRST, ADD INDEX (x)",
        "INSERT INTO {}.t VALUES (1, 3, 'three', 3)",
        "UPDATE {}.t SET x = 9 WHERE id = 3",
        "ALTER TABLE {}.t DROP COLUMN n, ADD y TEXT AFTER id, COMMENT 'new'",
        "INSERT INTO {}.t VALUES (1, 4, 'four', 'v4')",
        "CREATE INDEX by_y ON {}.t (y(9))",
        "DROP INDEX by_y ON {}.t",
        "UPDATE {}.t SET v = 'v1' WHERE id = 1",
        "CREATE TABLE {}.t_2 (id INT PRIMARY KEY)",
        "INSERT INTO {}.t_2 VALUES (1)",
        "DELETE FROM {}.t WHERE id = 2",
    ]);
    await_rows(
        &bed,
        "SELECT '1|v1|1' UNION ALL SELECT '3|three|3' UNION ALL SELECT '4|v4|5'",
        "SELECT CONCAT_WS('|', id, v, n) FROM {}.t ORDER BY id",
    );
    await_definition(&bed, "{}.t", before);
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}'"),
        1
    );
    bed.on_source(&["ALTER TABLE {}.t MODIFY v VARCHAR(300)"]);
    await_failed(&bed, "values of column `v` have another form");
}

#[test]
fn p1_a_column_that_was_skipped_stays_away_when_the_next_change_is_carried_out() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"t\"\nto = { table = \"u\" }\n";
    let mut bed = JobBed::new("later", &[]);
    bed.on_source(&[TABLE, "INSERT INTO {}.t VALUES (1, 'one', 1)"]);
    bed.job.sink = "on_ddl = { alter-table = \"skip\", drop-column = \"apply\" }\n".into();
    bed.job.extra = bed.filled(rules);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN x INT DEFAULT 3",
        "ALTER TABLE {}.t DROP COLUMN n, ADD COLUMN y INT DEFAULT 4",
        "INSERT INTO {}.t VALUES (2, 'two', 5, 6)",
    ]);
    await_rows(
        &bed,
        "SELECT CONCAT_WS('|', id, v, y) FROM {}.t ORDER BY id",
        "SELECT CONCAT_WS('|', id, v, y) FROM {}.u ORDER BY id",
    );
    let columns = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = '{}' AND table_name = 'u'";
    assert_eq!(bed.target_number(columns), 3, "x was skipped, n went");
}

#[test]
fn p1_tables_that_become_one_move_rows_between_them_and_change_together() {
    let make = |table: &str| format!("CREATE TABLE {{}}.{table} (id INT PRIMARY KEY, v TEXT)");
    let rules = "[[tables]]\nschema = \"{}\"\ntable = '/live|old/'\nto = { table = \"every\" }\nmerge = true\n";
    let rows = "INSERT INTO {}.live VALUES (1, 'one'), (2, 'two'), (3, 'three')";
    let bed = streaming(
        "merged",
        &[&make("live"), &make("old"), rows, "INSERT INTO {}.old VALUES (9, 'nine')"],
        rules,
    );
    bed.on_source(&[
        "BEGIN; DELETE FROM {}.old WHERE id = 9; INSERT INTO {}.live VALUES (9, 'moved'); COMMIT",
        "BEGIN; DELETE FROM {}.live WHERE id = 1; INSERT INTO {}.old VALUES (1, 'one, old'); COMMIT",
        "BEGIN; DELETE FROM {}.live WHERE id = 2; INSERT INTO {}.old VALUES (2, 'x'); DELETE FROM {}.old; INSERT INTO {}.live VALUES (2, 'back'); COMMIT",
        "ALTER TABLE {}.live ADD x INT DEFAULT 7",
        "INSERT INTO {}.old VALUES (4, 'between')",
        "ALTER TABLE {}.old ADD x INT DEFAULT 7",
        "INSERT INTO {}.old VALUES (5, 'five', 8)",
        "UPDATE {}.live SET x = 1 WHERE id = 3",
    ]);
    await_rows(
        &bed,
        "SELECT CONCAT_WS('|', id, v, x) FROM (SELECT * FROM {}.live UNION ALL SELECT * FROM {}.old) every ORDER BY id",
        "SELECT CONCAT_WS('|', id, v, x) FROM {}.every ORDER BY id",
    );
    bed.on_source(&["TRUNCATE {}.old"]);
    await_failed(&bed, "live of this job goes into");
    assert_eq!(bed.target_number("SELECT COUNT(*) FROM {}.every"), 5, "nothing is lost");
}

#[test]
fn p1_a_second_job_goes_into_a_table_only_when_told_or_apart() {
    let mut bed = JobBed::new("shared", &[]);
    let make = |table: &str| format!("CREATE TABLE {{}}.{table} (id INT PRIMARY KEY, v TEXT)");
    bed.on_source(&[&make("a"), &make("b"), &make("c"), &make("d")]);
    bed.on_source(&[
        "INSERT INTO {}.a VALUES (1, 'a'), (11, 'a')",
        "INSERT INTO {}.b VALUES (2, 'b'), (12, 'b')",
        "INSERT INTO {}.c VALUES (3, 'c'), (13, 'c')",
    ]);
    bed.cluster.add("one", "dc1", &[]);
    let rule = |table: &str, more: &str| {
        format!("[[tables]]\nschema = \"{{}}\"\ntable = \"{table}\"\nto = {{ table = \"every\" }}\n{more}\n")
    };
    for (name, table, more, state) in [
        ("first", "a", "where = \"id < 10\"", "streaming"),
        ("apart", "b", "where = \"id >= 10\"", "streaming"),
        ("both", "c", "", "refused"),
        ("told", "c", "merge = true", "streaming"),
    ] {
        bed.job.name = name.into();
        bed.job.extra = bed.filled(&rule(table, more));
        let submitted = bed.cluster.any().json(&["submit", &bed.file()]);
        match state {
            "refused" => {
                let found = bed.filled("job first writes {}.every, from {}.a");
                let told = submitted.expect_err("refused").to_string();
                assert!(told.contains("PEER1826") && told.contains(&found), "{told}");
                let plan = bed.cluster.any().cli(&["plan", &bed.file(), "--json"]);
                let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
                let told = plan["faults"][0]["found"].as_str().unwrap_or_default();
                assert!(plan["result"] == "refused" && told.contains(&found), "{plan:#}");
            }
            state => {
                submitted.unwrap_or_else(|talk| panic!("{name}: {talk}"));
                bed.await_state(state);
            }
        }
    }
    await_rows(
        &bed,
        "SELECT CONCAT_WS('|', id, v) FROM (SELECT * FROM {}.a WHERE id < 10 UNION ALL SELECT * FROM {}.b WHERE id >= 10 UNION ALL SELECT * FROM {}.c) every ORDER BY id",
        "SELECT CONCAT_WS('|', id, v) FROM {}.every ORDER BY id",
    );
}

#[test]
fn p1_a_table_that_is_called_fence_on_the_target_changes_like_any_other() {
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"t\"\nto = { table = \"fence\", columns = { v = \"w\" } }\n";
    let bed = streaming("fence", &[TABLE, "INSERT INTO {}.t VALUES (1, 'one', 1)"], rules);
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN c INT DEFAULT 3, ADD CHECK (c > 0), DROP INDEX by_v",
        "INSERT INTO {}.t VALUES (2, 'two', 2, 4)",
        "ALTER TABLE {}.t DROP CHECK t_chk_1",
    ]);
    let rows = |column: &str| format!("SELECT CONCAT_WS('|', id, {column}, n, c) FROM {{}}");
    await_rows(
        &bed,
        &format!("{}.t ORDER BY id", rows("v")),
        &format!("{}.fence ORDER BY id", rows("w")),
    );
    let expected = definition(&bed, &bed.source, "{}.t");
    await_definition(
        &bed,
        "{}.fence",
        expected.iter().map(|line| line.replace("`v`", "`w`")).collect(),
    );
}
