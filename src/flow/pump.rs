//! What the reader says, handed on to the merge stage; rows of XA transactions wait here for their end.
//!
//! Fed by `source_flow`'s loop around the reader. Decides nothing: the reader says what is to be held and when it comes.

use crate::core::gtid_set::Gtid;
use crate::core::row_bag::change_bytes;
use crate::core::shape::ShapeId;
use crate::flow::byte_channel::ByteSender;
use crate::flow::error::FlowError;
use crate::flow::source_series::ReaderSeries;
use crate::flow::xa_spill::{Replay, XaSpill};
use crate::mysql::source::reader::ReaderEvent;
use crate::store::spill::SpillFolder;

/// Between reader and merge stage.
pub struct Pump {
    series: ReaderSeries,
    spill: XaSpill,
    out: ByteSender<Vec<ReaderEvent>>,
    /// The transaction that was begun last.
    begun: Option<Gtid>,
}

impl Pump {
    /// Nothing is held.
    #[must_use]
    pub fn new(series: ReaderSeries, spill: SpillFolder, out: ByteSender<Vec<ReaderEvent>>) -> Self {
        let spill = XaSpill::new(spill);
        Self {
            series,
            spill,
            out,
            begun: None,
        }
    }

    /// The end of the queue that it feeds.
    #[must_use]
    pub fn into_out(self) -> ByteSender<Vec<ReaderEvent>> {
        self.out
    }

    /// Hands events on, in order.
    pub async fn hand_on(&mut self, events: Vec<ReaderEvent>) -> Result<(), FlowError> {
        let mut ready = Vec::with_capacity(events.len());
        for event in events {
            match &event {
                ReaderEvent::Begin { gtid, .. } => self.begun = Some(gtid.clone()),
                ReaderEvent::Prepared { .. } => {
                    if let Some(gtid) = &self.begun {
                        self.spill.prepared(gtid).await?;
                    }
                }
                ReaderEvent::Resolved { prepared, .. } => self.spill.forget(prepared),
                _ => {}
            }
            match event {
                ReaderEvent::Held { gtid, changes } => self.spill.put(&gtid, changes).await?,
                ReaderEvent::Release { gtid, covered } => {
                    self.send(std::mem::take(&mut ready)).await?;
                    let replay = self.spill.take(&gtid).await?;
                    self.release(replay, &covered).await?;
                }
                other => ready.push(other),
            }
        }
        self.send(ready).await
    }

    async fn release(&mut self, mut replay: Replay, covered: &[ShapeId]) -> Result<(), FlowError> {
        while let Some(mut changes) = replay.next().await? {
            changes.retain(|change| !covered.contains(&change.shape()));
            if !changes.is_empty() {
                self.send(vec![ReaderEvent::Changes(changes)]).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, events: Vec<ReaderEvent>) -> Result<(), FlowError> {
        if events.is_empty() {
            return Ok(());
        }
        self.series.read(&events);
        let bytes = events.iter().map(event_bytes).sum();
        Ok(self.out.send(events, bytes).await?)
    }
}

/// What an event counts in the queue.
#[must_use]
pub fn event_bytes(event: &ReaderEvent) -> usize {
    let rows = match event {
        ReaderEvent::Changes(changes) | ReaderEvent::Held { changes, .. } => changes.iter().map(change_bytes).sum(),
        _ => 0,
    };
    usize::try_from(rows).unwrap_or(usize::MAX).saturating_add(64)
}
