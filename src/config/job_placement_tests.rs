//! Every form of a constraint, affinity and spread, and what is refused of them.

use crate::config::job::parse_job;
use crate::core::job_spec::JobSpec;

const JOB: &str = r#"
name = "orders"
[source]
host = "10.0.0.1"
user = "repl"
[sink]
host = "10.0.0.2"
user = "apply"
[[tables]]
schema = "shop"
table = "orders"
"#;

fn job(tail: &str) -> JobSpec {
    parse_job(&format!("{JOB}{tail}")).unwrap_or_else(|faults| panic!("{tail}: {faults}"))
}

fn faults(tail: &str) -> Vec<String> {
    let faults = parse_job(&format!("{JOB}{tail}")).expect_err("is refused");
    let line = |fault: &crate::core::fault::Fault| format!("{} {} | {}", fault.code, fault.object, fault.found);
    faults.0.iter().map(line).collect()
}

#[test]
fn each_short_form_is_its_long_form() {
    let forms = [
        ("version = \">= 1\"", ">= 1", "version"),
        ("semver = \"> 5.4\"", "> 5.4", "semver"),
        ("regexp = \"^sh\"", "^sh", "regexp"),
        ("set_contains = \"a\"", "a", "set_contains"),
        ("set_contains_all = \"a,b\"", "a,b", "set_contains_all"),
        ("set_contains_any = \"a,b\"", "a,b", "set_contains_any"),
        ("is_set = true", "", "is_set"),
        ("is_not_set = true", "", "is_not_set"),
    ];
    for (short, value, operator) in forms {
        let head = "[[sink.constraint]]\nattribute = \"${meta.x}\"\n";
        let long_value = if value.is_empty() {
            String::new()
        } else {
            format!("value = \"{value}\"\n")
        };
        let long = job(&format!("{head}operator = \"{operator}\"\n{long_value}"));
        assert_eq!(job(&format!("{head}{short}\n")), long, "{short}");
    }
    let long = job("[[constraint]]\noperator = \"distinct_hosts\"\nvalue = \"true\"\n");
    assert_eq!(job("[[constraint]]\ndistinct_hosts = true\n"), long);
    let long = job("[[constraint]]\noperator = \"distinct_property\"\nattribute = \"${meta.rack}\"\nvalue = \"2\"\n");
    assert_eq!(job("[[constraint]]\ndistinct_property = \"${meta.rack}\"\nvalue = 2\n"), long);
}

#[test]
fn a_job_may_ask_only_who_reaches_its_own_databases() {
    let asks = |address: &str| format!("[[sink.constraint]]\nattribute = \"${{attr.reach.{address}}}\"\nis_set = true\n");
    job(&(asks("10.0.0.2:3306") + &asks("10.0.0.1:3306")));
    let found = faults(&asks("10.0.0.3:3306"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`${attr.reach.10.0.0.3:3306}`"), "{found:?}");
}

#[test]
fn a_round_trip_time_is_refused_since_no_peer_tells_one() {
    let found = faults("[[constraint]]\nattribute = \"${attr.rtt.beijing}\"\nvalue = \"5\"\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("| attribute `attr.rtt.beijing`"), "{found:?}");
}

#[test]
fn wishes_are_read_at_each_level_with_their_defaults() {
    let spec = job(r#"
[[affinity]]
attribute = "${node.datacenter}"
value = "beijing"
[[source.affinity]]
attribute = "${attr.cpu.numcores}"
operator = ">="
value = 8
weight = -100
[[sink.spread]]
attribute = "${meta.rack}"
[[spread]]
attribute = "${node.datacenter}"
weight = 100
[[spread.target]]
value = "beijing"
percent = 70
[[spread.target]]
value = "shanghai"
percent = 30
"#);
    assert_eq!(
        (
            spec.preferences.affinities[0].weight,
            spec.source.preferences.affinities[0].weight
        ),
        (50, -100)
    );
    assert_eq!(spec.source.preferences.affinities[0].test.value, "8");
    assert_eq!(
        (spec.sink.preferences.spreads[0].weight, spec.preferences.spreads[0].weight),
        (50, 100)
    );
    let shares: Vec<u32> = spec.preferences.spreads[0]
        .targets
        .iter()
        .map(|target| target.percent)
        .collect();
    assert_eq!(shares, [70, 30]);
    let json = serde_json::to_value(&spec).expect("writes");
    assert_eq!(serde_json::from_value::<JobSpec>(json).expect("reads"), spec);
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    let cases = [
        (
            "[[constraint]]\nattribute = \"${meta.x}\"\nis_set = false",
            "PEER1104 `constraint[1].is_set` at line 14, column 10 | `false`",
        ),
        (
            "[[constraint]]\nattribute = \"${meta.x}\"\nregexp = \"a\"\nversion = \"1\"",
            "PEER1104 `constraint[1].regexp` at line 14, column 1 | `regexp` beside `version`",
        ),
        (
            "[[constraint]]\nattribute = \"${meta.x}\"\nregexp = \"a\"\nvalue = \"1\"",
            "PEER1104 `constraint[1].value` at line 15, column 1 | `value` beside `regexp`",
        ),
        (
            "[[constraint]]\nattribute = \"${meta.x}\"\nvalue = [1]",
            "PEER1103 `constraint[1].value` at line 14, column 9 | a value of type array",
        ),
        (
            "[[constraint]]\nvalue = \"x\"",
            "PEER1105 `constraint[1].attribute` in the table at line 12, column 1 | nothing",
        ),
        (
            "[[constraint]]\nattribute = \"${attr.nomad.version}\"\nversion = \"1\"",
            "PEER1107 `constraint[1]` at line 12, column 1: `${attr.nomad.version} version 1` | attribute `attr.nomad.version`",
        ),
        (
            "[[affinity]]\nattribute = \"${meta.x}\"\nis_set = true",
            "PEER1107 `affinity[1]` at line 12, column 1: `${meta.x} is_set` | operator `is_set` in an affinity",
        ),
        (
            "[[affinity]]\nattribute = \"${meta.x}\"\nvalue = \"a\"\nweight = 0",
            "PEER1104 `affinity[1].weight` at line 15, column 10 | `0`",
        ),
        (
            "[[affinity]]\nattribute = \"${meta.x}\"\nvalue = \"a\"\nweight = -101",
            "PEER1104 `affinity[1].weight` at line 15, column 10 | `-101`",
        ),
        (
            "[[spread]]\nattribute = \"rack\"",
            "PEER1104 `spread[1].attribute` at line 13, column 13 | `rack`, a literal",
        ),
        (
            "[[spread]]\nattribute = \"${node.planet}\"",
            "PEER1107 `spread[1]` at line 12, column 1: `${node.planet} spread` | attribute `node.planet`",
        ),
        (
            "[[spread]]\nattribute = \"${meta.x}\"\nweight = 101",
            "PEER1104 `spread[1].weight` at line 14, column 10 | `101`",
        ),
        (
            "[[spread]]\nattribute = \"${meta.x}\"\n[[spread.target]]\nvalue = \"a\"",
            "PEER1105 `spread[1].target[1].percent` in the table at line 14, column 1 | nothing",
        ),
        (
            "[[spread]]\nattribute = \"${meta.x}\"\ntarget = [{ value = \"a\", percent = 60 }, { value = \"a\", percent = 40 }]",
            "PEER1104 `spread[1].target[2].value` at line 14, column 52 | `a` a second time",
        ),
        (
            "[[spread]]\nattribute = \"${meta.x}\"\ntarget = [{ value = \"a\", percent = 60 }, { value = \"b\", percent = 50 }]",
            "PEER1104 `spread[1].target[2].percent` at line 14, column 67 | 110 in all",
        ),
    ];
    for (tail, expected) in cases {
        assert_eq!(faults(&format!("{tail}\n")), [expected]);
    }
}

#[test]
fn all_faults_of_all_blocks_come_at_once() {
    let found = faults(
        "[[constraint]]\nattribute = \"${node.planet}\"\noperator = \"~\"\nvalue = \"x\"\n[[sink.spread]]\nattribute = \"x\"\nweight = 0\n",
    );
    let codes: Vec<&str> = found
        .iter()
        .map(|fault| fault.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(codes, ["PEER1107", "PEER1107", "PEER1104", "PEER1104"], "{found:?}");
}
