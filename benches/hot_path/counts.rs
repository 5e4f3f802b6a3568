//! Instructions of each operation, counted by valgrind, which this program runs itself under.
//!
//! Not by the processor's own counters: virtual machines seldom have them. `callgrind` counts only inside `counted` and writes a file
//! with a total each time that returns; 50 times as slow, so over fewer rows. (The two
//! patterns must differ: of two equal ones the second is forgotten.)

use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use crate::baseline::Baseline;
use crate::operations;

/// The argument of the run that is counted.
pub const COUNTED: &str = "--counted";
/// Transactions that are counted.
const TRANSACTIONS: u64 = 20;

/// Runs each operation, once before it counts: what is made at first use is not part of a row.
pub fn run() {
    for mut operation in operations::all(TRANSACTIONS) {
        (operation.run)();
        counted(&mut operation.run);
        println!("{} {}", operation.count, operation.name);
    }
}

/// Found by its name: must stay a function of its own, and end behind what it calls.
#[inline(never)]
fn counted(run: &mut dyn FnMut()) {
    run();
    black_box(());
}

/// Counts all operations. The error says why that cannot be done here.
pub fn take() -> Result<Baseline, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("counts");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .args(["--toggle-collect=*hot_path*counts*counted*", "--dump-after=*counted*"])
        .arg(program)
        .arg(COUNTED)
        .output()
        .map_err(|error| format!("found no valgrind ({error}), expected its callgrind to count with"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("valgrind failed: {}", reason.lines().last().unwrap_or_default()));
    }
    let mut counts = Vec::new();
    for (at, line) in said.lines().enumerate() {
        let (rows, name) = line
            .split_once(' ')
            .ok_or_else(|| format!("found `{line}`, expected a count and a name"))?;
        let rows: f64 = rows.parse().map_err(|_| format!("found `{rows}`, expected a count"))?;
        let total = total(&file.with_extension((at + 1).to_string()))?;
        counts.push((name.to_owned(), total / rows));
    }
    Ok(Baseline::of(counts))
}

/// The instructions in one of its files.
fn total(path: &Path) -> Result<f64, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("valgrind wrote no {}: {error}", path.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok());
    total
        .filter(|total| *total > 0.0)
        .ok_or_else(|| "valgrind counted nothing".to_owned())
}
