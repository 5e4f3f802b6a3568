//! Tells when this peer does not reach the target any more, whatever the sink is waiting for.
//!
//! `sink_flow` runs it beside everything it does. A commit, a DDL or a lock may take minutes and must be left alone, so a
//! dead line cannot be told from their silence. A ping on a connection of its own can: the server answers it without a lock,
//! a disk or the work of others. It does not judge a server that refuses: that one answers.

use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use crate::core::job_spec::DatabaseSpec;
use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// Between an answer and the next ping; a broken connection is made anew as often. Half of the sign of life others wait for.
const PULSE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for an answer. A lost packet is sent again four times meanwhile (after 0.2, 0.6, 1.4 and 3 s on a near line);
/// together with a takeover it stays below half of the 15 s that a takeover may take.
const PULSE_LIMIT: Duration = Duration::from_secs(4);

/// Ends when the target cannot be reached from here; the error says that another peer may.
pub async fn lost(target: &DatabaseSpec) -> Error {
    loop {
        let error = match Session::connect(target).await {
            Ok(session) => beat_until_error(session).await,
            Err(error) => error,
        };
        match error {
            Error::Unreachable { .. } => return error,
            Error::TimedOut { address, limit, .. } => {
                let reason = format!("no answer to a ping within {limit:?}");
                return Error::Unreachable { address, reason };
            }
            error => debug!(%error, "target pulse broke, connecting again"),
        }
        sleep(PULSE_EVERY).await;
    }
}

async fn beat_until_error(mut session: Session) -> Error {
    loop {
        sleep(PULSE_EVERY).await;
        if let Err(error) = session.ping_within(PULSE_LIMIT).await {
            return error;
        }
    }
}
