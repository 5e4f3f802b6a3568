//! When a peer tries to become the owner of one job's sink, keeps at it, or stops (PROTOCOLS 14).
//!
//! `actors::placement` keeps one `State` per job, feeds events and runs effects. Gossip decides who tries; the fence in the
//! target decides who may: a wrong view here costs a lost race, never a wrong row. Time is the caller's monotonic clock.
//!
//! Phases: Idle → Waiting → (Pinging →) Running → Idle, and Running → Stopping → Idle. Every `StartSink` is followed by exactly
//! one `TaskEnded` or `AcquireLost`; `StopSink` asks for it. Phases change nowhere else.

use std::time::Duration;

use crate::core::announced_restart::AnnouncedRestart;
use crate::core::disposition::Disposition;
use crate::core::ids::{Epoch, NodeId};
use crate::core::job_record::Claim;
use crate::core::nomination_hold::Hold;
use crate::core::retry::{Next, Retry, Standing};

pub use crate::core::nomination_event::{Effect, Event, Phase};
pub use crate::core::nomination_hold::HOLD;

/// Time without any sign of life of a vanished owner before its sink is taken over (PROTOCOLS 14).
pub const PROTECTION: Duration = Duration::from_secs(3);
/// Wait per place in the ranking, so that the best candidate usually tries alone (facts/cluster 3.6).
pub const STAGGER: Duration = Duration::from_secs(1);
/// Upper bound of the random part of a wait. Below `STAGGER`, so that ranks do not overtake each other.
pub const JITTER: Duration = Duration::from_millis(300);
/// Time an owner has to answer the direct ping before a takeover. A round trip between sites, doubled; a guess.
pub const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Wait of a restarted peer before it goes on with a claim of its own: somebody may have taken over meanwhile, which the first
/// comparison of job tables tells (1.5 s on a loaded machine, measured). Shorter than what protects it from others.
pub const RETURN: Duration = Duration::from_secs(2);
/// How often the actor must feed `Tick`.
pub const TICK: Duration = Duration::from_millis(250);
/// A gossip tick or a `Tick` that is later than this means that this process was asleep: its view is old.
pub const LATE: Duration = Duration::from_secs(2);

const _: () = assert!(RETURN.as_millis() < PROTECTION.as_millis());
const _: () = assert!(JITTER.as_millis() < STAGGER.as_millis() && TICK.as_millis() < LATE.as_millis());

/// One job's sink as this peer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    me: NodeId,
    phase: Phase,
    rank: Option<u32>,
    is_only: bool,
    live: Vec<NodeId>,
    has_roster: bool,
    has_job: bool,
    runs: bool,
    revision: u64,
    claim: Option<Claim>,
    is_owner_alive: bool,
    /// Last sign of life of the owner; also set where a newer owner is inferred.
    sign_at: Duration,
    restart: AnnouncedRestart,
    /// Lost the fence to an owner whose claim has not arrived.
    is_owner_unknown: bool,
    /// This process won the fence once: what it knows of its own claim is not from before a restart.
    has_won: bool,
    /// A Fatal error was reported; nothing starts until the job changes.
    is_failed: bool,
    retry: Retry,
    hold: Option<Hold>,
    ticked_at: Option<Duration>,
}

impl State {
    /// Returns a state that knows nothing yet.
    #[must_use]
    pub fn new(me: NodeId) -> Self {
        Self {
            me,
            phase: Phase::Idle,
            rank: None,
            is_only: false,
            live: Vec::new(),
            has_roster: false,
            has_job: false,
            runs: false,
            revision: 0,
            claim: None,
            is_owner_alive: false,
            sign_at: Duration::ZERO,
            restart: AnnouncedRestart::default(),
            is_owner_unknown: false,
            has_won: false,
            is_failed: false,
            retry: Retry::default(),
            hold: None,
            ticked_at: None,
        }
    }

    /// Where this peer stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// True from `StartSink` to the end of the task.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Stopping)
    }

    /// Name of the owner that is expected back from a restart it announced.
    #[must_use]
    pub fn expected_back(&self, now: Duration) -> Option<&str> {
        let claim = self.claim.as_ref().filter(|_| now < self.restart.until());
        claim
            .filter(|_| self.has_other_owner())
            .map(|claim| claim.owner_name.as_str())
    }

    /// Where the job stands after failures here; None: it may not run here, another peer has it, or nothing failed.
    #[must_use]
    pub fn standing(&self, now: Duration) -> Option<Standing> {
        let is_elsewhere = self.has_other_owner() && self.is_owner_alive;
        let is_here = self.runs && !self.is_failed && self.rank.is_some() && !is_elsewhere;
        self.retry.standing(now).filter(|_| is_here)
    }

    /// Moves that counted at the last failure.
    #[must_use]
    pub fn moves(&self) -> u32 {
        self.retry.moves()
    }

    fn epoch_seen(&self) -> Epoch {
        self.claim.as_ref().map_or(Epoch(0), |claim| claim.epoch)
    }

    fn is_claim_mine(&self) -> bool {
        self.claim
            .as_ref()
            .is_some_and(|claim| claim.owner == self.me && !claim.is_released)
    }

    /// Another peer owns the sink, as far as is known and whether it lives or not.
    fn has_other_owner(&self) -> bool {
        self.is_owner_unknown
            || self
                .claim
                .as_ref()
                .is_some_and(|claim| claim.owner != self.me && !claim.is_released)
    }
}

/// Takes one event. `random` is drawn fresh for each call.
#[must_use]
pub fn step(state: &State, event: Event, now: Duration, random: u64) -> (State, Vec<Effect>) {
    let mut next = state.clone();
    let effects = next.advance(event, now, random);
    (next, effects)
}

impl State {
    /// [`step`] in place, for who has a thousand jobs to step each `TICK`.
    pub fn advance(&mut self, event: Event, now: Duration, random: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(event, now, random, &mut effects);
        self.decide(now, random, &mut effects);
        effects
    }

    fn take(&mut self, event: Event, now: Duration, random: u64, effects: &mut Vec<Effect>) {
        match event {
            Event::Tick => self.tick(now),
            Event::RosterChanged {
                rank,
                is_only,
                is_owner_alive,
                live,
            } => {
                // Silence before it was called dead counts: `HeardPeer` brings the signs of a living owner.
                if is_owner_alive && !self.is_owner_alive {
                    self.sign_at = self.sign_at.max(now);
                }
                if is_owner_alive {
                    self.restart.end();
                }
                (self.rank, self.is_only, self.is_owner_alive, self.live) = (rank, is_only, is_owner_alive, live);
                self.has_roster = true;
            }
            Event::JobChanged { runs, revision } => self.job_changed(runs, revision, effects),
            Event::PolicySeen { policy, moves } => self.retry.judge_by(policy, moves),
            Event::ClaimSeen(claim) => self.claim_seen(claim, now, effects),
            Event::AcquireWon(epoch) => {
                if let Phase::Running { since, .. } = self.phase {
                    self.phase = Phase::Running {
                        since,
                        epoch: Some(epoch),
                    };
                    (self.is_owner_unknown, self.has_won) = (false, true);
                }
            }
            Event::AcquireLost(disposition, text) | Event::TaskEnded(disposition, text) => {
                self.ended(disposition, text, now, random, effects);
            }
            Event::OwnerRestarts if self.restart.announce(now) => self.sign(now),
            Event::SignOfOwner { lasts } => self.sign((now + lasts).saturating_sub(PROTECTION)),
            Event::GossipLate { late_ms } if Duration::from_millis(late_ms) > LATE => self.woke_late(now),
            Event::GossipLate { .. } | Event::OwnerRestarts => {}
            Event::HeardPeer(id) => self.heard(&id, now),
        }
    }

    fn tick(&mut self, now: Duration) {
        if self.ticked_at.is_some_and(|at| now.saturating_sub(at) > LATE + TICK) {
            self.woke_late(now);
        }
        self.ticked_at = Some(now);
        self.hold.take_if(|hold| hold.is_over(now));
    }

    /// The silence was this process's own: it proves nothing about others.
    fn woke_late(&mut self, now: Duration) {
        self.hold = Some(Hold::new(&self.live, now));
        self.sign(now);
    }

    fn heard(&mut self, id: &NodeId, now: Duration) {
        if self.claim.as_ref().is_some_and(|claim| claim.owner == *id) {
            self.sign_at = self.sign_at.max(now);
        }
        if let Some(hold) = &mut self.hold {
            hold.heard(id);
        }
        self.hold.take_if(|hold| hold.is_answered());
    }

    /// The owner was alive at `at`; a search for it is over.
    fn sign(&mut self, at: Duration) {
        self.sign_at = self.sign_at.max(at);
        if matches!(self.phase, Phase::Pinging { .. }) {
            self.phase = Phase::Idle;
        }
    }

    fn job_changed(&mut self, runs: bool, revision: u64, effects: &mut Vec<Effect>) {
        let is_new = revision != self.revision;
        (self.has_job, self.runs, self.revision) = (true, runs, revision);
        if is_new || !runs {
            self.is_failed = false;
            self.retry.begin_anew();
        }
        if is_new && matches!(self.phase, Phase::Running { .. }) {
            self.stop(effects);
        }
    }

    fn claim_seen(&mut self, claim: Claim, now: Duration, effects: &mut Vec<Effect>) {
        let order = |claim: &Claim| (claim.inc, claim.epoch, claim.is_released, claim.src_epoch);
        if self.claim.as_ref().is_some_and(|known| order(known) >= order(&claim)) {
            return;
        }
        let is_other = claim.owner != self.me;
        let is_new_epoch = claim.epoch > self.epoch_seen();
        self.claim = Some(claim);
        self.is_owner_unknown = false;
        if is_new_epoch {
            self.restart.end();
        }
        if !is_other {
            return;
        }
        if is_new_epoch {
            self.sign_at = self.sign_at.max(now);
        }
        match self.phase {
            // The fence has moved on: this owner's next commit would fail.
            Phase::Running { epoch: Some(epoch), .. } if self.epoch_seen() > epoch => self.stop(effects),
            // Somebody was faster; the flow would only take it away again.
            Phase::Running { epoch: None, .. } if is_new_epoch && self.has_other_owner() => self.stop(effects),
            Phase::Waiting { .. } | Phase::Pinging { .. } if is_new_epoch => self.phase = Phase::Idle,
            _ => {}
        }
    }

    /// Gives the own claim back, once.
    fn release(&mut self, effects: &mut Vec<Effect>) {
        if self.is_claim_mine() {
            effects.push(Effect::ReleaseClaim);
        }
        if let Some(claim) = self.claim.as_mut().filter(|claim| claim.owner == self.me) {
            claim.is_released = true;
        }
    }

    fn stop(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Stopping;
        effects.push(Effect::StopSink);
    }

    fn ended(&mut self, disposition: Disposition, text: String, now: Duration, random: u64, effects: &mut Vec<Effect>) {
        // After Stopping there is nothing to judge: it was told to end.
        let Phase::Running { since, epoch } = std::mem::take(&mut self.phase) else {
            return;
        };
        if epoch.is_some() {
            self.retry.ran_for(now.saturating_sub(since));
        }
        match disposition {
            Disposition::Superseded => {
                // The newer owner's claim may still be on its way: treat it as alive until protection has passed.
                self.is_owner_unknown = epoch.map_or(!self.has_other_owner(), |epoch| self.epoch_seen() <= epoch);
                self.sign_at = self.sign_at.max(now);
                return;
            }
            Disposition::Fatal => return self.fail(text, effects),
            Disposition::Retry | Disposition::Replace => {}
        }
        match self.retry.failed(disposition == Disposition::Retry, now, random) {
            Next::Again(_) => {}
            Next::Move(_) => {
                self.release(effects);
                if self.retry.has_limit() {
                    effects.push(Effect::CountMove(text.clone()));
                }
            }
            Next::Fail => return self.fail(self.retry.given_up(&text), effects),
        }
        effects.push(Effect::PublishReason(text));
    }

    fn fail(&mut self, text: String, effects: &mut Vec<Effect>) {
        self.is_failed = true;
        effects.push(Effect::MarkFailed(text));
    }

    fn decide(&mut self, now: Duration, random: u64, effects: &mut Vec<Effect>) {
        let may_run = self.runs && !self.is_failed && self.rank.is_some();
        match self.phase {
            Phase::Stopping => {}
            Phase::Running { .. } if may_run => {}
            Phase::Running { .. } => {
                if self.runs {
                    effects.push(Effect::PublishReason("this peer may no longer run the task".into()));
                }
                self.stop(effects);
            }
            _ if !may_run => {
                self.phase = Phase::Idle;
                // The flow has ended, so the next owner need not wait. Before the first roster and record nothing is known.
                if self.has_roster && self.has_job && !self.is_failed {
                    self.release(effects);
                }
            }
            // The roster knows of the claim's owner; of one whose claim never arrived it says nothing.
            _ if self.has_other_owner() && self.is_owner_alive && !self.is_owner_unknown => self.phase = Phase::Idle,
            Phase::Idle => {
                let jitter_ms = u64::try_from(JITTER.as_millis()).expect("a constant below a second");
                self.phase = Phase::Waiting {
                    since: now,
                    jitter: Duration::from_millis(random % jitter_ms),
                };
                self.when_due(now, effects);
            }
            Phase::Waiting { .. } => self.when_due(now, effects),
            Phase::Pinging { until } if now >= until && self.hold.is_none() => self.start(now, effects),
            Phase::Pinging { .. } => {}
        }
    }

    fn when_due(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Phase::Waiting { since, jitter } = self.phase else {
            return;
        };
        let turn = STAGGER.saturating_mul(self.rank.unwrap_or(u32::MAX)) + jitter;
        let due = if self.has_other_owner() {
            self.restart.until().max(self.sign_at + PROTECTION) + turn
        } else if self.is_claim_mine() {
            // It was this peer's before a failure: nobody else should be waiting for it. Before a restart: unless news comes.
            if self.has_won { Duration::ZERO } else { since + RETURN }
        } else {
            since + if self.is_only { Duration::ZERO } else { turn }
        };
        if now < due.max(self.retry.not_before()) || self.hold.is_some() {
            return;
        }
        if !self.has_other_owner() {
            return self.start(now, effects);
        }
        let known = self.claim.as_ref().filter(|_| !self.is_owner_unknown);
        effects.push(Effect::SeekOwner(known.map(|claim| claim.owner.clone())));
        self.phase = Phase::Pinging {
            until: now + PING_TIMEOUT,
        };
    }

    fn start(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.phase = Phase::Running { since: now, epoch: None };
        effects.push(Effect::StartSink {
            above: self.epoch_seen(),
        });
    }
}

#[cfg(test)]
#[path = "nomination_tests.rs"]
mod tests;
