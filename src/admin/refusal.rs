//! A command that was not done: what kind of refusal it is, and every fault that led to it.
//!
//! Made by `parse` and by the `Cluster` implementation; `http` turns the kind into a status code, the command line into
//! an exit code. The JSON is `{"error":{"code","what","found","expected","fix","faults":[…]}}` at every door.
//! Codes PEER1051–1069 are the doors' own.

use serde::{Deserialize, Serialize};

use crate::core::fault::{Fault, Faults};

/// Why a command was not done; decides the HTTP status, nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The command is not one, or misses something: 400.
    Usage,
    /// What was sent has faults: 400.
    Invalid,
    /// No such job or peer: 404.
    Unknown,
    /// It exists with another content, or in another version than expected: 409.
    Exists,
    /// This peer cannot answer now; try again, or another peer: 503.
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

/// A refused command. Nothing was changed, unless a fault says that this is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// Everything that is wrong, the most important first.
    pub faults: Faults,
}

/// `{"error": …}`: the body of every refusal, at every door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The first fault in full, and all of them.
    pub error: Faults,
}

impl Refusal {
    /// A refusal of this kind for one fault or many.
    pub fn new(kind: RefusalKind, faults: impl Into<Faults>) -> Self {
        Self {
            kind,
            faults: faults.into(),
        }
    }

    /// What was sent has these faults.
    pub fn invalid(faults: impl Into<Faults>) -> Self {
        Self::new(RefusalKind::Invalid, faults)
    }

    /// The command names a job nobody knows.
    #[must_use]
    pub fn unknown_job(name: &str) -> Self {
        let fix = "see `peer jobs` for the names; a job submitted elsewhere may still be on its way to this peer";
        let fault = Fault::new("PEER1051", format!("job `{name}`"), "no such job", "the name of a job", fix);
        Self::new(RefusalKind::Unknown, fault)
    }

    /// The command names a peer nobody knows.
    #[must_use]
    pub fn unknown_peer(name: &str) -> Self {
        let fix = "see `peer members` for the names and, with --json, the ids";
        let fault = Fault::new(
            "PEER1067",
            format!("peer `{name}`"),
            "no such peer",
            "the name or id of a peer",
            fix,
        );
        Self::new(RefusalKind::Unknown, fault)
    }

    /// This peer cannot answer now.
    #[must_use]
    pub fn not_ready(what: &str, found: &str) -> Self {
        let fix = "try again in a few seconds, or ask another peer with --address";
        let fault = Fault::new("PEER1052", what, found, "a peer that is ready", fix);
        Self::new(RefusalKind::NotReady, fault)
    }

    /// The command is not written as it should be.
    #[must_use]
    pub fn usage(what: &str, found: &str, expected: &str, fix: &str) -> Self {
        Self::new(RefusalKind::Usage, Fault::new("PEER1053", what, found, expected, fix))
    }

    /// A command that a later version will have.
    #[must_use]
    pub fn not_yet(name: &str) -> Self {
        let fix = "use a later version; `help` lists what this one does";
        let expected = "a command of this version";
        Self::invalid(Fault::new(
            "PEER1054",
            format!("`{name}`"),
            "not yet in this version",
            expected,
            fix,
        ))
    }

    /// The JSON body of every door.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: self.faults.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_repeats_the_first_fault_and_lists_all() {
        let fault = |code| Fault::new(code, "port", "70000", "1 to 65535", "choose a port");
        let faults = Faults(vec![fault("PEER1101"), fault("PEER1102")]);
        let json = serde_json::to_value(Refusal::invalid(faults).body()).expect("serializes");
        assert_eq!(json["error"]["code"], "PEER1101");
        assert_eq!(json["error"]["faults"].as_array().map(Vec::len), Some(2));
    }
}
