//! Collects every fault of one file before it is refused, each with line and column.
//!
//! Filled by the readers of cluster.toml and job.toml, in any order; handed out in the order of the text. Words the
//! faults, so that all of them sound alike.

use std::collections::BTreeSet;

use crate::config::document::{Found, Node};
use crate::core::fault::{Fault, Faults};

/// The codes of one kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes {
    pub syntax: &'static str,
    pub unknown: &'static str,
    pub kind: &'static str,
    pub value: &'static str,
    pub missing: &'static str,
    pub later: &'static str,
}

/// Codes of cluster.toml, and of the flags and variables over it.
pub(crate) const CLUSTER: Codes = Codes {
    syntax: "PEER1001",
    unknown: "PEER1002",
    kind: "PEER1003",
    value: "PEER1004",
    missing: "PEER1005",
    later: "PEER1006",
};

/// Codes of job.toml.
pub(crate) const JOB: Codes = Codes {
    syntax: "PEER1101",
    unknown: "PEER1102",
    kind: "PEER1103",
    value: "PEER1104",
    missing: "PEER1105",
    later: "PEER1106",
};

/// Faults with the place they were found at.
pub(crate) struct FaultList {
    lines: Vec<usize>,
    text: String,
    codes: Codes,
    faults: Vec<(usize, Fault)>,
    damaged_lines: BTreeSet<usize>,
}

impl FaultList {
    /// The place of what no file says: flags and variables. Sorted behind the file's faults.
    pub(crate) const OUTSIDE: usize = usize::MAX;

    pub(crate) fn new(text: &str, codes: Codes) -> Self {
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self {
            lines,
            text: text.to_owned(),
            codes,
            faults: Vec::new(),
            damaged_lines: BTreeSet::new(),
        }
    }

    /// The text is not TOML here.
    pub(crate) fn syntax(&mut self, at: usize, message: &str) {
        // One slip often makes several errors in its line; the first says it.
        let (line, column) = self.line_and_column(at);
        if self.damaged_lines.insert(line) {
            let object = format!("line {line}, column {column}");
            self.add(at, Fault::new(self.codes.syntax, object, message, "TOML", "mend this line"));
        }
    }

    /// Nobody knows this key.
    pub(crate) fn unknown(&mut self, key: &str, at: usize, known: &[&str]) {
        let last = key.rsplit('.').next().unwrap_or(key);
        let nearest = known.iter().map(|word| (distance(last, word), *word)).min();
        let fix = match nearest {
            Some((far, word)) if far <= 2 => format!("write `{word}`"),
            _ => "remove it".to_owned(),
        };
        let expected = format!("one of {}", known.join(", "));
        self.add(
            at,
            Fault::new(self.codes.unknown, self.object(key, Some(at)), "unknown key", expected, fix),
        );
    }

    /// The key holds a value of another type. Names the type only: the value may be a secret.
    pub(crate) fn wrong_type(&mut self, key: &str, node: &Node<'_>, expected: &str, fix: &str) {
        let at = node.span().start;
        let found = format!("a value of type {}", node.get_ref().type_str());
        self.add(
            at,
            Fault::new(self.codes.kind, self.object(key, Some(at)), found, expected, fix),
        );
    }

    /// The value cannot be meant.
    pub(crate) fn value<T>(&mut self, place: &Found<T>, found: &str, expected: &str, fix: &str) {
        let fault = Fault::new(
            self.codes.value,
            self.object(&place.key, Some(place.at)),
            found,
            expected,
            fix,
        );
        self.add(place.at, fault);
    }

    /// A key that must be there is not; `at` is its table's place.
    pub(crate) fn missing(&mut self, key: &str, at: Option<usize>, expected: &str, fix: &str) {
        let object = match at {
            Some(_) => format!("`{key}` in the table at {}", self.place(at)),
            None => format!("`{key}`"),
        };
        // Behind damaged syntax anything may seem to be missing.
        if self.damaged_lines.is_empty() {
            self.add(
                at.unwrap_or(self.text.len()),
                Fault::new(self.codes.missing, object, "nothing", expected, fix),
            );
        }
    }

    /// A later version can do this.
    pub(crate) fn later(&mut self, key: &str, at: usize, found: &str, allowed: &str) {
        let object = self.object(key, Some(at));
        let found = format!("{found}: not yet in this version");
        self.add(
            at,
            Fault::new(self.codes.later, object, found, allowed, format!("use {allowed}")),
        );
    }

    /// A fault made elsewhere, at this place.
    pub(crate) fn elsewhere(&mut self, at: usize, key: &str, mut fault: Fault) {
        fault.object = format!("{}: {}", self.object(key, Some(at)), fault.object);
        self.add(at, fault);
    }

    /// Returns the value when nothing is wrong, else every fault in the order of the text.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Faults> {
        self.faults.sort_by_key(|(at, _)| *at);
        let faults = Faults(self.faults.into_iter().map(|(_, fault)| fault).collect());
        match value {
            Some(value) => faults.or(value),
            None => {
                assert!(!faults.is_empty(), "a value is only absent after a fault");
                Err(faults)
            }
        }
    }

    fn add(&mut self, at: usize, fault: Fault) {
        // The parser puts a placeholder without a place where it could not read a value.
        let is_placeholder = at == 0 && !self.damaged_lines.is_empty();
        let is_echo = is_placeholder || self.damaged_lines.contains(&self.line_and_column(at).0);
        let is_echo = is_echo && fault.code != self.codes.syntax;
        if !is_echo {
            self.faults.push((at, fault));
        }
    }

    fn object(&self, key: &str, at: Option<usize>) -> String {
        if at == Some(Self::OUTSIDE) {
            return format!("`{key}`");
        }
        format!("`{key}` at {}", self.place(at))
    }

    fn place(&self, at: Option<usize>) -> String {
        let (line, column) = self.line_and_column(at.unwrap_or(self.text.len()));
        format!("line {line}, column {column}")
    }

    /// Both count from 1; columns count characters.
    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let before = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// Levenshtein distance, for the hint behind a misspelt key. Keys are short.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_near_the_right_one() {
        assert_eq!(distance("batch_byte", "batch_bytes"), 1);
        assert_eq!(distance("strat", "start"), 2);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn columns_count_characters() {
        let list = FaultList::new("a\näö = 1", JOB);
        assert_eq!(list.line_and_column("a\näö".len()), (2, 3));
    }
}
