//! From the source's acknowledgement of a commit until the row is visible on the target.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;

use crate::Options;
use crate::bed::{self, make_tables, quiet};
use crate::native::Replica;
use crate::peers::Jobs;
use crate::report::Report;
use crate::support::peers::TestCluster;
use crate::support::servers::servers;
use crate::workload::Table;

/// Between two looks at the target, for both contestants.
const LOOK: Duration = Duration::from_micros(200);

/// Percentiles of one run, milliseconds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

pub async fn run_rate(rate: u64, seconds: u64) -> Latency {
    let count = rate * seconds;
    let over = AtomicBool::new(false);
    let writing = async {
        let mut conn = servers().source.conn().await;
        let mut acknowledged = Vec::new();
        let start = Instant::now();
        for at in 0..count {
            let due = start + Duration::from_micros(1_000_000 * at / rate);
            tokio::time::sleep_until(due.into()).await;
            bed::run(&mut conn, "INSERT INTO bench.t (v) VALUES (1)").await;
            acknowledged.push((conn.last_insert_id().expect("a number"), Instant::now()));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        over.store(true, Ordering::Relaxed);
        acknowledged
    };
    let looking = async {
        let mut conn = servers().target.conn().await;
        let mut seen: Vec<(u64, Instant)> = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let newest: Option<u64> = conn.query_first("SELECT MAX(id) FROM bench.t").await.unwrap().flatten();
            if let Some(newest) = newest.filter(|newest| seen.last().is_none_or(|(last, _)| newest > last)) {
                seen.push((newest, Instant::now()));
            }
            tokio::time::sleep(LOOK).await;
        }
        seen
    };
    let (acknowledged, seen) = tokio::join!(writing, looking);
    let mut waits: Vec<f64> = Vec::new();
    for (id, at) in acknowledged {
        let visible = seen
            .iter()
            .find(|(newest, _)| *newest >= id)
            .expect("every row arrives within 2 s")
            .1;
        waits.push(visible.saturating_duration_since(at).as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    let part = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    Latency {
        p50: part(0.5),
        p90: part(0.9),
        p99: part(0.99),
        max: part(1.0),
    }
}

pub async fn run(rate: u64, options: &Options, cluster: &mut TestCluster, report: &mut Report) {
    let seconds = options.scaled(15);
    let tables = [Table {
        name: "t".into(),
        columns: "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT NOT NULL".into(),
        rows: 0,
        row: String::new(),
    }];
    for _ in 0..options.runs {
        prepare(&tables).await;
        let replica = Replica::prepare(4).await;
        replica.start().await;
        report.add_latency(rate, "replica, 4 workers", run_rate(rate, seconds).await);
        replica.end().await;
        prepare(&tables).await;
        let jobs = Jobs::submit(cluster, &format!("latency-{rate}"), &["bench".into()]).await;
        report.add_latency(rate, "peer", run_rate(rate, seconds).await);
        jobs.stop(cluster).await;
        jobs.purge(cluster);
    }
    report.print_latency(rate);
}

async fn prepare(tables: &[Table]) {
    for server in [servers().source, servers().target] {
        make_tables(server, "bench", tables).await;
        bed::run(&mut quiet(server).await, "RESET BINARY LOGS AND GTIDS").await;
    }
}
