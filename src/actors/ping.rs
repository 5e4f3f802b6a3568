//! Asks a peer directly whether it lives, before anybody takes a task from it.
//!
//! Gossip may be wrong about a peer that a stream still reaches. Used by `placement`.

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::actors::me::Me;
use crate::core::ids::NodeId;
use crate::core::member::find;
use crate::core::nomination::PING_TIMEOUT;
use crate::wire::message::{Request, Response, StreamKind};

/// Calls `answered` when `peer` answers in time. Ends by itself after the time-out, earlier with `stop`.
pub fn spawn(me: Me, peer: NodeId, stop: &CancellationToken, answered: impl FnOnce() + Send + 'static) {
    let stop = stop.clone();
    // Bounded by PING_TIMEOUT; owns nothing.
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            answer = timeout(PING_TIMEOUT, ask(&me, &peer)) => {
                if answer == Ok(Some(())) {
                    answered();
                }
            }
        }
    });
}

async fn ask(me: &Me, peer: &NodeId) -> Option<()> {
    let roster = me.membership.roster().borrow().clone();
    let address = find(&roster, peer)?.peer_addr.parse().ok()?;
    let mut stream = me.endpoint.open(address, StreamKind::Control).await.ok()?;
    stream.send(&Request::Ping).await.ok()?;
    let answer: Response = stream.recv().await.ok()?;
    // Another process may have taken the address since.
    (answer == Response::Pong && stream.peer() == peer).then_some(())
}
