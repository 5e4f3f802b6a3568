//! `peer` and MySQL's own replica in turn on the same two servers, from the same backlog: `scripts/bench`.
//!
//! Both servers are fully durable. For a workload of changes everything is stopped, the backlog lies in the source's binlog, and the
//! clock runs from the start of the contestant until the target shows the last transaction; then the tables are compared. Ratios
//! count, not times: the machine is shared by servers and peers. Every workload is made from a fixed seed.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod bed;
mod chart;
mod copy;
mod latency;
mod link;
mod measure;
mod native;
mod peers;
mod report;
mod workload;

use report::Report;

/// What the command line asks for.
pub struct Options {
    /// Runs of each contestant; the median counts.
    pub runs: usize,
    /// Workloads are cut to this part of their transactions and rows.
    pub scale: f64,
    /// Names of what to run; empty: all.
    pub only: Vec<String>,
    /// Where the figures go as JSON.
    pub json: Option<String>,
    /// Where the ratios go as a picture.
    pub svg: Option<String>,
    /// Workers of MySQL's replica, a contestant each.
    pub workers: Vec<u32>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            runs: 3,
            scale: 1.0,
            only: Vec::new(),
            json: None,
            svg: None,
            workers: vec![4, 8],
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = |what: &str| words.next().unwrap_or_else(|| panic!("{word} needs {what}"));
            match word.as_str() {
                "--runs" => options.runs = value("a number").parse().expect("--runs takes a number"),
                "--scale" => options.scale = value("a number").parse().expect("--scale takes a number"),
                "--json" => options.json = Some(value("a file")),
                "--svg" => options.svg = Some(value("a file")),
                "--workers" => {
                    let list = value("numbers");
                    options.workers = list.split(',').map(|n| n.parse().expect("--workers takes numbers")).collect();
                }
                // `cargo bench` adds it.
                "--bench" => {}
                name => options.only.push(name.to_ascii_lowercase()),
            }
        }
        options
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == &name.to_ascii_lowercase())
    }

    /// Writes the files that were asked for, with what is known so far.
    fn keep(&self, report: &Report) {
        for (file, text) in [(&self.json, report.json()), (&self.svg, report.svg())] {
            if let Some(file) = file {
                std::fs::write(file, text).unwrap_or_else(|error| panic!("{file}: {error}"));
            }
        }
    }

    pub fn scaled(&self, count: u64) -> u64 {
        ((count as f64 * self.scale) as u64).max(1)
    }
}

#[tokio::main]
async fn main() {
    let options = Options::read();
    link::run(options.scaled(10), |name| options.wants(name)).await;
    if !options.only.is_empty() && options.only.iter().all(|only| only.starts_with("link")) {
        return;
    }
    let mut report = Report::default();
    let mut cluster = peers::cluster();
    for workload in workload::all(&options) {
        if options.wants(workload.name) {
            bed::run_workload(&workload, &options, &mut cluster, &mut report).await;
            options.keep(&report);
        }
    }
    if options.wants("copy") {
        copy::run(&options, &mut cluster, &mut report).await;
    }
    for rate in [50, 300] {
        if options.wants(&format!("latency-{rate}")) {
            latency::run(rate, &options, &mut cluster, &mut report).await;
        }
    }
    report.print();
    options.keep(&report);
}
