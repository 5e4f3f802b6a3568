//! Who is in the cluster: runs the gossip library, publishes what this peer tells, shows what the others tell.
//!
//! Started by `node` over the endpoint; read by actors (roster, facts, heard, late), fed by `node` with gossip streams. One task
//! owns the library and starts it again when it panics or ends. Seeds are called for ever, host names resolved again each
//! time, silent peers now and then, so that partitions heal. Does not decide anything: nominations are `core::nomination`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::ids::{Boot, JobName, NodeId};
use crate::core::member::Member;
use crate::core::placement::Task;
use crate::gossip::error::GossipError;
use crate::gossip::keys::{self, Fact, Leaving, Profile};
use crate::gossip::lateness::{self, Late};
use crate::gossip::library::{Library, Published};
use crate::gossip::seeds;
use crate::gossip::socket::Carrier;
use crate::gossip::view::PeerFacts;
use crate::transport::endpoint::{Endpoint, IncomingStream};

/// Time between two rounds of gossip. Trades detection (6 rounds) for packets (3 exchanges per round); DESIGN 3.1.
pub const GOSSIP_INTERVAL: Duration = Duration::from_millis(500);

/// How long a goodbye is given to spread: two rounds reach six peers directly and the rest through them.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Longest wait for the tasks at shutdown; they all end on cancel, so more means a bug.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What a peer is and whom it calls. Its id and address come from the endpoint: gossip speaks only for the certificate's id.
#[derive(Clone, Debug)]
pub struct MembershipConfig {
    /// Which start of the store this is.
    pub boot: Boot,
    /// What the peer tells and does not change.
    pub profile: Profile,
    /// Most tasks it takes.
    pub capacity: u32,
    /// `host:port` of peers to call; own address and unknown names do no harm.
    pub seeds: Vec<String>,
    /// Peers of another name are refused; a guard against typing errors, not a secret.
    pub cluster_name: String,
    /// Usually [`GOSSIP_INTERVAL`].
    pub interval: Duration,
}

/// The running membership. Dropping the last clone stops it without a goodbye.
#[derive(Clone)]
pub struct Membership {
    shared: Arc<Shared>,
}

struct Shared {
    own: Arc<OwnFacts>,
    roster: watch::Receiver<Arc<Vec<Member>>>,
    facts: watch::Receiver<Arc<Vec<PeerFacts>>>,
    heard: watch::Receiver<Arc<BTreeMap<NodeId, u64>>>,
    late: watch::Receiver<Late>,
    carrier: Carrier,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// What this peer tells, whatever becomes of the library.
#[derive(Debug, Default)]
pub(super) struct OwnFacts {
    pairs: Mutex<BTreeMap<String, String>>,
    /// Wakes the task that hands them to the library.
    pub(super) changed: Notify,
}

impl Membership {
    /// Starts gossip over `endpoint`. Refuses facts that gossip could not carry. Needs a tokio runtime.
    pub fn start(config: MembershipConfig, endpoint: Endpoint) -> Result<Self, GossipError> {
        let own = Arc::new(OwnFacts::default());
        own.edit(|pairs| {
            pairs.extend(config.profile.encode());
            pairs.extend([Fact::Capacity(config.capacity).encode()]);
        })?;
        let cancel = CancellationToken::new();
        let tasks = TaskTracker::new();
        let carrier = Carrier::new(endpoint.clone(), cancel.clone());
        let (roster_sender, roster) = watch::channel(Arc::default());
        let (facts_sender, facts) = watch::channel(Arc::default());
        let (heard_sender, heard) = watch::channel(Arc::default());
        let (late_sender, late) = watch::channel(Late::default());
        let (resolved_sender, resolved) = watch::channel(Vec::new());
        let (addresses, names) = seeds::parse(&config.seeds);
        tasks.spawn(lateness::watch_lateness(late_sender, cancel.clone()));
        tasks.spawn(seeds::resolve(names, resolved_sender, cancel.clone()));
        let published = Published {
            roster: roster_sender,
            facts: facts_sender,
            heard: heard_sender,
        };
        let library = Library::new(config, &endpoint, carrier.clone(), Arc::clone(&own), published);
        tasks.spawn(library.supervise(addresses, resolved, cancel.clone()));
        tasks.close();
        let shared = Shared {
            own,
            roster,
            facts,
            heard,
            late,
            carrier,
            cancel,
            tasks,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Hands over a stream of kind Gossip that another peer opened.
    pub fn feed(&self, incoming: IncomingStream) {
        self.shared.carrier.feed(incoming);
    }

    /// Returns the roster: own entry first, then in the order of ids; empty until the first look, within half an interval.
    #[must_use]
    pub fn roster(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.shared.roster.clone()
    }

    /// Returns the facts beside the roster, of the same peers.
    #[must_use]
    pub fn facts(&self) -> watch::Receiver<Arc<Vec<PeerFacts>>> {
        self.shared.facts.clone()
    }

    /// Returns how many signs of life came from each other peer since the start; at most four a second are counted.
    #[must_use]
    pub fn heard(&self) -> Arc<BTreeMap<NodeId, u64>> {
        Arc::clone(&self.shared.heard.borrow())
    }

    /// Returns the last time this peer itself was not running.
    #[must_use]
    pub fn late(&self) -> watch::Receiver<Late> {
        self.shared.late.clone()
    }

    /// Returns the addresses of all other peers that are alive or suspect.
    #[must_use]
    pub fn live_addresses(&self) -> Vec<SocketAddr> {
        let facts = self.shared.facts.borrow();
        let others = facts.iter().filter(|peer| !peer.is_self && peer.is_live());
        others.map(|peer| peer.address).collect()
    }

    /// Tells a fact, in place of what was told under its key. Refuses what gossip could not carry; the old fact stays then.
    pub fn set(&self, fact: &Fact) -> Result<(), GossipError> {
        let (key, value) = fact.encode();
        self.shared.own.edit(|pairs| {
            pairs.insert(key, value);
        })
    }

    /// Takes back what was told about a task.
    pub fn clear_task(&self, job: &JobName, kind: Task) -> Result<(), GossipError> {
        self.shared.own.edit(|pairs| {
            pairs.remove(&keys::task_key(job, kind));
        })
    }

    /// Says goodbye and gives it a second to spread. Gossip goes on until [`Membership::shutdown`].
    pub async fn leave(&self, leaving: Leaving) -> Result<(), GossipError> {
        self.set(&Fact::Leaving(leaving))?;
        // Nobody confirms a goodbye; without it the others see silence instead, which costs them three seconds.
        sleep(LEAVE_WITHIN).await;
        Ok(())
    }

    /// Stops gossip and waits for its tasks. The endpoint stays open.
    pub async fn shutdown(&self) {
        self.shared.cancel.cancel();
        let ended = async {
            self.shared.tasks.wait().await;
            self.shared.carrier.ended().await;
        };
        if timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::warn!("gossip did not stop in time");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl OwnFacts {
    /// Changes the facts if the result can be carried, else changes nothing.
    fn edit(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), GossipError> {
        let mut pairs = self.lock();
        let mut edited = pairs.clone();
        change(&mut edited);
        if edited == *pairs {
            return Ok(());
        }
        for (key, value) in &edited {
            keys::check(key, value)?;
        }
        keys::check_total(&edited)?;
        *pairs = edited;
        drop(pairs);
        self.changed.notify_one();
        Ok(())
    }

    /// Returns all facts.
    pub(super) fn pairs(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.pairs.lock().expect("no code panics while it holds the facts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_is_refused_leaves_the_old_ones_as_they_were() {
        let own = OwnFacts::default();
        own.edit(|pairs| pairs.extend([Fact::Capacity(3).encode()])).unwrap();
        let before = own.pairs();
        let refused = own.edit(|pairs| {
            pairs.extend([Fact::TableRoot("x".repeat(keys::VALUE_BYTES_MAX + 1)).encode()]);
        });
        assert!(matches!(refused, Err(GossipError::ValueTooLong { .. })), "{refused:?}");
        assert_eq!(own.pairs(), before);
    }
}
