//! P1, P2, P3: ten tables copy and follow while peers are killed, and both sides end equal.
//!
//! Four writers begin before the copy and go on for `PEER_TEST_WRITE_SECONDS` (60); the peer that runs the sink and then the
//! one that runs the source get SIGKILL during the copy and again during the stream. `PEER_TEST_RUNS` repeats it.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use support::compare::assert_equal;
use support::job::JobFile;
use support::peers::TestCluster;
use support::schema::TestSchema;
use support::servers::servers;
use support::wait::{has_all, until};

/// Table, definition, an INSERT's columns and values for key number `k` and filler `f`, the column an UPDATE sets.
struct Table {
    name: &'static str,
    definition: &'static str,
    insert: fn(u64, u64) -> String,
    wherever: fn(u64) -> String,
    update: fn(u64) -> String,
}

const TABLES: &[Table] = &[
    Table {
        name: "plain",
        definition: "id BIGINT UNSIGNED PRIMARY KEY, v VARCHAR(100), n INT, KEY (n)",
        insert: |k, f| format!("({k}, 'value {f}', {f})"),
        wherever: |k| format!("id = {k}"),
        update: |f| format!("v = 'changed {f}', n = n + 1"),
    },
    Table {
        name: "words",
        definition: "word VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT",
        insert: |k, f| format!("('{}{k}', {f})", ["Ä", "b", "é", "Zz"][(k % 4) as usize]),
        wherever: |k| format!("word = '{}{k}'", ["ä", "B", "E", "zZ"][(k % 4) as usize]),
        update: |f| format!("v = {f}"),
    },
    Table {
        name: "pairs",
        definition: "a INT, b VARCHAR(20) COLLATE utf8mb4_bin, c DOUBLE, PRIMARY KEY (a, b)",
        insert: |k, f| format!("({}, 'k{k}', {f}.25)", k as i64 % 50 - 25),
        wherever: |k| format!("a = {} AND b = 'k{k}'", k as i64 % 50 - 25),
        update: |f| format!("c = {f} / 3"),
    },
    Table {
        name: "latin",
        definition: "code CHAR(12) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, v CHAR(20), d DECIMAL(20,6)",
        insert: |k, f| format!("('c{k} \u{e9}', ' pad{f} ', -{f}.000123)"),
        wherever: |k| format!("code = 'c{k} \u{e9}'"),
        update: |f| format!("d = d - {f}.5"),
    },
    Table {
        name: "moments",
        definition: "at DATETIME(6), seq SMALLINT, t TIME(3), ts TIMESTAMP(2) NULL, PRIMARY KEY (at, seq)",
        insert: |k, f| {
            format!(
                "('2024-02-28 23:59:59' + INTERVAL {k} SECOND + INTERVAL 7 MICROSECOND, {}, '-{}:00:01.5', NULL)",
                k % 9,
                f % 800
            )
        },
        wherever: |k| {
            format!(
                "at = '2024-02-28 23:59:59' + INTERVAL {k} SECOND + INTERVAL 7 MICROSECOND AND seq = {}",
                k % 9
            )
        },
        update: |f| format!("ts = FROM_UNIXTIME({f}.25), t = '{}:10:11.125'", f % 800),
    },
    Table {
        name: "binaries",
        definition: "id BINARY(16) PRIMARY KEY, v VARBINARY(60), b BLOB",
        insert: |k, f| {
            format!(
                "(UNHEX(CONCAT(LPAD(HEX({k}), 20, '0'), '000000000000')), UNHEX('00{:04X}00'), REPEAT(UNHEX('00FF'), {}))",
                f % 65536,
                f % 50
            )
        },
        wherever: |k| format!("id = UNHEX(CONCAT(LPAD(HEX({k}), 20, '0'), '000000000000'))"),
        update: |f| format!("b = CONCAT(UNHEX('00'), '{f}')"),
    },
    Table {
        name: "keyless",
        definition: "a INT, b VARCHAR(30), c FLOAT",
        insert: |k, f| format!("({}, 'row {}', {f}.1)", k % 300, f % 3),
        wherever: |k| format!("a = {} LIMIT 1", k % 300),
        update: |f| format!("b = 'changed {}'", f % 3),
    },
    Table {
        name: "decimals",
        definition: "d DECIMAL(12,3) PRIMARY KEY, e ENUM('x','y','z'), s SET('p','q','r')",
        insert: |k, f| format!("({}.125, {}, {})", k as i64 - 500, f % 3 + 1, f % 8),
        wherever: |k| format!("d = {}.125", k as i64 - 500),
        update: |f| format!("e = {}, s = {}", f % 3 + 1, f % 8),
    },
    Table {
        name: "uniques",
        definition: "code INT NOT NULL, other INT, v TEXT, UNIQUE KEY by_code (code), UNIQUE KEY by_other (other)",
        insert: |k, f| format!("({k}, {}, REPEAT('long text {f} ', {}))", k * 2, f % 40),
        wherever: |k| format!("code = {k}"),
        update: |f| format!("v = '{f}', other = code * 2 + {}", f % 2),
    },
    Table {
        name: "mixed",
        definition: "id INT AUTO_INCREMENT PRIMARY KEY, j JSON, bits BIT(17), y YEAR, dbl INT GENERATED ALWAYS AS (bits * 2) STORED, \
                     vir VARCHAR(40) GENERATED ALWAYS AS (CONCAT('y', y)) VIRTUAL",
        insert: |k, f| {
            format!(
                "({k}, JSON_OBJECT('k', {k}, 'list', JSON_ARRAY({f}, 'é', NULL, 1.5)), {}, {}, DEFAULT, DEFAULT)",
                f % 131072,
                1970 + f % 100
            )
        },
        wherever: |k| format!("id = {k}"),
        update: |f| format!("j = JSON_SET(j, '$.n', {f}), bits = {}", f % 131072),
    },
];

/// Keys per table; the first one is larger so that the copy takes a while.
fn keys(table: &Table) -> u64 {
    if table.name == "plain" { 60_000 } else { 3_000 }
}

async fn fill(schema: &TestSchema) {
    let mut conn = servers().source.conn().await;
    for table in TABLES {
        conn.query_drop(format!("CREATE TABLE {}.{} ({})", schema.base, table.name, table.definition))
            .await
            .expect(table.name);
        let all: Vec<u64> = (1..=keys(table)).filter(|k| k % 3 != 0).collect();
        for part in all.chunks(1000) {
            let rows: Vec<String> = part.iter().map(|k| (table.insert)(*k, k % 97)).collect();
            conn.query_drop(format!(
                "INSERT INTO {}.{} VALUES {}",
                schema.base,
                table.name,
                rows.join(",")
            ))
            .await
            .expect(table.name);
        }
    }
    conn.disconnect().await.expect("disconnects");
}

fn statement(schema: &str, random: &mut StdRng) -> String {
    let table = &TABLES[random.random_range(0..TABLES.len())];
    let (k, f) = (random.random_range(1..=keys(table)), random.random_range(0..1_000_000u64));
    match random.random_range(0..10) {
        0..=2 => format!("INSERT IGNORE INTO {schema}.{} VALUES {}", table.name, (table.insert)(k, f)),
        3..=7 => format!(
            "UPDATE IGNORE {schema}.{} SET {} WHERE {}",
            table.name,
            (table.update)(f),
            (table.wherever)(k)
        ),
        8 => format!("DELETE FROM {schema}.{} WHERE {}", table.name, (table.wherever)(k)),
        _ => format!("REPLACE INTO {schema}.{} VALUES {}", table.name, (table.insert)(k, f)),
    }
}

/// Writes transactions of one to six statements until told to stop; a deadlock gives the transaction up.
async fn write(mut conn: Conn, schema: String, seed: u64, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let mut random = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        let statements: Vec<String> = (0..random.random_range(1..=6))
            .map(|_| statement(&schema, &mut random))
            .collect();
        let is_kept = random.random_range(0..20) > 0;
        let end = if is_kept { "COMMIT" } else { "ROLLBACK" };
        conn.query_drop("BEGIN").await.expect("begin");
        let mut failed = None;
        for statement in &statements {
            if let Err(error) = conn.query_drop(statement.as_str()).await {
                failed = Some((statement, error));
                break;
            }
        }
        match failed {
            None => conn.query_drop(end).await.expect(end),
            Some((_, mysql_async::Error::Server(error))) if [1205, 1213].contains(&error.code) => {
                conn.query_drop("ROLLBACK").await.expect("rollback")
            }
            Some((statement, error)) => panic!("{statement}: {error}"),
        }
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..8))).await;
    }
}

fn status(cluster: &TestCluster, job: &str) -> Value {
    cluster
        .any()
        .json(&["status", job])
        .unwrap_or_else(|e| panic!("status {job}: {e}"))
}

/// Waits for a state that `wanted` accepts.
fn await_status(cluster: &TestCluster, job: &str, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(what, limit, || {
            last = status(cluster, job);
            assert_ne!(last["state"], "failed", "the job failed: {last:#}");
            wanted(&last).then(|| last.clone())
        })
    }));
    found.unwrap_or_else(|_| panic!("{what}; last status: {last:#}"))
}

/// Kills the owner of a task, waits until another peer has it, then starts the killed one again.
fn kill_owner(cluster: &mut TestCluster, job: &str, task: &str, phase: &str) {
    let owner = await_status(
        cluster,
        job,
        &format!("an owner of the {task} task"),
        Duration::from_secs(30),
        |s| s[task]["peer"].is_string(),
    );
    let name = owner[task]["peer"].as_str().unwrap().to_owned();
    eprintln!("kill -9 {name} ({task}) while {} [{phase}]", owner["state"]);
    cluster.peer_mut(&name).kill();
    let start = Instant::now();
    let next = await_status(
        cluster,
        job,
        &format!("another peer runs the {task} task"),
        Duration::from_secs(30),
        |s| {
            s[task]["peer"].is_string()
                && s[task]["peer"] != name.as_str()
                && ["copying", "streaming"].contains(&s["state"].as_str().unwrap_or(""))
        },
    );
    eprintln!(
        "{} has it after {:.1} s, {}",
        next[task]["peer"],
        start.elapsed().as_secs_f32(),
        next["state"]
    );
    let seed = cluster.any().run_field("peer");
    cluster.peer_mut(&name).restart(Some(&seed));
}

async fn one_run(run: u64) {
    let schema = TestSchema::new("kills").await;
    fill(&schema).await;
    let mut cluster = TestCluster::two_by_two("kills");

    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let mut writers = Vec::new();
    for writer in 0..4 {
        let conn = servers().source.conn().await;
        writers.push(tokio::spawn(write(
            conn,
            schema.base.clone(),
            run * 10 + writer,
            stop.clone(),
            written.clone(),
        )));
    }
    let started = Instant::now();
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let file = support::guard::folder().join(format!("{}.toml", schema.base));
    // A slow link makes the copy long enough to be killed in the middle.
    let mut job = JobFile::new("kills");
    job.extra = "[link]\nrate = \"400 KB/s\"\n".into();
    std::fs::write(&file, job.text(&schema, &tables)).unwrap();
    let accepted = cluster.any().json(&["submit", &file.display().to_string()]).expect("submit");
    assert_eq!(accepted["result"], "accepted");

    tokio::task::block_in_place(|| {
        let is_copying = |s: &Value| s["state"] == "copying" && s["copy"]["rows"].as_u64() > Some(0);
        await_status(&cluster, "kills", "rows are copied", Duration::from_secs(30), is_copying);
        kill_owner(&mut cluster, "kills", "sink", "copy");
        kill_owner(&mut cluster, "kills", "source", "copy");
        await_status(&cluster, "kills", "the copy is done", Duration::from_secs(90), |s| {
            s["state"] == "streaming"
        });
        kill_owner(&mut cluster, "kills", "sink", "stream");
        kill_owner(&mut cluster, "kills", "source", "stream");
    });
    let seconds = std::env::var("PEER_TEST_WRITE_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(60);
    tokio::time::sleep(Duration::from_secs(seconds).saturating_sub(started.elapsed())).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer");
    }
    let executed = servers().source.executed().await;
    tokio::task::block_in_place(|| {
        await_status(&cluster, "kills", "the target has everything", Duration::from_secs(60), |s| {
            has_all(s, &executed)
        });
    });
    assert_equal(&servers().source, &servers().target, &schema.base, &tables).await;
    eprintln!(
        "run {run}: {} transactions, ten tables equal after {:.0} s",
        written.load(Ordering::Relaxed),
        started.elapsed().as_secs_f32()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p2_p3_ten_tables_are_equal_after_sink_and_source_peers_were_killed_in_copy_and_stream() {
    let runs = std::env::var("PEER_TEST_RUNS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for run in 1..=runs {
        one_run(run).await;
    }
}
