//! The workloads: tables with their first rows, and the backlog of transactions, from a fixed seed.

use crate::Options;
use crate::support::random::Random;

/// Tables and a backlog.
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    /// A job each.
    pub schemas: Vec<String>,
    /// The tables of every schema.
    pub tables: Vec<Table>,
    pub transactions: u64,
    /// Rows that are changed in all.
    pub rows: u64,
    pub make: fn(&Workload, u64, &mut Random) -> String,
}

/// A table and the query that gives its first rows; `{n}` numbers them from 1.
#[derive(Clone)]
pub struct Table {
    pub name: String,
    pub columns: String,
    pub rows: u64,
    pub row: String,
}

/// 1 to `top`.
fn up_to(random: &mut Random, top: u64) -> u64 {
    random.below(top) + 1
}

/// Digits in groups, as sysbench writes them.
fn digits(random: &mut Random, groups: usize) -> String {
    let group = |random: &mut Random| format!("{:011}", random.below(100_000_000_000));
    (0..groups).map(|_| group(random)).collect::<Vec<_>>().join("-")
}

const OLTP_COLUMNS: &str =
    "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY k_1 (k)";
const OLTP_ROW: &str = "{n}, CRC32({n}) % 100000 + 1, \
    CONCAT_WS('-', LPAD(CRC32({n}), 11, '0'), LPAD(CRC32({n} + 1), 11, '1'), LPAD(CRC32({n} + 2), 11, '2'), LPAD(CRC32({n} + 3), 11, '3'), \
    LPAD(CRC32({n} + 4), 11, '4'), LPAD(CRC32({n} + 5), 11, '5'), LPAD(CRC32({n} + 6), 11, '6'), LPAD(CRC32({n} + 7), 11, '7'), \
    LPAD(CRC32({n} + 8), 11, '8'), LPAD(CRC32({n} + 9), 11, '9')), \
    CONCAT_WS('-', LPAD(CRC32({n} + 10), 11, '0'), LPAD(CRC32({n} + 11), 11, '1'), LPAD(CRC32({n} + 12), 11, '2'), \
    LPAD(CRC32({n} + 13), 11, '3'), LPAD(CRC32({n} + 14), 11, '4'))";

/// Four tables of sysbench's shape.
pub fn oltp_tables(rows: u64) -> Vec<Table> {
    let table = |number| Table {
        name: format!("sbtest{number}"),
        columns: OLTP_COLUMNS.into(),
        rows,
        row: OLTP_ROW.into(),
    };
    (1..=4).map(table).collect()
}

/// The same with 96 integers more.
fn wide_tables(rows: u64) -> Vec<Table> {
    let more: String = (0..96).map(|n| format!(", w{n} INT NOT NULL")).collect();
    let values: String = (0..96).map(|n| format!(", CRC32({{n}} + {n}) >> 1")).collect();
    let widen = |table: Table| Table {
        columns: format!("{}{more}", table.columns),
        row: format!("{}{values}", table.row),
        ..table
    };
    oltp_tables(rows).into_iter().map(widen).collect()
}

/// sysbench's write-only transaction: an indexed update, an update, a delete and an insert of the same row.
fn oltp(workload: &Workload, _: u64, random: &mut Random) -> String {
    let rows = workload.tables[0].rows;
    let mut at = || (up_to(random, 4), up_to(random, rows));
    let ((t1, i1), (t2, i2), (t3, i3)) = (at(), at(), at());
    let (k, c, pad) = (up_to(random, rows), digits(random, 10), digits(random, 5));
    let wide = workload.tables[0].columns.contains("w95");
    let more = if wide { ", 7".repeat(96) } else { String::new() };
    let changed = digits(random, 10);
    format!(
        "BEGIN;UPDATE sbtest{t1} SET k = k + 1 WHERE id = {i1};UPDATE sbtest{t2} SET c = '{changed}' WHERE id = {i2};\
         DELETE FROM sbtest{t3} WHERE id = {i3};INSERT INTO sbtest{t3} VALUES ({i3}, {k}, '{c}', '{pad}'{more});COMMIT"
    )
}

fn table(name: &str, columns: &str, rows: u64, row: &str) -> Vec<Table> {
    vec![Table {
        name: name.into(),
        columns: columns.into(),
        rows,
        row: row.into(),
    }]
}

/// Everything, W1 to W8.
pub fn all(options: &Options) -> Vec<Workload> {
    let n = |count| options.scaled(count);
    let one = vec!["bench".to_owned()];
    let narrow = "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL, b INT NOT NULL";
    vec![
        Workload {
            name: "W1",
            about: "single-row inserts, narrow",
            schemas: one.clone(),
            tables: table("t", narrow, 0, ""),
            transactions: n(100_000),
            rows: n(100_000),
            make: |_, _, random| {
                format!(
                    "INSERT INTO t (a, b) VALUES ({}, {})",
                    up_to(random, 1 << 30),
                    up_to(random, 1 << 30)
                )
            },
        },
        Workload {
            name: "W2",
            about: "sysbench write-only shape, 4 tables",
            schemas: one.clone(),
            tables: oltp_tables(n(100_000)),
            transactions: n(50_000),
            rows: 4 * n(50_000),
            make: oltp,
        },
        Workload {
            name: "W3",
            about: "single-row updates of 1 KB rows",
            schemas: one.clone(),
            tables: table(
                "t",
                "id INT NOT NULL PRIMARY KEY, n INT NOT NULL, v VARCHAR(1000) NOT NULL",
                n(50_000),
                "{n}, 0, REPEAT(SHA2({n}, 256), 15)",
            ),
            transactions: n(50_000),
            rows: n(50_000),
            make: |workload, at, random| {
                let id = up_to(random, workload.tables[0].rows);
                format!(
                    "UPDATE t SET n = {at} + 1, v = REPEAT('{}', 28) WHERE id = {id}",
                    digits(random, 3)
                )
            },
        },
        Workload {
            name: "W4",
            about: "100 hot rows",
            schemas: one.clone(),
            tables: table("t", "id INT NOT NULL PRIMARY KEY, n BIGINT NOT NULL", 100, "{n}, 0"),
            transactions: n(100_000),
            rows: n(100_000),
            make: |_, _, random| format!("UPDATE t SET n = n + 1 WHERE id = {}", up_to(random, 100)),
        },
        Workload {
            name: "W5",
            about: "one insert of 1M rows",
            schemas: one.clone(),
            tables: [
                table(
                    "t",
                    "id INT NOT NULL PRIMARY KEY, k INT NOT NULL, v VARCHAR(40) NOT NULL, KEY (k)",
                    0,
                    "",
                ),
                table("seed", "id INT NOT NULL PRIMARY KEY", n(1_000_000), "{n}"),
            ]
            .concat(),
            transactions: 1,
            rows: n(1_000_000),
            make: |_, _, _| "INSERT INTO t SELECT id, CRC32(id) >> 1, LEFT(SHA2(id, 256), 32) FROM seed ORDER BY id".into(),
        },
        Workload {
            name: "W6",
            about: "single-row deletes",
            schemas: one.clone(),
            tables: oltp_tables(n(100_000)).drain(..1).collect(),
            transactions: n(100_000),
            rows: n(100_000),
            // 7 has no divisor in common with the count of rows: each is met once.
            make: |workload, at, _| format!("DELETE FROM sbtest1 WHERE id = {}", (at * 7) % workload.tables[0].rows + 1),
        },
        Workload {
            name: "W7",
            about: "the stream of W2 with rows of 100 columns",
            schemas: one,
            tables: wide_tables(n(25_000)),
            transactions: n(20_000),
            rows: 4 * n(20_000),
            make: oltp,
        },
        Workload {
            name: "W8",
            about: "20 jobs at once, a schema each",
            schemas: (0..20).map(|number| format!("bench_{number}")).collect(),
            tables: table(
                "t",
                "id INT NOT NULL PRIMARY KEY, k INT NOT NULL, v VARCHAR(100) NOT NULL, KEY (k)",
                n(5_000),
                "{n}, CRC32({n}) >> 1, LEFT(SHA2({n}, 256), 32)",
            ),
            transactions: n(50_000),
            rows: n(50_000),
            make: |workload, at, random| {
                let schema = &workload.schemas[usize::try_from(at % 20).unwrap()];
                let id = up_to(random, workload.tables[0].rows);
                format!(
                    "UPDATE {schema}.t SET k = {}, v = '{}' WHERE id = {id}",
                    up_to(random, 1 << 30),
                    digits(random, 4)
                )
            },
        },
    ]
}
