//! Finds out whether somebody runs a job's sink before this peer takes it: asks the last owner, looks at the target.
//!
//! Gossip may be wrong about a peer that a stream still reaches, and peers that reach each other by no way at all may both
//! reach the target: its commits and beats are then the only sign. Used by `placement`.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::actors::me::Me;
use crate::core::ids::{JobId, NodeId};
use crate::core::job_spec::SinkSpec;
use crate::core::member::find;
use crate::core::nomination::{PING_TIMEOUT, PROTECTION};
use crate::mysql::target::purge::read_fence;
use crate::wire::message::{Request, Response, StreamKind};

/// Silence on the target after which its owner counts as gone: a beat comes each 2 s and is looked for each second.
const QUIET_MAX: Duration = Duration::from_secs(4);

/// Whom to look for.
pub struct Search {
    /// The job.
    pub job: JobId,
    /// The last owner; None: not known.
    pub owner: Option<NodeId>,
    /// Where it would write.
    pub sink: Option<SinkSpec>,
}

/// Calls `found` with how long the sign counts when there is one in time. Ends by itself after the time-out, earlier with `stop`.
pub fn spawn(me: Me, search: Search, stop: &CancellationToken, found: impl FnOnce(Duration) + Send + 'static) {
    let stop = stop.clone();
    // Bounded by PING_TIMEOUT; owns nothing.
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            sign = timeout(PING_TIMEOUT, any_sign(&me, &search)) => {
                if let Ok(Some(lasts)) = sign {
                    found(lasts);
                }
            }
        }
    });
}

/// The first sign, or None when both ways found none.
async fn any_sign(me: &Me, search: &Search) -> Option<Duration> {
    let (asking, looking) = (ask(me, search.owner.as_ref()), look(me, search));
    tokio::pin!(asking, looking);
    tokio::select! {
        answered = &mut asking => match answered {
            Some(lasts) => Some(lasts),
            None => looking.await,
        },
        seen = &mut looking => match seen {
            Some(lasts) => Some(lasts),
            None => asking.await,
        },
    }
}

async fn ask(me: &Me, peer: Option<&NodeId>) -> Option<Duration> {
    answers(me, peer?).await.then_some(PROTECTION)
}

/// That peer answers a ping. The caller bounds the time.
pub async fn answers(me: &Me, peer: &NodeId) -> bool {
    let pong = async {
        let roster = me.membership.roster().borrow().clone();
        let address = find(&roster, peer)?.peer_addr.parse().ok()?;
        let mut stream = me.endpoint.open(address, StreamKind::Control).await.ok()?;
        stream.send(&Request::Ping).await.ok()?;
        let answer: Response = stream.recv().await.ok()?;
        // Another process may have taken the address since.
        (answer == Response::Pong && stream.peer() == peer).then_some(())
    };
    pong.await.is_some()
}

/// Another owner of this cluster committed or beat a moment ago. One of another cluster protects nobody: who tries the fence
/// then is told whose progress it is.
async fn look(me: &Me, search: &Search) -> Option<Duration> {
    let row = read_fence(search.sink.as_ref()?, &search.job).await.ok()??;
    let is_other = row.cluster_id == me.cluster_id && row.owner.is_some_and(|owner| owner != me.node);
    QUIET_MAX.checked_sub(row.quiet?).filter(|lasts| is_other && !lasts.is_zero())
}
