//! N peers with their nomination states, the gossip between them and their flows to the target, over a simulated clock.
//!
//! One seed is one run. Checks what nomination promises where its effects are run; the first breach ends the run.

use std::rc::Rc;
use std::time::Duration;

use peer::core::announced_restart::ANNOUNCED;
use peer::core::disposition::Disposition;
use peer::core::ids::{Epoch, NodeId};
use peer::core::job_record::Claim;
use peer::core::nomination::{Effect, Event, PROTECTION, Phase, State};

use crate::flows::{Flow, Packet};
use crate::random::Random;
use crate::target::{Breach, Law, Target};

pub const PEERS_MAX: usize = 5;
/// The simulated clock moves by this much.
pub const TICK_MS: u64 = 50;
const DEAD_AFTER_MS: u64 = 2500;
/// Silence on the target after which its owner counts as gone, as `actors::owner_search` has it.
const QUIET_MAX_MS: u64 = 4000;
/// Lines of the trace that are kept.
const TRACE_MAX: usize = 80;

/// What the job's record asks for; the larger version is the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    pub version: (u64, usize),
    pub runs: bool,
    pub revision: u64,
}

/// What one peer told another last.
#[derive(Clone, Copy)]
struct Heard {
    at: u64,
    boot: u32,
    leaves: bool,
    is_draining: bool,
}

pub struct Peer {
    pub id: NodeId,
    pub state: State,
    pub flow: Option<Flow>,
    pub claim: Option<Rc<Claim>>,
    pub wish: Wish,
    heard: [Option<Heard>; PEERS_MAX],
    /// What nomination was told of the roster: rank, whether the owner lives, who lives.
    told: Option<(Option<u32>, bool, bool, u32)>,
    boot: u32,
    ticked_at: u64,
    pub asleep_until: u64,
    pub down_until: u64,
    pub gossip_delay_ms: u64,
    pub is_draining: bool,
    pub reaches_target: bool,
    /// Who announced a restart while it owned the sink, and when that was heard.
    announced: Option<(usize, u64)>,
    pub has_owned: bool,
}

/// Gossip on its way.
struct Mail {
    at: u64,
    from: usize,
    to: usize,
    heard: Heard,
    claim: Option<Rc<Claim>>,
    wish: Wish,
}

pub struct World {
    pub random: Random,
    pub now: u64,
    pub peers: Vec<Peer>,
    /// Bit `to` of entry `from`: nothing arrives.
    pub cut: [u32; PEERS_MAX],
    pub target: Target,
    pub healed_at: Option<u64>,
    pub acquired: usize,
    pub acquired_at: u64,
    pub superseded: usize,
    /// Owners of one server that took the sink from an owner of the same epoch of another.
    pub taken_back: usize,
    pub breach: Option<Breach>,
    pub law: Law,
    mail: Vec<Mail>,
    pub packets: Vec<Packet>,
    pub packet_ids: u64,
    trace: Option<Vec<String>>,
}

fn fresh(id: NodeId, now: u64) -> Peer {
    let first = Wish {
        version: (1, 0),
        runs: true,
        revision: 1,
    };
    Peer {
        state: State::new(id.clone()),
        id,
        flow: None,
        claim: None,
        wish: first,
        heard: [None; PEERS_MAX],
        told: None,
        boot: 1,
        ticked_at: now,
        asleep_until: 0,
        down_until: 0,
        gossip_delay_ms: 0,
        is_draining: false,
        reaches_target: true,
        announced: None,
        has_owned: false,
    }
}

impl World {
    pub fn new(seed: u64, law: Law, is_traced: bool) -> Self {
        let count = if seed.is_multiple_of(5) { PEERS_MAX } else { 3 };
        let mut world = Self {
            random: Random(seed),
            now: 0,
            peers: (0..count).map(|at| fresh(NodeId(format!("p{at}")), 0)).collect(),
            cut: [0; PEERS_MAX],
            target: Target::new(law),
            healed_at: None,
            acquired: 0,
            acquired_at: 0,
            superseded: 0,
            taken_back: 0,
            breach: None,
            law,
            mail: Vec::new(),
            packets: Vec::new(),
            packet_ids: 0,
            trace: is_traced.then(Vec::new),
        };
        (0..count).for_each(|at| world.begin(at));
        world
    }

    /// Keeps a line for a person who plays this seed again.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>7} ms  {}", line()));
        }
    }

    /// The last lines, oldest first.
    pub fn trace(&self) -> String {
        let lines = self.trace.as_deref().unwrap_or_default();
        lines[lines.len().saturating_sub(TRACE_MAX)..].join("\n")
    }

    pub fn judge(&mut self, found: Result<(), Breach>) {
        if let Err(breach) = found {
            self.note(|| format!("{}: {}", breach.id, breach.what));
            self.breach.get_or_insert(breach);
        }
    }

    pub fn must(&mut self, id: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.judge(Err(Breach { id, what: what() }));
        }
    }

    pub fn is_up(&self, at: usize) -> bool {
        self.now >= self.peers[at].asleep_until && self.peers[at].down_until == 0
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut[from] & (1 << to) != 0
    }

    /// What a starting process hears first: the job from its disk.
    fn begin(&mut self, at: usize) {
        if let Some(claim) = self.peers[at].claim.clone() {
            self.feed(at, Event::ClaimSeen((*claim).clone()));
        }
        self.roster(at);
        self.tell_wish(at);
    }

    /// The process is gone until then; its disk stays, and what it sent is on its way.
    pub fn end_process(&mut self, at: usize, until: u64) {
        let old = &self.peers[at];
        self.peers[at] = Peer {
            claim: old.claim.clone(),
            wish: old.wish,
            is_draining: old.is_draining,
            reaches_target: old.reaches_target,
            gossip_delay_ms: old.gossip_delay_ms,
            boot: old.boot + 1,
            down_until: until,
            ..fresh(old.id.clone(), self.now)
        };
    }

    /// Tells everybody that it restarts.
    pub fn say_goodbye(&mut self, at: usize) {
        self.gossip(at, true);
    }

    /// Starts what is down and shall come back.
    pub fn revive(&mut self) {
        for at in 0..self.peers.len() {
            if self.peers[at].down_until > 0 && self.now >= self.peers[at].down_until {
                self.peers[at].down_until = 0;
                self.peers[at].ticked_at = self.now;
                self.note(|| format!("p{at} starts"));
                self.begin(at);
            }
        }
    }

    /// A person changes the job at one peer.
    pub fn wish(&mut self, at: usize, wish: Wish) {
        let version = (wish.version.0 + 1, at);
        self.note(|| format!("at p{at} the job shall run: {}, revision {}", wish.runs, wish.revision));
        self.peers[at].wish = Wish { version, ..wish };
        self.tell_wish(at);
    }

    fn tell_wish(&mut self, at: usize) {
        let Wish { runs, revision, .. } = self.peers[at].wish;
        let runs = runs || self.law == Law::DeafToHolds;
        self.feed(at, Event::JobChanged { runs, revision });
    }

    pub fn feed(&mut self, at: usize, event: Event) {
        if self.law == Law::NoProtection && matches!(event, Event::SignOfOwner { .. } | Event::HeardPeer(_)) {
            return;
        }
        let random = self.random.next();
        let effects = self.peers[at].state.advance(event, Duration::from_millis(self.now), random);
        for effect in effects {
            self.run(at, effect);
        }
    }

    fn run(&mut self, at: usize, effect: Effect) {
        if !matches!(effect, Effect::SeekOwner(_)) {
            self.note(|| format!("p{at}: {effect:?}"));
        }
        match effect {
            Effect::StartSink { above } => self.start(at, above),
            Effect::StopSink => {
                if self.law != Law::Undead {
                    self.peers[at].flow = None;
                }
                self.feed(at, Event::TaskEnded(Disposition::Retry, "cancelled".into()));
            }
            Effect::SeekOwner(id) => self.seek(at, id.as_ref()),
            Effect::ReleaseClaim => {
                let peer = &mut self.peers[at];
                if let Some(claim) = peer.claim.as_mut().filter(|claim| claim.owner == peer.id) {
                    Rc::make_mut(claim).is_released = true;
                }
            }
            Effect::PublishReason(_) => {}
            Effect::CountMove(text) => self.must("N1", false, || format!("moves are not limited here: {text}")),
            Effect::MarkFailed(text) => self.must("N1", false, || format!("nothing here is fatal: {text}")),
        }
    }

    /// N1, N2, N4, N5.
    fn start(&mut self, at: usize, above: Epoch) {
        let peer = &self.peers[at];
        let (has_flow, runs, is_draining) = (peer.flow.is_some(), peer.wish.runs, peer.is_draining);
        // In the tick in which it is heard, nomination may hear of the roster before the claim, and stops again.
        let waits = |heard_at: u64| (heard_at + 1..heard_at + ANNOUNCED.as_millis() as u64).contains(&self.now);
        let early = peer
            .announced
            .filter(|(_, heard_at)| waits(*heard_at))
            .map(|(owner, _)| owner);
        self.must("N1", !has_flow, || format!("p{at} started a second flow"));
        self.must("N2", runs, || format!("p{at} started a job that it knows as held"));
        self.must("N4", !is_draining, || format!("p{at} started a job while it drains"));
        self.must("N5", early.is_none(), || {
            format!("p{at} did not wait for p{}, who restarts", early.unwrap_or_default())
        });
        let delay = 20 + self.random.below(300);
        self.peers[at].flow = Some(Flow::Acquiring {
            at: self.now + delay,
            above,
        });
    }

    fn seek(&mut self, at: usize, owner: Option<&NodeId>) {
        let owner = self.peers.iter().position(|peer| Some(&peer.id) == owner);
        let answers = owner.is_some_and(|owner| self.is_up(owner) && !self.is_cut(at, owner) && !self.is_cut(owner, at));
        let last = self.target.rows.last().filter(|row| self.now - row.at < QUIET_MAX_MS);
        if answers || (self.peers[at].reaches_target && last.is_some_and(|row| row.writer != at)) {
            self.feed(at, Event::SignOfOwner { lasts: PROTECTION });
        }
    }

    fn owner_known(&self, at: usize) -> Option<usize> {
        let owner = &self.peers[at].claim.as_ref()?.owner;
        self.peers.iter().position(|peer| peer.id == *owner)
    }

    /// Tells nomination of the roster when it is another one.
    pub fn roster(&mut self, at: usize) {
        let (now, peer) = (self.now, &self.peers[at]);
        let known = |other: usize| peer.heard[other].filter(|_| other != at);
        let is_live = |other: usize| known(other).is_some_and(|heard| !heard.leaves && now - heard.at < DEAD_AFTER_MS);
        let takes_tasks = |other: usize| is_live(other) && known(other).is_some_and(|heard| !heard.is_draining);
        let better = (0..at).filter(|other| takes_tasks(*other)).count();
        let is_only = !(0..self.peers.len()).any(takes_tasks);
        let may = !peer.is_draining || self.law == Law::DeafToDrain;
        let live_bits: u32 = (0..self.peers.len())
            .filter(|other| is_live(*other))
            .map(|other| 1 << other)
            .sum();
        let owner = self.owner_known(at).filter(|owner| *owner != at);
        let is_owner_alive = (owner.is_some_and(is_live) || self.owner_known(at) == Some(at)) && self.law != Law::NoProtection;
        let restarts = owner.filter(|owner| known(*owner).is_some_and(|heard| heard.leaves));
        let is_released = peer.claim.as_ref().is_some_and(|claim| claim.is_released);
        if owner.is_some_and(is_live) || is_released {
            self.peers[at].announced = None;
        } else if let Some(owner) = restarts {
            self.peers[at].announced.get_or_insert((owner, now));
        }
        let rank = (may && !(self.law == Law::Faint && self.peers[at].has_owned)).then_some(better as u32);
        let told = (rank, is_only, is_owner_alive, live_bits);
        if self.peers[at].told != Some(told) {
            self.peers[at].told = Some(told);
            let live = (0..self.peers.len()).filter(|other| live_bits & (1 << other) != 0);
            let live = live.map(|other| self.peers[other].id.clone()).collect();
            self.feed(
                at,
                Event::RosterChanged {
                    rank,
                    is_only,
                    is_owner_alive,
                    live,
                },
            );
        }
        if restarts.is_some() && self.law != Law::DeafToRestarts {
            self.feed(at, Event::OwnerRestarts);
        }
    }

    /// Tells every other peer that it lives, and its claim and record.
    fn gossip(&mut self, from: usize, leaves: bool) {
        let peer = &self.peers[from];
        let heard = Heard {
            at: 0,
            boot: peer.boot,
            leaves,
            is_draining: peer.is_draining,
        };
        let (claim, wish, delay_max) = (peer.claim.clone(), peer.wish, 1 + peer.gossip_delay_ms);
        for to in 0..self.peers.len() {
            if to != from && !self.is_cut(from, to) {
                let at = self.now + self.random.below(delay_max);
                let claim = claim.clone();
                self.mail.push(Mail {
                    at,
                    from,
                    to,
                    heard,
                    claim,
                    wish,
                });
            }
        }
    }

    fn deliver(&mut self) {
        let mut at = 0;
        while at < self.mail.len() {
            if self.mail[at].at > self.now {
                at += 1;
                continue;
            }
            let mail = self.mail.swap_remove(at);
            if self.is_up(mail.to) {
                self.hear(mail);
            }
        }
    }

    fn hear(&mut self, mail: Mail) {
        let Mail { from, to, heard, .. } = mail;
        // What an older life of it told does not count any more; a goodbye is a life's last word.
        let known = self.peers[to].heard[from];
        let is_as_before = known.is_some_and(|known| {
            let is_same = (known.boot, known.leaves, known.is_draining) == (heard.boot, heard.leaves, heard.is_draining);
            is_same && self.now - known.at < DEAD_AFTER_MS
        });
        if known.map_or((0, false), |known| (known.boot, known.leaves)) <= (heard.boot, heard.leaves) {
            self.peers[to].heard[from] = Some(Heard { at: self.now, ..heard });
            if !heard.leaves {
                let id = self.peers[from].id.clone();
                self.feed(to, Event::HeardPeer(id));
            }
        }
        if let Some(claim) = mail.claim {
            self.learn(to, claim);
        }
        if self.peers[to].wish < mail.wish {
            self.peers[to].wish = mail.wish;
            self.tell_wish(to);
        }
        if !is_as_before {
            self.roster(to);
        }
    }

    pub fn learn(&mut self, at: usize, claim: Rc<Claim>) {
        let order = |claim: &Claim| (claim.epoch, claim.is_released);
        let known = self.peers[at].claim.as_ref();
        if known.is_none_or(|known| order(known) < order(&claim)) {
            if known.is_none_or(|known| known.epoch < claim.epoch) {
                self.peers[at].announced = None;
            }
            self.peers[at].claim = Some(Rc::clone(&claim));
            // The roster of a claim's owner goes first, as placement feeds it.
            self.roster(at);
            self.feed(at, Event::ClaimSeen((*claim).clone()));
        }
    }

    pub fn tick(&mut self) {
        self.now += TICK_MS;
        self.revive();
        self.land();
        self.deliver();
        for at in 0..self.peers.len() {
            if !self.is_up(at) {
                continue;
            }
            let late_ms = self.now - self.peers[at].ticked_at;
            // After a pause any event may come first: the tick, gossip or the flow.
            if late_ms > 2000 && self.random.below(2) == 0 {
                self.feed(at, Event::GossipLate { late_ms });
            }
            if late_ms >= 250 {
                self.peers[at].ticked_at = self.now;
                self.feed(at, Event::Tick);
                self.roster(at);
            }
            if self.now % 500 == (at as u64 * 100) {
                self.gossip(at, false);
            }
            self.flow(at);
        }
    }

    /// Peers that write and would not be refused.
    pub fn owners(&self) -> Vec<usize> {
        let is_owner = |at: &usize| match self.peers[*at].flow {
            Some(Flow::Ready { session } | Flow::Waiting { session, .. }) => {
                self.target.is_held_by(&session) && self.is_up(*at) && self.peers[*at].reaches_target
            }
            _ => false,
        };
        (0..self.peers.len()).filter(is_owner).collect()
    }

    /// Somebody leaves the sink to a peer that announced a restart.
    pub fn is_restart_awaited(&self) -> bool {
        self.peers.iter().any(|peer| peer.announced.is_some())
    }

    /// Where every peer stands, for people.
    pub fn phases(&self) -> Vec<Phase> {
        self.peers.iter().map(|peer| peer.state.phase()).collect()
    }
}
