//! Memory and time of transactions that are larger than memory, with real peers: one beside each server.
//!
//! The sizes here are small enough for the suite. `PEER_TEST_BIG_ROWS=5000000 PEER_TEST_BIG_MIB=2048 PEER_TEST_BINARY=target/release/peer
//! scripts/test --test big_transactions -- --nocapture` measures the large ones; every test prints what the peers needed at most.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use support::job_bed::JobBed;
use support::servers::servers;
use support::wait::until;

/// `limits.memory` that the peers of these tests have: the default.
const LIMIT_MIB: u64 = 64;
/// What a peer may have at most: code, stacks, tables of the allocator and of the connections, and its limit.
const PEAK_MIB_MAX: u64 = LIMIT_MIB + 126;
/// For what takes seconds on a quiet machine, per 100,000 rows or 100 MiB.
const PATIENCE: Duration = Duration::from_secs(120);

/// One at a time: they are about one machine's memory.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A size from the environment, or that of the suite.
fn size(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number"))
    })
}

/// A peer in each site and a job from now on over table `t` of two columns.
fn streaming(word: &str) -> JobBed {
    let mut bed = JobBed::new(word, &["t"]);
    bed.job.source_site = Some("one");
    bed.job.sink_site = Some("two");
    bed.job.start = "now";
    bed.cluster.add("near-source", "one", &[]);
    bed.cluster.add("near-target", "two", &[]);
    bed.cluster.await_members(2);
    bed.on_source(&["ALTER TABLE {}.t MODIFY v LONGTEXT"]);
    bed.runtime.block_on(async {
        let shape = format!("CREATE TABLE {0}.t (id INT PRIMARY KEY, v LONGTEXT)", bed.schema.base);
        let database = format!("CREATE DATABASE IF NOT EXISTS {}", bed.schema.base);
        servers().target.run(&[&database, &shape]).await;
    });
    bed.submit();
    bed.await_state("streaming");
    bed
}

/// Rows `first` to `last` of one statement, with `bytes` of text in each.
fn insert(first: u64, last: u64, bytes: u64) -> String {
    let repeats = bytes.div_ceil(32);
    format!(
        "INSERT INTO {{}}.t WITH RECURSIVE s (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) \
         SELECT n, REPEAT(LEFT(SHA2(n, 256), 32), {repeats}) FROM s"
    )
}

/// Runs one transaction on the source.
fn transaction(bed: &JobBed, session: &str, statements: &[String]) {
    let begin = [
        "SET GLOBAL sync_binlog = 0, GLOBAL innodb_flush_log_at_trx_commit = 2, SESSION cte_max_recursion_depth = 4294967295",
        session,
        "USE {}",
        "BEGIN",
    ];
    let statements = statements.iter().map(String::as_str);
    let all: Vec<&str> = begin.into_iter().chain(statements).chain(["COMMIT"]).collect();
    bed.on_source(&all);
}

/// Waits for all of the source's rows on the target, which come at once, and says what the peers needed.
fn arrived(bed: &JobBed, what: &str, units: u64) {
    let rows = "SELECT COUNT(*) FROM {}.t";
    let wanted: u64 = bed
        .source_text(&bed.filled(&rows.replace("COUNT(*)", "CAST(COUNT(*) AS CHAR)")))
        .parse()
        .unwrap();
    let start = Instant::now();
    let (mut seen, mut bytes) = (0, 0);
    until(what, PATIENCE * u32::try_from(units.max(1)).unwrap(), || {
        let found = bed.target_number(rows);
        assert!(found == 0 || found == wanted, "{found} of {wanted} rows are visible");
        let status = bed.status();
        if let Some(rows) = status["transaction"]["rows"].as_u64() {
            assert!(rows <= wanted, "{rows} rows of {wanted} are applied");
            seen = rows.max(seen);
            bytes = status["transaction"]["bytes"].as_u64().unwrap_or(0).max(bytes);
        }
        (found == wanted).then_some(())
    });
    let sum = |server| {
        bed.text(
            server,
            "SELECT CONCAT_WS(' ', COUNT(*), SUM(id), SUM(CRC32(CONCAT(id, v)))) FROM {}.t",
        )
    };
    assert_eq!(sum(&bed.source), sum(&servers().target), "the rows differ");
    let peaks: Vec<(String, u64)> = bed
        .cluster
        .peers
        .iter()
        .map(|peer| (peer.name.clone(), peer.peak_mib()))
        .collect();
    assert!(
        seen > 0 && bytes >= seen,
        "the progress of the transaction was not shown: {seen} rows, {bytes} bytes"
    );
    bed.await_status("nothing is being applied", |status| status["transaction"].is_null());
    println!(
        "{what}: {wanted} rows in {:.1} s, at most {peaks:?} MiB",
        start.elapsed().as_secs_f64()
    );
    for (name, peak) in peaks {
        assert!(
            peak <= PEAK_MIB_MAX,
            "{what}: {name} had {peak} MiB, at most {PEAK_MIB_MAX} with a limit of {LIMIT_MIB}"
        );
    }
}

#[test]
fn memory_is_bounded_whatever_the_rows_of_a_transaction() {
    let _alone = alone();
    let bed = streaming("bigrows");
    let rows = size("PEER_TEST_BIG_ROWS", 300_000);
    transaction(&bed, "DO 0", &[insert(1, rows, 32)]);
    arrived(&bed, "narrow rows", rows / 100_000);
}

#[test]
fn memory_is_bounded_whatever_the_bytes_of_a_transaction() {
    let _alone = alone();
    let bed = streaming("bigbytes");
    let mib = size("PEER_TEST_BIG_MIB", 300);
    transaction(&bed, "DO 0", &[insert(1, mib * 16, 64 << 10)]);
    arrived(&bed, "rows of 64 KiB", mib / 100);
}

#[test]
fn memory_is_bounded_whatever_a_compressed_transaction_holds_once_inflated() {
    let _alone = alone();
    let bed = streaming("bigpacked");
    let mib = size("PEER_TEST_BIG_MIB", 400);
    let session = "SET SESSION binlog_transaction_compression = ON";
    transaction(&bed, session, &[insert(1, mib * 16, 64 << 10)]);
    arrived(&bed, "compressed rows of 64 KiB", mib / 100);
}
