//! Whether a sink that reaches no source had better give way to a peer that does (facts/cluster 3.6 rule 7's last words).
//!
//! Used by `flow::sink_flow`, told how each try of a source ended. Only a dead path counts: a source peer that answers, with
//! whatever fault, is reached from here, and another sink would hear the same. It asks seldom, because while the sources
//! themselves are gone every answer is no.

use std::time::Duration;

use tokio::time::Instant;

use crate::flow::error::FlowError;
use crate::flow::sink_flow::BetterPlaced;

/// Tries in a row that must have failed: the first is the stream that broke, the second shows that a new one cannot be made.
const FAILURES_MIN: u32 = 2;
/// Between two questions.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// Tries in a row that ended on a dead path.
#[derive(Debug, Default)]
pub struct CutOff {
    failures: u32,
    asked_at: Option<Instant>,
}

impl CutOff {
    /// A source was left in good order, or answered.
    pub fn reached(&mut self) {
        self.failures = 0;
    }

    /// A try of a source failed.
    pub fn failed(&mut self, error: &FlowError) {
        match error {
            FlowError::Link(_) | FlowError::Silent { .. } => self.failures = self.failures.saturating_add(1),
            _ => self.reached(),
        }
    }

    /// By this peer's view nobody may run the source.
    pub fn nobody(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Err: a peer that is better placed, and the sink is its.
    pub async fn give_way(&mut self, better_placed: &BetterPlaced) -> Result<(), FlowError> {
        let is_early = self.asked_at.is_some_and(|at| at.elapsed() < ASK_EVERY);
        if self.failures < FAILURES_MIN || is_early {
            return Ok(());
        }
        self.asked_at = Some(Instant::now());
        match better_placed().await {
            Some(peer) => Err(FlowError::GivesWay { peer }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SILENT: FlowError = FlowError::Silent {
        limit: Duration::from_secs(5),
    };

    fn asked(answer: Option<&'static str>) -> (BetterPlaced, Arc<AtomicU32>) {
        let times = Arc::new(AtomicU32::new(0));
        let counted = times.clone();
        let ask: BetterPlaced = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move { answer.map(str::to_owned) })
        });
        (ask, times)
    }

    #[tokio::test(start_paused = true)]
    async fn one_broken_stream_moves_nothing_and_a_second_dead_path_does() {
        let (mut cut_off, (ask, times)) = (CutOff::default(), asked(Some("bj-1")));
        cut_off.failed(&SILENT);
        assert!(cut_off.give_way(&ask).await.is_ok());
        assert_eq!(times.load(Ordering::Relaxed), 0, "nobody was asked");
        cut_off.failed(&SILENT);
        let error = cut_off.give_way(&ask).await.unwrap_err();
        assert!(matches!(&error, FlowError::GivesWay { peer } if peer == "bj-1"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_answers_with_a_fault_is_reached() {
        let (mut cut_off, (ask, times)) = (CutOff::default(), asked(Some("bj-1")));
        for _ in 0..5 {
            cut_off.failed(&SILENT);
            cut_off.failed(&FlowError::Ended { while_: "serving" });
            assert!(cut_off.give_way(&ask).await.is_ok());
        }
        assert_eq!(times.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_is_better_placed_it_stays_and_asks_every_ten_seconds() {
        let (mut cut_off, (ask, times)) = (CutOff::default(), asked(None));
        for _ in 0..60 {
            cut_off.nobody();
            assert!(cut_off.give_way(&ask).await.is_ok());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(times.load(Ordering::Relaxed), 6);
    }
}
