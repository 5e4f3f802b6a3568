//! Talks to a peer over HTTP: one request, its JSON, or the failure with the exit code it means.
//!
//! Fed by `run` and `watch`. Blocking; knows paths and statuses, not what the answers mean.

use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::admin::refusal::ErrorBody;
use crate::cli::failure::{EXIT_FAILED, EXIT_NO_PEER, Failure};
use crate::core::fault::Fault;

/// A peer on the same machine connects at once; one behind a tunnel within this.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Above the door's own limit (10 s), so that its refusal arrives.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// The same where databases are looked at (35 s).
const CHECKED_ANSWER_MAX: Duration = Duration::from_secs(40);
/// Most bytes of an answer; a status with a thousand tables is some 200 KiB.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The HTTP port when an address names none.
const PORT_DEFAULT: u16 = 7422;

/// A peer's HTTP door. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    /// `host:port`.
    address: String,
}

/// An answer of 200: its text as it came, and what it says.
pub struct Answered<T> {
    /// The JSON as it came, so that `--json` keeps fields this build does not know.
    pub text: String,
    /// What it says.
    pub view: T,
}

impl Client {
    /// A client of the peer at `address`: `host`, `host:port` or either after `http://`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_global(Some(ANSWER_MAX))
            .build();
        Self {
            agent: config.into(),
            address: with_port(address),
        }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// No peer answered (exit 3), or it refused (exit 1).
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answered<T>, Failure> {
        self.read(self.agent.get(self.url(path)).call())
    }

    /// `POST path` with `body`.
    ///
    /// # Errors
    /// No peer answered (exit 3), or it refused (exit 1).
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &str) -> Result<Answered<T>, Failure> {
        self.read(self.agent.post(self.url(path)).send(body))
    }

    /// `POST path` with `body`, for what has databases looked at.
    ///
    /// # Errors
    /// As `post`.
    pub fn post_checked<T: DeserializeOwned>(&self, path: &str, body: &str) -> Result<Answered<T>, Failure> {
        let request = self.agent.post(self.url(path)).config();
        self.read(request.timeout_global(Some(CHECKED_ANSWER_MAX)).build().send(body))
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// No peer answered (exit 3), or it refused (exit 1).
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<Answered<T>, Failure> {
        self.read(self.agent.delete(self.url(path)).call())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn read<T: DeserializeOwned>(&self, response: Result<Response<Body>, ureq::Error>) -> Result<Answered<T>, Failure> {
        let mut response = response.map_err(|error| self.no_peer(&error.to_string()))?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| self.no_peer(&error.to_string()))?;
        if status.is_success() {
            let view = serde_json::from_str(&text).map_err(|error| self.not_a_peer(&error.to_string()))?;
            return Ok(Answered { text, view });
        }
        match serde_json::from_str::<ErrorBody>(&text) {
            Ok(body) => Err(Failure::new(EXIT_FAILED, body.error)),
            Err(_) => Err(self.not_a_peer(&format!("status {}", status.as_u16()))),
        }
    }

    fn no_peer(&self, found: &str) -> Failure {
        let fix = "start one with `peer start`, or name another with --address HOST:PORT or PEER_ADDRESS";
        let fault = Fault::new(
            "PEER1059",
            format!("peer at {}", self.address),
            found,
            "a peer that answers",
            fix,
        );
        Failure::new(EXIT_NO_PEER, fault)
    }

    fn not_a_peer(&self, found: &str) -> Failure {
        let fix = "check the port: 7422 is HTTP, 7421 the shell, 7420 (UDP) is for peers; `peer version` tells the version";
        let what = format!("answer of {}", self.address);
        Failure::new(
            EXIT_NO_PEER,
            Fault::new("PEER1059", what, found, "the JSON of a peer of this version", fix),
        )
    }
}

fn with_port(address: &str) -> String {
    let bare = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let has_port = bare
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && !port.ends_with(']') && port.parse::<u16>().is_ok());
    if has_port {
        bare.to_owned()
    } else {
        format!("{bare}:{PORT_DEFAULT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_the_usual_one() {
        let cases = [
            ("10.0.0.1", "10.0.0.1:7422"),
            ("http://10.0.0.1:80/", "10.0.0.1:80"),
            ("[::1]", "[::1]:7422"),
            ("[::1]:9", "[::1]:9"),
        ];
        for (given, expected) in cases {
            assert_eq!(with_port(given), expected);
        }
    }
}
