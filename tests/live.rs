//! What changes of a job while it runs: taken up by its tasks where they are, moved by plan where they may not stay, refused
//! where the target does not fit it.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use serde_json::Value;
use support::compare::assert_equal;
use support::job::JobFile;
use support::peers::TestCluster;
use support::schema::TestSchema;
use support::servers::servers;
use support::traffic::Traffic;
use support::wait::{has_all, until};

const JOB: &str = "live";
/// The bar for a planned move.
const GAP_MAX: Duration = Duration::from_secs(2);
/// A moved task streams again within this.
const MOVED_WITHIN: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(30);

/// A streaming job on four peers in two sites.
struct Bed {
    cluster: TestCluster,
    schema: TestSchema,
    file: PathBuf,
}

impl Bed {
    async fn streaming(word: &str) -> Self {
        let schema = TestSchema::new(word).await;
        let columns = "(id BIGINT AUTO_INCREMENT PRIMARY KEY, v DOUBLE, pad VARBINARY(2000))";
        let create = ["t", "u"].map(|table| format!("CREATE TABLE {}.{table} {columns}", schema.base));
        servers().source.run(&[&create[0], &create[1]]).await;
        let cluster = TestCluster::two_by_two(word);
        let file = support::guard::folder().join(format!("{}.toml", schema.base));
        let bed = Self { cluster, schema, file };
        bed.write(&["t"], "");
        bed.json(&["submit", bed.path()]).unwrap();
        tokio::task::block_in_place(|| bed.await_status("the job streams", |status| status["state"] == "streaming"));
        bed
    }

    /// The text of the job with these tables and more lines at its end, in the section `sink`.
    fn text(&self, tables: &[&str], more: &str) -> String {
        let mut job = JobFile::new(JOB);
        job.extra = more.to_owned();
        job.text(&self.schema, tables)
    }

    fn write(&self, tables: &[&str], more: &str) {
        std::fs::write(&self.file, self.text(tables, more)).unwrap();
    }

    fn path(&self) -> &str {
        self.file.to_str().unwrap()
    }

    fn json(&self, args: &[&str]) -> Result<Value, String> {
        self.cluster.any().json(args)
    }

    fn update(&self, tables: &[&str], more: &str) -> Result<Value, String> {
        self.write(tables, more);
        self.json(&["submit", "--update", self.path()])
    }

    fn status(&self) -> Value {
        self.json(&["status", JOB]).unwrap_or_else(|e| panic!("status: {e}"))
    }

    fn await_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, SOON, || {
            let status = self.status();
            assert_ne!(status["state"], "failed", "{status:#}");
            wanted(&status).then_some(status)
        })
    }

    /// Lines of this text in the logs of all peers.
    fn logged(&self, text: &str) -> usize {
        let lines = |log: String| log.lines().filter(|line| line.contains(text)).count();
        self.cluster.peers.iter().map(|peer| lines(peer.log())).sum()
    }

    /// What tells one run of the tasks from another: epoch, number of the source task, starts of each task.
    async fn run(&self) -> (u64, u64, usize, usize) {
        let fence = |column: &str| format!("SELECT {column} FROM {}.fence", self.schema.meta);
        let epoch = servers().target.number(&fence("epoch")).await;
        let src_epoch = servers().target.number(&fence("src_epoch")).await;
        (
            epoch,
            src_epoch,
            self.logged("sink task started"),
            self.logged("source task started"),
        )
    }

    async fn insert(&self, rows: usize, bytes: usize) {
        let mut conn = servers().source.conn().await;
        for _ in 0..rows {
            let insert = format!("INSERT INTO {}.t (pad) VALUES (RANDOM_BYTES({bytes}))", self.schema.base);
            conn.query_drop(insert).await.unwrap();
        }
        conn.disconnect().await.unwrap();
    }

    async fn await_equal(&self) {
        let executed = servers().source.executed().await;
        tokio::task::block_in_place(|| self.await_status("the target has everything", |status| has_all(status, &executed)));
        assert_equal(&servers().source, &servers().target, &self.schema.base, &["t"]).await;
    }
}

fn total(status: &Value, name: &str) -> u64 {
    status["totals"][name].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_takes_up_rate_limits_and_wishes_without_ending_its_tasks() {
    let bed = Bed::streaming("live").await;
    bed.insert(10, 10).await;
    bed.await_equal().await;
    let before = bed.run().await;
    let restarts = total(&bed.status(), "restarts");

    // The rate: 100 times more waits at the source than it lets pass in a second.
    bed.json(&["set", JOB, "link.rate=50 KB/s"]).unwrap();
    tokio::task::block_in_place(|| {
        until("the sink has the new text", SOON, || {
            (bed.logged("took up a new version") >= 1).then_some(())
        })
    });
    bed.insert(2500, 1000).await;
    let (first, at) = (total(&bed.status(), "bytes_wire"), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let passed = total(&bed.status(), "bytes_wire") - first;
    let per_second = passed as f64 / at.elapsed().as_secs_f64();
    eprintln!("{per_second:.0} bytes/s at a rate of 50000");
    assert!(per_second < 150_000.0, "{per_second} bytes a second at a rate of 50 KB/s");
    assert_ne!(bed.status()["caught_up"], true);
    bed.json(&["set", JOB, "link.rate=0"]).unwrap();
    bed.await_equal().await;

    // The limits: no group holds two transactions any more.
    bed.json(&["set", JOB, "apply.group_transactions=1"]).unwrap();
    tokio::task::block_in_place(|| {
        until("the sink has the new text", SOON, || {
            (bed.logged("took up a new version") >= 3).then_some(())
        })
    });
    let old = bed.status();
    bed.insert(200, 10).await;
    bed.await_equal().await;
    let new = bed.status();
    // Transactions of other tests on this source are counted too, without a group.
    let groups = total(&new, "groups") - total(&old, "groups");
    assert!(groups >= 200, "{groups} groups of 200 transactions");

    // Wishes that the peers of the moment meet.
    let more = "[[affinity]]\nattribute = \"${meta.rack}\"\nvalue = \"a\"\n[apply]\ngroup_transactions = 1\n";
    let plan = {
        bed.write(&["t"], more);
        bed.json(&["plan", bed.path()]).unwrap()
    };
    let impacts = plan["differences"].as_array().unwrap();
    assert!(
        !impacts.is_empty() && impacts.iter().all(|found| found["impact"] == "live"),
        "{plan:#}"
    );
    bed.update(&["t"], more).unwrap();
    tokio::task::block_in_place(|| {
        until("the sink has the new text", SOON, || {
            (bed.logged("took up a new version") >= 4).then_some(())
        })
    });
    bed.insert(5, 10).await;
    bed.await_equal().await;
    assert_eq!(bed.run().await, before, "the same epoch, stream and tasks");
    assert_eq!(total(&bed.status(), "restarts"), restarts);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_constraints_moves_only_the_task_whose_peer_no_longer_meets_them() {
    let bed = Bed::streaming("edit").await;
    let traffic = Traffic::start(&bed.schema).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let without = |task: &str, peer: &str| {
        format!("[[{task}.constraint]]\nattribute = \"${{node.unique.name}}\"\noperator = \"!=\"\nvalue = \"{peer}\"\n")
    };
    let mut more = String::new();
    for task in ["sink", "source"] {
        let (epoch, _, sinks, sources) = bed.run().await;
        let owner = bed.status()[task]["peer"].as_str().unwrap().to_owned();
        more.push_str(&without(task, &owner));
        let start = Instant::now();
        tokio::task::block_in_place(|| {
            bed.update(&["t"], &more).unwrap();
            until(&format!("the {task} leaves {owner}"), MOVED_WITHIN, || {
                let status = bed.status();
                let has_moved = status[task]["peer"].as_str().is_some_and(|peer| peer != owner);
                (has_moved && status["state"] == "streaming").then_some(())
            });
        });
        let gap = traffic.gap_since(start).await;
        eprintln!("edit that excludes the {task}'s peer {owner}: gap {} ms", gap.as_millis());
        assert!(gap < GAP_MAX, "gap of {gap:?}");
        let after = bed.run().await;
        let expected = if task == "sink" {
            (epoch + 1, sinks + 1, sources + 1)
        } else {
            (epoch, sinks, sources + 1)
        };
        assert_eq!((after.0, after.2, after.3), expected, "one planned move of the {task}");
    }
    traffic.end().await;
    bed.await_equal().await;
}

/// Sends `input` to a door and reads until it closes.
fn talk(address: &str, input: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(input.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_the_progress_does_not_fit_is_refused_by_plan_and_at_every_door() {
    let bed = Bed::streaming("fit").await;
    let before = bed.run().await;
    let other_start = bed.text(&["t"], "").replace("start = \"snapshot\"", "start = \"now\"");
    let other_meta = bed.text(&["t"], "").replace("_meta\"", "_meta2\"");
    let port = format!("port = {}\nuser = \"root\"\npassword = \"\"\nmeta", servers().target.port);
    let other_target = bed
        .text(&["t"], "")
        .replace(&port, &port.replace(&servers().target.port.to_string(), "1"));
    let address = |field: &str| bed.cluster.any().run_field(field);
    for (what, text, told) in [
        ("tables", bed.text(&["t", "u"], ""), "peer purge live"),
        ("source.start", other_start, "peer purge live"),
        ("sink.meta_schema", other_meta, "peer purge live"),
        ("sink.endpoint.port", other_target, "peer stop live"),
    ] {
        std::fs::write(&bed.file, &text).unwrap();
        let plan = bed.cluster.any().cli(&["plan", bed.path(), "--json"]);
        let planned: Value = serde_json::from_slice(&plan.stdout).unwrap();
        assert_eq!(
            (plan.status.code(), &planned["result"]),
            (Some(1), &"refused".into()),
            "{what}"
        );
        let line = bed.cluster.any().cli(&["submit", "--update", bed.path(), "--json"]);
        let refused: Value = serde_json::from_slice(&line.stdout).unwrap();
        assert_eq!(line.status.code(), Some(1), "{what}: {refused}");
        assert_eq!(refused["error"]["faults"], planned["faults"], "plan and submit say the same");
        let fault = &refused["error"];
        assert_eq!(fault["code"], "PEER1711", "{fault}");
        assert!(fault["found"].as_str().unwrap().starts_with(what), "{fault}");
        assert!(fault["fix"].as_str().unwrap().contains(told), "{fault}");
        let host = address("http");
        let post = format!(
            "POST /v1/jobs?update=true HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        let answer = talk(&host, &post);
        assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("PEER1711"), "{answer}");
        let answer = talk(&address("admin"), &format!("submit --update <<EOF\n{text}\nEOF\nquit\n"));
        assert!(answer.contains("PEER1711") && answer.contains(told), "{answer}");
    }
    assert_eq!(bed.status()["version"], 1, "nothing was stored");
    bed.insert(5, 10).await;
    bed.await_equal().await;
    assert_eq!(bed.run().await, before, "the job went on");

    // At another address of the same target a stopped job goes on where it was.
    bed.json(&["stop", JOB]).unwrap();
    let moved = bed.text(&["t"], "");
    let at = moved.find("[sink]").unwrap();
    std::fs::write(
        &bed.file,
        format!("{}{}", &moved[..at], moved[at..].replace("127.0.0.1", "localhost")),
    )
    .unwrap();
    bed.json(&["submit", "--update", bed.path()]).unwrap();
    bed.insert(5, 10).await;
    bed.json(&["resume", JOB]).unwrap();
    tokio::task::block_in_place(|| bed.await_status("the job streams again", |status| status["state"] == "streaming"));
    bed.await_equal().await;
    assert_eq!(bed.run().await.0, before.0 + 1);
}
