//! The applier's transactions: collected into groups, committed, and what is too large for a group.
//!
//! Part of `flow::applier`. Following, each transaction is applied the moment it is there: nothing waits for a timer. Behind, what waits
//! is merged into groups of whole transactions, which fly beside each other and land in order. A large transaction is applied in parts
//! inside one target transaction.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::change::{Item, TxnPart};
use crate::core::group::Group;
use crate::core::job_state::LargeTransaction;
use crate::flow::applier::{Applier, count};
use crate::flow::byte_channel::ByteReceiver;
use crate::flow::error::FlowError;
use crate::flow::receiver::Arrived;

impl Applier<'_> {
    /// Takes a transaction, with those that wait behind it, into the group. Nothing of one that ends early is left.
    pub(super) async fn transaction(
        &mut self,
        first: TxnPart,
        credit: u64,
        items: &mut ByteReceiver<Arrived>,
        stop: &CancellationToken,
    ) -> Result<(), FlowError> {
        self.grouper.set_limits(self.limits.now());
        let was_whole = self.target.is_whole_wanted();
        self.target.set_conflict_policy(self.limits.conflict_policy());
        if self.target.is_whole_wanted() && !was_whole {
            return Err(FlowError::Ended {
                while_: "rows came cut that are to be compared from now on",
            });
        }
        self.tell_minimal();
        if first.is_first && !first.is_last {
            // It may turn out to be large, and while it comes nobody looks at what flies.
            self.commit_all().await?;
        }
        self.credit += credit;
        self.push(first)?;
        while self.grouper.is_inside_transaction() {
            if self.grouper.is_full() {
                return self.large(items, stop).await;
            }
            let Some(part) = self.next_part(items, stop).await? else {
                self.grouper.abandon();
                return Ok(());
            };
            self.push(part)?;
        }
        Ok(())
    }

    /// Commits the group, or sends it off, when it is full or nothing else waits to join it.
    pub(super) async fn launch_due(&mut self, items: &ByteReceiver<Arrived>) -> Result<(), FlowError> {
        if self.grouper.is_empty() {
            return Ok(());
        }
        if !self.grouper.is_full() {
            return match items.is_empty() && !self.target.is_flying() {
                true => self.commit().await,
                false => Ok(()),
            };
        }
        if !self.target.may_fly() {
            return self.commit_all().await;
        }
        if self.target.has_free_lane() {
            self.launch().await?;
        }
        Ok(())
    }

    /// Everything that was taken is committed when this returns.
    pub(super) async fn commit_all(&mut self) -> Result<(), FlowError> {
        self.land_all().await?;
        self.commit().await
    }

    /// Everything that flies is committed when this returns.
    pub(super) async fn land_all(&mut self) -> Result<(), FlowError> {
        while self.target.is_flying() {
            self.target.returned().await;
            self.landed().await?;
        }
        Ok(())
    }

    /// Notes what came back.
    pub(super) async fn landed(&mut self) -> Result<(), FlowError> {
        for landing in self.target.landed().await? {
            let credit = self.credits_under_way.pop_front().unwrap_or_default();
            self.group_committed(landing.seq, &landing.group, landing.group.changes);
            self.give_back(credit);
        }
        Ok(())
    }

    /// Sends the group off, unless it has nothing to write.
    async fn launch(&mut self) -> Result<(), FlowError> {
        let mut group = self.grouper.take();
        if group.is_progress_only() {
            self.pass(group);
            return Ok(());
        }
        group.added.union(&self.passed.added);
        self.passed.clear();
        self.target.launch(group).await?;
        self.credits_under_way.push_back(std::mem::take(&mut self.credit));
        Ok(())
    }

    /// Commits the group; nothing flies.
    async fn commit(&mut self) -> Result<(), FlowError> {
        debug_assert!(!self.grouper.is_inside_transaction(), "half a transaction is never committed");
        if self.grouper.is_empty() {
            return Ok(());
        }
        let mut group = self.grouper.take();
        if group.is_progress_only() {
            self.pass(group);
            return Ok(());
        }
        group.added.union(&self.passed.added);
        self.passed.clear();
        let seq = self.target.apply_group(&group).await?;
        self.group_committed(seq, &group, group.changes);
        self.settle();
        Ok(())
    }

    pub(super) fn pass(&mut self, group: Group) {
        self.meter.passed(count(group.transactions), &group.added);
        self.passed.add(group);
        self.settle();
    }

    /// Applies the transaction that was begun in parts, all in one target transaction.
    async fn large(&mut self, items: &mut ByteReceiver<Arrived>, stop: &CancellationToken) -> Result<(), FlowError> {
        self.target.large_begin().await?;
        let (mut rows, mut bytes) = (0, 0);
        loop {
            if self.grouper.is_part_full() && self.grouper.is_inside_transaction() {
                let part = self.grouper.take();
                rows += part.changes;
                bytes += part.bytes;
                let gtid = part.parts.last().map(|part| part.gtid.to_string());
                self.meter.row_by_row(&part, self.grouper.tables());
                self.target.large_part(Arc::new(part)).await?;
                self.meter.large(gtid.map(|gtid| LargeTransaction { gtid, rows, bytes }));
                self.settle();
            }
            if !self.grouper.is_inside_transaction() {
                let mut last = self.grouper.take();
                last.added.union(&self.passed.added);
                rows += last.changes;
                let last = Arc::new(last);
                let seq = self.target.large_commit(Arc::clone(&last)).await?;
                self.meter.large(None);
                self.passed.clear();
                self.group_committed(seq, &last, rows);
                self.settle();
                return Ok(());
            }
            let Some(part) = self.next_part(items, stop).await? else {
                self.meter.large(None);
                self.grouper.abandon();
                return Ok(self.target.large_abort().await?);
            };
            self.push(part)?;
            if Instant::now() >= self.care_at {
                self.care(false).await?;
            }
        }
    }

    /// The next part of the transaction that was begun; None: it will not come on this stream, or not before the stop.
    async fn next_part(
        &mut self,
        items: &mut ByteReceiver<Arrived>,
        stop: &CancellationToken,
    ) -> Result<Option<TxnPart>, FlowError> {
        // What waits in the group is bounded by the group's own limit. Kept, its credit could be all there is: rows that do not compress
        // fill the window before they fill a group, and the part that would fill it never comes.
        self.settle();
        loop {
            let arrived = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                arrived = items.recv() => arrived,
                () = tokio::time::sleep_until(self.care_at) => {
                    self.care(false).await?;
                    continue;
                }
            };
            let Some(arrived) = arrived else { return Ok(None) };
            let Arrived { item, credit } = arrived.into_item();
            self.credit += credit;
            return match item {
                Item::Txn(part) => Ok(Some(part)),
                other => Err(FlowError::out_of_order(other.kind(), "the next part of a transaction")),
            };
        }
    }

    pub(super) fn push(&mut self, mut part: TxnPart) -> Result<(), FlowError> {
        if !self.is_started {
            return Err(FlowError::out_of_order(
                "a transaction",
                "a start: the target has no progress",
            ));
        }
        if part.is_first == self.grouper.is_inside_transaction() {
            let found = format!("part of {} (first: {})", part.gtid, part.is_first);
            return Err(FlowError::out_of_order(found, "parts of one transaction behind each other"));
        }
        if self.target.is_skipped(&part.gtid) {
            // It joins progress all the same, and is recorded there.
            part.changes.clear();
        }
        Ok(self.grouper.push(part)?)
    }
}
