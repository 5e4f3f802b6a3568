//! Waits for the first member to answer when a peer joins, and tells a refusal from silence.
//!
//! Gossip goes on calling the seeds for ever; this only decides when `join` says ready (DESIGN 1.1): one answer, or 10 s.
//! A refused key, cluster name or wire version ends the start, because no retry can mend it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::transport::endpoint::Endpoint;
use crate::transport::error::TransportError;
use crate::wire::message::{Request, Response};

/// How long `join` waits for a member before it is ready alone.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Pause between two rounds over all seeds.
const ROUND_DELAY: Duration = Duration::from_millis(300);

/// Returns once one seed answered or the time is up; fails only when a member refused this peer.
pub async fn await_member(endpoint: &Endpoint, seeds: &[String]) -> Result<(), TransportError> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        for seed in seeds {
            match ask(endpoint, seed, deadline).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error @ (TransportError::KeyMismatch { .. } | TransportError::Refused { .. })) => return Err(error),
                Err(error) => info!(%seed, %error, "seed did not answer"),
            }
            if Instant::now() >= deadline {
                warn!(
                    seeds = seeds.join(", "),
                    "no member answered within 10 s; this peer works alone and goes on calling its seeds"
                );
                return Ok(());
            }
        }
        sleep(ROUND_DELAY).await;
    }
}

/// True when the seed is another peer and answered.
async fn ask(endpoint: &Endpoint, seed: &str, deadline: Instant) -> Result<bool, TransportError> {
    let mut addresses: Vec<SocketAddr> = match seed.parse() {
        Ok(address) => vec![address],
        Err(_) => lookup_host(seed).await.map_or_else(|_| Vec::new(), Iterator::collect),
    };
    addresses.retain(|address| *address != endpoint.advertise_addr());
    let mut outcome = Ok(false);
    for address in addresses {
        // The bound of the whole wait also cuts a seed that swallows packets.
        let asked = tokio::time::timeout_at(deadline, endpoint.ask(address, &Request::Ping)).await;
        outcome = asked.map_or(Ok(false), |answer| Ok(answer? == Response::Pong));
        if !matches!(outcome, Ok(false)) {
            break;
        }
    }
    outcome
}
