//! How QUIC is set up: windows, time-outs, socket, resets. All numbers of the transport are here.
//!
//! Fed by `endpoint` with a cluster key, feeds it one quinn endpoint for both directions. The windows bound the memory a
//! slow peer can hold; they are part of the peer's memory budget.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, IdleTimeout, TokioRuntime, TransportConfig, VarInt};
use sha2::{Digest, Sha256};
use socket2::{Domain, Protocol, Socket, Type};

use crate::core::ids::NodeId;
use crate::transport::error::TransportError;
use crate::transport::key::{ClusterKey, KeyError};
use crate::transport::rate_cap::RateCap;
use crate::transport::tls;

/// Bytes in flight on one stream. 57 MB/s over a link of 60 ms (measured, November 2026); 16 MB reach 108 MB/s but four
/// such streams would take the whole default memory limit of 64 MiB.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes in flight to us on all streams of one connection: four busy jobs between two peers at full stream window.
const RECEIVE_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Bytes sent and not yet acknowledged on one connection: two full stream windows.
const SEND_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Kernel buffers of the socket. Its default of 208 KiB drops packets at 1 Gbit/s within 2 ms.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
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

const _: () = assert!(STREAM_WINDOW_BYTES <= RECEIVE_WINDOW_BYTES);
const _: () = assert!(KEEP_ALIVE.as_secs() * 3 < IDLE.as_secs());

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
pub fn bind(listen: SocketAddr, key: &ClusterKey, node_id: &NodeId, capped: Option<u64>) -> Result<Bound, TransportError> {
    let tls = tls::configs(key, node_id)?;
    let no_suite = |_| KeyError::Make {
        what: "TLS configuration",
        reason: "no QUIC cipher suite".into(),
    };
    let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls.client).map_err(no_suite)?));
    let server = QuicServerConfig::try_from(tls.server).map_err(no_suite)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
    // Streams are opened by the side that connected, so the other may open none towards it.
    client.transport_config(Arc::new(transport(0, capped)));
    server
        .transport_config(Arc::new(transport(STREAMS_MAX, capped)))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);
    let bound = |error: io::Error| TransportError::Bind {
        addr: listen,
        reason: error.to_string(),
    };
    let socket = socket(listen).map_err(bound)?;
    let config = endpoint_config(key, node_id);
    let endpoint = quinn::Endpoint::new(config, Some(server), socket, Arc::new(TokioRuntime)).map_err(bound)?;
    Ok(Bound { endpoint, client })
}

fn transport(streams_max: u32, capped: Option<u64>) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).expect("15 s fit a VarInt of milliseconds")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_concurrent_bidi_streams(VarInt::from_u32(streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None);
    if let Some(rate) = capped {
        config.congestion_controller_factory(Arc::new(RateCap { rate }));
    }
    config
}

fn socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The kernel gives at most net.core.{r,w}mem_max; less is slower, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
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
