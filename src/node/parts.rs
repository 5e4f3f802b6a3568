//! The parts of a running peer, made in order from its configuration.
//!
//! Used by `node` alone. Each step that fails names what was wrong and leaves nothing half started.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorRef};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::actors::handle::PeerHandle;
use crate::actors::incoming;
use crate::actors::link_rates::LinkRates;
use crate::actors::me::Me;
use crate::actors::peer::{Peer, PeerArgs, PeerMsg};
use crate::actors::ports::Ports;
use crate::actors::reach::Reaching;
use crate::actors::spread;
use crate::actors::table_view::TableView;
use crate::admin::live::Live;
use crate::admin::{http, shell};
use crate::cli::args::NodeFlags;
use crate::cli::failure::{EXIT_FAILED, Failure};
use crate::config::cluster::{Config, load_cluster};
use crate::config::flags::{Override, Overrides};
use crate::core::fault::Fault;
use crate::core::ids::{Boot, NodeId};
use crate::core::job_record::JobRecord;
use crate::gossip::attributes;
use crate::gossip::keys::{Leaving, Profile};
use crate::gossip::membership::{GOSSIP_INTERVAL, Membership, MembershipConfig};
use crate::gossip::table_exchange;
use crate::node::{Mode, NodeOptions};
use crate::store::database::Store;
use crate::store::run_file::RunFile;
use crate::store::spill::SpillFolder;
use crate::telemetry::metrics::Metrics;
use crate::transport::endpoint::{Endpoint, EndpointConfig, Incoming};
use crate::transport::key::ClusterKey;

/// Names of changed jobs waiting to be pushed. When full, the exchange carries them within seconds.
const NEWS_MAX: usize = 1024;

/// How long the root may take to stop; a little more than its own bound.
const ROOT_TIME_MAX: Duration = Duration::from_secs(8);

/// How long the last push to other peers may take.
const SPREAD_TIME_MAX: Duration = Duration::from_millis(1500);

fn refuse(fault: Fault) -> Failure {
    Failure::new(EXIT_FAILED, fault)
}

/// Flags over environment over file over defaults.
pub(super) fn read_config(options: &NodeOptions) -> Result<Config, Failure> {
    let flags = &options.flags;
    let environment = Overrides::from_env(|name| std::env::var(name).ok());
    let overrides = overrides_of(flags, &options.mode).over(environment);
    let env_config = std::env::var_os("PEER_CONFIG").map(std::path::PathBuf::from);
    let path = flags.config.clone().or(env_config);
    load_cluster(path.as_deref(), &overrides).map_err(|faults| Failure::new(EXIT_FAILED, faults))
}

fn overrides_of(flags: &NodeFlags, mode: &Mode) -> Overrides {
    let one = |name: &str, text: &Option<String>| text.as_ref().map(|text| Override::flag(name, text));
    let path = |name: &str, path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| Override::flag(name, path.display().to_string()))
    };
    let seeds = match mode {
        Mode::Start => Vec::new(),
        Mode::Join { seeds } => seeds.iter().map(|seed| Override::flag("seed", seed)).collect(),
    };
    Overrides {
        name: one("name", &flags.name),
        datacenter: one("datacenter", &flags.datacenter),
        class: one("class", &flags.class),
        meta: flags
            .meta
            .iter()
            .map(|(key, value)| Override::flag("meta", format!("{key}={value}")))
            .collect(),
        data_dir: path("data-dir", &flags.data_dir),
        listen: one("listen", &flags.listen),
        advertise: one("advertise", &flags.advertise),
        admin: one("admin", &flags.admin),
        http: one("http", &flags.http),
        key_file: path("key-file", &flags.key_file),
        seeds,
    }
}

/// The key; `start` makes one when none was named and none is there.
fn read_key(config: &Config, mode: &Mode) -> Result<ClusterKey, Failure> {
    let path: &Path = &config.key_file;
    if path.exists() {
        return ClusterKey::load(path).map_err(|error| refuse(error.fault()));
    }
    if *mode == Mode::Start && config.is_key_file_default {
        let made = ClusterKey::generate().and_then(|key| key.save(path).map(|()| key));
        let key = made.map_err(|error| refuse(error.fault()))?;
        eprintln!(
            "made a new cluster key: {} (copy it to every peer that shall join)",
            path.display()
        );
        return Ok(key);
    }
    Err(refuse(Fault::new(
        "PEER1211",
        format!("key file {}", path.display()),
        "no such file",
        "the key of the cluster",
        "copy cluster.key from a member, or name it with --key-file",
    )))
}

/// The two doors, bound before anything else so that a port in use is known at once.
pub(super) struct Doors {
    admin: TcpListener,
    http: TcpListener,
}

impl Doors {
    pub(super) async fn bind(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            admin: bind("listen.admin", config.listen_admin).await?,
            http: bind("listen.http", config.listen_http).await?,
        })
    }

    pub(super) fn run_file(&self, parts: &Parts) -> RunFile {
        RunFile {
            pid: std::process::id(),
            name: parts.me.name.clone(),
            peer: parts.me.endpoint.local_addr().to_string(),
            admin: address(&self.admin),
            http: address(&self.http),
        }
    }

    /// Opens both doors; they close when `stop` is cancelled.
    pub(super) async fn serve(
        self,
        parts: &Parts,
        metrics: Metrics,
        stop: &CancellationToken,
        served: &TaskTracker,
    ) -> Result<(), Failure> {
        let cluster = Live::serving(parts.handle.clone());
        let (http_cluster, http_stop, shell_stop) = (cluster.clone(), stop.clone(), stop.clone());
        let ended = |door: &'static str, result: std::io::Result<()>| {
            if let Err(error) = result {
                warn!(door, %error, "door closed");
            }
        };
        served.spawn(async move { ended("http", http::serve(self.http, http_cluster, metrics, http_stop).await) });
        served.spawn(async move { ended("admin", shell::serve(self.admin, cluster, shell_stop).await) });
        Ok(())
    }
}

/// Where a door really listens.
fn address(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map_or_else(|_| String::new(), |address| address.to_string())
}

async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        refuse(Fault::new(
            "PEER1062",
            format!("{what} {address}"),
            error.to_string(),
            "a free TCP port of this machine",
            "end the process that uses it, or choose another port (0 takes any)",
        ))
    })
}

/// Everything that runs.
pub(super) struct Parts {
    pub(super) me: Me,
    handle: PeerHandle,
    root: ActorRef<PeerMsg>,
    root_task: watch::Receiver<bool>,
    spread: JoinHandle<()>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Parts {
    pub(super) async fn start(config: &Config, mode: &Mode, doors: &Doors, ports: &Ports) -> Result<Self, Failure> {
        std::fs::create_dir_all(&config.data_dir).map_err(|error| {
            let what = format!("data_dir {}", config.data_dir.display());
            refuse(Fault::new(
                "PEER1604",
                what,
                error.to_string(),
                "a folder this user may write",
                "create it, or name another one",
            ))
        })?;
        let key = read_key(config, mode)?;
        let new_id = NodeId(ports.random_hex(16));
        let store = Store::open(&config.data_dir, || new_id).map_err(|error| refuse(error.fault()))?;
        let spill = SpillFolder::open(&config.data_dir).map_err(|error| refuse(error.fault()))?;
        let (node, boot) = store.identity();
        let cluster_id = key.cluster_id();
        let endpoint_config = EndpointConfig {
            advertise: config.advertise_peer,
            capped: config.is_link_capped.then_some(config.link_rate_bytes),
            link_rate: config.link_rate_bytes,
            memory_bytes: config.memory_bytes,
            ..EndpointConfig::new(config.listen_peer, node.clone(), key, config.cluster_name.clone())
        };
        let (endpoint, incoming) = Endpoint::bind(endpoint_config).map_err(|error| refuse(error.fault()))?;
        let me = Me {
            membership: start_gossip(config, doors, boot, endpoint.clone())?,
            name: config.name.clone(),
            cluster_name: config.cluster_name.clone(),
            memory_bytes: config.memory_bytes,
            windows: Me::window_budget(config.memory_bytes),
            clock: ports.clock.clone(),
            node,
            boot,
            cluster_id,
            link_rates: LinkRates::new(config.link_rate_bytes, config.datacenter.clone()),
            endpoint,
            spill,
        };
        Self::start_actors(me, ports.clone(), Arc::new(store), incoming).await
    }

    async fn start_actors(me: Me, ports: Ports, store: Arc<Store>, incoming: Incoming) -> Result<Self, Failure> {
        let loaded = store.load_jobs::<JobRecord>().map_err(|error| refuse(error.fault()))?;
        for bad in &loaded.quarantined {
            warn!(job = %bad.name, error = %bad.reason, "a job record is not readable; it is kept as it is and not run");
        }
        let (table, seen) = watch::channel(Arc::new(TableView::new(loaded.records)));
        // Before placement looks at the roster for the first time.
        let reaching = Reaching::begin(me.clone(), seen.clone()).await;
        let (news, names) = mpsc::channel(NEWS_MAX);
        let args = PeerArgs {
            me: me.clone(),
            ports,
            store,
            table,
            news,
        };
        let died = |error: &dyn std::fmt::Display| Failure::local("peer", &error.to_string(), "actors that start", "report this");
        let (root, joined) = Actor::spawn(None, Peer, args).await.map_err(|error| died(&error))?;
        let handle = root
            .call(PeerMsg::Handle, Some(ROOT_TIME_MAX))
            .await
            .map_err(|error| died(&error))?;
        let ractor::rpc::CallResult::Success(handle) = handle else {
            return Err(died(&"the root did not answer"));
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let sync = Arc::new(handle.sync_table());
        let doors = incoming::Doors {
            me: me.clone(),
            table: sync.clone(),
            tasks: handle.tasks(),
            placement: handle.placement(),
            drain: handle.drain(),
        };
        tasks.spawn(incoming::run(incoming, doors, stop.clone()));
        tasks.spawn(table_exchange::run(
            me.membership.clone(),
            me.endpoint.clone(),
            sync,
            stop.clone(),
        ));
        tasks.spawn(reaching.run(stop.clone()));
        let spread = tasks.spawn(spread::run(me.clone(), seen, names, stop.clone()));
        let root_task = watch_root(joined, &tasks);
        info!(node = %me.node, boot = me.boot.0, "peer started");
        Ok(Self {
            me,
            handle,
            root,
            root_task,
            spread,
            stop,
            tasks,
        })
    }

    /// Returns when the root actor has ended.
    pub(super) async fn root_ended(&self) {
        // An error means that the watcher itself is gone, which also means that the root is.
        let _ = self.root_task.clone().wait_for(|has_ended| *has_ended).await;
    }

    /// Returns when somebody asked this peer to leave, and how.
    pub(super) async fn leave_asked(&self) -> Leaving {
        self.handle.drain().leave_asked().await
    }

    /// Gives the tasks to other peers; those that nobody took within `limit` are stopped like the rest.
    pub(super) async fn hand_over(&self, limit: Duration) {
        if !self.handle.hand_over(limit).await {
            warn!(?limit, "tasks are left that no other peer has taken");
        }
    }

    /// Stops tasks in good order, then everything that serves other peers. For a restart the claims stay.
    pub(super) async fn stop_tasks(&mut self, leaving: Leaving) {
        let stop = |reply| PeerMsg::Stop { leaving, reply };
        if self.root.call(stop, Some(ROOT_TIME_MAX)).await.is_err() {
            warn!("the root actor had ended already");
        }
        // It ends with the job table, after the last push: released claims must arrive before the goodbye, or others wait for
        // an owner that is not there.
        if tokio::time::timeout(SPREAD_TIME_MAX, &mut self.spread).await.is_err() {
            warn!("the last changes were not pushed to every peer");
        }
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(ROOT_TIME_MAX, self.tasks.wait()).await.is_err() {
            warn!("streams in hand were cut");
        }
    }
}

fn watch_root(joined: JoinHandle<()>, tasks: &TaskTracker) -> watch::Receiver<bool> {
    let (told, has_ended) = watch::channel(false);
    tasks.spawn(async move {
        // A panic of the root ends the peer like any other end of it.
        let _ = joined.await;
        told.send_replace(true);
    });
    has_ended
}

fn start_gossip(config: &Config, doors: &Doors, boot: Boot, endpoint: Endpoint) -> Result<Membership, Failure> {
    let profile = Profile {
        name: config.name.clone(),
        datacenter: config.datacenter.clone(),
        class: config.class.clone(),
        meta: config.meta.clone(),
        attributes: attributes::fingerprint(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        admin: address(&doors.admin),
        http: address(&doors.http),
    };
    let gossip = MembershipConfig {
        boot,
        profile,
        capacity: config.capacity,
        seeds: config.seeds.clone(),
        cluster_name: config.cluster_name.clone(),
        interval: GOSSIP_INTERVAL,
    };
    Membership::start(gossip, endpoint).map_err(|error| refuse(error.fault()))
}
