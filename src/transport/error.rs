//! What can go wrong between peers, with what it means for a task and what a person should do.
//!
//! Returned by everything in `transport`; `gossip` and `flow` wrap it. Codes PEER1201 to PEER1209 are about another peer,
//! PEER1211 to PEER1216 (`key`) about the key file.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::core::disposition::Disposition;
use crate::core::fault::Fault;
use crate::transport::key::KeyError;
use crate::wire::error::WireError;

/// Code of a refusal: the certificates do not come from the same `cluster.key`.
pub const KEY_MISMATCH: &str = "PEER1201";
/// Code of a refusal: another cluster's name.
pub const CLUSTER_NAME: &str = "PEER1202";
/// Code of a refusal: another wire version.
pub const WIRE_VERSION: &str = "PEER1203";
/// Code of a refusal: the node id said is not the node id in the certificate.
pub const IDENTITY: &str = "PEER1204";
/// Code: no answer in time.
pub const TIMED_OUT: &str = "PEER1205";
/// Code: a connection or stream ended early.
pub const LOST: &str = "PEER1206";
/// Code: the UDP port cannot be used.
pub const BIND: &str = "PEER1207";
/// Code: bytes that cannot be understood.
pub const BYTES: &str = "PEER1208";
/// Code: a refusal for another reason: too many connections, or a code this build does not know.
pub const REFUSED: &str = "PEER1209";

/// TLS alerts that say "your certificate is not one of ours": bad, unsupported, unknown, unknown CA, decrypt error,
/// required (RFC 8446 section 6).
const CERTIFICATE_ALERTS: [u64; 6] = [42, 43, 46, 48, 51, 116];

/// QUIC carries TLS alert n as error 0x100 + n (RFC 9001 section 4.8).
const CRYPTO_ERRORS: u64 = 0x100;

/// A failure between peers. Whatever stream it came from is of no use any more; others are not touched.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The key file cannot be used. Nothing was started.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The endpoint could not be made. Nothing was started.
    #[error("cannot listen on udp {addr}: {reason}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// Why not.
        reason: String,
    },
    /// One side does not trust the other's certificate.
    #[error("the cluster key of {addr} does not match ours")]
    KeyMismatch {
        /// The other peer.
        addr: SocketAddr,
    },
    /// The other peer, or this one for it, refused the stream.
    #[error("{addr} refused: {text}")]
    Refused {
        /// The other peer.
        addr: SocketAddr,
        /// Its reason, `PEERnnnn`.
        code: String,
        /// Its reason, for people.
        text: String,
    },
    /// The certificate is ours but carries no node id.
    #[error("the certificate of {addr} names no peer")]
    Nameless {
        /// The other peer.
        addr: SocketAddr,
    },
    /// No answer in time. The next attempt makes a new connection.
    #[error("{addr} did not answer within {after:?}")]
    TimedOut {
        /// The other peer.
        addr: SocketAddr,
        /// How long was waited.
        after: Duration,
    },
    /// The connection or stream ended.
    #[error("connection to {addr} was lost: {reason}")]
    Lost {
        /// The other peer.
        addr: SocketAddr,
        /// What ended it.
        reason: String,
    },
    /// The stream ended in good order where a message was expected.
    #[error("{addr} ended the stream, expected {expected}")]
    Ended {
        /// The other peer.
        addr: SocketAddr,
        /// The message that did not come.
        expected: &'static str,
    },
    /// Bytes that do not hold what they should, or too many to send.
    #[error("cannot exchange bytes with {addr}")]
    Wire {
        /// The other peer.
        addr: SocketAddr,
        /// What is wrong with them.
        source: WireError,
    },
    /// This endpoint is shut down.
    #[error("this peer is leaving")]
    ShutDown,
}

impl TransportError {
    /// What the failure of a connection means.
    #[must_use]
    pub fn from_connection(addr: SocketAddr, error: &quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as Cause;
        let code = match error {
            Cause::TransportError(error) => u64::from(error.code),
            Cause::ConnectionClosed(close) => u64::from(close.error_code),
            _ => 0,
        };
        if CERTIFICATE_ALERTS.iter().any(|alert| code == CRYPTO_ERRORS + alert) {
            return Self::KeyMismatch { addr };
        }
        if matches!(error, Cause::LocallyClosed) {
            return Self::ShutDown;
        }
        Self::Lost {
            addr,
            reason: error.to_string(),
        }
    }

    /// Whether a new connection may do what this one could not.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Lost { .. } | Self::Ended { .. })
    }

    /// What it means for the task that met it (DESIGN 2.3).
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Key(_) => Disposition::Fatal,
            Self::Bind { .. } | Self::KeyMismatch { .. } | Self::Refused { .. } | Self::Nameless { .. } => Disposition::Replace,
            Self::Wire { source, .. } => source.disposition(),
            Self::TimedOut { .. } | Self::Lost { .. } | Self::Ended { .. } | Self::ShutDown => Disposition::Retry,
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let peer = |addr: &SocketAddr| format!("peer {addr}");
        match self {
            Self::Key(error) => error.fault(),
            Self::Bind { addr, reason } => Fault::new(
                BIND,
                format!("listen.peer {addr}"),
                reason,
                "a free UDP port of this host",
                BIND_FIX,
            ),
            Self::KeyMismatch { addr } => Fault::new(
                KEY_MISMATCH,
                peer(addr),
                "key does not match",
                "the same cluster.key on both peers",
                KEY_FIX,
            ),
            Self::Refused { addr, code, text } => refusal(peer(addr), code, text),
            Self::Nameless { addr } => Fault::new(
                IDENTITY,
                peer(addr),
                "a certificate without a node id",
                "a certificate that the peer made itself",
                "run this build of peer there",
            ),
            Self::TimedOut { addr, after } => Fault::new(
                TIMED_OUT,
                peer(addr),
                format!("no answer within {} ms", after.as_millis()),
                "an answer",
                "check that the peer runs and that UDP passes between the two hosts",
            ),
            Self::Lost { addr, reason } => Fault::new(LOST, peer(addr), reason, "an open connection", "see the log of that peer"),
            Self::Ended { addr, expected } => Fault::new(
                LOST,
                peer(addr),
                "the end of the stream",
                *expected,
                "see the log of that peer",
            ),
            Self::Wire { addr, source } => Fault::new(
                BYTES,
                peer(addr),
                source.to_string(),
                "a frame of this build's format",
                "run the same build of peer on both hosts",
            ),
            Self::ShutDown => Fault::new(LOST, "this peer", "it is leaving", "a running peer", "start it again"),
        }
    }
}

const BIND_FIX: &str = "set listen.peer to an address of this host and a free port, or stop what uses it";
const KEY_FIX: &str = "copy cluster.key from a member to this peer and start it again";

fn refusal(object: String, code: &str, text: &str) -> Fault {
    let (code, expected, fix) = match code {
        KEY_MISMATCH => (KEY_MISMATCH, "the same cluster.key on both peers", KEY_FIX),
        CLUSTER_NAME => (
            CLUSTER_NAME,
            "the same cluster.name on both peers",
            "set cluster.name, or remove the seed",
        ),
        WIRE_VERSION => (
            WIRE_VERSION,
            "the same wire version on both peers",
            "run the same build of peer on both",
        ),
        IDENTITY => (
            IDENTITY,
            "the node id of its own certificate",
            "give each peer its own data_dir",
        ),
        _ => (REFUSED, "to be accepted", "see the log of that peer"),
    };
    Fault::new(code, object, text, expected, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 7420))
    }

    #[test]
    fn a_refusal_keeps_the_code_it_came_with() {
        let refused = |code: &str| TransportError::Refused {
            addr: addr(),
            code: code.into(),
            text: "no".into(),
        };
        for code in [KEY_MISMATCH, CLUSTER_NAME, WIRE_VERSION, IDENTITY] {
            assert_eq!(refused(code).fault().code, code);
        }
        assert_eq!(refused("PEER9999").fault().code, REFUSED);
    }

    #[test]
    fn a_lost_connection_is_tried_again_and_a_foreign_key_is_not() {
        let lost = TransportError::from_connection(addr(), &quinn::ConnectionError::Reset);
        assert!(lost.is_loss());
        assert_eq!(lost.disposition(), Disposition::Retry);
        let foreign = TransportError::KeyMismatch { addr: addr() };
        assert!(!foreign.is_loss());
        assert_eq!(foreign.disposition(), Disposition::Replace);
        assert!(foreign.fault().to_string().contains("key does not match"));
    }
}
