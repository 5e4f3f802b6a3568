//! The one thread that changes the job table: law from `core`, disk from `store`, result through a watch.
//!
//! Fed by the `job_table` actor through a bounded queue, because a durable write takes milliseconds and no handler may.
//! A change is answered and shown only after it is on disk; what waits together is written together. Draws no random number: a
//! new life comes with the request.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ractor::RpcReplyPort;
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use crate::actors::errands::{Errand, Errands};
use crate::actors::spread::News;
use crate::actors::table_view::TableView;
use crate::core::gtid_set::Gtid;
use crate::core::ids::{JobName, Life, NodeId};
use crate::core::job_failure::{Cause, Move};
use crate::core::job_merge::merge;
use crate::core::job_operations::{self as operations, Actor, OperationError, Written};
use crate::core::job_record::{Claim, HoldKind, JobRecord};
use crate::core::setting::Setting;
use crate::store::database::Store;
use crate::store::error::StoreError;

/// How often what the disk did not take is tried again.
const RETRY: Duration = Duration::from_secs(1);

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
    /// Puts the hold `failed` with its reason in words, unless what failed is not asked for any more.
    Fail(String, Box<Cause>),
    /// This peer gave the sink up for others.
    Moved(Box<Move>),
    /// Takes a person's holds away.
    Release,
    /// Counts a restart; takes a failure's hold away.
    Restart,
    /// Orders that one source transaction be passed over, and why.
    Skip(Gtid, String),
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
        reply: RpcReplyPort<Changed>,
    },
    /// Records of another peer.
    Merge {
        /// At most one exchange's worth.
        records: Vec<JobRecord>,
        /// Gets how many were news.
        reply: RpcReplyPort<usize>,
    },
    /// There are errands.
    Look,
}

/// Orders that one write of the disk makes durable. Trades the first one's wait (each costs about a millisecond of work) for
/// the cost of a write, which is some milliseconds however much it holds.
const ORDERS_AT_ONCE: usize = 64;

/// The keeper's state.
pub struct Keeper {
    /// This peer's id: the actor of its dots.
    pub node: NodeId,
    /// The disk.
    pub store: Arc<Store>,
    /// Shows each durable state.
    pub view: watch::Sender<Arc<TableView>>,
    /// Names changed here that nobody waits for, to be pushed to others; when full, anti-entropy carries them.
    pub news: mpsc::Sender<News>,
    /// What this peer itself writes; done before any order.
    pub errands: Errands,
}

/// Orders that become durable together, or none of them.
struct Batch {
    /// The table with their changes.
    view: Arc<TableView>,
    changed: BTreeSet<JobName>,
    news: Vec<News>,
}

/// What one order gets once its batch is on disk.
enum Answer {
    Change(RpcReplyPort<Changed>, Changed),
    Merge(RpcReplyPort<usize>, usize),
}

impl Answer {
    // Callers that stopped waiting are no error: the change is durable and shown.
    fn send(self, written: &Result<(), StoreError>) {
        match (self, written) {
            (Self::Change(reply, changed), Ok(())) => drop(reply.send(changed)),
            (Self::Change(reply, _), Err(error)) => drop(reply.send(Err(error.clone().into()))),
            (Self::Merge(reply, count), Ok(())) => drop(reply.send(count)),
            (Self::Merge(reply, _), Err(_)) => drop(reply.send(0)),
        }
    }
}

impl Keeper {
    /// Works until the queue closes.
    pub fn run(self, orders: &Receiver<Order>) {
        while let Some(first) = self.next(orders) {
            let more = orders.try_iter().take(ORDERS_AT_ONCE - 1);
            self.work_off(iter::once(first).chain(more));
        }
    }

    fn work_off(&self, orders: impl Iterator<Item = Order>) {
        let mut batch = Batch {
            view: self.view.borrow().clone(),
            changed: BTreeSet::new(),
            news: Vec::new(),
        };
        let errands = self.errands.take();
        let refused = self.do_errands(&errands, &mut batch);
        let answers: Vec<Answer> = orders.filter_map(|order| self.take(order, &mut batch)).collect();
        let written = self.write(&batch);
        match &written {
            Ok(()) if !batch.changed.is_empty() => drop(self.view.send_replace(batch.view)),
            Ok(()) => {}
            Err(error) => error!(rows = batch.changed.len(), %error, "job table was not written"),
        }
        let again = if written.is_ok() { refused } else { errands };
        again
            .into_iter()
            .for_each(|(name, errand)| self.errands.put_back(name, errand));
        for answer in answers {
            answer.send(&written);
        }
        for news in batch.news.into_iter().take_while(|_| written.is_ok()) {
            if self.news.try_send(news).is_err() {
                info!("push queue was full, the change spreads by exchange");
            }
        }
    }

    /// The next order; while errands wait for the disk, also every `RETRY`. None: the queue is closed.
    fn next(&self, orders: &Receiver<Order>) -> Option<Order> {
        if self.errands.is_empty() {
            return orders.recv().ok();
        }
        match orders.recv_timeout(RETRY) {
            Err(RecvTimeoutError::Timeout) => Some(Order::Look),
            order => order.ok(),
        }
    }

    /// Puts into the batch what nobody waits for; returns what the disk did not even take a number for.
    fn do_errands(&self, errands: &[(JobName, Errand)], batch: &mut Batch) -> Vec<(JobName, Errand)> {
        let mut refused = Vec::new();
        for (name, errand) in errands {
            let (change, author, at) = match errand.clone() {
                Errand::Claim(claim) => (Change::Claim(claim), String::new(), String::new()),
                Errand::Moved(made) => (Change::Moved(made), String::new(), String::new()),
                Errand::Failed {
                    reason,
                    cause,
                    author,
                    at,
                } => (Change::Fail(reason, cause), author, at),
            };
            match self.change(name, change, author, at, batch) {
                Ok((_, is_changed)) if is_changed => batch.news.push(News {
                    name: name.clone(),
                    reply: None,
                }),
                Err(ChangeError::Store(_)) => refused.push((name.clone(), errand.clone())),
                // Nothing new, or the job is gone.
                Ok(_) | Err(_) => {}
            }
        }
        refused
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let changed = batch.changed.iter().filter_map(|name| batch.view.get(name));
        let rows: Vec<(&JobName, &JobRecord)> = changed.map(|record| (&record.name, &**record)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.store.put_jobs(&rows)
    }

    fn take(&self, order: Order, batch: &mut Batch) -> Option<Answer> {
        match order {
            Order::Change {
                name,
                change,
                author,
                at,
                reply,
            } => {
                let changed = self.change(&name, change, author, at, batch);
                Some(Answer::Change(reply, changed))
            }
            Order::Merge { records, reply } => Some(Answer::Merge(reply, batch.merge(records))),
            Order::Look => None,
        }
    }

    fn change(&self, name: &JobName, change: Change, author: String, at: String, batch: &mut Batch) -> Changed {
        let old = batch.view.get(name).cloned();
        let new = self.apply(old.as_deref(), name, change, author, at)?;
        let Some(new) = new.filter(|new| old.as_deref() != Some(new)) else {
            return Ok((old.ok_or(OperationError::Absent)?, false));
        };
        Ok((batch.put(new), true))
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
        if let Change::Moved(made) = change {
            return Ok(Some(operations::moved(old.ok_or(OperationError::Absent)?, *made)));
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
            Change::Fail(reason, cause) => operations::fail(known()?, &reason, *cause, &mut actor)?,
            Change::Release => Written::Changed(operations::release(known()?, &mut actor)?),
            Change::Restart => Written::Changed(operations::restart(known()?, &mut actor)?),
            Change::Skip(gtid, reason) => operations::skip(known()?, &gtid, &reason, &mut actor)?,
            Change::Purge => Written::Changed(operations::purge(known()?, &mut actor)?),
            Change::Claim(_) | Change::Moved(_) => unreachable!("claims and moves make no dot and were handled above"),
        };
        Ok(match written {
            Written::Unchanged => None,
            Written::Changed(record) => Some(record),
        })
    }
}

impl Batch {
    /// Joins records of another peer; returns how many changed something here.
    fn merge(&mut self, records: Vec<JobRecord>) -> usize {
        let mut count = 0;
        for theirs in records {
            let news = match self.view.get(&theirs.name) {
                None => Some(theirs),
                Some(mine) => Some(merge(mine, &theirs)).filter(|joined| joined != &**mine),
            };
            if let Some(joined) = news {
                self.put(joined);
                count += 1;
            }
        }
        count
    }

    fn put(&mut self, record: JobRecord) -> Arc<JobRecord> {
        let name = record.name.clone();
        // Copies the table at the first change only: from then on it is this batch's own.
        let view = Arc::make_mut(&mut self.view);
        view.insert(record);
        let record = Arc::clone(view.get(&name).expect("it was just put there"));
        self.changed.insert(name);
        record
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use serde_json::json;
    use tokio::sync::oneshot;

    use super::*;

    fn order(name: &str, change: Change) -> (Order, oneshot::Receiver<Changed>) {
        let (reply, answer) = oneshot::channel();
        let order = Order::Change {
            name: JobName(name.into()),
            change,
            author: "a person".into(),
            at: "2026-01-01T00:00:00Z".into(),
            reply: reply.into(),
        };
        (order, answer)
    }

    fn submit(name: &str) -> Change {
        Change::Submit {
            spec: json!({"name": name}),
            life: Life(name.into()),
            update: false,
            expect_version: None,
        }
    }

    #[test]
    fn changes_that_wait_together_are_written_together_and_answered_one_by_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(folder.path(), || NodeId("me".into())).expect("opens"));
        let (view, mut shown) = watch::channel(Arc::new(TableView::default()));
        let (news, mut pushed) = mpsc::channel(8);
        let keeper = Keeper {
            node: NodeId("me".into()),
            store: Arc::clone(&store),
            view,
            news,
            errands: Errands::default(),
        };
        let mut asked: Vec<_> = (0..10)
            .map(|n| format!("job-{n}"))
            .map(|name| order(&name, submit(&name)))
            .collect();
        asked.push(order("job-3", Change::Hold(HoldKind::Stop, String::new())));
        asked.push(order("job-3", submit("job-3")));
        asked.push(order("nobody", Change::Release));
        let (orders, answers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let (sender, queue) = sync_channel(64);
        orders
            .into_iter()
            .for_each(|order| sender.try_send(order).expect("there is room"));
        drop(sender);
        keeper.run(&queue);

        let changed: Vec<Option<bool>> = answers
            .into_iter()
            .map(|mut answer| answer.try_recv().expect("answered").ok().map(|(_, is)| is))
            .collect();
        let expected: Vec<Option<bool>> = [vec![Some(true); 11], vec![Some(false), None]].concat();
        assert_eq!(changed, expected, "each sees what those before it did");
        let records = store.load_jobs::<JobRecord>().expect("readable").records;
        assert_eq!(records.len(), 10);
        assert_eq!(records[3].holds.len(), 1);
        assert_eq!(
            shown.borrow_and_update().root(),
            TableView::new(records).root(),
            "shown is what is on the disk"
        );
        assert!(pushed.try_recv().is_err(), "whoever asked also spreads it");
    }
}
