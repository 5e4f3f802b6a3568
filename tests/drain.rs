//! A planned move costs less than two seconds: drain of the sink's and of the source's peer, SIGTERM, leave.
//!
//! Rows are written all the time. The gap is the longest time in which no new row became visible on the target, from before
//! the command until the job streams elsewhere; it is printed.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::compare::assert_equal;
use support::job::JobFile;
use support::peers::TestCluster;
use support::schema::TestSchema;
use support::servers::servers;
use support::traffic::Traffic;
use support::wait::{has_all, until};

const JOB: &str = "drain";
/// The bar for a planned move.
const GAP_MAX: Duration = Duration::from_secs(2);
/// Silence detection alone takes longer than this; a move takes a second.
const MOVED_WITHIN: Duration = Duration::from_secs(10);

fn status(cluster: &TestCluster) -> Value {
    cluster.any().json(&["status", JOB]).unwrap_or_else(|e| panic!("status: {e}"))
}

fn owner(cluster: &TestCluster, task: &str) -> String {
    status(cluster)[task]["peer"].as_str().expect("an owner").to_owned()
}

fn await_moved(cluster: &TestCluster, task: &str, from: &str) -> String {
    until(&format!("the {task} leaves {from}"), MOVED_WITHIN, || {
        let status = status(cluster);
        assert_ne!(status["state"], "failed", "{status:#}");
        let peer = status[task]["peer"].as_str().filter(|peer| *peer != from)?;
        (status["state"] == "streaming").then(|| peer.to_owned())
    })
}

/// Waits until the peer's present start, known by its address, is seen in this standing.
fn await_standing(cluster: &TestCluster, name: &str, standing: &str) {
    let address = cluster.peer(name).run_field("peer");
    for peer in cluster.peers.iter().filter(|peer| peer.is_running()) {
        until(
            &format!("{} sees {name} {standing}", peer.name),
            Duration::from_secs(15),
            || {
                let members = peer.json(&["members"]).ok()?;
                let mut members = members["members"].as_array()?.iter();
                let is_so = |member: &Value| member["state"] == standing && member["address"] == address.as_str();
                members.any(|member| member["name"] == name && is_so(member)).then_some(())
            },
        );
    }
}

/// The peer that is asked; another one than `name`, so that the command is passed on.
fn ask_another(cluster: &TestCluster, command: &str, name: &str) {
    let asked = cluster
        .peers
        .iter()
        .find(|peer| peer.name != name && peer.is_running())
        .unwrap();
    let answer = asked.json(&[command, name]).unwrap();
    assert_eq!(
        (answer["name"].as_str(), answer["changed"].as_bool()),
        (Some(name), Some(true))
    );
    let again = asked.json(&[command, name]).unwrap();
    assert_eq!(again["changed"], false, "repeating is safe");
}

/// Drains the owner of a task while rows flow, then lets it take tasks again.
async fn drain_owner(cluster: &TestCluster, traffic: &Traffic, task: &str) -> String {
    let (from, start) = (owner(cluster, task), Instant::now());
    let to = tokio::task::block_in_place(|| {
        ask_another(cluster, "drain", &from);
        await_moved(cluster, task, &from)
    });
    let gap = traffic.gap_since(start).await;
    eprintln!("drain of the {task}'s peer: {from} -> {to}, gap {} ms", gap.as_millis());
    assert!(gap < GAP_MAX, "gap of {gap:?}");
    from
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_move_leaves_a_gap_below_two_seconds_and_loses_nothing() {
    let schema = TestSchema::new("drain").await;
    let create = format!(
        "CREATE TABLE {}.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, v DOUBLE)",
        schema.base
    );
    servers().source.run(&[&create]).await;
    let mut cluster = TestCluster::two_by_two("drain");
    let file = support::guard::folder().join(format!("{}.toml", schema.base));
    std::fs::write(&file, JobFile::new(JOB).text(&schema, &["t"])).unwrap();
    cluster.any().json(&["submit", &file.display().to_string()]).unwrap();
    tokio::task::block_in_place(|| {
        until("the job streams", Duration::from_secs(30), || {
            (status(&cluster)["state"] == "streaming").then_some(())
        });
    });
    let traffic = Traffic::start(&schema).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let drained = drain_owner(&cluster, &traffic, "sink").await;
    tokio::task::block_in_place(|| {
        // It is a fact of the peer: a restart does not end it, and it takes nothing back.
        let seed = cluster.any().run_field("peer");
        let seed = if cluster.any().name == drained {
            cluster.peers[1].run_field("peer")
        } else {
            seed
        };
        let holder = owner(&cluster, "sink");
        cluster.peer_mut(&drained).restart(Some(&seed));
        await_standing(&cluster, &drained, "draining");
        assert_eq!(owner(&cluster, "sink"), holder);
        ask_another(&cluster, "undrain", &drained);
        await_standing(&cluster, &drained, "alive");
        assert_eq!(owner(&cluster, "sink"), holder, "a peer that is back takes nothing by itself");
    });

    let drained = drain_owner(&cluster, &traffic, "source").await;
    tokio::task::block_in_place(|| ask_another(&cluster, "undrain", &drained));

    let (from, start) = (owner(&cluster, "sink"), Instant::now());
    let to = tokio::task::block_in_place(|| {
        assert!(cluster.peer_mut(&from).terminate().success());
        await_moved(&cluster, "sink", &from)
    });
    let gap = traffic.gap_since(start).await;
    eprintln!("SIGTERM of the sink's peer: {from} -> {to}, gap {} ms", gap.as_millis());
    assert!(gap < GAP_MAX, "gap of {gap:?}");

    let (from, start) = (owner(&cluster, "source"), Instant::now());
    let to = tokio::task::block_in_place(|| {
        cluster.peer(&from).json(&["leave"]).unwrap();
        let asked = cluster
            .peers
            .iter()
            .find(|peer| peer.is_running() && peer.name != from)
            .unwrap();
        until("the source has left", MOVED_WITHIN, || {
            let status = asked.json(&["status", JOB]).ok()?;
            let peer = status["source"]["peer"].as_str().filter(|peer| *peer != from)?;
            (status["state"] == "streaming").then(|| peer.to_owned())
        })
    });
    let gap = traffic.gap_since(start).await;
    eprintln!("leave of the source's peer: {from} -> {to}, gap {} ms", gap.as_millis());
    assert!(gap < GAP_MAX, "gap of {gap:?}");
    tokio::task::block_in_place(|| assert!(cluster.peer_mut(&from).await_end().success()));

    traffic.end().await;
    let executed = servers().source.executed().await;
    tokio::task::block_in_place(|| {
        until("the target has everything", Duration::from_secs(30), || {
            has_all(&status(&cluster), &executed).then_some(())
        });
    });
    assert_equal(&servers().source, &servers().target, &schema.base, &["t"]).await;
}
