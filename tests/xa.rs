//! XA on the source: rows arrive at their XA COMMIT, once, whatever dies in between (PROTOCOLS 4).

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::Value;
use support::guard;
use support::job_bed::JobBed;
use support::servers::{Server, servers};
use support::wait::until;
use tokio::runtime::Runtime;

/// For what takes seconds on a quiet machine.
const LIMIT: Duration = Duration::from_secs(90);

/// One test at a time: a job cannot begin while the transaction of another test is prepared.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rolls back what a test that fails leaves prepared: nobody could drop its tables.
struct EndAll(Server);

impl Drop for EndAll {
    fn drop(&mut self) {
        Runtime::new().unwrap().block_on(end_all(self.0));
    }
}

async fn end_all(server: Server) {
    let mut conn = server.conn().await;
    let left: Vec<(i64, usize, usize, String)> = conn.query("XA RECOVER CONVERT XID").await.unwrap();
    for (format, global, _, data) in left {
        let (global, branch) = data[2..].split_at(global * 2);
        let xid = format!("X'{global}',X'{branch}',{format}");
        conn.query_drop(format!("XA ROLLBACK {xid}")).await.unwrap();
    }
    conn.disconnect().await.unwrap();
}

/// Prepares a transaction, in a session that ends with it. `xid` is written as XA START takes it.
fn prepare(bed: &JobBed, xid: &str, statements: &[&str]) {
    let (start, end, prepare) = (
        format!("XA START {xid}"),
        format!("XA END {xid}"),
        format!("XA PREPARE {xid}"),
    );
    let all = [&[start.as_str()], statements, &[end.as_str(), prepare.as_str()]].concat();
    bed.on_source(&all);
}

fn commit(bed: &JobBed, xid: &str) {
    bed.on_source(&[&format!("XA COMMIT {xid}")]);
}

fn await_job(bed: &JobBed, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(what, LIMIT, || {
            last = bed.cluster.any().json(&["status", &bed.job.name]).ok()?;
            assert_ne!(last["state"], "failed", "{last:#}");
            wanted(&last).then(|| last.clone())
        })
    }));
    waited.unwrap_or_else(|_| panic!("{what}; last status: {last:#}"))
}

/// Waits until the job has failed, for longer than it waits for prepared transactions, and says why.
fn failure(bed: &JobBed) -> String {
    until("the job is failed", 2 * LIMIT, || {
        let status = bed.status();
        (status["state"] == "failed").then(|| status["errors"][0].to_string())
    })
}

/// Waits until the target has all that is committed on the source now, and everything is equal.
fn await_equal(bed: &JobBed) {
    bed.await_equal(LIMIT);
    assert_ne!(bed.status()["state"], "failed", "{:#}", bed.status());
}

/// Waits for a row that is written now to arrive, so that everything before it was looked at.
fn pass(bed: &JobBed, id: u32) {
    bed.on_source(&[&format!("INSERT INTO {{}}.t VALUES ({id}, 'behind')")]);
    until("the row behind", LIMIT, || {
        (rows(bed, "t", &id.to_string()) == 1).then_some(())
    });
}

fn rows(bed: &JobBed, table: &str, ids: &str) -> u64 {
    bed.target_number(&format!("SELECT COUNT(*) FROM {{}}.{table} WHERE id IN ({ids})"))
}

#[test]
fn rows_arrive_at_their_xa_commit_and_what_is_rolled_back_never() {
    let _alone = alone();
    let bed = JobBed::streaming("xaorder", &["t", "u"]);
    let _ends = EndAll(bed.source);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'one'), (2, 'two')",
        "CREATE TABLE {}.elsewhere (id INT PRIMARY KEY)",
    ]);
    prepare(
        &bed,
        "'a'",
        &[
            "INSERT INTO {}.t VALUES (10, 'xa')",
            "UPDATE {}.t SET v = 'changed' WHERE id = 1",
            "DELETE FROM {}.t WHERE id = 2",
        ],
    );
    prepare(&bed, "'b'", &["INSERT INTO {}.t VALUES (11, 'never')"]);
    prepare(&bed, "'elsewhere'", &["INSERT INTO {}.elsewhere VALUES (1)"]);
    pass(&bed, 100);
    assert_eq!(rows(&bed, "t", "10, 11"), 0, "rows that are not committed arrived");
    let waiting = |status: &Value| status["prepared"]["transactions"] == 3 && status["caught_up"] == true;
    let status = await_job(&bed, "three are prepared, nothing else is missing", waiting);
    assert_eq!(
        (status["prepared"]["xid"].as_str(), &status["lag_ms"]),
        (Some("X'61',X'',1"), &Value::from(0)),
        "{status:#}"
    );
    let screen = String::from_utf8(bed.cluster.any().cli(&["status", &bed.job.name]).stdout).unwrap();
    assert!(screen.contains("3 XA transactions wait"), "{screen}");

    bed.on_source(&["XA ROLLBACK 'b'", "XA COMMIT 'elsewhere'", "XA COMMIT 'a'"]);
    bed.on_source(&[
        "XA START 'one'; INSERT INTO {}.t VALUES (12, 'one phase'); XA END 'one'; XA COMMIT 'one' ONE PHASE",
        "SET SESSION binlog_transaction_compression = ON; XA START 'small'; INSERT INTO {}.t VALUES (13, 'compressed'); SAVEPOINT s; \
         INSERT INTO {}.t VALUES (14, 'taken back'); ROLLBACK TO s; XA END 'small'; XA PREPARE 'small'; XA COMMIT 'small'",
        "XA START 'no rows'; SELECT COUNT(*) FROM {}.t; XA END 'no rows'; XA PREPARE 'no rows'; XA COMMIT 'no rows'",
        "XA START 'gone'; INSERT INTO {}.t VALUES (15, 'never prepared'); XA END 'gone'; XA ROLLBACK 'gone'",
    ]);
    await_equal(&bed);
    let done = |status: &Value| status["prepared"].is_null() && status["caught_up"] == true;
    let status = await_job(&bed, "nothing is prepared", done);
    let executed = bed.source_text("SELECT @@GLOBAL.gtid_executed").replace('\n', "");
    assert_eq!(
        status["position"]["applied"],
        executed.as_str(),
        "both ids of each transaction are applied"
    );
}

#[test]
fn many_names_are_told_apart_and_definitions_may_change_between() {
    let _alone = alone();
    let bed = JobBed::streaming("xanames", &["t", "u"]);
    let _ends = EndAll(bed.source);
    let names = [
        "'it''s'",
        "'it''s','b'",
        "X'00ff'",
        "'x','',2",
        "'y','',4294967295",
        "'XA COMMIT','x',0",
        "'ü','`'",
        "'',''",
        "X'30313233343536373839303132333435363738393031323334353637383930313233343536373839303132333435363738393031323334353637383930313233'",
    ];
    for (at, name) in names.iter().enumerate() {
        prepare(&bed, name, &[&format!("INSERT INTO {{}}.t VALUES ({at}, 'xa')")]);
    }
    // The stream ends with the change and begins anew: what is prepared is sent again.
    bed.on_source(&[
        "ALTER TABLE {}.u ADD COLUMN n INT DEFAULT 5",
        "INSERT INTO {}.u VALUES (1, 'after', 6)",
        "CREATE TABLE {}.away (id INT PRIMARY KEY)",
    ]);
    pass(&bed, 100);
    assert_eq!(rows(&bed, "t", "0, 1, 2, 3, 4, 5, 6, 7, 8"), 0);
    for (at, name) in names.iter().enumerate().rev() {
        if at == 3 {
            bed.on_source(&[&format!("XA ROLLBACK {name}")]);
        } else {
            commit(&bed, name);
        }
    }
    bed.on_source(&["ALTER TABLE {}.t ADD COLUMN n INT", "UPDATE {}.t SET n = id"]);
    // A name may be used again.
    prepare(&bed, names[0], &["INSERT INTO {}.t VALUES (200, 'again', 1)"]);
    commit(&bed, names[0]);
    await_equal(&bed);
}

fn own_server(bed_name: &str, verb: &str) {
    let folder = guard::folder().join(format!("mysql-{bed_name}"));
    let output = Command::new(guard::mysql_script()).arg(verb).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_source_that_restarts_and_peers_that_die_between_prepare_and_commit_lose_and_double_nothing() {
    let _alone = alone();
    let mut bed = JobBed::with_own_source("xakill", &["t"]);
    let _ends = EndAll(bed.source);
    for name in ["a", "b"] {
        bed.cluster.add(name, "dc1", &[]);
    }
    bed.cluster.await_members(2);
    bed.submit();
    await_job(&bed, "the job is streaming", |status| status["state"] == "streaming");
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')"]);
    let hold = |bed: &JobBed, round: u32| {
        prepare(
            bed,
            &format!("'c{round}'"),
            &[&format!("UPDATE {{}}.t SET v = 'c{round}' WHERE id = {}", round + 1)],
        );
        prepare(
            bed,
            &format!("'r{round}'"),
            &[&format!("INSERT INTO {{}}.t VALUES ({}, 'rolled back')", 50 + round)],
        );
        pass(bed, 100 + round);
        await_job(bed, "two are prepared", |status| status["prepared"]["transactions"] == 2);
    };
    let end = |bed: &JobBed, round: u32| {
        bed.on_source(&[&format!("XA COMMIT 'c{round}'"), &format!("XA ROLLBACK 'r{round}'")]);
        await_equal(bed);
        await_job(bed, "nothing is prepared", |status| status["prepared"].is_null());
    };

    hold(&bed, 0);
    own_server("xakill", "stop");
    own_server("xakill", "start");
    end(&bed, 0);

    for (round, task) in [(1, "sink"), (2, "source")] {
        hold(&bed, round);
        let name = bed.status()[task]["peer"].as_str().unwrap().to_owned();
        bed.cluster.peer_mut(&name).kill();
        let is_other = |status: &Value| status["sink"]["peer"].is_string() && status["sink"]["peer"] != name.as_str();
        await_job(&bed, "the other peer has the sink", is_other);
        let seed = bed.cluster.any().run_field("peer");
        bed.cluster.peer_mut(&name).restart(Some(&seed));
        if round == 1 {
            await_job(&bed, "they are prepared still", |status| {
                status["prepared"]["transactions"] == 2
            });
        }
        end(&bed, round);
    }

    // Both die, and what was prepared ends while nobody looks.
    hold(&bed, 3);
    bed.cluster.kill_all();
    bed.on_source(&[
        "XA COMMIT 'c3'",
        "XA ROLLBACK 'r3'",
        "INSERT INTO {}.t VALUES (200, 'meanwhile')",
    ]);
    bed.cluster.restart_all();
    await_equal(&bed);
}

#[test]
fn what_was_prepared_before_the_job_is_copied_once_it_has_ended() {
    let _alone = alone();
    let mut bed = JobBed::new("xabefore", &["t"]);
    let _ends = EndAll(bed.source);
    bed.cluster.add("one", "dc1", &[]);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one'), (2, 'two')"]);
    prepare(
        &bed,
        "'before'",
        &["INSERT INTO {}.t VALUES (3, 'xa')", "UPDATE {}.t SET v = 'xa' WHERE id = 1"],
    );
    let lists = || {
        let asking = async {
            let mut conn = bed.source.conn().await;
            let found: Option<(String, u64)> = conn.query_first("SHOW GLOBAL STATUS LIKE 'Com_xa_recover'").await.unwrap();
            conn.disconnect().await.unwrap();
            found.unwrap().1
        };
        bed.runtime.block_on(asking)
    };
    let before = lists();
    bed.submit();
    // The checks before the start look too; who looks again and again waits for what it has seen first.
    until("the job waits for what is prepared", LIMIT, || {
        (lists() > before + 6).then_some(())
    });
    // Prepared while the job waits: no concern of its start.
    prepare(&bed, "'beside'", &["INSERT INTO {}.t VALUES (4, 'xa')"]);
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(bed.status()["state"], "streaming", "the copy began without what is prepared");
    bed.on_source(&["XA COMMIT 'before'"]);
    await_job(&bed, "the job is streaming", |status| status["state"] == "streaming");
    assert_eq!(rows(&bed, "t", "3, 4"), 1, "what is prepared still is not copied");
    commit(&bed, "'beside'");
    await_equal(&bed);
}

#[test]
fn a_table_that_comes_into_the_job_while_its_rows_are_prepared_gets_them_at_their_commit() {
    let _alone = alone();
    let mut bed = JobBed::streaming("xalate", &["t", "u"]);
    let _ends = EndAll(bed.source);
    bed.cluster.kill_all();
    bed.on_source(&[
        "DROP TABLE {}.u",
        "CREATE TABLE {}.u (id INT PRIMARY KEY, v TEXT)",
        "INSERT INTO {}.u VALUES (1, 'one')",
    ]);
    // The job looks at the table when this is in the executed set and not visible.
    prepare(
        &bed,
        "'late'",
        &["INSERT INTO {}.u VALUES (2, 'xa')", "UPDATE {}.u SET v = 'xa' WHERE id = 1"],
    );
    prepare(&bed, "'never'", &["INSERT INTO {}.u VALUES (3, 'never')"]);
    bed.cluster.restart_all();
    pass(&bed, 100);
    until("the table is copied", LIMIT, || {
        (bed.target_number("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}' AND table_name = 'u'") == 1
            && rows(&bed, "u", "1") == 1)
            .then_some(())
    });
    assert_eq!(rows(&bed, "u", "2, 3"), 0);
    bed.on_source(&["XA COMMIT 'late'", "XA ROLLBACK 'never'"]);
    await_equal(&bed);
}

#[test]
fn a_job_that_cannot_know_the_rows_of_a_prepared_transaction_says_its_name() {
    let _alone = alone();
    let mut bed = JobBed::new("xastart", &["t", "u"]);
    let _ends = EndAll(bed.source);
    bed.cluster.add("one", "dc1", &[]);
    prepare(&bed, "'early'", &["INSERT INTO {}.t VALUES (1, 'xa')"]);
    let executed = bed.source_text("SELECT @@GLOBAL.gtid_executed").replace('\n', "");
    let mut names = Vec::new();
    for (name, start, table) in [("xasnapshot", "snapshot", "t"), ("xanow", "now", "u")] {
        (bed.job.name, bed.job.start) = (name.into(), start);
        bed.submit_tables(&[table]);
        names.push(name);
    }
    for name in &names {
        bed.job.name = (*name).into();
        let text = failure(&bed);
        assert!(
            text.contains("X'6561726c79',X'',1") && text.contains("XA ROLLBACK"),
            "{name}: {text}"
        );
    }
    commit(&bed, "'early'");
    for name in names {
        bed.cluster.any().json(&["purge", name, "--yes"]).unwrap();
    }
    bed.on_target(&[
        "CREATE DATABASE IF NOT EXISTS {}",
        "CREATE TABLE IF NOT EXISTS {}.t (id INT PRIMARY KEY, v TEXT)",
    ]);
    let path = bed.file_of(&["t"]);
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("start = \"now\"", &format!("start = {{ gtid = \"{executed}\" }}"));
    std::fs::write(&path, text.replace("xanow", "xagtid")).unwrap();
    bed.cluster.any().json(&["submit", &path]).unwrap();
    bed.job.name = "xagtid".into();
    let text = failure(&bed);
    assert!(
        text.contains("XA COMMIT X'6561726c79',X'',1") && text.contains("copy the tables again"),
        "{text}"
    );
}

#[test]
fn a_copy_beside_xa_transactions_loses_and_doubles_nothing() {
    let _alone = alone();
    let mut bed = JobBed::new("xacopy", &["t"]);
    let _ends = EndAll(bed.source);
    bed.cluster.add("one", "dc1", &[]);
    bed.on_source(&["SET SESSION cte_max_recursion_depth = 100000; INSERT INTO {}.t \
         WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 40000) SELECT i * 10, REPEAT('v', 200) FROM n"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..4u32 {
            let (bed, stop) = (&bed, &stop);
            scope.spawn(move || bed.runtime.block_on(write_xa(bed, writer, stop)));
        }
        std::thread::sleep(Duration::from_millis(300));
        bed.submit();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            await_job(&bed, "the job is streaming", |status| status["state"] == "streaming");
        }));
        stop.store(true, Ordering::Relaxed);
        done.unwrap();
    });
    await_equal(&bed);
}

/// XA transactions over the whole table, one after the other, some of them rolled back, each ended by another session.
async fn write_xa(bed: &JobBed, writer: u32, stop: &AtomicBool) {
    let mut first = servers().source.conn().await;
    let mut second = servers().source.conn().await;
    let table = bed.filled("{}.t");
    let mut number = writer * 7919;
    while !stop.load(Ordering::Relaxed) {
        number = number.wrapping_add(104_729);
        let (id, xid) = (number % 40_000 * 10, format!("'w{writer}','{number}'"));
        let added = id + 1 + writer;
        let changes = [
            format!("XA START {xid}"),
            format!("UPDATE {table} SET v = 'xa {number}' WHERE id = {id}"),
            format!("DELETE FROM {table} WHERE id = {added}"),
            format!("INSERT INTO {table} VALUES ({added}, 'added {number}')"),
            format!("UPDATE {table} SET id = id + 5 WHERE id = {added} AND {number} % 3 = 0"),
            format!("XA END {xid}"),
            format!("XA PREPARE {xid}"),
        ];
        // A row of another writer's may be in the way; such a transaction is rolled back.
        let mut is_prepared = true;
        for change in changes {
            is_prepared &= first.query_drop(change).await.is_ok();
        }
        let end = if is_prepared && !number.is_multiple_of(5) {
            "COMMIT"
        } else {
            "ROLLBACK"
        };
        let session = if is_prepared { &mut second } else { &mut first };
        let ended = session.query_drop(format!("XA {end} {xid}")).await;
        assert!(ended.is_ok() || !is_prepared, "{ended:?}");
    }
    for conn in [first, second] {
        conn.disconnect().await.unwrap();
    }
}

/// Rows `first` to `last` of 60 KiB, one statement.
fn large_rows(first: u32, last: u32) -> String {
    format!(
        "INSERT INTO {{}}.t WITH RECURSIVE s (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) \
         SELECT n, REPEAT(SHA2(n, 256), 960) FROM s"
    )
}

/// What a table holds, without its rows.
fn sum_of(bed: &JobBed, server: &Server) -> String {
    bed.text(server, "SELECT CONCAT_WS(' ', COUNT(*), SUM(id), SUM(CRC32(v))) FROM {}.t")
}

#[test]
fn an_xa_transaction_larger_than_memory_arrives_whole_at_its_end_whatever_dies_in_between() {
    let _alone = alone();
    let mut bed = JobBed::streaming("xalarge", &["t"]);
    let _ends = EndAll(bed.source);
    // 115 MB of rows.
    let session = "SET SESSION cte_max_recursion_depth = 100000";
    prepare(&bed, "'large'", &["USE {}", session, &large_rows(10_001, 11_900)]);
    pass(&bed, 1);
    bed.cluster.restart_all();
    pass(&bed, 2);
    await_job(&bed, "it is prepared still", |status| status["prepared"]["transactions"] == 1);
    assert_eq!(bed.target_number("SELECT COUNT(*) FROM {}.t"), 2);
    commit(&bed, "'large'");
    let all = |wanted: u64| {
        until("all rows at once", LIMIT, || {
            let found = bed.target_number("SELECT COUNT(*) FROM {}.t");
            assert!(found == wanted || found == wanted - 1_900, "{found} rows are visible");
            (found == wanted).then_some(())
        });
    };
    all(1_902);
    bed.on_source(&[
        "USE {}",
        session,
        "XA START 'one'",
        &large_rows(20_001, 21_900),
        "XA END 'one'",
        "XA COMMIT 'one' ONE PHASE",
    ]);
    all(3_802);
    assert_eq!(sum_of(&bed, &bed.source), sum_of(&bed, &servers().target));
    let peak = bed.cluster.any().peak_mib();
    println!("at most {peak} MiB in the peer that runs both tasks");
    assert!(peak < 250, "{peak} MiB");
}
