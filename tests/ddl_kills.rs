//! Kills of the sink's peer around changes of definitions: each is carried out once, nothing is lost.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use support::job_bed::JobBed;
use support::peers::TestCluster;
use support::servers::servers;
use support::wait::{has_all, until};

/// For what takes seconds on a quiet machine.
const LIMIT: Duration = Duration::from_secs(180);

/// One cluster at a time: three with three peers each would wait for each other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the job's status is as wanted; it never fails meanwhile.
fn await_job(bed: &JobBed, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, LIMIT, || {
        let status = bed.cluster.any().json(&["status", &bed.job.name]).ok()?;
        assert_ne!(status["state"], "failed", "{status:#}");
        wanted(&status).then_some(status)
    })
}

/// A streaming job between three peers, any of which may run either task.
fn bed(word: &str) -> JobBed {
    let mut bed = JobBed::new(word, &["t", "u"]);
    for name in ["a", "b", "c"] {
        bed.cluster.add(name, "dc1", &[]);
    }
    bed.cluster.await_members(3);
    bed.submit();
    await_job(&bed, "the job is streaming", |status| status["state"] == "streaming");
    bed
}

/// Kills the peer that runs the sink task and waits for another one; the killed one comes back.
fn kill_sink(bed: &mut JobBed) {
    let status = await_job(bed, "a sink", |status| status["sink"]["peer"].is_string());
    let name = status["sink"]["peer"].as_str().unwrap().to_owned();
    bed.cluster.peer_mut(&name).kill();
    await_job(bed, "another sink", |status| {
        status["sink"]["peer"].is_string() && status["sink"]["peer"] != name.as_str()
    });
    restart(&mut bed.cluster, &name);
}

fn restart(cluster: &mut TestCluster, name: &str) {
    let seed = cluster.any().run_field("peer");
    cluster.peer_mut(name).restart(Some(&seed));
}

fn await_all(bed: &JobBed) {
    let executed = bed.runtime.block_on(bed.source.executed());
    await_job(bed, "the target has everything", |status| has_all(status, &executed));
}

/// Waits until the target has all that the source has: before that, tables cannot be compared, their names and columns change.
fn await_equal(bed: &JobBed) {
    await_all(bed);
    bed.await_equal(LIMIT);
}

/// Waits until the target has begun a change of this bed's tables and waits for a lock.
fn await_waiting(bed: &JobBed) {
    until("the target works on the change", LIMIT, || {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist \
                   WHERE state LIKE 'Waiting for table metadata lock' AND info LIKE '%{}%'";
        (bed.target_number(sql) > 0).then_some(())
    });
}

#[test]
fn p3_an_alter_that_is_under_way_when_the_sink_dies_is_carried_out_once() {
    let _alone = alone();
    let mut bed = bed("ddlwhile");
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one')"]);
    bed.await_equal(LIMIT);
    let lock = bed.lock_on_target("t");
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN n INT DEFAULT 5",
        "INSERT INTO {}.t VALUES (2, 'two', 6)",
        "ALTER TABLE {}.t ADD COLUMN m INT DEFAULT 8",
        "INSERT INTO {}.t VALUES (3, 'three', 6, 9)",
    ]);
    await_waiting(&bed);
    kill_sink(&mut bed);
    drop(lock);
    await_equal(&bed);
}

/// A streaming job with these rules between three peers, after these statements on the source.
fn bed_of(word: &str, statements: &[&str], rules: &str) -> JobBed {
    let mut bed = JobBed::new(word, &[]);
    bed.on_source(statements);
    bed.job.extra = bed.filled(rules);
    for name in ["a", "b", "c"] {
        bed.cluster.add(name, "dc1", &[]);
    }
    bed.cluster.await_members(3);
    bed.submit();
    await_job(&bed, "the job is streaming", |status| status["state"] == "streaming");
    bed
}

/// Waits until the target has all that the source has; then both queries give the same text.
fn await_texts(bed: &JobBed, on_source: &str, on_target: &str) {
    await_all(bed);
    let expected = bed.text(&bed.source, on_source);
    assert_eq!(bed.text(&servers().target, on_target), expected);
}

#[test]
fn p3_a_table_that_is_neither_as_before_nor_as_after_stops_the_job_with_both() {
    let _alone = alone();
    let mut bed = JobBed::streaming("ddlneither", &["t"]);
    let lock = bed.lock_on_target("t");
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN n INT DEFAULT 5",
        "INSERT INTO {}.t VALUES (2, 'two', 6)",
    ]);
    await_waiting(&bed);
    bed.cluster.peer_mut("one").kill();
    let waiting =
        "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock' AND info LIKE '%{}%'";
    bed.on_target(&[&format!("KILL {}", bed.target_number(waiting))]);
    drop(lock);
    bed.on_target(&["ALTER TABLE {}.t ADD COLUMN other INT"]);
    bed.cluster.peer_mut("one").restart(None);
    let failed = bed.await_state("failed");
    let error = &failed["errors"][0];
    assert_eq!(error["code"], "PEER1321", "{failed:#}");
    let text = error["text"].as_str().unwrap();
    for shown in ["neither", "`other` int", "`n` int", "ADD COLUMN n INT"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    bed.on_target(&["ALTER TABLE {}.t DROP COLUMN other"]);
    bed.act("restart");
    await_equal(&bed);
}

#[test]
fn p3_a_table_that_two_become_changes_once_when_the_sink_dies() {
    let _alone = alone();
    let make = |table: &str| format!("CREATE TABLE {{}}.{table} (id INT PRIMARY KEY, v TEXT)");
    let rules = "[[tables]]\nschema = \"{}\"\ntable = '/live|old/'\nto = { table = \"every\" }\nmerge = true\n";
    let rows = [
        "INSERT INTO {}.live VALUES (1, 'one')",
        "INSERT INTO {}.old VALUES (2, 'two')",
    ];
    let mut bed = bed_of("ddlmerged", &[&make("live"), &make("old"), rows[0], rows[1]], rules);
    let lock = bed.lock_on_target("every");
    bed.on_source(&[
        "ALTER TABLE {}.live ADD x INT DEFAULT 7, ADD KEY by_x (x)",
        "INSERT INTO {}.live VALUES (3, 'three', 8)",
        "INSERT INTO {}.old VALUES (4, 'four')",
        "ALTER TABLE {}.old ADD x INT DEFAULT 7, ADD KEY by_x (x)",
        "BEGIN; DELETE FROM {}.old WHERE id = 2; INSERT INTO {}.live VALUES (2, 'moved', 9); COMMIT",
        "ALTER TABLE {}.old DROP KEY by_x",
        "ALTER TABLE {}.live DROP KEY by_x",
    ]);
    await_waiting(&bed);
    kill_sink(&mut bed);
    drop(lock);
    let all = |from: &str| format!("SELECT GROUP_CONCAT(CONCAT_WS('|', id, v, x) ORDER BY id) FROM {from}");
    await_texts(
        &bed,
        &all("(SELECT * FROM {}.live UNION ALL SELECT * FROM {}.old) every"),
        &all("{}.every"),
    );
    let indexes = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = '{}' AND table_name = 'every'";
    assert_eq!(bed.target_number(indexes), 1);
}

#[test]
fn p3_skipped_changes_stay_away_when_the_sink_dies_between_them() {
    let _alone = alone();
    let rules = "[[tables]]\nschema = \"{}\"\ntable = \"t\"\n[filter]\nskip = [\"ddl.alter-table\", \"ddl.create-index\"]\n";
    let mut bed = bed_of("ddlskipped", &["CREATE TABLE {}.t (id INT PRIMARY KEY, v TEXT)"], rules);
    for round in 1..4 {
        bed.on_source(&[
            &format!("ALTER TABLE {{}}.t ADD COLUMN n{round} INT DEFAULT 5 FIRST"),
            &format!("INSERT INTO {{}}.t (id, v) VALUES ({round}, 'round')"),
            &format!("CREATE INDEX by_{round} ON {{}}.t (n{round})"),
            &format!("UPDATE {{}}.t SET v = CONCAT(v, n{round})"),
        ]);
        kill_sink(&mut bed);
    }
    let all = "SELECT GROUP_CONCAT(CONCAT_WS('|', id, v) ORDER BY id) FROM {}.t";
    await_texts(&bed, all, all);
    let columns =
        "SELECT GROUP_CONCAT(column_name ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = '{}'";
    assert_eq!(bed.text(&servers().target, columns), "id,v");
}

#[test]
fn p3_a_copy_that_must_begin_anew_leaves_the_rows_of_others_in_a_table_of_several() {
    let _alone = alone();
    let mut bed = JobBed::new("merging", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.live (id INT, v TEXT)",
        "CREATE TABLE {}.old (id INT, v TEXT)",
        "INSERT INTO {}.live VALUES (1, 'of live')",
    ]);
    let rows = "INSERT INTO {}.old WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, CONCAT(SHA2(i, 512), SHA2(i + 7, 512), SHA2(i + 9, 512)) FROM n";
    bed.on_source(&[rows]);
    for step in 1..10 {
        bed.on_source(&[&format!(
            "INSERT INTO {{}}.old SELECT id + {step} * 1000, CONCAT(SHA2(id + {step}, 512), v) FROM {{}}.old WHERE id < 1000"
        )]);
    }
    bed.job.extra = bed.filled(
        "[[tables]]\nschema = \"{}\"\ntable = '/live|old/'\nto = { table = \"every\" }\nmerge = true\n[link]\nrate = \"400 KB/s\"\n",
    );
    for name in ["a", "b"] {
        bed.cluster.add(name, "dc1", &[]);
    }
    bed.cluster.await_members(2);
    bed.submit();
    // The status follows the target by a moment.
    await_job(&bed, "rows of both are there, and it copies", |status| {
        let found = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}' AND table_name = 'every'";
        bed.target_number(found) == 1
            && bed.target_number("SELECT COUNT(*) FROM {}.every WHERE id = 1") == 1
            && bed.target_number("SELECT COUNT(*) FROM {}.every") > 1
            && status["state"] == "copying"
    });
    let status = bed.status();
    let name = status["sink"]["peer"].as_str().unwrap().to_owned();
    bed.cluster.peer_mut(&name).kill();
    let failed = until("the job stops before rows of others go", LIMIT, || {
        let status = bed.cluster.any().json(&["status", &bed.job.name]).ok()?;
        (status["state"] == "failed").then_some(status)
    });
    let text = failed["errors"][0]["text"].to_string();
    assert!(text.contains("must begin anew"), "{failed:#}");
    assert_eq!(
        bed.target_number("SELECT COUNT(*) FROM {}.every WHERE id = 1"),
        1,
        "nothing is lost"
    );
}

#[test]
fn p3_a_mapped_table_that_changes_when_the_sink_dies_changes_once() {
    let _alone = alone();
    let mut bed = JobBed::new("ddlmapped", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.t (id INT PRIMARY KEY, v TEXT, x INT)",
        "INSERT INTO {}.t VALUES (1, 'one', 1)",
    ]);
    bed.job.extra = bed.filled(
        "[[tables]]\nschema = \"{}\"\ntable = \"t\"\nwhere = \"id < 100\"\nto = { table = \"m\", columns = { v = \"w\" } }\n",
    );
    for name in ["a", "b", "c"] {
        bed.cluster.add(name, "dc1", &[]);
    }
    bed.cluster.await_members(3);
    bed.submit();
    await_job(&bed, "the job is streaming", |status| status["state"] == "streaming");
    let lock = bed.lock_on_target("m");
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN n INT DEFAULT 5, DROP COLUMN x",
        "INSERT INTO {}.t VALUES (2, 'two', 6), (200, 'not there', 6)",
        "ALTER TABLE {}.t DROP COLUMN n, ADD COLUMN n INT DEFAULT 8 FIRST, ADD INDEX (n)",
        "INSERT INTO {}.t VALUES (9, 3, 'three')",
        "UPDATE {}.t SET v = 'gone' WHERE id = 200",
    ]);
    await_waiting(&bed);
    kill_sink(&mut bed);
    drop(lock);
    await_all(&bed);
    let rows = |columns: &str, table: &str| {
        format!("SELECT GROUP_CONCAT(CONCAT_WS('|', {columns}) ORDER BY id) FROM {{}}.{table} WHERE id < 100")
    };
    let on_source = bed.text(&bed.source, &rows("n, id, v", "t"));
    assert_eq!(on_source, "8|1|one,8|2|two,9|3|three");
    assert_eq!(bed.text(&servers().target, &rows("n, id, w", "m")), on_source);
    assert_eq!(bed.target_number("SELECT COUNT(*) FROM {}.m"), 3);
}

#[test]
fn p3_names_that_are_exchanged_when_the_sink_dies_are_exchanged_once() {
    let _alone = alone();
    let mut bed = bed("ddlswap");
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'of t')", "INSERT INTO {}.u VALUES (2, 'of u')"]);
    bed.await_equal(LIMIT);
    let lock = bed.lock_on_target("t");
    bed.on_source(&[
        "RENAME TABLE {}.t TO {}.tmp, {}.u TO {}.t, {}.tmp TO {}.u",
        "INSERT INTO {}.t VALUES (3, 'of u, called t')",
    ]);
    await_waiting(&bed);
    kill_sink(&mut bed);
    drop(lock);
    await_equal(&bed);
}

#[test]
fn p3_kills_at_random_moments_between_many_changes_lose_and_double_nothing() {
    let _alone = alone();
    let mut bed = bed("ddlrandom");
    for round in 0..4u64 {
        bed.on_source(&[
            &format!("INSERT INTO {{}}.t (id, v) VALUES ({round}, 'before')"),
            &format!("ALTER TABLE {{}}.t ADD COLUMN c{round} INT DEFAULT {round}"),
            &format!("UPDATE {{}}.t SET c{round} = c{round} + 1"),
            "RENAME TABLE {}.t TO {}.tmp, {}.u TO {}.t, {}.tmp TO {}.u",
            &format!("INSERT INTO {{}}.t (id, v) VALUES ({}, 'exchanged')", 100 + round),
            &format!("CREATE INDEX by_{round} ON {{}}.u (id, v(5))"),
            "RENAME TABLE {}.t TO {}.tmp, {}.u TO {}.t, {}.tmp TO {}.u",
            "TRUNCATE {}.u",
            &format!("INSERT INTO {{}}.u VALUES ({round}, 'anew')"),
        ]);
        std::thread::sleep(Duration::from_millis(90 * round));
        if round % 2 == 0 {
            kill_sink(&mut bed);
        }
    }
    await_equal(&bed);
}
