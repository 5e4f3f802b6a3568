//! One line of `peer check`: what was looked at, what was found, what would be right, and the SQL that makes it so.
//!
//! Made by `mysql::preflight`, travels to whoever asked, printed by `admin`.

use serde::{Deserialize, Serialize};

use crate::core::fault::{Fault, Faults};

/// How bad it is, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// The job runs; a person should know.
    Warn,
    /// The job cannot run.
    Fail,
}

impl Severity {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable number of the check, `PEERnnnn`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub object: String,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub expected: String,
    /// The statement or the change that makes it right; empty when it is.
    pub fix: String,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(id: &str, object: impl Into<String>, found: impl Into<String>) -> Self {
        let found = found.into();
        Self {
            id: id.into(),
            severity: Severity::Ok,
            object: object.into(),
            expected: found.clone(),
            found,
            fix: String::new(),
        }
    }

    /// Not as it should be.
    #[must_use]
    pub fn bad(
        severity: Severity,
        id: &str,
        object: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            severity,
            object: object.into(),
            found: found.into(),
            expected: expected.into(),
            fix: fix.into(),
        }
    }

    /// A refusal of the job as a finding that fails.
    #[must_use]
    pub fn of_fault(fault: Fault) -> Self {
        Self::bad(
            Severity::Fail,
            &fault.code,
            fault.object,
            fault.found,
            fault.expected,
            fault.fix,
        )
    }

    /// The finding as a refusal.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault {
            code: self.id.clone(),
            object: self.object.clone(),
            found: self.found.clone(),
            expected: self.expected.clone(),
            fix: self.fix.clone(),
        }
    }
}

/// The findings of at least this severity, as a refusal.
#[must_use]
pub fn faults(findings: &[Finding], least: Severity) -> Faults {
    let bad = findings.iter().filter(|finding| finding.severity >= least);
    Faults(bad.map(Finding::fault).collect())
}
