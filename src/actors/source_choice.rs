//! How a sink finds the peer that shall run its source task: the ranking of placement over the roster of the moment.
//!
//! Given to the sink flow as functions; the sink's owner decides alone, nobody is asked.

use std::sync::Arc;

use tokio::sync::watch;

use crate::core::ids::NodeId;
use crate::core::job_spec::JobSpec;
use crate::core::member::{Roster, find};
use crate::core::placement::{Circumstances, Outcome, Task, rank_with};
use crate::flow::sink_flow::{ChooseSource, LeaveSource, SourcePeer};

/// Returns the choice for one job as its text is at that moment: best eligible peer, the avoided ones last.
#[must_use]
pub fn source_chooser(spec: watch::Receiver<Arc<JobSpec>>, roster: watch::Receiver<Arc<Roster>>) -> ChooseSource {
    Arc::new(move |avoid: &[NodeId]| {
        let (spec, roster) = (spec.borrow().clone(), roster.borrow().clone());
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

/// Returns the watch over a chosen source: it completes when that peer drains, or by its attributes may no longer run it,
/// and `choose` knows another one. Such a peer is never chosen, so whoever is chosen then is another one; without one the
/// source stays where it is.
#[must_use]
pub fn source_leaver(
    choose: ChooseSource,
    spec: watch::Receiver<Arc<JobSpec>>,
    roster: watch::Receiver<Arc<Roster>>,
) -> LeaveSource {
    Arc::new(move |source: NodeId| {
        let (choose, mut spec, mut roster) = (choose.clone(), spec.clone(), roster.clone());
        Box::pin(async move {
            loop {
                let had_better_go = had_better_go(&spec.borrow_and_update(), &roster.borrow_and_update(), &source);
                if had_better_go && choose(&[]).is_ok() {
                    return;
                }
                let changed = tokio::select! {
                    changed = roster.changed() => changed,
                    changed = spec.changed() => changed,
                };
                if changed.is_err() {
                    // Gossip or the sink task has ended.
                    return std::future::pending().await;
                }
            }
        })
    })
}

fn had_better_go(spec: &JobSpec, roster: &Roster, source: &NodeId) -> bool {
    let now = Circumstances {
        running: Some(source),
        other: roster.iter().find(|member| member.is_self),
        ..Circumstances::default()
    };
    let verdicts = rank_with(spec, Task::Source, roster, now).verdicts;
    let mut own = verdicts.iter().filter(|verdict| verdict.peer == *source);
    own.any(|verdict| matches!(verdict.verdict, Outcome::Draining | Outcome::Excluded))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures_util::FutureExt;

    use super::*;
    use crate::core::member::Member;
    use crate::core::placement::tests::{member, spec};

    fn text(datacenters: &[&str]) -> Arc<JobSpec> {
        let datacenters = datacenters.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(JobSpec {
            datacenters,
            ..spec("orders")
        })
    }

    fn roster(is_draining: bool) -> Arc<Roster> {
        Arc::new(vec![Member {
            is_draining,
            ..member("a", "shanghai")
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
        let (_text, known) = watch::channel(text(&[]));
        let mut leaves = source_leaver(choose(true), known, seen)(NodeId("id-a".into()));
        assert_eq!((&mut leaves).now_or_never(), None, "it works and may stay");
        told.send_replace(roster(true));
        assert_eq!(leaves.now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn a_source_stays_on_a_draining_peer_when_nobody_else_may_have_it() {
        let (_told, seen) = watch::channel(roster(true));
        let (_text, known) = watch::channel(text(&[]));
        assert_eq!(
            source_leaver(choose(false), known, seen)(NodeId("id-a".into())).now_or_never(),
            None
        );
    }

    #[tokio::test]
    async fn a_source_leaves_a_peer_that_an_edit_of_the_job_excludes_and_no_other() {
        let (_told, seen) = watch::channel(roster(false));
        let (edits, known) = watch::channel(text(&["shanghai"]));
        let mut leaves = source_leaver(choose(true), known, seen)(NodeId("id-a".into()));
        assert_eq!((&mut leaves).now_or_never(), None);
        edits.send_replace(text(&["shanghai", "beijing"]));
        assert_eq!((&mut leaves).now_or_never(), None, "it may still run there");
        edits.send_replace(text(&["beijing"]));
        assert_eq!(leaves.now_or_never(), Some(()));
    }
}
