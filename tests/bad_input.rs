//! P10: bad input of any kind is refused with all its faults named, and changes nothing. Real processes, real servers.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Output;
use std::time::Duration;

use support::guard;
use support::job::JobFile;
use support::peers::{TestCluster, TestPeer, peer_command};
use support::schema::TestSchema;
use support::servers::{self, servers};
use support::wait::until;

fn talk(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Fails unless the command ended with this code and said each of these.
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let talk = talk(output);
    assert_eq!(output.status.code(), Some(code), "exit code; it said: {talk}");
    for word in words {
        assert!(talk.contains(word), "it does not say `{word}`: {talk}");
    }
}

fn write(name: &str, text: &str) -> String {
    let path = guard::folder().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Starts a peer that must not come up; it is ended after 20 s.
fn start_refused(args: &[&str]) -> Output {
    let mut child = peer_command()
        .args(args)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until("the peer refuses to start", Duration::from_secs(20), || {
        child.try_wait().unwrap().is_some().then_some(())
    });
    child.wait_with_output().unwrap()
}

fn one_peer(word: &str) -> TestCluster {
    let mut cluster = TestCluster::new(word);
    cluster.add("one", "dc1", &[]);
    cluster
}

/// One peer may run both tasks.
fn anywhere(name: &str) -> JobFile {
    JobFile {
        source_site: None,
        sink_site: None,
        ..JobFile::new(name)
    }
}

/// Without the check, which would refuse it at once: here the job itself tells.
fn submit_and_wait(peer: &TestPeer, file: &str, limit: &str) -> Output {
    peer.cli(&["submit", file, "--no-check", "--wait", "--timeout", limit])
}

fn job_count(peer: &TestPeer) -> usize {
    peer.json(&["jobs"]).unwrap()["jobs"].as_array().unwrap().len()
}

#[test]
fn p10_every_fault_of_cluster_toml_is_named_at_once() {
    let file = write(
        "faulty-cluster.toml",
        "[cluster]\nnmae = \"x\"\n[peer]\ncapacity = \"many\"\n[listen]\nadmin = \"0.0.0.0:7421\"\n[limits]\nmemory = \"64 Mebi\"\n",
    );
    let output = start_refused(&["start", "--config", &file]);
    assert_refused(&output, 1, &["nmae", "capacity", "listen.admin", "64 Mebi"]);
}

#[test]
fn p10_every_fault_of_job_toml_is_named_at_once_and_nothing_is_accepted() {
    let cluster = one_peer("faultyjob");
    let peer = cluster.any();
    let file = write(
        "faulty-job.toml",
        "name = \"Bad Name\"\ncolour = 1\n[source]\nkind = \"mysql\"\nhost = \"h\"\nport = 99999\nuser = \"u\"\npassword = \"p\"\n\
         [[tables]]\nschema = \"s\"\ntable = \"t\"\nwhere = \"id <\"\n\
         [filter]\nskip = [\"ddl.rename-table\"]\n[sink]\nkind = \"mysql\"\nhost = \"h\"\nport = 3306\nuser = \"u\"\npassword = \"p\"\non_conflict = \"shrug\"\nexisting_table = \"merge\"\n[link]\nrate = \"fast\"\n",
    );
    let output = peer.cli(&["submit", &file]);
    assert_refused(
        &output,
        1,
        &[
            "Bad Name",
            "colour",
            "99999",
            "tables[1].where",
            "filter.skip",
            "not yet in this version",
            "shrug",
            "fast",
        ],
    );
    assert_eq!(job_count(peer), 0);
}

#[test]
fn p10_a_wrong_password_fails_the_job_and_says_which_account() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let schema = runtime.block_on(TestSchema::new("password"));
    let cluster = one_peer("password");
    let text = anywhere("password")
        .text(&schema, &["t"])
        .replacen("password = \"\"", "password = \"wrong-secret\"", 1);
    let file = write("password.toml", &text);
    let output = submit_and_wait(cluster.any(), &file, "20s");
    assert_refused(&output, 1, &["root", &servers().source.port.to_string()]);
    assert!(
        !talk(&output).contains("wrong-secret"),
        "a password is printed: {}",
        talk(&output)
    );
    assert!(!cluster.any().log().contains("wrong-secret"), "a password is in the log");
}

#[test]
fn p10_an_unreachable_database_is_named_while_the_job_waits_for_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let schema = runtime.block_on(TestSchema::new("unreachable"));
    let cluster = one_peer("unreachable");
    let text = anywhere("unreachable")
        .text(&schema, &["t"])
        .replace(&format!("port = {}", servers().target.port), "port = 1");
    let file = write("unreachable.toml", &text);
    let output = submit_and_wait(cluster.any(), &file, "4s");
    assert_refused(&output, 1, &["127.0.0.1:1", "PEER1301"]);
    let status = cluster.any().json(&["status", "unreachable"]).unwrap();
    assert_eq!(status["state"], "starting", "{status:#}");
    assert_eq!(status["errors"][0]["code"], "PEER1301", "{status:#}");
}

#[test]
fn p10_a_missing_table_is_named() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let schema = runtime.block_on(TestSchema::new("missing"));
    let cluster = one_peer("missing");
    let file = write("missing.toml", &anywhere("missing").text(&schema, &["no_such_table"]));
    let output = submit_and_wait(cluster.any(), &file, "20s");
    assert_refused(&output, 1, &["no_such_table"]);
}

#[test]
fn p10_a_source_without_gtid_and_row_binlog_is_refused_with_both_faults() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let schema = runtime.block_on(TestSchema::new("nogtid"));
    let flags = [
        "--gtid-mode=OFF",
        "--enforce-gtid-consistency=OFF",
        "--binlog-format=STATEMENT",
    ];
    let odd = servers::start("nogtid", &flags);
    let base = &schema.base;
    runtime.block_on(odd.run(&[
        &format!("CREATE DATABASE {base}"),
        &format!("CREATE TABLE {base}.t (id INT PRIMARY KEY)"),
    ]));
    let cluster = one_peer("nogtid");
    let text = anywhere("nogtid")
        .text(&schema, &["t"])
        .replace(&format!("port = {}", servers().source.port), &format!("port = {}", odd.port));
    let file = write("nogtid.toml", &text);
    let output = submit_and_wait(cluster.any(), &file, "20s");
    assert_refused(&output, 1, &["gtid_mode", "binlog_format"]);
    let status = cluster.any().json(&["status", "nogtid"]).unwrap();
    assert_eq!(status["state"], "failed", "{status:#}");
    let faults: Vec<&str> = status["errors"][0]["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["object"].as_str().unwrap())
        .collect();
    assert_eq!(faults, ["gtid_mode", "enforce_gtid_consistency", "binlog_format"]);
    let made = format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE '{base}%'");
    assert_eq!(
        runtime.block_on(servers().target.number(&made)),
        0,
        "the refused job made schemas on the target"
    );
}

/// The statements that the newest error of a job says would mend it.
fn grants_told(peer: &TestPeer, job: &str) -> Vec<String> {
    let status = peer.json(&["status", job]).unwrap();
    assert_eq!(status["state"], "failed", "{status:#}");
    let faults = status["errors"][0]["faults"].as_array().cloned().unwrap_or_default();
    let fixes = faults.iter().map(|fault| fault["fix"].as_str().unwrap().to_owned());
    let grants: Vec<String> = fixes
        .filter_map(|fix| fix.find("GRANT ").map(|at| fix[at..].to_owned()))
        .collect();
    assert!(!grants.is_empty(), "no GRANT is told: {status:#}");
    grants
}

fn missing_privileges_are_mended(word: &str, side: &str, words: &[&str]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let schema = runtime.block_on(TestSchema::new(word));
    let user = format!("{word}_{}", std::process::id());
    let server = if side == "source" {
        servers().source
    } else {
        servers().target
    };
    let make = [
        format!("CREATE TABLE {}.t (id INT PRIMARY KEY)", schema.base),
        format!("INSERT INTO {}.t VALUES (1), (2)", schema.base),
    ];
    runtime.block_on(servers().source.run(&[&make[0], &make[1]]));
    runtime.block_on(server.run(&[&format!("CREATE USER {user} IDENTIFIED BY 'pw'")]));
    let cluster = one_peer(word);
    let peer = cluster.any();
    let text = anywhere(word).text(&schema, &["t"]);
    let (head, tail) = text.split_once(&format!("[{side}]")).unwrap();
    let poor = format!("user = \"{user}\"\npassword = \"pw\"");
    let tail = tail.replacen("user = \"root\"\npassword = \"\"", &poor, 1);
    let file = write(&format!("{word}.toml"), &format!("{head}[{side}]{tail}"));
    assert_refused(&submit_and_wait(peer, &file, "20s"), 1, words);

    // What it says is all that is needed; a privilege may only be seen to be missing once another one is there.
    let mut is_streaming = false;
    for _ in 0..3 {
        for grant in grants_told(peer, word) {
            runtime.block_on(server.run(&[&grant]));
        }
        peer.json(&["restart", word]).unwrap();
        let state = until("the job streams or fails", Duration::from_secs(20), || {
            let status = peer.json(&["status", word]).ok()?;
            let state = status["state"].as_str()?.to_owned();
            ["streaming", "failed"].contains(&state.as_str()).then_some(state)
        });
        is_streaming = state == "streaming";
        if is_streaming {
            break;
        }
    }
    assert!(
        is_streaming,
        "the grants told do not suffice: {:#}",
        peer.json(&["status", word]).unwrap()
    );
    drop(cluster);
    runtime.block_on(server.run(&[&format!("DROP USER {user}")]));
}

#[test]
fn p10_missing_privileges_on_the_source_are_named_with_the_grant_that_mends_them() {
    missing_privileges_are_mended("rightssource", "source", &["REPLICATION SLAVE", "XA_RECOVER_ADMIN", "GRANT"]);
}

#[test]
fn p10_missing_privileges_on_the_target_are_named_with_the_grant_that_mends_them() {
    missing_privileges_are_mended("rightssink", "sink", &["CREATE", "GRANT"]);
}

#[test]
fn p10_a_job_name_with_another_content_is_refused_with_what_differs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let schema = runtime.block_on(TestSchema::new("twice"));
    runtime.block_on(
        servers()
            .source
            .run(&[&format!("CREATE TABLE {}.t (id INT PRIMARY KEY)", schema.base)]),
    );
    let cluster = one_peer("twice");
    let peer = cluster.any();
    let mut job = anywhere("twice");
    let file = write("twice.toml", &job.text(&schema, &["t"]));
    assert_eq!(peer.json(&["submit", &file]).unwrap()["result"], "accepted");
    assert_eq!(peer.json(&["submit", &file]).unwrap()["result"], "unchanged");
    job.extra = "[link]\nrate = \"3 MB/s\"\n".into();
    let other = write("twice-other.toml", &job.text(&schema, &["t"]));
    assert_refused(&peer.cli(&["submit", &other]), 1, &["twice", "--update", "rate"]);
    assert_eq!(peer.json(&["status", "twice"]).unwrap()["version"], 1);
}

#[test]
fn p10_a_seed_that_does_not_answer_is_said_and_the_peer_goes_on_trying() {
    let mut cluster = TestCluster::new("seed");
    cluster.add("one", "dc1", &[]);
    let one = cluster.any();
    // A joining peer with a dead seed becomes ready after 10 s and says so.
    let data = guard::folder().join("lonely");
    let started = std::time::Instant::now();
    let key = cluster.key_file().display().to_string();
    let data_dir = data.display().to_string();
    let mut child = peer_command()
        .args([
            "join",
            "--seed",
            "127.0.0.1:1",
            "--name",
            "lonely",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .args(["--http", "127.0.0.1:0", "--data-dir", &data_dir, "--key-file", &key])
        .stderr(fs::File::create(guard::folder().join("lonely.log")).unwrap())
        .spawn()
        .unwrap();
    until("the lonely peer is ready", Duration::from_secs(20), || {
        data.join("run.json").exists().then_some(())
    });
    let log = fs::read_to_string(guard::folder().join("lonely.log")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(9),
        "ready after {:?}, expected to wait 10 s for a member",
        started.elapsed()
    );
    assert!(log.contains("127.0.0.1:1"), "the log does not name the seed: {log}");
    assert!(one.is_running());
}

#[test]
fn p10_a_port_in_use_is_named() {
    let cluster = one_peer("port");
    let taken = cluster.any().run_field("http");
    let data = guard::folder().join("port-data").display().to_string();
    let output = start_refused(&[
        "start",
        "--data-dir",
        &data,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--http",
        &taken,
    ]);
    assert_refused(&output, 1, &[&taken]);
}

#[test]
fn p10_p8_a_peer_with_another_key_is_refused_on_both_sides() {
    let cluster = one_peer("key");
    let stranger = TestCluster::new("stranger");
    let data = guard::folder().join("stranger-data").display().to_string();
    let key = stranger.key_file().display().to_string();
    let seed = cluster.any().run_field("peer");
    let output = start_refused(&[
        "join",
        "--seed",
        &seed,
        "--data-dir",
        &data,
        "--key-file",
        &key,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    assert_refused(&output, 1, &["key"]);
    let log = cluster.any().log();
    assert!(log.contains("key"), "the member does not say that a key did not match: {log}");
    assert_eq!(
        cluster.any().json(&["members"]).unwrap()["members"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn p10_a_peer_of_another_cluster_name_is_refused() {
    let cluster = one_peer("name");
    let config = write("other-name.toml", "[cluster]\nname = \"elsewhere\"\n");
    let data = guard::folder().join("other-name-data").display().to_string();
    let key = cluster.key_file().display().to_string();
    let seed = cluster.any().run_field("peer");
    let output = start_refused(&[
        "join",
        "--config",
        &config,
        "--seed",
        &seed,
        "--data-dir",
        &data,
        "--key-file",
        &key,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    assert_refused(&output, 1, &["elsewhere", "default"]);
}

#[test]
fn p10_join_without_a_key_says_where_to_get_one() {
    let data = guard::folder().join("keyless-data").display().to_string();
    let output = start_refused(&[
        "join",
        "--seed",
        "127.0.0.1:1",
        "--data-dir",
        &data,
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    assert_refused(&output, 1, &["cluster.key", "member"]);
}

#[test]
fn p10_a_damaged_data_dir_is_refused_and_left_as_it_is() {
    let mut cluster = one_peer("damaged");
    let data = cluster.any().run_file().parent().unwrap().to_owned();
    cluster.peer_mut("one").kill();
    let file = fs::read_dir(&data)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "redb"))
        .unwrap();
    fs::write(&file, b"this is not a database").unwrap();
    let key = cluster.key_file().display().to_string();
    let data_dir = data.display().to_string();
    let output = start_refused(&[
        "start",
        "--data-dir",
        &data_dir,
        "--key-file",
        &key,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    assert_refused(&output, 1, &[file.file_name().unwrap().to_str().unwrap()]);
    assert_eq!(
        fs::read(&file).unwrap(),
        b"this is not a database",
        "the damaged file was touched"
    );
}

#[test]
fn p10_wrong_usage_ends_with_2_and_no_peer_with_3() {
    assert_refused(&peer_command().args(["status"]).output().unwrap(), 2, &["JOB"]);
    assert_refused(
        &peer_command().args(["--address", "127.0.0.1:1", "members"]).output().unwrap(),
        3,
        &["127.0.0.1:1"],
    );
    let cluster = one_peer("unknown");
    assert_refused(&cluster.any().cli(&["status", "nobody"]), 1, &["nobody"]);
}
