//! `[restart]` and `[reschedule]` with real peers and a database that fails: what is tried again says how often, when next, where
//! and why, whichever peer is asked; what is given up says which version failed and what to do.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use support::job::JobFile;
use support::peers::{TestCluster, TestPeer};
use support::schema::TestSchema;
use support::servers::servers;
use support::wait::until;

/// Guess: many times what a step takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn status(peer: &TestPeer, job: &str) -> Value {
    peer.json(&["status", job]).unwrap_or_else(|e| panic!("status: {e}"))
}

fn await_status(peer: &TestPeer, job: &str, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(what, LIMIT, || {
            last = status(peer, job);
            wanted(&last).then(|| last.clone())
        })
    }));
    found.unwrap_or_else(|panic| {
        eprintln!("last status: {last:#}");
        std::panic::resume_unwind(panic)
    })
}

/// One peer near the source and `sinks` near the target.
fn cluster(word: &str, sinks: usize) -> TestCluster {
    let mut cluster = TestCluster::new(word);
    cluster.add("sh-1", "shanghai", &[]);
    for n in 1..=sinks {
        cluster.add(&format!("bj-{n}"), "beijing", &[]);
    }
    cluster.await_members(sinks + 1);
    cluster
}

/// A table with a row, and the account that the job's sink logs in with.
async fn prepared(word: &str) -> (TestSchema, String) {
    let schema = TestSchema::new(word).await;
    let user = format!("u_{}", schema.base);
    let table = format!("CREATE TABLE {}.t (id INT PRIMARY KEY)", schema.base);
    servers()
        .source
        .run(&[&table, &format!("INSERT INTO {}.t VALUES (1)", schema.base)])
        .await;
    let account = format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'right'");
    servers()
        .target
        .run(&[&account, &format!("GRANT ALL ON *.* TO '{user}'@'%'")])
        .await;
    (schema, user)
}

/// The job's text with another account, and perhaps another port, for its sink.
fn job(schema: &TestSchema, user: &str, port: Option<u16>, policies: &str) -> String {
    let file = JobFile {
        extra: policies.to_owned(),
        ..JobFile::new(&schema.base)
    };
    let text = file.text(schema, &["t"]);
    let (head, sink) = text.split_once("[sink]").expect("a sink");
    let mut sink = sink.replace(
        "user = \"root\"\npassword = \"\"",
        &format!("user = \"{user}\"\npassword = \"right\""),
    );
    if let Some(port) = port {
        sink = sink.replace(&format!("port = {}", servers().target.port), &format!("port = {port}"));
    }
    format!("{head}[sink]{sink}")
}

fn submit(peer: &TestPeer, schema: &TestSchema, text: &str, flags: &[&str]) {
    let file = support::guard::folder().join(format!("{}.toml", schema.base));
    std::fs::write(&file, text).expect("job file");
    let path = file.display().to_string();
    peer.json(&[&["submit", &path], flags].concat())
        .unwrap_or_else(|e| panic!("submit: {e}"));
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_for_now_is_tried_again_and_every_peer_tells_when_and_why() {
    let (schema, user) = prepared("retry").await;
    let target = servers().target;
    // Error 1226, which another try may mend.
    target
        .run(&[&format!("ALTER USER '{user}'@'%' WITH MAX_USER_CONNECTIONS 1")])
        .await;
    let opts = mysql_async::OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(target.port)
        .user(Some(&user))
        .pass(Some("right"));
    let only_connection = mysql_async::Conn::new(opts).await.unwrap();
    let cluster = cluster("retry", 1);
    let policies = "[restart]\nattempts = 40\ninterval = \"5 m\"\ndelay = \"300 ms\"\nmax_delay = \"2 s\"\n";
    submit(cluster.any(), &schema, &job(&schema, &user, None, policies), &[]);

    let (owner, other) = (cluster.peer("bj-1"), cluster.peer("sh-1"));
    for asked in [owner, other] {
        let seen = await_status(asked, &schema.base, "a second try that waits", |status| {
            let retry = &status["retries"][0];
            retry["attempts"].as_u64() >= Some(2) && retry["next_at"].is_string()
        });
        let retry = &seen["retries"][0];
        assert_eq!(retry["peer"], "bj-1", "{seen:#}");
        assert_eq!(retry["class"], "retry", "{seen:#}");
        assert_eq!(
            (&retry["attempts_max"], &retry["moves_max"]),
            (&40.into(), &Value::Null),
            "{seen:#}"
        );
        assert!(retry["next_in_ms"].as_u64() <= Some(2500), "{seen:#}");
        assert!(retry["text"].as_str().unwrap().contains("max_user_connections"), "{seen:#}");
        assert!(retry["code"].as_str().unwrap().starts_with("PEER13"), "{seen:#}");
        assert!(seen["reason"].as_str().unwrap().contains("max_user_connections"), "{seen:#}");
    }
    let before = status(other, &schema.base)["retries"][0]["attempts"].as_u64();
    await_status(other, &schema.base, "one more attempt", |status| {
        status["retries"][0]["attempts"].as_u64() > before
    });
    let screen = until("the screen tells it too", LIMIT, || {
        let output = other.cli(&["status", &schema.base]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("retry     on bj-1 ").then_some(text)
    });
    assert!(screen.contains("of 40 attempts"), "{screen}");

    target
        .run(&[&format!("ALTER USER '{user}'@'%' WITH MAX_USER_CONNECTIONS 0")])
        .await;
    only_connection.disconnect().await.unwrap();
    let streaming = await_status(other, &schema.base, "the job streams", |status| {
        status["state"] == "streaming"
    });
    assert!(streaming.get("retries").is_none(), "{streaming:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_one_allowed_move_fails_on_the_second_peer_and_runs_once_it_is_mended() {
    let (schema, user) = prepared("moves").await;
    let cluster = cluster("moves", 2);
    let policies = "[reschedule]\nunlimited = false\nattempts = 1\ninterval = \"10 m\"\n";
    let wrong = job(&schema, &user, Some(closed_port()), policies);
    submit(cluster.any(), &schema, &wrong, &[]);
    let asked = cluster.peer("sh-1");
    let failed = await_status(asked, &schema.base, "the job fails", |status| status["state"] == "failed");
    let failure = &failed["failure"];
    assert_eq!(
        (&failure["incarnation"], &failure["version"]),
        (&1.into(), &1.into()),
        "{failed:#}"
    );
    assert_eq!(
        (&failure["class"], &failure["code"]),
        (&"replace".into(), &"PEER1301".into()),
        "{failed:#}"
    );
    assert!(failure["moves"].as_u64() >= Some(1), "{failed:#}");
    assert!(failure["peer"].as_str().unwrap().starts_with("bj-"), "{failed:#}");
    let fix = format!("peer restart {}", schema.base);
    assert!(failure["fix"].as_str().unwrap().contains(&fix), "{failed:#}");
    assert!(
        failed["reason"].as_str().unwrap().contains("as many as `reschedule` allows"),
        "{failed:#}"
    );
    assert!(failed.get("retries").is_none(), "nothing is tried any more: {failed:#}");

    submit(asked, &schema, &job(&schema, &user, None, policies), &["--update"]);
    asked.json(&["restart", &schema.base]).unwrap();
    let running = await_status(asked, &schema.base, "the job streams", |status| {
        status["state"] == "streaming"
    });
    assert!(running.get("failure").is_none(), "{running:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_fails_at_once_and_says_which_version_and_what_to_do() {
    let (schema, user) = prepared("fatal").await;
    let target = servers().target;
    target.run(&[&format!("ALTER USER '{user}'@'%' IDENTIFIED BY 'other'")]).await;
    let cluster = cluster("fatal", 1);
    submit(cluster.any(), &schema, &job(&schema, &user, None, ""), &["--no-check"]);
    let asked = cluster.peer("sh-1");
    let failed = await_status(asked, &schema.base, "the job fails", |status| status["state"] == "failed");
    let failure = &failed["failure"];
    assert_eq!(
        (&failure["class"], &failure["code"]),
        (&"fatal".into(), &"PEER1304".into()),
        "{failed:#}"
    );
    assert_eq!(
        (&failure["peer"], &failure["version"]),
        (&"bj-1".into(), &1.into()),
        "{failed:#}"
    );

    let output = asked.cli(&["status", &schema.base]);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(screen.contains("failed    version 1 of life 1 on bj-1 at "), "{screen}");
    target.run(&[&format!("ALTER USER '{user}'@'%' IDENTIFIED BY 'right'")]).await;
    asked.json(&["restart", &schema.base]).unwrap();
    await_status(asked, &schema.base, "the job streams", |status| {
        status["state"] == "streaming"
    });
}
