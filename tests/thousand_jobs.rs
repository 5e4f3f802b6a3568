//! A thousand jobs on five real peers: how soon everybody knows them, and what they cost while nothing happens to them.
//!
//! The jobs may run nowhere, so no database is needed. Times and CPU seconds are printed. What is asserted is CPU time, which
//! a busy machine does not stretch, about four times what a debug build needs; the promise (10 s, 3% of a core) is for a
//! release build on a machine of its own: `PEER_TEST_BINARY=target/release/peer PEER_TEST_JOBS_WITHIN=10`.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::peers::{TestCluster, TestPeer};
use support::wait::until;

const JOBS: usize = 1_000;
const PEERS: usize = 5;
/// How long a quiet time is watched.
const SPAN: Duration = Duration::from_secs(10);
/// Requests at a time; a person's script has few.
const CLIENTS: usize = 8;

/// A job that no peer of these clusters may run.
fn job_text(number: usize) -> String {
    let end = |section: &str, start: &str| {
        format!(
            "[{section}]\nkind = \"mysql\"\nhost = \"{section}.example\"\nport = 3306\nuser = \"u\"\npassword = \"\"\n{start}\
             [[{section}.constraint]]\nattribute = \"${{node.datacenter}}\"\nvalue = \"nowhere\"\n\n"
        )
    };
    let (source, sink) = (end("source", "start = \"snapshot\"\n"), end("sink", ""));
    format!("name = \"job-{number}\"\n{source}[[tables]]\nschema = \"s\"\ntable = \"t{number}\"\n\n{sink}")
}

fn cluster(word: &str) -> TestCluster {
    let mut cluster = TestCluster::new(word);
    for n in 0..PEERS {
        cluster.add(&format!("p{n}"), "here", &[]);
    }
    cluster.await_members(PEERS);
    cluster
}

/// Does `work` for every job, a few at a time, as people's scripts do.
fn for_each_job(work: impl Fn(&ureq::Agent, usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= JOBS {
                        return;
                    }
                    work(&agent, number);
                }
            });
        }
    });
}

fn url(peer: &TestPeer, path: &str) -> String {
    format!("http://{}/v1/{path}", peer.run_field("http"))
}

fn submit_all(peer: &TestPeer) {
    // Of a thousand jobs at once nobody asks for a look at their databases.
    let jobs = url(peer, "jobs?check=false");
    for_each_job(|agent, number| {
        let mut answer = agent.post(&jobs).send(job_text(number)).expect("an answer");
        let status = answer.status();
        assert_eq!(status, 200, "job {number}: {}", answer.body_mut().read_to_string().unwrap());
    });
}

fn act_on_all(peer: &TestPeer, action: &str) {
    let jobs = url(peer, "jobs");
    for_each_job(|agent, number| {
        let answer = agent.post(format!("{jobs}/job-{number}/{action}")).send_empty();
        assert_eq!(answer.expect("an answer").status(), 200, "{action} of job {number}");
    });
}

/// How many jobs this peer knows with that wish.
fn known(peer: &TestPeer, desired: &str) -> usize {
    let text = ureq::get(url(peer, "jobs"))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let jobs: Value = serde_json::from_str(&text).unwrap();
    let jobs = jobs["jobs"].as_array().unwrap();
    jobs.iter().filter(|job| job["desired"] == desired).count()
}

fn await_known(cluster: &TestCluster, desired: &str) {
    for peer in cluster.peers.iter().filter(|peer| peer.is_running()) {
        until(
            &format!("{} knows all jobs as `{desired}`", peer.name),
            Duration::from_secs(240),
            || (known(peer, desired) == JOBS).then_some(()),
        );
    }
}

/// CPU time of a process in all its threads, user and system.
fn cpu(peer: &TestPeer) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", peer.pid())).expect("proc stat");
    // The name, in brackets, may hold anything; utime and stime are the 12th and 13th field behind it.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // Linux shows them in 1/100 s, whatever the kernel counts in.
    Duration::from_millis(ticks * 10)
}

/// CPU time of each running peer over `span`.
fn cpu_over(cluster: &TestCluster, span: Duration, during: impl FnOnce()) -> Vec<Duration> {
    let running = || cluster.peers.iter().filter(|peer| peer.is_running());
    let before: Vec<Duration> = running().map(cpu).collect();
    let began = Instant::now();
    during();
    std::thread::sleep(span.saturating_sub(began.elapsed()));
    running().map(cpu).zip(before).map(|(after, before)| after - before).collect()
}

fn assert_below(what: &str, spent: &[Duration], bound: Duration) {
    println!(
        "{what}: CPU seconds per peer {:.2?}",
        spent.iter().map(Duration::as_secs_f64).collect::<Vec<_>>()
    );
    assert!(
        spent.iter().all(|spent| *spent < bound),
        "{what}: {spent:?}, expected below {bound:?}"
    );
}

#[test]
fn a_thousand_jobs_are_soon_known_by_five_peers_and_cost_nothing_while_they_wait() {
    let mut cluster = cluster("thousand");
    let second = Duration::from_secs(1);
    assert_below("10 s without a job", &cpu_over(&cluster, SPAN, || {}), second);

    let began = Instant::now();
    let spent = cpu_over(&cluster, Duration::ZERO, || {
        submit_all(cluster.peer("p2"));
        await_known(&cluster, "run");
    });
    let within: Option<f64> = std::env::var("PEER_TEST_JOBS_WITHIN").ok().and_then(|text| text.parse().ok());
    println!(
        "1,000 jobs submitted on one peer and known by five after {:.1?}",
        began.elapsed()
    );
    assert!(within.is_none_or(|seconds| began.elapsed().as_secs_f64() < seconds));
    assert_below("taking them", &spent, 30 * second);
    assert_below("10 s with all of them unplaced", &cpu_over(&cluster, SPAN, || {}), 2 * second);

    cluster.peer_mut("p4").kill();
    let spent = cpu_over(&cluster, SPAN, || {});
    assert_below("10 s in which a peer is suspected and dead", &spent, 3 * second);

    let began = Instant::now();
    act_on_all(cluster.peer("p2"), "stop");
    await_known(&cluster, "stop");
    println!("all stopped after {:.1?}", began.elapsed());
    assert_below("10 s with all of them held", &cpu_over(&cluster, SPAN, || {}), second);
}
