//! What `peer status` says about the speed of a job, with real peers: how large its commits are, and what slows them.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::job_bed::JobBed;

/// Transactions of each table that wait while the job is paused.
const WAITING: u64 = 150;

#[test]
fn behind_a_backlog_the_commits_are_told_to_be_large_and_a_table_without_a_key_is_named_with_the_reason() {
    let mut bed = JobBed::new("speedstatus", &["t", "log"]);
    bed.on_source(&["ALTER TABLE {}.log DROP PRIMARY KEY"]);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.act("pause");
    bed.await_state("paused");
    let write = |at: u64| {
        let into = |table: &str| format!("INSERT INTO {{}}.{table} VALUES ({at}, 'waits')");
        [into("t"), into("log")]
    };
    let statements: Vec<String> = (0..WAITING).flat_map(write).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    bed.on_source(&statements);
    bed.act("resume");
    let status = bed.await_status("all of it is applied and told", |status| {
        status["row_by_row"][0]["rows"] == WAITING && status["caught_up"] == true
    });

    let commits = &status["commits"];
    let (mean, largest) = (
        commits["transactions"]["mean"].as_f64().unwrap(),
        commits["transactions"]["largest"].as_u64().unwrap(),
    );
    assert!(mean > 1.0 && largest > 1 && largest <= 2 * WAITING, "{commits:#}");
    assert!(commits["rows"]["largest"].as_u64().unwrap() >= largest, "{commits:#}");
    let told = status["row_by_row"].as_array().unwrap();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((&told[0]["table"], &told[0]["reason"]), (&"log".into(), &"no_key".into()));
    assert!(told[0]["why"].as_str().unwrap().contains("no primary key"), "{told:#?}");
    let output = bed.cluster.any().cli(&["status", &bed.job.name]);
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(screen.contains("\ncommits ") && screen.contains("\nrow-wise "), "{screen}");
    bed.await_equal(Duration::from_secs(20));
}
