//! What of a job may change while it runs: `peer set JOB link.rate="10 MB/s"`.
//!
//! Made by `config::job_set` from text, put into a spec by `job_operations::set`. Values are within the bounds of job.toml.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::core::conflict::{Check, OnConflict};
use crate::core::size::{show_rate, show_size, show_time};

/// One field of a spec and its new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `link.rate` in bytes per second; 0: unlimited.
    Rate(u64),
    /// `link.batch_bytes`.
    BatchBytes(u64),
    /// `link.batch_delay` in milliseconds.
    BatchDelayMs(u64),
    /// `apply.group_transactions`.
    GroupTransactions(u64),
    /// `apply.group_bytes`.
    GroupBytes(u64),
    /// `apply.check`.
    Check(Check),
    /// `sink.on_conflict`.
    OnConflict(OnConflict),
}

impl Setting {
    /// Section and field of the stored spec, and the value.
    fn parts(self) -> (&'static str, &'static str, Value) {
        match self {
            Self::Rate(value) => ("link", "rate_bytes", value.into()),
            Self::BatchBytes(value) => ("link", "batch_bytes", value.into()),
            Self::BatchDelayMs(value) => ("link", "batch_delay_ms", value.into()),
            Self::GroupTransactions(value) => ("apply", "group_transactions", value.into()),
            Self::GroupBytes(value) => ("apply", "group_bytes", value.into()),
            Self::Check(value) => ("apply", "check", word(&value)),
            Self::OnConflict(value) => ("sink", "on_conflict", word(&value)),
        }
    }

    /// Writes the value into a spec, leaving what this version does not know of it.
    pub fn put(self, spec: &mut Value) {
        let (section, field, value) = self.parts();
        let Some(fields) = spec.as_object_mut() else { return };
        let section = fields.entry(section.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        if let Some(section) = section.as_object_mut() {
            // As a spec is stored: the default is absent.
            match (self, value) {
                (Self::Check(Check::Key) | Self::OnConflict(OnConflict::Pause), _) => drop(section.remove(field)),
                (_, value) => drop(section.insert(field.to_owned(), value)),
            }
        }
    }
}

/// A word as the spec stores it.
fn word(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("a word is text")
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(bytes) => write!(f, "link.rate = {}", show_rate(*bytes)),
            Self::BatchBytes(bytes) => write!(f, "link.batch_bytes = {}", show_size(*bytes)),
            Self::BatchDelayMs(ms) => write!(f, "link.batch_delay = {}", show_time(Duration::from_millis(*ms))),
            Self::GroupTransactions(count) => write!(f, "apply.group_transactions = {count}"),
            Self::GroupBytes(bytes) => write!(f, "apply.group_bytes = {}", show_size(*bytes)),
            Self::Check(check) => write!(f, "apply.check = {}", word(check)),
            Self::OnConflict(what) => write!(f, "sink.on_conflict = {}", word(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_changes_its_field_and_nothing_else() {
        let mut spec = json!({"name": "orders", "link": {"rate_bytes": 0, "later": true}});
        Setting::Rate(10_000_000).put(&mut spec);
        Setting::GroupBytes(1 << 20).put(&mut spec);
        let expected = json!({
            "name": "orders", "link": {"rate_bytes": 10_000_000, "later": true}, "apply": {"group_bytes": 1 << 20}
        });
        assert_eq!(spec, expected);
    }

    #[test]
    fn a_word_that_is_the_default_leaves_no_trace() {
        let mut spec = json!({"sink": {}, "apply": {}});
        Setting::OnConflict(OnConflict::SourceWins).put(&mut spec);
        Setting::Check(Check::Image).put(&mut spec);
        assert_eq!(
            spec,
            json!({"sink": {"on_conflict": "source-wins"}, "apply": {"check": "image"}})
        );
        Setting::OnConflict(OnConflict::Pause).put(&mut spec);
        Setting::Check(Check::Key).put(&mut spec);
        assert_eq!(spec, json!({"sink": {}, "apply": {}}));
    }
}
