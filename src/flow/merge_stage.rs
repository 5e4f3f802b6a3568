//! The loop around the merger: events and rows in; the one sequence out.
//!
//! Fed by the reader's channel, `chunk_tasks` and the heartbeat's watch, at whose pace it looks around; feeds the sender's channel. Owns no decision: the merger
//! has the order, `chunk_tasks` the steps of each chunk. Ends with an error only; whoever runs it stops it by dropping it.

use std::convert::Infallible;

use tokio::sync::watch;

use crate::core::change::{BinlogPosition, Item};
use crate::core::copy_state::{Closed, is_at_or_after};
use crate::core::gtid_set::GtidSet;
use crate::core::job_spec::JobSpec;
use crate::core::job_state::PreparedWait;
use crate::flow::byte_channel::{ByteReceiver, ByteSender};
use crate::flow::chunk_tasks::{ChunkTasks, held_bytes_max};
use crate::flow::ddl_item;
use crate::flow::error::FlowError;
use crate::flow::merger::Merger;
use crate::flow::minimal_cut::MinimalCut;
use crate::flow::projector::Projector;
use crate::flow::sender::Outgoing;
use crate::flow::source_series::CopySeries;
use crate::flow::status::SourcePhase;
use crate::mysql::error::Error;
use crate::mysql::source::chunk_reader::Range;
use crate::mysql::source::heartbeat::Beat;
use crate::mysql::source::reader::ReaderEvent;

/// What the stage tells about itself, at each heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeView {
    /// Copying or streaming.
    pub phase: SourcePhase,
    /// Transactions passed, canonical text.
    pub read: String,
    /// Where the stream is.
    pub position: BinlogPosition,
    /// It ended with a change of definitions.
    pub is_over: bool,
}

/// The stage.
pub struct MergeStage {
    /// The order.
    pub merger: Merger,
    /// What the target gets of it.
    pub projector: Projector,
    /// How much of each change it wants.
    pub minimal: MinimalCut,
    /// The reads.
    pub tasks: ChunkTasks,
    /// What the copy counts.
    pub series: CopySeries,
    /// From the reader, a few events at a time.
    pub events: ByteReceiver<Vec<ReaderEvent>>,
    /// When it is time to look around.
    pub beats: watch::Receiver<Beat>,
    /// What was prepared and waits, for `flow::pulse`.
    pub prepared: watch::Sender<GtidSet>,
    /// To the sender.
    pub out: ByteSender<Outgoing>,
    /// The sink wants no more chunks now: its changes are late. Nothing of the sequence waits for a chunk that is not open.
    pub copy_held: watch::Receiver<bool>,
    /// For people.
    pub view: watch::Sender<MergeView>,
    /// The job, for tables that come into it.
    pub spec: JobSpec,
    /// The server of the stream.
    pub source_uuid: String,
    /// The stream ended with a change of definitions: only heartbeats follow, until the sink subscribes anew.
    pub is_over: bool,
    /// No chunk opens before the stream is here: until then it may end prepared transactions of before the start (PROTOCOLS 1
    /// step 1), whose rows every later view shows. None: there were none.
    pub copy_from: Option<BinlogPosition>,
    /// What the sink was told of prepared transactions.
    pub waiting_told: Option<PreparedWait>,
}

impl MergeStage {
    /// Runs until something fails.
    ///
    /// # Errors
    /// Always: what failed.
    pub async fn run(mut self) -> Result<Infallible, FlowError> {
        let mut items = Vec::new();
        loop {
            tokio::select! {
                events = self.events.recv() => {
                    let events = events.ok_or(FlowError::Ended { while_: "the binlog was read" })?;
                    for event in events.into_item() {
                        self.merger.take(event, &mut items).await?;
                        self.complete(&mut items).await?;
                        self.advance(&mut items)?;
                        self.emit(&mut items).await?;
                    }
                    self.tell_prepared();
                }
                done = self.tasks.next(), if !self.is_over && !self.tasks.is_idle() => {
                    match done? {
                        Some((shape, Some(read))) => self.merger.put_rows(shape, read),
                        Some((shape, None)) => self.merger.void(shape),
                        None => {}
                    }
                    self.advance(&mut items)?;
                    self.emit(&mut items).await?;
                }
                changed = self.beats.changed() => {
                    changed.map_err(|_| FlowError::Ended { while_: "the source's clock was read" })?;
                    self.advance(&mut items)?;
                    self.emit(&mut items).await?;
                    self.look_around().await?;
                }
            }
        }
    }

    /// Nothing follows a change of definitions: open chunks are void, what was read may have the form of before or after.
    async fn complete(&mut self, items: &mut [Item]) -> Result<(), Error> {
        let Some(Item::Ddl(ddl)) = items.last_mut() else {
            return Ok(());
        };
        ddl_item::complete(ddl, &self.spec, &self.source_uuid).await?;
        self.is_over = true;
        self.view.send_modify(|view| view.is_over = true);
        Ok(())
    }

    /// Moves the copy on as far as it can now.
    fn advance(&mut self, items: &mut Vec<Item>) -> Result<(), Error> {
        if self.is_over || self.merger.copy().is_done() {
            return Ok(());
        }
        self.tasks.settle_doubts(self.merger.position())?;
        while let Some(shape) = self.merger.overfull(held_bytes_max) {
            self.tasks.shrink(shape)?;
            self.merger.void(shape);
        }
        while let Some(shape) = self.merger.spoiled() {
            self.tasks.spoiled(shape, false)?;
            self.merger.void(shape);
        }
        while let Some(shape) = self.merger.copy().cascaded() {
            self.tasks.spoiled(shape, true)?;
            self.merger.void(shape);
        }
        if !self.merger.is_between() {
            return Ok(());
        }
        for (shape, closed) in self.merger.close()? {
            match closed {
                Closed::Stale => self.tasks.stale(shape)?,
                Closed::Chunks(chunks) => {
                    self.tasks.closed(shape, chunks.last().is_some_and(|chunk| chunk.is_last));
                    chunks.iter().for_each(|chunk| self.series.closed(chunk));
                    items.extend(chunks.into_iter().map(Item::Chunk));
                }
            }
        }
        if self
            .copy_from
            .as_ref()
            .is_some_and(|from| !is_at_or_after(self.merger.position(), from))
        {
            return Ok(());
        }
        if *self.copy_held.borrow() {
            return Ok(());
        }
        self.tasks.start(self.merger.copy());
        for (shape, high) in self.tasks.bound() {
            let low = self.merger.open(shape, high.clone());
            self.tasks.read(shape, Range { low, high }, self.merger.passed().clone());
        }
        Ok(())
    }

    async fn emit(&mut self, items: &mut Vec<Item>) -> Result<(), FlowError> {
        for item in items.drain(..) {
            let projected = self.projector.project(item).await?;
            let outgoing = Outgoing::Item(self.minimal.cut(projected)?);
            self.say(outgoing).await?;
        }
        Ok(())
    }

    /// Tells where it stands.
    async fn look_around(&mut self) -> Result<(), FlowError> {
        let phase = if self.merger.copy().is_done() {
            SourcePhase::Streaming
        } else {
            SourcePhase::Copying
        };
        self.view.send_replace(MergeView {
            phase,
            read: self.merger.passed().to_string(),
            position: self.merger.position().clone(),
            is_over: self.is_over,
        });
        let waiting = self.merger.waiting_view();
        if self.waiting_told != waiting {
            self.waiting_told.clone_from(&waiting);
            self.say(Outgoing::Prepared(waiting)).await?;
        }
        Ok(())
    }

    fn tell_prepared(&self) {
        if self.merger.has_waiting() || !self.prepared.borrow().is_empty() {
            self.prepared.send_replace(self.merger.waiting());
        }
    }

    async fn say(&mut self, outgoing: Outgoing) -> Result<(), FlowError> {
        let weight = outgoing.weight();
        Ok(self.out.send(outgoing, weight).await?)
    }
}
