//! What this peer itself writes into the job table and nobody waits for: claims, moves, and the holds of failed jobs.
//!
//! Noted by `tasks` and `placement` through the `job_table` actor, taken by the table's keeper before each order. Nothing
//! noted is lost while the process lives: a full queue before the disk does not matter, and what the disk refuses is put
//! back. Bounded: per job the newest claim, the last failure, and as many moves as its record keeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::ids::JobName;
use crate::core::job_failure::{Cause, Move, merge_moves};
use crate::core::job_merge::claim_order;
use crate::core::job_record::Claim;

/// One thing to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Errand {
    /// This peer won the fence, chose a source, took up a new text or released.
    Claim(Box<Claim>),
    /// This peer gave the sink up for others.
    Moved(Box<Move>),
    /// The job failed on this peer and waits for a person.
    Failed {
        /// The error, in words.
        reason: String,
        /// What failed and how.
        cause: Box<Cause>,
        /// This peer's name.
        author: String,
        /// Wall clock for people, RFC 3339 UTC.
        at: String,
    },
}

/// What is noted for one job.
#[derive(Debug, Default)]
struct Noted {
    claim: Option<Box<Claim>>,
    moves: Vec<Move>,
    failure: Option<Errand>,
}

/// The notes; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Errands(Arc<Mutex<BTreeMap<JobName, Noted>>>);

impl Errands {
    /// Notes what is to be written; an older claim or failure goes.
    pub fn note(&self, job: JobName, errand: Errand) {
        let mut all = self.lock();
        let noted = all.entry(job).or_default();
        match errand {
            Errand::Claim(claim) => {
                let known = noted.claim.take().filter(|known| claim_order(known, &claim).is_gt());
                noted.claim = known.or(Some(claim));
            }
            Errand::Moved(made) => noted.moves = merge_moves(&noted.moves, &[*made]),
            Errand::Failed { .. } => noted.failure = Some(errand),
        }
    }

    /// Notes again what could not be written, unless something newer of its kind came meanwhile.
    pub fn put_back(&self, job: JobName, errand: Errand) {
        let has_failure = self.lock().get(&job).is_some_and(|noted| noted.failure.is_some());
        if !(has_failure && matches!(errand, Errand::Failed { .. })) {
            self.note(job, errand);
        }
    }

    /// Takes everything that is to be written: of each job the claim first, the failure last.
    #[must_use]
    pub fn take(&self) -> Vec<(JobName, Errand)> {
        let all = std::mem::take(&mut *self.lock());
        let of_job = |(job, noted): (JobName, Noted)| {
            let claim = noted.claim.map(Errand::Claim).into_iter();
            let moves = noted.moves.into_iter().map(|made| Errand::Moved(Box::new(made)));
            let all = claim.chain(moves).chain(noted.failure);
            all.map(|errand| (job.clone(), errand)).collect::<Vec<_>>()
        };
        all.into_iter().flat_map(of_job).collect()
    }

    /// Nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobName, Noted>> {
        // A panic while it was held leaves whole entries.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::disposition::Disposition;
    use crate::core::ids::{Epoch, NodeId};
    use crate::core::job_failure::{MOVES_MAX, RunId};
    use crate::core::job_state::ErrorReport;

    fn job(name: &str) -> JobName {
        JobName(name.into())
    }

    fn claim(epoch: u64, is_released: bool) -> Errand {
        Errand::Claim(Box::new(Claim {
            epoch: Epoch(epoch),
            is_released,
            ..Claim::default()
        }))
    }

    fn moved(at_ms: u64) -> Errand {
        Errand::Moved(Box::new(Move::new(RunId::default(), NodeId("p".into()), at_ms, "no")))
    }

    fn failed(reason: &str) -> Errand {
        let error = ErrorReport {
            at: "t".into(),
            class: Disposition::Fatal,
            code: "PEER1315".into(),
            text: reason.into(),
            fix: String::new(),
            faults: Vec::new(),
        };
        Errand::Failed {
            reason: reason.into(),
            cause: Box::new(Cause::new(RunId::default(), 1, 0, &error)),
            author: "p".into(),
            at: "t".into(),
        }
    }

    #[test]
    fn of_each_job_the_newest_claim_and_the_last_failure_are_kept() {
        let errands = Errands::default();
        for epoch in 1..1000 {
            errands.note(job("a"), claim(epoch, false));
            errands.note(job("a"), failed(&epoch.to_string()));
        }
        errands.note(job("a"), claim(999, true));
        errands.note(job("a"), claim(999, false));
        errands.note(job("b"), claim(7, false));
        let expected = [
            (job("a"), claim(999, true)),
            (job("a"), failed("999")),
            (job("b"), claim(7, false)),
        ];
        assert_eq!(errands.take(), expected);
        assert!(errands.is_empty() && errands.take().is_empty());
    }

    #[test]
    fn every_move_is_kept_as_long_as_the_record_keeps_it() {
        let errands = Errands::default();
        for at_ms in 0..100 {
            errands.note(job("a"), moved(at_ms));
        }
        errands.put_back(job("a"), moved(99));
        let taken = errands.take();
        assert_eq!((taken.len(), &taken[0]), (MOVES_MAX, &(job("a"), moved(99))));
    }

    #[test]
    fn what_is_put_back_does_not_replace_what_came_meanwhile() {
        let errands = Errands::default();
        errands.note(job("a"), failed("second"));
        errands.put_back(job("a"), failed("first"));
        errands.note(job("a"), claim(2, false));
        errands.put_back(job("a"), claim(1, true));
        assert_eq!(errands.take(), [(job("a"), claim(2, false)), (job("a"), failed("second"))]);
        errands.put_back(job("a"), failed("third"));
        assert_eq!(errands.take(), [(job("a"), failed("third"))]);
    }
}
