//! A command that did not succeed: its exit code and what to print.
//!
//! Made by every file of the folder, printed by `run` once: as text on stderr, with `--json` as JSON on stdout.

use crate::admin::refusal::{ErrorBody, Refusal};
use crate::cli::out;
use crate::core::fault::{Fault, Faults};

/// Refused or failed.
pub const EXIT_FAILED: u8 = 1;
/// Wrong usage.
pub const EXIT_USAGE: u8 = 2;
/// No peer answered.
pub const EXIT_NO_PEER: u8 = 3;
/// Ctrl-C, as shells say it: 128 + SIGINT.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Why the command did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: u8,
    /// Everything that is wrong.
    pub faults: Faults,
    /// The answer is on stdout already (`submit --wait --json`, `plan`, `check`): the faults, if it does not hold them itself, go to
    /// stderr as text only.
    pub is_answered: bool,
}

impl Failure {
    /// A failure with this exit code.
    pub fn new(exit: u8, faults: impl Into<Faults>) -> Self {
        Self {
            exit,
            faults: faults.into(),
            is_answered: false,
        }
    }

    /// Something on this machine failed: a file, a terminal.
    #[must_use]
    pub fn local(what: &str, found: &str, expected: &str, fix: &str) -> Self {
        Self::new(EXIT_FAILED, Fault::new("PEER1060", what, found, expected, fix))
    }

    /// Wrong usage of a kind clap does not see.
    #[must_use]
    pub fn usage(what: &str, found: &str, expected: &str, fix: &str) -> Self {
        Self::new(EXIT_USAGE, Fault::new("PEER1053", what, found, expected, fix))
    }

    /// Prints it.
    pub fn print(&self, is_json: bool) {
        if is_json && !self.is_answered {
            let body = ErrorBody {
                error: self.faults.clone(),
            };
            out::line(&serde_json::to_string(&body).expect("strings always serialize"));
        } else if !self.faults.is_empty() {
            eprintln!("{}", self.faults);
        }
    }
}

impl From<Refusal> for Failure {
    /// A refusal that was made here, without asking a peer.
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.kind {
            crate::admin::refusal::RefusalKind::Usage => EXIT_USAGE,
            _ => EXIT_FAILED,
        };
        Self::new(exit, refusal.faults)
    }
}
