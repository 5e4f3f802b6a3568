//! Wires a peer together: clock and randomness enter here.
//!
//! Top to bottom: configuration, key, store, endpoint, doors, gossip, actors, ready; then it waits for SIGTERM or `leave` and takes
//! everything down in the opposite order. Holds no decision.

pub mod joining;
mod parts;

use std::process;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::actors::ports::{Clock, Ports};
use crate::cli::args::NodeFlags;
use crate::cli::failure::Failure;
use crate::config::cluster::Config;
use crate::gossip::keys::Leaving;
use crate::node::parts::{Doors, Parts};
use crate::store::run_file::RunFile;
use crate::telemetry::log::{self, LogFormat};
use crate::telemetry::metrics::Metrics;

/// How a peer is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `peer start`: makes a key in data_dir when there is none.
    Start,
    /// `peer join`: needs a key and a member.
    Join {
        /// `--seed`, never empty.
        seeds: Vec<String>,
    },
}

/// What the command line says about the peer to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Start or join.
    pub mode: Mode,
    /// What was typed.
    pub flags: NodeFlags,
}

/// How long others may take to have the tasks of a peer that was told to end. Sinks end by themselves, so this is for a source
/// whose sink is elsewhere; who stops a peer waits for it.
const END_HAND_OVER_MAX: Duration = Duration::from_secs(2);
/// The same for `leave`: the person who asked wants the tasks moved, not the process gone.
const LEAVE_HAND_OVER_MAX: Duration = Duration::from_secs(30);

/// How long the doors may take to finish the requests in hand.
const DOORS_TIME_MAX: Duration = Duration::from_secs(3);

/// Runs a peer until it is told to leave.
///
/// # Errors
/// Everything that keeps it from starting, and a core part that died while it ran.
pub fn run(options: NodeOptions) -> Result<(), Failure> {
    start_log()?;
    let config = parts::read_config(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::local("runtime", &error.to_string(), "threads for the peer", "free some resources"))?;
    runtime.block_on(run_config(config, &options.mode))
}

fn start_log() -> Result<(), Failure> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let refused = |error: log::LogError| {
        Failure::local(
            "PEER_LOG",
            &error.to_string(),
            "a filter such as `info`",
            "correct or unset it",
        )
    };
    let format = LogFormat::parse(&variable("PEER_LOG_FORMAT")).map_err(refused)?;
    log::init(Some(&variable("PEER_LOG")), format).map_err(refused)
}

fn ports() -> Ports {
    Ports {
        clock: Clock::new(SystemTime::now),
        random: Arc::new(rand::random::<u64>),
    }
}

async fn run_config(config: Config, mode: &Mode) -> Result<(), Failure> {
    let ports = ports();
    let metrics =
        Metrics::install().map_err(|error| Failure::local("metrics", &error.to_string(), "one recorder", "report this"))?;
    let doors = Doors::bind(&config).await?;
    let parts = Parts::start(&config, mode, &doors, &ports).await?;
    if let Mode::Join { .. } = mode {
        let joined = joining::await_member(&parts.me.endpoint, &config.seeds).await;
        joined.map_err(|error| Failure::new(crate::cli::failure::EXIT_FAILED, error.fault()))?;
    }
    let (stop, served) = (CancellationToken::new(), TaskTracker::new());
    let run_file = doors.run_file(&parts);
    doors.serve(&parts, metrics, &stop, &served).await?;
    write_run_file(&config, &run_file)?;
    eprintln!(
        "peer {} ready peer={} admin={} http={}",
        config.name, run_file.peer, run_file.admin, run_file.http
    );

    let outcome = until_told(&parts).await;
    let leaving = match &outcome {
        Ok(End::Restart) => Leaving::Restart,
        Ok(End::HandOver(limit)) => {
            parts.hand_over(*limit).await;
            Leaving::ForGood
        }
        Err(_) => Leaving::ForGood,
    };
    leave(parts, &config, stop, served, leaving).await;
    outcome.map(drop)
}

fn write_run_file(config: &Config, run_file: &RunFile) -> Result<(), Failure> {
    run_file
        .write(&config.data_dir)
        .map_err(|error| Failure::new(crate::cli::failure::EXIT_FAILED, error.fault()))
}

/// How a peer was told to end.
enum End {
    /// Give the tasks away; they may take this long to move.
    HandOver(Duration),
    /// Stop them; they wait for the next start.
    Restart,
}

/// Waits for SIGTERM, SIGINT or `leave`, or for the root actor to die.
async fn until_told(parts: &Parts) -> Result<End, Failure> {
    let failed = |error: std::io::Error| Failure::local("signals", &error.to_string(), "signal handlers", "report this");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let end = tokio::select! {
        _ = terminate.recv() => End::HandOver(END_HAND_OVER_MAX),
        _ = interrupt.recv() => End::HandOver(END_HAND_OVER_MAX),
        leaving = parts.leave_asked() => match leaving {
            Leaving::ForGood => End::HandOver(LEAVE_HAND_OVER_MAX),
            Leaving::Restart => End::Restart,
        },
        () = parts.root_ended() => {
            return Err(Failure::local("peer", "a core part ended, see the log", "a peer that runs", "start it again; its state is on disk"));
        }
    };
    info!("asked to leave");
    // A second signal ends the process at once, whatever is still being finished.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        process::exit(i32::from(crate::cli::failure::EXIT_INTERRUPTED));
    });
    Ok(end)
}

/// Takes the peer down: tasks first, so that fences are released; then doors, gossip and the endpoint.
async fn leave(mut parts: Parts, config: &Config, stop: CancellationToken, served: TaskTracker, leaving: Leaving) {
    parts.stop_tasks(leaving).await;
    if let Err(error) = parts.me.membership.leave(leaving).await {
        warn!(%error, "the goodbye was not gossiped");
    }
    stop.cancel();
    served.close();
    if timeout(DOORS_TIME_MAX, served.wait()).await.is_err() {
        warn!("requests in hand were cut");
    }
    parts.me.membership.shutdown().await;
    parts.me.endpoint.shutdown().await;
    if let Err(error) = RunFile::remove(&config.data_dir) {
        warn!(%error, "run.json was not removed");
    }
    info!("left");
}
