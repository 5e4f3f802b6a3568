//! Where a job begins: at a GTID set, at a position of the binlog, anew after a purge; and what it says when it cannot.
//!
//! Two of the walk-throughs of docs/walk-throughs.md are stories here: two sources into one table, and purge and submit again.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::Value;
use support::guard;
use support::job_bed::JobBed;
use support::servers::{self, Server, servers};
use support::wait::until;

const LIMIT: Duration = Duration::from_secs(20);

fn run(bed: &JobBed, server: &Server, statements: &[&str]) {
    let statements: Vec<String> = statements.iter().map(|sql| bed.filled(sql)).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    bed.runtime.block_on(server.run(&statements));
}

fn executed(bed: &JobBed, server: &Server) -> String {
    bed.text(server, "SELECT @@GLOBAL.gtid_executed").replace('\n', "")
}

/// Submits a job over table `t` of the bed's schema.
fn submit(bed: &JobBed, name: &str, source: &Server, start: &str) {
    submit_with(bed, name, source, start, &[]);
}

/// The same without the check, which would say what the task shall say.
fn submit_unchecked(bed: &JobBed, name: &str, source: &Server, start: &str) {
    submit_with(bed, name, source, start, &["--no-check"]);
}

fn submit_with(bed: &JobBed, name: &str, source: &Server, start: &str, flags: &[&str]) {
    let (base, meta) = (&bed.schema.base, &bed.schema.meta);
    let end = |port: u16| format!("host = \"127.0.0.1\"\nport = {port}\nuser = \"root\"\npassword = \"\"\n");
    // Two sources into one table: somebody says that no key is in both.
    let merge = matches!(name, "first" | "second");
    let job = format!(
        "name = \"{name}\"\n[source]\n{}start = {start}\n[sink]\n{}meta_schema = \"{meta}\"\n[[tables]]\nschema = \"{base}\"\ntable = \"t\"\nmerge = {merge}\n",
        end(source.port),
        end(servers().target.port)
    );
    let path = guard::folder().join(format!("{base}-{name}.toml"));
    std::fs::write(&path, job).unwrap();
    bed.cluster
        .any()
        .json(&[&["submit", path.to_str().unwrap()], flags].concat())
        .unwrap_or_else(|talk| panic!("{talk}"));
}

/// A job that failed still owns its tables.
fn purge(bed: &JobBed, name: &str) {
    bed.cluster
        .any()
        .json(&["purge", name, "--yes"])
        .unwrap_or_else(|talk| panic!("{talk}"));
}

fn await_state(bed: &JobBed, name: &str, state: &str) -> Value {
    let mut last = Value::Null;
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(&format!("{name} is {state}"), LIMIT, || {
            last = bed.cluster.any().json(&["status", name]).ok()?;
            (last["state"] == state).then_some(())
        });
    }));
    assert!(waited.is_ok(), "{name} is not {state}: {last:#}");
    last
}

const ROWS: &str = "SELECT IFNULL(GROUP_CONCAT(CONCAT(id, v) ORDER BY id), '') FROM {}.t";

fn await_rows(bed: &JobBed, expected: &str) {
    let mut last = String::new();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("the rows are there", LIMIT, || {
            last = bed.text(&servers().target, ROWS);
            (last == expected).then_some(())
        });
    }));
    assert!(waited.is_ok(), "expected {expected}, found {last}");
}

const TABLE: &str = "CREATE TABLE {}.t (id INT PRIMARY KEY, v VARCHAR(20))";

#[test]
fn two_sources_feed_one_table_from_given_gtid_sets() {
    let mut bed = JobBed::new("two_into_one", &[]);
    let (one, two) = (servers().source, servers::start("second-source", &[]));
    run(&bed, &two, &["CREATE DATABASE {}"]);
    bed.cluster.add("one", "dc1", &[]);
    for server in [&one, &two] {
        run(&bed, server, &[TABLE]);
    }
    let (begin_one, begin_two) = (executed(&bed, &one), executed(&bed, &two));
    run(
        &bed,
        &one,
        &[
            "INSERT INTO {}.t VALUES (1, 'a'), (2, 'a')",
            "INSERT INTO {}.t VALUES (3, 'a')",
        ],
    );
    run(&bed, &two, &["INSERT INTO {}.t VALUES (4, 'b'), (5, 'b'), (6, 'b')"]);
    submit(&bed, "first", &one, &format!("{{ gtid = \"{begin_one}\" }}"));
    await_state(&bed, "first", "streaming");
    await_rows(&bed, "1a,2a,3a");
    submit(&bed, "second", &two, &format!("{{ gtid = \"{begin_two}\" }}"));
    await_state(&bed, "second", "streaming");
    await_rows(&bed, "1a,2a,3a,4b,5b,6b");
    run(
        &bed,
        &two,
        &["INSERT INTO {}.t VALUES (8, 'b')", "DELETE FROM {}.t WHERE id = 4"],
    );
    run(
        &bed,
        &one,
        &["INSERT INTO {}.t VALUES (7, 'a')", "UPDATE {}.t SET v = 'A' WHERE id = 1"],
    );
    await_rows(&bed, "1A,2a,3a,5b,6b,7a,8b");
}

#[test]
fn a_job_begins_at_a_position_of_the_binlog() {
    let mut bed = JobBed::new("position", &[]);
    let source = servers().source;
    run(
        &bed,
        &source,
        &[TABLE, "INSERT INTO {}.t VALUES (1, 'before')", "FLUSH BINARY LOGS"],
    );
    run(&bed, &source, &["INSERT INTO {}.t VALUES (2, 'before')"]);
    let (file, position) = bed.runtime.block_on(async {
        let mut conn = source.conn().await;
        let row: (String, u64, String, String, String) = conn.query_first("SHOW BINARY LOG STATUS").await.unwrap().unwrap();
        conn.disconnect().await.unwrap();
        (row.0, row.1)
    });
    run(
        &bed,
        &source,
        &["INSERT INTO {}.t VALUES (3, 'after')", "INSERT INTO {}.t VALUES (4, 'after')"],
    );
    bed.cluster.add("one", "dc1", &[]);
    submit(
        &bed,
        "inside",
        &source,
        &format!("{{ file = \"{file}\", position = {} }}", position + 80),
    );
    let status = await_state(&bed, "inside", "failed").to_string();
    assert!(
        status.contains("inside transaction") || status.contains("inside an event"),
        "{status}"
    );
    purge(&bed, "inside");
    submit_unchecked(&bed, "lost", &source, "{ file = \"binlog.999999\", position = 4 }");
    let status = await_state(&bed, "lost", "failed").to_string();
    assert!(status.contains("no such file") && status.contains(&file), "{status}");
    purge(&bed, "lost");
    submit(
        &bed,
        "position",
        &source,
        &format!("{{ file = \"{file}\", position = {position} }}"),
    );
    await_state(&bed, "position", "streaming");
    await_rows(&bed, "3after,4after");
}

#[test]
fn a_set_that_was_purged_or_never_executed_is_named() {
    let mut bed = JobBed::new("purged", &[]);
    let source = servers::start("purged-source", &[]);
    run(&bed, &source, &["CREATE DATABASE {}", TABLE]);
    let begin = executed(&bed, &source);
    run(&bed, &source, &["INSERT INTO {}.t VALUES (1, 'a')", "FLUSH BINARY LOGS"]);
    let last = bed.text(&source, "SELECT SUBSTRING_INDEX(@@log_bin_basename, '/', -1)");
    run(&bed, &source, &[&format!("PURGE BINARY LOGS TO '{last}.000002'")]);
    let purged = executed(&bed, &source);
    bed.cluster.add("one", "dc1", &[]);
    submit_unchecked(&bed, "purged", &source, &format!("{{ gtid = \"{begin}\" }}"));
    let status = await_state(&bed, "purged", "failed").to_string();
    let number = purged.rsplit(['-', ':']).next().unwrap();
    assert!(
        status.contains("purged") && status.contains(&format!(":{number}")),
        "{purged}: {status}"
    );
    let uuid = bed.text(&source, "SELECT @@server_uuid");
    submit_unchecked(&bed, "ahead", &source, &format!("{{ gtid = \"{uuid}:1-999999\" }}"));
    let status = await_state(&bed, "ahead", "failed").to_string();
    assert!(status.contains("has not executed") && status.contains("999999"), "{status}");
}

#[test]
fn purge_and_submit_again_starts_clean() {
    let mut bed = JobBed::new("again", &[]);
    let source = servers().source;
    run(&bed, &source, &[TABLE, "INSERT INTO {}.t VALUES (1, 'a')"]);
    bed.cluster.add("one", "dc1", &[]);
    submit(&bed, "again", &source, "\"snapshot\"");
    await_state(&bed, "again", "streaming");
    run(&bed, &source, &["INSERT INTO {}.t VALUES (2, 'b')"]);
    await_rows(&bed, "1a,2b");
    let first = await_state(&bed, "again", "streaming")["incarnation"].as_u64().unwrap();
    bed.cluster.any().json(&["purge", "again", "--yes"]).unwrap();
    run(
        &bed,
        &source,
        &["DELETE FROM {}.t WHERE id = 1", "INSERT INTO {}.t VALUES (3, 'c')"],
    );
    run(&bed, &servers().target, &["DROP TABLE {}.t"]);
    submit(&bed, "again", &source, "\"snapshot\"");
    let status = await_state(&bed, "again", "streaming");
    assert!(status["incarnation"].as_u64().unwrap() > first, "{status:#}");
    await_rows(&bed, "2b,3c");
    run(&bed, &source, &["INSERT INTO {}.t VALUES (4, 'd')"]);
    await_rows(&bed, "2b,3c,4d");
}

#[test]
fn a_job_of_its_copy_alone_ends_as_done_and_stays_so() {
    let mut bed = JobBed::new("only", &[]);
    let source = servers().source;
    run(&bed, &source, &[TABLE, "INSERT INTO {}.t VALUES (1, 'a'), (2, 'b')"]);
    bed.cluster.add("one", "dc1", &[]);
    submit(&bed, "only", &source, "\"snapshot-only\"");
    await_state(&bed, "only", "done");
    run(&bed, &source, &["INSERT INTO {}.t VALUES (3, 'c')"]);
    bed.cluster.restart_all();
    await_state(&bed, "only", "done");
    await_rows(&bed, "1a,2b");
    // Asked again, it finds that nothing is left to do.
    bed.cluster.any().json(&["restart", "only"]).unwrap();
    until("it ran again and is done", LIMIT, || {
        let status = bed.cluster.any().json(&["history", "only"]).ok()?;
        (status.to_string().matches("done").count() >= 2).then_some(())
    });
    await_state(&bed, "only", "done");
    await_rows(&bed, "1a,2b");
}
