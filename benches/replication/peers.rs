//! `peer` as a contestant: one peer next to each server, a job per schema.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;

use crate::bed::run;
use crate::support::peers::TestCluster;
use crate::support::servers::servers;
use crate::support::wait::until;

const META: &str = "bench_meta";

/// A peer in the source's site and one in the target's.
pub fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new("bench");
    cluster.add("near-source", "one", &[]);
    cluster.add("near-target", "two", &[]);
    cluster.await_members(2);
    cluster
}

/// The jobs of one workload.
pub struct Jobs {
    names: Vec<String>,
}

/// job.toml of a schema; `start` is `now` or `snapshot`.
pub fn text(name: &str, schema: &str, start: &str) -> String {
    let servers = servers();
    let end = |section: &str, port: u16, site: &str, more: &str| {
        format!(
            "[{section}]\nkind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"root\"\npassword = \"\"\n{more}\
             [[{section}.constraint]]\nattribute = \"${{node.datacenter}}\"\nvalue = \"{site}\"\n\n"
        )
    };
    let source = end("source", servers.source.port, "one", &format!("start = \"{start}\"\n"));
    let sink = format!("meta_schema = \"{META}\"\n");
    let sink = end("sink", servers.target.port, "two", &sink);
    format!("name = \"{name}\"\n{source}[[tables]]\nschema = \"{schema}\"\n\n{sink}")
}

/// A file with the text, for the command line.
pub fn write_job(name: &str, text: &str) -> String {
    let path = crate::support::guard::folder().join(format!("{name}.toml"));
    std::fs::write(&path, text).expect("the job file can be written");
    path.display().to_string()
}

impl Jobs {
    /// Submits a job per schema from where the source is now, and waits until they follow.
    pub async fn submit(cluster: &TestCluster, word: &str, schemas: &[String]) -> Self {
        let name = |at| format!("{}-{at}", word.to_ascii_lowercase());
        let names: Vec<String> = (0..schemas.len()).map(name).collect();
        for (name, schema) in names.iter().zip(schemas) {
            let file = write_job(name, &text(name, schema, "now"));
            cluster
                .any()
                .json(&["submit", &file])
                .unwrap_or_else(|e| panic!("submit {name}: {e}"));
        }
        let jobs = Self { names };
        jobs.await_state(cluster, "streaming");
        jobs
    }

    fn await_state(&self, cluster: &TestCluster, state: &str) {
        for name in &self.names {
            until(&format!("{name} is {state}"), Duration::from_secs(60), || {
                (cluster.any().json(&["status", name]).ok()?["state"] == state).then_some(())
            });
        }
    }

    pub async fn stop(&self, cluster: &TestCluster) {
        for name in &self.names {
            cluster.any().json(&["stop", name]).unwrap();
        }
        self.await_state(cluster, "stopped");
    }

    /// The clock runs: one command per job.
    pub fn resume(&self, cluster: &TestCluster) {
        for name in &self.names {
            cluster.any().json(&["resume", name]).unwrap();
        }
    }

    pub fn purge(&self, cluster: &TestCluster) {
        for name in &self.names {
            cluster.any().json(&["purge", name, "--yes", "--target"]).unwrap();
        }
    }

    /// How far each job is on the target.
    pub async fn positions(&self) -> BTreeMap<String, String> {
        let mut conn = servers().target.conn().await;
        let rows: Vec<(String, String)> = conn
            .query(format!("SELECT job, gtid_set FROM {META}.progress"))
            .await
            .unwrap();
        rows.into_iter().collect()
    }

    /// Sets the stopped jobs back to where they were: what is set back on the target is to be applied again.
    pub async fn rewind(&self, positions: &BTreeMap<String, String>) {
        let mut conn = servers().target.conn().await;
        for name in &self.names {
            let executed = &positions[name];
            run(
                &mut conn,
                &format!("UPDATE {META}.progress SET gtid_set = '{executed}' WHERE job = '{name}'"),
            )
            .await;
        }
    }

    /// Bytes that went over the link so far.
    pub fn wire_bytes(&self, cluster: &TestCluster) -> u64 {
        let of = |name: &String| cluster.any().json(&["status", name]).ok()?["totals"]["bytes_wire"].as_u64();
        self.names.iter().filter_map(of).sum()
    }
}
