//! The first copy of four tables, with LOAD DATA and without, against `mysqldump | mysql`, one after the other and a table each at the same time.

use std::process::Stdio;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::process::Command;

use crate::Options;
use crate::bed::{compare, make_tables, pid, quiet, run as run_statement};
use crate::measure::Meter;
use crate::peers::{text, write_job};
use crate::report::Report;
use crate::support::peers::TestCluster;
use crate::support::servers::servers;
use crate::workload::{Table, Workload, oltp_tables};

const POLL: Duration = Duration::from_millis(5);

pub async fn run(options: &Options, cluster: &mut TestCluster, report: &mut Report) {
    let tables = oltp_tables(options.scaled(250_000));
    let workload = Workload {
        name: "copy",
        about: "4 tables with an index, from nothing",
        schemas: vec!["bench".into()],
        rows: tables.iter().map(|table| table.rows).sum(),
        transactions: 0,
        tables,
        make: |_, _, _| String::new(),
    };
    let (source, target) = (servers().source, servers().target);
    make_tables(source, "bench", &workload.tables).await;
    run_statement(&mut quiet(source).await, "RESET BINARY LOGS AND GTIDS").await;
    let (source_pid, target_pid) = (pid(source).await, pid(target).await);
    for at in 0..options.runs {
        for (name, is_parallel) in [("mysqldump | mysql", false), ("the same, a table each", true)] {
            empty().await;
            let meter = Meter::start(source_pid, target_pid, Vec::new());
            dump(&workload.tables, is_parallel).await;
            report.add(&workload, name, meter.end());
            compare(&workload.schemas, &workload.tables).await;
        }
        for (name, word, is_loaded) in [("peer, INSERT", "insert", "OFF"), ("peer, LOAD DATA", "load", "ON")] {
            empty().await;
            run_statement(&mut quiet(target).await, &format!("SET GLOBAL local_infile = {is_loaded}")).await;
            let job = format!("copy-{word}-{at}");
            let file = write_job(&job, &text(&job, "bench", "snapshot"));
            let meter = Meter::start(source_pid, target_pid, cluster.peers.iter().map(|peer| peer.pid()).collect());
            cluster
                .any()
                .json(&["submit", &file])
                .unwrap_or_else(|e| panic!("submit {job}: {e}"));
            copied(&job, workload.tables.len() + 1).await;
            report.add(&workload, name, meter.end());
            compare(&workload.schemas, &workload.tables).await;
            cluster.any().json(&["purge", &job, "--yes", "--target"]).unwrap();
        }
    }
    report.print_workload(workload.name);
}

async fn empty() {
    let mut conn = quiet(servers().target).await;
    for statement in ["DROP DATABASE IF EXISTS bench", "CREATE DATABASE bench"] {
        run_statement(&mut conn, statement).await;
    }
}

/// Waits until the copy of every table stands on the target.
async fn copied(job: &str, tables: usize) {
    let mut conn = servers().target.conn().await;
    let query = format!("SELECT COUNT(*) FROM bench_meta.copy WHERE job = '{job}' AND state = 'done'");
    loop {
        // The tables of peer itself are made by the first acquire.
        let done: Option<usize> = conn.query_first(&query).await.unwrap_or(None);
        if done == Some(tables) {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn dump(tables: &[Table], is_parallel: bool) {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let parts: Vec<String> = if is_parallel {
        names.iter().map(|name| (*name).to_owned()).collect()
    } else {
        vec![names.join(" ")]
    };
    let (dump, client) = (
        std::env::var("PEER_BENCH_DUMP").unwrap(),
        std::env::var("PEER_BENCH_CLIENT").unwrap(),
    );
    let pipe = |tables: &String| {
        let (from, to) = (servers().source.port, servers().target.port);
        let line = format!(
            "{dump} --user=root --host=127.0.0.1 --port={from} --single-transaction --set-gtid-purged=OFF bench {tables} | \
             {client} --user=root --host=127.0.0.1 --port={to} bench"
        );
        Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::null())
            .spawn()
            .expect("sh runs")
    };
    for mut child in parts.iter().map(pipe).collect::<Vec<_>>() {
        assert!(child.wait().await.unwrap().success(), "the dump failed");
    }
}
