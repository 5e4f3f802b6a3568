//! What was measured, as a table for people and as JSON for the chart.

use serde::Serialize;
use serde_json::json;

use crate::chart::{Bar, svg};
use crate::latency::Latency;
use crate::measure::{Run, median};
use crate::workload::Workload;

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    latencies: Vec<LatencyRow>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    workload: String,
    about: String,
    contestant: String,
    transactions: u64,
    rows: u64,
    runs: Vec<Run>,
}

#[derive(Clone, Debug, Serialize)]
struct LatencyRow {
    rate: u64,
    contestant: String,
    runs: Vec<Latency>,
}

impl Row {
    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(of))
    }
}

impl Report {
    pub fn add(&mut self, workload: &Workload, contestant: &str, run: Run) {
        eprintln!("{} {contestant}: {:.2} s", workload.name, run.seconds);
        let known = self
            .rows
            .iter_mut()
            .find(|row| row.workload == workload.name && row.contestant == contestant);
        match known {
            Some(row) => row.runs.push(run),
            None => self.rows.push(Row {
                workload: workload.name.into(),
                about: workload.about.into(),
                contestant: contestant.into(),
                transactions: workload.transactions,
                rows: workload.rows,
                runs: vec![run],
            }),
        }
    }

    pub fn add_latency(&mut self, rate: u64, contestant: &str, latency: Latency) {
        let known = self
            .latencies
            .iter_mut()
            .find(|row| row.rate == rate && row.contestant == contestant);
        match known {
            Some(row) => row.runs.push(latency),
            None => self.latencies.push(LatencyRow {
                rate,
                contestant: contestant.into(),
                runs: vec![latency],
            }),
        }
    }

    /// How many times faster than the first contestant of its workload.
    fn ratio(&self, row: &Row) -> f64 {
        let first = self
            .rows
            .iter()
            .find(|other| other.workload == row.workload)
            .expect("itself at least");
        first.median(|run| run.seconds) / row.median(|run| run.seconds)
    }

    const HEAD: &str = "workload contestant                 median s    rows/s   ratio  cpu src  cpu tgt cpu peers  us/row  peak MiB  wire B/trx";

    pub fn print_workload(&self, name: &str) {
        println!("{}", Self::HEAD);
        for row in self.rows.iter().filter(|row| row.workload == name) {
            self.print_row(row);
        }
    }

    fn print_row(&self, row: &Row) {
        let seconds = row.median(|run| run.seconds);
        let peers = row.median(|run| run.cpu_peers);
        let wire = row.median(|run| run.wire_bytes as f64) / row.transactions.max(1) as f64;
        println!(
            "{:<8} {:<26} {:>9.2} {:>9.0} {:>6.2}x {:>8.2} {:>8.2} {:>9.2} {:>7.1} {:>9.0} {:>11.0}",
            row.workload,
            row.contestant,
            seconds,
            row.rows as f64 / seconds,
            self.ratio(row),
            row.median(|run| run.cpu_source),
            row.median(|run| run.cpu_target),
            peers,
            peers * 1e6 / row.rows as f64,
            row.median(|run| run.peak_mib as f64),
            wire,
        );
    }

    pub fn print_latency(&self, rate: u64) {
        println!(
            "{:<12} {:<26} {:>8} {:>8} {:>8} {:>8}   ms, source acknowledged -> visible on the target",
            "latency", "contestant", "p50", "p90", "p99", "max"
        );
        for row in self.latencies.iter().filter(|row| row.rate == rate) {
            let of = |part: fn(&Latency) -> f64| median(row.runs.iter().map(part));
            println!(
                "{:<12} {:<26} {:>8.2} {:>8.2} {:>8.2} {:>8.2}",
                format!("{rate}/s"),
                row.contestant,
                of(|run| run.p50),
                of(|run| run.p90),
                of(|run| run.p99),
                of(|run| run.max)
            );
        }
    }

    pub fn print(&self) {
        println!("\n{}", Self::HEAD);
        self.rows.iter().for_each(|row| self.print_row(row));
        let mut rates: Vec<u64> = self.latencies.iter().map(|row| row.rate).collect();
        rates.dedup();
        rates.into_iter().for_each(|rate| self.print_latency(rate));
    }

    /// The ratios of `peer` as a picture.
    pub fn svg(&self) -> String {
        let of_peer = self
            .rows
            .iter()
            .filter(|row| row.contestant == "peer" && row.workload != "copy");
        let bars: Vec<Bar> = of_peer
            .map(|row| Bar {
                name: row.workload.clone(),
                about: row.about.clone(),
                ratio: self.ratio(row),
            })
            .collect();
        svg(&bars)
    }

    pub fn json(&self) -> String {
        serde_json::to_string_pretty(&json!({ "workloads": self.rows, "latency": self.latencies })).expect("figures are JSON")
    }
}
