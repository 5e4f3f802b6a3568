//! `check` through each door, and the warnings of a submit.

use peer::admin::shell;

use crate::doors::{Doors, peer_with_file};

#[tokio::test]
async fn check_over_http_is_a_list_of_flat_findings() {
    let doors = Doors::open().await;
    let (status, view) = doors.json("POST", "/v1/check", "fine").await;
    assert_eq!((status, &view["ok"]), (200, &true.into()));
    let mut keys: Vec<&String> = view["checks"][0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["expected", "fix", "found", "id", "object", "peer", "severity", "side"]);
    let (status, view) = doors.json("POST", "/v1/check", "other").await;
    assert_eq!((status, &view["ok"]), (200, &false.into()));
    assert_eq!(view["checks"][1]["severity"], "fail");
    assert_eq!(doors.json("POST", "/v1/check", "broken").await.0, 400);
    doors.close().await;
}

#[tokio::test]
async fn peer_check_prints_every_line_and_its_exit_code_says_whether_something_fails() {
    let doors = Doors::open().await;
    let (code, out, talk) = peer_with_file(&doors, &["check"], "fine", &[]).await;
    assert_eq!((code, talk.as_str()), (0, ""));
    assert!(out.contains("ok    PEER1353  log_bin: ON"), "{out}");
    let (code, out, talk) = peer_with_file(&doors, &["check"], "other", &[]).await;
    assert_eq!((code, talk.as_str()), (1, ""), "the answer says it all");
    assert!(out.contains("FAIL  PEER1356  binlog_format: MIXED"), "{out}");
    assert!(out.contains("fix       SET PERSIST binlog_format = 'ROW'"), "{out}");
    assert!(out.ends_with("3 checks: 1 ok, 1 warn, 1 FAIL\n"), "{out}");
    let (code, out, _) = peer_with_file(&doors, &["check"], "other", &["--json"]).await;
    let view: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &view["ok"]), (1, &false.into()));
    doors.close().await;
}

#[tokio::test]
async fn the_shell_checks_a_text_that_follows() {
    let doors = Doors::open().await;
    let text = doors.nc("check <<EOF\nother\nEOF\ncheck orders.toml\nquit\n").await;
    let answers: Vec<&str> = text.split(shell::PROMPT).collect();
    assert!(answers[1].contains("FAIL  PEER1356"), "{text}");
    assert!(answers[2].contains("peer check FILE"), "{text}");
    doors.close().await;
}

#[tokio::test]
async fn a_submit_shows_what_its_check_warns_of_unless_it_was_told_not_to_look() {
    let doors = Doors::open().await;
    let (code, out, _) = peer_with_file(&doors, &["submit"], "lone", &[]).await;
    assert!(code == 0 && out.contains("warn  PEER1851"), "{out}");
    let (code, out, _) = peer_with_file(&doors, &["submit"], "lone", &["--no-check"]).await;
    assert!(code == 0 && !out.contains("PEER1851"), "{out}");
    doors.close().await;
}
