//! The one thread that changes the job table: law from `core`, disk from `store`, result through a watch.
//!
//! Fed by the `job_table` actor through a bounded queue, because a durable write takes milliseconds and no handler may.
//! A change is answered and shown only after it is on disk. Draws no random number: a new life comes with the request.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use ractor::RpcReplyPort;
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use crate::actors::table_view::TableView;
use crate::core::ids::{JobName, Life, NodeId};
use crate::core::job_merge::merge;
use crate::core::job_operations::{self as operations, Actor, OperationError, Written};
use crate::core::job_record::{Claim, HoldKind, JobRecord};
use crate::core::setting::Setting;
use crate::store::database::Store;
use crate::store::error::StoreError;

/// What a person or this peer asks of one job.
#[derive(Clone, Debug)]
pub enum Change {
    /// Takes a job; `update` makes the next version of one that exists with another content.
    Submit {
        /// The valid job as JSON.
        spec: serde_json::Value,
        /// For a new incarnation.
        life: Life,
        /// `--update`.
        update: bool,
        /// `--expect-version`.
        expect_version: Option<u64>,
    },
    /// Makes the next version with other settings.
    Set(Vec<Setting>),
    /// Makes the next version from an earlier one.
    Revert(u64),
    /// Puts a hold.
    Hold(HoldKind, String),
    /// Takes a person's holds away.
    Release,
    /// Counts a restart; takes a failure's hold away.
    Restart,
    /// Ends the incarnation.
    Purge,
    /// This peer won the fence, chose a source or released.
    Claim(Box<Claim>),
}

/// Why a change was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The law refused it.
    #[error(transparent)]
    Refused(#[from] OperationError),
    /// The disk did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue before the disk is full, or the keeper is gone; ask again.
    #[error("the job table is busy")]
    Busy,
}

/// The answer to a change: the record as it is now, and whether it was changed.
pub type Changed = Result<(Arc<JobRecord>, bool), ChangeError>;

/// What the keeper is told.
pub enum Order {
    /// One change of one job, answered when durable.
    Change {
        /// The job.
        name: JobName,
        /// What to do.
        change: Change,
        /// Who asks: an operator's word or `peer`.
        author: String,
        /// Wall clock for people, RFC 3339 UTC.
        at: String,
        /// Gets the answer.
        reply: Option<RpcReplyPort<Changed>>,
    },
    /// Records of another peer.
    Merge {
        /// At most one exchange's worth.
        records: Vec<JobRecord>,
        /// Gets how many were news.
        reply: RpcReplyPort<usize>,
    },
}

/// The keeper's state.
pub struct Keeper {
    /// This peer's id: the actor of its dots.
    pub node: NodeId,
    /// The disk.
    pub store: Arc<Store>,
    /// Shows each durable state.
    pub view: watch::Sender<Arc<TableView>>,
    /// Names changed here, to be pushed to others; when full, anti-entropy carries them.
    pub news: mpsc::Sender<JobName>,
}

impl Keeper {
    /// Works until the queue closes.
    pub fn run(self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Change {
                    name,
                    change,
                    author,
                    at,
                    reply,
                } => {
                    let changed = self.change(&name, change, author, at);
                    if let Err(error @ ChangeError::Store(_)) = &changed {
                        error!(job = %name, %error, "job table was not written");
                    }
                    if let Some(reply) = reply {
                        // A caller that stopped waiting is no error: the change is durable and shown.
                        let _ = reply.send(changed);
                    }
                }
                Order::Merge { records, reply } => {
                    let _ = reply.send(self.merge(records));
                }
            }
        }
    }

    fn change(&self, name: &JobName, change: Change, author: String, at: String) -> Changed {
        let old = self.view.borrow().get(name).cloned();
        let new = self.apply(old.as_deref(), name, change, author, at)?;
        let Some(new) = new.filter(|new| old.as_deref() != Some(new)) else {
            return Ok((old.ok_or(OperationError::Absent)?, false));
        };
        self.store.put_job(name, &new)?;
        self.show([new.clone()]);
        if self.news.try_send(name.clone()).is_err() {
            info!(job = %name, "push queue was full, the change spreads by exchange");
        }
        Ok((Arc::new(new), true))
    }

    fn apply(
        &self,
        old: Option<&JobRecord>,
        name: &JobName,
        change: Change,
        author: String,
        at: String,
    ) -> Result<Option<JobRecord>, ChangeError> {
        if let Change::Claim(claim) = change {
            return Ok(Some(operations::claim(old.ok_or(OperationError::Absent)?, *claim)));
        }
        let mut actor = Actor {
            id: self.node.0.clone(),
            next: self.store.next_dot()?,
            author,
            at,
        };
        let known = || old.ok_or(OperationError::Absent);
        let written = match change {
            Change::Submit {
                spec,
                life,
                update,
                expect_version,
            } => match old.filter(|record| record.is_alive() && update) {
                Some(record) => operations::edit(record, spec, expect_version, &mut actor)?,
                None => operations::submit(old, name, spec, life, &mut actor)?,
            },
            Change::Set(settings) => operations::set(known()?, &settings, &mut actor)?,
            Change::Revert(version) => operations::revert(known()?, version, &mut actor)?,
            Change::Hold(kind, reason) => Written::Changed(operations::hold(known()?, kind, &reason, &mut actor)?),
            Change::Release => Written::Changed(operations::release(known()?, &mut actor)?),
            Change::Restart => Written::Changed(operations::restart(known()?, &mut actor)?),
            Change::Purge => Written::Changed(operations::purge(known()?, &mut actor)?),
            Change::Claim(_) => unreachable!("claims make no dot and were handled above"),
        };
        Ok(match written {
            Written::Unchanged => None,
            Written::Changed(record) => Some(record),
        })
    }

    /// Joins records of another peer; returns how many changed something here.
    fn merge(&self, records: Vec<JobRecord>) -> usize {
        let news: Vec<JobRecord> = {
            let view = self.view.borrow();
            let joined = records.into_iter().filter_map(|theirs| match view.get(&theirs.name) {
                None => Some(theirs),
                Some(mine) => Some(merge(mine, &theirs)).filter(|joined| joined != &**mine),
            });
            joined.collect()
        };
        let rows: Vec<(&JobName, &JobRecord)> = news.iter().map(|record| (&record.name, record)).collect();
        if let Err(error) = self.store.put_jobs(&rows) {
            error!(%error, "records of another peer were not written");
            return 0;
        }
        let count = news.len();
        if count > 0 {
            self.show(news);
        }
        count
    }

    fn show(&self, records: impl IntoIterator<Item = JobRecord>) {
        let mut view = TableView::clone(&self.view.borrow());
        for record in records {
            view.insert(record);
        }
        view.seal();
        self.view.send_replace(Arc::new(view));
    }
}
