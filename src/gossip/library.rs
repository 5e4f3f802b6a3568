//! Owns the gossip library: starts it, looks at it, hands it our facts, and starts it again when it ends or panics.
//!
//! One task, spawned by `membership`, publishing through the watches given to it. A new start of the library is a new
//! generation, so that the others take its facts although its counters begin again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chitchat::{Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, spawn_chitchat};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::core::ids::NodeId;
use crate::core::member::Member;
use crate::gossip::membership::{MembershipConfig, OwnFacts};
use crate::gossip::socket::Carrier;
use crate::gossip::view::{PeerFacts, Seen, Tracker, generation};
use crate::transport::endpoint::Endpoint;

/// Silence over its usual length from which the library calls a peer dead (DESIGN 3.1). `view` adds a floor in time.
const PHI_MAX: f64 = 8.0;
/// Intervals the failure detector remembers: minutes, so that it follows a link that becomes slower.
const SAMPLES_MAX: usize = 1_000;
/// A longer silence is an outage and no sample.
const SAMPLE_MAX: Duration = Duration::from_secs(10);
/// How long the library keeps a dead entry. Every packet names all entries in about 60 bytes each, and the library counts wrong
/// (debug builds: panics) above 64 KiB: a peer that restarts every 5 s makes 240 entries in this time. `view` remembers for a day.
const DEAD_KEPT: Duration = Duration::from_secs(20 * 60);
/// How long the library keeps the key of a fact that was taken back; a peer away for longer is refilled whole.
const DELETED_KEPT: Duration = Duration::from_secs(60 * 60);
/// Time between two calls to a resolved seed and to a silent peer beside the library's own choice.
const CALL_PERIOD: Duration = Duration::from_secs(2);
/// First and longest pause before the library is started again.
const RESTART_MIN: Duration = Duration::from_millis(200);
const RESTART_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the library to end.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Where looks are published.
pub(super) struct Published {
    pub(super) roster: watch::Sender<Arc<Vec<Member>>>,
    pub(super) facts: watch::Sender<Arc<Vec<PeerFacts>>>,
    pub(super) heard: watch::Sender<Arc<BTreeMap<NodeId, u64>>>,
}

/// The task's state.
pub(super) struct Library {
    config: MembershipConfig,
    id: NodeId,
    address: SocketAddr,
    carrier: Carrier,
    own: Arc<OwnFacts>,
    published: Published,
    tracker: Tracker,
    started: Instant,
    calls: usize,
}

/// Why one run of the library is over.
enum RunEnd {
    Cancelled,
    Failed(String),
}

impl Library {
    pub(super) fn new(
        config: MembershipConfig,
        endpoint: &Endpoint,
        carrier: Carrier,
        own: Arc<OwnFacts>,
        published: Published,
    ) -> Self {
        let id = endpoint.node_id().clone();
        Self {
            tracker: Tracker::new(id.clone(), config.interval),
            config,
            id,
            address: endpoint.advertise_addr(),
            carrier,
            own,
            published,
            started: Instant::now(),
            calls: 0,
        }
    }

    /// Runs the library until cancelled, again and again.
    pub(super) async fn supervise(
        mut self,
        seeds: Vec<SocketAddr>,
        mut resolved: watch::Receiver<Vec<SocketAddr>>,
        cancel: CancellationToken,
    ) {
        let mut restarts: u16 = 0;
        let mut pause = RESTART_MIN;
        loop {
            let began = Instant::now();
            match self.run(restarts, &seeds, &mut resolved, &cancel).await {
                RunEnd::Cancelled => return,
                RunEnd::Failed(error) => tracing::error!(error, attempt = restarts, "gossip failed and is started again"),
            }
            if began.elapsed() > RESTART_MAX {
                pause = RESTART_MIN;
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(RESTART_MAX);
            restarts = restarts.saturating_add(1);
        }
    }

    /// One life of the library.
    async fn run(
        &mut self,
        restarts: u16,
        seeds: &[SocketAddr],
        resolved: &mut watch::Receiver<Vec<SocketAddr>>,
        cancel: &CancellationToken,
    ) -> RunEnd {
        let pairs = self.own.pairs().into_iter().collect();
        let handle = match spawn_chitchat(self.settings(restarts, seeds), pairs, &self.carrier).await {
            Ok(handle) => handle,
            Err(error) => return RunEnd::Failed(error.to_string()),
        };
        let mut ended = pin!(handle.termination_watcher());
        let mut looks = interval(self.config.interval / 2);
        let mut calls = interval(CALL_PERIOD);
        for ticks in [&mut looks, &mut calls] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let own = Arc::clone(&self.own);
        loop {
            tokio::select! {
                () = cancel.cancelled() => {
                    // Only packets on their way are lost by not waiting longer.
                    let _ = timeout(STOP_WITHIN, handle.shutdown()).await;
                    return RunEnd::Cancelled;
                }
                result = &mut ended => {
                    let reason = result.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
                    return RunEnd::Failed(reason);
                }
                () = own.changed.notified() => {
                    let pairs = own.pairs();
                    handle.with_chitchat(|chitchat| tell(chitchat, &pairs)).await;
                    // The own entry of the roster decides what runs here: it does not wait for the next look.
                    self.look(&handle).await;
                }
                _ = looks.tick() => self.look(&handle).await,
                _ = calls.tick() => self.call(&handle, &resolved.borrow()),
                Ok(()) = resolved.changed() => self.call(&handle, &resolved.borrow_and_update()),
            }
        }
    }

    fn settings(&self, restarts: u16, seeds: &[SocketAddr]) -> ChitchatConfig {
        let generation = generation(self.config.boot, restarts);
        ChitchatConfig {
            chitchat_id: ChitchatId::new(self.id.0.as_str(), generation, self.address),
            cluster_id: self.config.cluster_name.clone(),
            gossip_interval: self.config.interval,
            listen_addr: self.address,
            // Addresses only: the library would wait for names before it starts, see `seeds`.
            seed_nodes: seeds.iter().map(SocketAddr::to_string).collect(),
            failure_detector_config: FailureDetectorConfig::new(
                PHI_MAX,
                SAMPLES_MAX,
                SAMPLE_MAX,
                self.config.interval,
                DEAD_KEPT,
            ),
            marked_for_deletion_grace_period: DELETED_KEPT,
            catchup_callback: None,
            extra_liveness_predicate: None,
        }
    }

    async fn look(&mut self, handle: &ChitchatHandle) {
        let now = self.started.elapsed();
        let tracker = &mut self.tracker;
        handle.with_chitchat(|chitchat| look_at(tracker, chitchat, now)).await;
        let view = tracker.view(now);
        // The roster last: whoever it wakes finds facts that are at least as new.
        replace(&self.published.heard, tracker.heard());
        replace(&self.published.facts, view.facts);
        replace(&self.published.roster, view.roster);
    }

    /// Gossips with one resolved seed and one silent peer, in turn.
    fn call(&mut self, handle: &ChitchatHandle, resolved: &[SocketAddr]) {
        let silent = self.tracker.silent_addresses();
        for addresses in [resolved, silent.as_slice()] {
            if let Some(address) = addresses.get(self.calls % addresses.len().max(1)) {
                // Fails only when the library has ended, which the loop above notices.
                let _ = handle.gossip(*address);
            }
        }
        self.calls = self.calls.wrapping_add(1);
    }
}

/// Makes the library's own facts the same as ours. A fact that did not change costs nothing.
fn tell(chitchat: &mut Chitchat, pairs: &BTreeMap<String, String>) {
    let state = chitchat.self_node_state();
    let gone: Vec<String> = state
        .key_values()
        .filter(|(key, _)| !pairs.contains_key(*key))
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in gone {
        state.delete(&key);
    }
    for (key, value) in pairs {
        state.set(key, value);
    }
}

fn look_at(tracker: &mut Tracker, chitchat: &Chitchat, now: Duration) {
    let live: std::collections::HashSet<&ChitchatId> = chitchat.live_nodes().collect();
    let all: Vec<Seen> = chitchat
        .node_states()
        .iter()
        .map(|(id, state)| Seen {
            id: NodeId(id.node_id.to_string()),
            generation: id.generation_id,
            address: id.gossip_advertise_addr,
            heartbeat: state.heartbeat().into(),
            version: state.max_version(),
            is_live: live.contains(id),
        })
        .collect();
    tracker.look(now, all, |seen| {
        let id = ChitchatId::new(seen.id.0.as_str(), seen.generation, seen.address);
        let pairs = chitchat.node_state(&id).into_iter().flat_map(|state| state.key_values());
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    });
}

/// Publishes a value if it is another one.
fn replace<T: PartialEq>(sender: &watch::Sender<Arc<T>>, value: T) {
    sender.send_if_modified(|current| {
        let is_new = **current != value;
        if is_new {
            *current = Arc::new(value);
        }
        is_new
    });
}
