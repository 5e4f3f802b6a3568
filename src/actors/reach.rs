//! Tries the databases that jobs ask about as `attr.reach.<host:port>`, and tells by gossip which of them answer.
//!
//! Started by `node`; reads the job table, opens sessions as the jobs would. What is tried when, and what is told, is
//! `core::reach`'s. A try is a connection, a login and one short query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::actors::me::Me;
use crate::actors::table_view::TableView;
use crate::core::ids::JobName;
use crate::core::job_merge::{Effective, effective};
use crate::core::job_record::JobRecord;
use crate::core::job_spec::DatabaseSpec;
use crate::core::reach::{self, Reach, TRY_MAX};
use crate::gossip::keys::Fact;
use crate::mysql::session::Session;

/// How often it looks at the job table and for what is due. Trades the start of a new job against looking at every record.
const LOOK: Duration = Duration::from_millis(500);

/// How long the own entry of the roster may take to say what was told; it takes milliseconds.
const SHOWN_MAX: Duration = Duration::from_secs(2);

/// The databases that one job asks about, worked out once per change of its record.
type Asked = BTreeMap<JobName, (Arc<JobRecord>, Vec<(String, DatabaseSpec)>)>;

/// The work of one peer.
pub struct Reaching {
    me: Me,
    table: watch::Receiver<Arc<TableView>>,
    reach: Reach,
    asked: Asked,
    told: BTreeSet<String>,
}

impl Reaching {
    /// Looks at the table as it was loaded. A database of a job that this peer owned when it ended counts as reached, and the own
    /// roster shows that on return: otherwise the job would be given away before the first try has ended.
    pub async fn begin(me: Me, table: watch::Receiver<Arc<TableView>>) -> Self {
        let mut reaching = Self {
            me,
            table,
            reach: Reach::default(),
            asked: Asked::new(),
            told: BTreeSet::new(),
        };
        reaching.look();
        let now = reaching.me.clock.now();
        let is_own = |record: &JobRecord| {
            let claim = record.claim.as_ref().filter(|claim| !claim.is_released);
            claim.is_some_and(|claim| claim.owner == reaching.me.node)
        };
        let owned = reaching.asked.values().filter(|(record, _)| is_own(record));
        for address in owned.flat_map(|(_, databases)| databases).map(|(address, _)| address) {
            reaching.reach.presume(address, now);
        }
        reaching.tell();
        reaching.await_shown().await;
        reaching
    }

    async fn await_shown(&self) {
        let keys: Vec<String> = self.told.iter().map(|address| format!("reach.{address}")).collect();
        let mut roster = self.me.roster();
        let shown = roster.wait_for(|roster| {
            let own = roster.iter().find(|member| member.is_self);
            own.is_some_and(|own| keys.iter().all(|key| own.attributes.contains_key(key)))
        });
        if !keys.is_empty() && !timeout(SHOWN_MAX, shown).await.is_ok_and(|shown| shown.is_ok()) {
            warn!("the own roster does not show yet which databases this peer reaches");
        }
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // At most `reach::TRIES_MAX`; dropped, and so ended, with this task.
        let mut tries: JoinSet<(String, bool)> = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Its keeper ends with this peer: then nothing new comes.
                _ = looks.tick() => if self.table.has_changed().unwrap_or(false) {
                    self.look();
                },
                Some(ended) = tries.join_next() => match ended {
                    Ok((address, is_open)) => self.reach.tried(&address, is_open, self.me.clock.now()),
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                },
            }
            while let Some((address, database)) = self.reach.next(self.me.clock.now()) {
                tries.spawn(async move {
                    let is_open = opens(&address, &database).await;
                    (address, is_open)
                });
            }
            self.tell();
        }
    }

    fn look(&mut self) {
        let table = self.table.borrow_and_update().clone();
        let mut old = std::mem::take(&mut self.asked);
        let mut is_changed = false;
        for record in table.records() {
            let known = old.remove(&record.name).filter(|(known, _)| Arc::ptr_eq(known, record));
            is_changed |= known.is_none();
            let entry = known.unwrap_or_else(|| (record.clone(), asked_by(record)));
            self.asked.insert(record.name.clone(), entry);
        }
        if is_changed || !old.is_empty() {
            self.reach
                .want(self.asked.values().flat_map(|(_, databases)| databases.clone()));
        }
    }

    fn tell(&mut self) {
        let reached = self.reach.reached(self.me.clock.now());
        if reached != self.told {
            self.me.publish(&Fact::Reach(reached.clone()));
            self.told = reached;
        }
    }
}

/// What a job that runs asks about; one that is held asks nothing.
fn asked_by(record: &JobRecord) -> Vec<(String, DatabaseSpec)> {
    match effective(record) {
        Effective::Run(run) => run.job_spec().map(|spec| reach::databases(&spec)).unwrap_or_default(),
        Effective::Held(_) | Effective::Absent => Vec::new(),
    }
}

async fn opens(address: &str, database: &DatabaseSpec) -> bool {
    match timeout(TRY_MAX, Session::connect(database)).await {
        Ok(Ok(session)) => {
            session.close().await;
            true
        }
        Ok(Err(error)) => {
            debug!(%address, %error, "a database that a job asks about is not reached");
            false
        }
        Err(_) => {
            debug!(%address, "a database that a job asks about does not answer");
            false
        }
    }
}
