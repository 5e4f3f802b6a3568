//! What people ask of a job's target, with real peers: shut it while the owner is frozen, adopt what another cluster left,
//! forget it.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::compare::assert_equal;
use support::job::JobFile;
use support::peers::{TestCluster, TestPeer};
use support::schema::TestSchema;
use support::servers::servers;
use support::traffic::Traffic;
use support::wait::{has_all, until};

const JOB: &str = "orders";
const SOON: Duration = Duration::from_secs(30);
/// Rows are compared that show one that came twice.
const TABLES: [&str; 2] = ["t", "keyless"];

async fn tables() -> TestSchema {
    let schema = TestSchema::new("orders").await;
    let create = [
        format!(
            "CREATE TABLE {}.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, v DOUBLE)",
            schema.base
        ),
        format!("CREATE TABLE {}.keyless (v INT)", schema.base),
    ];
    servers().source.run(&[&create[0], &create[1]]).await;
    insert(&schema, 20).await;
    schema
}

async fn insert(schema: &TestSchema, rows: usize) {
    for _ in 0..rows {
        let insert = [
            format!("INSERT INTO {}.t (v) VALUES (RAND())", schema.base),
            format!("INSERT INTO {}.keyless VALUES (7)", schema.base),
        ];
        servers().source.run(&[&insert[0], &insert[1]]).await;
    }
}

fn job_file(schema: &TestSchema, has_sites: bool) -> PathBuf {
    let file = support::guard::folder().join(format!("{}.toml", schema.base));
    let mut job = JobFile::new(JOB);
    if !has_sites {
        (job.source_site, job.sink_site) = (None, None);
    }
    std::fs::write(&file, job.text(schema, &TABLES)).unwrap();
    file
}

fn status(peer: &TestPeer) -> Value {
    peer.json(&["status", JOB]).unwrap_or_else(|e| panic!("status: {e}"))
}

fn await_state(peer: &TestPeer, state: &str) -> Value {
    until(&format!("{} says {state}", peer.name), SOON, || {
        Some(status(peer)).filter(|status| status["state"] == state)
    })
}

async fn await_equal(peer: &TestPeer, schema: &TestSchema) {
    let executed = servers().source.executed().await;
    tokio::task::block_in_place(|| {
        until("the target has everything", SOON, || {
            has_all(&status(peer), &executed).then_some(())
        });
    });
    assert_equal(&servers().source, &servers().target, &schema.base, &TABLES).await;
}

/// Rows of the job in all tables of peer's own schema.
async fn meta_rows(schema: &TestSchema) -> u64 {
    let tables = ["progress", "session", "copy", "shape", "ddl", "conflict", "beat", "fence"];
    let counts = tables.map(|table| format!("(SELECT COUNT(*) FROM {}.{table} WHERE job = '{JOB}')", schema.meta));
    servers().target.number(&format!("SELECT {}", counts.join(" + "))).await
}

async fn newest(schema: &TestSchema) -> u64 {
    let sql = format!("SELECT COALESCE(MAX(id), 0) FROM {}.t", schema.base);
    servers().target.number(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_owner_that_was_fenced_from_another_peer_writes_nothing_when_it_wakes_and_stops_quietly() {
    let schema = tables().await;
    let file = job_file(&schema, true);
    let cluster = TestCluster::two_sites("fenced");
    cluster.any().json(&["submit", file.to_str().unwrap()]).unwrap();
    tokio::task::block_in_place(|| await_state(cluster.any(), "streaming"));
    let traffic = Traffic::start(&schema).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let owner = status(cluster.any())["sink"]["peer"].as_str().unwrap().to_owned();
    let frozen = cluster.peer(&owner);
    let other = cluster
        .peers
        .iter()
        .find(|peer| peer.name != owner && peer.name.starts_with("bj"))
        .unwrap();
    frozen.signal("STOP");
    let told = tokio::task::block_in_place(|| other.json(&["stop", JOB, "--fence"]));
    let fenced_at = newest(&schema).await;
    let told = told.unwrap_or_else(|error| {
        frozen.signal("CONT");
        panic!("stop --fence: {error}")
    });
    assert_eq!(told["target"]["ended_owner"], owner.as_str(), "{told:#}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    frozen.signal("CONT");
    tokio::task::block_in_place(|| {
        until("the woken owner has ended its task", SOON, || {
            let log = frozen.log();
            let woken = log.rsplit("sink task started").next()?;
            ["sink task lost the fence", "sink task ended"]
                .iter()
                .any(|end| woken.contains(end))
                .then_some(())
        });
        for peer in &cluster.peers {
            await_state(peer, "stopped");
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(newest(&schema).await, fenced_at, "no row after the fence");
    let errors: Vec<String> = frozen
        .log()
        .lines()
        .filter(|line| line.contains("ERROR"))
        .map(str::to_owned)
        .collect();
    assert!(errors.is_empty(), "it stops quietly: {errors:#?}");
    traffic.end().await;
    cluster.any().json(&["resume", JOB]).unwrap();
    tokio::task::block_in_place(|| await_state(cluster.any(), "streaming"));
    await_equal(cluster.any(), &schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_another_cluster_is_named_and_goes_on_once_it_is_adopted_and_nothing_is_lost_or_twice() {
    let schema = tables().await;
    let file = job_file(&schema, false);
    let path = file.to_str().unwrap();
    let (mut theirs, mut ours) = (TestCluster::new("theirs"), TestCluster::new("ours"));
    theirs.add("their-1", "here", &[]);
    ours.add("our-1", "here", &[]);
    let (their, our) = (theirs.any(), ours.any());
    their.json(&["submit", path]).unwrap();
    tokio::task::block_in_place(|| await_state(their, "streaming"));
    await_equal(their, &schema).await;

    our.json(&["submit", path, "--no-check"]).unwrap();
    let failed = tokio::task::block_in_place(|| await_state(our, "failed"));
    let reason = failed["reason"].as_str().unwrap();
    for told in ["PEER1316", "another cluster", "their-1", "submit --adopt"] {
        assert!(reason.contains(told), "{told}: {reason}");
    }
    insert(&schema, 20).await;
    await_equal(their, &schema).await;
    assert_eq!(status(their)["sink"]["epoch"], 1, "who only asked took nothing");

    insert(&schema, 20).await;
    let adopted = our.json(&["submit", path, "--adopt"]).unwrap();
    assert_eq!(adopted["adopted_epoch"], 1, "{adopted}");
    tokio::task::block_in_place(|| await_state(our, "streaming"));
    insert(&schema, 20).await;
    await_equal(our, &schema).await;
    let status = status(our);
    assert!(
        status["totals"]["rows"].as_u64() <= Some(80),
        "it did not copy anew: {status:#}"
    );
    // The old owner finds that it is not its progress any more, says so, and leaves it alone.
    let left = tokio::task::block_in_place(|| await_state(their, "failed"));
    assert!(left["reason"].as_str().unwrap().contains("our-1"), "{left:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_the_target_forgets_the_job_there_keeps_the_rows_and_lets_the_next_start_clean() {
    let schema = tables().await;
    let file = job_file(&schema, false);
    let path = file.to_str().unwrap();
    let mut cluster = TestCluster::new("forget");
    cluster.add("one", "here", &[]);
    let peer = cluster.any();
    peer.json(&["submit", path]).unwrap();
    tokio::task::block_in_place(|| await_state(peer, "streaming"));
    await_equal(peer, &schema).await;
    assert!(meta_rows(&schema).await > 0);
    peer.json(&["purge", JOB, "--target", "--yes"]).unwrap();
    assert_eq!(meta_rows(&schema).await, 0);
    assert_equal(&servers().source, &servers().target, &schema.base, &TABLES).await;

    // Its tables are empty again: the next one copies all, and goes on.
    for table in TABLES {
        servers().target.run(&[&format!("TRUNCATE {}.{table}", schema.base)]).await;
    }
    let again = peer.json(&["submit", path]).unwrap();
    assert_eq!((&again["result"], &again["incarnation"]), (&"accepted".into(), &3.into()));
    tokio::task::block_in_place(|| await_state(peer, "streaming"));
    insert(&schema, 5).await;
    await_equal(peer, &schema).await;
    assert_eq!(status(peer)["sink"]["epoch"], 1, "nothing of the old life is left");

    // Left by an incarnation whose purge did not reach the target.
    let left = format!(
        "INSERT INTO {0}.fence (job, inc, cluster_id, life, epoch, owner, owner_name, boot, src_epoch, src_owner, since) \
         SELECT job, 1, cluster_id, life, 1, 'gone', 'gone', 1, 1, '', since FROM {0}.fence",
        schema.meta
    );
    servers().target.run(&[&left]).await;
    peer.json(&["purge", JOB, "--target", "--yes"]).unwrap();
    assert_eq!(meta_rows(&schema).await, 0, "earlier incarnations go too");
}
