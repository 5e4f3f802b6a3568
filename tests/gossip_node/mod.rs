//! A peer reduced to endpoint, store and gossip, for tests of these three: many in one process, each behind a relay that a
//! test can cut.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer::core::ids::NodeId;
use peer::core::member::{Member, MemberState};
use peer::gossip::keys::Profile;
use peer::gossip::membership::GOSSIP_INTERVAL;
use peer::gossip::table_sync::{self, Table};
use peer::gossip::{Membership, MembershipConfig};
use peer::store::Store;
use peer::transport::endpoint::{Endpoint, EndpointConfig};
use peer::transport::key::ClusterKey;
use peer::wire::message::StreamKind;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The network of one test: its cluster key, and who can reach whom.
pub struct Network {
    key: ClusterKey,
    /// Real address of each peer to its side of a partition; absent: side 0.
    sides: Arc<Mutex<HashMap<SocketAddr, u8>>>,
}

impl Network {
    pub fn new() -> Self {
        Self {
            key: ClusterKey::generate().unwrap(),
            sides: Arc::default(),
        }
    }

    /// Puts a peer on a side; packets between sides are dropped.
    pub fn put(&self, node: &Node, side: u8) {
        self.sides.lock().unwrap().insert(node.endpoint.local_addr(), side);
    }

    /// Starts a peer whose store is in `dir`, under a new address.
    pub async fn start(&self, name: &str, dir: &Path, seeds: &[SocketAddr], table: Option<Arc<dyn Table>>) -> Node {
        let any = "127.0.0.1:0".parse().unwrap();
        self.start_at(any, name, dir, seeds, table).await
    }

    /// Starts a peer that the others reach at `address`, which a killed one may have left a moment ago.
    pub async fn start_at(
        &self,
        address: SocketAddr,
        name: &str,
        dir: &Path,
        seeds: &[SocketAddr],
        table: Option<Arc<dyn Table>>,
    ) -> Node {
        let relay = bind(address).await;
        let store = Store::open(dir, || NodeId(format!("{:016x}", rand::random::<u64>()))).unwrap();
        let (id, boot) = store.identity();
        let any = "127.0.0.1:0".parse().unwrap();
        let mut config = EndpointConfig::new(any, id, self.key.clone(), "test");
        config.advertise = Some(relay.local_addr().unwrap());
        let (endpoint, mut incoming) = Endpoint::bind(config).unwrap();
        let relay = tokio::spawn(relay_packets(relay, endpoint.local_addr(), Arc::clone(&self.sides)));
        let config = MembershipConfig {
            boot,
            profile: Profile {
                name: name.into(),
                datacenter: "dc".into(),
                ..Profile::default()
            },
            capacity: 8,
            seeds: seeds.iter().map(SocketAddr::to_string).collect(),
            cluster_name: "test".into(),
            interval: GOSSIP_INTERVAL,
        };
        let membership = Membership::start(config, endpoint.clone()).unwrap();
        let feed = membership.clone();
        let pump = tokio::spawn(async move {
            while let Some(stream) = incoming.recv().await {
                match (stream.kind, &table) {
                    (StreamKind::Gossip, _) => feed.feed(stream),
                    (StreamKind::TableSync, Some(table)) => {
                        let table = Arc::clone(table);
                        tokio::spawn(async move { table_sync::serve(stream, table.as_ref()).await });
                    }
                    _ => {}
                }
            }
        });
        Node {
            name: name.to_owned(),
            endpoint,
            membership,
            _store: store,
            relay,
            pump,
        }
    }
}

async fn bind(address: SocketAddr) -> UdpSocket {
    for _ in 0..500 {
        match UdpSocket::bind(address).await {
            Ok(socket) => return socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("{address} is not free after 5 s");
}

/// Passes packets to and from one peer, as long as both ends are on one side.
async fn relay_packets(front: UdpSocket, node: SocketAddr, sides: Arc<Mutex<HashMap<SocketAddr, u8>>>) {
    let front = Arc::new(front);
    let mut backs: HashMap<SocketAddr, (Arc<UdpSocket>, tokio_util::task::AbortOnDropHandle<()>)> = HashMap::new();
    let mut packet = vec![0; 65_536];
    let is_open = move |from: SocketAddr| {
        let sides = sides.lock().unwrap();
        sides.get(&from).unwrap_or(&0) == sides.get(&node).unwrap_or(&0)
    };
    while let Ok((bytes, from)) = front.recv_from(&mut packet).await {
        if !is_open(from) {
            continue;
        }
        if let Entry::Vacant(entry) = backs.entry(from) {
            let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            back.connect(node).await.unwrap();
            let (back_in, front_out, is_open) = (Arc::clone(&back), Arc::clone(&front), is_open.clone());
            let task = tokio::spawn(async move {
                let mut packet = vec![0; 65_536];
                loop {
                    match back_in.recv(&mut packet).await {
                        Ok(bytes) if is_open(from) => drop(front_out.send_to(&packet[..bytes], from).await),
                        Ok(_) => {}
                        Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                }
            });
            entry.insert((back, tokio_util::task::AbortOnDropHandle::new(task)));
        }
        let _ = backs[&from].0.send(&packet[..bytes]).await;
    }
}

/// One running peer.
pub struct Node {
    pub name: String,
    pub endpoint: Endpoint,
    pub membership: Membership,
    _store: Store,
    relay: JoinHandle<()>,
    pump: JoinHandle<()>,
}

impl Node {
    /// Where the others reach it.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.advertise_addr()
    }

    /// Ends it as a killed process ends: nobody is told anything.
    pub async fn kill(self) {
        self.relay.abort();
        self.pump.abort();
        self.membership.shutdown().await;
        self.endpoint.shutdown().await;
    }

    /// The roster as name and state.
    pub fn states(&self) -> Vec<(String, MemberState)> {
        let roster = self.membership.roster();
        let roster = roster.borrow();
        roster.iter().map(|member| (member.name.clone(), member.state)).collect()
    }

    /// Waits until the roster is as wanted.
    pub async fn until(&self, what: &str, within: Duration, is_wanted: impl Fn(&[Member]) -> bool) {
        let mut roster = self.membership.roster();
        let wanted = roster.wait_for(|roster| is_wanted(roster));
        let is_in_time = tokio::time::timeout(within, wanted).await.is_ok();
        assert!(
            is_in_time,
            "{} does not see {what} after {within:?}: {:?}",
            self.name,
            self.states()
        );
    }

    /// Waits until it sees exactly so many peers, all alive.
    pub async fn until_alive(&self, count: usize, within: Duration) {
        let is_wanted =
            |roster: &[Member]| roster.len() == count && roster.iter().all(|member| member.state == MemberState::Alive);
        self.until(&format!("{count} peers alive"), within, is_wanted).await;
    }
}
