//! P3, P5 to P9 with real peers and real servers: placement, holds, memory, rate, lag, and what stops a job and mends it.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::job_bed::JobBed;
use support::relay::Relay;
use support::wait::until;

const EQUAL_LIMIT: Duration = Duration::from_secs(15);

/// The newest error, or the reason it failed for.
fn failure(bed: &JobBed) -> String {
    let status = bed.await_state("failed");
    let text = status["errors"][0]["text"].as_str().unwrap_or_default().to_owned();
    format!("{text}; {}", status["reason"].as_str().unwrap_or_default())
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "it does not say `{word}`: {text}");
    }
}

// --- P5: placement

#[test]
fn p5_a_job_that_fits_nowhere_says_why_for_each_peer_and_starts_when_a_peer_joins() {
    let mut bed = JobBed::new("nowhere", &["t"]);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one')"]);
    bed.job.sink_site = Some("beijing");
    bed.cluster.add("paris-1", "paris", &[]);
    bed.cluster.add("rome-1", "rome", &[]);
    bed.cluster.await_members(2);
    bed.submit();
    let status = bed.await_state("unplaced");
    for peer in ["paris-1", "rome-1"] {
        let lines = status["placement"].as_array().unwrap();
        let line = lines
            .iter()
            .find(|line| line["task"] == "sink" && line["peer"] == peer)
            .unwrap_or_else(|| panic!("nothing is said of {peer}: {status:#}"));
        assert_ne!(line["verdict"], "eligible", "{line}");
        assert_says(line["rule"].as_str().unwrap(), &["node.datacenter", "beijing"]);
    }
    assert!(status["sink"]["peer"].is_null(), "{status:#}");
    bed.cluster.add("bj-1", "beijing", &[]);
    let status = bed.await_state("streaming");
    assert_eq!(status["sink"]["peer"], "bj-1");
    bed.await_equal(EQUAL_LIMIT);
}

#[test]
fn p5_placement_obeys_datacenter_class_meta_and_name() {
    let tables = ["by_datacenter", "by_class", "by_meta", "by_name"];
    let mut bed = JobBed::new("obeys", &tables);
    bed.cluster.add("a", "dc1", &["--class", "small", "--meta", "rack=r1"]);
    bed.cluster.add("b", "dc2", &["--class", "big", "--meta", "rack=r7"]);
    bed.cluster.await_members(2);
    let rules = [
        ("by_datacenter", "node.datacenter", "dc1", "dc2"),
        ("by_class", "node.class", "small", "big"),
        ("by_meta", "meta.rack", "r1", "r7"),
        ("by_name", "node.unique.name", "a", "b"),
    ];
    for (table, attribute, here, there) in rules {
        let rule =
            |task: &str, value: &str| format!("[[{task}.constraint]]\nattribute = \"${{{attribute}}}\"\nvalue = \"{value}\"\n");
        bed.job.name = table.replace('_', "-");
        bed.job.extra = format!("{}{}", rule("source", here), rule("sink", there));
        bed.submit_tables(&[table]);
    }
    for (table, ..) in rules {
        bed.job.name = table.replace('_', "-");
        let status = bed.await_state("streaming");
        assert_eq!(
            (status["source"]["peer"].as_str(), status["sink"]["peer"].as_str()),
            (Some("a"), Some("b")),
            "{table}"
        );
    }
}

// --- P6 and P3: holds and restarts

#[test]
fn p6_a_stop_that_an_idle_peer_accepted_outlives_all_peers_and_resume_goes_on() {
    let mut bed = JobBed::new("stop", &["t"]);
    bed.job.source_site = Some("work");
    bed.job.sink_site = Some("work");
    bed.cluster.add("idle", "elsewhere", &[]);
    bed.cluster.add("worker", "work", &[]);
    bed.cluster.await_members(2);
    bed.submit();
    bed.await_state("streaming");
    // `act` asks the first peer: the one that runs nothing.
    assert_eq!(bed.act("stop")["desired"], "stop");
    let is_stopped = |status: &Value| status["state"] == "stopped" && status["sink"]["peer"].is_null();
    for peer in &bed.cluster.peers {
        bed.await_seen(peer, &format!("{} sees it stopped", peer.name), is_stopped);
    }
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'while stopped')"]);
    bed.cluster.restart_all();
    for peer in &bed.cluster.peers {
        bed.await_seen(peer, &format!("{} still sees it stopped", peer.name), is_stopped);
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM {}.t"),
        0,
        "a stopped job applied a row"
    );
    assert_eq!(bed.status()["state"], "stopped");
    bed.act("resume");
    bed.await_state("streaming");
    bed.await_equal(EQUAL_LIMIT);
}

#[test]
fn p3_all_peers_restarted_at_once_resume_from_disk() {
    let mut bed = JobBed::new("allpeers", &["t"]);
    bed.job.source_site = Some("shanghai");
    bed.job.sink_site = Some("beijing");
    bed.cluster.add("sh-1", "shanghai", &[]);
    bed.cluster.add("bj-1", "beijing", &[]);
    bed.cluster.await_members(2);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'copied')"]);
    bed.submit();
    let before = bed.await_state("streaming");
    bed.on_source(&["INSERT INTO {}.t VALUES (2, 'followed')"]);
    bed.cluster.kill_all();
    bed.on_source(&["INSERT INTO {}.t VALUES (3, 'nobody there')", "DELETE FROM {}.t WHERE id = 1"]);
    bed.cluster.restart_all();
    let after = bed.await_state("streaming");
    bed.await_equal(EQUAL_LIMIT);
    assert!(
        after["sink"]["epoch"].as_u64() > before["sink"]["epoch"].as_u64(),
        "the fence was not taken anew: {after:#}"
    );
}

#[test]
fn p6_a_paused_job_carries_nothing_and_a_resumed_or_restarted_one_goes_on() {
    let bed = JobBed::streaming("pause", &["t"]);
    bed.act("pause");
    bed.await_status("the job is paused and nothing runs", |status| {
        status["state"] == "paused" && status["sink"]["peer"].is_null()
    });
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'while paused')"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM {}.t"),
        0,
        "a paused job applied a row"
    );
    bed.act("resume");
    bed.await_state("streaming");
    bed.await_equal(EQUAL_LIMIT);
    let epoch = bed.status()["sink"]["epoch"].as_u64();
    bed.act("restart");
    bed.await_status("it streams under a new epoch", |status| {
        status["state"] == "streaming" && status["sink"]["epoch"].as_u64() > epoch
    });
    bed.on_source(&["INSERT INTO {}.t VALUES (2, 'after the restart')"]);
    bed.await_equal(EQUAL_LIMIT);
}

#[test]
fn p10_a_purged_job_submitted_again_is_refused_while_rows_are_left_and_then_copies_anew() {
    let bed = JobBed::streaming("purge", &["t"]);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one'), (2, 'two')"]);
    bed.await_equal(EQUAL_LIMIT);
    let first = bed.status()["incarnation"].as_u64();
    let peer = bed.cluster.any();
    peer.json(&["purge", "purge", "--yes"]).unwrap();
    assert_eq!(peer.json(&["jobs"]).unwrap()["jobs"], serde_json::json!([]));
    let meta = bed.schema.meta.clone();
    until("the target forgot the progress", Duration::from_secs(10), || {
        let rows = bed.target_number(&format!("SELECT COUNT(*) FROM {meta}.progress"));
        (rows == 0).then_some(())
    });

    assert_eq!(bed.submit_unchecked()["result"], "accepted");
    assert_says(&failure(&bed), &["table", ".t", "rows in it", "TRUNCATE"]);
    bed.on_target(&["TRUNCATE TABLE {}.t"]);
    bed.act("restart");
    let again = bed.await_state("streaming");
    assert!(again["incarnation"].as_u64() > first, "{again:#}");
    assert_eq!(again["copy"]["rows"], 2, "{again:#}");
    bed.await_equal(EQUAL_LIMIT);
}

#[test]
fn p6_an_update_of_the_rate_makes_version_2_and_the_job_goes_on() {
    let mut bed = JobBed::streaming("update", &["t"]);
    bed.job.extra = "[link]\nrate = \"3 MB/s\"\n".into();
    let updated = bed.cluster.any().json(&["submit", &bed.file(), "--update"]).unwrap();
    assert_eq!((&updated["result"], &updated["version"]), (&"updated".into(), &2.into()));
    bed.await_status("version 2 streams", |status| {
        status["version"] == 2 && status["state"] == "streaming"
    });
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'under version 2')"]);
    bed.await_equal(EQUAL_LIMIT);
}

// --- P7: memory

#[test]
fn p7_memory_stays_bounded_with_a_transaction_of_300_mb_and_a_stalled_target() {
    const ROWS: u64 = 30_000;
    let mut bed = JobBed::new("memory", &["t"]);
    bed.job.source_site = Some("shanghai");
    bed.job.sink_site = Some("beijing");
    bed.cluster.add("sh-1", "shanghai", &[]);
    bed.cluster.add("bj-1", "beijing", &[]);
    bed.cluster.await_members(2);
    bed.submit();
    bed.await_state("streaming");
    let stalled = bed.lock_on_target("t");
    bed.on_source(&[&format!(
        "INSERT INTO {{}}.t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) \
         SELECT /*+ SET_VAR(cte_max_recursion_depth = 100000) */ i, REPEAT(SHA2(i, 256), 156) FROM n"
    )]);
    std::thread::sleep(Duration::from_secs(3));
    drop(stalled);
    until("all rows are on the target", Duration::from_secs(60), || {
        (bed.target_number("SELECT COUNT(*) FROM {}.t") == ROWS).then_some(())
    });
    for peer in &bed.cluster.peers {
        let peak = peer.peak_mib();
        eprintln!("{}: at most {peak} MiB", peer.name);
        assert!(peak < 150, "{} took {peak} MiB, expected less than 150", peer.name);
    }
    let sum = "SELECT CAST(SUM(CRC32(v)) AS UNSIGNED) FROM {}.t";
    let of_source = bed.runtime.block_on(bed.source.number(&bed.filled(sum)));
    assert_eq!(bed.target_number(sum), of_source, "sum of checksums");
}

// --- P8: rate

#[test]
fn p8_the_link_carries_no_more_than_its_rate() {
    const RATE: f64 = 300_000.0;
    const WINDOW: Duration = Duration::from_secs(5);
    let mut bed = JobBed::new("rate", &["t"]);
    bed.job.source_site = Some("shanghai");
    bed.job.sink_site = Some("beijing");
    bed.job.extra = "[link]\nrate = \"300 KB/s\"\n".into();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let relay = Relay::start(&port, false);
    bed.cluster
        .add("sh-1", "shanghai", &["--listen", &port, "--advertise", &relay.front]);
    bed.cluster.add("bj-1", "beijing", &[]);
    bed.cluster.await_members(2);
    bed.submit();
    bed.await_state("streaming");
    // 3 MB in base64 that no compression makes smaller.
    bed.on_source(&[
        "INSERT INTO {}.t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2200) \
        SELECT /*+ SET_VAR(cte_max_recursion_depth = 10000) */ i, TO_BASE64(RANDOM_BYTES(1024)) FROM n",
    ]);
    let idle = relay.bytes_out();
    until("the rows are on their way", Duration::from_secs(5), || {
        (relay.bytes_out() > idle + 50_000).then_some(())
    });
    let (before, start) = (relay.bytes_out(), Instant::now());
    std::thread::sleep(WINDOW);
    let rate = (relay.bytes_out() - before) as f64 / start.elapsed().as_secs_f64();
    assert!(
        rate <= RATE * 1.15,
        "{rate:.0} bytes per second, expected at most 1.15 times {RATE}"
    );
    assert!(rate >= RATE * 0.7, "{rate:.0} bytes per second: the link was not the limit");
    bed.await_equal(EQUAL_LIMIT);
}

// --- P9: lag

#[test]
fn p9_lag_is_zero_when_idle_grows_when_the_target_or_the_source_is_stuck_and_is_zero_again() {
    let mut bed = JobBed::new("lag", &["t"]);
    bed.job.source_site = Some("shanghai");
    bed.job.sink_site = Some("beijing");
    bed.cluster.add("bj-1", "beijing", &[]);
    bed.cluster.add("sh-1", "shanghai", &[]);
    bed.cluster.await_members(2);
    bed.submit();
    let is_level = |status: &Value| status["lag_ms"] == 0 && status["caught_up"] == true;
    bed.await_status("lag is zero when idle", is_level);

    let stuck = bed.lock_on_target("t");
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'stuck')"]);
    let mut lags = Vec::new();
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(1200));
        let status = bed.status();
        assert_eq!(status["caught_up"], false, "nothing is on the target: {status:#}");
        lags.push(status["lag_ms"].as_u64().unwrap_or_else(|| panic!("no lag: {status:#}")));
    }
    assert!(
        lags.is_sorted() && lags[0] >= 500 && lags[3] >= 3500,
        "lag while stuck: {lags:?}"
    );
    drop(stuck);
    bed.await_status("lag is zero again", is_level);
    bed.await_equal(EQUAL_LIMIT);

    bed.cluster.peer("sh-1").signal("STOP");
    std::thread::sleep(Duration::from_secs(5));
    let status = bed.status();
    bed.cluster.peer("sh-1").signal("CONT");
    assert!(
        status["lag_ms"].is_null() || status["lag_ms"].as_u64() >= Some(3000),
        "lag with a frozen source: {status:#}"
    );
    assert_eq!(status["caught_up"], false, "{status:#}");
    bed.await_status("lag is zero after the source came back", is_level);
}

// --- P1: what stops a job, and what mends it

#[test]
fn p1_a_row_that_is_there_already_pauses_the_job_with_table_and_key_and_resume_goes_on_once_mended() {
    let bed = JobBed::streaming("planted", &["t"]);
    bed.on_target(&["INSERT INTO {}.t VALUES (7, 'planted')"]);
    bed.on_source(&["INSERT INTO {}.t VALUES (6, 'fits')", "INSERT INTO {}.t VALUES (7, 'real')"]);
    let status = bed.await_state("paused");
    let text = status["failure"]["text"].as_str().unwrap_or_default();
    assert_says(text, &[&bed.filled("{}.t"), "7"]);
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM {}.t WHERE id = 7 AND v = 'planted'"),
        1,
        "the planted row was touched"
    );
    bed.on_target(&["DELETE FROM {}.t WHERE id = 7"]);
    bed.act("resume");
    bed.await_state("streaming");
    bed.await_equal(EQUAL_LIMIT);
}

#[test]
fn p1_a_transaction_that_fills_the_window_and_does_not_compress_arrives() {
    let bed = JobBed::streaming("window", &["t"]);
    let value: Vec<String> = (1..80).map(|part| format!("SHA2(i * {part}, 512)")).collect();
    let value = format!("CONCAT({})", value.join(", "));
    bed.on_source(&[
        "ALTER TABLE {}.t MODIFY v MEDIUMTEXT",
        &format!("INSERT INTO {{}}.t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, {value} FROM n"),
    ]);
    bed.await_equal(EQUAL_LIMIT);
}

#[test]
fn p1_ddl_elsewhere_is_passed_over_and_one_that_cannot_be_carried_out_fails_the_job_with_gtid_and_text() {
    let bed = JobBed::streaming("ddl", &["t"]);
    bed.on_source(&[
        "CREATE TABLE {}.other (id INT PRIMARY KEY)",
        "INSERT INTO {}.other VALUES (1)",
        "ALTER TABLE {}.other ADD COLUMN more INT",
        "INSERT INTO {}.t VALUES (1, 'behind the ddl')",
    ]);
    bed.await_equal(EQUAL_LIMIT);
    assert_eq!(bed.status()["state"], "streaming");
    bed.on_source(&["ALTER TABLE {}.t DISCARD TABLESPACE"]);
    let uuid: String = bed.source_text("SELECT @@server_uuid");
    assert_says(&failure(&bed), &[&uuid, "DISCARD TABLESPACE"]);
}

#[test]
fn p1_a_change_in_statement_format_fails_the_job_with_gtid_and_text() {
    let bed = JobBed::streaming("odd", &["t"]);
    let uuid: String = bed.source_text("SELECT @@server_uuid");
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (1, 'as a row')",
        "SET SESSION binlog_format = STATEMENT; INSERT INTO {}.t VALUES (2, 'as a statement')",
    ]);
    assert_says(&failure(&bed), &[&uuid, "as a statement"]);
    assert_eq!(
        bed.target_number("SELECT SUM(id) FROM {}.t"),
        1,
        "what came before is applied, nothing else"
    );
}
