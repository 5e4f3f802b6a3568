//! The binary: what goes to stdout and stderr, and the exit codes.

use std::process::{Output, Stdio};
use std::time::Duration;

use peer::admin::views::JobPhase;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::doors::Doors;
use crate::scripted::Scripted;

/// Longest run of a command here; a hang fails instead of blocking the build.
const RUN_MAX: Duration = Duration::from_secs(30);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PEER_")) {
        command.env_remove(name);
    }
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn end(child: Child) -> Output {
    tokio::time::timeout(RUN_MAX, child.wait_with_output())
        .await
        .expect("the command ends")
        .unwrap()
}

async fn peer(args: &[&str]) -> (i32, String, String) {
    let output = end(command(args).spawn().unwrap()).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().expect("an exit code"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Asks the peer behind these doors.
async fn ask(doors: &Doors, args: &[&str]) -> (i32, String, String) {
    peer(&[&["--address", &doors.http.to_string()], args].concat()).await
}

async fn dead_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

fn job_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn no_peer_is_exit_code_3_with_the_address_and_what_to_do() {
    let address = dead_address().await;
    let (code, stdout, stderr) = peer(&["members", "--address", &address]).await;
    assert_eq!((code, stdout.as_str()), (3, ""));
    assert!(stderr.contains(&address) && stderr.contains("peer start"), "{stderr}");
    let (code, stdout, _) = peer(&["jobs", "--json", "--address", &address]).await;
    let body: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &body["error"]["code"]), (3, &"PEER1059".into()));
    let (code, _, stderr) = peer(&["shell", "--admin", &address]).await;
    assert_eq!(code, 3);
    assert!(stderr.contains(&address), "{stderr}");
}

#[tokio::test]
async fn something_that_is_not_a_peer_is_no_peer() {
    let doors = Doors::open().await;
    let (code, _, stderr) = peer(&["members", "--address", &doors.shell.to_string()]).await;
    assert_eq!(code, 3, "{stderr}");
    doors.close().await;
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2() {
    for args in [
        &["status"][..],
        &["explode"],
        &["members", "now"],
        &["join"],
        &["status", "Not A Name"],
        &["submit"],
        &[],
        &["purge", "orders"],
        &["set", "orders"],
        &["revert", "orders", "first"],
    ] {
        let (code, stdout, stderr) = peer(args).await;
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        assert!(!stderr.is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn a_command_of_a_later_version_says_so() {
    let (code, _, stderr) = peer(&["verify", "orders"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("not yet in this version"), "{stderr}");
}

#[tokio::test]
async fn help_version_and_completions_need_no_peer() {
    let (code, stdout, _) = peer(&["help"]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("peer submit orders.toml --wait"), "{stdout}");
    assert!(peer(&["help", "submit"]).await.1.contains("--expect-version"));
    assert_eq!(peer(&["version"]).await.1, format!("peer {}\n", env!("CARGO_PKG_VERSION")));
    let version: Value = serde_json::from_str(&peer(&["version", "--json"]).await.1).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = peer(&["completions", shell]).await;
        assert!(code == 0 && stdout.contains("submit"), "{shell}");
    }
}

#[tokio::test]
async fn keygen_makes_a_key_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.key");
    let args = ["keygen", "--out", path.to_str().unwrap()];
    assert_eq!(peer(&args).await.0, 0);
    let key = std::fs::read(&path).unwrap();
    let (code, _, stderr) = peer(&args).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("no file"), "{stderr}");
    assert_eq!(std::fs::read(&path).unwrap(), key, "the old key stays");
}

#[tokio::test]
async fn every_question_has_an_answer_for_people_and_one_for_programs() {
    let doors = Doors::open().await;
    let cases = [
        (&["members"][..], "as sh-1 sees it"),
        (&["jobs"], "sh-1 -> bj-1"),
        (&["status", "orders"], "1 of 2 tables"),
        (&["set", "orders", "link.rate=10 MB/s"], "updated: version 3"),
        (&["history", "orders"], "link.rate_bytes: 0 -> 10000000"),
        (&["revert", "orders", "1"], "updated: version 3"),
        (&["conflicts", "orders"], "update of .orders"),
        (
            &[
                "skip",
                "orders",
                "3e11fa47-71ca-11e1-9e33-c80aa9429562:7",
                "--reason",
                "it's known",
            ],
            "passes that transaction over",
        ),
        (&["pause", "orders"], "paused"),
        (&["resume", "orders"], "resumed"),
        (&["stop", "orders"], "stopped"),
        (&["restart", "orders"], "restarted"),
        (&["purge", "orders", "--yes"], "purged"),
        (&["stop", "orders", "--fence"], "epoch 7 of `bj-1` is ended"),
        (&["purge", "orders", "--yes", "--target"], "its rows are forgotten"),
    ];
    for (args, expected) in cases {
        let (code, stdout, stderr) = ask(&doors, args).await;
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
        assert!(stdout.contains(expected), "{args:?}: {stdout}");
        let (code, stdout, _) = ask(&doors, &[args, &["--json"]].concat()).await;
        assert_eq!(code, 0);
        assert!(serde_json::from_str::<Value>(&stdout).unwrap().is_object(), "{args:?}");
    }
    let (code, stdout, stderr) = ask(&doors, &["status", "nope"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("PEER1051"), "{stderr}");
    doors.close().await;
}

#[tokio::test]
async fn submit_tells_every_fault_and_takes_a_good_job() {
    let doors = Doors::open().await;
    let (good, bad) = (job_file("name = \"orders\""), job_file("broken"));
    let (code, stdout, _) = ask(&doors, &["submit", good.path().to_str().unwrap()]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("orders accepted"), "{stdout}");
    let (code, _, stderr) = ask(&doors, &["submit", bad.path().to_str().unwrap()]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("`a`") && stderr.contains("`b`"), "{stderr}");
    let (code, _, stderr) = ask(&doors, &["submit", "/nowhere/job.toml"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("/nowhere/job.toml"), "{stderr}");
    doors.close().await;
}

#[tokio::test]
async fn a_wait_ends_well_when_the_job_streams() {
    let doors = Doors::with(Scripted::new(3, JobPhase::Streaming)).await;
    let job = job_file("name = \"orders\"");
    let (code, stdout, stderr) = ask(&doors, &["submit", job.path().to_str().unwrap(), "--wait", "--json"]).await;
    assert_eq!(code, 0, "{stderr}");
    let status: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(status["state"], "streaming");
    assert!(stderr.contains("orders: copying, 1 of 2 tables"), "{stderr}");
    doors.close().await;
}

#[tokio::test]
async fn a_wait_ends_badly_when_the_job_fails_or_the_time_is_over() {
    let doors = Doors::with(Scripted::new(2, JobPhase::Failed)).await;
    let job = job_file("name = \"orders\"");
    let path = job.path().to_str().unwrap();
    let (code, stdout, stderr) = ask(&doors, &["submit", path, "--wait", "--json"]).await;
    assert_eq!(code, 1);
    assert_eq!(
        serde_json::from_str::<Value>(&stdout).unwrap()["state"],
        "failed",
        "the status is the answer"
    );
    assert!(stderr.contains("PEER1301") && stderr.contains("start it"), "{stderr}");
    doors.close().await;
    let doors = Doors::open().await;
    let (code, _, stderr) = ask(&doors, &["submit", path, "--wait", "--timeout", "500ms"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("the job goes on"), "{stderr}");
    doors.close().await;
}

#[tokio::test]
async fn ctrl_c_ends_the_wait_and_not_the_job() {
    let doors = Doors::open().await;
    let job = job_file("name = \"orders\"");
    let address = doors.http.to_string();
    let mut child = command(&["--address", &address, "submit", job.path().to_str().unwrap(), "--wait"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The signal is caught from the first question on.
    while !lines
        .next_line()
        .await
        .unwrap()
        .expect("it tells how far the job is")
        .contains("copying")
    {}
    let killed = Command::new("kill")
        .args(["-INT", &child.id().unwrap().to_string()])
        .status()
        .await
        .unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        rest.push_str(&line);
    }
    assert!(rest.contains("the job goes on"), "{rest}");
    assert_eq!(end(child).await.status.code(), Some(130));
    doors.close().await;
}

#[tokio::test]
async fn the_shell_in_a_pipe_prints_answers_only() {
    let doors = Doors::open().await;
    let mut child = command(&["shell", "--admin", &doors.shell.to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"version\nsubmit <<EOF\nname = \"orders\"\nEOF\njobs --json\nquit\n")
        .await
        .unwrap();
    drop(stdin);
    let output = end(child).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(output.status.success(), "{text}");
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("on sh-1") && lines[1].contains("accepted"), "{text}");
    assert!(serde_json::from_str::<Value>(lines[2]).unwrap().is_object());
    doors.close().await;
}
