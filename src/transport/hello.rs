//! The first exchange on every stream: who is at the other end, and whether it may be.
//!
//! `endpoint` greets on streams it opens, `accept` welcomes on streams that come in. TLS already proved that the other
//! end has the cluster's key; this checks the rest: cluster name, wire version, and that the node id is the certificate's.

use std::net::SocketAddr;

use quinn::Connection;

use crate::core::ids::NodeId;
use crate::transport::error::{CLUSTER_NAME, IDENTITY, TransportError, WIRE_VERSION};
use crate::transport::stream::Stream;
use crate::transport::tls::peer_of;
use crate::wire::message::{Hello, HelloAnswer, StreamKind};

/// What this peer says of itself.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its id.
    pub node_id: NodeId,
    /// Name of its cluster.
    pub cluster_name: String,
    /// Version of its wire format.
    pub wire_version: u32,
    /// Bytes that a connection buffers at most until they are acknowledged.
    pub send_window_max: u64,
}

/// Why a stream is not accepted: sent to the other side and logged here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `PEERnnnn`.
    pub code: &'static str,
    /// For people; it is read on both sides, so it names both values.
    pub text: String,
}

/// Opens a stream on a connection and introduces this peer.
///
/// # Errors
/// The other side's refusal, or a lost connection; nothing is left open.
pub async fn greet(connection: &Connection, local: &Local, kind: StreamKind) -> Result<Stream, TransportError> {
    let addr = connection.remote_address();
    let opened = greet_on(connection, local, kind, addr).await;
    // A server that does not trust us says so only after the client side of TLS 1.3 is done.
    match (opened, connection.close_reason()) {
        (Err(error), Some(reason)) if error.is_loss() => Err(TransportError::from_connection(addr, &reason)),
        (opened, _) => opened,
    }
}

async fn greet_on(connection: &Connection, local: &Local, kind: StreamKind, addr: SocketAddr) -> Result<Stream, TransportError> {
    let peer = peer_of(connection)?;
    let opened = connection.open_bi().await;
    let halves = opened.map_err(|error| TransportError::from_connection(addr, &error))?;
    let mut stream = Stream::new(halves, connection.clone(), local.send_window_max, peer);
    stream.set_priority(priority(kind));
    let Local {
        node_id,
        cluster_name,
        wire_version,
        send_window_max: _,
    } = local.clone();
    stream
        .send(&Hello {
            wire_version,
            cluster_name,
            node_id,
            kind,
        })
        .await?;
    match stream.recv::<HelloAnswer>().await? {
        HelloAnswer::Accepted => Ok(stream),
        HelloAnswer::Refused { code, text } => Err(TransportError::Refused { addr, code, text }),
    }
}

/// Batches leave after everything else: a late heartbeat or gossip packet looks like a dead peer.
pub(super) fn priority(kind: StreamKind) -> i32 {
    match kind {
        StreamKind::Subscribe => 0,
        StreamKind::TableSync => 1,
        StreamKind::Gossip | StreamKind::Control => 2,
    }
}

/// Whether a peer that says this, and whose certificate names `certified`, may use the stream.
///
/// # Errors
/// The reason why not.
pub fn judge(local: &Local, hello: &Hello, certified: &NodeId) -> Result<(), Refusal> {
    let (theirs, ours) = (hello.wire_version, local.wire_version);
    if theirs != ours {
        let text = format!(
            "wire version is {theirs} at peer `{}`, {ours} at peer `{}`",
            hello.node_id, local.node_id
        );
        return Err(Refusal {
            code: WIRE_VERSION,
            text,
        });
    }
    let (theirs, ours) = (&hello.cluster_name, &local.cluster_name);
    if theirs != ours {
        let text = format!(
            "cluster name is `{theirs}` at peer `{}`, `{ours}` at peer `{}`",
            hello.node_id, local.node_id
        );
        return Err(Refusal {
            code: CLUSTER_NAME,
            text,
        });
    }
    if hello.node_id != *certified {
        let text = format!("node id is `{}`, its certificate says `{certified}`", hello.node_id);
        return Err(Refusal { code: IDENTITY, text });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Local {
        Local {
            node_id: NodeId("here".into()),
            cluster_name: "prod".into(),
            wire_version: 1,
            send_window_max: 1 << 20,
        }
    }

    fn hello() -> Hello {
        Hello {
            wire_version: 1,
            cluster_name: "prod".into(),
            node_id: NodeId("there".into()),
            kind: StreamKind::Control,
        }
    }

    fn refused(hello: &Hello) -> Refusal {
        judge(&local(), hello, &NodeId("there".into())).expect_err("refused")
    }

    #[test]
    fn a_peer_of_this_cluster_is_welcome() {
        assert_eq!(judge(&local(), &hello(), &NodeId("there".into())), Ok(()));
    }

    #[test]
    fn another_cluster_version_or_identity_is_refused_with_both_values() {
        let name = refused(&Hello {
            cluster_name: "test".into(),
            ..hello()
        });
        assert_eq!(name.code, CLUSTER_NAME);
        assert!(name.text.contains("`test`") && name.text.contains("`prod`"), "{}", name.text);
        let version = refused(&Hello {
            wire_version: 2,
            ..hello()
        });
        assert_eq!(version.code, WIRE_VERSION);
        assert!(
            version.text.contains("is 2 at") && version.text.contains("1 at"),
            "{}",
            version.text
        );
        assert_eq!(
            refused(&Hello {
                node_id: NodeId("else".into()),
                ..hello()
            })
            .code,
            IDENTITY
        );
    }

    #[test]
    fn the_version_is_looked_at_first() {
        let all_wrong = Hello {
            wire_version: 2,
            cluster_name: "test".into(),
            ..hello()
        };
        assert_eq!(refused(&all_wrong).code, WIRE_VERSION);
    }
}
