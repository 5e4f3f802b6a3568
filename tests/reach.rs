//! A job that asks for a peer that reaches its target waits, says why, and starts by itself on the first peer that does.
//!
//! All peers of the test are on one machine; what one of them lacks is the password, which it takes from its environment.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::compare::assert_equal;
use support::job::JobFile;
use support::peers::{TestCluster, TestPeer};
use support::schema::TestSchema;
use support::servers::servers;
use support::wait::until;
use tokio::task::block_in_place;

const JOB: &str = "reach";
const VARIABLE: &str = "PEER_TEST_REACH_PASSWORD";

fn status_when(peer: &TestPeer, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(what, Duration::from_secs(30), || {
        peer.json(&["status", JOB]).ok().filter(|status| is_so(status))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_on_the_peer_that_reaches_its_target_and_says_so_while_there_is_none() {
    let schema = TestSchema::new("reach").await;
    let create = format!("CREATE TABLE {}.t (id BIGINT PRIMARY KEY, v INT)", schema.base);
    let insert = |id: u32| format!("INSERT INTO {}.t VALUES ({id}, {id})", schema.base);
    servers().source.run(&[&create, &insert(1)]).await;
    let rule = format!("${{attr.reach.127.0.0.1:{}}}", servers().target.port);
    let job = JobFile {
        source_site: None,
        sink_site: None,
        extra: format!("[[sink.constraint]]\nattribute = \"{rule}\"\nis_set = true\n"),
        ..JobFile::new(JOB)
    };
    let text = job.text(&schema, &["t"]);
    let (head, sink) = text.split_once("[sink]").expect("a sink");
    let sink = sink.replacen("password = \"\"", &format!("password = {{ env = \"{VARIABLE}\" }}"), 1);
    let file = support::guard::folder().join(format!("{}.toml", schema.base));
    std::fs::write(&file, format!("{head}[sink]{sink}")).unwrap();

    let mut cluster = TestCluster::new("reach");
    block_in_place(|| {
        cluster.add("sh-1", "shanghai", &[]);
        cluster.add("bj-1", "beijing", &[]);
        cluster.await_members(2);
        cluster.any().json(&["submit", &file.display().to_string()]).unwrap();
        let told = status_when(cluster.any(), "it says why it runs nowhere", |status| {
            status["state"] == "unplaced"
        });
        let reason = told["reason"].as_str().expect("a reason");
        for peer in ["sh-1", "bj-1"] {
            assert!(reason.contains(&format!("{peer} excluded ({rule}")), "{reason}");
        }

        cluster.add_knowing("bj-2", "beijing", &[(VARIABLE, "")]);
        let streams = |status: &Value| status["state"] == "streaming" && status["caught_up"] == true;
        let status = status_when(cluster.any(), "it starts by itself", streams);
        assert_eq!(status["sink"]["peer"], "bj-2", "{status:#}");

        // The own claim outlives the process, and so does what it reached: nothing moves, nothing waits for a try.
        let seed = cluster.any().run_field("peer");
        let epoch = status["sink"]["epoch"].as_u64().expect("an epoch");
        cluster.peer_mut("bj-2").json(&["leave", "--restart"]).unwrap();
        assert!(cluster.peer_mut("bj-2").await_end().success());
        cluster.peer_mut("bj-2").restart(Some(&seed));
        let status = status_when(cluster.any(), "it goes on", streams);
        let after = (status["sink"]["peer"].as_str(), status["sink"]["epoch"].as_u64());
        assert_eq!(after, (Some("bj-2"), Some(epoch + 1)));
    });
    assert_equal(&servers().source, &servers().target, &schema.base, &["t"]).await;
}
