//! PROTOCOLS section 1 on a real source: chunks and stream in one order, driven step by step, and under writers.

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use peer::config::job::parse_job;
use peer::core::disposition::Disposition;
use peer::core::gtid_set::GtidSet;
use peer::flow::byte_channel::channel;
use peer::flow::chunk_tasks::ChunkTasks;
use peer::flow::merge_stage::{MergeStage, MergeView};
use peer::flow::minimal_cut::{MinimalCut, MinimalTables};
use peer::flow::projector::Projector;
use peer::flow::sender::Outgoing;
use peer::flow::source_series::CopySeries;
use peer::mysql::session::Session;
use peer::mysql::source::chunk_reader::{ChunkReader, Range, ReadOutcome, check_server};
use peer::mysql::source::heartbeat::{self, Beat};
use support::copy_bed::{CopyBed, TABLE};
use support::servers::servers;
use support::target::database;
use tokio::sync::watch;
use tokio::task::JoinSet;

const KEYED: &str = "id INT PRIMARY KEY, v INT";

/// Ids 5, 10 … 40; up to 10 copied, up to 20 open.
async fn three_ranges(word: &str) -> CopyBed {
    let mut bed = CopyBed::new(word, KEYED, &["(5,0),(10,0),(15,0),(20,0),(25,0),(30,0),(35,0),(40,0)"]).await;
    bed.copy_chunk(2).await;
    bed.open(2).await;
    bed
}

/// When the statement commits, seen from the chunk.
#[derive(Clone, Copy, Debug)]
enum When {
    BeforeTheView,
    InsideTheView,
    AfterTheMark,
}

async fn write_and_finish(word: &str, statements: &[&str]) {
    for when in [When::BeforeTheView, When::InsideTheView, When::AfterTheMark] {
        let mut bed = three_ranges(word).await;
        match when {
            When::BeforeTheView => {
                for statement in statements {
                    bed.write(statement).await;
                }
                bed.read().await;
            }
            When::InsideTheView => bed.read_around(statements).await,
            When::AfterTheMark => {
                bed.read().await;
                for statement in statements {
                    bed.write(statement).await;
                }
            }
        }
        bed.follow().await;
        assert!(bed.close(), "{when:?}: the stream is at the mark");
        bed.finish().await;
    }
}

async fn move_key(word: &str, old: i32, new: i32) {
    let statement = format!("UPDATE {{t}} SET id = {new}, v = 1 WHERE id = {old}");
    write_and_finish(word, &[&statement]).await;
}

#[tokio::test]
async fn a_key_moved_over_the_border_is_there_once_in_each_of_nine_combinations() {
    let (copied, open, unread) = ((5, 6), (15, 16), (30, 31));
    for (old, _) in [copied, open, unread] {
        for (_, new) in [copied, open, unread] {
            move_key("move", old, new).await;
        }
    }
}

#[tokio::test]
async fn a_row_deleted_and_inserted_again_inside_the_window_is_there_once() {
    write_and_finish("again", &["DELETE FROM {t} WHERE id = 15", "INSERT INTO {t} VALUES (15, 7)"]).await;
    write_and_finish("again", &["INSERT INTO {t} VALUES (16, 7)", "DELETE FROM {t} WHERE id = 16"]).await;
}

#[tokio::test]
async fn a_commit_between_view_and_high_mark_is_folded_before_the_chunk_closes() {
    let mut bed = three_ranges("stalled").await;
    bed.follow().await;
    bed.read_around(&["UPDATE {t} SET v = 9 WHERE id = 15", "DELETE FROM {t} WHERE id = 20"])
        .await;
    assert!(!bed.close(), "the stream has not shown what was committed before the mark");
    bed.follow().await;
    assert!(bed.close(), "the stream is at the mark");
    bed.finish().await;
}

#[tokio::test]
async fn a_transaction_that_was_dropped_before_the_chunk_opened_is_in_its_view() {
    let mut bed = CopyBed::new("dropped", KEYED, &["(1,0),(2,0)"]).await;
    for n in 0..50 {
        bed.write(&format!("INSERT INTO {{t}} VALUES ({}, 1)", 100 + n)).await;
        bed.follow().await;
        bed.open(1000).await;
        bed.read().await;
        bed.merger.void(TABLE);
    }
    bed.finish().await;
}

#[tokio::test]
async fn a_voided_chunk_is_read_again() {
    let mut bed = three_ranges("void").await;
    bed.read().await;
    bed.write("UPDATE {t} SET v = 3 WHERE id = 15").await;
    bed.follow().await;
    bed.merger.void(TABLE);
    assert!(!bed.close(), "nothing is open");
    bed.finish().await;
}

#[tokio::test]
async fn an_idle_source_closes_a_chunk_by_the_position_of_its_heartbeat() {
    let mut bed = CopyBed::new("idle", KEYED, &["(1,0),(2,0)"]).await;
    bed.open(1000).await;
    bed.read().await;
    // Nothing is written after G0: only a heartbeat can tell the position.
    tokio::time::timeout(Duration::from_secs(5), bed.follow())
        .await
        .expect("a heartbeat comes within seconds");
    assert!(bed.close(), "the heartbeat is at the mark");
    bed.finish().await;
}

#[tokio::test]
async fn rows_of_another_server_are_refused_and_the_flow_tries_again() {
    let mut bed = three_ranges("switch").await;
    let other = ChunkReader::open(&database(servers().target)).await.expect("connects");
    let error = check_server(other.address(), other.server_uuid(), bed.chunks.server_uuid()).expect_err("two servers");
    assert_eq!(error.disposition(), Disposition::Retry);
    bed.merger.void(TABLE);
    bed.finish().await;
}

#[tokio::test]
async fn a_definition_that_changed_under_the_view_voids_the_chunk() {
    let mut bed = three_ranges("ddl").await;
    bed.chunks.begin_view().await.expect("opens a view");
    bed.write("ALTER TABLE {t} ADD COLUMN w INT, ALGORITHM = COPY").await;
    let key = bed.shape.key.clone().expect("keyed");
    let range = Range { low: None, high: None };
    let selected = bed
        .chunks
        .select_range(&bed.shape, &key, &range, 1 << 20)
        .await
        .expect("an outcome");
    assert_eq!(selected, peer::mysql::source::chunk_reader::Selected::Void);
}

#[tokio::test]
async fn a_range_larger_than_its_budget_is_too_large_and_the_reader_goes_on() {
    let mut bed = CopyBed::new(
        "large",
        "id INT PRIMARY KEY, v LONGBLOB",
        &["(1, REPEAT('x', 100000))", "(2, REPEAT('y', 100000))"],
    )
    .await;
    let range = Range { low: None, high: None };
    let outcome = bed.chunks.read(&bed.shape, &range, 150_000).await.expect("an outcome");
    assert_eq!(outcome, ReadOutcome::TooLarge);
    bed.finish().await;
}

#[tokio::test]
async fn composite_keys_of_many_types_are_walked_in_the_order_of_their_index() {
    let columns = "a VARCHAR(10) COLLATE utf8mb4_0900_ai_ci, b DATETIME(3), c DECIMAL(6,2), d INT, e ENUM('z','y','x'), f BINARY(4), v INT, \
                   PRIMARY KEY (a, b, c, d, e, f)";
    let mut values = Vec::new();
    for n in 0..60 {
        let (a, e) = (["a", "B", "ä ", "b", "Ä", ""][n % 6], ["x", "y", "z"][n % 3]);
        let (b, c) = (
            format!("2020-01-0{} 00:00:00.{:03}", 1 + n % 2, n % 4),
            format!("{}.{:02}", -(n as i64 % 3), n),
        );
        values.push(format!(
            "('{a}{}', '{b}', {c}, {}, '{e}', x'0{}00', {n})",
            n / 30,
            n % 5,
            n % 7
        ));
    }
    let rows = values.join(",");
    let mut bed = CopyBed::new("composite", columns, &[&rows]).await;
    let mut chunks = 0;
    while !bed.merger.copy().is_done() {
        bed.write("UPDATE {t} SET v = v + 1 WHERE d = 3").await;
        bed.copy_chunk(7).await;
        chunks += 1;
    }
    assert_eq!(chunks, 9, "60 rows in chunks of 7");
    bed.finish().await;
}

#[tokio::test]
async fn every_kind_of_key_is_walked_with_its_index() {
    // Its last member is the top bit of the number that it is compared by.
    let members: Vec<String> = (0..64).map(|at| format!("'m{at}'")).collect();
    let widest_set = format!("SET({})", members.join(", "));
    let kinds = [
        (
            "BIGINT UNSIGNED",
            vec!["0", "1", "9223372036854775807", "9223372036854775808", "18446744073709551615"],
        ),
        (
            "BIT(64)",
            vec!["1", "x'7fffffffffffffff'", "x'8000000000000000'", "x'ffffffffffffffff'"],
        ),
        (widest_set.as_str(), vec!["'m0'", "'m62'", "'m63'", "'m0,m63'"]),
        (
            "TIMESTAMP(3)",
            vec!["'2001-01-01 00:00:00.123'", "'2030-01-01'", "'1970-01-02'"],
        ),
        ("TIME(6)", vec!["'-838:59:59'", "'-00:00:00.000001'", "'12:00:00'"]),
        ("YEAR", vec!["0", "1901", "2001"]),
        ("DOUBLE", vec!["-1e300", "0.1", "2.5"]),
        ("FLOAT", vec!["-1.1", "0.1", "16777216"]),
        ("BIT(20)", vec!["1", "256", "70000"]),
        ("SET('a','b','c')", vec!["'a'", "'b,c'", "''"]),
        ("DATE", vec!["'0000-00-00'", "'2020-00-00'", "'2020-01-01'"]),
        (
            "VARCHAR(20) CHARACTER SET utf16 COLLATE utf16_general_ci",
            vec!["'ä'", "'b'", "'Z'"],
        ),
        (
            "CHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci",
            vec!["'ß'", "'st'", "'ä'"],
        ),
        ("VARBINARY(20)", vec!["x'00'", "x'0000'", "x'ff'"]),
        ("DECIMAL(10,5)", vec!["-1.00001", "0", "99999.99999"]),
    ];
    for (kind, keys) in kinds {
        let mut bed = CopyBed::new("kinds", &format!("k {kind} PRIMARY KEY, v INT"), &[]).await;
        bed.write("SET sql_mode = ''").await;
        for key in &keys {
            bed.write(&format!("INSERT INTO {{t}} VALUES ({key}, 0)")).await;
        }
        for chunk in 0..=keys.len() {
            assert!(!bed.merger.copy().is_done(), "{kind}: done after {chunk} chunks");
            bed.write("UPDATE {t} SET v = v + 1").await;
            bed.copy_chunk(1).await;
        }
        assert!(bed.merger.copy().is_done(), "{kind}: {} chunks", keys.len() + 1);
        bed.finish().await;
    }
}

#[tokio::test]
async fn a_small_chunk_is_read_from_its_index() {
    let mut bed = CopyBed::new("index", "a INT, b VARCHAR(10), v INT, PRIMARY KEY (a, b)", &[]).await;
    let rows: Vec<String> = (0..2000).map(|n| format!("({}, 'k{n}', 0)", n / 100)).collect();
    bed.write(&format!("INSERT INTO {{t}} VALUES {}", rows.join(","))).await;
    for _ in 0..10 {
        bed.copy_chunk(100).await;
    }
    let before = handler_reads(&mut bed.conn).await;
    let key = bed.shape.key.clone().expect("keyed");
    let cursor = bed.merger.copy().table(TABLE).and_then(|table| table.cursor().cloned());
    let condition = peer::mysql::source::key_range::condition(&bed.shape, &key, cursor.as_ref(), None).expect("a condition");
    bed.write(&format!(
        "DO (SELECT COUNT(*) FROM (SELECT a FROM {{t}} FORCE INDEX (PRIMARY) WHERE {condition} ORDER BY a, b LIMIT 10) x)"
    ))
    .await;
    let reads = handler_reads(&mut bed.conn).await - before;
    assert!(reads < 100, "10 rows behind a border took {reads} reads");
    bed.finish().await;
}

async fn handler_reads(conn: &mut mysql_async::Conn) -> u64 {
    let rows: Vec<(String, u64)> = conn
        .query("SHOW SESSION STATUS LIKE 'Handler_read%'")
        .await
        .expect("a status");
    rows.into_iter().map(|(_, count)| count).sum()
}

/// Copies the table with the real stage while `writers` run, then compares.
async fn copy_under_writers(mut bed: CopyBed, statements: fn(u64) -> String) {
    const WRITERS: u64 = 4;
    const STATEMENTS: u64 = 250;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let table = bed.table.clone();
        writers.spawn(async move {
            let mut conn = servers().source.conn().await;
            for n in 0..STATEMENTS {
                let statement = statements(n * WRITERS + writer).replace("{t}", &table);
                match conn.query_drop(&statement).await {
                    Ok(()) => {}
                    // A deadlock, a lock wait or a key that is there already: nothing was written.
                    Err(mysql_async::Error::Server(error)) if [1062, 1205, 1213].contains(&error.code) => {}
                    Err(error) => panic!("{statement}: {error}"),
                }
            }
            conn.disconnect().await.expect("disconnects");
        });
    }
    let mut end: Option<GtidSet> = None;
    let (mut sink, mut stages, mut outgoing) = start_stage(bed.source.clone(), bed.merger, bed.reader, bed.sink);
    while end.as_ref().is_none_or(|end| !end.is_subset_of(&sink.passed)) || !sink.is_done {
        tokio::select! {
            item = outgoing.recv() => {
                if let Outgoing::Item(item) = item.expect("the stage lives").into_item() {
                    sink.apply(item);
                }
            }
            done = writers.join_next(), if end.is_none() => match done {
                Some(done) => done.expect("the writer ended well"),
                None => {
                    let mut session = Session::connect(&bed.source).await.expect("connects");
                    end = Some(heartbeat::beat(&mut session).await.expect("answers").executed);
                }
            },
            failed = stages.join_next() => panic!("a stage ended: {failed:?}"),
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("nothing moves"),
        }
    }
    let range = Range { low: None, high: None };
    let outcome = bed.chunks.read(&bed.shape, &range, 1 << 30).await.expect("reads");
    let ReadOutcome::Rows(read) = outcome else {
        panic!("expected rows, found {outcome:?}")
    };
    let mut expected = support::copy_bed::Sink::new(&bed.shape, sink.passed.clone());
    read.rows.into_iter().for_each(|row| expected.put(row));
    assert!(
        !expected.by_key.is_empty() || !expected.bag.is_empty(),
        "the table is not empty"
    );
    assert_eq!(sink.by_key, expected.by_key, "target and source differ");
    assert_eq!(sink.bag, expected.bag, "target and source differ");
}

type Running = (
    support::copy_bed::Sink,
    JoinSet<String>,
    peer::flow::byte_channel::ByteReceiver<Outgoing>,
);

/// Asked only when definitions change.
fn job_spec() -> peer::core::job_spec::JobSpec {
    let end =
        |section: &str| format!("[{section}]\nkind = \"mysql\"\nhost = \"{section}\"\nport = 1\nuser = \"u\"\npassword = \"\"\n");
    let tables = "[[tables]]\nschema = \"s\"\ntable = \"t\"\n";
    parse_job(&format!("name = \"s\"\n{}{tables}{}", end("source"), end("sink"))).expect("a job")
}

fn start_stage(
    source: peer::core::job_spec::DatabaseSpec,
    merger: peer::flow::merger::Merger,
    mut reader: peer::mysql::source::reader::Reader,
    sink: support::copy_bed::Sink,
) -> Running {
    let (events_out, events) = channel(8 << 20, 1024);
    let (beats_out, beats) = watch::channel(Beat::default());
    let (out, outgoing) = channel(8 << 20, 1024);
    let tasks = ChunkTasks::new(source.clone(), reader.server_uuid().to_owned(), merger.copy());
    let stage = MergeStage {
        spec: job_spec(),
        source_uuid: reader.server_uuid().to_owned(),
        is_over: false,
        copy_from: None,
        waiting_told: None,
        merger,
        projector: Projector::new(source.clone(), &[]).expect("no filters"),
        minimal: MinimalCut::new(&[], watch::channel(MinimalTables::default()).1),
        tasks,
        series: CopySeries::of("snapshot-test"),
        events,
        beats,
        prepared: watch::Sender::default(),
        out,
        copy_held: watch::channel(false).1,
        view: watch::Sender::new(MergeView::default()),
    };
    let mut stages = JoinSet::new();
    stages.spawn(async move { format!("merge: {:?}", stage.run().await) });
    stages.spawn(async move { format!("heartbeat: {:?}", heartbeat::run(source, &beats_out).await) });
    stages.spawn(async move {
        loop {
            match reader.next().await {
                Ok(event) => drop(events_out.send(vec![event], 100).await),
                Err(error) => return format!("reader: {error:?}"),
            }
        }
    });
    (sink, stages, outgoing)
}

/// Deterministic noise.
fn mix(n: u64) -> u64 {
    let x = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^ (x >> 29)
}

#[tokio::test(flavor = "multi_thread")]
async fn integer_keys_are_copied_exactly_under_writers() {
    let mut bed = CopyBed::new("ints", "id INT PRIMARY KEY, v INT, w INT, UNIQUE (w)", &[]).await;
    fill(&mut bed, |n| format!("({}, {n}, {n})", n * 10)).await;
    copy_under_writers(bed, |n| {
        let (id, other) = (mix(n) % 80_000, mix(n * 7 + 3) % 80_000);
        match n % 5 {
            0 => format!("INSERT INTO {{t}} VALUES ({}, {n}, {})", id, 1_000_000 + n),
            1 => format!("DELETE FROM {{t}} WHERE id BETWEEN {id} AND {}", id + 20),
            2 => format!("UPDATE {{t}} SET id = {other} + 1 WHERE id >= {id} ORDER BY id LIMIT 1"),
            3 => format!("UPDATE {{t}} SET v = v + 1 WHERE id BETWEEN {id} AND {}", id + 200),
            _ => format!("REPLACE INTO {{t}} VALUES ({}, {n}, {})", id / 10 * 10, n * 3),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn string_keys_of_a_case_insensitive_collation_are_copied_exactly_under_writers() {
    let columns = "k VARCHAR(30) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT";
    let mut bed = CopyBed::new("strings", columns, &[]).await;
    fill(&mut bed, |n| {
        format!("('{}{n:05}', {n})", ["a", "B", "ä", "Z"][n as usize % 4])
    })
    .await;
    copy_under_writers(bed, |n| {
        let (id, letter) = (mix(n) % 8000, ["A", "b", "Ä", "z", "é"][n as usize % 5]);
        match n % 4 {
            0 => format!("INSERT INTO {{t}} VALUES ('{letter}{id:05}x', {n})"),
            1 => format!("DELETE FROM {{t}} WHERE k >= '{letter}{id:05}' ORDER BY k LIMIT 3"),
            2 => format!("UPDATE {{t}} SET k = UPPER(k), v = v + 1 WHERE k >= '{letter}{id:05}' ORDER BY k LIMIT 2"),
            _ => format!(
                "UPDATE {{t}} SET k = CONCAT('{letter}', SUBSTR(k, 2), 'm') WHERE k >= '{letter}{id:05}' ORDER BY k LIMIT 1"
            ),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_copied_exactly_under_writers() {
    let mut bed = CopyBed::new("keyless", "a INT, b VARCHAR(20), KEY (a)", &[]).await;
    fill(&mut bed, |n| format!("({}, 'x')", n % 500)).await;
    copy_under_writers(bed, |n| {
        let a = mix(n) % 500;
        match n % 3 {
            0 => format!("INSERT INTO {{t}} VALUES ({a}, 'y'), ({a}, 'y')"),
            1 => format!("DELETE FROM {{t}} WHERE a = {a} LIMIT 2"),
            _ => format!("UPDATE {{t}} SET b = CONCAT('n', {}) WHERE a = {a} LIMIT 2", n % 4),
        }
    })
    .await;
}

/// 8,000 rows.
async fn fill(bed: &mut CopyBed, row: fn(u64) -> String) {
    for start in (0..8000).step_by(2000) {
        let rows: Vec<String> = (start..start + 2000).map(row).collect();
        bed.write(&format!("INSERT INTO {{t}} VALUES {}", rows.join(","))).await;
    }
}
