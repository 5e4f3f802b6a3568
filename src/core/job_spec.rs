//! What a person asks for: the valid job, every option typed.
//!
//! Made by `config::job` from job.toml (which refuses what this version cannot do yet), kept as canonical JSON in the job
//! table, sent to the source in `Subscribe`. Unknown fields cannot occur: `config` refused them.

use serde::{Deserialize, Serialize};

use crate::core::change::BinlogPosition;
use crate::core::conflict::{Check, ConflictPolicy, OnConflict};
use crate::core::ddl_policy::DdlPolicy;
use crate::core::gtid_set::GtidSet;
use crate::core::ids::JobName;
use crate::core::job_policy::{Policy, ReschedulePolicy, RestartPolicy};
use crate::core::shape::TableName;
use crate::core::table_choice::Selection;

/// A valid job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job's name.
    pub name: JobName,
    /// Globs of datacenters both tasks may run in; empty: any.
    pub datacenters: Vec<String>,
    /// Bind both tasks.
    pub constraints: Vec<Constraint>,
    /// Where changes come from.
    pub source: SourceSpec,
    /// Where they go.
    pub sink: SinkSpec,
    /// Exact tables that go as they are; empty when `selection` has rules, and for every table of the source.
    pub tables: Vec<TableName>,
    /// The link between the two peers.
    pub link: LinkSpec,
    /// How changes are applied.
    pub apply: ApplySpec,
    /// Wishes for both tasks.
    #[serde(default, skip_serializing_if = "Preferences::is_empty")]
    pub preferences: Preferences,
    /// How failures are answered on one peer.
    #[serde(default, skip_serializing_if = "RestartPolicy::is_default")]
    pub restart: RestartPolicy,
    /// And over peers.
    #[serde(default, skip_serializing_if = "ReschedulePolicy::is_default")]
    pub reschedule: ReschedulePolicy,
    /// Other tables, and what becomes of them. Absent in the stored text of a job of exact tables.
    #[serde(default, skip_serializing_if = "Selection::is_empty")]
    pub selection: Selection,
}

impl JobSpec {
    /// How failures are answered.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            restart: self.restart,
            reschedule: self.reschedule,
        }
    }

    /// How rows are checked, and what is done with those that do not fit.
    #[must_use]
    pub fn conflict_policy(&self) -> ConflictPolicy {
        ConflictPolicy {
            on_conflict: self.sink.on_conflict,
            check: self.apply.check,
        }
    }
}

/// The source database and its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Where the database is.
    pub endpoint: DatabaseSpec,
    /// Where the job begins.
    pub start: StartPoint,
    /// Bind the source task only.
    pub constraints: Vec<Constraint>,
    /// Wishes for the source task.
    #[serde(default, skip_serializing_if = "Preferences::is_empty")]
    pub preferences: Preferences,
}

/// The target database and its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// Where the database is.
    pub endpoint: DatabaseSpec,
    /// Schema of peer's own tables on the target.
    pub meta_schema: String,
    /// Bind the sink task only.
    pub constraints: Vec<Constraint>,
    /// Wishes for the sink task.
    #[serde(default, skip_serializing_if = "Preferences::is_empty")]
    pub preferences: Preferences,
    /// What to do with changes of definitions. Absent in the stored text when all are carried out.
    #[serde(default, skip_serializing_if = "DdlPolicy::is_default")]
    pub on_ddl: DdlPolicy,
    /// What to do with a row that does not fit. Absent in the stored text when the job pauses.
    #[serde(default, skip_serializing_if = "OnConflict::is_default")]
    pub on_conflict: OnConflict,
    /// Triggers on the job's tables are dropped instead of refused. Absent in the stored text when not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_triggers: bool,
}

/// How to reach one MySQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSpec {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Account.
    pub user: String,
    /// Its password, or where to read it.
    pub password: Secret,
    /// Transport security.
    pub tls: TlsMode,
    /// PEM file of the CA, read on the peer that runs the task.
    pub tls_ca: Option<String>,
}

/// A password, or where the peer that runs the task finds it. Debug and Display print `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// The text itself.
    Text(String),
    /// Name of an environment variable.
    Env(String),
    /// Path of a file; a trailing newline is cut.
    File(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// DESIGN 1.3 `tls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Never.
    Disabled,
    /// When the server offers it; any certificate.
    #[default]
    Preferred,
    /// Always; any certificate.
    Required,
    /// Always; the certificate chains to `ca`.
    VerifyCa,
    /// Always; and it names the host.
    VerifyIdentity,
}

/// DESIGN 1.3 `start`. Variants are only added: stored jobs hold their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPoint {
    /// Copy, then follow.
    Snapshot,
    /// Copy, then end.
    SnapshotOnly,
    /// Follow from the present.
    Now,
    /// These are already on the target: follow with the next ones.
    Gtid(GtidSet),
    /// Everything before this position is already on the target.
    File(BinlogPosition),
}

/// One constraint as written; `core::constraint` gives it meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Left side, `${node.datacenter}`; a literal when it does not start with `${`.
    pub attribute: String,
    /// Operator as written, default `=`.
    pub operator: String,
    /// Right side.
    pub value: String,
}

/// Wishes about where a task runs: they order the peers that may run it. Absent in the stored text when there are none, so
/// that a job from before they existed reads and compares as it did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// Draw to or away from peers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinities: Vec<Affinity>,
    /// Share tasks out over the values of an attribute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spreads: Vec<Spread>,
}

impl Preferences {
    /// No wishes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.affinities.is_empty() && self.spreads.is_empty()
    }
}

/// One wish about peers that satisfy a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affinity {
    /// Which peers.
    #[serde(flatten)]
    pub test: Constraint,
    /// How much, from -100 (away) to 100 (towards), never 0.
    pub weight: i32,
}

/// One wish to share tasks out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Over the values of this, `${meta.rack}`.
    pub attribute: String,
    /// How much it counts beside other spreads, from 1 to 100.
    pub weight: u32,
    /// Shares by value; none: even.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<SpreadTarget>,
}

/// The share of one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpreadTarget {
    /// The value.
    pub value: String,
    /// Its share of the tasks, from 0 to 100.
    pub percent: u32,
}

/// DESIGN 1.3 `[link]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// `lz4` or `none`.
    pub compression: Compression,
    /// Bytes per second after compression; 0: unlimited.
    pub rate_bytes: u64,
    /// Bytes of rows a batch aims at.
    pub batch_bytes: u64,
    /// Longest wait for a fuller batch.
    pub batch_delay_ms: u64,
}

/// Codec of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// LZ4 block, skipped when it does not pay.
    Lz4,
    /// As they are.
    None,
}

/// DESIGN 1.3 `[apply]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplySpec {
    /// Most source transactions in one target transaction when behind.
    pub group_transactions: u64,
    /// Most bytes of them.
    pub group_bytes: u64,
    /// What of the row found is compared. Absent in the stored text when it is the key.
    #[serde(default, skip_serializing_if = "Check::is_default")]
    pub check: Check,
}
