//! The doors of a peer over real sockets, with a scripted cluster behind them: JSON shapes, status codes, the shell as `nc`
//! sees it, and the exit codes of the command line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peer::admin::cluster::{Cluster, HoldKind, Reply, SubmitRequest};
use peer::admin::refusal::{Refusal, RefusalKind};
use peer::admin::views::*;
use peer::admin::{http, shell};
use peer::core::disposition::Disposition;
use peer::core::fault::{Fault, Faults};
use peer::core::ids::Epoch;
use peer::core::job_state::{SinkStatus, TableProgress};
use peer::telemetry::metrics::Metrics;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Knows one job, `orders`.
struct Scripted;

fn answer<T: Send + 'static>(value: Result<T, Refusal>) -> Reply<'static, T> {
    Box::pin(std::future::ready(value))
}

fn known<T>(name: &str, value: T) -> Result<T, Refusal> {
    if name == "orders" {
        Ok(value)
    } else {
        Err(Refusal::unknown_job(name))
    }
}

fn change(name: &str, action: &str, desired: Option<Desired>) -> Reply<'static, ChangeView> {
    let view = ChangeView {
        name: name.to_owned(),
        incarnation: 1,
        action: action.to_owned(),
        desired,
        changed: true,
    };
    answer(known(name, view))
}

fn owner(peer: &str) -> OwnerView {
    OwnerView {
        peer: Some(peer.to_owned()),
    }
}

fn orders() -> StatusView {
    let mut view = StatusView::unmeasured("orders", 1, 2, Desired::Run);
    view.state = JobPhase::Copying;
    view.source.peer = Some("sh-1".to_owned());
    view.source.endpoint = Some("172.100.9.1:3306".to_owned());
    view.sink.peer = Some("bj-1".to_owned());
    view.sink.endpoint = Some("172.100.9.2:3306".to_owned());
    view.absorb(&SinkStatus {
        epoch: Epoch(3),
        applied: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-140".to_owned(),
        binlog_file: "binlog.000003".to_owned(),
        binlog_pos: 157,
        lag_ms: Some(1_250),
        rows_per_s: 12_345.0,
        tables: vec![
            TableProgress {
                schema: "shop".into(),
                table: "orders".into(),
                state: "copying".into(),
                rows: 50_000,
                rows_estimate: Some(200_000),
            },
            TableProgress {
                schema: "shop".into(),
                table: "items".into(),
                state: "done".into(),
                rows: 7,
                rows_estimate: Some(9),
            },
        ],
        ..SinkStatus::default()
    });
    view.errors.push(ErrorView {
        at: "2026-01-02T03:04:05Z".to_owned(),
        class: Disposition::Retry,
        code: "PEER1301".to_owned(),
        text: "the target did not answer within 5 s, and this sentence is long enough to need a second line".to_owned(),
        fix: "start it".to_owned(),
    });
    view.placement.push(PlacementView {
        task: "sink".to_owned(),
        peer: "sh-1".to_owned(),
        verdict: "excluded".to_owned(),
        rule: Some("${node.datacenter} = beijing".to_owned()),
        score: None,
    });
    view
}

impl Cluster for Scripted {
    fn members(&self) -> Reply<'_, MembersView> {
        let member = |name: &str, datacenter: &str, is_self| MemberView {
            name: name.to_owned(),
            id: format!("id-of-{name}"),
            state: MemberStanding::Alive,
            datacenter: datacenter.to_owned(),
            class: String::new(),
            meta: [("rack".to_owned(), "r1".to_owned())].into(),
            version: Some("0.1.0".to_owned()),
            address: Some("203.0.113.7:7420".to_owned()),
            admin: None,
            http: None,
            tasks: TaskCountsView { source: 1, sink: 0 },
            is_self,
        };
        let members = vec![member("sh-1", "shanghai", true), member("bj-1", "beijing", false)];
        answer(Ok(MembersView {
            cluster: "default".to_owned(),
            as_seen_by: "sh-1".to_owned(),
            members,
        }))
    }

    fn jobs(&self) -> Reply<'_, JobsView> {
        let line = JobLine {
            name: "orders".to_owned(),
            state: JobPhase::Copying,
            desired: Desired::Run,
            incarnation: 1,
            version: 2,
            source: owner("sh-1"),
            sink: owner("bj-1"),
            lag_ms: Some(1_250),
            rows_per_s: Some(12_345.0),
            error: None,
        };
        answer(Ok(JobsView { jobs: vec![line] }))
    }

    fn status<'a>(&'a self, name: &'a str) -> Reply<'a, StatusView> {
        answer(known(name, orders()))
    }

    fn submit(&self, request: SubmitRequest) -> Reply<'_, SubmitView> {
        if request.text.contains("broken") {
            let fault = |key: &str| {
                Fault::new(
                    "PEER1101",
                    format!("`{key}`"),
                    "unknown key",
                    "a key of job.toml",
                    "remove it",
                )
            };
            return answer(Err(Refusal::invalid(Faults(vec![fault("a"), fault("b")]))));
        }
        if !request.update && request.text.contains("other") {
            let fault = Fault::new(
                "PEER1203",
                "job `orders`",
                "another content",
                "the same content",
                "use `--update`",
            );
            return answer(Err(Refusal::new(RefusalKind::Exists, fault)));
        }
        let result = if request.update {
            SubmitResult::Updated
        } else {
            SubmitResult::Accepted
        };
        let version = request.expect_version.unwrap_or(1);
        answer(Ok(SubmitView {
            name: "orders".to_owned(),
            incarnation: 1,
            version,
            result,
            seen_by: 2,
            peers: 3,
        }))
    }

    fn hold<'a>(&'a self, name: &'a str, kind: HoldKind) -> Reply<'a, ChangeView> {
        match kind {
            HoldKind::Pause => change(name, "pause", Some(Desired::Pause)),
            HoldKind::Stop => change(name, "stop", Some(Desired::Stop)),
        }
    }

    fn release<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        change(name, "resume", Some(Desired::Run))
    }

    fn restart<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        change(name, "restart", Some(Desired::Run))
    }

    fn purge<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        change(name, "purge", None)
    }

    fn version(&self) -> Reply<'_, VersionView> {
        let text = |s: &str| Some(s.to_owned());
        answer(Ok(VersionView {
            version: "0.1.0".to_owned(),
            name: text("sh-1"),
            id: text("id-of-sh-1"),
            cluster: text("default"),
        }))
    }

    fn health(&self) -> Reply<'_, HealthView> {
        answer(Ok(HealthView { ok: true, reason: None }))
    }

    fn ready(&self) -> Reply<'_, HealthView> {
        answer(Ok(HealthView {
            ok: false,
            reason: Some("still joining".to_owned()),
        }))
    }
}

/// Both doors, closed at the end of the test.
struct Doors {
    http: SocketAddr,
    shell: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Doors {
    async fn open() -> Self {
        let stop = CancellationToken::new();
        let cluster: Arc<dyn Cluster> = Arc::new(Scripted);
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http, shell) = (web.local_addr().unwrap(), line.local_addr().unwrap());
        let (_, metrics) = Metrics::detached();
        let tasks = vec![
            tokio::spawn(http::serve(web, Arc::clone(&cluster), metrics, stop.clone())),
            tokio::spawn(shell::serve(line, cluster, stop.clone())),
        ];
        Self {
            http,
            shell,
            stop,
            tasks,
        }
    }

    async fn close(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(8), task)
                .await
                .expect("the door closes")
                .unwrap()
                .unwrap();
        }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.http,
            body.len()
        );
        let answer = talk(self.http, text.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    async fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.ask(method, path, body).await;
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")),
        )
    }

    /// The shell's whole answer to `input`, prompts included.
    async fn nc(&self, input: &str) -> String {
        talk(self.shell, input.as_bytes()).await
    }
}

/// Sends `input` and reads until the other side closes.
async fn talk(address: SocketAddr, input: &[u8]) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sent = async {
        // A refused line closes the connection while the rest is on its way.
        let _ = write.write_all(input).await;
        write
    };
    let mut bytes = Vec::new();
    let received = async {
        let _ = read.read_to_end(&mut bytes).await;
    };
    let (_write, ()) = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(sent, received) })
        .await
        .expect("the door closes the connection");
    String::from_utf8(bytes).unwrap()
}

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
    assert_eq!(doors.json("GET", "/v1/version", "").await.1["name"], "sh-1");
    assert_eq!(doors.ask("GET", "/v1/health", "").await.0, 200);
    assert_eq!(doors.ask("GET", "/metrics", "").await.0, 200);
    doors.close().await;
}

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
        "PEER1001",
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
    assert!(text.contains("PEER1008"), "{text}");
    doors.close().await;
}

#[tokio::test]
async fn a_job_text_over_the_bound_is_refused_and_not_taken_for_commands() {
    let doors = Doors::open().await;
    let text = doors
        .nc(&format!("submit <<EOF\n{}EOF\nquit\n", "purge orders --yes\n".repeat(20_000)))
        .await;
    assert!(text.contains("PEER1005"), "{text}");
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
