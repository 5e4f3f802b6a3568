//! Random tables, random rows, random changes: half of the rows are copied, the rest is streamed, and both sides end equal.
//!
//! `RANDOM_SCHEMA_TABLES` (200) tables, at most `TABLES_PER_JOB` in one job; `RANDOM_SCHEMA_SEED` (1) draws others, the seed is
//! printed. `RANDOM_SCHEMA_SHOW=t106` prints the statements about a table. A difference shows the table, its definition and the rows. `scripts/fuzz schema` runs 10,000 tables of another seed.

#![allow(clippy::unwrap_used)]

mod column;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use support::compare;
use support::guard;
use support::job::JobFile;
use support::peers::TestCluster;
use support::schema::TestSchema;
use support::servers::servers;
use table::Table;

const TABLES_PER_JOB: usize = 200;
/// Statements about each table before the job, and while it streams.
const STATEMENTS: usize = 12;
/// One job with all its tables, on a busy machine.
const LIMIT: Duration = Duration::from_secs(200);
/// Lenient, so that most of what is drawn is stored as something.
const SESSION: &str = "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+03:00', lock_wait_timeout = 20, foreign_key_checks = 0, \
                       sql_generate_invisible_primary_key = OFF";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

/// What the statements came to.
#[derive(Default)]
struct Written {
    done: usize,
    refused: usize,
}

/// Runs statements about all tables; what the server refuses is left out, as a client would leave it out.
async fn write(conn: &mut Conn, tables: &[Table], random: &mut StdRng, written: &mut Written) {
    let shown = std::env::var("RANDOM_SCHEMA_SHOW").ok();
    for table in tables {
        let statements: Vec<String> = (0..STATEMENTS).map(|_| table.statement(random)).collect();
        for part in statements.chunks(random.random_range(1..=4)) {
            let end = if random.random_bool(0.1) { "ROLLBACK" } else { "COMMIT" };
            conn.query_drop("BEGIN").await.unwrap();
            for sql in part {
                let outcome = conn.query_drop(sql).await;
                if shown.as_deref() == Some(&table.name) {
                    println!("{sql}; -- {end} {}", if outcome.is_ok() { "" } else { "refused" });
                }
                match outcome {
                    Ok(()) => written.done += 1,
                    Err(mysql_async::Error::Server(_)) => written.refused += 1,
                    Err(error) => panic!("{sql}: {error}"),
                }
            }
            conn.query_drop(end).await.unwrap();
        }
    }
}

/// Makes tables until there are enough; a definition the server refuses is drawn again.
async fn create(conn: &mut Conn, count: usize, random: &mut StdRng) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut refused = 0;
    while tables.len() < count {
        let table = Table::draw(tables.len(), random);
        match conn.query_drop(table.definition()).await {
            Ok(()) => tables.push(table),
            Err(mysql_async::Error::Server(error)) => {
                refused += 1;
                assert!(refused < 2 * count + 20, "{}: {error}", table.definition());
            }
            Err(error) => panic!("{}: {error}", table.definition()),
        }
    }
    tables
}

/// Waits until the job streams and, when `mark` is told, until that row is on the target.
async fn await_target(cluster: &TestCluster, job: &str, mark: Option<&str>) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let status = tokio::task::block_in_place(|| cluster.any().json(&["status", job])).unwrap_or(Value::Null);
        let is_here = match mark {
            None => true,
            Some(sql) => servers().target.number(sql).await == 1,
        };
        if status["state"] == "streaming" && is_here {
            return Ok(());
        }
        let is_over = ["failed", "paused", "stopped"].contains(&status["state"].as_str().unwrap_or_default());
        if is_over || start.elapsed() > LIMIT {
            return Err(format!(
                "the job is {}: {} {}",
                status["state"], status["reason"], status["errors"]
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One job over new tables; what differs at its end.
async fn round(cluster: &TestCluster, count: usize, seed: u64) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let schema = TestSchema::new("random").await;
    let mut conn = servers().source.conn().await;
    conn.query_drop(format!("USE {}", schema.base)).await.unwrap();
    conn.query_drop(SESSION).await.unwrap();
    conn.query_drop("CREATE TABLE mark (id INT PRIMARY KEY)").await.unwrap();
    let tables = create(&mut conn, count, &mut random).await;
    let mut written = Written::default();
    write(&mut conn, &tables, &mut random, &mut written).await;

    let name = format!("random-{seed}");
    let mut job = JobFile::new(&name);
    (job.source_site, job.sink_site) = (None, None);
    job.extra = format!("[[tables]]\nschema = \"{}\"\n", schema.base);
    let file = guard::folder().join(format!("{}.toml", schema.base));
    std::fs::write(&file, job.text(&schema, &[])).unwrap();
    let act = |args: &[&str]| tokio::task::block_in_place(|| cluster.any().json(args)).unwrap();
    act(&["submit", &file.display().to_string()]);
    let mut ended = await_target(cluster, &name, None).await;
    if ended.is_ok() {
        write(&mut conn, &tables, &mut random, &mut written).await;
        conn.query_drop("INSERT INTO mark VALUES (1)").await.unwrap();
        let mark = format!("SELECT COUNT(*) FROM {}.mark", schema.base);
        ended = await_target(cluster, &name, Some(&mark)).await;
    }
    let mut wrong: Vec<String> = ended.err().into_iter().collect();
    if let Some(difference) = compare::schema_difference(&servers().source, &servers().target, &schema.base).await {
        wrong.push(difference);
        let is_named = |table: &&Table| {
            wrong
                .iter()
                .any(|text| text.contains(&format!(".{}:", table.name)) || text.contains(&format!(".{} ", table.name)))
        };
        let definitions: Vec<String> = tables.iter().filter(is_named).map(Table::definition).collect();
        wrong.extend(definitions);
    }
    act(&["purge", &name, "--yes"]);
    conn.disconnect().await.unwrap();
    assert!(
        written.done > written.refused,
        "{} statements ran, {} were refused",
        written.done,
        written.refused
    );
    println!(
        "seed {seed}: {count} tables, {} statements, {} refused by the source",
        written.done, written.refused
    );
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tables_with_random_rows_end_equal() {
    let mut left = usize::try_from(number("RANDOM_SCHEMA_TABLES").unwrap_or(200)).unwrap();
    let mut seed = number("RANDOM_SCHEMA_SEED").unwrap_or(1);
    println!("RANDOM_SCHEMA_SEED={seed}");
    let mut cluster = TestCluster::new("random");
    tokio::task::block_in_place(|| cluster.add("one", "dc1", &[]));
    while left > 0 {
        let count = left.min(TABLES_PER_JOB);
        let wrong = round(&cluster, count, seed).await;
        assert!(
            wrong.is_empty(),
            "RANDOM_SCHEMA_SEED={seed} RANDOM_SCHEMA_TABLES={count}\n{}",
            wrong.join("\n")
        );
        left -= count;
        seed += 1;
    }
}
