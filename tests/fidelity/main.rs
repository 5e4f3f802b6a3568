//! Cases × ways: whatever is committed on the source is on the target, whichever way it travels.
//!
//! A case (`case.rs`) is a name, statements that make its tables and statements that write its rows. It runs three ways:
//! `copy` (everything is written before the job), `stream` (written while the job streams) and `kill` (the same, and the
//! peer of the sink gets SIGKILL in the middle of it). All cases of a way share one job, each has a schema of its own; the
//! verdict is per case: same tables, same definitions, same rows (`support::compare` says what the same means).
//!
//! To add cases: a file `cases/<topic>.rs` with `pub fn cases() -> Vec<Case>` and its line in `cases/mod.rs`. What a case
//! can set and do stands in `case.rs`. Statements name tables without a schema; `{schema}` is the schema of the case.
//!
//!   scripts/test --test fidelity -- --nocapture              the table: case | copy | stream | kill
//!   FIDELITY=json,bits scripts/test --test fidelity          only the cases whose names contain one of these
//!   FIDELITY_WAYS=copy,kill scripts/test --test fidelity     only these ways

#![allow(clippy::unwrap_used)]

mod bed;
mod case;
mod cases;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use bed::Bed;
use case::{Case, Verdict, Way};
use support::servers::{Server, servers, start};

/// The cases that `FIDELITY` names, or all.
fn chosen() -> Vec<Case> {
    let wanted = std::env::var("FIDELITY").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|word| !word.is_empty()).collect();
    let is_wanted = |case: &Case| wanted.is_empty() || wanted.iter().any(|word| case.name.contains(word));
    cases::all().into_iter().filter(is_wanted).collect()
}

fn ways() -> Vec<Way> {
    let wanted = std::env::var("FIDELITY_WAYS").unwrap_or_else(|_| "copy,stream,kill".into());
    let is_wanted = |way: &Way| wanted.split(',').any(|word| word == way.word());
    Way::ALL.into_iter().filter(is_wanted).collect()
}

/// Prints `case | copy | stream | kill` and, below it, what is not `ok`.
fn print(cases: &[Case], verdicts: &BTreeMap<(&str, Way), Verdict>) {
    let cell = |case: &Case, way| verdicts.get(&(case.name, way)).map_or("-".into(), Verdict::word);
    let width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
    let line = |name: &str, cells: [String; 3]| println!("{name:width$} | {:6} | {:6} | {:6}", cells[0], cells[1], cells[2]);
    line("case", Way::ALL.map(|way| way.word().to_owned()));
    for case in cases {
        line(case.name, Way::ALL.map(|way| cell(case, way)));
    }
    for ((name, way), verdict) in verdicts {
        if let Verdict::Wrong(text) = verdict {
            println!("--- {name}, {}:\n{text}", way.word());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_arrives_in_copy_in_stream_and_across_a_kill() {
    let cases = chosen();
    assert!(!cases.is_empty(), "FIDELITY names no case");
    check(servers().source, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_of_the_source_cascades_and_does_not_log_arrives_too() {
    let native = servers().target.number("SELECT @@innodb_native_foreign_keys").await;
    // Cascades of several steps are refused on a target that does not carry them to the end (`mysql::target::chains`).
    let is_deep = |case: &Case| ["fk_chain", "fk_cycle_and_self"].contains(&case.name);
    let is_wanted = |case: &Case| case.name.starts_with("fk_") && (native == 1 || !is_deep(case));
    let cases: Vec<Case> = chosen().into_iter().filter(is_wanted).collect();
    if !cases.is_empty() {
        check(start("native", &["--innodb_native_foreign_keys=ON"]), &cases).await;
    }
}

async fn check(source: Server, cases: &[Case]) {
    let mut verdicts = BTreeMap::new();
    let mut bed = Bed::new(source).await;
    for way in ways() {
        for (name, verdict) in bed.run(way, cases).await {
            verdicts.insert((name, way), verdict);
        }
    }
    // Peers print their logs when a test fails while they run; what differs is the report here.
    drop(bed);
    print(cases, &verdicts);
    let wrong: Vec<_> = verdicts
        .iter()
        .filter(|(_, verdict)| verdict.is_wrong())
        .map(|(at, _)| at)
        .collect();
    assert!(wrong.is_empty(), "not equal on both sides: {wrong:?}");
}
