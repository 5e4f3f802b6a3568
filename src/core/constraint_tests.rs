//! The truth table of every operator, with its edges, and what is refused.

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
        ("attr.unique.hostname", "host-1"),
        ("attr.cpu.numcores", "10"),
        ("attr.kernel.version", "6.1.0-25-amd64"),
        ("meta.nine", "9a"),
        ("meta.half", "1.5e1"),
        ("meta.nan", "nan"),
        ("meta.least", ">= 6.0"),
        ("attr.future", "yes"),
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
    // Ordering: whole numbers, then numbers, then text.
    ("${attr.cpu.numcores}", "<", "9", false),
    ("${attr.cpu.numcores}", ">", "9", true),
    ("${attr.cpu.numcores}", "<=", "10", true),
    ("${attr.cpu.numcores}", ">=", "+10", true),
    ("${attr.cpu.numcores}", "<", "${meta.nine}", true),
    ("${attr.cpu.numcores}", "<", "1.05e1", true),
    ("${meta.half}", ">", "14", true),
    ("${meta.half}", "<=", "15.0", true),
    ("${meta.nan}", "<=", "${meta.nan}", false),
    ("${node.datacenter}", ">", "beijing", true),
    ("${node.datacenter}", ">=", "Shanghai", true),
    ("${meta.none}", "<", "1", false),
    ("${meta.none}", ">=", "${meta.nothing}", false),
    // Versions; the tables of core::version_constraint have the rest.
    ("${attr.kernel.version}", "version", "> 5.4", false),
    ("${attr.kernel.version}", "semver", "> 5.4", true),
    ("${attr.kernel.version}", "semver", "${meta.least}", true),
    ("${attr.kernel.version}", "semver", "${meta.bad}", false),
    ("${meta.none}", "version", ">= 0", false),
    ("${node.datacenter}", "version", ">= 0", false),
    // A name that a newer peer publishes is asked like any other.
    ("${attr.future}", "=", "yes", true),
    ("${attr.hostname}", "=", "host-1", true),
    ("${node.region}", "=", "shanghai", true),
    // Without the other task: only the property must be there.
    ("", "distinct_hosts", "", true),
    ("${meta.same}", "distinct_property", "", true),
    ("${meta.none}", "distinct_property", "2", false),
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
        ("${node.planet}", "=", "x", "attribute `node.planet`"),
        ("${attr.nomad.version}", "=", "x", "attribute `attr.nomad.version`"),
        ("${meta.}", "=", "x", "attribute `meta.`"),
        ("${node.class", "=", "x", "attribute `${node.class`"),
        ("${node.class}", "=", "${nope}", "attribute `nope`"),
        ("node.class", "=", "x", "`node.class`, a literal"),
        ("${node.class}", "=", "", "no value"),
        ("${node.class}", "set_contains", "", "no value"),
        ("${node.class}", ">=", "", "no value"),
        ("${node.class}", "is_set", "x", "value `x`"),
        ("${node.class}", "~", "x", "operator `~`"),
        ("${node.class}", "version", ">= x", "version `>= x`"),
        ("${node.class}", "semver", "~> 1.2", "version `~> 1.2`"),
        ("${node.class}", "semver", "1.2beta", "version `1.2beta`"),
        ("${node.class}", "distinct_hosts", "true", "attribute `${node.class}`"),
        ("", "distinct_hosts", "maybe", "value `maybe`"),
        ("", "distinct_property", "", "no attribute"),
        ("rack", "distinct_property", "", "`rack`, a literal"),
        ("${meta.rack}", "distinct_property", "0", "value `0`"),
        (
            "${meta.rack}",
            "distinct_property",
            "${meta.n}",
            "value `${meta.n}`, a variable",
        ),
    ];
    for (attribute, operator, value, found) in cases {
        let faults = check(&constraint(attribute, operator, value));
        let told: Vec<&str> = faults.iter().map(|fault| fault.found.as_str()).collect();
        assert_eq!(told, [found], "{attribute} {operator} {value}");
    }
    let faults = check(&constraint("${node.class}", "regexp", "("));
    assert!(faults[0].found.starts_with("pattern `(`"), "{}", faults[0].found);
}

#[test]
fn both_sides_and_the_operator_are_all_told_at_once() {
    let faults = check(&constraint("${node.planet}", "~", "${nope}"));
    let told: Vec<&str> = faults.iter().map(|fault| fault.found.as_str()).collect();
    assert_eq!(told, ["attribute `node.planet`", "attribute `nope`", "operator `~`"]);
}

#[test]
fn an_affinity_takes_only_what_has_a_value() {
    for operator in ["is_set", "is_not_set", "distinct_hosts", "distinct_property"] {
        let attribute = if operator == "distinct_hosts" { "" } else { "${node.class}" };
        let faults = check_graded(&constraint(attribute, operator, ""));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].found.ends_with("in an affinity"), "{}", faults[0].found);
    }
    for operator in GRADED {
        assert!(
            check_graded(&constraint("${node.class}", operator, "1")).is_empty(),
            "{operator}"
        );
    }
}

/// operator, value, own rack, other rack, is on the same peer, does it hold
const BESIDE: &[(&str, &str, &str, &str, bool, bool)] = &[
    ("distinct_hosts", "", "a", "a", true, false),
    ("distinct_hosts", "true", "a", "a", false, true),
    ("distinct_hosts", "false", "a", "a", true, true),
    ("distinct_property", "", "a", "a", false, false),
    ("distinct_property", "1", "a", "b", false, true),
    ("distinct_property", "2", "a", "a", true, true),
    ("=", "a", "a", "a", true, true),
];

#[test]
fn distinct_rules_look_at_the_other_task() {
    for (operator, value, own, other, is_same, expected) in BESIDE {
        let attribute = if *operator == "distinct_hosts" { "" } else { "${meta.rack}" };
        let rule = compile(&constraint(attribute, operator, value)).expect("compiles");
        let peer = |id: &str, rack: &str| {
            let facts = [("node.unique.id", id), ("meta.rack", rack)];
            Attributes::from(facts.map(|(key, value)| (key.to_owned(), value.to_owned())))
        };
        let other = peer(if *is_same { "one" } else { "two" }, other);
        assert_eq!(rule.holds_beside(&peer("one", own), &other), *expected, "{operator} {value}");
        assert_eq!(rule.is_about_both(), *operator != "=");
    }
}
