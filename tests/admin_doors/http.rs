//! The HTTP door.

use serde_json::Value;

use crate::doors::Doors;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn assert_keys(value: &Value, expected: &str) {
    let mut expected: Vec<&str> = expected.split(' ').collect();
    expected.sort_unstable();
    assert_eq!(keys(value), expected);
}

#[tokio::test]
async fn members_and_jobs_have_the_shape_of_the_contract() {
    let doors = Doors::open().await;
    let (status, members) = doors.json("GET", "/v1/members", "").await;
    assert_eq!(status, 200);
    assert_keys(&members, "cluster as_seen_by members");
    let member = &members["members"][0];
    assert_keys(
        member,
        "name id state datacenter class meta version address admin http tasks self",
    );
    assert_eq!(member["tasks"], serde_json::json!({"source": 1, "sink": 0}));
    assert_eq!(
        (&member["state"], &member["self"], &member["admin"]),
        (&"alive".into(), &true.into(), &Value::Null)
    );
    let (_, jobs) = doors.json("GET", "/v1/jobs", "").await;
    assert_keys(&jobs, "jobs");
    assert_keys(
        &jobs["jobs"][0],
        "name state desired incarnation version source sink lag_ms rows_per_s error",
    );
    assert_eq!(jobs["jobs"][0]["source"], serde_json::json!({"peer": "sh-1"}));
    doors.close().await;
}

#[tokio::test]
async fn status_has_the_shape_of_the_contract() {
    let doors = Doors::open().await;
    let (status, job) = doors.json("GET", "/v1/jobs/orders", "").await;
    assert_eq!(status, 200);
    assert_keys(
        &job,
        "name state desired incarnation version reason source sink position lag_ms caught_up copy totals errors placement holds history",
    );
    assert_keys(&job["source"], "peer endpoint state");
    assert_keys(&job["sink"], "peer endpoint state epoch");
    assert_keys(&job["position"], "read received applied binlog_file binlog_pos");
    assert_keys(&job["copy"], "tables_done tables rows rows_estimate eta_ms tables_detail");
    assert_keys(&job["copy"]["tables_detail"][0], "schema table state rows rows_estimate");
    assert_keys(
        &job["totals"],
        "transactions rows bytes_raw bytes_wire groups conflicts restarts owner_changes",
    );
    assert_keys(&job["errors"][0], "at class code text fix");
    assert_keys(&job["placement"][0], "task peer verdict rule score");
    assert_eq!((&job["state"], &job["copy"]["rows"]), (&"copying".into(), &50_007.into()));
    doors.close().await;
}

#[tokio::test]
async fn peers_are_told_by_name_what_to_do_with_themselves() {
    let doors = Doors::open().await;
    for (path, action) in [
        ("/v1/members/bj-1/drain", "drain"),
        ("/v1/members/bj-1/undrain", "undrain"),
        ("/v1/leave", "leave"),
        ("/v1/leave?restart=true", "leave_for_restart"),
        ("/v1/members/bj-1/leave", "leave"),
        ("/v1/members/bj-1/leave?restart=true", "leave_for_restart"),
    ] {
        let (status, body) = doors.json("POST", path, "").await;
        assert_eq!((status, &body["action"]), (200, &action.into()), "{path}");
        assert_keys(&body, "name id action changed");
    }
    for (path, expected) in [
        ("/v1/members/nobody/drain", 404),
        ("/v1/members/bj-1/explode", 400),
        ("/v1/members/-x/drain", 400),
        ("/v1/members/nobody/leave", 404),
        ("/v1/members/bj-1/drain?restart=true", 400),
        ("/v1/leave?restart=soon", 400),
        ("/v1/leave?later=true", 400),
    ] {
        assert_eq!(doors.json("POST", path, "").await.0, expected, "{path}");
    }
    doors.close().await;
}

#[tokio::test]
async fn submit_takes_toml_and_tells_every_fault() {
    let doors = Doors::open().await;
    let (status, body) = doors.json("POST", "/v1/jobs", "name = \"orders\"").await;
    assert_eq!((status, &body["result"]), (200, &"accepted".into()));
    assert_keys(&body, "name incarnation version result seen_by peers");
    let (status, body) = doors.json("POST", "/v1/jobs?update=true&expect_version=7", "other").await;
    assert_eq!(
        (status, &body["result"], &body["version"]),
        (200, &"updated".into(), &7.into())
    );
    let (status, body) = doors.json("POST", "/v1/jobs", "broken").await;
    assert_eq!((status, body["error"]["faults"].as_array().map(Vec::len)), (400, Some(2)));
    assert_keys(&body["error"], "code what found expected fix faults");
    let (status, body) = doors.json("POST", "/v1/jobs", "other").await;
    assert_eq!((status, &body["error"]["fix"]), (409, &"use `--update`".into()));
    doors.close().await;
}

#[tokio::test]
async fn versions_are_set_listed_and_reverted_over_http() {
    let doors = Doors::open().await;
    let (status, set) = doors
        .json(
            "POST",
            "/v1/jobs/orders/set",
            "link.rate=10 MB/s\napply.group_transactions=5\n",
        )
        .await;
    assert_eq!((status, &set["version"]), (200, &3.into()));
    let (status, history) = doors.json("GET", "/v1/jobs/orders/history", "").await;
    assert_eq!(status, 200);
    assert_keys(&history, "name incarnation version events");
    assert_keys(&history["events"][0], "version at by what note changes in_force kept");
    let (status, conflicts) = doors.json("GET", "/v1/jobs/orders/conflicts", "").await;
    assert_eq!(status, 200);
    assert_keys(&conflicts, "name incarnation total pruned conflicts");
    assert_keys(
        &conflicts["conflicts"][0],
        "number at schema table kind key gtid binlog_file binlog_pos operation before after found decision author reason",
    );
    let order = r#"{"gtid": "3e11fa47-71ca-11e1-9e33-c80aa9429562:7", "reason": "known bad"}"#;
    let (status, skipped) = doors.json("POST", "/v1/jobs/orders/skip", order).await;
    assert_eq!((status, &skipped["action"]), (200, &"skip".into()));
    let (status, reverted) = doors.json("POST", "/v1/jobs/orders/revert?version=1", "").await;
    assert_eq!((status, &reverted["result"]), (200, &"updated".into()));
    doors.close().await;
}

#[tokio::test]
async fn what_cannot_be_answered_has_a_status_and_a_reason() {
    let doors = Doors::open().await;
    let too_large = "x".repeat(256 * 1024 + 1);
    let cases = [
        ("GET", "/v1/jobs/nope", "", 404),
        ("POST", "/v1/jobs/nope/pause", "", 404),
        ("DELETE", "/v1/jobs/nope", "", 404),
        ("GET", "/v2/jobs", "", 404),
        ("GET", "/v1/jobs/Not%20A%20Name", "", 400),
        ("POST", "/v1/jobs/orders/explode", "", 400),
        ("POST", "/v1/jobs/orders/set", "", 400),
        ("POST", "/v1/jobs/orders/set", "sink.host=h", 400),
        ("POST", "/v1/jobs/nope/set", "link.rate=0", 404),
        ("POST", "/v1/jobs/orders/revert", "", 400),
        ("GET", "/v1/jobs/nope/history", "", 404),
        ("GET", "/v1/jobs/nope/conflicts", "", 404),
        ("POST", "/v1/jobs/orders/skip", "", 400),
        ("POST", "/v1/jobs/orders/skip", r#"{"gtid": "7", "reason": "r"}"#, 400),
        (
            "POST",
            "/v1/jobs/orders/skip",
            r#"{"gtid": "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-2", "reason": "r"}"#,
            400,
        ),
        ("POST", "/v1/jobs?updat=true", "", 400),
        ("POST", "/v1/jobs", &too_large, 400),
        ("PUT", "/v1/jobs", "", 405),
    ];
    for (method, path, body, expected) in cases {
        let (status, body) = doors.json(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}");
        assert!(!body["error"]["fix"].as_str().unwrap().is_empty(), "{method} {path}");
    }
    let (status, body) = doors.json("GET", "/v1/ready", "").await;
    assert_eq!((status, &body["reason"]), (503, &"still joining".into()));
    doors.close().await;
}

#[tokio::test]
async fn holds_and_health_answer_over_http() {
    let doors = Doors::open().await;
    for (action, desired) in [("pause", "pause"), ("stop", "stop"), ("resume", "run"), ("restart", "run")] {
        let (status, body) = doors.json("POST", &format!("/v1/jobs/orders/{action}"), "").await;
        assert_eq!(
            (status, &body["action"], &body["desired"]),
            (200, &action.into(), &desired.into())
        );
    }
    assert_eq!(doors.json("DELETE", "/v1/jobs/orders", "").await.1["desired"], Value::Null);
    let fenced = doors.json("POST", "/v1/jobs/orders/stop?fence=true", "").await.1;
    assert_eq!(
        (&fenced["desired"], &fenced["target"]["ended_epoch"]),
        (&"stop".into(), &7.into())
    );
    assert_eq!(doors.json("POST", "/v1/jobs/orders/pause?fence=true", "").await.0, 400);
    let purged = doors.json("DELETE", "/v1/jobs/orders?target=true", "").await.1;
    assert_eq!(purged["target"]["forgot"], true);
    assert_eq!(doors.json("DELETE", "/v1/jobs/orders?everything=true", "").await.0, 400);
    let adopted = doors.json("POST", "/v1/jobs?adopt=true", "name = \"orders\"").await.1;
    assert_eq!(adopted["adopted_epoch"], 4);
    assert_eq!(doors.json("GET", "/v1/version", "").await.1["name"], "sh-1");
    assert_eq!(doors.ask("GET", "/v1/health", "").await.0, 200);
    assert_eq!(doors.ask("GET", "/metrics", "").await.0, 200);
    doors.close().await;
}
