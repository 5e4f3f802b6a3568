//! `peer check` and the check of a submit with real peers: who looks, what is refused, what is waited for.

use serde_json::Value;

use super::bed::WHOLE_SERVERS;
use super::support::job_bed::JobBed;

/// The checks of a number, from `peer check --json`.
fn of_id<'a>(view: &'a Value, id: &str) -> Vec<&'a Value> {
    view["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["id"] == id)
        .collect()
}

fn check(bed: &JobBed) -> (i32, Value) {
    let output = bed.cluster.any().cli(&["check", &bed.file(), "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let view = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), view)
}

#[test]
fn each_side_is_looked_at_through_a_peer_and_a_lone_peer_is_a_risk() {
    let _shared = WHOLE_SERVERS.blocking_read();
    let mut bed = JobBed::new("looked", &["t"]);
    bed.cluster.add("one", "dc1", &[]);
    let (code, view) = check(&bed);
    assert_eq!((code, &view["ok"]), (0, &true.into()), "{view:#}");
    for id in ["PEER1851", "PEER1852", "PEER1853", "PEER1854"] {
        assert_eq!(of_id(&view, id)[0]["severity"], "warn", "{id}: {view:#}");
    }
    bed.cluster.add("two", "dc2", &[]);
    bed.cluster.await_members(2);
    let (_, view) = check(&bed);
    for id in ["PEER1851", "PEER1852", "PEER1853", "PEER1854", "PEER1855"] {
        assert_eq!(of_id(&view, id)[0]["severity"], "ok", "{id}: {view:#}");
    }
    for (id, side) in [("PEER1353", "source"), ("PEER1363", "target")] {
        let found = of_id(&view, id)[0];
        assert_eq!(found["side"], side);
        assert!(["one", "two"].contains(&found["peer"].as_str().unwrap()), "{found}");
    }
    let text = bed.cluster.any().cli(&["check", &bed.file()]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    println!("{text}");
    assert!(text.contains("0 FAIL"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_submit_refuses_what_fails_on_a_database_with_every_fault_and_takes_nothing() {
    let _shared = WHOLE_SERVERS.blocking_read();
    let mut bed = JobBed::new("refuses", &["t"]);
    bed.cluster.add("one", "dc1", &[]);
    bed.on_target(&[
        "CREATE DATABASE {}",
        "CREATE TABLE {}.t (id INT PRIMARY KEY, v TEXT)",
        "INSERT INTO {}.t VALUES (1, 'x')",
    ]);
    bed.on_source(&[
        "ALTER TABLE {}.t ENGINE = InnoDB",
        "CREATE TABLE {}.u (id INT) ENGINE = MyISAM",
    ]);
    let file = bed.file();
    let text = std::fs::read_to_string(&file).unwrap();
    let schema = &bed.schema.base;
    std::fs::write(&file, format!("{text}[[tables]]\nschema = \"{schema}\"\ntable = \"u\"\n")).unwrap();
    let peer = bed.cluster.any();
    let output = peer.cli(&["submit", &file]);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{talk}");
    for word in ["PEER1824", "rows in it", "PEER1362", "MyISAM", "RENAME TABLE", "ALTER TABLE"] {
        assert!(talk.contains(word), "it does not say {word}: {talk}");
    }
    assert_eq!(peer.json(&["jobs"]).unwrap()["jobs"], serde_json::json!([]));
    let (code, view) = {
        let output = peer.cli(&["check", &file, "--json"]);
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    assert_eq!((code, &view["ok"]), (Some(1), &false.into()), "{view:#}");
    let taken = peer.json(&["submit", &file, "--no-check"]).unwrap();
    assert_eq!(taken["result"], "accepted", "who says so gets it: {taken:#}");
    bed.await_state("failed");
}

#[test]
fn a_submit_that_only_lacks_a_peer_is_taken_with_a_warning_and_its_own_job_is_no_fault_of_it() {
    let _shared = WHOLE_SERVERS.blocking_read();
    let mut bed = JobBed::new("lacks", &["t"]);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one')"]);
    bed.job.sink_site = Some("beijing");
    bed.cluster.add("paris-1", "paris", &[]);
    let (code, view) = check(&bed);
    assert_eq!(
        (code, &of_id(&view, "PEER1854")[0]["severity"]),
        (1, &"fail".into()),
        "{view:#}"
    );
    let taken = bed.submit();
    assert_eq!(taken["result"], "accepted");
    let warned: Vec<&str> = taken["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert!(warned.contains(&"PEER1854"), "{taken:#}");
    bed.cluster.add("bj-1", "beijing", &[]);
    bed.await_state("streaming");
    let (code, view) = check(&bed);
    assert_eq!(code, 0, "the rows on the target are its own: {view:#}");
    let reader = of_id(&view, "PEER1832")[0];
    assert_eq!(reader["found"], "the job's own reader among them", "{reader}");
    assert_eq!(bed.submit()["result"], "unchanged");
}

/// What a refused command says; fails when it was not refused.
fn refused(bed: &JobBed, args: &[&str]) -> String {
    let output = bed.cluster.any().cli(args);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(1),
        "{args:?}: {}{talk}",
        String::from_utf8_lossy(&output.stdout)
    );
    talk
}

#[test]
fn an_update_of_an_account_or_password_is_checked_and_one_of_the_rate_is_not() {
    let _shared = WHOLE_SERVERS.blocking_read();
    let mut bed = JobBed::streaming("updated", &["t"]);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one')"]);
    bed.await_equal(std::time::Duration::from_secs(60));
    let file = bed.file();
    let text = std::fs::read_to_string(&file).unwrap();
    let sink = text.find("[sink]").unwrap();
    let with_sink = |from: &str, to: &str| {
        let changed = text[sink..].replacen(from, to, 1);
        assert_ne!(changed, text[sink..]);
        std::fs::write(&file, format!("{}{changed}", &text[..sink])).unwrap();
    };
    let user = format!("upd_{}", std::process::id());
    bed.on_target(&[&format!("CREATE USER {user} IDENTIFIED BY 'another'")]);
    with_sink("user = \"root\"", &format!("user = \"{user}\""));
    let talk = refused(&bed, &["submit", &file, "--update"]);
    assert!(talk.contains("PEER1351") && talk.contains(&user), "{talk}");

    bed.on_target(&[
        &format!("ALTER USER {user} IDENTIFIED BY ''"),
        &format!("GRANT SELECT ON *.* TO {user}"),
    ]);
    let talk = refused(&bed, &["submit", &file, "--update"]);
    assert!(
        talk.contains("PEER1366") && talk.contains("INSERT") && talk.contains("GRANT"),
        "{talk}"
    );
    assert_eq!(bed.status()["version"], 1, "nothing was stored");
    bed.on_target(&[&format!("DROP USER {user}")]);

    // The rows on the target are the job's own, and a target that is read only is no matter of a rate.
    std::fs::write(&file, &text).unwrap();
    bed.job.extra = "[link]\nrate = \"3 MB/s\"\n".into();
    let file = bed.file();
    let taken = second_version(&bed, &file);
    assert!(
        taken["warnings"].as_array().is_none_or(Vec::is_empty),
        "not looked at: {taken:#}"
    );
    bed.await_state("streaming");
}

#[test]
fn an_update_of_the_tables_of_a_job_that_never_ran_is_checked_like_a_new_one() {
    let _shared = WHOLE_SERVERS.blocking_read();
    let mut bed = JobBed::new("retabled", &["t"]);
    bed.job.sink_site = Some("nowhere");
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.on_source(&[
        "CREATE TABLE {}.u (id INT) ENGINE = MyISAM",
        "CREATE TABLE {}.w (id INT PRIMARY KEY)",
    ]);
    bed.on_target(&[
        "CREATE DATABASE {}",
        "CREATE TABLE {}.w (id INT PRIMARY KEY)",
        "INSERT INTO {}.w VALUES (1)",
    ]);
    let file = bed.file();
    let text = std::fs::read_to_string(&file).unwrap();
    let schema = &bed.schema.base;
    let with = |tables: &[&str]| {
        let more: String = tables
            .iter()
            .map(|table| format!("[[tables]]\nschema = \"{schema}\"\ntable = \"{table}\"\n"))
            .collect();
        std::fs::write(&file, format!("{text}{more}")).unwrap();
    };
    with(&["u", "w"]);
    let talk = refused(&bed, &["submit", &file, "--update"]);
    for word in ["PEER1362", "MyISAM", "PEER1824", "rows in it"] {
        assert!(talk.contains(word), "it does not say {word}: {talk}");
    }
    assert_eq!(bed.status()["version"], 1, "nothing was stored");
    bed.on_target(&["TRUNCATE TABLE {}.w"]);
    with(&["w"]);
    let taken = second_version(&bed, &file);
    assert!(
        !taken["warnings"].as_array().unwrap().is_empty(),
        "nobody may run its sink: {taken:#}"
    );
    with(&["u"]);
    let taken = bed.cluster.any().json(&["submit", &file, "--update", "--no-check"]).unwrap();
    assert_eq!(taken["version"], 3, "who says so gets it: {taken:#}");
}

#[test]
fn a_side_that_cannot_be_looked_at_is_told_as_such_and_the_other_one_is_looked_at() {
    let _shared = WHOLE_SERVERS.blocking_read();
    let mut bed = JobBed::new("unseen", &["t"]);
    bed.cluster.add("one", "dc1", &[]);
    bed.on_target(&["CREATE DATABASE {}", "CREATE TABLE {}.t (id INT PRIMARY KEY, v TEXT)"]);
    // Whoever reads the table waits: the look takes longer than a check may.
    let locked = bed.lock_on_target("t");
    let (code, view) = check(&bed);
    let unseen = of_id(&view, "PEER1856");
    assert_eq!((code, unseen.len()), (1, 1), "{view:#}");
    println!("PEER1856  FAIL  a side that cannot be looked at  {}", unseen[0]);
    assert_eq!(
        (&unseen[0]["severity"], &unseen[0]["object"]),
        (&"fail".into(), &"look at the target through one".into())
    );
    assert!(
        unseen[0]["found"].as_str().unwrap().starts_with("no answer within"),
        "{view:#}"
    );
    assert!(!unseen[0]["fix"].as_str().unwrap().is_empty(), "{view:#}");
    assert!(!of_id(&view, "PEER1353").is_empty(), "the source is looked at: {view:#}");
    drop(locked);
    let (code, view) = check(&bed);
    assert_eq!((code, of_id(&view, "PEER1856").len()), (0, 0), "{view:#}");
}

#[test]
fn a_database_that_nobody_reaches_fails_the_check_and_is_waited_for_by_a_job() {
    let _shared = WHOLE_SERVERS.blocking_read();
    let mut bed = JobBed::new("unreached", &["t"]);
    bed.cluster.add("one", "dc1", &[]);
    let file = bed.file();
    let text = std::fs::read_to_string(&file).unwrap();
    let sink = text.find("[sink]").unwrap();
    let closed = text[sink..].replacen(
        &format!("port = {}", super::support::servers::servers().target.port),
        "port = 1",
        1,
    );
    std::fs::write(&file, format!("{}{closed}", &text[..sink])).unwrap();
    let output = bed.cluster.any().cli(&["check", &file, "--json"]);
    let view: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let reach = of_id(&view, "PEER1852")[0];
    assert_eq!(reach["severity"], "fail", "{view:#}");
    assert!(reach["found"].as_str().unwrap().contains("one: "), "{reach}");
    assert!(
        !of_id(&view, "PEER1353").is_empty(),
        "the other side is looked at all the same: {view:#}"
    );
    assert_eq!(bed.cluster.any().json(&["submit", &file]).unwrap()["result"], "accepted");
}

/// Updates a job for the first time; what the submit answered.
fn second_version(bed: &JobBed, file: &str) -> Value {
    let taken = bed.cluster.any().json(&["submit", file, "--update"]).unwrap();
    assert_eq!(
        (&taken["result"], &taken["version"]),
        (&"updated".into(), &2.into()),
        "{taken:#}"
    );
    taken
}
