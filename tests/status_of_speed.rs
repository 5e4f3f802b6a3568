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

/// A job that copies 45 MB over a link of 1 MB/s, with an empty table `t` beside it whose copy is done.
fn copying_over_a_slow_link(word: &str) -> JobBed {
    let mut bed = JobBed::new(word, &["t", "big"]);
    bed.on_source(&[
        "SET SESSION cte_max_recursion_depth = 45000",
        "INSERT INTO {}.big WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 45000) \
         SELECT n, REPEAT('r', 1000) FROM s",
    ]);
    bed.job.extra = "[link]\nrate = \"1 MB/s\"\ncompression = \"none\"\n".into();
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_status("t is there and big is being copied", |status| {
        let tables = status["copy"]["tables_detail"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| {
            tables
                .iter()
                .find(|table| table["table"] == name)
                .cloned()
                .unwrap_or_default()
        };
        of("t")["state"] == "done" && of("big")["rows"].as_u64() > Some(2000)
    });
    bed
}

/// Lets the copy end, and compares.
fn end_in_a_hurry(bed: &JobBed) {
    bed.cluster.any().json(&["set", &bed.job.name, "link.rate=0"]).unwrap();
    bed.await_state("streaming");
    bed.await_equal(Duration::from_secs(60));
}

#[test]
fn the_copy_is_held_while_changes_are_late_says_so_and_goes_on() {
    let bed = copying_over_a_slow_link("speedhold");
    // 8 MB of changes, 8 s of the link, behind what is on its way.
    bed.on_source(&[
        "INSERT INTO {}.t WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 128) \
         SELECT n, REPEAT('l', 64000) FROM s",
    ]);
    let status = bed.await_status("the copy is held", |status| status["copy"]["held"].is_object());
    let held = &status["copy"]["held"];
    assert_eq!(held["lag_max_ms"], 10_000, "{held}");
    assert!(held["lag_ms"].as_u64().unwrap() > 10_000, "{held}");
    let status = bed.await_status("the copy goes on", |status| status["copy"]["held"].is_null());
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM {}.t"),
        128,
        "the changes went first: {status:#}"
    );
    let before = status["copy"]["rows"].as_u64().unwrap();
    bed.await_status("more of the copy is there", |status| {
        status["copy"]["rows"].as_u64().unwrap_or(0) > before + 1000
    });
    end_in_a_hurry(&bed);
}
