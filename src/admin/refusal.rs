//! A command that was not done: what kind of refusal it is, and every fault that led to it.
//!
//! Made by `parse` and by the `Cluster` implementation; `http` turns the kind into a status code, the command line into
//! an exit code. The JSON is `{"error":{"code","what","found","expected","fix","faults":[…]}}` at every door.

use serde::{Deserialize, Serialize};

/// Why a command was not done; decides status and exit code, nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The command is not one, or misses something: HTTP 400, exit code 2.
    Usage,
    /// What was sent has faults: HTTP 400, exit code 1.
    Invalid,
    /// No such job: HTTP 404.
    Unknown,
    /// It exists with another content, or another version than expected: HTTP 409.
    Exists,
    /// This peer cannot answer now; try again, or another peer: HTTP 503.
    NotReady,
}

impl RefusalKind {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Usage | Self::Invalid => 400,
            Self::Unknown => 404,
            Self::Exists => 409,
            Self::NotReady => 503,
        }
    }
}

/// A refused command. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// Everything that is wrong, the most important first; never empty.
    faults: Vec<FaultView>,
}

/// One fault, as every door prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// `PEERnnnn`.
    pub code: String,
    /// The object.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// What to do.
    pub fix: String,
}

/// `{"error": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The refusal.
    pub error: ErrorDetail,
}

/// The first fault in full, and all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// `PEERnnnn`.
    pub code: String,
    /// The object.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// What to do.
    pub fix: String,
    /// Every fault, the first one included.
    pub faults: Vec<FaultView>,
}

impl Refusal {
    /// A refusal for one fault.
    #[must_use]
    pub fn one(kind: RefusalKind, fault: FaultView) -> Self {
        Self {
            kind,
            faults: vec![fault],
        }
    }

    /// A refusal for several faults, told all at once.
    ///
    /// # Panics
    /// When `faults` is empty: a refusal without a reason is a bug of the caller.
    #[must_use]
    pub fn many(kind: RefusalKind, faults: Vec<FaultView>) -> Self {
        assert!(!faults.is_empty(), "a refusal names at least one fault");
        Self { kind, faults }
    }

    /// The command names a job nobody knows.
    #[must_use]
    pub fn unknown_job(name: &str) -> Self {
        let fix = "see `peer jobs` for the names; the job may not have reached this peer yet";
        Self::one(
            RefusalKind::Unknown,
            FaultView::new("PEER1001", &format!("job `{name}`"), "no such job", "the name of a job", fix),
        )
    }

    /// This peer cannot answer now.
    #[must_use]
    pub fn not_ready(what: &str, found: &str) -> Self {
        let fix = "try again in a few seconds, or ask another peer with --address";
        Self::one(
            RefusalKind::NotReady,
            FaultView::new("PEER1002", what, found, "a peer that is ready", fix),
        )
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn faults(&self) -> &[FaultView] {
        &self.faults
    }

    /// The JSON body of every door.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let FaultView {
            code,
            what,
            found,
            expected,
            fix,
        } = self.faults[0].clone();
        ErrorBody {
            error: ErrorDetail {
                code,
                what,
                found,
                expected,
                fix,
                faults: self.faults.clone(),
            },
        }
    }
}

impl FaultView {
    /// A fault from its parts, in the order they are printed.
    #[must_use]
    pub fn new(code: &str, what: &str, found: &str, expected: &str, fix: &str) -> Self {
        Self {
            code: code.to_owned(),
            what: what.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
            fix: fix.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_repeats_the_first_fault_and_lists_all() {
        let fault = |n: u8| FaultView::new(&format!("PEER110{n}"), "port", "70000", "1-65535", "choose a port");
        let body = Refusal::many(RefusalKind::Invalid, vec![fault(1), fault(2)]).body();
        assert_eq!(body.error.code, "PEER1101");
        assert_eq!(body.error.faults.len(), 2);
    }
}
