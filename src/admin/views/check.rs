//! The answer of `check`. See the folder for the rules of all views.

use serde::{Deserialize, Serialize};

use crate::core::check::{Check, Checks};

/// Answer of `check`: every prerequisite of the job, as one peer had it looked at. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// The job's name.
    pub name: String,
    /// Name of the peer that asked the others.
    pub as_seen_by: String,
    /// Nothing fails.
    pub ok: bool,
    /// Every check, those of the source first.
    pub checks: Vec<Check>,
}

impl CheckView {
    /// The view of a report.
    #[must_use]
    pub fn of(name: &str, as_seen_by: &str, checks: Checks) -> Self {
        Self {
            name: name.to_owned(),
            as_seen_by: as_seen_by.to_owned(),
            ok: checks.is_ok(),
            checks: checks.0,
        }
    }
}
