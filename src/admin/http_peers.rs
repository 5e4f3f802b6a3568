//! The paths of the HTTP door that tell a peer what to do with itself: drain, undrain, leave.
//!
//! Routed by `http`; make a command and hand it there.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::admin::command::Command;
use crate::admin::http::{Door, run};
use crate::admin::parse::peer_name;
use crate::admin::refusal::Refusal;

/// The query of `POST /v1/leave` and `/v1/members/NAME/ACTION`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeaveQuery {
    #[serde(default)]
    restart: bool,
}

/// Whether `?restart=true` stands behind a path.
fn is_restart(query: Result<Query<LeaveQuery>, QueryRejection>) -> Result<bool, Refusal> {
    let refused = |error: QueryRejection| {
        let form = "`?restart=true` with leave, or none";
        Refusal::usage("query", &error.body_text(), form, "POST /v1/leave?restart=true")
    };
    query.map(|Query(query)| query.restart).map_err(refused)
}

/// `POST /v1/members/NAME/ACTION`.
pub(super) async fn act_on_peer(
    State(door): State<Door>,
    Path((name, action)): Path<(String, String)>,
    query: Result<Query<LeaveQuery>, QueryRejection>,
) -> Response {
    let command = is_restart(query).and_then(|is_restart| {
        let peer = peer_name(&name)?;
        match (action.as_str(), is_restart) {
            ("drain", false) => Ok(Command::Drain { peer }),
            ("undrain", false) => Ok(Command::Undrain { peer }),
            ("leave", is_restart) => Ok(Command::Leave {
                peer: Some(peer),
                is_restart,
            }),
            (other, _) => Err(Refusal::usage(
                "path",
                &format!("`{other}`"),
                "drain, undrain, leave or leave?restart=true",
                "POST /v1/members/NAME/drain",
            )),
        }
    });
    run(&door, command).await
}

/// `POST /v1/leave`: the asked peer.
pub(super) async fn leave(State(door): State<Door>, query: Result<Query<LeaveQuery>, QueryRejection>) -> Response {
    let command = is_restart(query).map(|is_restart| Command::Leave { peer: None, is_restart });
    run(&door, command).await
}
