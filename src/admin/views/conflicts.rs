//! Answer of `conflicts`. See the folder for the rules of all views.

use serde::{Deserialize, Serialize};

use crate::core::conflict::ConflictList;

/// Answer of `conflicts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictsView {
    /// The job's name.
    pub name: String,
    /// Which life of the name.
    pub incarnation: u64,
    /// `total`, `pruned` and `conflicts`, newest first.
    #[serde(flatten)]
    pub list: ConflictList,
}
