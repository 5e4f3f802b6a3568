//! Lets other peers in: their connections, then each of their streams.
//!
//! Started by `endpoint`, feeds its `Incoming`. Each connection and each hello is a tracked task with a time-out; their
//! numbers are bounded by [`CONNECTIONS_MAX`] and the stream limit of `quic`. A full queue is not answered until there is
//! room, so the other side waits or times out. Refusals are logged, not more than one line per reason each 10 s.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::core::ids::NodeId;
use crate::transport::endpoint::IncomingStream;
use crate::transport::error::{KEY_MISMATCH, REFUSED, TransportError};
use crate::transport::hello::{Local, Refusal, judge, priority};
use crate::transport::stream::Stream;
use crate::transport::tls::peer_of;
use crate::wire::message::{Hello, HelloAnswer};

/// Accepted streams that wait for their user. A guess: every peer of a large cluster opening one at the same moment.
pub const WAITING_MAX: usize = 64;

/// Connections in both directions. Far above a cluster's peers; a flood of handshakes stops here.
const CONNECTIONS_MAX: usize = 1024;

/// Longest handshake and longest hello: as long as the other side waits.
const WELCOME_WITHIN: Duration = Duration::from_secs(5);

/// How long one reason of refusal stays quiet after a line.
const QUIET: Duration = Duration::from_secs(10);

/// Accepts connections and streams until stopped.
#[derive(Clone)]
pub struct Acceptor {
    endpoint: quinn::Endpoint,
    door: Arc<Door>,
}

/// What each connection's task needs.
struct Door {
    local: Local,
    streams: mpsc::Sender<IncomingStream>,
    stop: CancellationToken,
    tasks: TaskTracker,
    refusals: Refusals,
}

impl Acceptor {
    /// An acceptor that is not running yet.
    #[must_use]
    pub fn new(
        endpoint: quinn::Endpoint,
        local: Local,
        streams: mpsc::Sender<IncomingStream>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let refusals = Refusals::default();
        Self {
            endpoint,
            door: Arc::new(Door {
                local,
                streams,
                stop,
                tasks,
                refusals,
            }),
        }
    }

    /// Runs until stopped.
    pub async fn run(self) {
        let stop = self.door.stop.clone();
        while let Some(Some(incoming)) = stop.run_until_cancelled(self.endpoint.accept()).await {
            if self.endpoint.open_connections() >= CONNECTIONS_MAX {
                self.door
                    .refusals
                    .log(incoming.remote_address(), REFUSED, "too many connections");
                incoming.refuse();
                continue;
            }
            let door = self.door.clone();
            self.door.tasks.spawn(async move {
                door.stop.clone().run_until_cancelled(door.serve(incoming)).await;
            });
        }
    }
}

impl Door {
    /// One connection: the handshake, then its streams until it closes.
    async fn serve(self: Arc<Self>, incoming: quinn::Incoming) {
        let addr = incoming.remote_address();
        let (connection, peer) = match timeout(WELCOME_WITHIN, shake_hands(incoming, addr)).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                if matches!(error, TransportError::KeyMismatch { .. } | TransportError::Nameless { .. }) {
                    let fault = error.fault();
                    self.refusals.log(addr, &fault.code, &error.to_string());
                }
                return;
            }
            Err(_) => return,
        };
        while let Ok((send, recv)) = connection.accept_bi().await {
            let (door, peer, connection) = (self.clone(), peer.clone(), connection.clone());
            self.tasks.spawn(async move {
                let welcome = timeout(WELCOME_WITHIN, door.welcome(connection, peer, (send, recv)));
                // An error here is the other side's: it went away or was refused and told so.
                let _ = door.stop.run_until_cancelled(welcome).await;
            });
        }
        // A client that does not trust us, or whom we do not trust, is only known by how the connection ended.
        let ended = connection
            .close_reason()
            .map(|reason| TransportError::from_connection(addr, &reason));
        if matches!(ended, Some(TransportError::KeyMismatch { .. })) {
            self.refusals.log(addr, KEY_MISMATCH, "key does not match");
        }
    }

    /// One stream: reads the hello, answers it, hands the stream over.
    async fn welcome(
        &self,
        connection: Connection,
        peer: NodeId,
        halves: (SendStream, RecvStream),
    ) -> Result<(), TransportError> {
        let addr = connection.remote_address();
        let mut stream = Stream::new(halves, connection, self.local.send_window_max, peer.clone());
        let hello: Hello = stream.recv().await?;
        if let Err(Refusal { code, text }) = judge(&self.local, &hello, &peer) {
            self.refusals.log(addr, code, &text);
            stream
                .send(&HelloAnswer::Refused {
                    code: code.to_owned(),
                    text,
                })
                .await?;
            return stream.finish().await;
        }
        let Ok(place) = self.streams.reserve().await else {
            return Ok(());
        };
        stream.set_priority(priority(hello.kind));
        stream.send(&HelloAnswer::Accepted).await?;
        place.send(IncomingStream {
            peer,
            addr,
            kind: hello.kind,
            stream,
        });
        Ok(())
    }
}

async fn shake_hands(incoming: quinn::Incoming, addr: SocketAddr) -> Result<(Connection, NodeId), TransportError> {
    let failed = |error: quinn::ConnectionError| TransportError::from_connection(addr, &error);
    let connection = incoming.accept().map_err(failed)?.await.map_err(failed)?;
    let peer = peer_of(&connection)?;
    Ok((connection, peer))
}

/// When each reason was last logged, and how many lines were held back since. One entry per code, of which there are few.
#[derive(Debug, Default)]
struct Refusals {
    by_code: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Refusals {
    fn log(&self, addr: SocketAddr, code: &str, text: &str) {
        if let Some(held_back) = self.pass(code, Instant::now()) {
            warn!(address = %addr, reason = code, error = text, held_back, "another peer was refused");
        }
    }

    /// How many lines were held back, when one may be written now.
    fn pass(&self, code: &str, now: Instant) -> Option<u64> {
        let mut by_code = self.by_code.lock().unwrap_or_else(PoisonError::into_inner);
        match by_code.get_mut(code) {
            Some((last, held_back)) if now.duration_since(*last) < QUIET => {
                *held_back += 1;
                None
            }
            Some(entry) => Some(std::mem::replace(entry, (now, 0)).1),
            None => {
                by_code.insert(code.to_owned(), (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_logged_once_in_ten_seconds_and_says_how_often_it_came() {
        let refusals = Refusals::default();
        let start = Instant::now();
        assert_eq!(refusals.pass("PEER1201", start), Some(0));
        assert_eq!(refusals.pass("PEER1201", start + QUIET / 2), None);
        assert_eq!(refusals.pass("PEER1201", start + QUIET / 2), None);
        assert_eq!(refusals.pass("PEER1202", start + QUIET / 2), Some(0));
        assert_eq!(refusals.pass("PEER1201", start + QUIET), Some(2));
    }
}
