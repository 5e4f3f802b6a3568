//! Pushes changed jobs to every live peer: claims and failures of this peer, and what people asked of it.
//!
//! Fed by the keeper and by `handle` (which wants to know how many peers took it). What waits together travels together;
//! what a push misses is repaired by the exchange of differing tables. A plain task without state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::actors::me::Me;
use crate::actors::sync_table::record_bytes;
use crate::actors::table_view::TableView;
use crate::core::ids::JobName;
use crate::gossip::table_sync;

/// Names taken from the queue for one push.
const NAMES_MAX: usize = 64;
/// Pushes on their way at a time. More let fresh news overtake a peer that does not answer, fewer make larger pushes; a guess.
const PUSHES_MAX: usize = 4;
/// How long a push waits for the slowest peer. Trades its latest news, which the exchange carries within seconds, against the
/// news of all others behind it; a guess, twice what a submit waits.
const PUSH_TIME_MAX: Duration = Duration::from_secs(2);

/// A job that changed here.
pub struct News {
    /// Which.
    pub name: JobName,
    /// Gets how many peers have it now, this one included; None when nobody waits.
    pub reply: Option<oneshot::Sender<usize>>,
}

/// Works until the queue closes and all is pushed, or until `stop`.
pub async fn run(me: Me, table: watch::Receiver<Arc<TableView>>, mut news: mpsc::Receiver<News>, stop: CancellationToken) {
    let mut waiting = Vec::new();
    let mut is_open = true;
    let mut pushes = FuturesUnordered::new();
    while is_open || !pushes.is_empty() {
        tokio::select! {
            () = stop.cancelled() => return,
            count = news.recv_many(&mut waiting, NAMES_MAX), if is_open && pushes.len() < PUSHES_MAX => {
                is_open = count > 0;
                if is_open {
                    pushes.push(push(&me, &table, std::mem::take(&mut waiting)));
                }
            }
            Some(()) = pushes.next() => {}
        }
    }
}

async fn push(me: &Me, table: &watch::Receiver<Arc<TableView>>, news: Vec<News>) {
    let view = table.borrow().clone();
    let names: BTreeSet<&JobName> = news.iter().map(|news| &news.name).collect();
    let records: Vec<Vec<u8>> = names
        .into_iter()
        .filter_map(|name| view.get(name).map(|record| record_bytes(record)))
        .collect();
    let addresses = me.membership.live_addresses();
    let pushed = timeout(PUSH_TIME_MAX, table_sync::push(&me.endpoint, &addresses, &records)).await;
    let Ok(failed) = pushed else {
        // Who has it is not known; whoever waits counts this peer alone.
        return debug!(
            rows = records.len(),
            "push was not answered in time, the exchange will carry it"
        );
    };
    for (address, error) in &failed {
        debug!(%address, %error, "push was not taken, the exchange will carry it");
    }
    let count = 1 + addresses.len() - failed.len();
    for reply in news.into_iter().filter_map(|news| news.reply) {
        // Who stopped waiting needs no number.
        let _ = reply.send(count);
    }
}
