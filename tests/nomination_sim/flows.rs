//! The sink flows: acquire, send, wait for the answer; and the packets between them and the target.

use std::rc::Rc;

use peer::core::disposition::Disposition;
use peer::core::ids::Epoch;
use peer::core::job_record::Claim;
use peer::core::nomination::Event;

use crate::target::{Law, Outcome, Session};
use crate::world::World;

/// An owner waits so long for the answer to a commit.
const ANSWER_MS: u64 = 3000;
/// Longest effect of what was wrong before everything worked.
const CAUSE_MS: u64 = 10_000;
/// Two that are due together may both take a free sink: a search, an acquire and gossip of the claim lie between.
const RACE_MS: u64 = 2000;

/// The sink flow at one peer.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    Acquiring { at: u64, above: Epoch },
    Ready { session: Session },
    Waiting { session: Session, packet: u64, until: u64 },
}

impl Flow {
    fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Acquiring { .. } => None,
            Self::Ready { session } | Self::Waiting { session, .. } => Some(session.epoch),
        }
    }
}

/// A commit on its way to the target, then its answer.
pub struct Packet {
    id: u64,
    at: u64,
    from: usize,
    session: Session,
    answer: Option<Outcome>,
}

impl World {
    pub fn end_flow(&mut self, at: usize, disposition: Disposition, text: &str) {
        self.note(|| format!("p{at}: flow ended, {text}"));
        self.peers[at].flow = None;
        self.feed(at, Event::TaskEnded(disposition, text.into()));
    }

    pub fn flow(&mut self, at: usize) {
        match self.peers[at].flow {
            Some(Flow::Acquiring { at: when, above }) if self.now >= when => self.acquire(at, above),
            Some(Flow::Ready { .. } | Flow::Waiting { .. }) if !self.peers[at].reaches_target => {
                self.end_flow(at, Disposition::Retry, "connection lost");
            }
            // Its flow is there, and nothing comes of it.
            Some(Flow::Ready { session }) if self.law == Law::Flighty && session.seq.0 > 250 => {}
            Some(Flow::Ready { session }) => self.send(at, session),
            Some(Flow::Waiting { session, packet, until }) => self.await_answer(at, session, packet, until),
            Some(Flow::Acquiring { .. }) | None => {}
        }
    }

    fn acquire(&mut self, at: usize, above: Epoch) {
        if !self.peers[at].reaches_target {
            self.peers[at].flow = None;
            return self.feed(at, Event::AcquireLost(Disposition::Retry, "target not reachable".into()));
        }
        self.judge_move(at);
        let id = self.peers[at].id.clone();
        let (session, judged) = self.target.acquire(at, &id, above);
        self.note(|| format!("p{at} acquired {} above {above}, progress at {}", session.epoch, session.seq));
        self.judge(judged);
        self.acquired += 1;
        self.acquired_at = self.now;
        self.peers[at].has_owned = true;
        self.peers[at].flow = Some(Flow::Ready { session });
        self.feed(at, Event::AcquireWon(session.epoch));
        let claim = Claim {
            epoch: session.epoch,
            owner: id,
            ..Claim::default()
        };
        self.learn(at, Rc::new(claim));
    }

    /// N3: nobody takes the sink from an owner that works, once what was wrong is over.
    fn judge_move(&mut self, to: usize) {
        let is_over = self.healed_at.is_some_and(|at| self.now > at + CAUSE_MS) && self.now > self.acquired_at + RACE_MS;
        let Some(owner) = self.owners().first().copied().filter(|owner| *owner != to && is_over) else {
            return;
        };
        let claim = self.peers[to].claim.as_ref().filter(|claim| claim.owner == self.peers[to].id);
        let epoch = self.peers[owner].flow.and_then(Flow::epoch);
        if self.target.failovers > 0 && claim.is_some_and(|claim| Some(claim.epoch) == epoch) {
            self.taken_back += 1;
            return self.must("N3", self.taken_back == 1, || format!("p{to} took the sink back again"));
        }
        self.must("N3", false, || format!("p{to} took the sink from p{owner}, which works"));
    }

    /// N2 again: whoever knows of a hold commits nothing more.
    fn send(&mut self, at: usize, session: Session) {
        let runs = self.peers[at].wish.runs;
        self.must("N2", runs, || format!("p{at} goes on with a job that it knows as held"));
        self.packet_ids += 1;
        let arrives = self.now + 20 + self.random.below(180);
        self.packets.push(Packet {
            id: self.packet_ids,
            at: arrives,
            from: at,
            session,
            answer: None,
        });
        self.peers[at].flow = Some(Flow::Waiting {
            session,
            packet: self.packet_ids,
            until: self.now + ANSWER_MS,
        });
    }

    /// Lets packets land. Those of peers that are cut off meanwhile arrive or not, and nobody can tell.
    pub fn land(&mut self) {
        let mut at = 0;
        while at < self.packets.len() {
            let packet = &self.packets[at];
            let (from, is_due) = (packet.from, packet.answer.is_none() && packet.at <= self.now);
            let is_waited_for = matches!(self.peers[from].flow, Some(Flow::Waiting { packet: id, .. }) if id == packet.id);
            if is_due && (self.peers[from].reaches_target || self.random.below(2) == 0) {
                let (outcome, judged) = self.target.commit(&self.packets[at].session, from, self.now);
                self.packets[at].answer = Some(outcome);
                self.judge(judged);
            } else if is_due || (!is_waited_for && self.packets[at].answer.is_some()) {
                self.packets.swap_remove(at);
                continue;
            }
            at += 1;
        }
    }

    fn await_answer(&mut self, at: usize, session: Session, packet: u64, until: u64) {
        let found = self
            .packets
            .iter()
            .position(|sent| sent.id == packet && sent.answer.is_some());
        let answer = found.and_then(|found| self.packets.swap_remove(found).answer);
        match answer {
            Some(Outcome::Done) => {
                self.peers[at].flow = Some(Flow::Ready {
                    session: session.after_one_more(),
                });
            }
            Some(Outcome::Superseded) => {
                self.superseded += 1;
                self.end_flow(at, Disposition::Superseded, "superseded");
            }
            Some(Outcome::Broken) => self.end_flow(at, Disposition::Retry, "another server, or a group is missing"),
            None if self.now > until => self.end_flow(at, Disposition::Retry, "no answer"),
            None => {}
        }
    }
}
