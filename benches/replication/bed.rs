//! A workload on the two servers: tables made, backlog written, target set back before each run, tables compared after it.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::Options;
use crate::measure::Meter;
use crate::native::Replica;
use crate::peers::Jobs;
use crate::report::Report;
use crate::support::peers::TestCluster;
use crate::support::random::Random;
use crate::support::servers::{Server, servers};
use crate::workload::{Table, Workload};

const SEED: u64 = 20_261_121;
/// Statements that go to the source in one packet.
const PACKET: u64 = 200;
/// How often the target is asked for the last transaction.
const POLL: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(600);

/// A session whose statements are in no binlog.
pub async fn quiet(server: Server) -> Conn {
    let mut conn = server.conn().await;
    run(
        &mut conn,
        "SET sql_log_bin = 0, cte_max_recursion_depth = 4294967295, unique_checks = 0",
    )
    .await;
    conn
}

/// Process id of a server, from its own pid file.
pub async fn pid(server: Server) -> u32 {
    let mut conn = server.conn().await;
    let file: String = conn.query_first("SELECT @@pid_file").await.unwrap().unwrap();
    let folder: String = conn.query_first("SELECT @@datadir").await.unwrap().unwrap();
    let path = std::path::Path::new(&folder).join(file);
    std::fs::read_to_string(path)
        .expect("a pid file")
        .trim()
        .parse()
        .expect("a pid")
}

pub async fn run(conn: &mut Conn, statement: &str) {
    conn.query_drop(statement)
        .await
        .unwrap_or_else(|e| panic!("{statement:.200}: {e}"));
}

/// Makes the tables with their first rows, and a table for the last transaction.
pub async fn make_tables(server: Server, schema: &str, tables: &[Table]) {
    let mut conn = quiet(server).await;
    run(&mut conn, &format!("DROP DATABASE IF EXISTS {schema}")).await;
    run(&mut conn, &format!("CREATE DATABASE {schema}")).await;
    run(
        &mut conn,
        &format!("CREATE TABLE {schema}.done (id INT NOT NULL PRIMARY KEY)"),
    )
    .await;
    for table in tables {
        let name = format!("{schema}.{}", table.name);
        run(&mut conn, &format!("CREATE TABLE {name} ({})", table.columns)).await;
        if table.rows > 0 {
            let row = table.row.replace("{n}", "n");
            let numbers = format!(
                "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {})",
                table.rows
            );
            run(&mut conn, &format!("INSERT INTO {name} {numbers} SELECT {row} FROM s")).await;
        }
    }
    conn.disconnect().await.unwrap();
}

/// Keeps the target's tables as they are now, for `set_back`.
async fn keep(workload: &Workload) {
    let mut conn = quiet(servers().target).await;
    for schema in &workload.schemas {
        run(&mut conn, &format!("DROP DATABASE IF EXISTS base_{schema}")).await;
        run(&mut conn, &format!("CREATE DATABASE base_{schema}")).await;
        for table in &workload.tables {
            let name = &table.name;
            run(&mut conn, &format!("CREATE TABLE base_{schema}.{name} LIKE {schema}.{name}")).await;
            run(
                &mut conn,
                &format!("INSERT INTO base_{schema}.{name} SELECT * FROM {schema}.{name}"),
            )
            .await;
        }
    }
    conn.disconnect().await.unwrap();
}

/// The target as it was before the backlog.
pub async fn set_back(workload: &Workload) {
    let mut conn = quiet(servers().target).await;
    for schema in &workload.schemas {
        run(&mut conn, &format!("TRUNCATE {schema}.done")).await;
        for table in &workload.tables {
            let name = format!("{schema}.{}", table.name);
            run(&mut conn, &format!("TRUNCATE {name}")).await;
            run(&mut conn, &format!("INSERT INTO {name} SELECT * FROM base_{name}")).await;
            run(&mut conn, &format!("ANALYZE NO_WRITE_TO_BINLOG TABLE {name}")).await;
        }
    }
    run(&mut conn, "FLUSH NO_WRITE_TO_BINLOG TABLES").await;
    conn.disconnect().await.unwrap();
}

/// Durability of the source is off while the backlog is written.
pub async fn durable(server: Server, is_durable: bool) {
    let mut conn = server.conn().await;
    let (sync, flush) = if is_durable { (1, 1) } else { (0, 2) };
    run(
        &mut conn,
        &format!("SET GLOBAL sync_binlog = {sync}, GLOBAL innodb_flush_log_at_trx_commit = {flush}"),
    )
    .await;
}

async fn write_backlog(workload: &Workload) {
    durable(servers().source, false).await;
    let mut conn = servers().source.conn().await;
    run(&mut conn, &format!("USE {}", workload.schemas[0])).await;
    let mut random = Random(SEED);
    let mut at = 0;
    while at < workload.transactions {
        let end = (at + PACKET).min(workload.transactions);
        let packet: Vec<String> = (at..end).map(|at| (workload.make)(workload, at, &mut random)).collect();
        run(&mut conn, &packet.join(";")).await;
        at = end;
    }
    for schema in &workload.schemas {
        run(&mut conn, &format!("INSERT INTO {schema}.done VALUES (1)")).await;
    }
    conn.disconnect().await.unwrap();
    durable(servers().source, true).await;
}

/// Waits until the target shows the last transaction of every schema.
pub async fn arrived(schemas: &[String]) {
    let mut conn = servers().target.conn().await;
    let start = std::time::Instant::now();
    for schema in schemas {
        while conn
            .query_first::<u64, _>(format!("SELECT COUNT(*) FROM {schema}.done"))
            .await
            .unwrap()
            == Some(0)
        {
            assert!(start.elapsed() < LIMIT, "{schema} did not arrive within {LIMIT:?}");
            tokio::time::sleep(POLL).await;
        }
    }
    conn.disconnect().await.unwrap();
}

/// Fails when a table differs.
pub async fn compare(schemas: &[String], tables: &[Table]) {
    let (mut source, mut target) = (servers().source.conn().await, servers().target.conn().await);
    for schema in schemas {
        for table in tables {
            let sum = format!("CHECKSUM TABLE {schema}.{} EXTENDED", table.name);
            let one: (String, Option<u64>) = source.query_first(&sum).await.unwrap().unwrap();
            let other: (String, Option<u64>) = target.query_first(&sum).await.unwrap().unwrap();
            assert_eq!(one, other, "source and target differ");
        }
    }
}

/// Every contestant, in turn, `runs` times.
pub async fn run_workload(workload: &Workload, options: &Options, cluster: &mut TestCluster, report: &mut Report) {
    let (source, target) = (servers().source, servers().target);
    for schema in &workload.schemas {
        make_tables(source, schema, &workload.tables).await;
        make_tables(target, schema, &workload.tables).await;
    }
    keep(workload).await;
    run(&mut quiet(source).await, "RESET BINARY LOGS AND GTIDS").await;
    let jobs = Jobs::submit(cluster, workload.name, &workload.schemas).await;
    jobs.stop(cluster).await;
    let begun = jobs.positions().await;
    write_backlog(workload).await;
    let (source_pid, target_pid) = (pid(source).await, pid(target).await);
    for _ in 0..options.runs {
        for workers in &options.workers {
            set_back(workload).await;
            let replica = Replica::prepare(*workers).await;
            let meter = Meter::start(source_pid, target_pid, Vec::new());
            replica.start().await;
            arrived(&workload.schemas).await;
            report.add(workload, &format!("replica, {workers} workers"), meter.end());
            replica.end().await;
            compare(&workload.schemas, &workload.tables).await;
        }
        set_back(workload).await;
        jobs.rewind(&begun).await;
        let wire = jobs.wire_bytes(cluster);
        let meter = Meter::start(source_pid, target_pid, cluster.peers.iter().map(|peer| peer.pid()).collect());
        jobs.resume(cluster);
        arrived(&workload.schemas).await;
        let mut run = meter.end();
        run.wire_bytes = jobs.wire_bytes(cluster).saturating_sub(wire);
        report.add(workload, "peer", run);
        jobs.stop(cluster).await;
        compare(&workload.schemas, &workload.tables).await;
    }
    jobs.purge(cluster);
    report.print_workload(workload.name);
}
