//! Foreign keys whose effects the source does not log (`innodb_native_foreign_keys`, as every server before 9.6), where the fidelity
//! cases do not reach: while the tables are copied, and what cannot be carried.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::job_bed::JobBed;

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
