//! Rows that do not fit, as a person meets them: real servers, real peers, every command (PROTOCOLS 10).

mod support;

use std::time::Duration;

use serde_json::Value;

use support::job_bed::JobBed;
use support::servers::servers;

const LIMIT: Duration = Duration::from_secs(60);

/// One peer that streams a table with rows 1 to 9.
fn streaming(word: &str) -> JobBed {
    let bed = JobBed::new(word, &["a"]);
    started(bed)
}

fn started(mut bed: JobBed) -> JobBed {
    bed.on_source(&["INSERT INTO {}.a (id, v) VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d'),(5,'e'),(6,'f'),(7,'g'),(8,'h'),(9,'i')"]);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.await_equal(LIMIT);
    bed
}

fn conflicts(bed: &JobBed) -> Value {
    bed.act("conflicts")
}

/// kind, key and decision of each record, newest first.
fn told(list: &Value) -> Vec<String> {
    let word = |conflict: &Value, field: &str| conflict[field].as_str().unwrap_or_default().to_owned();
    let records = list["conflicts"].as_array().expect("a list").iter();
    let line = |one: &Value| format!("{} {} {}", word(one, "kind"), word(one, "key"), word(one, "decision"));
    records.map(line).collect()
}

fn peer(bed: &JobBed, args: &[&str]) -> Result<Value, String> {
    bed.cluster.any().json(args)
}

fn skip(bed: &JobBed, gtid: &str) -> Result<Value, String> {
    peer(bed, &["skip", &bed.job.name, gtid, "--reason", "it's known"])
}

fn await_row(bed: &JobBed, id: u32, value: &str) {
    support::wait::until(&format!("row {id} is {value}"), LIMIT, || {
        let found = bed.text(&servers().target, &format!("SELECT v FROM {{}}.a WHERE id = {id}"));
        (found == value).then_some(())
    });
}

#[test]
fn a_conflict_pauses_the_job_and_a_mended_row_lets_it_go_on() {
    let bed = streaming("mend");
    bed.on_target(&["DELETE FROM {}.a WHERE id = 5"]);
    bed.on_source(&["UPDATE {}.a SET v = CONCAT(v, '!') WHERE id IN (4, 5)"]);
    let status = bed.await_state("paused");
    assert_eq!(
        (&status["reason"], &status["desired"]),
        (&"conflict".into(), &"run".into()),
        "{status:#}"
    );
    let failure = &status["failure"];
    let (text, fix) = (
        failure["text"].as_str().unwrap_or_default(),
        failure["fix"].as_str().unwrap_or_default(),
    );
    assert!(
        text.contains(".a: update expected the row") && text.contains("key (5)"),
        "{failure:#}"
    );
    assert!(fix.contains(&format!("peer conflicts {}", bed.job.name)), "{failure:#}");
    assert_eq!(
        bed.text(&servers().target, "SELECT v FROM {}.a WHERE id = 4"),
        "d",
        "nothing of the transaction is there"
    );
    let list = conflicts(&bed);
    assert_eq!(told(&list), ["missing (5) paused"]);
    let one = &list["conflicts"][0];
    assert!(text.contains(one["gtid"].as_str().expect("a GTID")), "{one:#}");
    assert_eq!(
        (&one["before"]["v"], &one["after"]["v"]),
        (&"e".into(), &"e!".into()),
        "{one:#}"
    );
    assert_eq!(one["found"].as_array().map(Vec::len), Some(0), "{one:#}");

    bed.on_target(&["INSERT INTO {}.a VALUES (5, 'e')"]);
    bed.act("resume");
    bed.await_equal(LIMIT);
    bed.await_status("the owner counts it", |status| status["totals"]["conflicts"] == 1);
    assert_eq!(told(&conflicts(&bed)), ["missing (5) mended"]);
}

#[test]
fn a_transaction_is_passed_over_by_its_gtid_and_nothing_else_is() {
    let bed = streaming("skip");
    bed.on_target(&["INSERT INTO {}.a VALUES (20, 'mine')"]);
    bed.on_source(&[
        "INSERT INTO {}.a VALUES (20, 'theirs'), (21, 'with it')",
        "INSERT INTO {}.a VALUES (22, 'behind it')",
    ]);
    bed.await_state("paused");
    let list = conflicts(&bed);
    assert_eq!(told(&list), ["duplicate (20) paused"]);
    let gtid = list["conflicts"][0]["gtid"].as_str().expect("a GTID").to_owned();
    let (uuid, number) = gtid.rsplit_once(':').expect("a GTID");
    let before = number.parse::<u64>().expect("a number") - 1;
    let refused = |gtid: &str, found: &str| {
        let talk = skip(&bed, gtid).expect_err(gtid);
        assert!(talk.contains(found), "{gtid}: {talk}");
    };
    // The one before it may be another test's, of which nothing is written yet.
    refused(&format!("{uuid}:1"), "PEER1732");
    refused(&format!("{uuid}:{number}-{}", before + 3), "PEER1053");
    refused(number, "PEER1053");
    assert!(
        peer(&bed, &["skip", &bed.job.name, &gtid, "--reason", " "]).is_err(),
        "a reason is asked for"
    );

    assert_eq!(skip(&bed, &gtid).expect("ordered")["changed"], true);
    assert_eq!(skip(&bed, &gtid).expect("ordered")["changed"], false);
    bed.act("resume");
    await_row(&bed, 22, "behind it");
    await_row(&bed, 20, "mine");
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM {}.a WHERE id = 21"),
        0,
        "none of its rows"
    );
    bed.await_state("streaming");
    let list = conflicts(&bed);
    assert_eq!(told(&list), ["duplicate (20) skipped"]);
    let one = &list["conflicts"][0];
    assert_eq!(
        (&one["author"], &one["reason"]),
        (&"one".into(), &"it's known".into()),
        "{one:#}"
    );
    let history = bed.act("history").to_string();
    assert!(history.contains("it's known") && history.contains(&gtid), "{history}");
    refused(&gtid, "PEER1732");
}

#[test]
fn rows_are_decided_once_while_the_sinks_peer_is_killed_again_and_again() {
    let mut bed = JobBed::new("killed", &["a"]);
    bed.job.sink = "on_conflict = \"source-wins\"\n".into();
    bed.job.extra = "[apply]\ngroup_transactions = 20\n".into();
    let mut bed = started(bed);
    bed.on_source(&[
        "INSERT INTO {}.a WITH RECURSIVE n AS (SELECT 100 i UNION ALL SELECT i + 1 FROM n WHERE i < 499) SELECT i, 'x' FROM n",
    ]);
    bed.await_equal(LIMIT);
    // Every tenth row is gone: each conflict is met exactly once, whoever dies.
    bed.on_target(&["DELETE FROM {}.a WHERE id >= 100 AND id % 10 = 0"]);
    let update = |id: u32| format!("UPDATE {{}}.a SET v = 'y{id}' WHERE id = {id}");
    for round in 0..4 {
        let updates: Vec<String> = (100 + round * 100..200 + round * 100).map(update).collect();
        let updates: Vec<&str> = updates.iter().map(String::as_str).collect();
        bed.on_source(&updates);
        bed.cluster.peer_mut("one").kill();
        bed.cluster.peer_mut("one").restart(None);
    }
    bed.await_equal(LIMIT);
    let list = conflicts(&bed);
    assert_eq!(
        (&list["total"], &list["pruned"]),
        (&40.into(), &0.into()),
        "{:?}",
        told(&list)
    );
    assert!(
        told(&list)
            .iter()
            .all(|line| line.starts_with("missing") && line.ends_with("source-wins"))
    );
}

#[test]
fn the_row_is_found_in_a_group_of_hundreds_and_a_setting_decides_it_while_the_job_stands() {
    let bed = streaming("behind");
    bed.act("pause");
    bed.await_state("paused");
    bed.on_target(&["UPDATE {}.a SET id = 1000 WHERE id = 9"]);
    let inserts: Vec<String> = (100..600)
        .map(|id| format!("INSERT INTO {{}}.a VALUES ({id}, 'n')"))
        .collect();
    let (front, behind) = inserts.split_at(300);
    let all: Vec<&str> = front
        .iter()
        .map(String::as_str)
        .chain(["DELETE FROM {}.a WHERE id = 9"])
        .collect();
    bed.on_source(&all);
    bed.on_source(&behind.iter().map(String::as_str).collect::<Vec<_>>());
    bed.act("resume");
    bed.await_status("the conflict is met", |status| status["reason"] == "conflict");
    assert_eq!(told(&conflicts(&bed)), ["missing (9) paused"]);
    assert_eq!(
        bed.target_number("SELECT MAX(id) FROM {}.a WHERE id < 1000"),
        399,
        "what was before it is there"
    );
    peer(&bed, &["set", &bed.job.name, "sink.on_conflict=target-wins"]).expect("set");
    bed.act("resume");
    await_row(&bed, 599, "n");
    assert_eq!(told(&conflicts(&bed)), ["missing (9) target-wins"]);
    bed.on_target(&["DELETE FROM {}.a WHERE id = 1000"]);
    bed.await_equal(LIMIT);
}

/// Column, a value, one that only differs where a comparison is careless.
const CARELESS: [(&str, &str, &str); 16] = [
    ("VARCHAR(20) COLLATE utf8mb4_0900_ai_ci", "'abc'", "'ABC'"),
    ("VARCHAR(20) COLLATE utf8mb4_general_ci", "'abc'", "'abc '"),
    ("VARCHAR(20) CHARACTER SET gbk", "'中文'", "'中又'"),
    ("FLOAT", "16777216", "16777218"),
    ("DOUBLE", "0.1", "0.10000000000000002"),
    ("DECIMAL(30,10)", "1.1", "1.1000000001"),
    ("JSON", "'{\"a\": 1}'", "'{\"a\": 1.0}'"),
    ("JSON", "'null'", "NULL"),
    ("DATETIME(6)", "'2020-01-01 00:00:00.000001'", "'2020-01-01 00:00:00.000002'"),
    ("TIMESTAMP NULL", "'2020-01-01 00:00:00'", "'2020-01-01 00:00:01'"),
    ("TIME(3)", "'-00:00:00.120'", "'00:00:00.120'"),
    ("VARBINARY(9)", "x'6100'", "x'61'"),
    ("BIT(40)", "b'1'", "b'10'"),
    ("ENUM('a','b')", "'a'", "'b'"),
    ("SET('a','b')", "'a'", "'a,b'"),
    (
        "GEOMETRY",
        "ST_GeomFromText('POINT(1 2)', 4326)",
        "ST_GeomFromText('POINT(1 2)')",
    ),
];

#[test]
fn with_the_image_checked_every_type_is_compared_byte_by_byte() {
    let mut bed = JobBed::new("image", &["a"]);
    bed.job.extra = "[apply]\ncheck = \"image\"\n".into();
    for (at, (column, ..)) in CARELESS.iter().enumerate() {
        bed.on_source(&[&format!("ALTER TABLE {{}}.a ADD c{at} {column}")]);
    }
    let bed = started(bed);
    for (at, (_, value, other)) in CARELESS.iter().enumerate() {
        let id = 100 + at;
        bed.on_source(&[&format!(
            "INSERT INTO {{}}.a (id, c{at}) VALUES ({id}, {value}), ({}, {value})",
            id + 100
        )]);
        await_row_there(&bed, id + 100);
        // By way of NULL: to the server 1 and 1.0 in JSON are no change.
        for value in ["NULL", other] {
            bed.on_target(&[&format!("UPDATE {{}}.a SET c{at} = {value} WHERE id = {id}")]);
        }
    }
    peer(&bed, &["set", &bed.job.name, "sink.on_conflict=source-wins"]).expect("set");
    // All rows change, those that are equal too: none of them is taken for another one.
    bed.on_source(&["UPDATE {}.a SET v = 'changed'"]);
    bed.await_equal(LIMIT);
    let mut found = told(&conflicts(&bed));
    found.sort();
    let expected: Vec<String> = (100..100 + CARELESS.len())
        .map(|id| format!("different ({id}) source-wins"))
        .collect();
    assert_eq!(found, expected);
    bed.await_state("streaming");
}

fn await_row_there(bed: &JobBed, id: usize) {
    support::wait::until(&format!("row {id} is there"), LIMIT, || {
        (bed.target_number(&format!("SELECT COUNT(*) FROM {{}}.a WHERE id = {id}")) == 1).then_some(())
    });
}

#[test]
fn a_change_of_definitions_is_passed_over_only_where_rows_stay_readable() {
    let bed = streaming("ddl");
    bed.on_target(&["CREATE INDEX by_v ON {}.a (v(9))"]);
    bed.on_source(&["CREATE INDEX by_v ON {}.a (v(5))", "INSERT INTO {}.a VALUES (30, 'behind')"]);
    let failed = bed.await_state("failed");
    assert_eq!(failed["failure"]["code"], "PEER1321", "{failed:#}");
    let gtid = gtid_in(&failed["failure"]["text"]);
    skip(&bed, &gtid).expect("ordered");
    bed.act("restart");
    await_row(&bed, 30, "behind");
    bed.await_state("streaming");
    assert_eq!(told(&conflicts(&bed)), ["skip  skipped"]);

    bed.on_target(&["ALTER TABLE {}.a ADD COLUMN w INT"]);
    bed.on_source(&[
        "ALTER TABLE {}.a ADD COLUMN w INT",
        "INSERT INTO {}.a VALUES (31, 'behind', 1)",
    ]);
    let failed = bed.await_state("failed");
    let gtid = gtid_in(&failed["failure"]["text"]);
    skip(&bed, &gtid).expect("ordered");
    bed.act("restart");
    let refused = bed.await_status("the order is refused", |status| status["failure"]["code"] == "PEER1371");
    assert!(refused["failure"]["text"].to_string().contains("another form"), "{refused:#}");
}

fn gtid_in(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    let word = text
        .split_whitespace()
        .find(|word| word.matches('-').count() == 4 && word.contains(':'));
    word.unwrap_or_else(|| panic!("no GTID in {text}"))
        .trim_end_matches([',', ':'])
        .to_owned()
}

#[test]
fn what_cannot_be_read_at_all_is_passed_over_too() {
    let bed = streaming("unread");
    bed.on_source(&["SET SESSION binlog_format = STATEMENT; UPDATE {}.a SET v = 'lost' WHERE id = 1"]);
    bed.on_source(&["INSERT INTO {}.a VALUES (40, 'behind')"]);
    let failed = bed.await_state("failed");
    let gtid = gtid_in(&failed["failure"]["text"]);
    skip(&bed, &gtid).expect("ordered");
    bed.act("restart");
    await_row(&bed, 40, "behind");
    await_row(&bed, 1, "a");
    assert_eq!(told(&conflicts(&bed)), ["skip  skipped"]);
}

#[test]
fn the_records_are_read_through_any_peer_while_the_owner_is_dead() {
    let mut bed = JobBed::new("twopeers", &["a"]);
    bed.on_source(&["INSERT INTO {}.a VALUES (1, 'a')"]);
    bed.cluster.add("one", "dc1", &[]);
    bed.cluster.add("two", "dc1", &[]);
    bed.cluster.await_members(2);
    bed.submit();
    bed.await_state("streaming");
    bed.on_target(&["DELETE FROM {}.a"]);
    bed.on_source(&["DELETE FROM {}.a"]);
    let paused = bed.await_state("paused");
    let owner = paused["failure"]["peer"].as_str().expect("a peer").to_owned();
    let other = if owner == "one" { "two" } else { "one" };
    bed.await_seen(bed.cluster.peer(other), "the pause is known there", |status| {
        status["state"] == "paused"
    });
    bed.cluster.peer_mut(&owner).kill();
    let asked = |args: &[&str]| bed.cluster.peer(other).json(args);
    let list = asked(&["conflicts", &bed.job.name]).expect("read");
    assert_eq!(told(&list), ["missing (1) paused"]);
    let gtid = list["conflicts"][0]["gtid"].as_str().expect("a GTID").to_owned();
    asked(&["skip", &bed.job.name, &gtid, "--reason", "gone on both sides"]).expect("ordered");
    asked(&["resume", &bed.job.name]).expect("resumed");
    bed.on_source(&["INSERT INTO {}.a VALUES (2, 'behind')"]);
    await_row(&bed, 2, "behind");
}
