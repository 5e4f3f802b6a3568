//! The paths of the HTTP door about rows that do not fit: what was recorded, and passing a transaction over.
//!
//! Routed by `http`; make a command and hand it there.

use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;

use crate::admin::command::Command;
use crate::admin::http::{Door, run};
use crate::admin::parse::job_name;
use crate::admin::parse_skip::skip_command;
use crate::admin::refusal::Refusal;

/// The body of `POST /v1/jobs/NAME/skip`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipBody {
    gtid: String,
    reason: String,
}

/// `GET /v1/jobs/NAME/conflicts`.
pub(super) async fn conflicts(State(door): State<Door>, Path(name): Path<String>) -> Response {
    run(&door, job_name(&name).map(|job| Command::Conflicts { job })).await
}

/// `POST /v1/jobs/NAME/skip`.
pub(super) async fn skip(State(door): State<Door>, Path(name): Path<String>, body: Result<Bytes, BytesRejection>) -> Response {
    let refused = |found: &str| {
        let form = "{\"gtid\": \"UUID:NUMBER\", \"reason\": \"TEXT\"}";
        Refusal::usage("body", found, form, "POST /v1/jobs/NAME/skip with that JSON")
    };
    let body = body.map_err(|error| refused(&error.body_text()));
    let body = body.and_then(|bytes| serde_json::from_slice::<SkipBody>(&bytes).map_err(|error| refused(&error.to_string())));
    let command = job_name(&name).and_then(|job| body.and_then(|body| skip_command(job, &body.gtid, &body.reason)));
    run(&door, command).await
}
