//! Answer of `history`, and the concurrent versions of `status`. See the folder for the rules of all views.

use serde::{Deserialize, Serialize};

/// Answer of `history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHistoryView {
    /// The job's name.
    pub name: String,
    /// Which life of the name.
    pub incarnation: u64,
    /// Version of its text; None: purged.
    pub version: Option<u64>,
    /// Newest first.
    pub events: Vec<EventView>,
}

/// One event of a job's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Version of the job's text when it happened, or that it made.
    pub version: u64,
    /// When.
    pub at: Option<String>,
    /// Who asked.
    pub by: Option<String>,
    /// `submit`, `edit`, `set`, `revert`, `stop`, `pause`, `failed`, `resume`, `restart`, `purge`.
    pub what: String,
    /// In words.
    pub note: Option<String>,
    /// One per field; None: it changed no text, or the text before it is not kept any more.
    pub changes: Option<Vec<String>>,
    /// Its text is the one in force.
    pub in_force: bool,
    /// Its text is kept: `revert` can go back to it.
    pub kept: bool,
}

/// One of several versions that were written without knowing of each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcurrentView {
    /// Its number; two may have the same.
    pub version: u64,
    /// When it was written.
    pub at: Option<String>,
    /// Who wrote it.
    pub by: Option<String>,
    /// It is the one in force until an edit decides.
    pub in_force: bool,
    /// How it differs from the one in force, or from the newest while none is.
    pub changes: Vec<String>,
}
