//! Foreign keys whose effects the source does not log (`innodb_native_foreign_keys`, as every server before 9.6), where the fidelity
//! cases do not reach: while the tables are copied, and what cannot be carried.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::compare::difference;
use support::job_bed::JobBed;
use support::servers::{self, Server, servers};

const LIMIT: Duration = Duration::from_secs(90);

/// `p` (2,000 rows) and its children `a` and `z` (20,000 rows each, before and behind it by name) in a job; beside it `tree`, which refers to
/// itself.
fn bed(word: &str) -> JobBed {
    let bed = JobBed::with_source_flags(word, &["a", "p", "z"], &["--innodb_native_foreign_keys=ON"]);
    let numbers = "JSON_TABLE(CONCAT('[0', REPEAT(',0', 19999), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j";
    bed.on_source(&[
        "DROP TABLE {}.a, {}.z",
        "CREATE TABLE {}.a (id INT PRIMARY KEY, p INT, v VARCHAR(200), FOREIGN KEY (p) REFERENCES {}.p (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE {}.z (id INT PRIMARY KEY, p INT, v VARCHAR(200), FOREIGN KEY (p) REFERENCES {}.p (id) ON DELETE SET NULL ON UPDATE CASCADE)",
        "CREATE TABLE {}.tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES {}.tree (id) ON DELETE CASCADE)",
        &format!("INSERT INTO {{}}.p SELECT n, 'x' FROM {numbers} WHERE n <= 2000"),
        &format!("INSERT INTO {{}}.a SELECT n, n % 2000 + 1, REPEAT('a', 200) FROM {numbers}"),
        &format!("INSERT INTO {{}}.z SELECT n, n % 2000 + 1, REPEAT('z', 200) FROM {numbers}"),
        "INSERT INTO {}.tree VALUES (1, NULL), (2, 1), (3, 2), (4, 1)",
    ]);
    bed
}

#[test]
fn rows_that_the_engine_cascades_to_during_the_copy_do_not_come_back() {
    let mut bed = bed("cascopy");
    bed.job.extra = "[link]\nrate = \"2 MB/s\"\n".into();
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_status("rows are on the target", |status| status["copy"]["rows"].as_u64() > Some(0));
    let mut during_the_copy = 0;
    for id in 1..=150 {
        bed.on_source(&[
            &format!("DELETE FROM {{}}.p WHERE id = {}", id * 3),
            &format!("UPDATE {{}}.p SET id = {} WHERE id = {}", 5000 + id, id * 3 + 1),
            &format!("INSERT INTO {{}}.a VALUES ({}, {}, 'new')", 100_000 + id, 5000 + id),
        ]);
        during_the_copy += usize::from(id % 10 == 0 && bed.status()["state"] == "copying");
    }
    assert!(
        during_the_copy > 0,
        "the copy was over before anything cascaded: {:#}",
        bed.status()
    );
    bed.await_state("streaming");
    bed.await_equal(LIMIT);
}

#[test]
fn a_child_that_is_not_carried_as_it_is_or_without_its_parent_is_refused_by_name() {
    let mut bed = bed("casrefuse");
    bed.cluster.add("one", "dc1", &[]);
    let alone = bed.cluster.any().json(&["submit", &bed.file_of(&["a"])]).unwrap_err();
    assert!(
        alone.contains("a_ibfk_1") && alone.contains("p is not in the job") && alone.contains("PEER1362"),
        "{alone}"
    );
    bed.job.extra = "[filter]\nskip = [\"dml.delete\"]\n".into();
    let skipping = bed.cluster.any().json(&["submit", &bed.file()]).unwrap_err();
    assert!(skipping.contains("the job does not carry the table as it is"), "{skipping}");
    bed.job.extra = String::new();
    bed.job.name = "chain".into();
    bed.submit_tables(&["tree"]);
    let chain = bed.await_state("failed");
    assert!(chain.to_string().contains("leaves rows of grandchildren behind"), "{chain:#}");
    bed.job.name = "keyless".into();
    bed.job.start = "now";
    bed.on_target(&[
        "CREATE DATABASE {}",
        "CREATE TABLE {}.p (id INT PRIMARY KEY, v TEXT)",
        "CREATE TABLE {}.a (id INT PRIMARY KEY, p INT, v VARCHAR(200))",
    ]);
    bed.submit_tables(&["a", "p"]);
    let failed = bed.await_state("failed");
    assert!(
        failed.to_string().contains("no foreign key as `a_ibfk_1` of the source"),
        "{failed:#}"
    );
}

/// Submits a job over these tables to a target of the test's own.
fn submit_to(bed: &JobBed, target: &Server, tables: &[&str]) {
    let path = bed.file_of(tables);
    let port = |server: &Server| format!("port = {}\n", server.port);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&port(&servers().target), &port(target))).unwrap();
    bed.cluster
        .any()
        .json(&["submit", &path])
        .unwrap_or_else(|talk| panic!("{talk}"));
}

fn await_same(bed: &JobBed, target: &Server, tables: &[&str]) {
    let start = Instant::now();
    for table in tables {
        while let Some(found) = bed.runtime.block_on(difference(&bed.source, target, &bed.schema.base, table)) {
            assert!(start.elapsed() < LIMIT, "after {LIMIT:?}: {found}\n{:#}", bed.status());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn between_two_engines_that_cascade_chains_and_trees_arrive_and_a_tree_that_moves_while_it_is_copied_stops() {
    const NATIVE: &[&str] = &["--innodb_native_foreign_keys=ON"];
    let mut bed = JobBed::with_source_flags("native", &[], NATIVE);
    let target = servers::start("nativesink", NATIVE);
    bed.on_source(&[
        "CREATE TABLE {}.a (id INT PRIMARY KEY)",
        "CREATE TABLE {}.b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES {}.a (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE {}.c (id INT PRIMARY KEY, b INT, FOREIGN KEY (b) REFERENCES {}.b (id) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE {}.d (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES {}.c (id) ON DELETE SET NULL)",
        "CREATE TABLE {}.tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES {}.tree (id) ON DELETE CASCADE)",
        "INSERT INTO {}.a VALUES (1), (2), (3), (4)",
        "INSERT INTO {}.b VALUES (1, 1), (2, 1), (3, 2), (4, 3)",
        "INSERT INTO {}.c VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
        "INSERT INTO {}.d VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
        "INSERT INTO {}.tree VALUES (1, NULL), (2, 1), (3, 2), (4, 1), (5, NULL), (6, 5), (7, 6)",
    ]);
    let tables = ["a", "b", "c", "d", "tree"];
    bed.cluster.add("one", "dc1", &[]);
    submit_to(&bed, &target, &tables);
    bed.await_state("streaming");
    await_same(&bed, &target, &tables);
    bed.on_source(&[
        "DELETE FROM {}.a WHERE id = 1",
        "UPDATE {}.a SET id = 20 WHERE id = 2",
        "UPDATE {}.b SET id = 40 WHERE id = 4",
        "DELETE FROM {}.tree WHERE id = 2",
        "INSERT INTO {}.tree VALUES (8, 4), (9, 8)",
    ]);
    await_same(&bed, &target, &tables);
    bed.cluster.kill_all();
    bed.on_source(&[
        "DELETE FROM {}.a WHERE id = 20",
        "DELETE FROM {}.b WHERE id = 40",
        "DELETE FROM {}.tree WHERE id = 5",
        "DELETE FROM {}.tree WHERE id = 1",
    ]);
    bed.cluster.restart_all();
    await_same(&bed, &target, &tables);

    // More than is in flight at most, and slow: rows are on the target while others are not read yet.
    bed.on_source(&[
        "CREATE TABLE {}.wood (id INT PRIMARY KEY, up INT, v VARBINARY(800), FOREIGN KEY (up) REFERENCES {}.wood (id) ON DELETE CASCADE)",
        "SET SESSION foreign_key_checks = 0",
        "INSERT INTO {}.wood SELECT n, IF(n > 1, n DIV 2, NULL), RANDOM_BYTES(800) \
         FROM JSON_TABLE(CONCAT('[0', REPEAT(',0', 149999), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j",
    ]);
    bed.job.name = "wood".into();
    bed.job.extra = "[link]\nrate = \"4 MB/s\"\n".into();
    submit_to(&bed, &target, &["wood"]);
    bed.await_status("rows are on the target", |status| status["copy"]["rows"].as_u64() > Some(0));
    bed.on_source(&["DELETE FROM {}.wood WHERE id = 149000"]);
    let failed = bed.await_state("failed");
    assert!(failed.to_string().contains("a table that refers to itself"), "{failed:#}");
}
