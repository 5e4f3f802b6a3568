//! Turns what gossip holds into the roster: one entry per peer, with a state people can act on.
//!
//! Fed by `membership` several times a second with every entry of the gossip library, read as roster and facts. Pure: time is
//! passed in. One peer has one entry per start (a generation); the newest that was ever alive stands for it. Keeps a silent
//! peer for a day, longer than the library does, so that people see it and gossip can still call it. Does not decide who
//! takes over a task.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::ids::{Boot, NodeId};
use crate::core::member::{Member, MemberState};
use crate::gossip::keys::{self, Leaving, TaskFact, Told};

/// Gossip intervals without a sign before a peer is called suspect: three rounds lost by chance are rare.
const SUSPECT_INTERVALS: u32 = 3;
/// Gossip intervals without a sign before a peer may be called dead: 3 s at 500 ms, as long as a vanished owner is protected
/// (PROTOCOLS 14). The library alone calls it after 2.0 to 3.8 s among five peers (docs/decisions/0001-chitchat-version.md).
const DEAD_INTERVALS: u32 = 6;
/// How long a silent peer is shown.
const KEPT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Most entries kept: a peer that starts again and again with an empty data_dir is a new one each time.
const ENTRIES_MAX: usize = 1_000;

const _: () = assert!(SUSPECT_INTERVALS < DEAD_INTERVALS);

/// One entry of the gossip library at one look.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The peer.
    pub id: NodeId,
    /// Its generation, see [`generation`].
    pub generation: u64,
    /// Where it takes gossip.
    pub address: SocketAddr,
    /// Grows while it lives.
    pub heartbeat: u64,
    /// Grows with each changed fact.
    pub version: u64,
    /// The failure detector's word.
    pub is_live: bool,
}

/// What other peers need beside the roster, per peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    /// The peer.
    pub id: NodeId,
    /// Where its endpoint is.
    pub address: SocketAddr,
    /// Life, as in the roster.
    pub state: MemberState,
    /// It said that it will be gone.
    pub leaving: Option<Leaving>,
    /// Hash of its job table.
    pub table_root: Option<String>,
    /// Its running tasks.
    pub tasks: Vec<TaskFact>,
    /// This peer itself.
    pub is_self: bool,
}

impl PeerFacts {
    /// True when it can be talked to, as `Member::is_live`.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, MemberState::Alive | MemberState::Suspect)
    }
}

/// Everything read at one look. Own entry first, then in the order of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// For people and placement.
    pub roster: Vec<Member>,
    /// For the table exchange and the tasks; the same peers in the same order.
    pub facts: Vec<PeerFacts>,
}

/// Returns the generation of one run of the library: the start of the store, and how often the library was started within.
/// The library takes a larger one for a newer life of the same peer; it must grow even when only the library starts again.
#[must_use]
pub fn generation(boot: Boot, restarts: u16) -> u64 {
    boot.0 << 16 | u64::from(restarts)
}

fn boot_of(generation: u64) -> Boot {
    Boot(generation >> 16)
}

/// Follows all entries from look to look.
#[derive(Debug)]
pub struct Tracker {
    own: NodeId,
    interval: Duration,
    entries: BTreeMap<(NodeId, u64), Entry>,
}

#[derive(Debug)]
struct Entry {
    address: SocketAddr,
    version: u64,
    told: Option<Told>,
    heartbeat: u64,
    heard: u64,
    heard_at: Duration,
    was_live: bool,
    is_live: bool,
    is_seen: bool,
}

impl Tracker {
    /// Returns a tracker that knows nobody. `interval` is the gossip interval.
    #[must_use]
    pub fn new(own: NodeId, interval: Duration) -> Self {
        Self {
            own,
            interval,
            entries: BTreeMap::new(),
        }
    }

    /// Takes all entries of one look at time `now`. `pairs` is asked only for entries that changed.
    pub fn look(
        &mut self,
        now: Duration,
        all: impl IntoIterator<Item = Seen>,
        pairs: impl Fn(&Seen) -> BTreeMap<String, String>,
    ) {
        for entry in self.entries.values_mut() {
            entry.is_seen = false;
        }
        for seen in all {
            let key = (seen.id.clone(), seen.generation);
            let entry = self.entries.entry(key).or_insert_with(|| Entry::first(&seen, now));
            entry.take(&seen, now, &pairs);
        }
        for entry in self.entries.values_mut().filter(|entry| !entry.is_seen) {
            entry.is_live = false;
        }
        self.drop_old(now);
    }

    /// Returns the view at time `now`.
    #[must_use]
    pub fn view(&self, now: Duration) -> View {
        let mut newest: BTreeMap<&NodeId, (u64, &Entry)> = BTreeMap::new();
        for ((id, generation), entry) in &self.entries {
            if entry.told.is_some() && (*id == self.own || !self.is_rumour(entry, now)) {
                newest.insert(id, (*generation, entry)); // ascending generations: the last one stays
            }
        }
        let mut peers: Vec<(Member, PeerFacts)> = newest
            .into_iter()
            .filter_map(|(id, (generation, entry))| self.peer(id, generation, entry, now))
            .collect();
        let live: BTreeSet<String> = peers
            .iter()
            .filter(|(member, _)| member.is_live())
            .map(|(member, _)| member.name.clone())
            .collect();
        peers.retain(|(member, _)| member.is_self || member.is_live() || !live.contains(&member.name));
        peers.sort_by_key(|(member, _)| !member.is_self);
        let (roster, facts) = peers.into_iter().unzip();
        View { roster, facts }
    }

    /// Returns how many signs of life came from each peer; grows.
    #[must_use]
    pub fn heard(&self) -> BTreeMap<NodeId, u64> {
        let mut heard = BTreeMap::new();
        for ((id, _), entry) in &self.entries {
            *heard.entry(id.clone()).or_default() += entry.heard;
        }
        heard.remove(&self.own);
        heard
    }

    /// Returns the addresses of peers that are not live, longest silent first: gossip calls them so that a partition heals.
    #[must_use]
    pub fn silent_addresses(&self) -> Vec<SocketAddr> {
        let mut silent: Vec<&Entry> = self.entries.values().filter(|entry| !entry.is_live).collect();
        silent.sort_by_key(|entry| entry.heard_at);
        silent.into_iter().map(|entry| entry.address).collect()
    }

    /// True while nothing but one heartbeat is known, which may be an echo of a peer that is long gone.
    fn is_rumour(&self, entry: &Entry, now: Duration) -> bool {
        !entry.was_live && now.saturating_sub(entry.heard_at) < self.interval * DEAD_INTERVALS
    }

    fn peer(&self, id: &NodeId, generation: u64, entry: &Entry, now: Duration) -> Option<(Member, PeerFacts)> {
        let told = entry.told.as_ref()?;
        let is_self = *id == self.own;
        let state = match told.leaving {
            Some(_) => MemberState::Left,
            None if is_self => MemberState::Alive,
            None => life(entry.is_live, now.saturating_sub(entry.heard_at), self.interval),
        };
        let profile = &told.profile;
        let member = Member {
            id: id.clone(),
            name: profile.name.clone(),
            boot: boot_of(generation),
            datacenter: profile.datacenter.clone(),
            class: profile.class.clone(),
            meta: profile.meta.clone(),
            attributes: attributes(told),
            version: profile.version.clone(),
            peer_addr: entry.address.to_string(),
            admin_addr: profile.admin.clone(),
            http_addr: profile.http.clone(),
            capacity: told.capacity,
            is_draining: told.is_draining,
            state,
            tasks: told.counts,
            is_self,
        };
        let facts = PeerFacts {
            id: id.clone(),
            address: entry.address,
            state,
            leaving: told.leaving,
            table_root: told.table_root.clone(),
            tasks: told.tasks.clone(),
            is_self,
        };
        Some((member, facts))
    }

    /// Drops older starts of a peer once a newer one lived, and what is silent for too long or too many.
    fn drop_old(&mut self, now: Duration) {
        let mut newest: BTreeMap<NodeId, u64> = BTreeMap::new();
        for ((id, generation), entry) in &self.entries {
            if entry.was_live || *id == self.own {
                newest.insert(id.clone(), *generation);
            }
        }
        let own = self.own.clone();
        self.entries.retain(|(id, generation), entry| {
            let is_replaced = newest.get(id).is_some_and(|newest| newest > generation);
            let is_remembered = entry.was_live && now.saturating_sub(entry.heard_at) < KEPT_MAX;
            !is_replaced && (*id == own || entry.is_seen || is_remembered)
        });
        while self.entries.len() > ENTRIES_MAX {
            let others = self.entries.iter().filter(|((id, _), _)| *id != own);
            let Some((oldest, _)) = others.min_by_key(|(_, entry)| (entry.is_live, entry.heard_at)) else {
                return;
            };
            let oldest = oldest.clone();
            self.entries.remove(&oldest);
        }
    }
}

impl Entry {
    fn first(seen: &Seen, now: Duration) -> Self {
        Self {
            address: seen.address,
            version: 0,
            told: None,
            heartbeat: seen.heartbeat,
            heard: 0,
            heard_at: now,
            was_live: false,
            is_live: false,
            is_seen: false,
        }
    }

    fn take(&mut self, seen: &Seen, now: Duration, pairs: impl Fn(&Seen) -> BTreeMap<String, String>) {
        self.is_seen = true;
        self.is_live = seen.is_live;
        self.was_live |= seen.is_live;
        if seen.heartbeat > self.heartbeat {
            self.heartbeat = seen.heartbeat;
            self.heard += 1;
            self.heard_at = now;
        }
        if seen.version != self.version || self.told.is_none() {
            self.version = seen.version;
            // A peer that is being refilled from nothing keeps what it told before.
            self.told = keys::decode(&pairs(seen)).or_else(|| self.told.take());
        }
    }
}

/// What it told once, and the databases it reaches at the moment as `reach.<address>`.
fn attributes(told: &Told) -> BTreeMap<String, String> {
    let reach = told
        .reach
        .iter()
        .map(|address| (format!("reach.{address}"), "true".to_owned()));
    told.profile.attributes.clone().into_iter().chain(reach).collect()
}

/// Returns the state of a peer that did not say goodbye, from the failure detector's word and the time since its last sign.
fn life(is_live: bool, silent: Duration, interval: Duration) -> MemberState {
    if is_live && silent < interval * SUSPECT_INTERVALS {
        MemberState::Alive
    } else if !is_live && silent >= interval * DEAD_INTERVALS {
        MemberState::Dead
    } else {
        MemberState::Suspect
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::keys::{Fact, Profile};

    const INTERVAL: Duration = Duration::from_millis(500);

    fn pairs(name: &str) -> BTreeMap<String, String> {
        let profile = Profile {
            name: name.into(),
            ..Profile::default()
        };
        let mut pairs = profile.encode();
        pairs.extend([Fact::Capacity(8).encode()]);
        pairs
    }

    fn seen(id: &str, boot: u64, heartbeat: u64, is_live: bool) -> Seen {
        Seen {
            id: NodeId(id.into()),
            generation: generation(Boot(boot), 0),
            address: "127.0.0.1:7700".parse().unwrap(),
            heartbeat,
            version: 1,
            is_live,
        }
    }

    fn tracker() -> Tracker {
        Tracker::new(NodeId("own".into()), INTERVAL)
    }

    /// One look at second `at`; the name of a peer is its id without digits.
    fn look(tracker: &mut Tracker, at: u64, all: &[Seen]) -> Vec<(String, u64, MemberState)> {
        let now = Duration::from_secs(at);
        tracker.look(now, all.to_vec(), |seen| {
            pairs(seen.id.0.trim_end_matches(|c: char| c.is_ascii_digit()))
        });
        let roster = tracker.view(now).roster;
        roster.into_iter().map(|m| (m.id.0, m.boot.0, m.state)).collect()
    }

    #[test]
    fn a_silent_peer_is_suspect_then_dead_and_its_own_entry_stays_first() {
        use MemberState::{Alive, Dead, Suspect};
        let mut tracker = tracker();
        let own = seen("own", 1, 1, true);
        for (at, heartbeat, is_live, state) in [
            (0, 1, true, Alive),
            (1, 2, true, Alive),
            (3, 2, false, Suspect),
            (4, 2, false, Dead),
            (5, 3, false, Suspect),
            (6, 4, true, Alive),
        ] {
            let found = look(&mut tracker, at, &[seen("a", 7, heartbeat, is_live), own.clone()]);
            assert_eq!(found, [("own".into(), 1, Alive), ("a".into(), 7, state)], "at second {at}");
        }
        assert_eq!(tracker.heard(), [(NodeId("a".into()), 3)].into());
    }

    #[test]
    fn a_restart_shows_one_entry_with_the_newest_boot() {
        let mut tracker = tracker();
        look(&mut tracker, 0, &[seen("a", 1, 5, true)]);
        let both = [seen("a", 1, 5, false), seen("a", 2, 1, false)];
        assert_eq!(
            look(&mut tracker, 1, &both),
            [("a".into(), 1, MemberState::Suspect)],
            "the new one may be an echo"
        );
        let both = [seen("a", 1, 5, false), seen("a", 2, 2, true)];
        assert_eq!(look(&mut tracker, 2, &both), [("a".into(), 2, MemberState::Alive)]);
    }

    #[test]
    fn a_dead_peer_is_hidden_behind_a_live_one_of_its_name() {
        let mut tracker = tracker();
        look(&mut tracker, 0, &[seen("a1", 1, 1, true)]);
        let found = look(&mut tracker, 9, &[seen("a1", 1, 1, false), seen("a2", 1, 1, true)]);
        assert_eq!(found, [("a2".into(), 1, MemberState::Alive)]);
        let found = look(&mut tracker, 10, &[seen("a1", 1, 2, true), seen("a2", 1, 2, true)]);
        assert_eq!(found.len(), 2, "two live peers of one name are both shown");
    }

    #[test]
    fn a_peer_nobody_ever_heard_alive_is_shown_only_after_its_time_to_prove_it() {
        let mut tracker = tracker();
        let echo = [seen("gone", 1, 9, false)];
        assert_eq!(look(&mut tracker, 0, &echo), []);
        assert_eq!(look(&mut tracker, 2, &echo), []);
        assert_eq!(look(&mut tracker, 3, &echo), [("gone".into(), 1, MemberState::Dead)]);
    }

    #[test]
    fn a_peer_that_said_goodbye_has_left_at_once() {
        let mut tracker = tracker();
        let mut told = pairs("a");
        told.extend([Fact::Leaving(Leaving::Restart).encode()]);
        tracker.look(Duration::ZERO, [seen("a", 1, 1, true)], |_| told.clone());
        let view = tracker.view(Duration::ZERO);
        assert_eq!(view.roster[0].state, MemberState::Left);
        assert_eq!(view.facts[0].leaving, Some(Leaving::Restart));
    }

    #[test]
    fn a_database_that_a_peer_reaches_is_an_attribute_of_it() {
        let mut tracker = tracker();
        let mut told = pairs("a");
        told.extend([Fact::Reach(["db:3306".to_owned()].into()).encode()]);
        tracker.look(Duration::ZERO, [seen("a", 1, 1, true)], |_| told.clone());
        let attributes = tracker.view(Duration::ZERO).roster[0].attributes();
        assert_eq!(attributes.get("attr.reach.db:3306").map(String::as_str), Some("true"));
    }

    #[test]
    fn a_silent_peer_is_kept_for_a_day_after_the_library_forgot_it() {
        let mut tracker = tracker();
        look(&mut tracker, 0, &[seen("a", 1, 1, true)]);
        assert_eq!(look(&mut tracker, 80_000, &[]), [("a".into(), 1, MemberState::Dead)]);
        assert_eq!(tracker.silent_addresses().len(), 1);
        assert_eq!(look(&mut tracker, 90_000, &[]), []);
    }

    #[test]
    fn the_library_may_start_again_within_one_start_of_the_peer() {
        assert!(generation(Boot(3), 1) > generation(Boot(3), 0));
        assert!(generation(Boot(4), 0) > generation(Boot(3), u16::MAX));
        assert_eq!(boot_of(generation(Boot(3), 9)), Boot(3));
    }
}
