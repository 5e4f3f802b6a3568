//! The binlog reader against a real server: every type, every kind of transaction, where it begins and what it refuses.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use peer::core::change::{BinlogPosition, Change, Row};
use peer::core::ddl::DdlStep;
use peer::core::disposition::Disposition;
use peer::core::gtid_set::{Gtid, GtidSet};
use peer::core::job_spec::{DatabaseSpec, Secret, TlsMode};
use peer::core::row::RowLayout;
use peer::core::shape::{ColumnKind, ShapeId, TableName, TableShape};
use peer::core::value::{DateTimeValue, Value};
use peer::mysql::error::Error;
use peer::mysql::session::Session;
use peer::mysql::source::inspect;
use peer::mysql::source::reader::{Reader, ReaderEvent, ReaderOptions, Scope};
use support::schema::TestSchema;
use support::servers::servers;
use tokio::time::timeout;

/// Longest wait for anything that must come.
const LIMIT: Duration = Duration::from_secs(60);

fn database() -> DatabaseSpec {
    DatabaseSpec {
        host: "127.0.0.1".into(),
        port: servers().source.port,
        user: "root".into(),
        password: Secret::Text(String::new()),
        tls: TlsMode::Disabled,
        tls_ca: None,
    }
}

async fn executed() -> GtidSet {
    let mut session = Session::connect(&database()).await.unwrap();
    let text: Option<String> = session.first("SELECT @@GLOBAL.gtid_executed").await.unwrap();
    GtidSet::parse(&text.unwrap()).unwrap()
}

async fn shape_of(schema: &TestSchema, table: &str) -> TableShape {
    let mut session = Session::connect(&database()).await.unwrap();
    let name = TableName {
        schema: schema.base.clone(),
        table: table.into(),
    };
    inspect::shapes(&mut session, &[name]).await.unwrap().remove(0)
}

async fn open(from: GtidSet, shape: TableShape, id: u32) -> Reader {
    let options = ReaderOptions {
        server_id: 3_000_000_000 + std::process::id() * 16 + id,
        replica_uuid: format!("00000000-0000-4000-8000-{:08x}{id:04x}", std::process::id()),
        from,
        heartbeat: Duration::from_secs(1),
    };
    Reader::open(&database(), options, Scope::new(vec![(ShapeId(id), shape)]))
        .await
        .unwrap()
}

async fn run(statements: &[String]) {
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    servers().source.run(&statements).await;
}

async fn next(reader: &mut Reader) -> Result<ReaderEvent, Error> {
    timeout(LIMIT, reader.next()).await.expect("an event within the limit")
}

/// A transaction that has changes in scope.
#[derive(Debug)]
struct Transaction {
    gtid: Gtid,
    parts: Vec<Vec<Change>>,
    end: BinlogPosition,
}

impl Transaction {
    fn rows(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }
}

/// The next transaction with changes; every GTID that passes is added to `seen`.
async fn transaction(reader: &mut Reader, seen: &mut GtidSet) -> Result<Transaction, Error> {
    let mut open = None;
    loop {
        match next(reader).await? {
            ReaderEvent::Begin { gtid, .. } => open = Some((gtid, Vec::new())),
            ReaderEvent::Changes(changes) => open.as_mut().expect("changes follow a begin").1.push(changes),
            ReaderEvent::Commit { position: end } => {
                let (gtid, parts) = open.take().expect("a commit follows a begin");
                assert!(seen.add(&gtid), "{gtid} came twice");
                if !parts.is_empty() {
                    return Ok(Transaction { gtid, parts, end });
                }
            }
            ReaderEvent::Position { .. } => assert!(open.is_none(), "a position inside a transaction"),
            ReaderEvent::Ddl(ddl) => panic!("definitions change: {}", ddl.excerpt()),
            xa @ (ReaderEvent::Held { .. }
            | ReaderEvent::Release { .. }
            | ReaderEvent::Prepared { .. }
            | ReaderEvent::Resolved { .. }) => panic!("{xa:?}"),
        }
    }
}

/// Reads until an error comes; it must come before anything in scope.
async fn refusal(reader: &mut Reader) -> Error {
    match transaction(reader, &mut GtidSet::default()).await {
        Ok(found) => panic!("expected a refusal, found {found:?}"),
        Err(error) => error,
    }
}

const COLUMNS: &[(&str, [&str; 4])] = &[
    ("TINYINT", ["-128", "127", "0", "-1"]),
    ("TINYINT UNSIGNED", ["255", "0", "1", "128"]),
    ("SMALLINT", ["-32768", "32767", "0", "-1"]),
    ("SMALLINT UNSIGNED", ["65535", "0", "1", "32768"]),
    ("MEDIUMINT", ["-8388608", "8388607", "0", "-1"]),
    ("MEDIUMINT UNSIGNED", ["16777215", "0", "1", "8388608"]),
    ("INT", ["-2147483648", "2147483647", "0", "-1"]),
    ("INT UNSIGNED", ["4294967295", "0", "1", "2147483648"]),
    ("BIGINT", ["-9223372036854775808", "9223372036854775807", "0", "-1"]),
    ("BIGINT UNSIGNED", ["18446744073709551615", "0", "1", "9223372036854775808"]),
    (
        "DECIMAL(65,30)",
        [
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "0.000000000000000000000000000001",
            "0",
            "-1.5",
        ],
    ),
    ("DECIMAL(10,2)", ["-99999999.99", "99999999.99", "0", "-0.01"]),
    ("DECIMAL(9,9)", ["-0.999999999", "0.999999999", "0", "0.1"]),
    ("DECIMAL(18,0)", ["-999999999999999999", "999999999999999999", "0", "-1"]),
    ("DECIMAL(1,0)", ["-9", "9", "0", "1"]),
    ("FLOAT", ["-1234567.875", "16777216", "0.1", "1e-30"]),
    (
        "DOUBLE",
        ["-1.7976931348623157e308", "2.2250738585072014e-308", "0.1", "-0.3"],
    ),
    ("BIT(1)", ["b'1'", "b'0'", "b'1'", "b'0'"]),
    ("BIT(17)", ["b'10000000000000001'", "0", "1", "65536"]),
    ("BIT(64)", ["18446744073709551615", "0", "1", "256"]),
    ("YEAR", ["0", "1901", "2155", "2024"]),
    ("DATE", ["'0000-00-00'", "'9999-12-31'", "'2024-02-29'", "'2024-00-00'"]),
    ("TIME", ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"]),
    ("TIME(1)", ["'-00:00:01.5'", "'838:59:58.9'", "'00:00:00.1'", "'-00:00:00.1'"]),
    (
        "TIME(3)",
        ["'-00:00:01.005'", "'-838:59:58.999'", "'12:34:56.789'", "'-00:00:00.001'"],
    ),
    (
        "TIME(6)",
        [
            "'-00:00:01.000005'",
            "'-838:59:58.999999'",
            "'00:00:00.000001'",
            "'-00:00:00.12'",
        ],
    ),
    (
        "DATETIME",
        [
            "'0000-00-00 00:00:00'",
            "'9999-12-31 23:59:59'",
            "'1969-12-31 23:59:59'",
            "'2024-02-29 01:02:03'",
        ],
    ),
    (
        "DATETIME(2)",
        [
            "'0000-00-00 00:00:00'",
            "'9999-12-31 23:59:59.99'",
            "'1000-01-01 00:00:00.01'",
            "'2024-02-29 01:02:03.4'",
        ],
    ),
    (
        "DATETIME(6)",
        [
            "'0000-00-00 00:00:00'",
            "'9999-12-31 23:59:59.999999'",
            "'1000-01-01 00:00:00.000001'",
            "'2024-02-29 01:02:03.4'",
        ],
    ),
    (
        "TIMESTAMP",
        [
            "'0000-00-00 00:00:00'",
            "'1970-01-01 00:00:01'",
            "'2038-01-19 03:14:07'",
            "'2024-02-29 01:02:03'",
        ],
    ),
    (
        "TIMESTAMP(3)",
        [
            "'0000-00-00 00:00:00'",
            "'1970-01-01 00:00:01.001'",
            "'2038-01-19 03:14:07.999'",
            "'2024-02-29 01:02:03.4'",
        ],
    ),
    (
        "TIMESTAMP(6)",
        [
            "'0000-00-00 00:00:00'",
            "'1970-01-01 00:00:01.000001'",
            "'2038-01-19 03:14:07.999999'",
            "'2024-02-29 01:02:03.4'",
        ],
    ),
    ("CHAR(10) CHARACTER SET utf8mb4", ["'äöü😀'", "''", "'a  '", "'x'"]),
    ("CHAR(255) CHARACTER SET utf8mb4", ["REPEAT('😀',255)", "''", "'abc'", "'x'"]),
    ("VARCHAR(10) CHARACTER SET latin1", ["'äöü€'", "''", "'a  '", "'x'"]),
    ("VARCHAR(300) CHARACTER SET gbk", ["REPEAT('中',300)", "''", "'a  '", "'文'"]),
    ("BINARY(1)", ["0x00", "0xff", "''", "'a'"]),
    (
        "BINARY(16)",
        [
            "0x00112233445566778899aabbccddee00",
            "0x00",
            "'a'",
            "0xffffffffffffffffffffffffffffffff",
        ],
    ),
    ("VARBINARY(300)", ["0x00", "REPEAT(0xff,300)", "''", "0x610000"]),
    ("TINYBLOB", ["0x00ff", "''", "REPEAT('a',255)", "'x'"]),
    ("BLOB", ["0x00ff", "''", "REPEAT('a',65535)", "'x'"]),
    ("MEDIUMBLOB", ["0x00ff", "''", "REPEAT('a',70000)", "'x'"]),
    ("LONGBLOB", ["0x00ff", "''", "REPEAT('a',300000)", "'x'"]),
    ("TINYTEXT", ["'ä'", "''", "REPEAT('a',255)", "'x'"]),
    ("TEXT", ["'ä'", "''", "REPEAT('a',65535)", "'x'"]),
    ("MEDIUMTEXT", ["'ä'", "''", "REPEAT('a',70000)", "'x'"]),
    ("LONGTEXT CHARACTER SET utf16", ["'ä😀'", "''", "REPEAT('a',3000)", "'x'"]),
    (
        "JSON",
        [
            r#"'{"b": [1, -2, 3.5, 1e100, 1.0, 70000, -70000, 5000000000, 18446744073709551615], "a": {"": null, "x": true, "\\"k\\n": false}, "s": "q\\"\\\\ \\u0001\\t😀/"}'"#,
            "JSON_OBJECT('d', CAST('-1.10' AS DECIMAL(10,2)), 't', CAST('-12:34:56.7' AS TIME(6)), 'dt', CAST('2024-02-29 01:02:03.4' AS DATETIME(6)), 'day', CAST('2024-02-29' AS DATE), 'bin', CAST('abcd' AS BINARY), 'y', b'101')",
            "JSON_ARRAY(REPEAT('long ', 20000), JSON_OBJECT('k', REPEAT('x', 200)), NULL)",
            "'null'",
        ],
    ),
    (
        "GEOMETRY",
        [
            "ST_GeomFromText('POINT(1 2)', 4326)",
            "ST_GeomFromText('LINESTRING(0 0,1 1)')",
            "ST_GeomFromText('POINT(0 0)')",
            "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')",
        ],
    ),
    ("POINT", ["POINT(1,2)", "POINT(-1,0)", "POINT(0,0)", "POINT(1e300,5)"]),
    (
        "VECTOR(3)",
        [
            "TO_VECTOR('[1,2,3]')",
            "TO_VECTOR('[0,0,0]')",
            "TO_VECTOR('[-1.5,2e10,3]')",
            "TO_VECTOR('[1,1,1]')",
        ],
    ),
    ("ENUM('a','b','ü')", ["'a'", "'ü'", "'no such'", "2"]),
    ("SET('a','b','c','d','e','f','g','h','i')", ["'a,i'", "''", "'b'", "511"]),
    (
        "INT GENERATED ALWAYS AS (c0 + 1) VIRTUAL",
        ["DEFAULT", "DEFAULT", "DEFAULT", "DEFAULT"],
    ),
    (
        "INT GENERATED ALWAYS AS (c2 + 1) STORED",
        ["DEFAULT", "DEFAULT", "DEFAULT", "DEFAULT"],
    ),
    ("INT INVISIBLE", ["1", "2", "3", "4"]),
];

/// What to select so that the text is comparable with the decoded value.
fn selected(name: &str, kind: &ColumnKind) -> String {
    match kind {
        ColumnKind::Float => format!("CAST(`{name}` AS DOUBLE)"),
        ColumnKind::Bit { .. } | ColumnKind::Enum { .. } | ColumnKind::Set { .. } => format!("`{name}` + 0"),
        ColumnKind::Timestamp { .. } => format!("UNIX_TIMESTAMP(`{name}`)"),
        _ => format!("`{name}`"),
    }
}

fn fraction(micros: u32, fsp: u8) -> String {
    let digits = format!("{micros:06}");
    if fsp == 0 {
        String::new()
    } else {
        format!(".{}", &digits[..usize::from(fsp)])
    }
}

fn date_time(v: DateTimeValue, fsp: u8) -> String {
    let (day, time) = (
        format!("{:04}-{:02}-{:02}", v.year, v.month, v.day),
        format!("{:02}:{:02}:{:02}", v.hours, v.minutes, v.seconds),
    );
    format!("{day} {time}{}", fraction(v.micros, fsp))
}

/// The decoded value as the server prints it.
fn printed(kind: &ColumnKind, value: &Value<'_>) -> Vec<u8> {
    let text = match (kind, value) {
        (_, Value::Int(v)) => v.to_string(),
        (_, Value::UInt(v) | Value::Bit(v) | Value::Set(v)) => v.to_string(),
        (_, Value::Enum(v)) => v.to_string(),
        (_, Value::Decimal(v)) => v.clone(),
        (_, Value::Year(v)) => format!("{v:04}"),
        (_, Value::Date(v)) => date_time(*v, 0)[..10].to_owned(),
        (ColumnKind::DateTime { fsp }, Value::DateTime(v)) => date_time(*v, *fsp),
        (ColumnKind::Timestamp { fsp }, Value::Timestamp { seconds, micros }) => format!("{seconds}{}", fraction(*micros, *fsp)),
        (ColumnKind::Time { fsp }, Value::Time(v)) => {
            let sign = if v.is_negative { "-" } else { "" };
            format!(
                "{sign}{:02}:{:02}:{:02}{}",
                v.hours,
                v.minutes,
                v.seconds,
                fraction(v.micros, *fsp)
            )
        }
        (_, Value::Text(v)) => return v.to_vec(),
        (_, Value::Bytes(v)) => return v.to_vec(),
        (_, Value::Json(v)) => v.to_string(),
        other => panic!("no text for {other:?}"),
    };
    text.into_bytes()
}

fn assert_same(column: &str, kind: &ColumnKind, value: &Value<'_>, server: &[u8]) {
    let number = || std::str::from_utf8(server).unwrap().parse::<f64>().unwrap();
    match value {
        Value::Float(v) => assert_eq!(f64::from(*v), number(), "{column}"),
        Value::Double(v) => assert_eq!(*v, number(), "{column}"),
        _ => {
            let found = printed(kind, value);
            let start = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
            assert!(
                found == server,
                "{column} {kind:?}: decoded `{}`, the server says `{}`",
                start(&found),
                start(server)
            );
        }
    }
}

/// Makes the table and fills it; the set is what was executed before it was filled.
async fn matrix_table(schema: &TestSchema) -> GtidSet {
    let columns: Vec<_> = COLUMNS
        .iter()
        .enumerate()
        .map(|(at, column)| format!("c{at} {}", column.0))
        .collect();
    let settings = "SET SESSION sql_mode = '', time_zone = '+00:00', NAMES utf8mb4".to_owned();
    run(&[format!(
        "CREATE TABLE {}.t (id INT PRIMARY KEY, {})",
        schema.base,
        columns.join(", ")
    )])
    .await;
    let from = executed().await;
    let mut statements = vec![settings];
    let names: Vec<_> = (0..COLUMNS.len()).map(|at| format!("c{at}")).collect();
    for row in 0..4 {
        let values: Vec<_> = COLUMNS.iter().map(|column| column.1[row]).collect();
        statements.push(format!(
            "INSERT INTO {}.t (id, {}) VALUES ({row}, {})",
            schema.base,
            names.join(", "),
            values.join(", ")
        ));
    }
    statements.push(format!("INSERT INTO {}.t (id) VALUES (4)", schema.base));
    run(&statements).await;
    from
}

fn after(change: &Change) -> &Row {
    match change {
        Change::Insert { after, .. } => after,
        other => panic!("expected an insert, found {other:?}"),
    }
}

#[tokio::test]
async fn every_type_reads_as_the_server_prints_it() {
    let schema = TestSchema::new("matrix").await;
    let from = matrix_table(&schema).await;
    let shape = shape_of(&schema, "t").await;
    let layout = RowLayout::new(&shape);
    let mut reader = open(from, shape.clone(), 1).await;
    let mut conn = servers().source.conn().await;
    conn.query_drop("SET SESSION time_zone = '+00:00', character_set_results = NULL")
        .await
        .unwrap();
    let selects: Vec<_> = shape
        .columns
        .iter()
        .map(|column| selected(&column.name, &column.kind))
        .collect();
    let rows: Vec<mysql_async::Row> = conn
        .query(format!("SELECT {} FROM {}.t ORDER BY id", selects.join(", "), schema.base))
        .await
        .unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let found = transaction(&mut reader, &mut GtidSet::default()).await.unwrap();
        assert_eq!(found.rows(), 1);
        let image = after(&found.parts[0][0]).clone();
        let mut values = Vec::new();
        layout.split(&image.0, &mut values).unwrap();
        assert_eq!(layout.build(&values).unwrap(), image);
        for (at, column) in shape.columns.iter().enumerate() {
            let server = match row.as_ref(at).unwrap() {
                mysql_async::Value::NULL => None,
                mysql_async::Value::Bytes(bytes) => Some(bytes.as_slice()),
                other => panic!("text protocol gave {other:?}"),
            };
            assert_eq!(values[at].is_none(), server.is_none(), "{}", column.name);
            if let (Some(raw), Some(server)) = (values[at], server) {
                assert_same(&column.name, &column.kind, &Value::decode(&column.kind, raw).unwrap(), server);
            }
        }
    }
    reader.close().await;
}

async fn small_table(schema: &TestSchema) -> TableShape {
    run(&[
        format!("CREATE TABLE {}.t (id INT PRIMARY KEY, v VARCHAR(200))", schema.base),
        format!("CREATE TABLE {}.other (id INT PRIMARY KEY)", schema.base),
    ])
    .await;
    shape_of(schema, "t").await
}

/// Kilobytes of memory this process ever held at once.
fn peak_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_huge_transaction_comes_in_parts() {
    let schema = TestSchema::new("huge").await;
    let shape = small_table(&schema).await;
    let from = executed().await;
    run(&[
        "SET SESSION cte_max_recursion_depth = 200000".into(),
        format!(
            "INSERT INTO {}.t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i, REPEAT('x', 190) FROM n",
            schema.base
        ),
    ])
    .await;
    let mut reader = open(from, shape, 2).await;
    let (mut rows, mut bytes, mut largest, before) = (0, 0, 0, peak_memory_kb());
    loop {
        match next(&mut reader).await.unwrap() {
            ReaderEvent::Changes(changes) => {
                let part: usize = changes.iter().map(|change| after(change).0.len()).sum();
                (rows, bytes, largest) = (rows + changes.len(), bytes + part, largest.max(part));
            }
            ReaderEvent::Commit { .. } if rows > 0 => break,
            _ => {}
        }
    }
    assert_eq!(rows, 200_000);
    assert!(
        bytes > 39_000_000 && largest < 256 << 10,
        "{bytes} bytes, the largest part has {largest}"
    );
    // Other tests of this process run beside: the bound is generous, but far below the transaction held as a whole.
    let grown = peak_memory_kb() - before;
    assert!(grown < 30_000, "memory grew by {grown} kB while {bytes} bytes were read");
    reader.close().await;
}

#[tokio::test]
async fn gtids_are_complete_and_a_new_reader_goes_on_in_the_middle() {
    let schema = TestSchema::new("middle").await;
    let shape = small_table(&schema).await;
    let from = executed().await;
    let insert = |id: u32| format!("INSERT INTO {}.t VALUES ({id}, 'x')", schema.base);
    let mut statements: Vec<_> = (0..10).map(insert).collect();
    statements.push("SET SESSION gtid_next = 'AUTOMATIC:peer_tag'".into());
    statements.push(insert(10));
    statements.push("SET SESSION gtid_next = 'AUTOMATIC'".into());
    statements.push(format!("UPDATE {}.t SET v = 'y' WHERE id = 3", schema.base));
    statements.push(format!("DELETE FROM {}.t WHERE id = 4", schema.base));
    run(&statements).await;
    let until = executed().await;

    let mut seen = from.clone();
    let mut reader = open(from.clone(), shape.clone(), 3).await;
    for _ in 0..5 {
        transaction(&mut reader, &mut seen).await.unwrap();
    }
    drop(reader);
    let mut reader = open(seen.clone(), shape, 3).await;
    let mut kinds = Vec::new();
    let mut ends = Vec::new();
    while kinds.len() < 8 {
        let found = transaction(&mut reader, &mut seen).await.unwrap();
        assert_eq!(found.rows(), 1, "{}", found.gtid);
        kinds.push(match &found.parts[0][0] {
            Change::Insert { .. } => 'i',
            Change::Update { .. } => 'u',
            Change::Delete { .. } => 'd',
            Change::Partial { .. } => 'p',
            Change::Cascade(_) => 'c',
        });
        ends.push(found.end.offset);
    }
    assert_eq!(kinds, ['i', 'i', 'i', 'i', 'i', 'i', 'u', 'd']);
    assert!(ends.is_sorted(), "positions go back: {ends:?}");
    // What others did meanwhile may be missing at the end only.
    while !until.is_subset_of(&seen) {
        match next(&mut reader).await.unwrap() {
            ReaderEvent::Begin { gtid, .. } => assert!(seen.add(&gtid), "{gtid} came twice"),
            ReaderEvent::Changes(_)
            | ReaderEvent::Commit { .. }
            | ReaderEvent::Held { .. }
            | ReaderEvent::Release { .. }
            | ReaderEvent::Prepared { .. }
            | ReaderEvent::Resolved { .. }
            | ReaderEvent::Position { .. }
            | ReaderEvent::Ddl(_) => {}
        }
    }
    assert!(seen.sources().any(|(source, _)| source.tag == "peer_tag"));
    reader.close().await;
}

#[tokio::test]
async fn a_change_in_statement_format_is_refused_with_its_text() {
    let schema = TestSchema::new("statement").await;
    let shape = small_table(&schema).await;
    let from = executed().await;
    let insert = format!("INSERT INTO {}.t VALUES (1, 'statement')", schema.base);
    run(&["SET SESSION binlog_format = 'STATEMENT'".into(), insert.clone()]).await;
    let mut reader = open(from, shape, 4).await;
    let error = refusal(&mut reader).await;
    assert_eq!(error.disposition(), Disposition::Fatal);
    assert!(error.to_string().contains(&insert), "{error}");
    let again = next(&mut reader).await.unwrap_err();
    assert_eq!(again.disposition(), Disposition::Retry, "{again}");
}

#[tokio::test]
async fn rows_in_statement_format_are_refused_however_they_hide_and_passed_over_where_they_cannot_concern_the_table() {
    let schema = TestSchema::new("hidden").await;
    let shape = small_table(&schema).await;
    let (base, out) = (&schema.base, format!("{}_out", schema.base));
    run(&[
        format!("CREATE DATABASE {out}"),
        format!("CREATE TABLE {out}.plain (id INT PRIMARY KEY)"),
        format!("CREATE TABLE {out}.traced (id INT PRIMARY KEY)"),
        format!(
            "CREATE TRIGGER {out}.tr AFTER INSERT ON {out}.traced FOR EACH ROW INSERT INTO {base}.t VALUES (NEW.id, 'trigger')"
        ),
        format!("CREATE VIEW {out}.v AS SELECT * FROM {base}.t"),
        "SET GLOBAL log_bin_trust_function_creators = 1".into(),
        format!("CREATE FUNCTION {out}.f(i INT) RETURNS INT BEGIN INSERT INTO {base}.t VALUES (i, 'function'); RETURN i; END"),
        format!("CREATE PROCEDURE {out}.p(i INT) INSERT INTO {out}.v VALUES (i, 'procedure')"),
    ])
    .await;
    let hidden = [
        (format!("INSERT INTO {out}.traced VALUES (1)"), "traced VALUES (1)"),
        (format!("INSERT INTO {out}.v VALUES (2, 'view')"), "v VALUES (2, 'view')"),
        (format!("SELECT {out}.f(3)"), "f`(3)"),
        (format!("CALL {out}.p(4)"), "'procedure'"),
        (format!("UPDATE {base}.t SET v = 'x' WHERE id = 1"), "SET v = 'x'"),
    ];
    for (at, (statement, text)) in hidden.into_iter().enumerate() {
        let from = executed().await;
        run(&["SET SESSION binlog_format = 'STATEMENT'".into(), statement]).await;
        let mut reader = open(from, shape.clone(), 40 + u32::try_from(at).unwrap()).await;
        let error = refusal(&mut reader).await;
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.disposition(), Disposition::Fatal);
    }
    let from = executed().await;
    run(&[
        format!("SET SESSION binlog_format = 'MIXED'; INSERT INTO {out}.plain VALUES (1)"),
        format!("SET SESSION binlog_format = 'ROW'; INSERT INTO {base}.t VALUES (100, 'as a row')"),
        format!("DROP DATABASE {out}"),
    ])
    .await;
    let mut reader = open(from, shape, 50).await;
    let found = transaction(&mut reader, &mut GtidSet::default()).await.unwrap();
    assert_eq!(found.rows(), 1);
    reader.close().await;
}

#[tokio::test]
async fn a_definition_change_of_the_table_is_an_event_and_one_elsewhere_is_passed_over() {
    let schema = TestSchema::new("ddl").await;
    let shape = small_table(&schema).await;
    let from = executed().await;
    run(&[
        format!("ALTER TABLE {}.other ADD COLUMN t INT", schema.base),
        format!("CREATE TABLE {}.made AS SELECT * FROM {}.t", schema.base, schema.base),
        format!("INSERT INTO {}.other VALUES (1, 5)", schema.base),
        format!("CREATE TABLE {}.full AS SELECT * FROM {}.other", schema.base, schema.base),
        format!("INSERT INTO {}.t VALUES (1, 'x')", schema.base),
        format!("ANALYZE TABLE {}.t", schema.base),
        format!("CREATE VIEW {0}.v AS SELECT * FROM {0}.t", schema.base),
        format!(
            "SET SESSION sql_mode = 'ANSI_QUOTES', timestamp = 1000.25; ALTER TABLE {}.\"t\" ADD COLUMN more INT",
            schema.base
        ),
        format!("INSERT INTO {}.t VALUES (2, 'x', 3)", schema.base),
    ])
    .await;
    let mut reader = open(from, shape, 5).await;
    assert_eq!(transaction(&mut reader, &mut GtidSet::default()).await.unwrap().rows(), 1);
    let ddl = loop {
        match next(&mut reader).await.unwrap() {
            ReaderEvent::Ddl(ddl) => break ddl,
            ReaderEvent::Changes(changes) => panic!("rows before the change: {changes:?}"),
            _ => {}
        }
    };
    assert!(ddl.excerpt().contains("ADD COLUMN more"), "{}", ddl.excerpt());
    assert_eq!(
        ddl.session.timestamp_us, 1_000_000_000,
        "the fraction is logged when it is used"
    );
    assert_eq!(ddl.session.sql_mode & 4, 4, "ANSI_QUOTES");
    assert!(ddl.session.collations.is_some() && ddl.position.offset > 0);
    let table = TableName {
        schema: schema.base.clone(),
        table: "t".into(),
    };
    assert_eq!(ddl.steps, [DdlStep::Execute { table }]);
}

#[tokio::test]
async fn a_compressed_transaction_reads_as_any_other() {
    let schema = TestSchema::new("compressed").await;
    let shape = small_table(&schema).await;
    let from = executed().await;
    run(&[
        "SET SESSION binlog_transaction_compression = ON, cte_max_recursion_depth = 3000".into(),
        "BEGIN".into(),
        format!(
            "INSERT INTO {}.t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i, REPEAT('x', 100) FROM n",
            schema.base
        ),
        format!("INSERT INTO {}.other VALUES (1)", schema.base),
        format!("DELETE FROM {}.t WHERE id = 7", schema.base),
        "COMMIT".into(),
        "SET SESSION binlog_transaction_compression = OFF".into(),
        format!("INSERT INTO {}.t VALUES (7, 'again')", schema.base),
    ])
    .await;
    let mut reader = open(from, shape, 6).await;
    let mut seen = GtidSet::default();
    let compressed = transaction(&mut reader, &mut seen).await.unwrap();
    assert_eq!(compressed.rows(), 3001);
    assert!(compressed.end.offset > 0, "{:?}", compressed.end);
    assert_eq!(transaction(&mut reader, &mut seen).await.unwrap().rows(), 1);
    reader.close().await;
}

#[tokio::test]
async fn an_idle_source_says_where_it_is() {
    let schema = TestSchema::new("idle").await;
    let shape = small_table(&schema).await;
    let mut reader = open(executed().await, shape, 7).await;
    let mut conn = servers().source.conn().await;
    let (file, offset): (String, u64) = conn
        .query_first("SHOW BINARY LOG STATUS")
        .await
        .unwrap()
        .map(|row: mysql_async::Row| (row.get(0).unwrap(), row.get(1).unwrap()))
        .unwrap();
    let reached = async {
        loop {
            // A call that is dropped must lose nothing.
            let Ok(event) = timeout(Duration::from_millis(50), reader.next()).await else {
                continue;
            };
            if let ReaderEvent::Position { position } = event.unwrap()
                && (&position.file, position.offset) >= (&file, offset)
            {
                return position;
            }
        }
    };
    let position = timeout(LIMIT, reached).await.expect("a heartbeat with the position");
    assert!(position.file.starts_with("binlog."), "{position:?}");
}

#[tokio::test]
async fn a_new_reader_with_the_same_id_evicts_the_old_one_which_may_try_again() {
    let schema = TestSchema::new("evict").await;
    let shape = small_table(&schema).await;
    let from = executed().await;
    let mut old = open(from.clone(), shape.clone(), 8).await;
    next(&mut old).await.unwrap();
    let mut new = open(from, shape, 8).await;
    next(&mut new).await.unwrap();
    let evicted = async {
        loop {
            if let Err(error) = old.next().await {
                return error;
            }
        }
    };
    let error = timeout(LIMIT, evicted).await.expect("the old reader ends");
    assert_eq!(error.disposition(), Disposition::Retry, "{error}");
}

#[tokio::test]
async fn a_set_of_another_server_is_refused_by_the_source() {
    let schema = TestSchema::new("alien").await;
    let shape = small_table(&schema).await;
    let mut session = Session::connect(&database()).await.unwrap();
    let uuid: Option<String> = session.first("SELECT @@server_uuid").await.unwrap();
    let ahead = GtidSet::parse(&format!("{}:1-9000000000", uuid.unwrap())).unwrap();
    let mut reader = open(ahead, shape, 9).await;
    let error = loop {
        if let Err(error) = next(&mut reader).await {
            break error;
        }
    };
    assert_eq!(error.disposition(), Disposition::Fatal, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dump_is_read_with_a_password_with_tls_and_without() {
    let schema = TestSchema::new("dumpauth").await;
    let shape = small_table(&schema).await;
    let user = format!("dump_{}", std::process::id());
    run(&[
        format!("CREATE USER {user} IDENTIFIED BY 'secret'"),
        format!("GRANT REPLICATION SLAVE, SELECT ON *.* TO {user}"),
    ])
    .await;
    for (at, tls) in [TlsMode::Disabled, TlsMode::Preferred, TlsMode::Required]
        .into_iter()
        .enumerate()
    {
        let id = u32::try_from(at).unwrap() + 1;
        let options = ReaderOptions {
            server_id: 3_100_000_000 + std::process::id() * 16 + id,
            replica_uuid: format!("00000000-0000-4000-9000-{:08x}{id:04x}", std::process::id()),
            from: executed().await,
            heartbeat: Duration::from_secs(1),
        };
        let with = |password: &str| DatabaseSpec {
            user: user.clone(),
            password: Secret::Text(password.into()),
            tls,
            ..database()
        };
        let scope = || Scope::new(vec![(ShapeId(0), shape.clone())]);
        let mut reader = Reader::open(&with("secret"), options.clone(), scope()).await.unwrap();
        run(&[format!("INSERT INTO {}.t VALUES ({id}, '')", schema.base)]).await;
        let found = transaction(&mut reader, &mut GtidSet::default()).await.unwrap();
        assert_eq!(found.rows(), 1, "{tls:?}");
        reader.close().await;
        let refused = Reader::open(&with("wrong"), options, scope()).await.unwrap_err();
        assert!(matches!(refused, Error::Server { code: 1045, .. }), "{tls:?}: {refused}");
    }
    run(&[format!("DROP USER {user}")]).await;
}
