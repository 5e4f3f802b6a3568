//! `peer plan` of a job on two real peers: what it would do, where it would run, and that it does nothing.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::Duration;

use serde_json::Value;
use support::peers::{TestCluster, TestPeer};
use support::wait::until;

/// A job between two databases that do not exist.
fn job(rate: &str, sink_site: &str, more: &str) -> String {
    format!(
        "name = \"orders\"\n[source]\nhost = \"127.0.0.1\"\nport = 1\nuser = \"u\"\npassword = \"\"\n\
         [[source.constraint]]\nattribute = \"${{node.datacenter}}\"\nvalue = \"shanghai\"\n\
         [sink]\nhost = \"127.0.0.1\"\nport = 2\nuser = \"u\"\npassword = \"\"\n{more}\
         [[sink.constraint]]\nattribute = \"${{node.datacenter}}\"\nvalue = \"{sink_site}\"\n\
         [link]\nrate = \"{rate}\"\n[[tables]]\nschema = \"s\"\ntable = \"t\"\n"
    )
}

fn summary<'a>(answer: &'a Value, task: &str) -> &'a Value {
    let all = answer["placement_summary"].as_array().unwrap();
    all.iter().find(|summary| summary["task"] == task).unwrap()
}

fn row<'a>(answer: &'a Value, task: &str, peer: &str) -> &'a Value {
    let rows = answer["placement"].as_array().unwrap();
    rows.iter().find(|row| row["task"] == task && row["peer"] == peer).unwrap()
}

/// Asks once all live peers have the same job table.
fn agreed_plan(peer: &TestPeer, path: &str) -> Value {
    until("both peers have the same job table", Duration::from_secs(15), || {
        let plan = peer.json(&["plan", path]).unwrap();
        (plan["table"]["agree"] == 2 && plan["table"]["peers"] == 2).then_some(plan)
    })
}

#[test]
fn a_plan_says_what_a_submit_would_do_and_does_nothing() {
    let mut cluster = TestCluster::new("plan");
    cluster.add("sh-1", "shanghai", &[]);
    cluster.add("bj-1", "beijing", &[]);
    cluster.await_members(2);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let write = |text: String| fs::write(file.path(), text).unwrap();

    write(job("0", "beijing", ""));
    let peer = cluster.peer("bj-1");
    let plan = agreed_plan(peer, path);
    assert_eq!((&plan["result"], &plan["as_seen_by"]), (&"create".into(), &"bj-1".into()));
    assert_eq!(summary(&plan, "sink")["chosen"], "bj-1");
    assert_eq!(summary(&plan, "source")["chosen"], "sh-1");
    assert_eq!(summary(&plan, "sink")["totals"]["excluded"], 1);
    let rule = row(&plan, "sink", "sh-1")["rule"].as_str().unwrap();
    assert!(rule.contains("node.datacenter") && rule.contains("beijing"), "{rule}");
    assert_eq!(
        peer.json(&["jobs"]).unwrap()["jobs"],
        serde_json::json!([]),
        "a plan makes no job"
    );

    write(job("0", "beijing", "flavour = \"sweet\"\ncolour = \"red\"\n"));
    let refused = peer.json(&["plan", path]).unwrap_err();
    assert!(
        refused.contains("flavour") && refused.contains("colour"),
        "all faults at once: {refused}"
    );

    // Nobody may run the sink: each peer's rule is told, and kept as an explanation.
    write(job("0", "paris", ""));
    peer.json(&["submit", path]).unwrap();
    let status = until("the job is unplaced, with explanations", Duration::from_secs(15), || {
        let status = peer.json(&["status", "orders"]).unwrap();
        (status["state"] == "unplaced" && status["explanations"].is_array()).then_some(status)
    });
    let reason = status["reason"].as_str().unwrap();
    for told in ["sh-1 excluded (", "bj-1 excluded (", "paris"] {
        assert!(reason.contains(told), "{told}: {reason}");
    }
    assert_eq!(summary(&status, "sink")["totals"]["excluded"], 2);

    assert_eq!(agreed_plan(peer, path)["result"], "unchanged");
    write(job("3 MB/s", "paris", ""));
    let plan = agreed_plan(cluster.peer("sh-1"), path);
    assert_eq!((&plan["result"], &plan["version"]), (&"update".into(), &1.into()));
    assert_eq!(plan["differences"][0]["path"], "link.rate_bytes");
    assert_eq!(plan["differences"][0]["impact"], "live", "nothing of it was ever placed");
    assert_eq!(
        peer.json(&["status", "orders"]).unwrap()["version"],
        1,
        "a plan changes no job"
    );

    // A peer more is a change of the table of verdicts.
    cluster.add("bj-2", "beijing", &[]);
    let peer = cluster.peer("bj-1");
    until("the newest explanation names bj-2", Duration::from_secs(15), || {
        let status = peer.json(&["status", "orders"]).unwrap();
        let text = status["explanations"][0]["text"].as_str().unwrap_or_default().to_owned();
        text.contains("sink bj-2: new -> excluded").then_some(())
    });
}

#[test]
fn a_plan_refuses_a_table_that_another_job_of_the_cluster_writes_and_says_which() {
    let mut cluster = TestCluster::new("clash");
    cluster.add("sh-1", "shanghai", &[]);
    cluster.add("bj-1", "beijing", &[]);
    cluster.await_members(2);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let peer = cluster.peer("bj-1");
    let plan = |name: &str, tables: &str| {
        let text = job("0", "beijing", "").replace("\"orders\"", &format!("\"{name}\""));
        let (head, _) = text.split_once("[[tables]]").unwrap();
        fs::write(file.path(), format!("{head}{tables}")).unwrap();
        let output = peer.cli(&["plan", path, "--json"]);
        let view: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), view)
    };
    let table = |more: &str| format!("[[tables]]\nschema = \"s\"\ntable = \"t\"\n{more}\n");
    assert_eq!(plan("low", &table("where = \"id < 10\"")).1["result"], "create");
    peer.json(&["submit", path]).unwrap();

    let (code, view) = plan("high", &table(""));
    assert_eq!((code, &view["result"]), (Some(1), &"refused".into()), "{view:#}");
    let fault = &view["faults"][0];
    assert_eq!(
        (&fault["code"], &fault["found"]),
        (&"PEER1826".into(), &"job low writes s.t, from s.t".into())
    );
    assert!(fault["fix"].as_str().unwrap().contains("merge = true"), "{fault}");
    let text = peer.cli(&["plan", path]);
    let text = String::from_utf8_lossy(&text.stdout)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        text.contains("would not be taken") && text.contains("FAIL PEER1826: job low writes s.t"),
        "{text}"
    );

    for apart in [
        table("where = \"id >= 10\""),
        table("merge = true"),
        table("to = { table = \"u\" }"),
        "[[tables]]\nschema = \"other\"\n".to_owned(),
    ] {
        let (code, view) = plan("high", &apart);
        assert_eq!((code, &view["result"]), (Some(0), &"create".into()), "{apart}: {view:#}");
    }
    // Its own tables are no other job's.
    assert_eq!(plan("low", &table("where = \"id < 10\"")).1["result"], "unchanged");
    assert_eq!(plan("low", &table("")).1["result"], "update");
}
