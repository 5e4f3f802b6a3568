//! A restart that is announced moves nothing: the sinks of the peer wait for it, and it goes on with them when it is back.
//!
//! The fence counts: one more epoch, won by the same peer, means that nobody else owned the sink in between. That the
//! wait ends after 90 s is a test of `core::nomination`.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::compare::assert_equal;
use support::job::JobFile;
use support::peers::{TestCluster, TestPeer};
use support::schema::TestSchema;
use support::servers::servers;
use support::wait::until;
use tokio::task::block_in_place;

const JOB: &str = "announced";
/// Without the announcement the next peer takes a sink over after 3 s, a search of 1 s and its turn of 1 s.
const AWAY: Duration = Duration::from_secs(10);

fn status(peer: &TestPeer) -> Option<Value> {
    peer.json(&["status", JOB]).ok()
}

fn await_streaming(peer: &TestPeer) -> Value {
    until("the job streams", Duration::from_secs(40), || {
        status(peer).filter(|status| status["state"] == "streaming")
    })
}

/// Every refusal leaves all peers as they are.
fn assert_refused(asked: &TestPeer, name: &str, word: &str) {
    let refused = asked.json(&["leave", name, "--restart"]).expect_err("is refused");
    assert!(refused.contains(word), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_announced_its_restart_keeps_its_sinks() {
    let schema = TestSchema::new("announced").await;
    let create = format!("CREATE TABLE {}.t (id BIGINT PRIMARY KEY, v INT)", schema.base);
    let insert = |id: u32| format!("INSERT INTO {}.t VALUES ({id}, {id})", schema.base);
    servers().source.run(&[&create, &insert(1)]).await;
    let mut cluster = TestCluster::two_sites("announced");
    let file = support::guard::folder().join(format!("{}.toml", schema.base));
    std::fs::write(&file, JobFile::new(JOB).text(&schema, &["t"])).unwrap();
    let (owner, asked, before) = block_in_place(|| {
        cluster.any().json(&["submit", &file.display().to_string()]).unwrap();
        let before = await_streaming(cluster.any());
        let owner = before["sink"]["peer"].as_str().expect("an owner").to_owned();
        let asked = cluster.peers.iter().find(|peer| peer.name != owner).unwrap().name.clone();
        assert_refused(cluster.peer(&asked), "nobody", "nobody");
        let answer = cluster.peer(&asked).json(&["leave", &owner, "--restart"]).unwrap();
        assert_eq!(
            (answer["name"].as_str(), answer["changed"].as_bool()),
            (Some(owner.as_str()), Some(true))
        );
        assert!(cluster.peer_mut(&owner).await_end().success());
        (owner, asked, before)
    });

    servers().source.run(&[&insert(2)]).await;
    block_in_place(|| {
        let near = cluster.peer(&asked);
        let awaited = format!("waiting for {owner} to come back (restart announced)");
        until("the others say whom they wait for", Duration::from_secs(10), || {
            status(near).filter(|status| status["reason"] == awaited.as_str())
        });
        assert_refused(near, &owner, "not heard of");
        let left_at = Instant::now();
        while left_at.elapsed() < AWAY {
            let status = status(near).expect("an answer");
            assert!(
                status["sink"]["peer"].is_null() && status["reason"] == awaited.as_str(),
                "{status:#}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
        let seed = near.run_field("peer");
        cluster.peer_mut(&owner).restart(Some(&seed));
        let after = await_streaming(cluster.peer(&asked));
        let epoch = |status: &Value| status["sink"]["epoch"].as_u64().expect("an epoch");
        assert_eq!(after["sink"]["peer"], owner.as_str(), "{after:#}");
        assert_eq!(
            epoch(&after),
            epoch(&before) + 1,
            "somebody else owned it meanwhile: {after:#}"
        );
        until("nobody waits any more", Duration::from_secs(10), || {
            status(cluster.peer(&asked)).filter(|status| status["reason"].is_null() && status["caught_up"] == true)
        });
    });
    assert_equal(&servers().source, &servers().target, &schema.base, &["t"]).await;

    // Asked for itself by name, for good: the sink moves.
    block_in_place(|| {
        let answer = cluster.peer(&owner).json(&["leave", &owner]).unwrap();
        assert_eq!(
            (answer["action"].as_str(), answer["changed"].as_bool()),
            (Some("leave"), Some(true))
        );
        assert!(cluster.peer_mut(&owner).await_end().success());
        let moved = until("another peer has it", Duration::from_secs(30), || {
            status(cluster.peer(&asked)).filter(|status| status["state"] == "streaming")
        });
        assert_ne!(moved["sink"]["peer"], owner.as_str());
    });
}
