//! What `peer check` asks the peers that reach the two databases, what they answer, and the report made of it.
//!
//! Made by `actors::check`, answered by `mysql::preflight` through `actors::incoming`, shown by `admin`. Travels as JSON: fields are
//! only ever added. Source and target may be reached by different peers, so what is compared travels as facts.

use serde::{Deserialize, Serialize};

use crate::core::fault::{Fault, Faults};
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::JobSpec;
use crate::core::shape::{Column, TableName};
use crate::core::table_choice::choose_one;
use crate::core::table_writers::{Own, Writer};

/// What a finding is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The source database.
    Source,
    /// The target database.
    Target,
    /// The peers.
    #[default]
    Cluster,
}

impl Side {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Cluster => "cluster",
        }
    }
}

/// What one peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Does it reach the two databases?
    Reach,
    /// Look at the source.
    Source,
    /// Look at the target, with what was found on the source.
    Target,
    /// Which other jobs go into the tables of `Question::own` on the target?
    Writers,
}

/// A question to one peer. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What.
    pub part: Part,
    /// The job.
    pub spec: JobSpec,
    /// What was found on the source; only with `Part::Target`, and not when it could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceFacts>,
    /// The job is in the job table: what it has on the target is its own.
    #[serde(default)]
    pub is_known: bool,
    /// Other jobs of the cluster that go into the same tables; only with `Part::Target`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writers: Vec<Writer>,
    /// Under which numbers the job would read the binlog; only with `Part::Source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaIds>,
    /// The job's tables; only with `Part::Writers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<Own>,
}

/// What a replica is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaIds {
    /// Its `server_id`.
    pub server_id: u32,
    /// Its UUID.
    pub uuid: String,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The answering peer's wall clock when the question came, microseconds since 1970.
    #[serde(default)]
    pub received_us: i64,
    /// And when it answered.
    #[serde(default)]
    pub answered_us: i64,
    /// Why it does not reach the source; None with `Part::Reach`: it does.
    #[serde(default)]
    pub source_lost: Option<NotReached>,
    /// Why it does not reach the target.
    #[serde(default)]
    pub target_lost: Option<NotReached>,
    /// What it found.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What the target's side needs to know.
    #[serde(default)]
    pub source: Option<SourceFacts>,
    /// The clock of the database that was looked at.
    #[serde(default)]
    pub clock: Option<ClockReading>,
    /// Other jobs that go into the same tables, as the target knows them; only of `Part::Writers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writers: Vec<Writer>,
}

impl Question {
    /// A question about a job that is not in the job table.
    #[must_use]
    pub fn of(part: Part, spec: &JobSpec) -> Self {
        Self {
            part,
            spec: spec.clone(),
            source: None,
            is_known: false,
            writers: Vec::new(),
            replica: None,
            own: Vec::new(),
        }
    }
}

/// Why a database is not reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReached {
    /// What failed.
    pub fault: Fault,
    /// The server answered, and refused: another peer fares no better.
    pub is_refused: bool,
}

/// How far a clock is ahead of the one it was compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// Microseconds; negative: it is behind.
    pub ahead_us: i64,
    /// How wrong that may be at most: half of the round trip.
    pub within_us: u64,
}

impl ClockReading {
    /// The reading of a clock that said `theirs` while the own one went from `asked` to `answered`.
    #[must_use]
    pub fn of(asked: i64, theirs: i64, answered: i64) -> Self {
        let trip = answered.saturating_sub(asked).max(0);
        Self {
            ahead_us: theirs.saturating_sub(asked.saturating_add(trip / 2)),
            within_us: trip.unsigned_abs() / 2,
        }
    }

    /// The sum of two: of a clock against a second one, and of that against a third.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        Self {
            ahead_us: self.ahead_us.saturating_add(other.ahead_us),
            within_us: self.within_us.saturating_add(other.within_us),
        }
    }
}

/// What the checks of the target compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// The server.
    pub server: ServerFacts,
    /// The job's tables.
    pub tables: Vec<TableFacts>,
    /// Tables of the job that are not in `tables`: they could not be read, or there are too many.
    #[serde(default)]
    pub left_out: usize,
}

impl SourceFacts {
    /// The job's tables, as they are compared with those of other jobs.
    #[must_use]
    pub fn own(&self, spec: &JobSpec) -> Vec<Own> {
        let of = |table: &TableFacts| {
            let chosen = choose_one(&spec.tables, &spec.selection, &table.source)?;
            Some(Own::of(&chosen, table.key.clone()))
        };
        self.tables.iter().filter_map(of).collect()
    }
}

/// What one server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// `@@server_uuid`.
    pub uuid: String,
    /// `@@server_id`.
    pub id: u64,
    /// `VERSION()`.
    pub version: String,
    /// Bytes.
    pub max_allowed_packet: u64,
    /// 0, 1 or 2.
    pub lower_case_table_names: u8,
    /// `@@global.time_zone`.
    pub time_zone: String,
    /// How far its local time is ahead of UTC now, minutes.
    #[serde(default)]
    pub utc_offset_minutes: i64,
}

/// One table of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// On the source.
    pub source: TableName,
    /// On the target.
    pub target: TableName,
    /// Its columns as the target shall have them.
    pub columns: Vec<Column>,
    /// Its own default collation.
    #[serde(default)]
    pub collation: Option<String>,
    /// It has a row key.
    pub has_key: bool,
    /// The columns of that key on the target, in lower case; None: told by a peer that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<String>>,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it is about.
    pub side: Side,
    /// Who looked; empty: nobody had to.
    pub peer: String,
    /// What came of it.
    #[serde(flatten)]
    pub finding: Finding,
}

/// The choice of tables, whether each can be carried, the start, what is in the target's tables, and other jobs there.
const OF_BEGINNING: [&str; 9] = [
    "PEER1121", "PEER1122", "PEER1123", "PEER1124", "PEER1362", "PEER1807", "PEER1822", "PEER1824", "PEER1826",
];

/// Everything that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks(pub Vec<Check>);

impl Checks {
    /// Adds what one side's peer, or the cluster, found.
    pub fn add(&mut self, side: Side, peer: &str, findings: impl IntoIterator<Item = Finding>) {
        let check = |finding| Check {
            side,
            peer: peer.to_owned(),
            finding,
        };
        self.0.extend(findings.into_iter().map(check));
    }

    /// Without what only a job that begins is refused for: one that goes on has its tables, and rows of its own.
    #[must_use]
    pub fn of_going_on(mut self) -> Self {
        self.0.retain(|check| !OF_BEGINNING.contains(&check.finding.id.as_str()));
        self
    }

    /// Nothing fails.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.0.iter().all(|check| check.finding.severity < Severity::Fail)
    }

    /// What no job can be begun with. What only the cluster lacks is not among it: a job waits for a peer.
    #[must_use]
    pub fn refusals(&self) -> Faults {
        let fails = |check: &&Check| check.side != Side::Cluster && check.finding.severity == Severity::Fail;
        Faults(self.0.iter().filter(fails).map(|check| check.finding.fault()).collect())
    }

    /// What a person should know of a job that is taken all the same.
    #[must_use]
    pub fn remarks(&self) -> Vec<Check> {
        let is_remark = |check: &&Check| check.finding.severity >= Severity::Warn;
        self.0.iter().filter(is_remark).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_taken_from_the_middle_of_the_round_trip() {
        let reading = ClockReading::of(1_000, 5_400, 1_800);
        assert_eq!((reading.ahead_us, reading.within_us), (4_000, 400));
        let sum = reading.beside(ClockReading {
            ahead_us: -1_000,
            within_us: 100,
        });
        assert_eq!((sum.ahead_us, sum.within_us), (3_000, 500));
    }

    #[test]
    fn a_job_waits_for_a_peer_and_is_refused_for_a_database() {
        let bad = |severity| Finding::bad(severity, "PEER1", "o", "f", "e", "x");
        let mut checks = Checks::default();
        checks.add(Side::Cluster, "", [bad(Severity::Fail)]);
        assert!(!checks.is_ok() && checks.refusals().is_empty());
        checks.add(Side::Target, "sh-1", [bad(Severity::Fail), bad(Severity::Warn)]);
        assert_eq!((checks.refusals().0.len(), checks.remarks().len()), (1, 3));
    }

    #[test]
    fn a_job_that_goes_on_is_not_refused_for_what_it_began_with() {
        let bad = |id| Finding::bad(Severity::Fail, id, "o", "f", "e", "x");
        let mut checks = Checks::default();
        checks.add(Side::Source, "sh-1", [bad("PEER1807"), bad("PEER1351")]);
        let left: Vec<String> = checks
            .of_going_on()
            .refusals()
            .0
            .into_iter()
            .map(|fault| fault.code)
            .collect();
        assert_eq!(left, ["PEER1351"]);
    }

    #[test]
    fn a_check_is_one_flat_object() {
        let check = Check {
            side: Side::Source,
            peer: "sh-1".into(),
            finding: Finding::ok("PEER1353", "log_bin", "ON"),
        };
        let json = serde_json::to_value(&check).expect("json");
        assert_eq!(
            json,
            serde_json::json!({"side": "source", "peer": "sh-1", "id": "PEER1353", "severity": "ok", "object": "log_bin",
                "found": "ON", "expected": "ON", "fix": ""})
        );
    }
}
