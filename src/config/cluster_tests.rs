//! What a cluster file, flags and variables may say and what they may not.

use super::*;

const SHIPPED: &str = include_str!("../../cluster.toml");

fn load(text: &str, overrides: &Overrides) -> Result<Config, Faults> {
    parse_cluster(text, Some(Path::new("/etc/peer")), overrides, "host-1")
}

fn faults(text: &str, overrides: &Overrides) -> Vec<String> {
    match load(text, overrides) {
        Ok(config) => panic!("was accepted: {config:?}"),
        Err(faults) => faults
            .0
            .iter()
            .map(|f| format!("{} {} | {}", f.code, f.object, f.found))
            .collect(),
    }
}

#[test]
fn the_shipped_file_is_the_defaults() {
    let shipped = parse_cluster(SHIPPED, None, &Overrides::default(), "host-1").unwrap_or_else(|faults| panic!("{faults}"));
    let empty = parse_cluster("", None, &Overrides::default(), "host-1").expect("is valid");
    assert_eq!(shipped, empty);
}

#[test]
fn the_shipped_file_shows_every_option() {
    let shown: String = SHIPPED
        .lines()
        .map(|line| {
            format!(
                "{}\n",
                line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
            )
        })
        .collect();
    load(&shown, &Overrides::default()).unwrap_or_else(|faults| panic!("{faults}"));
    let table: toml::Table = shown.parse().expect("is TOML");
    let keys = |name: &str| table[name].as_table().map_or(0, toml::Table::len);
    assert_eq!(
        (
            keys("cluster"),
            keys("peer"),
            keys("listen"),
            keys("advertise"),
            keys("limits")
        ),
        (3, 6, 3, 1, 3)
    );
}

#[test]
fn an_empty_file_gives_the_defaults_of_the_contract() {
    let config = load("", &Overrides::default()).expect("is valid");
    assert_eq!(
        (config.name.as_str(), config.datacenter.as_str(), config.cluster_name.as_str()),
        ("host-1", "dc1", "default")
    );
    assert_eq!(config.data_dir, Path::new("/etc/peer/data"));
    assert_eq!(
        (config.key_file.as_path(), config.is_key_file_default),
        (Path::new("/etc/peer/data/cluster.key"), true)
    );
    assert_eq!(config.listen_peer.to_string(), "0.0.0.0:7420");
    assert_eq!(
        (config.capacity, config.memory_bytes, config.link_rate_bytes),
        (64, 64 << 20, 0)
    );
}

#[test]
fn flags_win_over_the_file_and_lists_add_up() {
    let text = "[cluster]\nseeds = [\"a\"]\nkey_file = \"k/cluster.key\"\n[peer]\nname = \"n\"\nmeta = { rack = \"r1\", x = \"y\" }\ndata_dir = \"d\"\n";
    let overrides = Overrides {
        name: Some(Override::flag("name", "m")),
        meta: vec![Override::flag("meta", "rack=r2")],
        seeds: vec![Override::flag("seed", "b:1"), Override::flag("seed", "a:7420")],
        data_dir: Some(Override::flag("data-dir", "here")),
        ..Overrides::default()
    };
    let config = load(text, &overrides).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.name, "m");
    assert_eq!(
        config.meta,
        [("rack".to_owned(), "r2".to_owned()), ("x".to_owned(), "y".to_owned())].into()
    );
    assert_eq!(config.seeds, ["a:7420", "b:1"]);
    assert_eq!(config.data_dir, Path::new("here"), "typed paths start where they are typed");
    assert_eq!(
        config.key_file,
        Path::new("/etc/peer/k/cluster.key"),
        "written paths start at the file"
    );
}

#[test]
fn a_link_is_capped_at_a_rate_that_is_written() {
    let of = |limits: &str| load(&format!("[limits]\n{limits}"), &Overrides::default());
    let config = of("link_rate = \"20 MB/s\"\ncongestion = \"capped\"").unwrap_or_else(|faults| panic!("{faults}"));
    assert!(config.is_link_capped);
    let faults = of("congestion = \"capped\"").expect_err("which rate?");
    assert!(faults.to_string().contains("`capped` without a link_rate"), "{faults}");
    let faults = of("congestion = \"fast\"").expect_err("no such word");
    assert!(faults.to_string().contains("fast"), "{faults}");
}

#[test]
fn all_faults_of_file_and_flags_come_together() {
    let text = "[cluster]\nname = \"\"\nseed = []\n[peer]\ncapacity = 0\nmeta = { \"a b\" = \"c\", d = 1 }\n[listen]\npeer = \"7420\"\nadmin = \"0.0.0.0:7421\"\n[limits]\nmemory = \"1 MiB\"\nlink_rate = true\n[what]\n";
    let overrides = Overrides {
        http: Some(Override::flag("http", "10.0.0.1:1")),
        advertise: Some(Override {
            origin: "PEER_ADVERTISE".into(),
            text: "0.0.0.0:7420".into(),
        }),
        meta: vec![Override::flag("meta", "novalue")],
        ..Overrides::default()
    };
    let found = faults(text, &overrides);
    let expected = [
        "PEER1004 `cluster.name` at line 2, column 8 | ``",
        "PEER1002 `cluster.seed` at line 3, column 1 | unknown key",
        "PEER1004 `peer.capacity` at line 5, column 12 | `0`",
        "PEER1004 `peer.meta.a b` at line 6, column 18 | `a b`",
        "PEER1003 `peer.meta.d` at line 6, column 27 | a value of type integer",
        "PEER1004 `listen.peer` at line 8, column 8 | `7420`",
        "PEER1004 `listen.admin` at line 9, column 9 | `0.0.0.0:7421`",
        "PEER1004 `limits.memory` at line 11, column 10 | `1 MiB`",
        "PEER1003 `limits.link_rate` at line 12, column 13 | a value of type boolean",
        "PEER1002 `what` at line 13, column 2 | unknown key",
        "PEER1004 `PEER_ADVERTISE` | `0.0.0.0:7420`",
        "PEER1004 `--http` | `10.0.0.1:1`",
        "PEER1004 `--meta` | `novalue`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn tags_that_would_block_gossip_are_refused() {
    let text = format!("[peer]\nmeta = {{ a = \"{}\" }}\n", "x".repeat(5000));
    assert!(faults(&text, &Overrides::default())[0].ends_with("tags of 5001 bytes"));
}

#[test]
fn the_two_doors_need_two_ports() {
    let found = faults(
        "[listen]\nadmin = \"127.0.0.1:5\"\nhttp = \"127.0.0.1:5\"\n",
        &Overrides::default(),
    );
    assert!(
        found.len() == 1 && found[0].starts_with("PEER1004 `listen.http` at line 3"),
        "{found:?}"
    );
    load(
        "[listen]\nadmin = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n",
        &Overrides::default(),
    )
    .expect("0 is any free port");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load_cluster(Some(Path::new("/nowhere/cluster.toml")), &Overrides::default()).expect_err("is refused");
    assert_eq!(
        (error.0[0].code.as_str(), error.0[0].object.as_str()),
        ("PEER1007", "`/nowhere/cluster.toml`")
    );
}
