//! Which sources to avoid for now, and how long to wait before the next is tried.
//!
//! Used by `flow::sink_flow`, told of each failure. A peer is avoided after three failures within a minute, or at once when
//! it said that another peer may do better; it is asked all the same when there is no other.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::disposition::Disposition;
use crate::core::ids::NodeId;
use crate::flow::sink_flow::{ChooseSource, SourcePeer};

/// How long failures count.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Failures within that time after which a peer is avoided.
const FAILURES_MAX: usize = 3;
/// First pause before a peer that failed is asked again; doubles with each of its failures.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A source that served this long was a good one: the pause starts anew.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Failures of the last minute; bounded by the shortest pause.
#[derive(Debug, Default)]
pub struct SourceChoice {
    failures: Vec<Failure>,
    chosen_at: Option<Instant>,
}

#[derive(Debug)]
struct Failure {
    node: NodeId,
    at: Instant,
    is_replace: bool,
    pause: Duration,
}

impl SourceChoice {
    /// The next source; Err: why there is none.
    pub fn choose(&mut self, choose: &ChooseSource) -> Result<SourcePeer, String> {
        self.chosen_at = Some(Instant::now());
        let avoid = self.avoided();
        choose(&avoid).or_else(|reason| if avoid.is_empty() { Err(reason) } else { choose(&[]) })
    }

    /// The source failed.
    pub fn failed(&mut self, node: &NodeId, disposition: Disposition) {
        let is_good = self.chosen_at.is_some_and(|at| at.elapsed() >= GOOD_AFTER);
        let pause = match self.last_failure(node) {
            Some(last) if !is_good => (last.pause * 2).min(PAUSE_MAX),
            _ => PAUSE_MIN,
        };
        self.failures.push(Failure {
            node: node.clone(),
            at: Instant::now(),
            is_replace: disposition == Disposition::Replace,
            pause,
        });
    }

    /// How long to wait before this one is asked: only one that failed itself is given time, another may serve at once.
    #[must_use]
    pub fn pause(&self, node: &NodeId) -> Duration {
        self.last_failure(node)
            .map_or(Duration::ZERO, |last| last.pause.saturating_sub(last.at.elapsed()))
    }

    fn last_failure(&self, node: &NodeId) -> Option<&Failure> {
        self.failures.iter().rfind(|failure| failure.node == *node)
    }

    fn avoided(&mut self) -> Vec<NodeId> {
        self.failures.retain(|failure| failure.at.elapsed() < REMEMBERED);
        let mut nodes: Vec<NodeId> = self.failures.iter().map(|failure| failure.node.clone()).collect();
        nodes.sort();
        nodes.dedup();
        nodes.retain(|node| {
            let mut of_node = self.failures.iter().filter(|failure| failure.node == *node);
            of_node.clone().count() >= FAILURES_MAX || of_node.any(|failure| failure.is_replace)
        });
        nodes
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;

    /// Chooses the first of `names` that is not to be avoided.
    fn first_of(names: &'static [&'static str]) -> ChooseSource {
        Arc::new(move |avoid| {
            let id = names
                .iter()
                .map(|name| NodeId((*name).into()))
                .find(|id| !avoid.contains(id))
                .ok_or("nobody")?;
            Ok(SourcePeer {
                name: id.0.clone(),
                id,
                addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            })
        })
    }

    fn name(peer: Result<SourcePeer, String>) -> Option<String> {
        peer.ok().map(|peer| peer.name)
    }

    fn node(name: &str) -> NodeId {
        NodeId(name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_avoided_after_three_failures_in_a_minute() {
        let (mut choice, choose) = (SourceChoice::default(), first_of(&["a", "b"]));
        for _ in 0..3 {
            assert_eq!(name(choice.choose(&choose)).as_deref(), Some("a"));
            choice.failed(&node("a"), Disposition::Retry);
        }
        assert_eq!(name(choice.choose(&choose)).as_deref(), Some("b"));
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(name(choice.choose(&choose)).as_deref(), Some("a"), "forgiven");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_cannot_is_avoided_at_once_unless_it_is_the_only_one() {
        let mut choice = SourceChoice::default();
        choice.failed(&node("a"), Disposition::Replace);
        assert_eq!(name(choice.choose(&first_of(&["a", "b"]))).as_deref(), Some("b"));
        assert_eq!(name(choice.choose(&first_of(&["a"]))).as_deref(), Some("a"));
        assert_eq!(choice.choose(&first_of(&[])), Err("nobody".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_up_to_its_limit_and_starts_anew_after_a_good_source() {
        let (mut choice, choose) = (SourceChoice::default(), first_of(&["a"]));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            choice.choose(&choose).unwrap();
            choice.failed(&node("a"), Disposition::Retry);
            pauses.push(choice.pause(&node("a")).as_millis());
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 5000, 5000]);
        tokio::time::advance(PAUSE_MAX).await;
        assert_eq!(choice.pause(&node("a")), Duration::ZERO);
        choice.choose(&choose).unwrap();
        tokio::time::advance(GOOD_AFTER).await;
        choice.failed(&node("a"), Disposition::Retry);
        assert_eq!(choice.pause(&node("a")), PAUSE_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn the_successor_of_a_failed_source_is_asked_at_once_however_many_failed_before() {
        let mut choice = SourceChoice::default();
        for _ in 0..5 {
            choice.failed(&node("a"), Disposition::Retry);
        }
        assert_eq!(
            (choice.pause(&node("a")), choice.pause(&node("b"))),
            (PAUSE_MAX, Duration::ZERO)
        );
    }
}
