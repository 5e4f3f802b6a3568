//! `peer check`: a misconfiguration seeded on real servers is found by its number, and the statement it is told with mends it.
//!
//! Every seed is undone before its verdict counts, so that one that fails leaves the servers as they were. The table of all seeds
//! is printed: number, severity, what was seeded, what was told.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "preflight/bed.rs"]
mod bed;
#[path = "preflight/seeds_source.rs"]
mod seeds_source;
#[path = "preflight/seeds_target.rs"]
mod seeds_target;
#[path = "preflight/sessions.rs"]
mod sessions;
#[path = "preflight/with_peers.rs"]
mod with_peers;

use bed::{Bed, Seed, WHOLE_SERVERS, seed};
use peer::core::check::{ClockReading, Part, Question};
use peer::core::check_cluster;
use peer::core::finding::{Finding, Severity};
use peer::mysql::preflight::check_source;
use support::servers;

/// What test servers have on purpose: no passwords, no durability.
const EXPECTED_OF_THE_BED: [&str; 2] = ["PEER1802", "PEER1814"];

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_will_do_have_more_than_25_checks_and_none_that_is_bad() {
    let _shared = WHOLE_SERVERS.read().await;
    let bed = Bed::new("fine").await;
    let findings = bed.check(&Seed::default()).await;
    let bad: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.severity > Severity::Ok && !EXPECTED_OF_THE_BED.contains(&finding.id.as_str()))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let mut ids: Vec<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() >= 35, "only {}: {ids:?}", ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_seeded_misconfiguration_is_found_and_its_statement_mends_it() {
    let _alone = WHOLE_SERVERS.write().await;
    let bed = Bed::new("seeds").await;
    let mut seeds = seeds_source::seeds(&bed);
    seeds.extend(seeds_target::seeds(&bed));
    let mut faults = Vec::new();
    println!("{:<9} {:<5} {:<46} found", "id", "", "seeded");
    for one in &seeds {
        match bed.verdict(one).await {
            Ok(finding) => println!(
                "{:<9} {:<5} {:<46} {}: {}{}",
                one.id,
                finding.severity.word(),
                one.name,
                finding.object,
                finding.found,
                if one.is_mended { "  [mended by its fix]" } else { "" }
            ),
            Err(fault) => {
                println!("{:<9} ????? {:<46} {fault}", one.id, one.name);
                faults.push(format!("{} {}: {fault}", one.id, one.name));
            }
        }
    }
    println!(
        "{} seeds, {} mended by the statement that was told",
        seeds.len(),
        seeds.iter().filter(|one| one.is_mended).count()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_started_without_what_it_needs_is_told_all_of_it() {
    let folder = support::guard::folder().join("elsewhere");
    std::fs::create_dir_all(&folder).unwrap();
    let flags = [
        "--skip-log-bin".to_owned(),
        "--gtid-mode=OFF".to_owned(),
        "--enforce-gtid-consistency=OFF".to_owned(),
        format!("--innodb-directories={}", folder.display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let odd = servers::start("odd", &flags);
    let _shared = WHOLE_SERVERS.read().await;
    let bed = Bed::new("odd").await;
    let schema = &bed.schema.base;
    odd.run(&[
        &format!("CREATE DATABASE {schema}"),
        &format!(
            "CREATE TABLE {schema}.a (id INT PRIMARY KEY) DATA DIRECTORY = '{}'",
            folder.display()
        ),
    ])
    .await;
    let mut spec = bed.spec.clone();
    spec.source.endpoint.port = odd.port;
    let findings = check_source(&Question::of(Part::Source, &spec), &bed::now_us)
        .await
        .unwrap()
        .findings;
    for (id, severity) in [
        ("PEER1353", Severity::Fail),
        ("PEER1354", Severity::Fail),
        ("PEER1355", Severity::Fail),
        ("PEER1361", Severity::Fail),
        ("PEER1812", Severity::Warn),
    ] {
        let found = findings
            .iter()
            .find(|finding| finding.id == id && finding.severity == severity);
        let found = found.unwrap_or_else(|| panic!("no {id} {severity:?}: {findings:#?}"));
        println!(
            "{id:<9} {:<5} {:<46} {}: {}",
            severity.word(),
            "started without",
            found.object,
            found.found
        );
    }
    for id in ["PEER1354", "PEER1355"] {
        let bad = findings.iter().find(|finding| finding.id == id).unwrap();
        odd.run(&bed::statements(&bad.fix)).await;
    }
    let findings = check_source(&Question::of(Part::Source, &spec), &bed::now_us)
        .await
        .unwrap()
        .findings;
    let bad = |id| {
        findings
            .iter()
            .any(|finding| finding.id == id && finding.severity > Severity::Ok)
    };
    assert!(!bad("PEER1354") && !bad("PEER1355"), "{findings:#?}");
    let as_target = seed("a target without a binlog", "PEER1816").spec(move |spec| spec.sink.endpoint.port = odd.port);
    let finding = bed.verdict(&as_target.warns("OFF")).await.unwrap();
    println!(
        "{:<9} {:<5} {:<46} {}: {}",
        finding.id,
        finding.severity.word(),
        "a target without a binlog",
        finding.object,
        finding.found
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told_with_who_is_ahead_of_whom() {
    let bed = Bed::new("clock").await;
    let five_s_late = || bed::now_us() - 5_000_000;
    let report = check_source(&Question::of(Part::Source, &bed.spec), &five_s_late)
        .await
        .unwrap();
    let readings = [
        ("sh-1".to_owned(), ClockReading::default()),
        ("the source".to_owned(), report.clock.unwrap()),
    ];
    let finding = check_cluster::clocks(&readings).unwrap();
    println!(
        "{:<9} {:<5} {:<46} {}",
        finding.id,
        finding.severity.word(),
        "a peer's clock 5 s late",
        finding.found
    );
    assert_eq!(finding.severity, Severity::Warn);
    let (who, beside) = (
        finding.found.starts_with("the source is "),
        finding.found.ends_with("ahead of sh-1"),
    );
    assert!(who && beside, "{}", finding.found);
}
