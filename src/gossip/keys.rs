//! What peers tell each other by gossip: every key, its encoding and its limits, in one place.
//!
//! `membership` publishes the facts made here, `view` reads them back from others. Values are short text: gossip sends a
//! whole value in one packet and stops for ever at one that does not fit (facts 6.2), so a long one is refused here. Additive:
//! a new key must have a meaning when it is absent, because older peers do not send it.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::JobName;
use crate::core::member::TaskCounts;
use crate::core::placement::Task;
use crate::gossip::error::GossipError;

/// The task in a fact; gossip's callers know it by this name.
pub use crate::core::placement::Task as TaskKind;

/// Most bytes of one value. A value of 64 KiB blocks gossip for ever, measured; an eighth leaves room for the digest.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of all keys and values of one peer: they fit one packet of 64 KiB after compression.
pub const TOTAL_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of the state of one task: 60 tasks fit beside everything else.
pub const TASK_BYTES_MAX: usize = 1024;

const _: () = assert!(TASK_BYTES_MAX <= VALUE_BYTES_MAX && VALUE_BYTES_MAX < TOTAL_BYTES_MAX);

const NAME: &str = "name";
const DATACENTER: &str = "datacenter";
const CLASS: &str = "class";
const META: &str = "meta";
const ATTRIBUTES: &str = "attributes";
const VERSION: &str = "version";
const ADMIN: &str = "admin";
const HTTP: &str = "http";
const CAPACITY: &str = "capacity";
const DRAINING: &str = "draining";
const LEAVING: &str = "leaving";
const REACH: &str = "reach";
const TABLE: &str = "table";
const TASKS: &str = "tasks";
const TASK: &str = "task.";

/// Facts that stay as they are while a peer runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Label.
    pub name: String,
    /// Site.
    pub datacenter: String,
    /// Free word.
    pub class: String,
    /// Free tags.
    pub meta: BTreeMap<String, String>,
    /// Fingerprinted facts.
    pub attributes: BTreeMap<String, String>,
    /// Version of its program.
    pub version: String,
    /// Its admin shell.
    pub admin: String,
    /// Its HTTP door.
    pub http: String,
}

/// Why a peer will be gone soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It does not come back by itself.
    ForGood,
    /// It starts again at once, for an upgrade.
    Restart,
}

/// One running task as its peer tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskFact {
    /// The job.
    pub job: JobName,
    /// Which task of it.
    pub kind: Task,
    /// Small JSON of the task actor; gossip does not look into it.
    pub state: String,
}

/// What a peer changes about itself while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Most tasks it takes.
    Capacity(u32),
    /// It takes no new task.
    Draining(bool),
    /// It will be gone.
    Leaving(Leaving),
    /// Addresses of the databases it reached lately; `core::reach` bounds them.
    Reach(BTreeSet<String>),
    /// Hash of its whole job table.
    TableRoot(String),
    /// How many tasks it runs.
    Tasks(TaskCounts),
    /// One of them.
    Task(TaskFact),
}

/// Everything read from one peer's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What does not change.
    pub profile: Profile,
    /// Most tasks it takes.
    pub capacity: u32,
    /// It takes no new task.
    pub is_draining: bool,
    /// It said that it will be gone.
    pub leaving: Option<Leaving>,
    /// Addresses of the databases it reached lately.
    pub reach: BTreeSet<String>,
    /// Hash of its job table; None before it said one.
    pub table_root: Option<String>,
    /// How many tasks it runs.
    pub counts: TaskCounts,
    /// Each of them.
    pub tasks: Vec<TaskFact>,
}

impl Profile {
    /// Returns the profile as keys and values.
    #[must_use]
    pub fn encode(&self) -> BTreeMap<String, String> {
        let json = |map: &BTreeMap<String, String>| serde_json::to_string(map).expect("a map of strings serializes");
        BTreeMap::from([
            (NAME.to_owned(), self.name.clone()),
            (DATACENTER.to_owned(), self.datacenter.clone()),
            (CLASS.to_owned(), self.class.clone()),
            (META.to_owned(), json(&self.meta)),
            (ATTRIBUTES.to_owned(), json(&self.attributes)),
            (VERSION.to_owned(), self.version.clone()),
            (ADMIN.to_owned(), self.admin.clone()),
            (HTTP.to_owned(), self.http.clone()),
        ])
    }
}

impl Fact {
    /// Returns the fact as key and value.
    #[must_use]
    pub fn encode(&self) -> (String, String) {
        match self {
            Self::Capacity(capacity) => (CAPACITY.to_owned(), capacity.to_string()),
            Self::Draining(is_draining) => (DRAINING.to_owned(), is_draining.to_string()),
            Self::Leaving(leaving) => (LEAVING.to_owned(), leaving.word().to_owned()),
            Self::Reach(reach) => {
                let json = serde_json::to_string(reach).expect("a list of strings serializes");
                (REACH.to_owned(), json)
            }
            Self::TableRoot(hash) => (TABLE.to_owned(), hash.clone()),
            Self::Tasks(counts) => (TASKS.to_owned(), format!("{} {}", counts.source, counts.sink)),
            Self::Task(task) => (task_key(&task.job, task.kind), task.state.clone()),
        }
    }
}

impl Leaving {
    /// A restart, or for good.
    #[must_use]
    pub fn of(is_restart: bool) -> Self {
        if is_restart { Self::Restart } else { Self::ForGood }
    }

    fn word(self) -> &'static str {
        match self {
            Self::ForGood => "left",
            Self::Restart => "restart",
        }
    }

    /// Any word that is not known here still means that the peer goes.
    fn from_word(word: &str) -> Self {
        Self::of(word == Self::Restart.word())
    }
}

/// Returns the key of one task, `task.<job>.<kind>`; names of jobs hold no dot.
#[must_use]
pub fn task_key(job: &JobName, kind: Task) -> String {
    format!("{TASK}{job}.{}", kind.as_str())
}

fn task_of(key: &str) -> Option<(JobName, Task)> {
    let (job, kind) = key.strip_prefix(TASK)?.rsplit_once('.')?;
    let kind = [Task::Source, Task::Sink].into_iter().find(|known| known.as_str() == kind)?;
    Some((JobName(job.to_owned()), kind))
}

/// Refuses a key or value that gossip could not carry.
pub fn check(key: &str, value: &str) -> Result<(), GossipError> {
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(GossipError::BadKey { key: key.to_owned() });
    }
    let expected = if key.starts_with(TASK) {
        TASK_BYTES_MAX
    } else {
        VALUE_BYTES_MAX
    };
    if value.len() > expected {
        return Err(GossipError::ValueTooLong {
            key: key.to_owned(),
            found: value.len(),
            expected,
        });
    }
    Ok(())
}

/// Refuses a set of facts that gossip could not carry.
pub fn check_total(own: &BTreeMap<String, String>) -> Result<(), GossipError> {
    let found: usize = own.iter().map(|(key, value)| key.len() + value.len()).sum();
    if found > TOTAL_BYTES_MAX {
        return Err(GossipError::TotalTooLong {
            found,
            expected: TOTAL_BYTES_MAX,
        });
    }
    Ok(())
}

/// Reads a peer's keys. None while its profile has not arrived whole; unknown keys are passed over, an unreadable value
/// counts as its default.
#[must_use]
pub fn decode(pairs: &BTreeMap<String, String>) -> Option<Told> {
    let text = |key: &str| pairs.get(key).cloned();
    let map = |key: &str| pairs.get(key).map(|json| serde_json::from_str(json).unwrap_or_default());
    let profile = Profile {
        name: text(NAME)?,
        datacenter: text(DATACENTER)?,
        class: text(CLASS)?,
        meta: map(META)?,
        attributes: map(ATTRIBUTES)?,
        version: text(VERSION)?,
        admin: text(ADMIN)?,
        http: text(HTTP)?,
    };
    let task = |(key, state): (&String, &String)| {
        let (job, kind) = task_of(key)?;
        let state = state.clone();
        Some(TaskFact { job, kind, state })
    };
    Some(Told {
        profile,
        capacity: pairs.get(CAPACITY)?.parse().unwrap_or_default(),
        is_draining: pairs.get(DRAINING).is_some_and(|value| value == "true"),
        leaving: pairs.get(LEAVING).map(|word| Leaving::from_word(word)),
        reach: pairs
            .get(REACH)
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default(),
        table_root: text(TABLE),
        counts: pairs.get(TASKS).map(|value| counts_of(value)).unwrap_or_default(),
        tasks: pairs.iter().filter_map(task).collect(),
    })
}

fn counts_of(value: &str) -> TaskCounts {
    let mut numbers = value.split(' ').map(|number| number.parse().unwrap_or_default());
    TaskCounts {
        source: numbers.next().unwrap_or_default(),
        sink: numbers.next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            name: "sh-1".into(),
            datacenter: "shanghai".into(),
            class: String::new(),
            meta: [("rack".to_owned(), "r \"1\"".to_owned())].into(),
            attributes: [("kernel.name".to_owned(), "linux".to_owned())].into(),
            version: "0.1.0".into(),
            admin: "10.0.0.1:7701".into(),
            http: "10.0.0.1:7702".into(),
        }
    }

    fn task(job: &str, kind: Task) -> TaskFact {
        TaskFact {
            job: JobName(job.into()),
            kind,
            state: r#"{"epoch":4}"#.into(),
        }
    }

    #[test]
    fn what_a_peer_tells_is_read_back() {
        let facts = [
            Fact::Capacity(32),
            Fact::Draining(true),
            Fact::Leaving(Leaving::Restart),
            Fact::Reach(["10.0.0.9:3306".to_owned()].into()),
            Fact::TableRoot("ab".into()),
            Fact::Tasks(TaskCounts { source: 1, sink: 2 }),
            Fact::Task(task("a-b_c", Task::Sink)),
            Fact::Task(task("a-b_c", Task::Source)),
        ];
        let mut pairs = profile().encode();
        pairs.extend(facts.iter().map(Fact::encode));
        assert_eq!(
            decode(&pairs),
            Some(Told {
                profile: profile(),
                capacity: 32,
                is_draining: true,
                leaving: Some(Leaving::Restart),
                reach: ["10.0.0.9:3306".to_owned()].into(),
                table_root: Some("ab".into()),
                counts: TaskCounts { source: 1, sink: 2 },
                tasks: vec![task("a-b_c", Task::Sink), task("a-b_c", Task::Source)],
            })
        );
    }

    #[test]
    fn a_profile_in_parts_is_not_a_peer_yet() {
        let mut whole = profile().encode();
        whole.extend([Fact::Capacity(1).encode()]);
        assert!(decode(&whole).is_some());
        for key in whole.keys() {
            let mut part = whole.clone();
            part.remove(key);
            assert_eq!(decode(&part), None, "without {key}");
        }
    }

    #[test]
    fn keys_and_values_of_a_newer_version_do_no_harm() {
        let mut pairs = profile().encode();
        for (key, value) in [
            ("capacity", "many"),
            ("tasks", "x"),
            ("task.orders.mirror", "{}"),
            ("leaving", "sideways"),
            ("reach", "{}"),
            ("future", "1"),
        ] {
            pairs.insert(key.into(), value.into());
        }
        let told = decode(&pairs).expect("the profile is whole");
        assert_eq!((told.capacity, told.counts, told.tasks.len()), (0, TaskCounts::default(), 0));
        assert_eq!(told.leaving, Some(Leaving::ForGood));
    }

    #[test]
    fn what_gossip_cannot_carry_is_refused() {
        assert!(check("meta", &"x".repeat(VALUE_BYTES_MAX)).is_ok());
        assert!(check("meta", &"x".repeat(VALUE_BYTES_MAX + 1)).is_err());
        assert!(check("task.a.sink", &"x".repeat(TASK_BYTES_MAX + 1)).is_err());
        assert!(check("größe", "1").is_err());
        assert!(check("", "1").is_err());
        let many: BTreeMap<String, String> = (0..9).map(|n| (format!("k{n}"), "x".repeat(VALUE_BYTES_MAX))).collect();
        assert!(check_total(&many).is_err());
    }
}
