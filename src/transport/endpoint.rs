//! The QUIC endpoint: connections in and out, one port.
//!
//! Made once per peer by `node`; gossip and flow open streams on it and receive those that others open. Every wait has a
//! time-out. Not here: how QUIC is set up (`quic`), who is let in (`accept`, `hello`).

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::VarInt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::ids::NodeId;
use crate::transport::accept::{Acceptor, WAITING_MAX};
use crate::transport::error::TransportError;
use crate::transport::hello::{Local, greet};
use crate::transport::key::ClusterKey;
use crate::transport::links::{Link, Links};
use crate::transport::quic;
use crate::transport::stream::Stream;
use crate::wire::message::{self, Request, Response, StreamKind};

/// Longest time until a stream is open or has failed, everything together. Shorter than any supervision above.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// How long an older connection may take to answer before a new one is tried in the rest of [`OPEN_WITHIN`]: its peer may
/// have been killed. Ten round trips of the slowest links we know, and a busy peer.
const REUSED_WITHIN: Duration = Duration::from_secs(2);

/// How long a shutdown waits until the other sides know.
const SHUT_DOWN_WITHIN: Duration = Duration::from_secs(1);

/// `limits.memory` when nobody says otherwise.
const MEMORY_BYTES: u64 = 64 << 20;

/// QUIC application code of a connection that is closed in good order.
const LEAVING: VarInt = VarInt::from_u32(0);

const _: () = assert!(REUSED_WITHIN.as_millis() * 2 < OPEN_WITHIN.as_millis());

/// What an endpoint is made from.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// UDP address; port 0 takes any.
    pub listen: SocketAddr,
    /// What others reach it by, when that differs.
    pub advertise: Option<SocketAddr>,
    /// This peer.
    pub node_id: NodeId,
    /// The cluster's key.
    pub key: ClusterKey,
    /// The cluster's name; others are refused.
    pub cluster_name: String,
    /// The wire version to speak; other than [`message::WIRE_VERSION`] only in tests.
    pub wire_version: u32,
    /// Rate of the link in bytes per second when it is known and congestion control is to keep it; None: Cubic.
    pub capped: Option<u64>,
    /// Rate of the fastest link in bytes per second; 0: not known.
    pub link_rate: u64,
    /// `limits.memory`: the windows are parts of it.
    pub memory_bytes: u64,
}

impl EndpointConfig {
    /// A configuration of this build's wire version, advertised as it listens.
    #[must_use]
    pub fn new(listen: SocketAddr, node_id: NodeId, key: ClusterKey, cluster_name: impl Into<String>) -> Self {
        let cluster_name = cluster_name.into();
        Self {
            listen,
            advertise: None,
            node_id,
            key,
            cluster_name,
            wire_version: message::WIRE_VERSION,
            capped: None,
            link_rate: 0,
            memory_bytes: MEMORY_BYTES,
        }
    }
}

/// This peer's end of all connections. Clones share it; the last one dropped closes it at once, [`Endpoint::shutdown`]
/// in good order.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: quinn::Endpoint,
    client: quinn::ClientConfig,
    local: Local,
    local_addr: SocketAddr,
    advertise: Option<SocketAddr>,
    links: Links,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A stream that another peer opened and that was accepted.
#[derive(Debug)]
pub struct IncomingStream {
    /// The other peer, as its certificate says.
    pub peer: NodeId,
    /// Its address.
    pub addr: SocketAddr,
    /// What the stream is for.
    pub kind: StreamKind,
    /// The stream, after the hello.
    pub stream: Stream,
}

/// Streams that other peers open, at most [`WAITING_MAX`] of them waiting; more are kept waiting at the other side.
#[derive(Debug)]
pub struct Incoming {
    streams: mpsc::Receiver<IncomingStream>,
}

impl Incoming {
    /// The next stream; `None` once the endpoint is shut down. Cancel-safe.
    pub async fn recv(&mut self) -> Option<IncomingStream> {
        self.streams.recv().await
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("local", &self.shared.local)
            .field("addr", &self.shared.local_addr)
            .finish()
    }
}

impl Endpoint {
    /// Binds the port and starts to accept. Needs a tokio runtime.
    ///
    /// # Errors
    /// The port, the key or the node id cannot be used.
    pub fn bind(config: EndpointConfig) -> Result<(Self, Incoming), TransportError> {
        let windows = quic::Windows::of(config.memory_bytes);
        let quic::Bound { endpoint, client } = quic::bind(&config, windows)?;
        let bind_error = |error: std::io::Error| TransportError::Bind {
            addr: config.listen,
            reason: error.to_string(),
        };
        let local_addr = endpoint.local_addr().map_err(bind_error)?;
        let EndpointConfig {
            advertise,
            node_id,
            cluster_name,
            wire_version,
            ..
        } = config;
        let local = Local {
            node_id,
            cluster_name,
            wire_version,
            send_window_max: windows.send_bytes,
        };
        let (streams, incoming) = mpsc::channel(WAITING_MAX);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let acceptor = Acceptor::new(endpoint.clone(), local.clone(), streams, stop.clone(), tasks.clone());
        tasks.spawn(acceptor.run());
        let links = Links::default();
        let shared = Shared {
            endpoint,
            client,
            local,
            local_addr,
            advertise,
            links,
            stop,
            tasks,
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            Incoming { streams: incoming },
        ))
    }

    /// The address it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr
    }

    /// The address others should use.
    #[must_use]
    pub fn advertise_addr(&self) -> SocketAddr {
        self.shared.advertise.unwrap_or(self.shared.local_addr)
    }

    /// This peer's id.
    #[must_use]
    pub fn node_id(&self) -> &NodeId {
        &self.shared.local.node_id
    }

    /// Opens a stream to the peer at an address, over the live connection to it or a new one. Takes at most 5 s.
    ///
    /// # Errors
    /// Key, cluster or version do not match; the peer does not answer; this endpoint is shut down.
    pub async fn open(&self, addr: SocketAddr, kind: StreamKind) -> Result<Stream, TransportError> {
        let opened = timeout(OPEN_WITHIN, self.open_unbounded(addr, kind)).await;
        opened.unwrap_or_else(|_| {
            self.shared.links.forget(addr);
            Err(TransportError::TimedOut {
                addr,
                after: OPEN_WITHIN,
            })
        })
    }

    /// Asks the peer at an address one question, over a stream of its own. The answer has no bound here: the caller's has.
    ///
    /// # Errors
    /// As `open`; or the stream ends before the answer, as with a build that does not know the question.
    pub async fn ask(&self, addr: SocketAddr, question: &Request) -> Result<Response, TransportError> {
        let mut stream = self.open(addr, StreamKind::Control).await?;
        stream.send(question).await?;
        stream.recv().await
    }

    async fn open_unbounded(&self, addr: SocketAddr, kind: StreamKind) -> Result<Stream, TransportError> {
        let link = self.link(addr).await?;
        if !link.is_reused {
            return greet(&link.connection, &self.shared.local, kind).await;
        }
        match timeout(REUSED_WITHIN, greet(&link.connection, &self.shared.local, kind)).await {
            Ok(Err(error)) if !error.is_loss() => Err(error),
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) | Err(_) => {
                self.shared.links.forget(addr);
                let link = self.link(addr).await?;
                greet(&link.connection, &self.shared.local, kind).await
            }
        }
    }

    async fn link(&self, addr: SocketAddr) -> Result<Link, TransportError> {
        if self.shared.stop.is_cancelled() {
            return Err(TransportError::ShutDown);
        }
        self.shared.links.get(&self.shared.endpoint, &self.shared.client, addr).await
    }

    /// Connections that are open now, in both directions.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.endpoint.open_connections()
    }

    /// Closes every connection, tells the other sides, and waits for that at most 1 s. Streams end where they are:
    /// finish them before.
    pub async fn shutdown(&self) {
        self.shared.close();
        let told = async {
            self.shared.endpoint.wait_idle().await;
            self.shared.tasks.wait().await;
        };
        // A peer that cannot be told notices by itself.
        let _ = timeout(SHUT_DOWN_WITHIN, told).await;
    }
}

impl Shared {
    fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.endpoint.close(LEAVING, b"leaving");
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}
