//! The constraint language: where a task may run, in the operators people know from Nomad.
//!
//! `config` checks constraints to refuse what makes no sense; `core::placement` compiles and asks them for each peer,
//! `core::preference` those of affinities. A side that starts with `${` is a variable as a whole, anything else a literal;
//! all values are text. What `distinct_…` means for two tasks is in docs/decisions/0004-constraints.md.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use crate::core::attribute_name;
use crate::core::fault::Fault;
use crate::core::job_spec::Constraint;
use crate::core::member::Attributes;
use crate::core::version_constraint::{Dialect, VersionRule};

/// Largest compiled pattern, in bytes. Trades patterns nobody writes for bounded memory; a guess.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The operators; the `expected` of a fault.
const OPERATORS: &str = "one of =, ==, is, !=, not, <, <=, >, >=, regexp, set_contains, set_contains_all, set_contains_any, \
     version, semver, is_set, is_not_set, distinct_hosts, distinct_property";

/// Operators that bind a single peer to a value; the `expected` of a fault of an affinity.
const GRADED: [&str; 15] = [
    "=",
    "==",
    "is",
    "!=",
    "not",
    "<",
    "<=",
    ">",
    ">=",
    "regexp",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
    "version",
    "semver",
];

/// A constraint that makes sense, ready to be asked.
#[derive(Clone, Debug)]
pub struct Rule {
    text: String,
    left: Side,
    right: Side,
    test: Test,
}

#[derive(Clone, Debug)]
enum Side {
    Literal(String),
    Variable(String),
}

/// Where the right side is a variable, a pattern or version is read when asked (None).
#[derive(Clone, Debug)]
enum Test {
    Equal,
    Differ,
    Ordered(fn(Ordering) -> bool),
    Matches(Option<Regex>),
    ContainsAll,
    ContainsAny,
    Version(Dialect, Option<VersionRule>),
    IsSet,
    IsNotSet,
    /// False: written, but switched off.
    DistinctHosts(bool),
    /// Most tasks of the job that share the value.
    DistinctProperty(u32),
}

/// Found, expected, fix.
type Refusal = (String, String, String);

fn refusal(found: impl Into<String>, expected: impl Into<String>, fix: impl Into<String>) -> Refusal {
    (found.into(), expected.into(), fix.into())
}

/// Everything that is wrong with a constraint that a person has just written.
#[must_use]
pub fn check(constraint: &Constraint) -> Vec<Fault> {
    let sides = [&constraint.attribute, &constraint.value];
    let mut faults: Vec<Fault> = sides.into_iter().filter_map(|side| check_name(constraint, side)).collect();
    faults.extend(compile(constraint).err());
    faults
}

/// Everything that is wrong with the test of an affinity.
#[must_use]
pub fn check_graded(constraint: &Constraint) -> Vec<Fault> {
    let mut faults = check(constraint);
    let operator = constraint.operator.as_str();
    if !GRADED.contains(&operator) && OPERATORS.split([' ', ',']).any(|word| word == operator) {
        let expected = format!("one of {}", GRADED.join(", "));
        let refused = refusal(
            format!("operator `{operator}` in an affinity"),
            expected,
            "use [[constraint]]",
        );
        faults.push(fault(constraint, refused));
    }
    faults
}

/// What is wrong with a variable by its name; None for a literal.
#[must_use]
pub fn check_name(constraint: &Constraint, side: &str) -> Option<Fault> {
    let name = side.strip_prefix("${")?.strip_suffix('}')?;
    let fix = attribute_name::check(name).err()?;
    Some(fault(
        constraint,
        refusal(format!("attribute `{name}`"), attribute_name::EXPECTED, fix),
    ))
}

fn fault(constraint: &Constraint, (found, expected, fix): Refusal) -> Fault {
    Fault::new("PEER1107", format!("`{}`", show(constraint)), found, expected, fix)
}

/// Gives a constraint its meaning, or says what is wrong with it. Takes names it does not know: a newer peer may.
pub fn compile(constraint: &Constraint) -> Result<Rule, Fault> {
    let refuse = |refused: Refusal| fault(constraint, refused);
    let operator = constraint.operator.as_str();
    check_attribute(constraint).map_err(refuse)?;
    let (left, right) = (
        side_of(&constraint.attribute).map_err(refuse)?,
        side_of(&constraint.value).map_err(refuse)?,
    );
    check_value(operator, &constraint.value).map_err(refuse)?;
    let test = test_of(operator, &right).map_err(refuse)?;
    let text = show(constraint);
    Ok(Rule { text, left, right, test })
}

fn check_attribute(constraint: &Constraint) -> Result<(), Refusal> {
    let attribute = constraint.attribute.as_str();
    if constraint.operator == "distinct_hosts" {
        if attribute.is_empty() {
            return Ok(());
        }
        let found = format!("attribute `{attribute}`");
        return Err(refusal(found, "no attribute beside this operator", "remove `attribute`"));
    }
    if attribute.is_empty() {
        return Err(refusal("no attribute", "an attribute", "attribute = \"${node.datacenter}\""));
    }
    let looks_bare = ["node.", "meta.", "attr."].iter().any(|prefix| attribute.starts_with(prefix));
    let must_vary = constraint.operator == "distinct_property" && !attribute.starts_with("${");
    if looks_bare || must_vary {
        let found = format!("`{attribute}`, a literal");
        let fix = format!("attribute = \"${{{attribute}}}\"");
        return Err(refusal(found, "a variable in `${…}`", fix));
    }
    Ok(())
}

fn check_value(operator: &str, value: &str) -> Result<(), Refusal> {
    match operator {
        "is_set" | "is_not_set" if !value.is_empty() => {
            let found = format!("value `{value}`");
            Err(refusal(found, "no value beside this operator", "remove `value`"))
        }
        "is_set" | "is_not_set" | "distinct_hosts" | "distinct_property" => Ok(()),
        _ if value.is_empty() => {
            let expected = format!("a value for operator `{operator}`");
            Err(refusal("no value", expected, "value = \"shanghai\""))
        }
        _ => Ok(()),
    }
}

fn test_of(operator: &str, right: &Side) -> Result<Test, Refusal> {
    Ok(match operator {
        "=" | "==" | "is" => Test::Equal,
        "!=" | "not" => Test::Differ,
        "<" => Test::Ordered(Ordering::is_lt),
        "<=" => Test::Ordered(Ordering::is_le),
        ">" => Test::Ordered(Ordering::is_gt),
        ">=" => Test::Ordered(Ordering::is_ge),
        "regexp" => Test::Matches(right.literal().map(checked_pattern).transpose()?),
        "set_contains" | "set_contains_all" => Test::ContainsAll,
        "set_contains_any" => Test::ContainsAny,
        "version" => versions(Dialect::Version, right)?,
        "semver" => versions(Dialect::Semver, right)?,
        "is_set" => Test::IsSet,
        "is_not_set" => Test::IsNotSet,
        "distinct_hosts" => match right.literal() {
            Some("" | "true") => Test::DistinctHosts(true),
            Some("false") => Test::DistinctHosts(false),
            _ => return Err(refusal(right.found(), "`true` or `false`", "distinct_hosts = true")),
        },
        "distinct_property" => match right.literal().map(|text| if text.is_empty() { "1" } else { text }.parse()) {
            Some(Ok(count)) if count > 0 => Test::DistinctProperty(count),
            _ => return Err(refusal(right.found(), "a whole number from 1", "value = \"1\"")),
        },
        _ => return Err(refusal(format!("operator `{operator}`"), OPERATORS, "operator = \"=\"")),
    })
}

fn versions(dialect: Dialect, right: &Side) -> Result<Test, Refusal> {
    let expected = match dialect {
        Dialect::Version => "versions behind =, !=, >, <, >=, <= or ~>, between commas",
        Dialect::Semver => "versions behind =, !=, >, <, >= or <=, between commas, with `-` before a pre-release",
    };
    let read = |text: &str| {
        VersionRule::parse(text, dialect)
            .map_err(|term| refusal(format!("version `{term}`"), expected, "value = \">= 1.2, < 2\""))
    };
    Ok(Test::Version(dialect, right.literal().map(read).transpose()?))
}

fn checked_pattern(pattern: &str) -> Result<Regex, Refusal> {
    pattern_of(pattern).map_err(|error| {
        let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
        refusal(
            format!("pattern `{pattern}`: {reason}"),
            "a regular expression",
            "value = \"^sh-\"",
        )
    })
}

impl Rule {
    /// True when a peer with these attributes satisfies it, whatever runs elsewhere.
    #[must_use]
    pub fn holds(&self, attributes: &Attributes) -> bool {
        let (left, right) = (self.left.resolve(attributes), self.right.resolve(attributes));
        match &self.test {
            Test::IsSet | Test::DistinctProperty(_) => left.is_some(),
            Test::IsNotSet => left.is_none(),
            Test::DistinctHosts(_) => true,
            // A missing attribute counts as empty here: a peer without it passes (Nomad does the same).
            Test::Differ => left.unwrap_or_default() != right.unwrap_or_default(),
            _ => match (left, right) {
                (Some(left), Some(right)) => self.both(left, right),
                _ => false,
            },
        }
    }

    /// True when one task of the job may run on a peer with these attributes beside the other one's peer.
    #[must_use]
    pub fn holds_beside(&self, own: &Attributes, other: &Attributes) -> bool {
        const ID: &str = "node.unique.id";
        match &self.test {
            Test::DistinctHosts(is_on) => !is_on || own.get(ID) != other.get(ID),
            Test::DistinctProperty(count) => *count > 1 || self.left.resolve(own) != self.left.resolve(other),
            _ => true,
        }
    }

    /// True for the rules that look at both tasks of a job.
    #[must_use]
    pub fn is_about_both(&self) -> bool {
        matches!(self.test, Test::DistinctHosts(_) | Test::DistinctProperty(_))
    }

    /// True for `distinct_hosts`, switched on or off.
    #[must_use]
    pub fn is_about_hosts(&self) -> bool {
        matches!(self.test, Test::DistinctHosts(_))
    }

    fn both(&self, left: &str, right: &str) -> bool {
        match &self.test {
            Test::Equal => left == right,
            Test::Ordered(accepts) => compare(left, right).is_some_and(accepts),
            Test::Matches(Some(regex)) => regex.is_match(left),
            Test::Matches(None) => pattern_of(right).is_ok_and(|regex| regex.is_match(left)),
            Test::ContainsAll => elements(left).is_superset(&elements(right)),
            Test::ContainsAny => !elements(left).is_disjoint(&elements(right)),
            Test::Version(_, Some(rule)) => rule.holds(left),
            Test::Version(dialect, None) => VersionRule::parse(right, *dialect).is_ok_and(|rule| rule.holds(left)),
            Test::Differ | Test::IsSet | Test::IsNotSet | Test::DistinctHosts(_) | Test::DistinctProperty(_) => {
                unreachable!("decided without both sides")
            }
        }
    }

    /// The value of the left side at a peer with these attributes.
    #[must_use]
    pub fn left_of<'a>(&'a self, attributes: &'a Attributes) -> Option<&'a str> {
        self.left.resolve(attributes)
    }

    /// The constraint as people wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Side {
    fn resolve<'a>(&'a self, attributes: &'a Attributes) -> Option<&'a str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Variable(name) => attributes.get(name).map(String::as_str),
        }
    }

    fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Variable(_) => None,
        }
    }

    fn found(&self) -> String {
        match self {
            Self::Literal(text) => format!("value `{text}`"),
            Self::Variable(name) => format!("value `${{{name}}}`, a variable"),
        }
    }
}

/// Returns the constraint in one line.
#[must_use]
pub fn show(constraint: &Constraint) -> String {
    let parts = [&constraint.attribute, &constraint.operator, &constraint.value];
    let written: Vec<&str> = parts
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    written.join(" ")
}

fn side_of(side: &str) -> Result<Side, Refusal> {
    let Some(rest) = side.strip_prefix("${") else {
        return Ok(Side::Literal(side.to_owned()));
    };
    match rest.strip_suffix('}').filter(|name| !name.is_empty()) {
        Some(name) => Ok(Side::Variable(attribute_name::canonical(name).to_owned())),
        None => Err(refusal(
            format!("attribute `{side}`"),
            "a name in `${…}`",
            "attribute = \"${node.datacenter}\"",
        )),
    }
}

/// Whole numbers as such, else numbers, else text. None when one of them is not a number that has an order.
fn compare(left: &str, right: &str) -> Option<Ordering> {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return Some(left.cmp(&right));
    }
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.partial_cmp(&right),
        _ => Some(left.cmp(right)),
    }
}

fn pattern_of(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build()
}

fn elements(list: &str) -> BTreeSet<&str> {
    list.split(',').map(str::trim).collect()
}

#[cfg(test)]
#[path = "constraint_tests.rs"]
mod tests;
