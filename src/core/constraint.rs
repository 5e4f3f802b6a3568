//! The constraint language: where a task may run, in the operators people know from Nomad.
//!
//! `config` compiles constraints to refuse what makes no sense; `core::placement` compiles and asks them for each peer. A
//! side that starts with `${` is a variable as a whole, anything else a literal; all values are text. Ordering, version and
//! spreading operators are known by name and refused: not yet in this version.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use crate::core::fault::Fault;
use crate::core::job_spec::Constraint;
use crate::core::member::Attributes;

/// Largest compiled pattern, in bytes. Trades patterns nobody writes for bounded memory; a guess.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Names that may stand in `${…}` beside the prefixes `meta.` and `attr.`, each with the name it stands for.
const NAMES: [(&str, &str); 7] = [
    ("node.id", "node.unique.id"),
    ("node.unique.id", "node.unique.id"),
    ("node.name", "node.unique.name"),
    ("node.unique.name", "node.unique.name"),
    ("node.datacenter", "node.datacenter"),
    ("node.class", "node.class"),
    ("attr.unique.hostname", "attr.hostname"),
];

/// Operators of this version; the `expected` of a fault.
const OPERATORS: &str = "one of =, ==, is, !=, not, regexp, set_contains, set_contains_all, set_contains_any, is_set, is_not_set";
/// Operators of DESIGN 1.3 that a later version brings.
const LATER: [&str; 8] = [
    "<",
    "<=",
    ">",
    ">=",
    "version",
    "semver",
    "distinct_hosts",
    "distinct_property",
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

#[derive(Clone, Debug)]
enum Test {
    Equal,
    Differ,
    /// None: the pattern comes from a variable and is compiled when asked.
    Matches(Option<Regex>),
    ContainsAll,
    ContainsAny,
    IsSet,
    IsNotSet,
}

/// Gives a constraint its meaning, or says what is wrong with it.
pub fn compile(constraint: &Constraint) -> Result<Rule, Fault> {
    let text = show(constraint);
    let refuse = |found: String, expected: &str, fix: &str| {
        Err(Fault::new("PEER1107", format!("constraint `{text}`"), found, expected, fix))
    };
    if constraint.attribute.is_empty() {
        return refuse("no attribute".into(), "an attribute", "attribute = \"${node.datacenter}\"");
    }
    let looks_bare = ["node.", "meta.", "attr."]
        .iter()
        .any(|prefix| constraint.attribute.starts_with(prefix));
    if looks_bare {
        let fix = format!("attribute = \"${{{}}}\"", constraint.attribute);
        return refuse(format!("`{}`, a literal", constraint.attribute), "a variable in `${…}`", &fix);
    }
    let mut sides = Vec::with_capacity(2);
    for side in [&constraint.attribute, &constraint.value] {
        match side_of(side) {
            Ok(operand) => sides.push(operand),
            Err(name) => {
                let expected = "node.unique.name, node.unique.id, node.datacenter, node.class, meta.KEY or attr.KEY";
                return refuse(format!("attribute `{name}`"), expected, "attribute = \"${node.datacenter}\"");
            }
        }
    }
    let (Some(right), Some(left)) = (sides.pop(), sides.pop()) else {
        unreachable!("two sides were pushed");
    };
    let operator = constraint.operator.as_str();
    if LATER.contains(&operator) {
        return refuse(
            format!("operator `{operator}`: not yet in this version"),
            OPERATORS,
            "use an operator of this version",
        );
    }
    let needs_value = !matches!(operator, "is_set" | "is_not_set");
    if needs_value && constraint.value.is_empty() {
        return refuse(
            "no value".into(),
            &format!("a value for operator `{operator}`"),
            "value = \"shanghai\"",
        );
    }
    if !needs_value && !constraint.value.is_empty() {
        return refuse(
            format!("value `{}`", constraint.value),
            "no value beside this operator",
            "remove `value`",
        );
    }
    let test = match operator {
        "=" | "==" | "is" => Test::Equal,
        "!=" | "not" => Test::Differ,
        "regexp" => match &right {
            Side::Variable(_) => Test::Matches(None),
            Side::Literal(pattern) => match pattern_of(pattern) {
                Ok(regex) => Test::Matches(Some(regex)),
                Err(error) => {
                    let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
                    return refuse(
                        format!("pattern `{pattern}`: {reason}"),
                        "a regular expression",
                        "value = \"^sh-\"",
                    );
                }
            },
        },
        "set_contains" | "set_contains_all" => Test::ContainsAll,
        "set_contains_any" => Test::ContainsAny,
        "is_set" => Test::IsSet,
        "is_not_set" => Test::IsNotSet,
        _ => return refuse(format!("operator `{operator}`"), OPERATORS, "operator = \"=\""),
    };
    Ok(Rule { text, left, right, test })
}

impl Rule {
    /// True when a peer with these attributes satisfies it.
    #[must_use]
    pub fn holds(&self, attributes: &Attributes) -> bool {
        let (left, right) = (self.left.resolve(attributes), self.right.resolve(attributes));
        match &self.test {
            Test::IsSet => left.is_some(),
            Test::IsNotSet => left.is_none(),
            // A missing attribute counts as empty here: a peer without it passes (Nomad does the same).
            Test::Differ => left.unwrap_or_default() != right.unwrap_or_default(),
            _ => match (left, right) {
                (Some(left), Some(right)) => self.both(left, right),
                _ => false,
            },
        }
    }

    fn both(&self, left: &str, right: &str) -> bool {
        match &self.test {
            Test::Equal => left == right,
            Test::Matches(Some(regex)) => regex.is_match(left),
            Test::Matches(None) => pattern_of(right).is_ok_and(|regex| regex.is_match(left)),
            Test::ContainsAll => elements(left).is_superset(&elements(right)),
            Test::ContainsAny => !elements(left).is_disjoint(&elements(right)),
            Test::Differ | Test::IsSet | Test::IsNotSet => unreachable!("decided without both sides"),
        }
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
}

/// Returns the constraint in one line.
#[must_use]
pub fn show(constraint: &Constraint) -> String {
    let Constraint {
        attribute,
        operator,
        value,
    } = constraint;
    if value.is_empty() {
        format!("{attribute} {operator}")
    } else {
        format!("{attribute} {operator} {value}")
    }
}

/// Err holds the name that is not in the closed list.
fn side_of(side: &str) -> Result<Side, String> {
    let Some(rest) = side.strip_prefix("${") else {
        return Ok(Side::Literal(side.to_owned()));
    };
    let name = rest.strip_suffix('}').ok_or_else(|| side.to_owned())?;
    if let Some((_, canonical)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(Side::Variable((*canonical).to_owned()));
    }
    let has_key = ["meta.", "attr."]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|key| !key.is_empty()));
    if has_key {
        Ok(Side::Variable(name.to_owned()))
    } else {
        Err(name.to_owned())
    }
}

fn pattern_of(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build()
}

fn elements(list: &str) -> BTreeSet<&str> {
    list.split(',').map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraint(attribute: &str, operator: &str, value: &str) -> Constraint {
        Constraint {
            attribute: attribute.into(),
            operator: operator.into(),
            value: value.into(),
        }
    }

    fn attributes() -> Attributes {
        [
            ("node.datacenter", "shanghai"),
            ("node.unique.name", "sh-1"),
            ("node.unique.id", "ab12"),
            ("meta.reach", "m1, m2,m3"),
            ("meta.gaps", "a,,b"),
            ("meta.same", "shanghai"),
            ("meta.empty", ""),
            ("meta.bad", "("),
            ("attr.hostname", "host-1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// attribute, operator, value, does it hold
    const TRUTH: &[(&str, &str, &str, bool)] = &[
        ("${node.datacenter}", "=", "shanghai", true),
        ("${node.datacenter}", "==", "shanghai", true),
        ("${node.datacenter}", "is", "shanghai", true),
        ("${node.datacenter}", "=", "Shanghai", false),
        ("${node.datacenter}", "=", " shanghai", false),
        ("${node.datacenter}", "=", "${meta.same}", true),
        ("${node.name}", "=", "sh-1", true),
        ("${node.unique.name}", "=", "sh-1", true),
        ("${node.id}", "=", "${node.unique.id}", true),
        ("${attr.unique.hostname}", "=", "host-1", true),
        ("${meta.none}", "=", "x", false),
        ("${meta.none}", "=", "${meta.empty}", false),
        ("${meta.none}", "=", "${meta.nothing}", false),
        ("literal", "=", "literal", true),
        ("dc-${meta.same}", "=", "dc-shanghai", false),
        ("${node.datacenter}", "!=", "beijing", true),
        ("${node.datacenter}", "not", "shanghai", false),
        ("${meta.none}", "!=", "x", true),
        ("${meta.none}", "!=", "${meta.empty}", false),
        ("${node.unique.name}", "regexp", "^sh-[0-9]+$", true),
        ("${node.unique.name}", "regexp", "h-", true),
        ("${node.unique.name}", "regexp", "SH", false),
        ("${meta.none}", "regexp", ".*", false),
        ("${node.unique.name}", "regexp", "${meta.bad}", false),
        ("${meta.reach}", "set_contains", "m1,m3", true),
        ("${meta.reach}", "set_contains_all", " m2 , m1 ", true),
        ("${meta.reach}", "set_contains", "m1,m4", false),
        ("${meta.reach}", "set_contains", "m1,,m2", false),
        ("${meta.gaps}", "set_contains", "a,,b", true),
        ("${meta.none}", "set_contains", "m1", false),
        ("${meta.reach}", "set_contains_any", "m9,m2", true),
        ("${meta.reach}", "set_contains_any", "m9", false),
        ("${meta.none}", "set_contains_any", "m9", false),
        ("${meta.reach}", "is_set", "", true),
        ("${meta.empty}", "is_set", "", true),
        ("${meta.none}", "is_set", "", false),
        ("${meta.none}", "is_not_set", "", true),
        ("literal", "is_not_set", "", false),
    ];

    #[test]
    fn the_truth_table_holds_with_its_edges() {
        for (attribute, operator, value, expected) in TRUTH {
            let rule = compile(&constraint(attribute, operator, value)).expect("compiles");
            assert_eq!(rule.holds(&attributes()), *expected, "{}", rule.text());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases = [
            ("", "=", "x", "no attribute"),
            ("${node.region}", "=", "x", "attribute `node.region`"),
            ("${meta.}", "=", "x", "attribute `meta.`"),
            ("${node.class", "=", "x", "attribute `${node.class`"),
            ("${node.class}", "=", "${nope}", "attribute `nope`"),
            ("node.class", "=", "x", "`node.class`, a literal"),
            ("${node.class}", "=", "", "no value"),
            ("${node.class}", "set_contains", "", "no value"),
            ("${node.class}", "is_set", "x", "value `x`"),
            ("${node.class}", "~", "x", "operator `~`"),
        ];
        for (attribute, operator, value, found) in cases {
            let fault = compile(&constraint(attribute, operator, value)).expect_err("is refused");
            assert_eq!(fault.found, found);
        }
        let fault = compile(&constraint("${node.class}", "regexp", "(")).expect_err("is refused");
        assert!(fault.found.starts_with("pattern `(`"), "{}", fault.found);
    }

    #[test]
    fn operators_of_a_later_version_say_so() {
        for operator in LATER {
            let fault = compile(&constraint("${node.class}", operator, "1")).expect_err("is refused");
            assert!(fault.found.contains("not yet in this version"), "{}", fault.found);
        }
    }
}
