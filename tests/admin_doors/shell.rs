//! The shell as `nc` sees it.

use peer::admin::shell;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::doors::Doors;

#[tokio::test]
async fn a_session_as_with_nc_answers_each_line_and_then_prompts() {
    let doors = Doors::open().await;
    let text = doors.nc("members\njobs\r\nstatus orders\n\nhelp\nquit\n").await;
    let answers: Vec<&str> = text.split(shell::PROMPT).collect();
    assert_eq!(answers.len(), 7, "greeting, five answers, nothing after quit: {text}");
    assert!(answers[1].contains("sh-1*") && answers[1].contains("beijing"), "{text}");
    assert!(
        answers[2].contains("sh-1 -> bj-1") && answers[2].contains("12.3k rows/s"),
        "{text}"
    );
    assert!(
        answers[3].contains("binlog.000003:157") && answers[3].contains("1 of 2 tables"),
        "{text}"
    );
    assert_eq!(answers[4], "", "an empty line is answered by the prompt alone");
    assert!(answers[5].contains("submit") && answers[5].contains("quit"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    doors.close().await;
}

#[tokio::test]
async fn json_in_the_shell_is_the_body_of_http() {
    let doors = Doors::open().await;
    for (line, path) in [
        ("members --json", "/v1/members"),
        ("status orders --json", "/v1/jobs/orders"),
        ("status nope --json", "/v1/jobs/nope"),
        ("history orders --json", "/v1/jobs/orders/history"),
        ("conflicts orders --json", "/v1/jobs/orders/conflicts"),
    ] {
        let text = doors.nc(&format!("{line}\nquit\n")).await;
        let answer = text.split(shell::PROMPT).nth(1).unwrap();
        let value: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(value, doors.json("GET", path, "").await.1, "{line}");
    }
    doors.close().await;
}

#[tokio::test]
async fn a_job_is_submitted_inline() {
    let doors = Doors::open().await;
    let text = doors
        .nc("submit <<EOF\nname = \"orders\"\nquit\nEOF\nsubmit --update <<END\nother\nEND\nsubmit <<E\nbroken\nE\nexit\n")
        .await;
    let answers: Vec<&str> = text.split(shell::PROMPT).collect();
    assert_eq!(answers.len(), 5, "{text}");
    assert!(
        answers[1].contains("orders accepted") && answers[1].contains("2 of 3 peers"),
        "{text}"
    );
    assert!(answers[2].contains("orders updated"), "{text}");
    assert!(
        answers[3].contains("`a`") && answers[3].contains("`b`"),
        "every fault: {text}"
    );
    doors.close().await;
}

#[tokio::test]
async fn an_error_in_the_shell_says_what_to_do_and_the_session_goes_on() {
    let doors = Doors::open().await;
    let text = doors
        .nc("explode\nstatus\nstatus nope\nverify orders\npurge orders\n# a comment\nversion\nquit\n")
        .await;
    for expected in [
        "no such command",
        "status JOB",
        "PEER1051",
        "not yet in this version",
        "--yes",
        "peer 0.1.0 on sh-1",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    doors.close().await;
}

#[tokio::test]
async fn a_line_without_an_end_is_refused_and_the_connection_closed() {
    let doors = Doors::open().await;
    let text = doors.nc(&"x".repeat(shell::LINE_BYTES_MAX + 10)).await;
    assert!(text.contains("PEER1058"), "{text}");
    doors.close().await;
}

#[tokio::test]
async fn a_job_text_over_the_bound_is_refused_and_not_taken_for_commands() {
    let doors = Doors::open().await;
    let text = doors
        .nc(&format!("submit <<EOF\n{}EOF\nquit\n", "purge orders --yes\n".repeat(20_000)))
        .await;
    assert!(text.contains("PEER1055"), "{text}");
    assert!(!text.contains("purged"), "{text}");
    doors.close().await;
}

#[tokio::test]
async fn a_browser_cannot_type_into_the_shell() {
    let doors = Doors::open().await;
    let text = doors
        .nc("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\npurge orders --yes\r\n")
        .await;
    assert!(text.contains("not HTTP") && !text.contains("purged"), "{text}");
    doors.close().await;
}

#[tokio::test]
async fn one_session_too_many_is_told_so() {
    let doors = Doors::open().await;
    let mut held = Vec::new();
    for _ in 0..shell::SESSIONS_MAX {
        let mut stream = TcpStream::connect(doors.shell).await.unwrap();
        let mut greeting = [0_u8; 4];
        stream.read_exact(&mut greeting).await.unwrap();
        held.push(stream);
    }
    assert!(doors.nc("members\n").await.contains("too many sessions"));
    doors.close().await;
}
