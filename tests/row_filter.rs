//! `where` on real servers: the same rows in copy and stream, and the evaluator against the server as its oracle.
//!
//! The walk-through "one source split over two targets" of docs/walk-throughs.md is a story here.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use peer::core::change::Row;
use peer::core::row_filter::RowFilter;
use peer::core::shape::{ShapeId, TableName, TableShape};
use peer::mysql::session::Session;
use peer::mysql::source::canonical::SESSION_SETTINGS;
use peer::mysql::source::chunk_reader::{ChunkReader, Range, ReadOutcome};
use peer::mysql::source::filter_oracle::{FilterOracle, Question};
use peer::mysql::source::inspect;
use support::guard;
use support::job_bed::JobBed;
use support::schema::TestSchema;
use support::servers::{self, Server, servers};
use support::target::database;
use support::wait::until;

const LIMIT: Duration = Duration::from_secs(20);

fn submit(bed: &JobBed, name: &str, target: &Server, start: &str, filter: &str) {
    submit_with(bed, name, target, start, filter, &[]);
}

fn submit_with(bed: &JobBed, name: &str, target: &Server, start: &str, filter: &str, flags: &[&str]) {
    let (base, meta) = (&bed.schema.base, &bed.schema.meta);
    let end = |port: u16| format!("host = \"127.0.0.1\"\nport = {port}\nuser = \"root\"\npassword = \"\"\n");
    let job = format!(
        "name = \"{name}\"\n[source]\n{}start = {start}\n[sink]\n{}meta_schema = \"{meta}\"\n\
         [[tables]]\nschema = \"{base}\"\ntable = \"t\"\nwhere = \"{filter}\"\n",
        end(bed.source.port),
        end(target.port)
    );
    let path = guard::folder().join(format!("{base}-{name}.toml"));
    std::fs::write(&path, job).unwrap();
    bed.cluster
        .any()
        .json(&[&["submit", path.to_str().unwrap()], flags].concat())
        .unwrap_or_else(|talk| panic!("{talk}"));
}

fn await_state(bed: &JobBed, name: &str, state: &str) -> String {
    let mut last = String::new();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(&format!("{name} is {state}"), LIMIT, || {
            let status = bed.cluster.any().json(&["status", name]).ok()?;
            last = status.to_string();
            (status["state"] == state).then_some(())
        });
    }));
    assert!(waited.is_ok(), "{name} is not {state}: {last}");
    last
}

const ROWS: &str = "SELECT IFNULL(GROUP_CONCAT(CONCAT(id, v) ORDER BY id), '') FROM {}.t";

fn await_rows(bed: &JobBed, server: &Server, expected: &str) {
    let mut last = String::new();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("the rows are there", LIMIT, || {
            last = bed.text(server, ROWS);
            (last == expected).then_some(())
        });
    }));
    assert!(waited.is_ok(), "expected {expected}, found {last}");
}

#[test]
fn one_source_is_split_over_two_targets_and_an_update_moves_a_row_across_the_border() {
    let mut bed = JobBed::new("split", &[]);
    let (low, high) = (servers().target, servers::start("second-target", &[]));
    bed.on_source(&["CREATE TABLE {}.t (id INT PRIMARY KEY, v VARCHAR(20))"]);
    let begin = bed.text(&bed.source, "SELECT @@GLOBAL.gtid_executed").replace('\n', "");
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'a'), (9, 'b'), (10, 'c'), (11, 'd')"]);
    bed.cluster.add("one", "dc1", &[]);
    let start = format!("{{ gtid = \"{begin}\" }}");
    submit(&bed, "low", &low, &start, "id < 10");
    submit(&bed, "high", &high, &start, "id >= 10");
    await_state(&bed, "low", "streaming");
    await_state(&bed, "high", "streaming");
    await_rows(&bed, &low, "1a,9b");
    await_rows(&bed, &high, "10c,11d");
    bed.on_source(&[
        "UPDATE {}.t SET id = 20 WHERE id = 9",
        "UPDATE {}.t SET id = 2, v = 'D' WHERE id = 11",
        "UPDATE {}.t SET v = 'A' WHERE id = 1",
        "DELETE FROM {}.t WHERE id = 10",
    ]);
    await_rows(&bed, &low, "1A,2D");
    await_rows(&bed, &high, "20b");
    bed.cluster.kill_all();
    bed.on_source(&["UPDATE {}.t SET id = 30 - id", "INSERT INTO {}.t VALUES (3, 'e'), (40, 'f')"]);
    bed.cluster.restart_all();
    await_rows(&bed, &low, "3e");
    await_rows(&bed, &high, "10b,28D,29A,40f");
}

#[test]
fn copy_and_stream_agree_on_texts_that_only_the_server_can_compare() {
    let mut bed = JobBed::new("texts", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.t (id INT PRIMARY KEY, v VARCHAR(20))",
        "INSERT INTO {}.t VALUES (1, 'äpfel'), (2, 'APFEL'), (3, 'birne'), (4, NULL), (5, 'Äpfel ')",
    ]);
    bed.cluster.add("one", "dc1", &[]);
    submit(
        &bed,
        "texts",
        &servers().target,
        "\"snapshot\"",
        "v = 'Apfel' OR UPPER(v) LIKE '%Ü%'",
    );
    await_state(&bed, "texts", "streaming");
    await_rows(&bed, &servers().target, "1äpfel,2APFEL");
    bed.on_source(&[
        "UPDATE {}.t SET v = 'ÄPFEL' WHERE id IN (3, 4)",
        "UPDATE {}.t SET v = 'kürbis' WHERE id = 2",
        "UPDATE {}.t SET v = NULL WHERE id = 1",
        "INSERT INTO {}.t VALUES (6, 'gemüse'), (7, 'salat')",
    ]);
    await_rows(&bed, &servers().target, "2kürbis,3ÄPFEL,4ÄPFEL,6gemüse");
}

#[test]
fn a_filter_that_does_not_fit_the_table_is_refused_by_name() {
    let mut bed = JobBed::new("unfit", &[]);
    bed.on_source(&["CREATE TABLE {}.t (id INT PRIMARY KEY, v VARCHAR(20))"]);
    bed.cluster.add("one", "dc1", &[]);
    // The check of a submit says the same; here the task does.
    let unfit = |name, filter| submit_with(&bed, name, &servers().target, "\"snapshot\"", filter, &["--no-check"]);
    unfit("unfit", "id = '5' OR w = 1");
    let status = await_state(&bed, "unfit", "failed");
    assert!(status.contains("PEER1124") && status.contains("no column `w`"), "{status}");
    unfit("types", "id = '5'");
    let status = await_state(&bed, "types", "failed");
    assert!(status.contains("a comparison of a number with a text"), "{status}");
}

// --- the server as oracle

/// Small numbers that look random; the same seed gives the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }
}

const COLUMNS: &str = "id INT PRIMARY KEY, i INT, u BIGINT UNSIGNED, n TINYINT, d DECIMAL(10,2), w DECIMAL(40,10), f FLOAT, g DOUBLE, \
    a VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, b VARCHAR(20) COLLATE utf8mb4_bin, c CHAR(10) CHARACTER SET latin1, \
    k VARCHAR(20) COLLATE utf8mb4_general_ci, z VARCHAR(20) COLLATE utf8mb4_0900_as_cs, s VARCHAR(20) CHARACTER SET sjis, \
    o VARCHAR(20) COLLATE utf8mb4_unicode_ci, t DATE, dt DATETIME(3), ts TIMESTAMP NULL, x VARBINARY(8), y BINARY(3), \
    e ENUM('new', 'Paid', 'ü'), yr YEAR, tm TIME, j JSON, bi BIT(9), st SET('a', 'B', 'z9', 'ü'), le ENUM('a', 'B', 'é') CHARACTER SET latin1, \
    li SET('a', 'A ') COLLATE utf8mb4_bin, tf TIME(3), zf INT(5) UNSIGNED ZEROFILL";

const NUMBERS: [&str; 14] = [
    "NULL", "0", "1", "-1", "2", "5", "7", "10", "100", "-100", "127", "2.5", "0.5", "-0.01",
];
const TEXTS: [&str; 19] = [
    "NULL", "''", "'a'", "'A'", "'ab'", "'AB'", "'b'", "'a '", "' a'", "'a_b'", "'a-b'", "'Z'", "'z9'", "'10'", "'9'", "'ä'",
    "'Ä'", "'a%'", "'ß'",
];
const DATES: [&str; 6] = [
    "NULL",
    "'2024-02-29'",
    "'2024-02-29 12:30:00'",
    "'1999-12-31 23:59:59.5'",
    "'2026-01-01'",
    "'1970-01-02'",
];
/// Rows may have these too; a filter may not.
const ZERO_DATES: [&str; 8] = [
    "NULL",
    "'2024-02-29'",
    "'2024-02-29 12:30:00'",
    "'1999-12-31 23:59:59.5'",
    "'2026-01-01'",
    "'1970-01-02'",
    "'0000-00-00'",
    "'2024-00-10'",
];
const TIMES: [&str; 6] = [
    "'10:00:00'",
    "'-01:00:00'",
    "'100:00:01'",
    "'10:00:00.5'",
    "'-00:00:00.001'",
    "'838:59:59'",
];
const DOCUMENTS: [&str; 18] = [
    "NULL",
    "'null'",
    "'{\"a\": 1}'",
    "'{\"a\": \"x\"}'",
    "'{\"a\": \"X \"}'",
    "'{\"a\": \"1\"}'",
    "'{\"a\": null}'",
    "'{\"a\": [\"x\", 2.5, {\"b c\": \"ü\\\\\"\"}]}'",
    "'[\"x\", 1]'",
    "'\"x\"'",
    "'{\"a\": true, \"b\": [[1], {}]}'",
    "JSON_OBJECT('a', DATE'2024-02-29')",
    "JSON_OBJECT('a', TIME'-10:00:00.5')",
    "JSON_OBJECT('a', 1.50)",
    "JSON_OBJECT('a', 1e20)",
    "JSON_OBJECT('a', 1e0)",
    "JSON_OBJECT('a', x'00FF')",
    "JSON_OBJECT('a', CAST(18446744073709551615 AS UNSIGNED))",
];
const PATHS: [&str; 9] = [
    "$.a",
    "$",
    "$[0]",
    "$.a[0]",
    "$.a[1]",
    "$.a[2].\"b c\"",
    "$.b",
    "$.b[0][0]",
    "$.a[2]",
];
const BYTES: [&str; 6] = ["NULL", "x''", "x'00'", "x'61'", "x'6162'", "x'ff'"];

fn random_row(dice: &mut Dice, id: usize) -> String {
    let mut values = vec![id.to_string()];
    let unsigned = ["NULL", "0", "1", "5", "10", "18446744073709551615", "9223372036854775808"];
    values.push(dice.pick(&NUMBERS[..11]).to_owned());
    values.push(dice.pick(&unsigned).to_owned());
    values.push(dice.pick(&NUMBERS[..11]).to_owned());
    for _ in 0..4 {
        values.push(dice.pick(&NUMBERS).to_owned());
    }
    for _ in 0..7 {
        values.push(dice.pick(&TEXTS).to_owned());
    }
    // sjis has no umlauts.
    values[13] = dice.pick(&TEXTS[..15]).to_owned();
    for _ in 0..3 {
        values.push(dice.pick(&ZERO_DATES).to_owned());
    }
    values.push(dice.pick(&BYTES).to_owned());
    values.push(dice.pick(&BYTES).to_owned());
    values.push(dice.pick(&["NULL", "'new'", "'paid'", "'ü'"]).to_owned());
    values.push(dice.pick(&["NULL", "1999", "2005", "0"]).to_owned());
    values.push(dice.pick(&["NULL", "'10:00:00'", "'-01:00:00'", "'100:00:01'"]).to_owned());
    values.push(dice.pick(&DOCUMENTS).to_owned());
    values.push(dice.pick(&["NULL", "0", "5", "511"]).to_owned());
    values.push(dice.pick(&["NULL", "''", "'a'", "'a,B'", "'z9,ü'", "'B,z9'"]).to_owned());
    values.push(dice.pick(&["NULL", "'a'", "'B'", "'é'"]).to_owned());
    values.push(dice.pick(&["NULL", "''", "'a'", "'A'", "'a,A'"]).to_owned());
    values.push(if dice.roll(5) == 0 {
        "NULL".into()
    } else {
        dice.pick(&TIMES).to_owned()
    });
    values.push(dice.pick(&["NULL", "0", "7", "99999", "4294967295"]).to_owned());
    format!("({})", values.join(", "))
}

fn number(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 6 } else { 16 }) {
        0 | 1 => dice.pick(&["i", "u", "n", "`d`", "w", "bi", "zf"]).to_owned(),
        2 => dice.pick(&["f", "g"]).to_owned(),
        3 | 4 => dice.pick(&NUMBERS).to_owned(),
        5 => dice.pick(&["1e1", "18446744073709551615", "2.50", "TRUE", "99"]).to_owned(),
        6 | 7 => format!(
            "({} {} {})",
            number(dice, depth - 1),
            dice.pick(&["+", "-", "*", "/", "DIV", "%", "MOD"]),
            number(dice, depth - 1)
        ),
        8 => format!("COALESCE({}, {})", number(dice, 0), number(dice, 0)),
        9 => format!(
            "{}({})",
            dice.pick(&["ABS", "FLOOR", "CEIL", "CEILING", "ROUND", "SIGN"]),
            number(dice, depth - 1)
        ),
        10 => format!(
            "{}({}, {})",
            dice.pick(&["NULLIF", "GREATEST", "LEAST", "MOD", "IFNULL"]),
            number(dice, 0),
            number(dice, 0)
        ),
        11 => format!("IF({}, {}, {})", condition(dice, 0), number(dice, 0), number(dice, 0)),
        12 => format!(
            "CASE {} WHEN {} THEN {} WHEN {} THEN {} ELSE {} END",
            number(dice, 0),
            number(dice, 0),
            number(dice, 0),
            number(dice, 0),
            number(dice, 0),
            number(dice, 0)
        ),
        13 => match dice.roll(4) {
            0 => format!(
                "CRC32({})",
                dice.pick(&["i", "u", "n", "a", "b", "s", "x", "y", "e", "st", "LOWER(a)"])
            ),
            1 => format!(
                "(CRC32({}) % {})",
                dice.pick(&["id", "u", "i", "b"]),
                dice.pick(&["4", "i", "0", "-3"])
            ),
            2 => format!(
                "FIND_IN_SET('{}', {})",
                dice.pick(&["a", "b", "Z9"]),
                dice.pick(&["st", "st", "a", "b"])
            ),
            _ => format!("FIND_IN_SET({}, 'a,ab,B,ä')", dice.pick(&["a", "b", "e", "li", "k"])),
        },
        14 => format!(
            "{}({})",
            dice.pick(&[
                "YEAR",
                "MONTH",
                "DAY",
                "DAYOFMONTH",
                "QUARTER",
                "HOUR",
                "MINUTE",
                "SECOND",
                "DAYOFWEEK",
                "DAYOFYEAR"
            ]),
            dice.pick(&["t", "dt", "ts", "COALESCE(t, dt)"])
        ),
        _ => format!(
            "{}({})",
            dice.pick(&["LENGTH", "CHAR_LENGTH"]),
            dice.pick(&["a", "b", "c", "s", "e", "st", "le", "TRIM(a)"])
        ),
    }
}

/// A text made of others.
fn made_text(dice: &mut Dice) -> String {
    let column = dice.pick(&["a", "b", "c", "k", "z", "s", "o", "e", "st"]);
    let count = dice.pick(&["0", "1", "2", "-1", "-2", "9", "i", "NULL"]);
    match dice.roll(9) {
        0 => format!("{}({column}, {count})", dice.pick(&["LEFT", "RIGHT", "SUBSTRING", "SUBSTR"])),
        1 => format!("SUBSTRING({column}, {count}, {})", dice.pick(&["1", "0", "2", "n"])),
        2 => format!(
            "{}({column})",
            dice.pick(&["LOWER", "UPPER", "TRIM", "LTRIM", "RTRIM", "LCASE"])
        ),
        3 => format!(
            "{}({}, {})",
            dice.pick(&["COALESCE", "IFNULL", "NULLIF"]),
            dice.pick(&["a", "b", "c"]),
            dice.pick(&TEXTS)
        ),
        4 => format!(
            "IF({}, {}, {})",
            condition(dice, 0),
            dice.pick(&["a", "k"]),
            dice.pick(&TEXTS)
        ),
        5 => format!("CASE WHEN {} THEN {} END", condition(dice, 0), dice.pick(&["b", "c", "'A'"])),
        6 => format!("REPLACE({column}, 'a', 'B')"),
        7 => format!("CONCAT({column}, {})", dice.pick(&TEXTS)),
        _ => column.to_owned(),
    }
}

fn condition(dice: &mut Dice, depth: usize) -> String {
    let op = dice.pick(&["=", "<", "<=", ">", ">=", "<>", "!=", "<=>"]);
    let column = dice.pick(&["a", "b", "c", "k", "z", "s", "o"]);
    let date = dice.pick(&["t", "dt", "ts"]);
    let bytes = dice.pick(&["x", "y"]);
    match dice.roll(if depth == 0 { 20 } else { 26 }) {
        0 | 1 => format!("{} {op} {}", number(dice, depth), number(dice, depth)),
        2 | 3 => format!("{column} {op} {}", dice.pick(&TEXTS)),
        4 => format!(
            "{column} IN ({}, {}, {})",
            dice.pick(&TEXTS),
            dice.pick(&TEXTS),
            dice.pick(&TEXTS)
        ),
        5 => format!(
            "{column} NOT LIKE {}",
            dice.pick(&["'a%'", "'%B'", "'_'", "'a\\_b'", "'%'", "''", "'Ä%'", "'%a%b%'", "'a '"])
        ),
        6 => format!("{date} {op} {}", dice.pick(&DATES)),
        7 => format!("{bytes} {op} {}", dice.pick(&BYTES)),
        8 => format!(
            "{} IS NOT NULL",
            dice.pick(&["i", "a", "j", "t", "bi", "e", "yr", "(i + 1)", "st", "j->>'$.a'"])
        ),
        9 => format!("{} BETWEEN {} AND {}", number(dice, 0), number(dice, 0), number(dice, 0)),
        10 => format!("{} NOT IN ({}, {})", number(dice, 0), number(dice, 0), number(dice, 0)),
        11 => format!(
            "{} {op} {}",
            dice.pick(&["e", "st", "le", "li"]),
            dice.pick(&["'PAID'", "'a'", "'a,b'", "''", "'A'", "'ü'", "'é'"])
        ),
        12 => format!("{} {op} {}", dice.pick(&["tm", "tf"]), dice.pick(&TIMES)),
        13 => format!("{} {op} {}", made_text(dice), dice.pick(&TEXTS)),
        14 => match dice.roll(3) {
            0 => format!("{date} NOT IN ({}, {})", dice.pick(&DATES), dice.pick(&DATES)),
            1 => format!("{date} BETWEEN {} AND {}", dice.pick(&DATES), dice.pick(&DATES)),
            _ => format!(
                "COALESCE({date}, {}) {op} {}",
                dice.pick(&["t", "dt", "NULL"]),
                dice.pick(&DATES)
            ),
        },
        15 => match dice.roll(4) {
            0 => format!("yr {op} {}", dice.pick(&["1999", "2005", "2155", "0"])),
            1 => format!("yr NOT IN ({}, 2005)", dice.pick(&["1999", "0", "NULL"])),
            2 => format!("yr BETWEEN 1999 AND {}", dice.pick(&["2005", "2004", "0"])),
            _ => format!(
                "yr {} {} {op} {}",
                dice.pick(&["+", "-", "%", "DIV"]),
                dice.pick(&["1", "3000", "5"]),
                number(dice, 0)
            ),
        },
        16 | 17 => {
            let value = format!("j->>'{}'", dice.pick(&PATHS));
            let texts = [
                "'x'",
                "'X'",
                "'1'",
                "'null'",
                "'2024-02-29'",
                "'1e20'",
                "'1.0'",
                "'1.50'",
                "'2.5'",
                "'true'",
                "'{}'",
            ];
            match dice.roll(4) {
                0 => format!("{value} IN ({}, {})", dice.pick(&texts), dice.pick(&texts)),
                1 => format!(
                    "{value} LIKE {}",
                    dice.pick(&["'%x%'", "'1_'", "'base64%'", "'%ü%'", "'-10:%'", "'[[]'"])
                ),
                _ => format!("{value} {op} {}", dice.pick(&texts)),
            }
        }
        // Two collations in one list, and a NULL of another type among values of which one is chosen.
        18 => format!(
            "{column} IN ({}, {})",
            dice.pick(&["b", "a", "k", "UPPER(b)"]),
            dice.pick(&TEXTS)
        ),
        19 => format!(
            "(COALESCE({}, {}) % 7) {op} {}",
            dice.pick(&["i", "u"]),
            dice.pick(&["g", "w", "i"]),
            dice.roll(7)
        ),
        20 | 21 => format!("{} AND {}", condition(dice, depth - 1), condition(dice, depth - 1)),
        22 | 23 => format!("({} OR {})", condition(dice, depth - 1), condition(dice, depth - 1)),
        24 => format!("({} XOR {})", condition(dice, depth - 1), condition(dice, depth - 1)),
        _ => format!("NOT {}", condition(dice, depth - 1)),
    }
}

async fn table(schema: &TestSchema, dice: &mut Dice, rows: usize) -> (TableShape, Vec<Row>) {
    let source = servers().source;
    let mut conn = source.conn().await;
    conn.query_drop("SET SESSION sql_mode = '', time_zone = '+00:00'")
        .await
        .unwrap();
    conn.query_drop(format!("CREATE TABLE {}.t ({COLUMNS}) DEFAULT CHARSET utf8mb4", schema.base))
        .await
        .unwrap();
    let values: Vec<String> = (0..rows).map(|id| random_row(dice, id)).collect();
    conn.query_drop(format!("INSERT INTO {}.t VALUES {}", schema.base, values.join(", ")))
        .await
        .unwrap();
    conn.disconnect().await.unwrap();
    let mut session = Session::connect(&database(source)).await.unwrap();
    let name = TableName {
        schema: schema.base.clone(),
        table: "t".into(),
    };
    let shape = inspect::shapes(&mut session, &[name]).await.unwrap().remove(0);
    session.close().await;
    let mut reader = ChunkReader::open(&database(source)).await.unwrap();
    let all = Range { low: None, high: None };
    let ReadOutcome::Rows(read) = reader.read(&shape, &all, 64 << 20).await.unwrap() else {
        panic!("the rows were not read")
    };
    (shape, read.rows)
}

#[tokio::test]
async fn the_evaluator_and_the_server_agree_on_random_filters_and_rows() {
    const FILTERS: u32 = 600;
    const ROW_COUNT: usize = 150;
    let seed = std::env::var("PEER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_121);
    let (schema, mut dice) = (TestSchema::new("oracle").await, Dice(seed));
    let (shape, rows) = table(&schema, &mut dice, ROW_COUNT).await;
    let mut session = Session::connect(&database(servers().source)).await.unwrap();
    session.execute(SESSION_SETTINGS).await.unwrap();
    let mut oracle = FilterOracle::new(database(servers().source));
    let (mut accepted, mut alone, mut asked, mut stopped) = (0, 0, 0, 0);
    let mut wrong: Vec<String> = Vec::new();
    while accepted < FILTERS {
        let text = condition(&mut dice, 2);
        let Ok(filter) = RowFilter::of(&text, &shape) else { continue };
        accepted += 1;
        let as_written = format!("SELECT id FROM {}.t WHERE {text}", schema.base);
        let canonical = format!("SELECT id FROM {}.t WHERE {}", schema.base, filter.sql());
        // An overflow ends the statement on either side: nothing to compare.
        let Ok(expected) = session.rows::<usize>(canonical.clone()).await else {
            stopped += 1;
            continue;
        };
        let written = session.rows::<usize>(as_written.clone()).await;
        let written = written.unwrap_or_else(|error| panic!("{as_written}: {error}"));
        assert_eq!(written, expected, "seed {seed}: `{text}` is not what `{canonical}` says");
        let unknown = rows.iter().filter(|row| filter.decides(row).unwrap().is_none());
        let questions = unknown.map(|row| Question {
            shape: ShapeId(accepted),
            filter: &filter,
            constants: filter.constants(row).unwrap(),
        });
        if let Err(error) = oracle.ask(questions.collect()).await {
            wrong.push(format!("`{text}`: {error}"));
            continue;
        }
        for (id, row) in rows.iter().enumerate() {
            let decided = filter.decides(row).unwrap();
            match decided {
                Some(_) => alone += 1,
                None => asked += 1,
            }
            let found = decided.or_else(|| oracle.answer(ShapeId(accepted), filter.constants(row).unwrap()));
            let by = if decided.is_some() { "the evaluator" } else { "the constants" };
            if found != Some(expected.contains(&id)) {
                wrong.push(format!("{by} on row {id}: {found:?}, `{text}` as `{canonical}`"));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} filters differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{alone} rows decided alone, {asked} by the server, {stopped} filters that overflow");
    assert!(
        alone > asked,
        "the evaluator leaves too much to the server: {alone} and {asked}"
    );
}
