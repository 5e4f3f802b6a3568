//! Carries the messages of the gossip library over streams of our endpoint.
//!
//! Out: one bounded queue and one task per address; a full queue drops, so a peer that does not answer never holds up gossip
//! with the others. In: `node` feeds each stream of kind Gossip, a task per stream reads it into one bounded queue. What is
//! guarded: both ends hold a certificate of this cluster, and the endpoint speaks only for the id in its own (gossip takes
//! its id from there). What is not: a message relays facts about third peers, so a member can say anything about anybody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable, Serializable};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::ids::NodeId;
use crate::transport::endpoint::{Endpoint, IncomingStream};
use crate::transport::stream::Stream;
use crate::wire::message::{GossipPacket, StreamKind};

/// Packets waiting for one address. A late digest is worth little: two rounds of three packets.
const LANE_PACKETS_MAX: usize = 6;
/// Packets received and not yet processed, of all peers.
const INBOUND_PACKETS_MAX: usize = 256;
/// Addresses with a task of their own; more are dropped until an idle one ends.
const LANES_MAX: usize = 1_024;
/// Streams read per peer. One is usual; a peer that reaches this one by two addresses has two.
const READERS_PER_PEER_MAX: usize = 4;
/// A lane without a packet for this long ends with its stream.
const LANE_IDLE: Duration = Duration::from_secs(60);
/// Longest wait for the link to take one packet.
const SEND_WITHIN: Duration = Duration::from_secs(2);
/// How long a packet that asks for an answer may stay without one before the stream is opened anew. A peer that was killed
/// and came back under its address is reached only by a new connection, and QUIC notices the old one's end after 15 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// First and longest pause after a stream could not be opened.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The library's transport over our endpoint. Clones share queues and tasks.
#[derive(Clone)]
pub struct Carrier {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    own: SocketAddr,
    lanes: Mutex<HashMap<SocketAddr, Lane>>,
    readers: Mutex<HashMap<NodeId, Vec<CancellationToken>>>,
    inbound: mpsc::Sender<(SocketAddr, ChitchatMessage)>,
    received: tokio::sync::Mutex<mpsc::Receiver<(SocketAddr, ChitchatMessage)>>,
    started: Instant,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// The way to one address.
struct Lane {
    queue: mpsc::Sender<Packet>,
    /// Milliseconds since the carrier started at which something came from there.
    heard_ms: Arc<AtomicU64>,
}

struct Packet {
    bytes: Vec<u8>,
    asks: bool,
}

impl Carrier {
    /// Returns a carrier over `endpoint` whose tasks end with `cancel`.
    #[must_use]
    pub fn new(endpoint: Endpoint, cancel: CancellationToken) -> Self {
        let (inbound, received) = mpsc::channel(INBOUND_PACKETS_MAX);
        let own = endpoint.advertise_addr();
        let shared = Shared {
            endpoint,
            own,
            lanes: Mutex::default(),
            readers: Mutex::default(),
            inbound,
            received: tokio::sync::Mutex::new(received),
            started: Instant::now(),
            cancel,
            tasks: TaskTracker::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Reads a stream that another peer opened, until it ends or the carrier does.
    pub fn feed(&self, incoming: IncomingStream) {
        if incoming.peer == *self.shared.endpoint.node_id() {
            return;
        }
        let token = self.shared.cancel.child_token();
        self.shared.admit(incoming.peer.clone(), token.clone());
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            let _ended = token.clone().drop_guard();
            tokio::select! {
                () = token.cancelled() => {}
                () = shared.read(incoming.stream) => {}
            }
        });
    }

    /// Waits until all tasks have ended; call it after the cancel.
    pub async fn ended(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, HashMap<SocketAddr, Lane>> {
        self.lanes.lock().expect("no code panics while it holds the lanes")
    }

    /// Keeps the token of a new reader; the oldest of too many ends.
    fn admit(&self, peer: NodeId, token: CancellationToken) {
        let mut readers = self.readers.lock().expect("no code panics while it holds the readers");
        readers.retain(|_, tokens| {
            tokens.retain(|token| !token.is_cancelled());
            !tokens.is_empty()
        });
        let tokens = readers.entry(peer).or_default();
        if tokens.len() == READERS_PER_PEER_MAX {
            tokens.remove(0).cancel();
        }
        tokens.push(token);
    }

    async fn read(&self, mut stream: Stream) {
        loop {
            let packet: GossipPacket = match stream.recv().await {
                Ok(packet) => packet,
                Err(error) => {
                    tracing::debug!(%error, peer = %stream.peer(), "gossip stream ended");
                    return;
                }
            };
            let message = ChitchatMessage::deserialize(&mut packet.bytes.as_slice());
            let (Ok(from), Ok(message)) = (packet.from.parse(), message) else {
                tracing::warn!(peer = %stream.peer(), address = packet.from, "gossip packet not understood, stream closed");
                return;
            };
            if let Some(lane) = self.lanes().get(&from) {
                lane.heard_ms.store(self.now_ms(), Ordering::Relaxed);
            }
            // Waits while gossip is behind: QUIC then slows the sender down, whose lane drops.
            if self.inbound.send((from, message)).await.is_err() {
                return;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Queues a packet, or drops it when the peer is behind.
    fn send(self: &Arc<Self>, to: SocketAddr, packet: Packet) {
        if to == self.own {
            return;
        }
        let mut lanes = self.lanes();
        if !lanes.contains_key(&to) {
            if lanes.len() >= LANES_MAX || self.cancel.is_cancelled() {
                return;
            }
            lanes.insert(to, self.open_lane(to));
        }
        if lanes[&to].queue.try_send(packet).is_err() {
            tracing::debug!(address = %to, "gossip packet dropped");
        }
    }

    fn open_lane(self: &Arc<Self>, to: SocketAddr) -> Lane {
        let (queue, packets) = mpsc::channel(LANE_PACKETS_MAX);
        let heard_ms = Arc::new(AtomicU64::new(0));
        let run = LaneRun {
            shared: Arc::clone(self),
            to,
            packets,
            heard_ms: Arc::clone(&heard_ms),
        };
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = run.run() => {}
            }
        });
        Lane { queue, heard_ms }
    }
}

/// The task of one lane.
struct LaneRun {
    shared: Arc<Shared>,
    to: SocketAddr,
    packets: mpsc::Receiver<Packet>,
    heard_ms: Arc<AtomicU64>,
}

/// Why a stream is no longer used.
enum StreamEnd {
    Idle,
    Lost,
}

impl LaneRun {
    async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            let Some(packet) = self.next().await else { return };
            let opened = self.shared.endpoint.open(self.to, StreamKind::Gossip).await;
            match opened {
                Ok(stream) => {
                    let opened_ms = self.shared.now_ms();
                    if let StreamEnd::Idle = self.pump(stream, packet).await {
                        return;
                    }
                    if self.heard_ms.load(Ordering::Relaxed) > opened_ms {
                        pause = PAUSE_MIN;
                    }
                }
                Err(error) => tracing::debug!(%error, address = %self.to, "gossip stream not opened"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            while self.packets.try_recv().is_ok() {} // digests of before the pause
        }
    }

    /// Sends packets until the stream fails, stays unanswered or idle.
    async fn pump(&mut self, mut stream: Stream, mut packet: Packet) -> StreamEnd {
        let mut asked_ms = None;
        loop {
            let now_ms = self.shared.now_ms();
            let heard_ms = self.heard_ms.load(Ordering::Relaxed);
            asked_ms = asked_ms.filter(|asked| heard_ms < *asked);
            if packet.asks {
                let waited_ms = now_ms - *asked_ms.get_or_insert(now_ms);
                if u128::from(waited_ms) > ANSWER_WITHIN.as_millis() {
                    return StreamEnd::Lost;
                }
            }
            let message = GossipPacket {
                bytes: packet.bytes,
                from: self.shared.own.to_string(),
            };
            match timeout(SEND_WITHIN, stream.send(&message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return StreamEnd::Lost,
            }
            packet = match self.next().await {
                Some(packet) => packet,
                None => return StreamEnd::Idle,
            };
        }
    }

    /// Returns the next packet; None when the lane was idle and is closed.
    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = timeout(LANE_IDLE, self.packets.recv()).await {
                return packet;
            }
            let mut lanes = self.shared.lanes();
            if self.packets.is_empty() {
                lanes.remove(&self.to);
                return None;
            }
        }
    }
}

/// One run of the library: it takes packets while it lives, and leaves the queue to the next run.
struct CarrierSocket {
    shared: Arc<Shared>,
}

// The library declares these with `async_trait`; written out, so that no macro crate is needed for three methods.
impl Transport for Carrier {
    fn open<'a, 'f>(&'a self, _listen: SocketAddr) -> BoxFuture<'f, anyhow::Result<Box<dyn Socket>>>
    where
        'a: 'f,
        Self: 'f,
    {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(Box::new(CarrierSocket { shared }) as Box<dyn Socket>) })
    }
}

impl Socket for CarrierSocket {
    fn send<'a, 'f>(&'a mut self, to: SocketAddr, message: ChitchatMessage) -> BoxFuture<'f, anyhow::Result<()>>
    where
        'a: 'f,
        Self: 'f,
    {
        let asks = matches!(message, ChitchatMessage::Syn { .. } | ChitchatMessage::SynAck { .. });
        let bytes = message.serialize_to_vec();
        self.shared.send(to, Packet { bytes, asks });
        Box::pin(async { Ok(()) })
    }

    /// Cancel-safe: waiting for the lock and for the queue both are.
    fn recv<'a, 'f>(&'a mut self) -> BoxFuture<'f, anyhow::Result<(SocketAddr, ChitchatMessage)>>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(async {
            let received = self.shared.received.lock().await.recv().await;
            received.ok_or_else(|| anyhow::anyhow!("the carrier is closed"))
        })
    }
}
