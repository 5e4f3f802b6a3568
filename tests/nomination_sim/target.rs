//! The target: the fence model, the rows it let in, the packets on their way to it, and what it loses when it fails over.
//!
//! Checks what the fence promises whenever something lands. A `Law` other than `Honest` breaks one rule on purpose.

use std::collections::{BTreeMap, VecDeque};

use peer::core::fence_model::{CommitError, FenceModel};
use peer::core::ids::{Epoch, NodeId, Seq};

/// Transactions a replica may lag behind: what a failover can lose.
const LOSS_MAX: usize = 30;

/// Whose rules hold. Every one but the first must be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Everything as built.
    Honest,
    /// A commit does not look at the fence.
    NoFence,
    /// A new owner does not read the progress: it goes on from where it was itself.
    OwnProgress,
    /// A connection that comes back on another server goes on as if nothing had happened.
    BlindReconnect,
    /// An acquire does not reach above the claims its peer has seen.
    ForgetfulAcquire,
    /// Owners count as gone at once and are not looked for.
    NoProtection,
    /// Nomination does not hear of holds.
    DeafToHolds,
    /// Nomination does not hear that its own peer drains.
    DeafToDrain,
    /// Nomination does not hear of announced restarts.
    DeafToRestarts,
    /// A flow that was told to stop says so and goes on.
    Undead,
    /// Whoever owned the sink once does not try again.
    Faint,
    /// An owner stops writing after some hundred rows and keeps the sink.
    Flighty,
}

/// A promise that did not hold.
#[derive(Clone, Debug)]
pub struct Breach {
    /// Its id, as in the header of `main`.
    pub id: &'static str,
    /// What was seen.
    pub what: String,
}

/// What an owner works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    server: u32,
    pub epoch: Epoch,
    /// Groups that are durable.
    pub seq: Seq,
}

impl Session {
    /// One group more is durable.
    pub fn after_one_more(self) -> Self {
        let seq = self.seq.next();
        Self { seq, ..self }
    }
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Superseded,
    /// The connection ended, or the predecessor was not there: begin again from acquire.
    Broken,
}

/// One source row in the target. Rows are numbered in the order of the source.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub row: u64,
    pub epoch: Epoch,
    pub writer: usize,
    pub at: u64,
}

/// The server that is the target now.
pub struct Target {
    law: Law,
    fence: FenceModel,
    server: u32,
    /// Last epoch this server issued.
    issued: Epoch,
    pub rows: Vec<Row>,
    /// States a replica may still be in: before each of the last transactions.
    replica: VecDeque<(FenceModel, Epoch, usize)>,
    writers: BTreeMap<(u32, Epoch), usize>,
    /// The last row of each peer, as it remembers it.
    own: BTreeMap<usize, Seq>,
    pub failovers: usize,
}

impl Target {
    pub fn new(law: Law) -> Self {
        Self {
            law,
            fence: FenceModel::default(),
            server: 1,
            issued: Epoch(0),
            rows: Vec::new(),
            replica: VecDeque::new(),
            writers: BTreeMap::new(),
            own: BTreeMap::new(),
            failovers: 0,
        }
    }

    fn keep_for_replica(&mut self) {
        self.replica.truncate(LOSS_MAX - 1);
        self.replica.push_front((self.fence.clone(), self.issued, self.rows.len()));
    }

    /// F4.
    pub fn acquire(&mut self, writer: usize, id: &NodeId, claims: Epoch) -> (Session, Result<(), Breach>) {
        self.keep_for_replica();
        let above = if self.law == Law::ForgetfulAcquire { Epoch(0) } else { claims };
        let held = self.fence.acquire(id, above);
        let is_above = held.epoch > self.issued && held.epoch > claims;
        let what = format!("{} after {} was issued and {claims} was claimed", held.epoch, self.issued);
        self.issued = held.epoch;
        let own = self.own.get(&writer).copied().filter(|_| self.law == Law::OwnProgress);
        let session = Session {
            server: self.server,
            epoch: held.epoch,
            seq: own.unwrap_or(held.seq),
        };
        (session, is_above.then_some(()).ok_or(Breach { id: "F4", what }))
    }

    /// True while nobody acquired after this session.
    pub fn is_held_by(&self, session: &Session) -> bool {
        session.server == self.server && self.fence.check(session.epoch)
    }

    /// A commit packet arrives.
    pub fn commit(&mut self, session: &Session, writer: usize, now: u64) -> (Outcome, Result<(), Breach>) {
        let is_blind = self.law == Law::BlindReconnect;
        if session.server != self.server && !is_blind {
            return (Outcome::Broken, Ok(()));
        }
        let row = session.seq.next();
        let is_unfenced = is_blind || self.law == Law::NoFence;
        let epoch = if is_unfenced { self.issued } else { session.epoch };
        // Where a rule is broken, whatever comes is taken for the next group.
        let has_order = !is_unfenced && self.law != Law::OwnProgress;
        let group = if has_order { row } else { Seq(self.rows.len() as u64 + 1) };
        self.keep_for_replica();
        match self.fence.commit(epoch, group) {
            Ok(()) => {}
            Err(error) => {
                self.replica.pop_front();
                let outcome = match error {
                    CommitError::Superseded { .. } => Outcome::Superseded,
                    CommitError::WrongPredecessor { .. } => Outcome::Broken,
                };
                return (outcome, Ok(()));
            }
        }
        let landed = Row {
            row: row.0,
            epoch: session.epoch,
            writer,
            at: now,
        };
        let judged = self.judge(&landed);
        self.own.insert(writer, row);
        self.rows.push(landed);
        (Outcome::Done, judged)
    }

    /// F1, F2, F3, R1.
    fn judge(&mut self, landed: &Row) -> Result<(), Breach> {
        let breach = |id, what| Err(Breach { id, what });
        let Row { row, epoch, writer, .. } = *landed;
        let first = *self.writers.entry((self.server, epoch)).or_insert(writer);
        if first != writer {
            return breach("F1", format!("p{first} and p{writer} both wrote under {epoch}"));
        }
        if epoch != self.issued {
            return breach(
                "F3",
                format!("p{writer} wrote under {epoch} after {} was issued", self.issued),
            );
        }
        if let Some(last) = self.rows.last().filter(|last| last.epoch > epoch) {
            return breach("F2", format!("a row of {epoch} stands behind one of {}", last.epoch));
        }
        let expected = self.rows.last().map_or(1, |last| last.row + 1);
        if row != expected {
            return breach("R1", format!("p{writer} wrote row {row} where {expected} belongs"));
        }
        Ok(())
    }

    /// A replica takes over that has not got the last `lost` transactions: fence, progress and rows go back together.
    pub fn fail_over(&mut self, lost: usize) {
        self.failovers += 1;
        self.server += 1;
        let Some((fence, issued, rows)) = self.replica.drain(..lost.min(self.replica.len())).next_back() else {
            return;
        };
        (self.fence, self.issued) = (fence, issued);
        self.rows.truncate(rows);
    }

    /// Most transactions a failover could lose now.
    pub fn lag_max(&self) -> usize {
        self.replica.len()
    }
}
