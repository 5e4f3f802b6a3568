//! What a job file may say and what it may not.

use super::*;
use crate::core::conflict::{Check, OnConflict};
use crate::core::ddl_policy::{DdlAction, DdlKind};
use crate::core::job_spec::{Secret, StartPoint, TlsMode};

const SMALL: &str = r#"
name = "orders"
[source]
host = "10.0.0.1"
user = "repl"
password = { env = "SRC" }
[sink]
host = "10.0.0.2"
user = "apply"
password = "s3cret"
[[tables]]
schema = "shop"
table = "orders"
"#;

fn faults(text: &str) -> Vec<String> {
    match parse_job(text) {
        Ok(spec) => panic!("was accepted: {spec:?}"),
        Err(faults) => faults
            .0
            .iter()
            .map(|f| format!("{} {} | {}", f.code, f.object, f.found))
            .collect(),
    }
}

#[test]
fn a_small_job_gets_the_defaults_of_the_contract() {
    let spec = parse_job(SMALL).expect("is valid");
    assert_eq!(spec.source.start, StartPoint::Snapshot);
    assert_eq!(spec.source.endpoint.password, Secret::Env("SRC".into()));
    assert_eq!((spec.sink.endpoint.port, spec.sink.endpoint.tls), (3306, TlsMode::Preferred));
    assert_eq!(spec.sink.meta_schema, "peer_meta");
    let link = LinkSpec {
        compression: Compression::Lz4,
        rate_bytes: 0,
        batch_bytes: 262_144,
        batch_delay_ms: 0,
    };
    assert_eq!(spec.link, link);
    assert_eq!(
        spec.apply,
        ApplySpec {
            group_transactions: 1000,
            group_bytes: 8 << 20,
            check: Check::Key,
        }
    );
}

#[test]
fn every_option_of_this_version_and_every_other_default_is_accepted() {
    let text = r#"
name = "orders"
datacenters = ["shanghai", "bei*"]
[[constraint]]
attribute = "${meta.rack}"
operator = "is_set"
[source]
kind = "mysql"
host = "172.100.9.1"
port = 13306
user = "repl"
password = { file = "/run/secrets/src" }
tls = "verify-ca"
ca = "/etc/ca.pem"
start = "now"
[[source.constraint]]
attribute = "${node.datacenter}"
operator = "="
value = "shanghai"
[source.snapshot]
parallel = 4
chunk_rows = 0
[[tables]]
schema = "shop"
table = "orders"
[[tables]]
schema = "shop"
table = "größe"
[filter]
skip = []
[sink]
kind = "mysql"
host = "172.100.9.2"
port = 3306
user = "apply"
on_conflict = "pause"
existing_table = "empty"
on_ddl = "apply"
meta_schema = "peer_meta_2"
[[sink.constraint]]
attribute = "${node.datacenter}"
value = "beijing"
[link]
compression = "none"
rate = "20 MB/s"
batch_bytes = "1 MiB"
batch_delay = "5 ms"
[apply]
group_transactions = 10
group_bytes = "1 MiB"
check = "key"
[restart]
attempts = 5
interval = "10 m"
delay = "1 s"
max_delay = "30 s"
[reschedule]
unlimited = true
"#;
    let spec = parse_job(text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(spec.link.rate_bytes, 20_000_000);
    assert_eq!(spec.link.batch_delay_ms, 5);
    assert_eq!(spec.sink.constraints[0].operator, "=");
    assert_eq!(spec.tables.len(), 2);
    let json = serde_json::to_value(&spec).expect("writes");
    assert_eq!(serde_json::from_value::<JobSpec>(json).expect("reads"), spec);
}

#[test]
fn all_faults_come_together_each_with_its_place() {
    let text = SMALL
        .replace("name = \"orders\"", "name = \"Orders!\"\nnmae = 1")
        .replace("host = \"10.0.0.1\"", "host = \"10.0.0.1\"\nport = 70000\nstrat = \"now\"")
        .replace("user = \"apply\"", "user = 7\ntls = \"yes\"");
    let text = format!("{text}\n[link]\nrate = \"20 MB\"\nbatch_bytes = \"1 GiB\"\nbatch_delay = true\n");
    let found = faults(&text);
    let expected = [
        "PEER1104 `name` at line 2, column 8 | `Orders!`",
        "PEER1102 `nmae` at line 3, column 1 | unknown key",
        "PEER1104 `source.port` at line 6, column 8 | `70000`",
        "PEER1102 `source.strat` at line 7, column 1 | unknown key",
        "PEER1103 `sink.user` at line 12, column 8 | a value of type integer",
        "PEER1104 `sink.tls` at line 13, column 7 | `yes`",
        "PEER1104 `link.rate` at line 20, column 8 | `20 MB`",
        "PEER1104 `link.batch_bytes` at line 21, column 15 | `1 GiB`",
        "PEER1103 `link.batch_delay` at line 22, column 15 | a value of type boolean",
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_empty_file_names_everything_that_is_missing() {
    let found = faults("");
    for key in ["name", "source.host", "source.user", "sink.host", "sink.user"] {
        assert!(found.contains(&format!("PEER1105 `{key}` | nothing")), "{key} in {found:?}");
    }
}

#[test]
fn what_a_later_version_brings_is_refused_by_name() {
    let cases = [("[source.snapshot]\nparallel = 8", "source.snapshot.parallel")];
    for (tail, key) in cases {
        let found = faults(&format!("{SMALL}\n{tail}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("PEER1106 `{key}` at line")), "{key}: {found:?}");
        assert!(found[0].contains("not yet in this version"), "{found:?}");
    }
    for (line, key) in [
        ("existing_table = \"merge\"", "sink.existing_table"),
        ("kind = \"kafka\"", "sink.kind"),
    ] {
        let found = faults(&SMALL.replace("[sink]", &format!("[sink]\n{line}")));
        assert!(found[0].starts_with(&format!("PEER1106 `{key}`")), "{found:?}");
    }
}

#[test]
fn what_is_done_with_rows_that_do_not_fit_is_read() {
    let text = SMALL.replace("[sink]", "[sink]\non_conflict = \"target-wins\"") + "[apply]\ncheck = \"image\"\n";
    let policy = parse_job(&text).expect("is valid").conflict_policy();
    assert_eq!((policy.on_conflict, policy.check), (OnConflict::TargetWins, Check::Image));
    let stored = serde_json::to_value(parse_job(SMALL).expect("is valid")).expect("writes");
    assert!(stored["sink"].get("on_conflict").is_none() && stored["apply"].get("check").is_none());
}

#[test]
fn a_start_is_a_word_a_set_or_a_position() {
    let start = |text: &str| {
        let text = SMALL.replace("[source]", &format!("[source]\nstart = {text}"));
        parse_job(&text).map(|spec| serde_json::to_value(spec.source.start).expect("writes"))
    };
    let set = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-140";
    for (text, expected) in [
        ("\"now\"".to_owned(), serde_json::json!("now")),
        ("\"snapshot-only\"".to_owned(), serde_json::json!("snapshot-only")),
        (format!("{{ gtid = \"{set}\" }}"), serde_json::json!({ "gtid": set })),
        (
            "{ file = \"binlog.000003\", position = 157 }".to_owned(),
            serde_json::json!({ "file": { "file": "binlog.000003", "offset": 157 } }),
        ),
    ] {
        assert_eq!(start(&text).expect("is valid"), expected);
    }
    for text in [
        "{ gtid = \"x\" }",
        "{ file = \"b.1\" }",
        "{ position = 4 }",
        "{ gtid = \"\", file = \"b.1\" }",
        "{}",
    ] {
        let shown = start(text).expect_err("is refused").to_string();
        assert!(shown.starts_with("PEER1104 `source.start"), "{text}: {shown}");
    }
}

#[test]
fn a_value_that_could_never_be_is_told_from_one_that_comes_later() {
    for (tail, code) in [
        ("[restart]\nattempts = -1", "PEER1104"),
        ("[filter]\nskip = [\"dml.truncate\"]", "PEER1104"),
        ("[apply]\ncheck = \"none\"", "PEER1104"),
        ("[source.snapshot]\nchunk_rows = \"many\"", "PEER1103"),
    ] {
        let found = faults(&format!("{SMALL}\n{tail}\n"));
        assert!(found.len() == 1 && found[0].starts_with(code), "{found:?}");
    }
}

#[test]
fn no_password_is_ever_repeated() {
    for password in [
        "{ text = \"hunter2\" }",
        "[\"hunter2\"]",
        "{ env = \"hunter2!\" }",
        "{ file = \"hunter2\" }",
        "\"hunter2",
        "hunter2",
    ] {
        let text = SMALL.replace("\"s3cret\"", password);
        let shown = parse_job(&text).expect_err("is refused").to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let shown = format!("{:?}", parse_job(SMALL).expect("is valid"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn broken_syntax_is_named_with_its_line_and_other_faults_still_come() {
    let found = faults(&SMALL.replace("user = \"repl\"", "user = = 3\nprot = 1"));
    assert!(found[0].starts_with("PEER1101 line 5"), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("source.prot")), "{found:?}");
}

#[test]
fn a_table_twice_a_system_schema_and_a_job_into_itself_are_refused() {
    let twice = format!("{SMALL}\n[[tables]]\nschema = \"shop\"\ntable = \"orders\"\n");
    assert!(faults(&twice)[0].contains("a second time"));
    assert!(faults(&SMALL.replace("\"shop\"", "\"mysql\""))[0].starts_with("PEER1104 `tables[1].schema`"));
    assert!(faults(&SMALL.replace("\"shop\"", "\"peer_meta\""))[0].starts_with("PEER1104 `tables[1].schema`"));
    assert!(faults(&SMALL.replace("10.0.0.2", "10.0.0.1"))[0].starts_with("PEER1104 `sink.host`"));
}

#[test]
fn a_constraint_without_meaning_is_refused_where_it_stands() {
    let text = format!("{SMALL}\n[[sink.constraint]]\nattribute = \"${{node.planet}}\"\nvalue = \"mars\"\n");
    let found = faults(&text);
    assert!(
        found.len() == 1 && found[0].starts_with("PEER1107 `sink.constraint[1]` at line 15"),
        "{found:?}"
    );
}

#[test]
fn exact_tables_that_go_as_they_are_stay_a_plain_list() {
    let json = serde_json::to_value(parse_job(SMALL).expect("is valid")).expect("writes");
    assert!(json.get("selection").is_none(), "{json}");
    assert_eq!(json["tables"], serde_json::json!([{ "schema": "shop", "table": "orders" }]));
}

#[test]
fn choices_and_mappings_become_rules_in_the_order_of_the_file() {
    let text = r#"
[[tables]]
schema = '/shop_(\d+)/'
columns = ["id", "total"]
to = { schema = "s$1", columns = { total = "amount" } }
[[exclude]]
schema = "shop"
table = "/_tmp_.*/"
[filter]
skip = ["dml.delete", "dml.update", "dml.delete"]
"#;
    let spec = parse_job(&format!("{SMALL}{text}")).unwrap_or_else(|faults| panic!("{faults}"));
    let json = serde_json::to_value(&spec).expect("writes");
    let expected = serde_json::json!({
        "rules": [
            { "schema": "shop", "table": "orders" },
            { "schema": "/shop_(\\d+)/", "columns": ["id", "total"], "to": { "schema": "s$1", "columns": { "total": "amount" } } },
        ],
        "excludes": [{ "schema": "shop", "table": "/_tmp_.*/" }],
        "skip": ["delete", "update"],
    });
    assert_eq!((&json["selection"], &json["tables"]), (&expected, &serde_json::json!([])));
    assert_eq!(serde_json::from_value::<JobSpec>(json).expect("reads"), spec);
}

#[test]
fn a_job_without_tables_takes_them_all() {
    let text = SMALL.split("[[tables]]").next().expect("the part before");
    let spec = parse_job(text).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(spec.tables.is_empty() && spec.selection.is_empty(), "{spec:?}");
}

#[test]
fn a_choice_that_cannot_be_meant_is_refused_where_it_stands() {
    let tables = "[[tables]]\nschema = \"a\"\ntable = \"/b_(.*)/\"\n";
    for (tail, expected) in [
        ("[[tables]]\nschema = \"/(/\"".to_owned(), "PEER1104 `tables[2].schema`"),
        (format!("{tables}columns = []"), "PEER1104 `tables[2].columns`"),
        (
            format!("{tables}to = {{ table = \"x_$2\" }}"),
            "PEER1104 `tables[2].to.table`",
        ),
        (
            format!("{tables}to = {{ schema = \"sys\" }}"),
            "PEER1104 `tables[2].to.schema`",
        ),
        (
            format!("{tables}to = {{ schema = \"peer_meta\" }}"),
            "PEER1104 `tables[2].to.schema`",
        ),
        (
            format!("{tables}to = {{ columns = {{ a = \"\" }} }}"),
            "PEER1104 `tables[2].to.columns.a`",
        ),
        (format!("{tables}{tables}"), "PEER1104 `tables[3].table`"),
        (format!("{tables}where = \"id < NOW()\""), "PEER1104 `tables[2].where`"),
        (format!("{tables}where = \"\""), "PEER1104 `tables[2].where`"),
        ("[[exclude]]\ntable = \"t\"".to_owned(), "PEER1105 `exclude[1].schema`"),
    ] {
        let found = faults(&format!("{SMALL}\n{tail}\n"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z\\[\\]\"=.{}#\n0-9 /,$-]{0,200}") {
        let _ = parse_job(&text);
        let _ = parse_job(&format!("{SMALL}{text}"));
    }
}

#[test]
fn definition_changes_have_a_policy_as_a_whole_or_by_kind() {
    let on_ddl = |line: &str| parse_job(&SMALL.replace("[sink]", &format!("[sink]\n{line}"))).map(|job| job.sink.on_ddl);
    let all = on_ddl("on_ddl = \"pause\"").expect("reads");
    assert_eq!(all.action(DdlKind::Truncate), DdlAction::Pause);
    let some = on_ddl("on_ddl = { drop-column = \"pause\", drop-table = \"skip\" }").expect("reads");
    assert_eq!(some.action(DdlKind::DropColumn), DdlAction::Pause);
    assert_eq!(some.action(DdlKind::DropTable), DdlAction::Skip);
    assert_eq!(some.action(DdlKind::AlterTable), DdlAction::Apply);
    for (line, word) in [
        ("on_ddl = \"skip\"", "another table"),
        ("on_ddl = { rename-table = \"skip\" }", "another table"),
        ("on_ddl = { drop-colum = \"pause\" }", "drop-colum"),
        ("on_ddl = { drop-column = \"maybe\" }", "maybe"),
    ] {
        let found = faults(&SMALL.replace("[sink]", &format!("[sink]\n{line}")));
        assert!(found.len() == 1 && found[0].contains(word), "{line}: {found:?}");
    }
}
