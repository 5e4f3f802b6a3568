//! Which databases this peer reaches: whom to try when, and what may be told as `attr.reach.<host:port>`.
//!
//! Only databases that a running job both uses and constrains on are tried, with that job's own account. Kept by
//! `actors::reach`, which opens the sessions. Bounded: `DATABASES_MAX` databases, `TRIES_MAX` tries at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::attribute_name::reach_of;
use crate::core::job_spec::{DatabaseSpec, JobSpec};

/// How long a session counts as recent. Trades a fact that is true against tasks that stop for a short outage of the database.
pub const RECENT: Duration = Duration::from_secs(120);
/// Time from a session that was opened to the next try. Trades a session per peer and database against freshness; a guess.
const AGAIN: Duration = Duration::from_secs(30);
/// First and longest wait after a try that failed; doubles. A database that comes back is found within the longest.
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long one try may take.
pub const TRY_MAX: Duration = Duration::from_secs(5);
/// Databases that are tried and told; the first by address. Their names must fit one value of gossip (8 KiB).
pub const DATABASES_MAX: usize = 30;
/// Longest address that is tried: a host name of 253 bytes and a port.
const ADDRESS_BYTES_MAX: usize = 260;
/// Tries at once.
pub const TRIES_MAX: usize = 4;

// Each address with its quotes and comma fits, and one that is reached is tried again before it is forgotten, however many
// others hang meanwhile.
const _: () = assert!(DATABASES_MAX * (ADDRESS_BYTES_MAX + 3) + 2 <= 8 * 1024);
const _: () = assert!(AGAIN.as_secs() + (DATABASES_MAX / TRIES_MAX + 2) as u64 * TRY_MAX.as_secs() < RECENT.as_secs());

/// A database's address as constraints write it.
#[must_use]
pub fn address(database: &DatabaseSpec) -> String {
    let host = &database.host;
    if host.contains(':') && !host.starts_with('[') {
        return format!("[{host}]:{}", database.port);
    }
    format!("{host}:{}", database.port)
}

/// The addresses that the constraints and wishes of a job ask about.
#[must_use]
pub fn named(spec: &JobSpec) -> BTreeSet<&str> {
    let wishes = [&spec.preferences, &spec.source.preferences, &spec.sink.preferences];
    let constraints = [&spec.constraints, &spec.source.constraints, &spec.sink.constraints];
    let affinities = wishes.iter().flat_map(|wishes| &wishes.affinities);
    let tests = constraints
        .into_iter()
        .flatten()
        .chain(affinities.map(|affinity| &affinity.test));
    let spreads = wishes.iter().flat_map(|wishes| &wishes.spreads);
    tests
        .flat_map(|test| [test.attribute.as_str(), test.value.as_str()])
        .chain(spreads.map(|spread| spread.attribute.as_str()))
        .filter_map(reach_of)
        .collect()
}

/// The databases that a job uses and asks about, by address.
#[must_use]
pub fn databases(spec: &JobSpec) -> Vec<(String, DatabaseSpec)> {
    let named = named(spec);
    let own = [&spec.source.endpoint, &spec.sink.endpoint].map(|database| (address(database), database));
    own.into_iter()
        .filter(|(address, _)| named.contains(address.as_str()) && address.len() <= ADDRESS_BYTES_MAX)
        .map(|(address, database)| (address, database.clone()))
        .collect()
}

/// An address that a job asks about although it does not use it: nobody would ever try it.
#[must_use]
pub fn foreign(spec: &JobSpec) -> Option<&str> {
    let own = [&spec.source.endpoint, &spec.sink.endpoint].map(address);
    named(spec).into_iter().find(|named| !own.iter().any(|own| own == named))
}

/// What is known of one database. Due → busy → due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// As different jobs log in; tried in turn.
    accounts: Vec<DatabaseSpec>,
    tries: usize,
    failures: u32,
    reached_at: Option<Duration>,
    due: Duration,
    is_busy: bool,
}

/// What is known of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    entries: BTreeMap<String, Entry>,
}

impl Reach {
    /// Takes the databases that matter now and forgets all others; new ones are due at once.
    pub fn want(&mut self, wanted: impl IntoIterator<Item = (String, DatabaseSpec)>) {
        let mut accounts: BTreeMap<String, Vec<DatabaseSpec>> = BTreeMap::new();
        for (address, database) in wanted {
            let known = accounts.entry(address).or_default();
            if !known.contains(&database) {
                known.push(database);
            }
        }
        let mut old = std::mem::take(&mut self.entries);
        for (address, accounts) in accounts.into_iter().take(DATABASES_MAX) {
            let mut entry = old.remove(&address).unwrap_or_default();
            if entry.accounts != accounts {
                (entry.due, entry.failures) = (Duration::ZERO, 0);
                entry.accounts = accounts;
            }
            self.entries.insert(address, entry);
        }
    }

    /// Counts a session of an earlier start of this peer as one of now, until a try says otherwise.
    pub fn presume(&mut self, address: &str, now: Duration) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.reached_at = Some(now);
        }
    }

    /// The next database to try, the one that waits longest; None: nothing is due, or enough are being tried.
    pub fn next(&mut self, now: Duration) -> Option<(String, DatabaseSpec)> {
        if self.entries.values().filter(|entry| entry.is_busy).count() >= TRIES_MAX {
            return None;
        }
        let due = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| !entry.is_busy && entry.due <= now);
        let (address, entry) = due.min_by_key(|(_, entry)| entry.due)?;
        let account = entry.accounts.get(entry.tries % entry.accounts.len().max(1))?.clone();
        entry.is_busy = true;
        entry.tries += 1;
        Some((address.clone(), account))
    }

    /// A try ended; `is_open`: it opened a session.
    pub fn tried(&mut self, address: &str, is_open: bool, now: Duration) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.is_busy = false;
        if is_open {
            (entry.reached_at, entry.failures, entry.due) = (Some(now), 0, now + AGAIN);
        } else {
            let wait = RETRY_MIN.saturating_mul(1 << entry.failures.min(8)).min(RETRY_MAX);
            (entry.failures, entry.due) = (entry.failures.saturating_add(1), now + wait);
        }
    }

    /// The databases to which a session was opened recently.
    #[must_use]
    pub fn reached(&self, now: Duration) -> BTreeSet<String> {
        let is_recent = |entry: &Entry| entry.reached_at.is_some_and(|at| now.saturating_sub(at) < RECENT);
        let recent = self.entries.iter().filter(|(_, entry)| is_recent(entry));
        recent.map(|(address, _)| address.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::job_spec::Constraint;
    use crate::core::placement::tests::spec;

    const SECOND: Duration = Duration::from_secs(1);

    fn database(host: &str, user: &str) -> DatabaseSpec {
        let mut database = spec("orders").sink.endpoint;
        (database.host, database.port, database.user) = (host.into(), 3306, user.into());
        database
    }

    fn wanting(hosts: &[&str]) -> Reach {
        let mut reach = Reach::default();
        reach.want(hosts.iter().map(|host| (format!("{host}:3306"), database(host, "u"))));
        reach
    }

    fn told(reach: &Reach, now: Duration) -> Vec<String> {
        reach.reached(now).into_iter().collect()
    }

    #[test]
    fn a_session_is_told_until_it_is_old_though_later_tries_fail() {
        let mut reach = wanting(&["a"]);
        assert_eq!(reach.next(SECOND).map(|(address, _)| address), Some("a:3306".into()));
        assert_eq!(reach.next(SECOND), None, "it is being tried");
        assert!(told(&reach, SECOND).is_empty());
        reach.tried("a:3306", true, SECOND);
        assert_eq!(reach.next(SECOND * 30), None);
        assert!(reach.next(SECOND * 31).is_some());
        reach.tried("a:3306", false, SECOND * 31);
        assert_eq!(told(&reach, SECOND * 120), ["a:3306"]);
        assert!(told(&reach, SECOND * 121).is_empty());
    }

    #[test]
    fn a_database_that_is_not_reached_is_tried_ever_more_rarely_and_at_least_twice_a_minute() {
        let mut reach = wanting(&["a"]);
        let mut tries = Vec::new();
        for second in 0..150 {
            if reach.next(SECOND * second).is_some() {
                reach.tried("a:3306", false, SECOND * second);
                tries.push(second);
            }
        }
        assert_eq!(tries, [0, 2, 6, 14, 30, 60, 90, 120]);
    }

    #[test]
    fn no_more_are_tried_at_once_and_told_than_the_bounds_say() {
        let hosts: Vec<String> = (0..100).map(|n| format!("h{n:03}")).collect();
        let mut reach = wanting(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
        let busy: Vec<String> = std::iter::from_fn(|| reach.next(SECOND).map(|(address, _)| address)).collect();
        assert_eq!(busy.len(), TRIES_MAX);
        for _ in 0..100 {
            let done: Vec<String> = reach.entries.keys().cloned().collect();
            done.iter().for_each(|address| reach.tried(address, true, SECOND));
        }
        assert_eq!(told(&reach, SECOND).len(), DATABASES_MAX);
    }

    #[test]
    fn a_database_that_no_job_asks_about_any_more_is_forgotten() {
        let mut reach = wanting(&["a"]);
        reach.presume("a:3306", SECOND);
        reach.presume("b:3306", SECOND);
        assert_eq!(told(&reach, SECOND), ["a:3306"]);
        reach.want([]);
        assert!(told(&reach, SECOND).is_empty());
    }

    #[test]
    fn each_account_of_a_database_has_its_turn() {
        let mut reach = Reach::default();
        reach.want(["u", "v", "u"].map(|user| ("a:3306".to_owned(), database("a", user))));
        let mut users = Vec::new();
        for second in [0, 10, 30] {
            users.extend(reach.next(SECOND * second).map(|(_, account)| account.user));
            reach.tried("a:3306", false, SECOND * second);
        }
        assert_eq!(users, ["u", "v", "u"]);
    }

    #[test]
    fn a_job_asks_about_the_databases_it_uses_by_their_address() {
        let mut spec = spec("orders");
        spec.source.endpoint = database("::1", "u");
        spec.sink.endpoint = database("t", "u");
        assert!(databases(&spec).is_empty());
        let test = |address: &str| Constraint {
            attribute: format!("${{attr.reach.{address}}}"),
            operator: "is_set".into(),
            value: String::new(),
        };
        spec.constraints.push(test("[::1]:3306"));
        spec.sink.constraints.push(test("t:3306"));
        let found: Vec<String> = databases(&spec).into_iter().map(|(address, _)| address).collect();
        assert_eq!((found, foreign(&spec)), (vec!["[::1]:3306".into(), "t:3306".into()], None));
        spec.sink.constraints.push(test("t:3307"));
        assert_eq!(foreign(&spec), Some("t:3307"));
    }
}
