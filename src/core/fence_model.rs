//! The rows `peer_meta.fence` and `peer_meta.progress` of one job as a pure state machine (PROTOCOLS 2).
//!
//! What the target does when owners acquire, commit and release. Simulations drive it in place of a database, and the SQL of
//! `mysql::target::fence` must behave like it. Each method is one atomic step of the target.

use crate::core::ids::{Epoch, NodeId, Seq};

/// The two rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FenceModel {
    epoch: Epoch,
    owner: Option<NodeId>,
    seq: Seq,
}

/// What an owner gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// Its epoch, larger than any issued before.
    pub epoch: Epoch,
    /// Where the progress stands; complete, because older owners can no longer commit.
    pub seq: Seq,
}

/// Why a group was not committed; nothing of it is in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A newer owner exists: stop quietly. The target says 1048.
    #[error("fence is at epoch {found}, expected {expected}")]
    Superseded {
        /// The epoch in the row.
        found: Epoch,
        /// The writer's.
        expected: Epoch,
    },
    /// The group before it is not there. The target says 1242.
    #[error("progress is at group {found}, expected {expected}")]
    WrongPredecessor {
        /// The number in the row.
        found: Seq,
        /// The one before the writer's group.
        expected: Seq,
    },
}

impl FenceModel {
    /// Takes the fence. `seen` is the highest epoch in any claim, so that epochs grow even when the row was rolled back.
    pub fn acquire(&mut self, owner: &NodeId, seen: Epoch) -> Acquired {
        self.epoch = Epoch(self.epoch.max(seen).0 + 1);
        self.owner = Some(owner.clone());
        Acquired {
            epoch: self.epoch,
            seq: self.seq,
        }
    }

    /// True while nobody acquired after this epoch.
    #[must_use]
    pub fn check(&self, epoch: Epoch) -> bool {
        self.epoch == epoch
    }

    /// Commits group `n` with its rows: the check of the fence, the compare-and-set of progress and COMMIT are one step.
    pub fn commit(&mut self, epoch: Epoch, n: Seq) -> Result<(), CommitError> {
        if !self.check(epoch) {
            return Err(CommitError::Superseded {
                found: self.epoch,
                expected: epoch,
            });
        }
        if self.seq.next() != n {
            return Err(CommitError::WrongPredecessor {
                found: self.seq,
                expected: Seq(n.0.saturating_sub(1)),
            });
        }
        self.seq = n;
        Ok(())
    }

    /// Gives the fence back; true when it was still held. The epoch stays, so nothing of the old owner can commit later
    /// under a new one.
    pub fn release(&mut self, epoch: Epoch) -> bool {
        let is_held = self.check(epoch) && self.owner.is_some();
        if is_held {
            self.owner = None;
        }
        is_held
    }

    /// Who holds it, if anybody.
    #[must_use]
    pub fn owner(&self) -> Option<&NodeId> {
        self.owner.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId(name.into())
    }

    #[test]
    fn a_paused_owner_writes_nothing_after_a_takeover() {
        let mut model = FenceModel::default();
        let old = model.acquire(&node("a"), Epoch(0));
        model.commit(old.epoch, Seq(1)).expect("holds the fence");
        let new = model.acquire(&node("b"), Epoch(0));
        assert_eq!(new.seq, Seq(1));
        let error = model.commit(old.epoch, Seq(2));
        assert_eq!(
            error,
            Err(CommitError::Superseded {
                found: Epoch(2),
                expected: Epoch(1)
            })
        );
        model.commit(new.epoch, Seq(2)).expect("holds the fence");
        assert!(!model.release(old.epoch));
        assert!(model.release(new.epoch));
        assert_eq!(model.owner(), None);
    }

    #[test]
    fn a_group_whose_predecessor_is_missing_is_refused() {
        let mut model = FenceModel::default();
        let owner = model.acquire(&node("a"), Epoch(0));
        let error = model.commit(owner.epoch, Seq(2));
        assert_eq!(
            error,
            Err(CommitError::WrongPredecessor {
                found: Seq(0),
                expected: Seq(1)
            })
        );
    }

    #[test]
    fn an_epoch_is_larger_than_any_claim_ever_seen() {
        assert_eq!(FenceModel::default().acquire(&node("a"), Epoch(41)).epoch, Epoch(42));
    }
}
