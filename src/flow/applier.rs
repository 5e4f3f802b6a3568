//! Applies the source's sequence to the target, in order.
//!
//! Fed by `flow::receiver`, feeds `mysql::target`. Transactions are the business of `flow::applier_groups`, chunks of the copy of
//! `flow::copy_flight`; everything else is applied when all before it is committed. One applier serves one stream; what was not committed when the stream dies is dropped and
//! comes again. It decides nothing about sources and owners: `flow::sink_flow` does.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::change::{BinlogPosition, CopyPlan, Item};
use crate::core::group::{Group, Grouper};
use crate::core::gtid_set::GtidSet;
use crate::core::ids::Seq;
use crate::core::shape::{ShapeId, TableName, TableShape};
use crate::flow::applier_care::CARE_EVERY;
use crate::flow::byte_channel::{ByteReceiver, Weighed};
use crate::flow::ddl_apply::OnDdl;
use crate::flow::error::FlowError;
use crate::flow::live_limits::LiveLimits;
use crate::flow::passed::Passed;
use crate::flow::receiver::Arrived;
use crate::flow::sink_meter::{Committed, SinkMeter};
use crate::flow::source_start::shape_id;
use crate::mysql::target::writer::Target;

/// Why an applier ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// The stream ended; whole transactions that came before are committed.
    Drained,
    /// Definitions changed: the stream is over, the next one has the new shapes.
    Reshaped,
}

/// What the receiver passes on to the source.
#[derive(Debug)]
pub struct ToSource {
    /// Credit of everything that was applied or waits in the group of a transaction that is not complete.
    pub consumed: watch::Sender<u64>,
    /// Tables of which minimal images are enough.
    pub minimal: watch::Sender<Vec<ShapeId>>,
}

/// Applies one stream to a target.
#[derive(Debug)]
pub struct Applier<'a> {
    pub(super) target: &'a mut Target,
    pub(super) meter: Arc<SinkMeter>,
    pub(super) on_ddl: OnDdl,
    to_source: ToSource,
    pub(super) grouper: Grouper,
    pub(super) limits: LiveLimits,
    /// Shapes named before `Start`; element n is shape n.
    first_shapes: Vec<TableShape>,
    pub(super) is_started: bool,
    /// The copy is all the job is to do: it ends with `FlowError::Completed` when every table is there.
    is_copy_all: bool,
    pub(super) passed: Passed,
    /// Credit of what was taken and is neither applied nor under way.
    pub(super) credit: u64,
    /// Credit of each group that is under way, oldest first.
    pub(super) credits_under_way: VecDeque<u64>,
    /// Taken from the channel, not looked at yet.
    pub(super) held: Option<Arrived>,
    /// So many chunks go alone, one after the other.
    pub(super) careful_chunks: u32,
    pub(super) care_at: Instant,
    pub(super) pinged_at: Instant,
    pub(super) minded_at: Instant,
    pub(super) beaten_at: Instant,
}

impl<'a> Applier<'a> {
    /// An applier of a stream that starts at the target's progress.
    pub fn new(
        target: &'a mut Target,
        limits: LiveLimits,
        meter: Arc<SinkMeter>,
        to_source: ToSource,
        is_copy_all: bool,
    ) -> Self {
        let mut grouper = Grouper::new(limits.now());
        for (at, shape) in target.progress().shapes.iter().enumerate() {
            grouper.set_shape(shape_id(at), shape.on_target().into_owned());
        }
        let is_started = !target.progress().is_fresh();
        let now = Instant::now();
        Self {
            target,
            meter,
            on_ddl: OnDdl::default(),
            to_source,
            grouper,
            limits,
            first_shapes: Vec::new(),
            is_started,
            is_copy_all,
            passed: Passed::default(),
            credit: 0,
            credits_under_way: VecDeque::new(),
            held: None,
            careful_chunks: 0,
            care_at: now + CARE_EVERY,
            pinged_at: now,
            minded_at: now,
            beaten_at: now,
        }
    }

    /// The same with what the job says about changes of definitions.
    pub fn with(self, on_ddl: OnDdl) -> Self {
        Self { on_ddl, ..self }
    }

    /// Applies until the channel ends, the target fails or `stop`. A transaction that is being committed is finished.
    pub async fn run(mut self, mut items: ByteReceiver<Arrived>, stop: &CancellationToken) -> Result<End, FlowError> {
        self.target.set_conflict_policy(self.limits.conflict_policy());
        self.look_for_events().await?;
        loop {
            if self.is_copy_all && self.target.progress().is_copied() {
                return Err(FlowError::Completed);
            }
            self.launch_due(&items).await?;
            let arrived = match self.held.take() {
                Some(held) if !stop.is_cancelled() => Some(held),
                _ => tokio::select! {
                    biased;
                    () = stop.cancelled() => {
                        // What waits in the group comes again.
                        self.land_all().await?;
                        self.write_passed().await?;
                        return Ok(End::Stopped);
                    }
                    () = self.target.returned() => {
                        self.landed().await?;
                        continue;
                    }
                    arrived = items.recv(), if !self.grouper.is_full() => arrived.map(Weighed::into_item),
                    () = tokio::time::sleep_until(self.care_at) => {
                        self.care(!self.target.is_flying()).await?;
                        continue;
                    }
                },
            };
            let Some(arrived) = arrived else {
                self.commit_all().await?;
                self.write_passed().await?;
                return Ok(End::Drained);
            };
            let is_last = matches!(arrived.item, Item::Ddl(_));
            self.apply(arrived, &mut items, stop).await?;
            if is_last {
                return Ok(End::Reshaped);
            }
            if Instant::now() >= self.care_at {
                self.care(!self.target.is_flying()).await?;
            }
        }
    }

    async fn apply(
        &mut self,
        arrived: Arrived,
        items: &mut ByteReceiver<Arrived>,
        stop: &CancellationToken,
    ) -> Result<(), FlowError> {
        if let Item::Txn(part) = arrived.item {
            return self.transaction(part, arrived.credit, items, stop).await;
        }
        self.commit_all().await?;
        self.credit += arrived.credit;
        match arrived.item {
            Item::Shape { id, shape } => self.shape(id, shape).await?,
            Item::Start {
                executed,
                source_uuid,
                copy,
            } => self.start(&executed, &source_uuid, &copy).await?,
            Item::Txn(_) => {}
            Item::Chunk(chunk) => return self.chunks(chunk, items, stop).await,
            Item::Reset { shape } => self.reset(shape).await?,
            Item::Ddl(ddl) => self.ddl(&ddl).await?,
        }
        self.settle();
        Ok(())
    }

    async fn shape(&mut self, id: ShapeId, shape: TableShape) -> Result<(), FlowError> {
        let is_known = self.target.progress().shapes.get(id.0 as usize) == Some(&shape);
        self.grouper.set_shape(id, shape.on_target().into_owned());
        if self.is_started {
            return if is_known {
                Ok(())
            } else {
                self.target.set_shape(id, shape).await?;
                self.look_for_events().await
            };
        }
        match id.0 as usize {
            at if at < self.first_shapes.len() => self.first_shapes[at] = shape,
            at if at == self.first_shapes.len() => self.first_shapes.push(shape),
            at => {
                return Err(FlowError::out_of_order(
                    format!("shape {at}"),
                    "shapes numbered from 0 without a gap",
                ));
            }
        }
        Ok(())
    }

    async fn start(&mut self, executed: &GtidSet, source_uuid: &str, copy: &[CopyPlan]) -> Result<(), FlowError> {
        if self.is_started {
            return Err(FlowError::out_of_order("a start", "no start: the target has progress"));
        }
        let seq = self
            .target
            .start(executed, source_uuid, std::mem::take(&mut self.first_shapes), copy)
            .await?;
        self.is_started = true;
        self.look_for_events().await?;
        self.meter.started(executed, &self.target.progress().copy);
        self.committed(seq, &GtidSet::default(), 0, 0, None);
        Ok(())
    }

    async fn reset(&mut self, shape: ShapeId) -> Result<(), FlowError> {
        let name = self.name_of(shape)?;
        self.write_passed().await?;
        let seq = self.target.reset(shape).await?;
        self.meter.reset(&name);
        self.committed(seq, &GtidSet::default(), 0, 0, None);
        Ok(())
    }

    /// Finds out which tables of the target take row events.
    async fn look_for_events(&mut self) -> Result<(), FlowError> {
        self.target.look_for_events().await?;
        self.tell_minimal();
        Ok(())
    }

    /// Tells the source, when it changed, of which tables minimal images are enough.
    pub(super) fn tell_minimal(&mut self) {
        if let Some(minimal) = self.target.minimal_change() {
            self.grouper.set_folded(&minimal);
            self.to_source.minimal.send_replace(minimal);
        }
    }

    pub(super) fn group_committed(&mut self, seq: Seq, group: &Group, rows: u64) {
        self.meter.row_by_row(group, self.grouper.tables());
        self.committed(seq, &group.added, count(group.transactions), rows, Some(&group.position));
    }

    pub(super) fn committed(
        &mut self,
        seq: Seq,
        added: &GtidSet,
        transactions: usize,
        rows: u64,
        position: Option<&BinlogPosition>,
    ) {
        self.meter.conflicts(self.target.conflicts());
        self.meter.committed(Committed {
            seq,
            added,
            durable: &self.target.progress().executed,
            transactions,
            rows,
            position,
        });
        self.beaten_at = Instant::now();
    }

    /// Gives back the credit of what was taken so far.
    pub(super) fn settle(&mut self) {
        let credit = std::mem::take(&mut self.credit);
        self.give_back(credit);
    }

    pub(super) fn give_back(&self, credit: u64) {
        self.to_source.consumed.send_modify(|total| *total += credit);
    }

    /// Its name on the source: copy rows have that.
    pub(super) fn name_of(&self, shape: ShapeId) -> Result<TableName, FlowError> {
        let shapes = &self.target.progress().shapes;
        let unknown = || FlowError::out_of_order(format!("shape {}", shape.0), "a shape that was named before");
        Ok(shapes.get(shape.0 as usize).ok_or_else(unknown)?.name.clone())
    }
}

pub(super) fn count(transactions: u64) -> usize {
    usize::try_from(transactions).unwrap_or(usize::MAX)
}
