//! Row images that lack what is needed, and rows as large as MySQL takes them: with real peers and servers.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::job_bed::JobBed;
use support::servers::servers;
use support::wait::until;

/// Rows of the large transaction; `IMAGES_ROWS=5000000` for the whole measure, by hand.
const ROWS: &str = "100000";
/// Resident memory of a peer with both tasks, whatever the number of rows: the queues' bounds and what stands around them.
const PEAK_MIB_MAX: u64 = 600;

/// A row of 60 MiB goes through two peers and two servers on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

/// Waits until both servers answer the same to a query that has an answer.
fn await_same(bed: &JobBed, sql: &str) {
    until(sql, LIMIT, || {
        let (source, target) = (bed.text(&bed.source, sql), bed.text(&servers().target, sql));
        (!source.is_empty() && source == target).then_some(())
    });
}

#[test]
fn a_blob_of_60_mib_arrives_in_copy_and_in_stream() {
    let mut bed = JobBed::new("large", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.t (id INT PRIMARY KEY, b LONGBLOB, u LONGTEXT, v INT)",
        "INSERT INTO {}.t VALUES (1, REPEAT(x'00ff275c', 15 << 20), 'u', 1)",
    ]);
    bed.job.extra = bed.filled("[[tables]]\nschema = \"{}\"\n");
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    let sum =
        "SELECT CONCAT_WS(' ', COUNT(*), SUM(LENGTH(b)), GROUP_CONCAT(SHA2(b, 256), SHA2(u, 256), v ORDER BY id)) FROM {}.t";
    await_same(&bed, sum);
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (2, REPEAT(x'80', 60 << 20), NULL, 2)",
        "UPDATE {}.t SET b = REPEAT(x'7f27', 30 << 20), v = 3 WHERE id = 1",
        "INSERT INTO {}.t VALUES (3, 'b', REPEAT('ä', 20 << 20), 2)",
    ]);
    await_same(&bed, sum);
    bed.on_source(&["DELETE FROM {}.t WHERE id = 2", "UPDATE {}.t SET v = 9"]);
    await_same(&bed, sum);
}

#[test]
fn a_json_document_of_10_mb_arrives_in_copy_and_in_stream() {
    let mut bed = JobBed::new("documents", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.t (id INT PRIMARY KEY, j JSON)",
        "INSERT INTO {}.t VALUES (1, CAST(CONCAT('[0', REPEAT(CONCAT(',{\"key\": [1.5, \"', REPEAT('ä', 250), '\", null]}'), 20000), ']') AS JSON))",
    ]);
    bed.job.extra = bed.filled("[[tables]]\nschema = \"{}\"\n");
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    let sum = "SELECT GROUP_CONCAT(id, ' ', LENGTH(j), ' ', SHA2(j, 256) ORDER BY id) FROM {}.t";
    await_same(&bed, sum);
    bed.on_source(&[
        "INSERT INTO {}.t SELECT 2, JSON_OBJECT('copy', j) FROM {}.t",
        "UPDATE {}.t SET j = JSON_SET(j, '$[7].key[1]', 'other') WHERE id = 1",
    ]);
    await_same(&bed, sum);
}

#[test]
fn a_transaction_of_many_rows_arrives_whole_in_bounded_memory() {
    let rows = std::env::var("IMAGES_ROWS").unwrap_or_else(|_| ROWS.into());
    let bed = JobBed::streaming("many", &["t"]);
    let insert = format!(
        "INSERT INTO {{}}.t WITH RECURSIVE n AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM n WHERE id < {rows}) SELECT id, 'v' FROM n"
    );
    bed.on_source(&["SET SESSION cte_max_recursion_depth = 10000000", &insert]);
    let sum = "SELECT CONCAT_WS(' ', COUNT(*), SUM(id), SUM(CRC32(v))) FROM {}.t";
    await_same(&bed, sum);
    bed.on_source(&["UPDATE {}.t SET v = id"]);
    await_same(&bed, sum);
    let peak = bed.cluster.any().peak_mib();
    println!("{rows} rows in a transaction: a peer of both tasks had {peak} MiB at most");
    assert!(peak < PEAK_MIB_MAX, "{peak} MiB");
}

/// A filter on `v`, a source that logs no more than it must.
#[test]
fn a_filter_that_misses_its_column_in_a_row_image_stops_the_job_with_what_to_do() {
    let mut bed = JobBed::new("lacking", &[]);
    bed.on_source(&["CREATE TABLE {}.t (id INT PRIMARY KEY, v VARCHAR(20))"]);
    bed.job.extra = bed.filled("[[tables]]\nschema = \"{}\"\ntable = \"t\"\nwhere = \"v <> 'secret'\"\n");
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'a')"]);
    bed.on_source(&["SET SESSION binlog_row_image = MINIMAL", "DELETE FROM {}.t WHERE id = 1"]);
    bed.await_state("failed");
    let text = bed.status().to_string();
    for part in [
        "PEER1318",
        "a row image without column `v`, which the filter needs",
        "binlog_row_image = FULL",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_trigger_on_the_target_is_refused_and_those_of_the_source_are_not_carried() {
    let mut bed = JobBed::new("triggers", &["t", "log"]);
    bed.on_source(&["CREATE TRIGGER {}.logged AFTER INSERT ON {}.t FOR EACH ROW INSERT INTO log VALUES (NEW.id, 'added')"]);
    bed.on_target(&[
        "CREATE DATABASE {}",
        "CREATE TABLE {}.t (id INT PRIMARY KEY, v TEXT)",
        "CREATE TRIGGER {}.twice AFTER INSERT ON {}.t FOR EACH ROW SET @n = NEW.id",
    ]);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit_unchecked();
    bed.await_state("failed");
    let text = bed.status().to_string();
    for part in ["PEER1315", "triggers: twice", "DROP TRIGGER"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    bed.on_target(&["DROP TRIGGER {}.twice"]);
    bed.act("restart");
    bed.await_state("streaming");
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'a'), (2, 'b')"]);
    await_same(
        &bed,
        "SELECT GROUP_CONCAT(t.id, t.v, log.id, log.v ORDER BY t.id) FROM {}.t JOIN {}.log USING (id)",
    );
    let triggers = "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{}'";
    assert_eq!(bed.text(&servers().target, triggers), "0");
}

#[test]
fn triggers_of_the_target_are_dropped_when_the_job_says_so_and_their_texts_are_kept() {
    let mut bed = JobBed::new("droptriggers", &["t"]);
    bed.job.sink = "drop_triggers = true\n".into();
    let trigger = |name: &str| format!("CREATE TRIGGER {{}}.{name} AFTER INSERT ON {{}}.t FOR EACH ROW SET @n = NEW.id");
    bed.on_target(&[
        "CREATE DATABASE {}",
        "CREATE TABLE {}.t (id INT PRIMARY KEY, v TEXT)",
        "CREATE TABLE {}.other (id INT PRIMARY KEY)",
        &trigger("early"),
        "CREATE TRIGGER {}.stays AFTER INSERT ON {}.other FOR EACH ROW SET @n = NEW.id",
    ]);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    let left = "SELECT GROUP_CONCAT(TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{}'";
    assert_eq!(bed.text(&servers().target, left), "stays");
    bed.on_target(&[&trigger("late")]);
    support::wait::until("the late trigger is gone too", std::time::Duration::from_secs(90), || {
        (bed.text(&servers().target, left) == "stays").then_some(())
    });
    let kept = format!(
        "SELECT GROUP_CONCAT(trigger_name, ' ', definition LIKE '%AFTER INSERT ON%SET @n = NEW.id' ORDER BY number) FROM {}.dropped_trigger \
         WHERE job = '{}'",
        bed.schema.meta, bed.job.name
    );
    assert_eq!(bed.text(&servers().target, &kept), "early 1,late 1");
}
