//! What one row costs at every stage between the binlog and the statements on the target: `cargo bench --bench hot_path`.
//!
//! Prints the wall time, which is of this machine and noisy, and the instructions (`counts`), which are not. These are compared with
//! `counts.txt`: an operation that takes over a tenth more of them is named, and the exit code is 1. `-- --write` makes those of
//! now the ones to compare with.

mod baseline;
mod counts;
mod operations;
mod rows;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::baseline::Baseline;
use crate::operations::Operation;

/// Transactions in one round that is timed.
const TRANSACTIONS: u64 = 200;
/// The median of so many rounds is printed.
const ROUNDS: usize = 9;
/// Where the counts to compare with are kept.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/hot_path/counts.txt");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if cfg!(debug_assertions) {
        println!("hot_path: built without optimisation, nothing is measured: `cargo bench --bench hot_path`");
        return ExitCode::SUCCESS;
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [counts::COUNTED] => {
            counts::run();
            ExitCode::SUCCESS
        }
        [] => compare(),
        ["--write"] => write(),
        _ => {
            eprintln!("hot_path: found `{}`, expected `--write` or nothing", arguments.join(" "));
            ExitCode::from(2)
        }
    }
}

/// Measures and prints all; fails when an operation takes more instructions than before.
fn compare() -> ExitCode {
    let found = counts::take();
    let before = Baseline::read(Path::new(BASELINE));
    println!(
        "{:<40} {:>9} {:>13} {:>10}",
        "one row, or GTID", "ns", "instructions", "before"
    );
    let mut grown = Vec::new();
    for operation in operations::all(TRANSACTIONS) {
        let name = operation.name;
        let now = found.as_ref().ok().and_then(|found| found.get(name));
        let then = before.get(name);
        let text = |count: Option<f64>| count.map_or("-".into(), |count| format!("{count:.1}"));
        println!("{name:<40} {:>9.1} {:>13} {:>10}", time(operation), text(now), text(then));
        grown.extend(now.zip(then).and_then(|(now, then)| baseline::growth(name, now, then)));
    }
    match found {
        Err(reason) => println!("hot_path: times only, nothing is compared: {reason}"),
        Ok(now) if now.compiler != before.compiler => {
            println!("hot_path: compiled by {}, before by {}", now.compiler, before.compiler)
        }
        Ok(_) => {}
    }
    grown.iter().for_each(|line| println!("hot_path: {line}"));
    if grown.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Counts and keeps what was found.
fn write() -> ExitCode {
    let written = counts::take().and_then(|found| {
        let outcome = std::fs::write(BASELINE, found.to_string());
        outcome.map_err(|error| format!("{BASELINE}: {error}"))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("hot_path: no counts were written: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Nanoseconds of one row, or GTID.
fn time(mut operation: Operation) -> f64 {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (operation.run)();
            start.elapsed().as_nanos()
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2] as f64 / operation.count as f64
}
