//! How QUIC is set up: windows, time-outs, socket, resets. All numbers of the transport are here.
//!
//! Fed by `endpoint` with its configuration, feeds it one quinn endpoint for both directions. The windows bound the memory a slow peer
//! can hold and are parts of `limits.memory`. They are ceilings: what is under way follows rate and delay of the link, by
//! `send_window` on the side that sends and by the sink's credit (`flow::receiver`), which a job's stream never exceeds.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, IdleTimeout, TokioRuntime, TransportConfig, VarInt};
use sha2::{Digest, Sha256};
use socket2::{Domain, Protocol, Socket, Type};
use tracing::info;

use crate::core::ids::NodeId;
use crate::transport::endpoint::EndpointConfig;
use crate::transport::error::TransportError;
use crate::transport::key::{ClusterKey, KeyError};
use crate::transport::rate_cap::RateCap;
use crate::transport::tls;

/// Share of `limits.memory` in flight on one stream. A window of 4 MiB carries 57 MB/s over 60 ms, 16 MiB, the share of 64 MiB, what 1 Gbit/s
/// holds, twice (measured, November 2026).
const STREAM_SHARE: u64 = 4;
/// A stream's window at least and at most: a frame, and what QUIC's numbers hold with all of a connection's streams.
const STREAM_WINDOW_BYTES: (u64, u64) = (4 << 20, 1 << 30);
/// Streams of one connection that may hold a full window before the others wait for them.
const STREAMS_STALLED: u64 = 4;
/// Kernel buffers of the socket when the link's rate is not known: 67 ms of 1 Gbit/s. The default of 208 KiB is full within 2 ms.
const SOCKET_BUFFER_BYTES: u64 = 8 << 20;
/// When it is known: what arrives while the process does not run, at most so long on a busy machine. A guess.
const STALL_MS: u64 = 100;
/// Above, the kernel holds more than a peer is given.
const SOCKET_BUFFER_BYTES_MAX: u64 = 64 << 20;
/// Silence after which a connection is dead: three lost keep-alives and some.
const IDLE: Duration = Duration::from_secs(15);
/// Silence after which a keep-alive is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// Streams one peer may hold open: one per job and direction, plus gossip and requests. `capacity` is 64 by default.
const STREAMS_MAX: u32 = 256;
/// Handshakes waiting to be looked at; each holds a few KiB.
const INCOMING_MAX: usize = 256;
/// Bytes held for one, and for all, of those.
const INCOMING_BYTES_MAX: u64 = 16 * 1024;
const INCOMING_BYTES_TOTAL_MAX: u64 = 1024 * 1024;
/// Random bytes of a connection id: two in use never meet.
const CONNECTION_ID_BYTES: usize = 8;

const _: () = assert!(STREAM_WINDOW_BYTES.1 * STREAMS_STALLED <= u32::MAX as u64 + 1);
const _: () = assert!(KEEP_ALIVE.as_secs() * 3 < IDLE.as_secs());

/// Bytes that may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// To us on one stream.
    pub stream_bytes: u64,
    /// To us on one connection.
    pub receive_bytes: u64,
    /// From us on one connection: buffered until acknowledged.
    pub send_bytes: u64,
}

impl Windows {
    /// Their ceilings under a memory limit.
    #[must_use]
    pub fn of(memory_bytes: u64) -> Self {
        let (min, max) = STREAM_WINDOW_BYTES;
        let stream_bytes = (memory_bytes / STREAM_SHARE).clamp(min, max - 1);
        Self {
            stream_bytes,
            receive_bytes: stream_bytes * STREAMS_STALLED,
            send_bytes: stream_bytes,
        }
    }
}

/// A bound endpoint and what its connections out are made with.
pub struct Bound {
    /// Accepts and connects.
    pub endpoint: quinn::Endpoint,
    /// For connections out.
    pub client: quinn::ClientConfig,
}

/// Binds one UDP port for both directions.
///
/// # Errors
/// [`TransportError::Bind`] for the port, [`TransportError::Key`] for the key or node id.
pub fn bind(config: &EndpointConfig, windows: Windows) -> Result<Bound, TransportError> {
    let EndpointConfig {
        listen, key, node_id, ..
    } = config;
    let tls = tls::configs(key, node_id)?;
    let no_suite = |_| KeyError::Make {
        what: "TLS configuration",
        reason: "no QUIC cipher suite".into(),
    };
    let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls.client).map_err(no_suite)?));
    let server = QuicServerConfig::try_from(tls.server).map_err(no_suite)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
    // Streams are opened by the side that connected, so the other may open none towards it.
    client.transport_config(Arc::new(transport(0, config.capped, windows)));
    server
        .transport_config(Arc::new(transport(STREAMS_MAX, config.capped, windows)))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);
    let bound = |error: io::Error| TransportError::Bind {
        addr: *listen,
        reason: error.to_string(),
    };
    let socket = socket(*listen, config.link_rate).map_err(bound)?;
    let endpoint =
        quinn::Endpoint::new(endpoint_config(key, node_id), Some(server), socket, Arc::new(TokioRuntime)).map_err(bound)?;
    Ok(Bound { endpoint, client })
}

fn transport(streams_max: u32, capped: Option<u64>, windows: Windows) -> TransportConfig {
    let window = |bytes| VarInt::from_u64(bytes).expect("below 4 GiB");
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).expect("15 s fit a VarInt of milliseconds")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(window(windows.stream_bytes))
        .receive_window(window(windows.receive_bytes))
        .send_window(windows.send_bytes)
        .max_concurrent_bidi_streams(VarInt::from_u32(streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None);
    if let Some(rate) = capped {
        config.congestion_controller_factory(Arc::new(RateCap { rate }));
    }
    config
}

/// Bytes a socket is given for a link of this rate; 0: not known.
fn socket_buffer_bytes(link_rate: u64) -> u64 {
    match link_rate {
        0 => SOCKET_BUFFER_BYTES,
        known => (known / 1000 * STALL_MS).clamp(SOCKET_BUFFER_BYTES, SOCKET_BUFFER_BYTES_MAX),
    }
}

fn socket(listen: SocketAddr, link_rate: u64) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The kernel gives at most net.core.{r,w}mem_max; less is slower, not wrong.
    let wanted = usize::try_from(socket_buffer_bytes(link_rate)).expect("64 MiB");
    let _ = socket.set_recv_buffer_size(wanted);
    let _ = socket.set_send_buffer_size(wanted);
    // It counts its own bookkeeping in: twice what was asked.
    let given = socket.recv_buffer_size().unwrap_or(0) / 2;
    if given < wanted {
        info!(
            bytes = given,
            reason = "net.core.rmem_max is smaller than a fast link needs",
            "the kernel gave a smaller receive buffer"
        );
    }
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

/// A peer that was killed and started again answers packets of its former life with a valid reset, so that the others
/// notice at once instead of after [`IDLE`]: the reset key is the same in every life.
fn endpoint_config(key: &ClusterKey, node_id: &NodeId) -> quinn::EndpointConfig {
    let reset_key = ResetKey(key.derive(&[b"stateless reset", node_id.0.as_bytes()]));
    let mut config = quinn::EndpointConfig::new(Arc::new(reset_key));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// Connection ids that any life of this peer recognises as possibly its own; quinn's default ids do not outlive the process.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; CONNECTION_ID_BYTES]>())
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// HMAC-SHA-256 (RFC 2104).
struct ResetKey([u8; 32]);

/// Block of SHA-256 in bytes.
const BLOCK: usize = 64;

impl ResetKey {
    fn code(&self, data: &[u8]) -> [u8; 32] {
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK];
            block.iter_mut().zip(self.0).for_each(|(byte, key)| *byte ^= key);
            Sha256::new_with_prefix(block)
        };
        let inner = keyed(0x36).chain_update(data).finalize();
        keyed(0x5c).chain_update(inner).finalize().into()
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.code(data));
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let differs = self.code(data).iter().zip(signature).fold(0, |bits, (a, b)| bits | (a ^ b));
        if differs == 0 && signature.len() == 32 {
            Ok(())
        } else {
            Err(CryptoError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_parts_of_the_memory_limit() {
        let default = Windows::of(64 << 20);
        assert_eq!((default.stream_bytes, default.receive_bytes), (16 << 20, 64 << 20));
        assert_eq!(Windows::of(16 << 20).stream_bytes, 4 << 20);
        assert!(Windows::of(u64::MAX).receive_bytes <= u64::from(u32::MAX));
    }

    #[test]
    fn a_socket_holds_what_arrives_while_the_process_does_not_run() {
        let of = |mbit: u64| socket_buffer_bytes(mbit * 125_000) >> 20;
        assert_eq!([0, 100, 1_000, 2_500, 100_000].map(of), [8, 8, 11, 29, 64]);
    }

    #[test]
    fn the_code_is_hmac_sha_256() {
        // RFC 4231, test case 2, with the key padded by zeros, which HMAC does anyway.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let code = ResetKey(key).code(b"what do ya want for nothing?");
        let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(ResetKey(key).verify(b"what do ya want for nothing?", &code).is_ok());
        assert!(ResetKey(key).verify(b"something else", &code).is_err());
    }
}
