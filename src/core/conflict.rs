//! A row that does not fit: what is done with it, and what is kept and shown of it (PROTOCOLS 10).
//!
//! `config` reads the policy, `mysql::target::misfit` finds and decides, `mysql::target::conflict_store` keeps the records in the
//! target, `admin` shows them. Knows no rows: images come as readable values.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::core::gtid_set::GtidSet;

/// Records kept per job: enough to see a pattern, and bounded for a target that wins ten thousand times (guess). Older ones are only
/// counted.
pub const CONFLICTS_KEPT: u64 = 100;

/// `[sink] on_conflict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// The job stands until a person acts; nothing of the transaction is on the target.
    #[default]
    Pause,
    /// The source's row is put in the place of whatever is in its way.
    SourceWins,
    /// The change is passed over.
    TargetWins,
}

impl OnConflict {
    /// Absent in the stored text.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The word in job.toml and in the record of what was decided; a pause is recorded as `paused`.
    #[must_use]
    pub fn decision(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::SourceWins => "source-wins",
            Self::TargetWins => "target-wins",
        }
    }
}

/// `[apply] check`: what of the row found is compared with the row the source had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Its key: the row is there.
    #[default]
    Key,
    /// Every column, byte by byte.
    Image,
}

impl Check {
    /// Absent in the stored text.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How rows are checked, and what is done with those that do not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictPolicy {
    /// What is done.
    pub on_conflict: OnConflict,
    /// What is compared.
    pub check: Check,
}

/// How a row does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// The row to change or delete is not there.
    Missing,
    /// A row is there that has the key, or a unique value, of the new one.
    Duplicate,
    /// The row to change or delete is another one than the source had (`check = "image"`).
    Different,
}

impl ConflictKind {
    /// The word in the record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Duplicate => "duplicate",
            Self::Different => "different",
        }
    }
}

/// A row as people read it: columns in order. NULL is null, whole numbers are numbers, binary is `0x…`, all else is text; long values
/// are cut and say so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image(pub Vec<(String, Value)>);

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = Image;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row as an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Image, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Image(columns))
            }
        }
        deserializer.deserialize_map(Columns)
    }
}

/// The change of the source that did not fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incoming {
    /// `insert`, `update` or `delete`; empty for a transaction that was passed over.
    pub operation: String,
    /// The row as the source had it; None for an insert.
    pub before: Option<Image>,
    /// The row as the source has it; None for a delete.
    pub after: Option<Image>,
}

/// One conflict as it is recorded and shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Its number among all of the job's incarnation, from 1.
    pub number: u64,
    /// When it was decided, by the target's clock, RFC 3339 UTC.
    pub at: String,
    /// The table, as the target has it; empty for a transaction that was passed over as a whole.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// `missing`, `duplicate`, `different`; `skip` for a transaction that was passed over without a conflict before.
    pub kind: String,
    /// The key of the row, as SQL.
    pub key: String,
    /// The source transaction; empty for a row of the copy.
    pub gtid: String,
    /// Where it ends in the source's binlog.
    pub binlog_file: String,
    /// And the offset in it.
    pub binlog_pos: u64,
    /// The change.
    #[serde(flatten)]
    pub incoming: Incoming,
    /// The rows on the target that are in its way; none when nothing was found.
    pub found: Vec<Image>,
    /// `paused`, `source-wins`, `target-wins`, `skipped`, or `mended`: it paused the job and fitted when it was tried again.
    pub decision: String,
    /// Who passed it over.
    pub author: String,
    /// And why.
    pub reason: String,
}

/// What `peer conflicts` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConflictList {
    /// All that there were.
    pub total: u64,
    /// Those that are only counted any more.
    pub pruned: u64,
    /// The kept ones, newest first.
    pub conflicts: Vec<Conflict>,
}

/// What a target holds of a job, for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetLook {
    /// All GTIDs that are applied or passed.
    pub executed: GtidSet,
    /// The rows that did not fit.
    pub list: ConflictList,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_the_order_of_its_columns_through_json() {
        let image = Image(vec![
            ("z".into(), Value::Null),
            ("a".into(), 1.into()),
            ("m".into(), "0x41".into()),
        ]);
        let text = serde_json::to_string(&image).expect("writes");
        assert_eq!(text, r#"{"z":null,"a":1,"m":"0x41"}"#);
        assert_eq!(serde_json::from_str::<Image>(&text).expect("reads"), image);
    }

    #[test]
    fn the_change_lies_flat_in_the_record() {
        let conflict = Conflict {
            number: 3,
            incoming: Incoming {
                operation: "delete".into(),
                before: Some(Image(vec![("id".into(), 1.into())])),
                after: None,
            },
            ..Conflict::default()
        };
        let value = serde_json::to_value(&conflict).expect("writes");
        assert_eq!((&value["operation"], &value["before"]["id"]), (&"delete".into(), &1.into()));
        assert!(value["after"].is_null());
        assert_eq!(serde_json::from_value::<Conflict>(value).expect("reads"), conflict);
    }
}
