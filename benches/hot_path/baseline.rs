//! Instructions of each operation, as a file keeps them: a line with the compiler, then one for each operation, the count first.

use std::fmt;
use std::path::Path;
use std::process::Command;

/// Counts may grow by this part before somebody has to look. They vary by less than a hundredth from run to run: hash tables are seeded.
const TOLERANCE: f64 = 0.10;

/// Counts of one time.
pub struct Baseline {
    /// The first line of `rustc -V`: another compiler makes other instructions.
    pub compiler: String,
    counts: Vec<(String, f64)>,
}

impl Baseline {
    /// What was counted now.
    pub fn of(counts: Vec<(String, f64)>) -> Self {
        let said = Command::new("rustc").arg("-V").output();
        let compiler = said.map_or("an unknown compiler".into(), |said| {
            String::from_utf8_lossy(&said.stdout).trim().to_owned()
        });
        Self { compiler, counts }
    }

    /// What a file keeps; nothing when there is none.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        let compiler = lines.next().unwrap_or_default().to_owned();
        let counts = lines.filter_map(|line| {
            let (count, name) = line.trim().split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        let counts = counts.collect();
        Self { compiler, counts }
    }

    /// Of one row, or GTID.
    pub fn get(&self, name: &str) -> Option<f64> {
        let found = self.counts.iter().find(|(known, _)| known == name);
        found.map(|(_, count)| *count)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.compiler)?;
        self.counts
            .iter()
            .try_for_each(|(name, count)| writeln!(f, "{count:>8.1} {name}"))
    }
}

/// What to say about an operation that takes clearly more instructions than before.
pub fn growth(name: &str, now: f64, then: f64) -> Option<String> {
    let percent = (now / then - 1.0) * 100.0;
    let advice = "make it cheaper, or say why and run `cargo bench --bench hot_path -- --write`";
    (now > then * (1.0 + TOLERANCE)).then(|| format!("`{name}` takes {percent:.0} % more instructions than before: {advice}"))
}
