//! Seeds: addresses are called as they are, host names are resolved again and again.
//!
//! Used by `membership`. The library resolves names too, but waits for them before it starts and then a minute: a peer whose
//! name service is slow would be mute. A name that does not resolve now may do so later and stops nothing.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Time between two lookups of all names.
const RESOLVE_PERIOD: Duration = Duration::from_secs(10);
/// Longest wait for one name.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// Addresses taken of one name: a name for a whole site has a few.
const PER_NAME_MAX: usize = 16;

/// Returns the seeds that are addresses and those that are names.
#[must_use]
pub fn parse(seeds: &[String]) -> (Vec<SocketAddr>, Vec<String>) {
    let mut addresses = Vec::new();
    let mut names = Vec::new();
    for seed in seeds {
        match seed.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => names.push(seed.clone()),
        }
    }
    (addresses, names)
}

/// Resolves `names` until cancelled and publishes their addresses when they change.
pub async fn resolve(names: Vec<String>, resolved: watch::Sender<Vec<SocketAddr>>, cancel: CancellationToken) {
    if names.is_empty() {
        return cancel.cancelled().await;
    }
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            addresses = lookup_all(&names) => {
                resolved.send_if_modified(|current| {
                    let is_new = *current != addresses;
                    current.clone_from(&addresses);
                    is_new
                });
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = sleep(RESOLVE_PERIOD) => {}
        }
    }
}

async fn lookup_all(names: &[String]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for name in names {
        match timeout(RESOLVE_WITHIN, lookup_host(name.as_str())).await {
            Ok(Ok(found)) => addresses.extend(found.take(PER_NAME_MAX)),
            Ok(Err(error)) => tracing::warn!(address = name, %error, "seed name not resolved"),
            Err(_) => tracing::warn!(address = name, "seed name not resolved in time"),
        }
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        let seeds = ["10.0.0.1:7700", "[::1]:7700", "bj-1.example:7700"].map(str::to_owned);
        let (addresses, names) = parse(&seeds);
        assert_eq!(addresses.len(), 2);
        assert_eq!(names, ["bj-1.example:7700"]);
    }

    #[tokio::test]
    async fn a_name_becomes_addresses() {
        let (sender, mut receiver) = watch::channel(Vec::new());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(resolve(vec!["localhost:7700".into()], sender, cancel.clone()));
        receiver.changed().await.unwrap();
        assert!(receiver.borrow().iter().all(|address| address.ip().is_loopback()));
        cancel.cancel();
        task.await.unwrap();
    }
}
