//! Bad cluster.toml and job.toml files are refused with all their faults named, and good ones read, through the public door.

use std::path::Path;

use peer::config::cluster::load_cluster;
use peer::config::flags::{Override, Overrides};
use peer::config::job::parse_job;

const JOB: &str = r#"
name = "orders"
[source]
host = "10.0.0.1"
user = "repl"
password = "top-secret"
[sink]
host = "10.0.0.2"
user = "apply"
[[tables]]
schema = "shop"
table = "orders"
"#;

#[test]
fn a_refused_job_reads_as_text_and_as_json() {
    let faults =
        parse_job(&JOB.replace("user = \"repl\"", "user = \"repl\"\nport = \"3306\"\nhots = 1")).expect_err("is refused");
    let expected = "PEER1103 `source.port` at line 6, column 8\n  found:    a value of type string\n  \
        expected: a whole number from 1 to 65535\n  fix:      port = 3306\n\
        PEER1102 `source.hots` at line 7, column 1\n  found:    unknown key\n";
    assert!(faults.to_string().starts_with(expected), "{faults}");
    let json = faults.to_json();
    assert_eq!(
        (json["code"].as_str(), json["faults"][1]["fix"].as_str()),
        (Some("PEER1103"), Some("write `host`"))
    );
}

#[test]
fn every_fault_says_what_was_found_what_was_expected_and_what_to_do() {
    let broken = r#"
name = 1
datacenters = "x"
colour = "red"
[source]
kind = "oracle"
host = ""
port = -1
password = 5
tls = "verify-ca"
start = { gtid = "nonsense" }
[[source.constraint]]
operator = "~"
[sink]
host = "a b"
on_ddl = 5
meta_schema = "mysql"
[link]
compression = "zip"
batch_delay = "1 h"
[apply]
group_transactions = 0
[[tables]]
table = "/(/"
[restart]
delay = "soon"
"#;
    let faults = parse_job(broken).expect_err("is refused");
    for fault in &faults.0 {
        assert!(fault.code.starts_with("PEER11"), "{fault}");
        assert!(
            !fault.found.is_empty() && !fault.expected.is_empty() && !fault.fix.is_empty(),
            "{fault}"
        );
    }
    let text = faults.to_string();
    let keys = [
        "name",
        "datacenters",
        "colour",
        "source.kind",
        "source.host",
        "source.port",
        "source.user",
        "source.password",
        "source.tls",
        "source.start.gtid",
        "source.constraint[1].attribute",
        "sink.host",
        "sink.user",
        "sink.on_ddl",
        "sink.meta_schema",
        "link.compression",
        "link.batch_delay",
        "apply.group_transactions",
        "tables[1].schema",
        "tables[1].table",
        "restart.delay",
    ];
    for key in keys {
        assert!(text.contains(&format!("`{key}`")), "nothing about {key} in\n{text}");
    }
}

#[test]
fn no_refusal_and_no_debug_output_repeats_a_password() {
    let faults = parse_job(&format!("{JOB}\n[link]\nrate = 1.5\n")).expect_err("is refused");
    let spec = parse_job(JOB).expect("is valid");
    for text in [faults.to_string(), faults.to_json().to_string(), format!("{spec:?}")] {
        assert!(!text.contains("top-secret"), "{text}");
    }
}

#[test]
fn a_cluster_file_on_disk_is_read_and_its_key_lies_beside_it() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, "[cluster]\nkey_file = \"cluster.key\"\n[peer]\nname = \"sh-1\"\n").expect("writes");
    let config = load_cluster(Some(&path), &Overrides::default()).expect("is valid");
    assert_eq!(config.key_file, folder.path().join("cluster.key"));
    assert_eq!((config.name.as_str(), config.data_dir), ("sh-1", folder.path().join("data")));
}

#[test]
fn without_a_file_flags_alone_make_a_peer() {
    let flags = Overrides {
        data_dir: Some(Override::flag("data-dir", "/tmp/x")),
        name: Some(Override::flag("name", "n")),
        listen: Some(Override::flag("listen", "127.0.0.1:0")),
        ..Overrides::default()
    };
    let config = load_cluster(None, &flags).expect("is valid");
    assert_eq!(config.key_file, Path::new("/tmp/x/cluster.key"));
    assert_eq!(config.listen_peer.to_string(), "127.0.0.1:0");
}

#[test]
fn doors_off_loopback_are_refused_from_every_layer() {
    let env = Overrides::from_env(|name| (name == "PEER_ADMIN").then(|| "0.0.0.0:1".to_owned()));
    let flags = Overrides {
        http: Some(Override::flag("http", "192.0.2.1:80")),
        name: Some(Override::flag("name", "n")),
        ..Overrides::default()
    };
    let faults = load_cluster(None, &flags.over(env)).expect_err("is refused");
    let objects: Vec<&str> = faults.0.iter().map(|fault| fault.object.as_str()).collect();
    assert_eq!(objects, ["`PEER_ADMIN`", "`--http`"]);
}

#[test]
fn a_cluster_file_that_is_not_text_is_refused() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, [0xff, 0xfe, 0x00]).expect("writes");
    let faults = load_cluster(Some(&path), &Overrides::default()).expect_err("is refused");
    assert_eq!(faults.0[0].code, "PEER1007");
}
