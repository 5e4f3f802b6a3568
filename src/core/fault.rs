//! A refusal as people read it: which object, what was found, what was expected, what to do.
//!
//! Made wherever something is refused (config, preflight, effect errors), collected in `Faults` so that a list comes whole,
//! printed on a terminal by `Display` and sent as JSON in the shape of DESIGN 1.5. Holds no secret: whoever makes a fault
//! puts `***` in place of a password.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// `PEERnnnn`, stable: scripts and docs/errors refer to it.
    pub code: String,
    /// What is refused: a key with line and column, a table, a peer, a server.
    pub object: String,
    /// What was found there.
    pub found: String,
    /// What would have been right.
    pub expected: String,
    /// What to do, with a value or a statement that works.
    pub fix: String,
}

impl Fault {
    /// Returns a fault of these parts.
    #[must_use]
    pub fn new(
        code: &'static str,
        object: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code: code.to_owned(),
            object: object.into(),
            found: found.into(),
            expected: expected.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.object)?;
        for (label, text) in [("found", &self.found), ("expected", &self.expected), ("fix", &self.fix)] {
            if !text.is_empty() {
                write!(f, "\n  {:<9} {}", format!("{label}:"), text.replace('\n', "\n            "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// Everything that is wrong with one thing, in the order it was found. As an error it is never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// True when nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `value` when nothing is wrong, else all faults.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// Returns the body of `{"error": …}` of DESIGN 1.5: the first fault's fields, and all of them in `faults`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("strings always serialize")
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The inner object of DESIGN 1.5: the object of a fault is called `what` there.
#[derive(Serialize, Deserialize)]
struct ErrorBody {
    code: String,
    what: String,
    found: String,
    expected: String,
    fix: String,
    #[serde(default)]
    faults: Vec<Fault>,
}

impl Serialize for Faults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first = self.0.first();
        let field = |pick: fn(&Fault) -> &String| first.map(pick).cloned().unwrap_or_default();
        ErrorBody {
            code: field(|f| &f.code),
            what: field(|f| &f.object),
            found: field(|f| &f.found),
            expected: field(|f| &f.expected),
            fix: field(|f| &f.fix),
            faults: self.0.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Faults {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = ErrorBody::deserialize(deserializer)?;
        if !body.faults.is_empty() {
            return Ok(Self(body.faults));
        }
        Ok(Self(vec![Fault {
            code: body.code,
            object: body.what,
            found: body.found,
            expected: body.expected,
            fix: body.fix,
        }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Faults {
        Faults(vec![
            Fault::new(
                "PEER1101",
                "`link.rat` at 3:1",
                "unknown key",
                "one of `rate`",
                "write `rate`",
            ),
            Fault::new("PEER1102", "`source.port` at 9:8", "`0`", "1 to 65535", "port = 3306"),
        ])
    }

    #[test]
    fn a_list_of_faults_reads_line_by_line() {
        assert_eq!(
            example().to_string(),
            "PEER1101 `link.rat` at 3:1\n  found:    unknown key\n  expected: one of `rate`\n  fix:      write `rate`\n\
             PEER1102 `source.port` at 9:8\n  found:    `0`\n  expected: 1 to 65535\n  fix:      port = 3306"
        );
    }

    #[test]
    fn json_is_the_error_body_of_the_contract_and_comes_back() {
        let json = example().to_json();
        assert_eq!(json["code"], "PEER1101");
        assert_eq!(json["what"], "`link.rat` at 3:1");
        assert_eq!(json["faults"].as_array().map(Vec::len), Some(2));
        let back: Faults = serde_json::from_value(json).expect("reads back");
        assert_eq!(back, example());
    }
}
