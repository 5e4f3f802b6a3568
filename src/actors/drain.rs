//! Whether this peer gives its tasks away: kept on disk, told by gossip; and the wish to leave, for good or for a restart.
//!
//! Asked through `handle` (people here) and `incoming` (people at another peer). Moves nothing itself: placement ends the
//! sinks of a peer that is not eligible any more, and the sinks elsewhere leave its sources.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::actors::me::Me;
use crate::core::fault::Fault;
use crate::gossip::keys::{Fact, Leaving};
use crate::store::database::Store;
use crate::store::error::StoreError;

/// How long the own entry of the roster may take to say what was told; it takes milliseconds.
const SHOWN_MAX: Duration = Duration::from_secs(2);

/// The standing of this peer. Clones share it.
#[derive(Clone)]
pub struct Drain {
    me: Me,
    store: Arc<Store>,
    leaving: watch::Sender<Option<Leaving>>,
    /// Disk and gossip change together.
    turn: Arc<Mutex<()>>,
}

impl Drain {
    /// The standing as `store` has it; nothing is told yet.
    #[must_use]
    pub fn new(me: Me, store: Arc<Store>) -> Self {
        Self {
            me,
            store,
            leaving: watch::Sender::new(None),
            turn: Arc::default(),
        }
    }

    /// Tells what an earlier start was told, and waits until the own roster shows it: nothing may start before.
    ///
    /// # Errors
    /// The store is not readable.
    pub async fn restore(&self) -> Result<(), StoreError> {
        if !self.store.is_draining()? {
            return Ok(());
        }
        info!("this peer still drains; `peer undrain` ends that");
        self.me.publish(&Fact::Draining(true));
        let mut roster = self.me.roster();
        let shown = roster.wait_for(|roster| roster.iter().any(|member| member.is_self && member.is_draining));
        if !timeout(SHOWN_MAX, shown).await.is_ok_and(|shown| shown.is_ok()) {
            warn!("the own roster does not show yet that this peer drains");
        }
        Ok(())
    }

    /// Keeps and tells it; returns false when it was so already.
    ///
    /// # Errors
    /// The disk refused; nothing changed.
    pub async fn set(&self, is_draining: bool) -> Result<bool, Fault> {
        let _turn = self.turn.lock().await;
        let store = Arc::clone(&self.store);
        let stored = spawn_blocking(move || store.set_draining(is_draining)).await;
        let is_changed = match stored {
            Ok(stored) => stored.map_err(|error| error.fault())?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        // Who is leaving gives its tasks away whatever happens.
        let is_leaving = *self.leaving.borrow() == Some(Leaving::ForGood);
        self.me.publish(&Fact::Draining(is_draining || is_leaving));
        info!(is_draining, is_changed, "told to drain or to take tasks again");
        Ok(is_changed)
    }

    /// Ends this process soon. For good: it gives its tasks away first, and the next start takes tasks again. For a restart: the
    /// tasks wait for the next start. The first wish stands: returns false when there was one.
    #[must_use]
    pub fn leave(&self, leaving: Leaving) -> bool {
        let is_first = self.leaving.send_if_modified(|asked| {
            let is_first = asked.is_none();
            *asked = asked.or(Some(leaving));
            is_first
        });
        if is_first && leaving == Leaving::ForGood {
            self.me.publish(&Fact::Draining(true));
        }
        is_first
    }

    /// Returns when somebody asked this peer to leave, and how.
    pub async fn leave_asked(&self) -> Leaving {
        let mut asked = self.leaving.subscribe();
        let seen = asked.wait_for(Option::is_some).await.map(|asked| *asked);
        seen.ok().flatten().expect("the sender is this value's own")
    }
}
