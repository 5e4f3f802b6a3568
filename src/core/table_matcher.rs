//! Names and patterns of tables, compiled, and the new names that their groups give.
//!
//! Used by `core::table_choice` for each rule and exclude, and by `core::table_writers` for rules of other jobs.

use regex::{Captures, Regex};

use crate::core::shape::TableName;
use crate::core::table_choice::{NamePattern, Renaming, TablePattern, compile};

/// A pattern that is no regular expression, and why not.
pub(super) struct BadPattern {
    pub pattern: String,
    pub reason: String,
}

/// A choice of names, compiled.
pub(super) struct Matcher {
    schema: Name,
    table: Option<Name>,
}

enum Name {
    Exact(String),
    Regex(Regex),
}

impl Name {
    fn of(pattern: &NamePattern) -> Result<Self, BadPattern> {
        match pattern {
            NamePattern::Exact(name) => Ok(Self::Exact(name.clone())),
            NamePattern::Regex(inner) => compile(inner).map(Self::Regex).map_err(|error| BadPattern {
                pattern: inner.clone(),
                reason: error.to_string(),
            }),
        }
    }

    fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Regex(regex) => regex.is_match(name),
        }
    }

    fn captures<'a>(&self, name: &'a str) -> Option<Captures<'a>> {
        match self {
            Self::Exact(_) => None,
            Self::Regex(regex) => regex.captures(name),
        }
    }
}

impl Matcher {
    pub fn of(pattern: &TablePattern) -> Result<Self, BadPattern> {
        Ok(Self {
            schema: Name::of(&pattern.schema)?,
            table: pattern.table.as_ref().map(Name::of).transpose()?,
        })
    }

    /// The one table it can mean.
    pub fn exact(&self) -> Option<TableName> {
        match (&self.schema, &self.table) {
            (Name::Exact(schema), Some(Name::Exact(table))) => Some(TableName {
                schema: schema.clone(),
                table: table.clone(),
            }),
            _ => None,
        }
    }

    pub fn captures<'a>(&self, name: &'a TableName) -> Option<Groups<'a>> {
        let is_match = self.schema.is_match(&name.schema) && self.table.as_ref().is_none_or(|table| table.is_match(&name.table));
        let schema = self.schema.captures(&name.schema);
        let table = self.table.as_ref().and_then(|table| table.captures(&name.table));
        is_match.then_some(Groups { schema, table })
    }
}

/// What the groups of the patterns stand for in one name.
pub(super) struct Groups<'a> {
    schema: Option<Captures<'a>>,
    table: Option<Captures<'a>>,
}

impl Groups<'_> {
    /// A schema's name takes the schema's groups first, a table's the table's.
    pub fn renamed(&self, name: &TableName, to: &Renaming) -> TableName {
        let (schema, table) = (self.schema.as_ref(), self.table.as_ref());
        let part = |template: &Option<String>, old: &str, groups: Option<&Captures<'_>>| match (template, groups) {
            (None, _) => old.to_owned(),
            (Some(text), None) => text.clone(),
            (Some(text), Some(groups)) => {
                let mut filled = String::new();
                groups.expand(&braced(text), &mut filled);
                filled
            }
        };
        TableName {
            schema: part(&to.schema, &name.schema, schema.or(table)),
            table: part(&to.table, &name.table, table.or(schema)),
        }
    }
}

/// Some table that the pattern fits may get this name. Groups stand for anything.
pub(super) fn leads_to(which: &TablePattern, to: &Renaming, name: &TableName) -> bool {
    let fits = |template: &Option<String>, pattern: Option<&NamePattern>, name: &str| match (template, pattern) {
        (Some(template), _) => Regex::new(&any_of(template)).is_ok_and(|regex| regex.is_match(name)),
        (None, Some(pattern)) => Name::of(pattern).is_ok_and(|pattern| pattern.is_match(name)),
        (None, None) => true,
    };
    fits(&to.schema, Some(&which.schema), &name.schema) && fits(&to.table, which.table.as_ref(), &name.table)
}

/// The expression of every name that a template can become.
fn any_of(template: &str) -> String {
    let mut parts = template.split('$');
    let mut text = regex::escape(parts.next().unwrap_or_default());
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        text.push_str(if rest.len() < part.len() { ".*" } else { "\\$" });
        text.push_str(&regex::escape(rest));
    }
    format!("(?i)^{text}$")
}

/// `$1_old` means group 1 and `_old`, where the regex crate would look for a group of that whole name.
fn braced(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        text.push_str(before);
        if digits == 0 {
            text.push_str("$$");
        } else {
            text.push_str(&format!("${{{}}}", &after[..digits]));
        }
        rest = &after[digits..];
    }
    text.push_str(rest);
    text
}
