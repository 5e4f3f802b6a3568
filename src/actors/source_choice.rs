//! How a sink finds the peer that shall run its source task: the ranking of placement over the roster of the moment.
//!
//! Given to the sink flow as functions; the sink's owner decides alone, nobody is asked.

use std::sync::Arc;

use tokio::sync::watch;

use crate::core::ids::NodeId;
use crate::core::job_spec::JobSpec;
use crate::core::member::{Roster, find};
use crate::core::placement::{Circumstances, Task, rank_with};
use crate::flow::sink_flow::{ChooseSource, LeaveSource, SourcePeer};

/// Returns the choice for one job: best eligible peer, the avoided ones last.
#[must_use]
pub fn source_chooser(spec: JobSpec, roster: watch::Receiver<Arc<Roster>>) -> ChooseSource {
    Arc::new(move |avoid: &[NodeId]| {
        let roster = roster.borrow().clone();
        // The sink is here: only its owner chooses.
        let now = Circumstances {
            avoid,
            other: roster.iter().find(|member| member.is_self),
            ..Circumstances::default()
        };
        let ranking = rank_with(&spec, Task::Source, &roster, now);
        let chosen = ranking.eligible.iter().find_map(|(id, _)| {
            let member = find(&roster, id)?;
            let addr = member.peer_addr.parse().ok()?;
            Some(SourcePeer {
                id: id.clone(),
                name: member.name.clone(),
                addr,
            })
        });
        chosen.ok_or_else(|| ranking.why_nobody(Task::Source))
    })
}

/// Returns the watch over a chosen source: it completes when that peer drains and `choose` knows another one. A peer that
/// drains is never chosen, so whoever is chosen then is another one; without one the source stays where it is.
#[must_use]
pub fn source_leaver(choose: ChooseSource, roster: watch::Receiver<Arc<Roster>>) -> LeaveSource {
    Arc::new(move |source: NodeId| {
        let (choose, mut roster) = (choose.clone(), roster.clone());
        Box::pin(async move {
            loop {
                let now = roster.borrow_and_update().clone();
                let is_draining = find(&now, &source).is_some_and(|member| member.is_draining);
                if is_draining && choose(&[]).is_ok() {
                    return;
                }
                if roster.changed().await.is_err() {
                    // Gossip has ended, and so does the peer.
                    return std::future::pending().await;
                }
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures_util::FutureExt;

    use super::*;
    use crate::core::member::Member;

    fn roster(is_draining: bool) -> Arc<Roster> {
        Arc::new(vec![Member {
            id: NodeId("a".into()),
            is_draining,
            ..Member::default()
        }])
    }

    fn choose(is_anybody: bool) -> ChooseSource {
        Arc::new(move |_| {
            let peer = SourcePeer {
                id: NodeId("b".into()),
                name: "b".into(),
                addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            };
            is_anybody.then_some(peer).ok_or_else(|| "nobody".into())
        })
    }

    #[tokio::test]
    async fn a_source_leaves_a_draining_peer_as_soon_as_there_is_another() {
        let (told, seen) = watch::channel(roster(false));
        let mut leaves = source_leaver(choose(true), seen)(NodeId("a".into()));
        assert_eq!((&mut leaves).now_or_never(), None, "it works and may stay");
        told.send_replace(roster(true));
        assert_eq!(leaves.now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn a_source_stays_on_a_draining_peer_when_nobody_else_may_have_it() {
        let (_told, seen) = watch::channel(roster(true));
        assert_eq!(source_leaver(choose(false), seen)(NodeId("a".into())).now_or_never(), None);
    }
}
