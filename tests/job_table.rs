//! The exchange of the job table over real endpoints: pushed at once, repaired after an absence, many at a time.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod gossip_node;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use gossip_node::{Network, Node};
use peer::core::ids::{Incarnation, JobName};
use peer::core::job_merge::{JobRecord, hash, merge, table_hash};
use peer::gossip::table_exchange;
use peer::gossip::table_sync::{BadRecord, RECORD_BYTES_MAX, Table, compare, push};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const SOON: Duration = Duration::from_secs(10);

/// A job table in memory, merged by the law of the real one.
#[derive(Default)]
struct MemoryTable {
    records: Mutex<BTreeMap<JobName, JobRecord>>,
    refused: Mutex<Vec<BadRecord>>,
}

impl MemoryTable {
    fn submit(&self, name: &str, note: &str) -> Vec<u8> {
        let mut record = record(name);
        record.extra.insert("note".into(), note.into());
        self.join(record.clone());
        serde_json::to_vec(&record).unwrap()
    }

    fn join(&self, record: JobRecord) {
        let mut records = self.records.lock().unwrap();
        let mine = records.entry(record.name.clone()).or_insert_with(|| record.clone());
        *mine = merge(mine, &record);
    }

    fn len(&self) -> usize {
        self.records.lock().unwrap().len()
    }
}

impl Table for MemoryTable {
    fn root_hash(&self) -> String {
        let hashes = self.hashes();
        table_hash(hashes.iter().map(|(name, hash)| (name, hash.as_str())))
    }

    fn hashes(&self) -> Vec<(JobName, String)> {
        let records = self.records.lock().unwrap();
        records.iter().map(|(name, record)| (name.clone(), hash(record))).collect()
    }

    fn records(&self, names: &[JobName]) -> Vec<Vec<u8>> {
        let records = self.records.lock().unwrap();
        let known = names.iter().filter_map(|name| records.get(name));
        known.map(|record| serde_json::to_vec(record).unwrap()).collect()
    }

    fn merge(&self, all: Vec<Vec<u8>>) -> BoxFuture<'_, Vec<BadRecord>> {
        Box::pin(async move {
            let mut refused = Vec::new();
            for bytes in all {
                match serde_json::from_slice(&bytes) {
                    Ok(record) => self.join(record),
                    Err(error) => refused.push(BadRecord {
                        name: None,
                        reason: error.to_string(),
                    }),
                }
            }
            self.refused.lock().unwrap().extend(refused.clone());
            refused
        })
    }
}

fn record(name: &str) -> JobRecord {
    JobRecord {
        name: JobName(name.into()),
        inc: Incarnation(1),
        ..JobRecord::default()
    }
}

/// A peer with its table and the task that keeps it equal to the others'.
struct Member {
    node: Node,
    table: Arc<MemoryTable>,
    _exchange: AbortOnDropHandle<()>,
}

impl Member {
    /// Waits until the table has so many records.
    async fn until_records(&self, count: usize, within: Duration) -> Duration {
        let began = Instant::now();
        while self.table.len() < count {
            let found = self.table.len();
            assert!(
                began.elapsed() < within,
                "{}: {found} of {count} records after {within:?}",
                self.node.name
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }
}

async fn start(network: &Network, dir: &Path, name: &str, seeds: &[&Member]) -> Member {
    let table = Arc::new(MemoryTable::default());
    let seeds: Vec<_> = seeds.iter().map(|member| member.node.address()).collect();
    let node = network.start(name, &dir.join(name), &seeds, Some(table.clone())).await;
    let exchange = table_exchange::run(
        node.membership.clone(),
        node.endpoint.clone(),
        table.clone(),
        CancellationToken::new(),
    );
    Member {
        node,
        table,
        _exchange: AbortOnDropHandle::new(tokio::spawn(exchange)),
    }
}

async fn start_all(network: &Network, dir: &Path, count: usize) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for n in 0..count {
        let seeds: Vec<&Member> = members.iter().take(2).collect();
        members.push(start(network, dir, &format!("p{n}"), &seeds).await);
    }
    for member in &members {
        member.node.until_alive(count, SOON).await;
    }
    members
}

async fn stop(members: Vec<Member>) {
    for member in members {
        member.node.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_submitted_on_one_of_five_is_known_by_all_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let members = start_all(&Network::new(), dir.path(), 5).await;
    let began = Instant::now();
    let bytes = members[2].table.submit("orders", "first");
    let others = members[2].node.membership.live_addresses();
    assert_eq!(others.len(), 4);
    let failed = push(&members[2].node.endpoint, &others, &[bytes]).await;
    assert!(failed.is_empty(), "{failed:?}");
    for member in &members {
        member.until_records(1, Duration::from_secs(1)).await;
    }
    let took = began.elapsed();
    println!("known by all five after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    stop(members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_away_gets_and_gives_what_was_missed() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let members = start_all(&network, dir.path(), 3).await;
    network.put(&members[2].node, 1);
    members[0].table.submit("theirs", "while away");
    members[2].table.submit("own", "while away");
    let is_dead = |roster: &[peer::core::member::Member]| roster.iter().filter(|peer| peer.is_live()).count() == 1;
    members[2].node.until("both others dead", SOON, is_dead).await;
    assert_eq!(members[2].table.len(), 1);
    network.put(&members[2].node, 0);
    let began = Instant::now();
    for member in &members {
        member.until_records(2, SOON).await;
    }
    println!("equal after {:?}", began.elapsed());
    let roots: Vec<String> = members.iter().map(|member| member.table.root_hash()).collect();
    assert_eq!(roots[0], roots[1]);
    assert_eq!(roots[1], roots[2]);
    stop(members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_peer_has_a_thousand_records_within_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let mut members = start_all(&network, dir.path(), 2).await;
    for n in 0..1_000 {
        members[0].table.submit(&format!("job-{n}"), &"x".repeat(1_000));
    }
    let began = Instant::now();
    members[1].until_records(1_000, SOON).await;
    println!("the old peer has 1,000 records after {:?}", began.elapsed());
    let began = Instant::now();
    members.push(start(&network, dir.path(), "new", &[&members[0]]).await);
    members[2].until_records(1_000, SOON).await;
    println!("the new peer has 1,000 records after {:?}", began.elapsed());
    stop(members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_is_reported_and_the_others_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let (a, b) = (Arc::new(MemoryTable::default()), Arc::new(MemoryTable::default()));
    let from = network.start("a", &dir.path().join("a"), &[], Some(a.clone())).await;
    let to = network.start("b", &dir.path().join("b"), &[], Some(b.clone())).await;
    let long = a.submit("long", &"x".repeat(RECORD_BYTES_MAX));
    let records = [b"not a record".to_vec(), long, a.submit("good", "")];
    let failed = push(&from.endpoint, &[to.address()], &records).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(b.len(), 1, "the good one arrived, the long one was not sent");
    assert_eq!(b.refused.lock().unwrap().len(), 1);

    let synced = compare(&to.endpoint, from.address(), b.as_ref()).await.unwrap();
    assert_eq!(
        (synced.received, synced.sent),
        (0, 0),
        "the rest differs only by what cannot be sent"
    );
    from.kill().await;
    to.kill().await;
}
