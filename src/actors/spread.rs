//! Pushes what this peer itself changes in the job table: claims and failures.
//!
//! Fed by the keeper (names). Changes a person asks for are pushed by `handle`, which counts who took them; what a push
//! misses is repaired by the exchange of differing tables. A plain task without state.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::actors::me::Me;
use crate::actors::sync_table::record_bytes;
use crate::actors::table_view::TableView;
use crate::core::ids::JobName;
use crate::gossip::table_sync;

/// Names taken from the queue for one push.
const NAMES_MAX: usize = 64;

/// Works until `stop`.
pub async fn run(me: Me, table: watch::Receiver<Arc<TableView>>, mut news: mpsc::Receiver<JobName>, stop: CancellationToken) {
    let mut names = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            count = news.recv_many(&mut names, NAMES_MAX) => {
                if count == 0 {
                    return;
                }
                push(&me, &table, &mut names).await;
            }
        }
    }
}

async fn push(me: &Me, table: &watch::Receiver<Arc<TableView>>, names: &mut Vec<JobName>) {
    names.sort();
    names.dedup();
    let view = table.borrow().clone();
    let records: Vec<Vec<u8>> = names
        .drain(..)
        .filter_map(|name| view.get(&name).map(|record| record_bytes(record)))
        .collect();
    for (address, error) in table_sync::push(&me.endpoint, &me.membership.live_addresses(), &records).await {
        debug!(%address, %error, "push was not taken, the exchange will carry it");
    }
}
