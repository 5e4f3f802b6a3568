//! What an error means for the task that met it (DESIGN 2.3).
//!
//! Every error enum of an effect layer answers `disposition()`; supervision acts on nothing else.

use serde::{Deserialize, Serialize};

/// The four classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Connection lost, deadlock, lock wait: the same peer tries again after a delay.
    Retry,
    /// This peer cannot, another might: the task moves.
    Replace,
    /// Configuration, missing binlog, unsupported schema: nobody tries again until a person acts.
    Fatal,
    /// The fence was lost to a newer epoch: stop quietly.
    Superseded,
}

impl Disposition {
    /// The word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Replace => "replace",
            Self::Fatal => "fatal",
            Self::Superseded => "superseded",
        }
    }
}
