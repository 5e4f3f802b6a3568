//! What a run costs: CPU seconds and peak memory of processes, from /proc.

use std::fs;
use std::time::Instant;

use serde::Serialize;

/// One run of one contestant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    pub seconds: f64,
    pub cpu_source: f64,
    pub cpu_target: f64,
    /// Both peers, or zero.
    pub cpu_peers: f64,
    /// The larger one of both peers, MiB.
    pub peak_mib: u64,
    /// Bytes between the peers; zero for the replica.
    pub wire_bytes: u64,
}

/// Processes under measurement.
pub struct Meter {
    source: u32,
    target: u32,
    peers: Vec<u32>,
    start: Instant,
    before: [f64; 3],
}

impl Meter {
    pub fn start(source: u32, target: u32, peers: Vec<u32>) -> Self {
        for pid in &peers {
            // Sets the peak back to what is resident now.
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        let before = cpu(source, target, &peers);
        Self {
            source,
            target,
            peers,
            start: Instant::now(),
            before,
        }
    }

    pub fn end(self) -> Run {
        let seconds = self.start.elapsed().as_secs_f64();
        let after = cpu(self.source, self.target, &self.peers);
        let peak = self.peers.iter().map(|pid| peak_mib(*pid)).max();
        Run {
            seconds,
            cpu_source: after[0] - self.before[0],
            cpu_target: after[1] - self.before[1],
            cpu_peers: after[2] - self.before[2],
            peak_mib: peak.unwrap_or_default(),
            wire_bytes: 0,
        }
    }
}

fn cpu(source: u32, target: u32, peers: &[u32]) -> [f64; 3] {
    [
        cpu_seconds(source),
        cpu_seconds(target),
        peers.iter().map(|pid| cpu_seconds(*pid)).sum(),
    ]
}

/// User and system time of a process, in ticks of 10 ms.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let behind = stat.rsplit(')').next().expect("a name in brackets");
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("KiB") / 1024
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
