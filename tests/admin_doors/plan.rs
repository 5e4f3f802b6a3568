//! `plan` through each door: HTTP, shell and command line.

use peer::admin::shell;
use serde_json::Value;

use crate::doors::{Doors, peer_with_file};

async fn peer_plan(doors: &Doors, text: &str, is_json: bool) -> (i32, String, String) {
    let flags: &[&str] = if is_json { &["--json"] } else { &[] };
    peer_with_file(doors, &["plan"], text, flags).await
}

#[tokio::test]
async fn plan_over_http_tells_what_a_submit_would_do() {
    let doors = Doors::open().await;
    let (status, plan) = doors.json("POST", "/v1/plan", "other").await;
    assert_eq!((status, &plan["result"]), (200, &"update".into()));
    let mut keys: Vec<&String> = plan.as_object().unwrap().keys().collect();
    keys.sort();
    let expected = "as_seen_by differences faults name other_jobs placement placement_summary result running table tables tables_faults version";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert_eq!(plan["differences"][0]["impact"], "restart");
    assert_eq!(
        plan["table"],
        serde_json::json!({"digest": "0123456789abcdef", "agree": 2, "peers": 3})
    );
    assert_eq!(plan["placement_summary"][0]["totals"]["excluded"], 1);
    let (status, body) = doors.json("POST", "/v1/plan", "broken").await;
    assert_eq!((status, body["error"]["faults"].as_array().map(Vec::len)), (400, Some(2)));
    assert_eq!(doors.json("POST", "/v1/plan", &"x".repeat(256 * 1024 + 1)).await.0, 400);
    assert_eq!(doors.json("GET", "/v1/plan", "").await.0, 405);
    doors.close().await;
}

#[tokio::test]
async fn plan_in_the_shell_takes_the_text_inline() {
    let doors = Doors::open().await;
    let text = doors
        .nc("plan <<EOF\nother\nEOF\nplan --json <<EOF\nother\nEOF\nplan <<EOF\nbroken\nEOF\nplan job.toml\nquit\n")
        .await;
    let answers: Vec<&str> = text.split(shell::PROMPT).collect();
    assert_eq!(answers.len(), 6, "{text}");
    assert!(
        answers[1].contains("as seen by sh-1") && answers[1].contains("restarts the tasks"),
        "{text}"
    );
    let json: Value = serde_json::from_str(answers[2]).unwrap();
    assert_eq!(json, doors.json("POST", "/v1/plan", "other").await.1);
    assert!(
        answers[3].contains("`a`") && answers[3].contains("`b`"),
        "every fault: {text}"
    );
    assert!(answers[4].contains("peer plan FILE"), "{text}");
    doors.close().await;
}

#[tokio::test]
async fn plan_ends_with_0_unless_the_submit_would_be_refused() {
    let doors = Doors::open().await;
    for (text, code, words) in [
        ("name = \"orders\"", 0, "nothing would change"),
        ("other", 0, "would change in 1 place"),
        ("moved", 1, "the update is refused"),
    ] {
        let (exit, stdout, stderr) = peer_plan(&doors, text, false).await;
        let stdout = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(exit, code, "{text}: {stderr}");
        assert!(stdout.contains(words), "{text}: {stdout}");
        assert_eq!(stderr.contains("PEER1705"), code == 1, "{stderr}");
    }
    let (exit, stdout, _) = peer_plan(&doors, "other", true).await;
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (exit, &json["result"]),
        (0, &"update".into()),
        "the JSON says that something would change"
    );
    let (exit, stdout, stderr) = peer_plan(&doors, "broken", false).await;
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert!(stderr.contains("`a`") && stderr.contains("`b`"), "{stderr}");
    doors.close().await;
}
