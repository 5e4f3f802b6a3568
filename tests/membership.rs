//! Gossip over real endpoints: who is there, who is gone, and how fast the others know.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod gossip_node;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chitchat::{ChitchatId, Serializable};
use gossip_node::{Network, Node};
use peer::core::ids::{Boot, JobName};
use peer::core::member::{Member, MemberState, TaskCounts};
use peer::core::placement::Task;
use peer::gossip::keys::{Profile, TASK_BYTES_MAX, VALUE_BYTES_MAX};
use peer::gossip::membership::GOSSIP_INTERVAL;
use peer::gossip::{Fact, GossipError, Leaving, Membership, MembershipConfig, TaskFact};
use peer::wire::message::{GossipPacket, StreamKind};

const SOON: Duration = Duration::from_secs(10);

/// Starts peers `a`, `b`, … that all know the first two as seeds, and waits until each sees all.
async fn cluster(network: &Network, dir: &Path, count: u8) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for n in 0..count {
        let name = char::from(b'a' + n).to_string();
        let seeds: Vec<_> = nodes.iter().take(2).map(Node::address).collect();
        nodes.push(network.start(&name, &dir.join(&name), &seeds, None).await);
    }
    for node in &nodes {
        node.until_alive(nodes.len(), SOON).await;
    }
    nodes
}

async fn stop(nodes: Vec<Node>) {
    for node in nodes {
        node.kill().await;
    }
}

fn state_of(roster: &[Member], name: &str) -> Vec<MemberState> {
    let named = roster.iter().filter(|member| member.name == name);
    named.map(|member| member.state).collect()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_peers_find_each_other_and_hear_facts() {
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let nodes = cluster(&Network::new(), dir.path(), 5).await;
    println!("five peers see five peers after {:?}", began.elapsed());

    let task = TaskFact {
        job: JobName("orders".into()),
        kind: Task::Sink,
        state: r#"{"epoch":3}"#.into(),
    };
    let counts = TaskCounts { source: 0, sink: 1 };
    for fact in [Fact::Task(task.clone()), Fact::Tasks(counts), Fact::Draining(true)] {
        nodes[0].membership.set(&fact).unwrap();
    }
    for node in &nodes {
        assert!(node.membership.roster().borrow()[0].is_self, "own entry first");
        let is_told = |roster: &[Member]| roster.iter().any(|m| m.name == "a" && m.is_draining && m.tasks == counts);
        node.until("a's facts", SOON, is_told).await;
        let facts = node.membership.facts().borrow().clone();
        assert!(facts.iter().any(|peer| peer.tasks == [task.clone()]), "{facts:?}");
    }
    nodes[0].membership.clear_task(&task.job, task.kind).unwrap();
    let mut facts = nodes[4].membership.facts();
    let is_cleared = facts.wait_for(|all| all.iter().all(|peer| peer.tasks.is_empty()));
    tokio::time::timeout(SOON, is_cleared).await.unwrap().unwrap();
    assert!(nodes[4].membership.heard().values().all(|count| *count > 0));
    assert_eq!(nodes[4].membership.live_addresses().len(), 4);
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_peer_is_dead_within_four_seconds_and_back_as_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let mut nodes = cluster(&network, dir.path(), 5).await;
    let (mut all, mut back) = (Vec::new(), Vec::new());
    for kill in 0..5_u64 {
        let victim = nodes.remove(1);
        let (name, address) = (victim.name.clone(), victim.address());
        let began = Instant::now();
        victim.kill().await;
        let detections = nodes.iter().map(|node| {
            let name = name.as_str();
            async move {
                let is_dead = |roster: &[Member]| state_of(roster, name) == [MemberState::Dead];
                node.until(&format!("{name} dead"), SOON, is_dead).await;
                began.elapsed()
            }
        });
        let mut times = futures_util::future::join_all(detections).await;
        println!("kill {kill} of `{name}`: seen dead after {times:?}");
        all.append(&mut times);

        let seeds: Vec<_> = nodes.iter().take(2).map(Node::address).collect();
        let began = Instant::now();
        let again = network.start_at(address, &name, &dir.path().join(&name), &seeds, None).await;
        for node in nodes.iter().chain([&again]) {
            node.until_alive(5, SOON).await;
        }
        back.push(began.elapsed());
        let roster = nodes[0].membership.roster().borrow().clone();
        let found = roster.iter().find(|member| member.name == name).unwrap();
        assert_eq!(found.boot, again.membership.roster().borrow()[0].boot);
        assert!(found.boot > Boot(1));
        nodes.push(again);
    }
    let median = median(&mut all);
    println!(
        "dead after: median {median:?}, least {:?}, most {:?} of {}; back after {back:?}",
        all[0],
        all[all.len() - 1],
        all.len()
    );
    assert!(median <= Duration::from_secs(4), "median {median:?} of {all:?}");
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quick_restart_and_an_empty_data_dir_show_one_live_entry() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let mut nodes = cluster(&network, dir.path(), 3).await;
    let seeds = [nodes[0].address()];

    let old = nodes.pop().unwrap();
    let (old_id, address) = (old.endpoint.node_id().clone(), old.address());
    old.kill().await;
    let quick = network.start_at(address, "c", &dir.path().join("c"), &seeds, None).await;
    assert_eq!(*quick.endpoint.node_id(), old_id);
    for node in &nodes {
        let is_second = |roster: &[Member]| {
            let c: Vec<&Member> = roster.iter().filter(|member| member.name == "c").collect();
            c.len() == 1 && c[0].boot == Boot(2) && c[0].state == MemberState::Alive
        };
        node.until("the second start of c", SOON, is_second).await;
    }

    quick.kill().await;
    let fresh = network.start("c", &dir.path().join("c-new"), &seeds, None).await;
    assert_ne!(*fresh.endpoint.node_id(), old_id);
    for node in &nodes {
        let is_fresh = |roster: &[Member]| {
            let c: Vec<&Member> = roster.iter().filter(|member| member.name == "c").collect();
            c.len() == 1 && c[0].id == *fresh.endpoint.node_id() && c[0].state == MemberState::Alive
        };
        node.until("only the new c", SOON, is_fresh).await;
    }
    nodes.push(fresh);
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_is_known_before_the_peer_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(&Network::new(), dir.path(), 3).await;
    let leaver = nodes.pop().unwrap();
    leaver.membership.leave(Leaving::ForGood).await.unwrap();
    leaver.kill().await;
    for node in &nodes {
        let has_left = |roster: &[Member]| state_of(roster, "c") == [MemberState::Left];
        node.until("c left", Duration::from_secs(1), has_left).await;
    }
    stop(nodes).await;
}

#[tokio::test]
async fn what_gossip_cannot_carry_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let node = Network::new().start("a", dir.path(), &[], None).await;
    let config = MembershipConfig {
        boot: Boot(1),
        profile: Profile {
            meta: BTreeMap::from([("note".to_owned(), "x".repeat(VALUE_BYTES_MAX))]),
            ..Profile::default()
        },
        capacity: 1,
        seeds: Vec::new(),
        cluster_name: "test".into(),
        interval: GOSSIP_INTERVAL,
    };
    let refused = Membership::start(config, node.endpoint.clone());
    assert!(matches!(refused.err(), Some(GossipError::ValueTooLong { .. })));

    let task = |n: usize, bytes: usize| {
        Fact::Task(TaskFact {
            job: JobName(format!("job-{n}")),
            kind: Task::Source,
            state: "x".repeat(bytes),
        })
    };
    let refused = node.membership.set(&task(0, TASK_BYTES_MAX + 1));
    assert!(matches!(refused, Err(GossipError::ValueTooLong { .. })), "{refused:?}");
    let total = (0..100).find_map(|n| node.membership.set(&task(n, TASK_BYTES_MAX)).err());
    assert!(matches!(total, Some(GossipError::TotalTooLong { .. })), "{total:?}");
    node.kill().await;
}

/// A packet that makes the library panic (in debug builds): a digest of more peers than fit its packet size.
fn poison(from: SocketAddr) -> GossipPacket {
    let mut bytes = Vec::new();
    45_139_u16.serialize(&mut bytes); // magic number
    0_u8.serialize(&mut bytes); // version
    0_u8.serialize(&mut bytes); // Syn
    100_u16.serialize(&mut bytes);
    for n in 0..100 {
        ChitchatId::new(format!("{n:01000}"), 1, "127.0.0.1:9".parse().unwrap()).serialize(&mut bytes);
        for _heartbeat_gc_and_version in 0..3 {
            1_u64.serialize(&mut bytes);
        }
    }
    "test".serialize(&mut bytes); // cluster
    GossipPacket {
        bytes,
        from: from.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_library_is_survived_and_the_others_still_listen() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(&Network::new(), dir.path(), 2).await;
    let panics = Arc::new(AtomicUsize::new(0));
    let (counter, usual) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|at| at.file().contains("chitchat-")) {
            counter.fetch_add(1, Ordering::Relaxed);
        } else {
            usual(panic);
        }
    }));
    let mut stream = nodes[1].endpoint.open(nodes[0].address(), StreamKind::Gossip).await.unwrap();
    let heard = nodes[1].membership.heard();
    stream.send(&poison(nodes[1].address())).await.unwrap();
    if cfg!(debug_assertions) {
        while panics.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    nodes[0].membership.set(&Fact::Draining(true)).unwrap();
    for node in &nodes {
        let is_told = |roster: &[Member]| {
            let a = roster.iter().find(|member| member.name == "a");
            a.is_some_and(|a| a.is_draining && a.boot == Boot(1) && a.state == MemberState::Alive) && roster.len() == 2
        };
        node.until("a draining, in its first boot", SOON, is_told).await;
    }
    let hears_more = async {
        while nodes[1].membership.heard() == heard {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, hears_more)
        .await
        .expect("the others still hear heartbeats");
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_seen_by_both_sides_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let nodes = cluster(&network, dir.path(), 4).await;
    for node in &nodes[2..] {
        network.put(node, 1);
    }
    for (node, others) in [(&nodes[0], ["c", "d"]), (&nodes[3], ["a", "b"])] {
        let are_dead = |roster: &[Member]| others.iter().all(|name| state_of(roster, name) == [MemberState::Dead]);
        node.until("the other side dead", SOON, are_dead).await;
        assert_eq!(node.membership.live_addresses().len(), 1, "its own side lives");
    }
    for node in &nodes[2..] {
        network.put(node, 0);
    }
    let began = Instant::now();
    for node in &nodes {
        node.until_alive(4, Duration::from_secs(15)).await;
    }
    println!("healed after {:?}", began.elapsed());
    stop(nodes).await;
}
