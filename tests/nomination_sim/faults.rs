//! What goes wrong, drawn by the seed; and the end of it.

use crate::world::{PEERS_MAX, Wish, World};

/// Kinds of faults.
const KINDS: u64 = 13;

impl World {
    /// One fault, of any kind, at any peer.
    pub fn disturb(&mut self) {
        let count = self.peers.len() as u64;
        let at = self.random.below(count) as usize;
        let other = (at + 1 + self.random.below(count - 1) as usize) % self.peers.len();
        let long = 500 + self.random.below(9000);
        let until = self.now + long;
        match self.random.below(KINDS) {
            0 => {
                self.note(|| format!("p{at} is paused for {long} ms"));
                self.peers[at].asleep_until = until;
            }
            1 => {
                self.note(|| format!("p{at} is killed for {long} ms"));
                self.end_process(at, until);
            }
            2 if self.is_up(at) => {
                self.note(|| format!("p{at} announces a restart and is gone for {long} ms"));
                self.say_goodbye(at);
                self.end_process(at, until);
            }
            3 => {
                self.note(|| format!("p{at} and p{other} are cut"));
                self.cut[at] |= 1 << other;
                self.cut[other] |= 1 << at;
            }
            4 => {
                self.note(|| format!("p{other} hears nothing of p{at}"));
                self.cut[at] |= 1 << other;
            }
            5 => {
                self.note(|| "links are whole".into());
                self.cut = [0; PEERS_MAX];
            }
            6 => {
                self.note(|| format!("p{at} is cut from the target"));
                self.peers[at].reaches_target = false;
            }
            7 => {
                self.note(|| format!("p{at} reaches the target"));
                self.peers[at].reaches_target = true;
            }
            8 => {
                let delay_ms = self.random.below(2500);
                self.note(|| format!("gossip of p{at} is late by {delay_ms} ms"));
                self.peers[at].gossip_delay_ms = delay_ms;
            }
            9 if self.is_up(at) => self.drain(at, true),
            10 if self.is_up(at) => self.drain(at, false),
            11 => {
                let lost = self.random.below(self.target.lag_max() as u64 + 1) as usize;
                self.note(|| format!("the target fails over and loses {lost} transactions"));
                self.target.fail_over(lost);
            }
            _ if self.is_up(at) => self.operate(at),
            _ => {}
        }
    }

    fn drain(&mut self, at: usize, is_draining: bool) {
        self.note(|| format!("p{at} drains: {is_draining}"));
        self.peers[at].is_draining = is_draining;
        self.roster(at);
    }

    /// A person holds, resumes or edits the job.
    fn operate(&mut self, at: usize) {
        let known = self.peers[at].wish;
        let runs = self.random.below(3) > 0;
        let revision = known.revision + u64::from(runs && known.runs);
        self.wish(at, Wish { runs, revision, ..known });
    }

    /// Everything works from now on, and the job shall run. Only a peer that is down may stay so for ever.
    pub fn heal(&mut self) {
        let is_down = |at: &usize| self.peers[*at].down_until > 0;
        let lost = (0..self.peers.len()).find(is_down);
        let lost = lost.filter(|_| self.random.below(2) == 0);
        self.note(|| format!("everything works, but {lost:?} never comes back"));
        self.cut = [0; PEERS_MAX];
        let now = self.now;
        for peer in &mut self.peers {
            peer.reaches_target = true;
            peer.gossip_delay_ms = 0;
            peer.asleep_until = peer.asleep_until.min(now);
            peer.down_until = peer.down_until.min(now);
        }
        if let Some(lost) = lost {
            self.peers[lost].down_until = u64::MAX;
        }
        self.healed_at = Some(now);
        self.revive();
        let up: Vec<usize> = (0..self.peers.len()).filter(|at| self.is_up(*at)).collect();
        if up.iter().all(|at| self.peers[*at].is_draining) {
            self.drain(up[0], false);
        }
        let newest = self.peers.iter().map(|peer| peer.wish).max().expect("peers");
        self.wish(up[0], Wish { runs: true, ..newest });
    }
}
