//! The HTTP door: JSON of DESIGN 1.5 under `/v1`, and `/metrics`.
//!
//! Fed by the command line, scripts and scrapers; calls `execute`. Answers 200, 400 (faults), 404, 405, 409 and 503.
//! Has no authentication yet, so it is bound to loopback (`config` sees to that) and turns away what a web page in a
//! browser on the same machine could send: another `Host`, or a foreign `Origin`.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection, StringRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::bounded_listener::BoundedListener;
use crate::admin::census::Census;
use crate::admin::cluster::{Cluster, JOB_TEXT_BYTES_MAX, SubmitRequest};
use crate::admin::command::Command;
use crate::admin::execute::execute;
use crate::admin::http_conflicts;
use crate::admin::http_peers::{act_on_peer, leave};
use crate::admin::parse::job_name;
use crate::admin::refusal::{Refusal, RefusalKind};
use crate::admin::views::HealthView;
use crate::core::fault::Fault;
use crate::telemetry::metrics::Metrics;

/// Open connections; more wait. Guess: some scrapers, some people, some scripts.
const CONNECTIONS_MAX: usize = 64;
/// A connection without a byte for so long is closed. Above the longest answer (10 s), so none is cut.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long requests in hand may take once the door closes; DESIGN 2.3 gives a turn 5 s.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What every handler needs.
#[derive(Clone)]
pub(super) struct Door {
    cluster: Arc<dyn Cluster>,
    metrics: Metrics,
    census: Arc<Census>,
}

/// Serves until `stop` is cancelled, then finishes the requests in hand.
///
/// # Errors
/// The listener failed; nothing is served any more.
pub async fn serve(
    listener: TcpListener,
    cluster: Arc<dyn Cluster>,
    metrics: Metrics,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = BoundedListener::new(listener, CONNECTIONS_MAX, IDLE_MAX);
    let closing = stop.clone();
    let census = Arc::new(Census::new());
    let door = Door {
        cluster,
        metrics,
        census,
    };
    let server = axum::serve(listener, router(door)).with_graceful_shutdown(async move { closing.cancelled().await });
    tokio::select! {
        done = server => done,
        () = async { stop.cancelled().await; tokio::time::sleep(CLOSE_MAX).await } => Ok(()),
    }
}

fn router(door: Door) -> Router {
    Router::new()
        .route("/v1/members", get(members))
        .route("/v1/members/{name}/{action}", post(act_on_peer))
        .route("/v1/leave", post(leave))
        .route("/v1/jobs", get(jobs).post(submit))
        .route("/v1/jobs/{name}", get(status).delete(purge))
        .route("/v1/jobs/{name}/history", get(history))
        .route("/v1/jobs/{name}/conflicts", get(http_conflicts::conflicts))
        .route("/v1/jobs/{name}/skip", post(http_conflicts::skip))
        .route("/v1/jobs/{name}/set", post(set))
        .route("/v1/jobs/{name}/revert", post(revert))
        .route("/v1/jobs/{name}/{action}", post(act))
        .route("/v1/plan", post(plan))
        .route("/v1/check", post(check))
        .route("/v1/version", get(version))
        .route("/v1/health", get(health))
        .route("/v1/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(no_such_page)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(JOB_TEXT_BYTES_MAX))
        .layer(from_fn(turn_away_foreigners))
        .with_state(door)
}

async fn members(State(door): State<Door>) -> Response {
    run(&door, Ok(Command::Members)).await
}

async fn jobs(State(door): State<Door>) -> Response {
    run(&door, Ok(Command::Jobs)).await
}

async fn status(State(door): State<Door>, Path(name): Path<String>) -> Response {
    run(&door, job_name(&name).map(|job| Command::Status { job })).await
}

/// The query of `DELETE /v1/jobs/NAME`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeQuery {
    #[serde(default)]
    target: bool,
}

async fn purge(State(door): State<Door>, Path(name): Path<String>, query: Result<Query<PurgeQuery>, QueryRejection>) -> Response {
    let asked = query.map_err(|error| {
        Refusal::usage(
            "query",
            &error.body_text(),
            "`?target=true` or none",
            "DELETE /v1/jobs/NAME?target=true",
        )
    });
    let command = asked.and_then(|Query(query)| {
        let job = job_name(&name)?;
        Ok(if query.target {
            Command::PurgeTarget { job }
        } else {
            Command::Purge { job }
        })
    });
    run(&door, command).await
}

async fn history(State(door): State<Door>, Path(name): Path<String>) -> Response {
    run(&door, job_name(&name).map(|job| Command::History { job })).await
}

/// The body holds one `KEY=VALUE` per line.
async fn set(State(door): State<Door>, Path(name): Path<String>, body: Result<String, StringRejection>) -> Response {
    let form = "one KEY=VALUE per line";
    let fix = "POST /v1/jobs/NAME/set with link.rate=10 MB/s";
    let settings = body
        .map(|text| {
            text.lines()
                .map(str::to_owned)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
        })
        .map_err(|error| Refusal::usage("body", &error.body_text(), form, fix))
        .and_then(|lines| match lines.is_empty() {
            true => Err(Refusal::usage("body", "nothing to set", form, fix)),
            false => Ok(lines),
        });
    let command = job_name(&name).and_then(|job| settings.map(|settings| Command::Set { job, settings }));
    run(&door, command).await
}

/// The query of `POST /v1/jobs/N/revert`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevertQuery {
    version: u64,
}

async fn revert(
    State(door): State<Door>,
    Path(name): Path<String>,
    query: Result<Query<RevertQuery>, QueryRejection>,
) -> Response {
    let fix = "POST /v1/jobs/NAME/revert?version=2";
    let query = query.map_err(|error| Refusal::usage("query", &error.body_text(), "`?version=N`", fix));
    let command = job_name(&name).and_then(|job| {
        query.map(|query| Command::Revert {
            job,
            version: query.version,
        })
    });
    run(&door, command).await
}

async fn version(State(door): State<Door>) -> Response {
    run(&door, Ok(Command::Version)).await
}

/// The query of `POST /v1/jobs/NAME/ACTION`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActQuery {
    #[serde(default)]
    fence: bool,
}

async fn act(
    State(door): State<Door>,
    Path((name, action)): Path<(String, String)>,
    query: Result<Query<ActQuery>, QueryRejection>,
) -> Response {
    let form = "`?fence=true` with stop, or none";
    let fix = "POST /v1/jobs/NAME/stop?fence=true";
    let asked = query.map_err(|error| Refusal::usage("query", &error.body_text(), form, fix));
    let command = asked.and_then(|Query(query)| {
        let job = job_name(&name)?;
        match (query.fence, action.as_str()) {
            (false, _) => action_command(job, &action),
            (true, "stop") => Ok(Command::StopFence { job }),
            (true, other) => Err(Refusal::usage("query", &format!("fence with `{other}`"), form, fix)),
        }
    });
    run(&door, command).await
}

fn action_command(job: String, action: &str) -> Result<Command, Refusal> {
    match action {
        "pause" => Ok(Command::Pause { job }),
        "resume" => Ok(Command::Resume { job }),
        "stop" => Ok(Command::Stop { job }),
        "restart" => Ok(Command::Restart { job }),
        other => Err(Refusal::usage(
            "path",
            &format!("`{other}`"),
            "pause, resume, stop, restart, set, revert or skip",
            "POST /v1/jobs/NAME/pause",
        )),
    }
}

/// The query of `POST /v1/jobs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmitQuery {
    #[serde(default)]
    update: bool,
    expect_version: Option<u64>,
    #[serde(default)]
    adopt: bool,
    #[serde(default = "yes")]
    check: bool,
}

fn yes() -> bool {
    true
}

async fn submit(
    State(door): State<Door>,
    query: Result<Query<SubmitQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    run(&door, submit_command(query, body)).await
}

fn submit_command(
    query: Result<Query<SubmitQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Command, Refusal> {
    let form = "`?update=true&expect_version=N&adopt=true&check=false`, each optional";
    let query = query.map_err(|error| Refusal::usage("query", &error.body_text(), form, "POST /v1/jobs?update=true"))?;
    Ok(Command::Submit(SubmitRequest {
        text: job_text(body)?,
        update: query.update,
        expect_version: query.expect_version,
        adopt: query.adopt,
        is_unchecked: !query.check,
    }))
}

async fn plan(State(door): State<Door>, body: Result<Bytes, BytesRejection>) -> Response {
    run(&door, job_text(body).map(|text| Command::Plan { text })).await
}

async fn check(State(door): State<Door>, body: Result<Bytes, BytesRejection>) -> Response {
    run(&door, job_text(body).map(|text| Command::Check { text })).await
}

fn job_text(body: Result<Bytes, BytesRejection>) -> Result<String, Refusal> {
    let expected = format!("a job.toml of at most {JOB_TEXT_BYTES_MAX} bytes");
    let refuse = |found: String| Refusal::invalid(Fault::new("PEER1055", "body", found, &expected, "send the text of job.toml"));
    let body = body.map_err(|error| refuse(error.body_text()))?;
    String::from_utf8(body.into()).map_err(|error| refuse(error.to_string()))
}

async fn health(State(door): State<Door>) -> Response {
    told(door.cluster.health().await)
}

async fn ready(State(door): State<Door>) -> Response {
    told(door.cluster.ready().await)
}

async fn metrics(State(door): State<Door>) -> Response {
    door.census.take(&*door.cluster).await;
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        door.metrics.render(),
    )
        .into_response()
}

async fn no_such_page(request: Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    let fix = "see `peer help`; the paths are /v1/members, /v1/leave, /v1/jobs, /v1/jobs/NAME, /v1/plan, /v1/check, /v1/version, /v1/health, /v1/ready, /metrics";
    refused(&Refusal::new(
        RefusalKind::Unknown,
        Fault::new(
            "PEER1056",
            format!("path `{path}`"),
            "nothing there",
            "a path of this version",
            fix,
        ),
    ))
}

async fn no_such_method(request: Request) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    let refusal = Refusal::usage(
        &what,
        "not a method of this path",
        "GET to read, POST to act, DELETE to purge",
        "see `peer help`",
    );
    (StatusCode::METHOD_NOT_ALLOWED, Json(refusal.body())).into_response()
}

pub(super) async fn run(door: &Door, command: Result<Command, Refusal>) -> Response {
    let answer = match command {
        Ok(command) => execute(&*door.cluster, command).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn told(health: Result<HealthView, Refusal>) -> Response {
    match health {
        Ok(view) if view.ok => Json(view).into_response(),
        Ok(view) => (StatusCode::SERVICE_UNAVAILABLE, Json(view)).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.kind.status()).expect("the kinds name valid statuses");
    (status, Json(refusal.body())).into_response()
}

async fn turn_away_foreigners(request: Request, next: Next) -> Response {
    match foreign(request.headers()) {
        None => next.run(request).await,
        Some(found) => {
            let fix = "ask by address, for example http://127.0.0.1:7422, and not from a page of another site";
            let fault = Fault::new(
                "PEER1057",
                "request",
                found,
                "a request to this peer by its address or as localhost",
                fix,
            );
            refused(&Refusal::invalid(fault))
        }
    }
}

/// Says what is foreign about a request: a `Host` that is a name other than localhost (a name that an attacker's DNS may
/// point here), or an `Origin` that is not this very door.
fn foreign(headers: &HeaderMap) -> Option<String> {
    let host = headers
        .get(header::HOST)
        .map(|value| value.to_str().unwrap_or(""))
        .unwrap_or("localhost");
    if !is_local_name(host) {
        return Some(format!("host `{host}`"));
    }
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("");
    (origin.strip_prefix("http://") != Some(host)).then(|| format!("origin `{origin}`"))
}

fn is_local_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a header value")))
            .collect()
    }

    #[test]
    fn addresses_and_localhost_are_let_in() {
        for host in ["127.0.0.1:7422", "[::1]:7422", "localhost:7422", "10.0.0.7", "LOCALHOST"] {
            assert_eq!(foreign(&headers(&[(header::HOST, host)])), None, "{host}");
        }
        let own_page = [(header::HOST, "127.0.0.1:7422"), (header::ORIGIN, "http://127.0.0.1:7422")];
        assert_eq!(foreign(&headers(&own_page)), None);
    }

    #[test]
    fn a_page_of_another_site_is_turned_away() {
        assert!(foreign(&headers(&[(header::HOST, "evil.example:7422")])).is_some());
        for origin in [
            "http://evil.example",
            "null",
            "https://127.0.0.1:7422",
            "http://127.0.0.1:8000",
        ] {
            let pairs = [(header::HOST, "127.0.0.1:7422"), (header::ORIGIN, origin)];
            assert!(foreign(&headers(&pairs)).is_some(), "{origin}");
        }
    }
}
