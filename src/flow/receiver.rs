//! Takes frames from the source, hands their items to the applier and gives the source credit back.
//!
//! Fed by the link; feeds `flow::applier` through a byte channel, and the meter with what arrived and with heartbeats.
//! Credit for a batch travels with its last item and goes back when that was applied, not when it arrived: a slow
//! target slows the source. It ends with an error in any case; what it handed over before is whole frames.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::core::change::Item;
use crate::core::gtid_set::GtidSet;
use crate::core::ids::NodeId;
use crate::core::job_spec::JobSpec;
use crate::core::job_state::ErrorReport;
use crate::core::link_window::GrantWindow;
use crate::core::shape::ShapeId;
use crate::flow::byte_channel::ByteSender;
use crate::flow::error::FlowError;
use crate::flow::sink_meter::SinkMeter;
use crate::flow::window_budget::WindowShare;
use crate::transport::stream::{FrameReceiver, FrameSender};
use crate::wire::batch::{BATCH_BYTES_MAX, decode_batch, item_bytes};
use crate::wire::error::WireError;
use crate::wire::frame::{DATA, DATA_PIECE};
use crate::wire::message::{Message, SinkToSource, SourceToSink};
use crate::wire::pieces::Pieces;

/// Silence after which the path to the source is dead. The source sends at least one frame a second.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Shortest time between two acknowledgements (PROTOCOLS 11).
const ACK_EVERY: Duration = Duration::from_millis(50);

/// How often the lag is looked at for the copy's sake. A quarter of the heartbeat's second, by which the lag is known.
const LOOK_AT_COPY_EVERY: Duration = Duration::from_millis(250);

/// Credit that is given back at once (PROTOCOLS 11); less when the window is small, or the source would wait for it.
const ACK_BYTES: u64 = 1024 * 1024;

/// An item and the credit that its application sets free.
#[derive(Debug)]
pub struct Arrived {
    /// What to apply.
    pub item: Item,
    /// Bytes of the batch that ends with it, else 0.
    pub credit: u64,
}

/// What a receiver needs.
#[derive(Debug)]
pub struct ReceiverArgs {
    /// Who is at the other end, for reports.
    pub peer: NodeId,
    /// From the source.
    pub frames: FrameReceiver,
    /// To the source.
    pub acks: FrameSender,
    /// To the applier.
    pub items: ByteSender<Arrived>,
    /// What arrives is noted here.
    pub meter: Arc<SinkMeter>,
    /// Bytes of batches the source may have under way to begin with.
    pub window_bytes: u64,
    /// What that may grow by when the link holds more.
    pub growth: WindowShare,
    /// Credit of everything applied so far, from the applier; also touched after each commit.
    pub consumed: watch::Receiver<u64>,
    /// Tables of which minimal images are wanted, from the applier.
    pub minimal: watch::Receiver<Vec<ShapeId>>,
    /// The job, as the source was told when it is given here; its rate is passed on when it changes.
    pub live: watch::Receiver<Arc<JobSpec>>,
}

/// Receives until the path dies, the source reports an end, or the applier leaves.
pub async fn run(args: ReceiverArgs) -> Result<Infallible, FlowError> {
    let ReceiverArgs {
        peer,
        mut frames,
        mut acks,
        items,
        meter,
        window_bytes,
        growth,
        consumed,
        minimal,
        live,
    } = args;
    let window = Window::new(window_bytes, growth);
    let mut receiving = std::pin::pin!(receive(&peer, &mut frames, &items, &meter));
    tokio::select! {
        failed = &mut receiving => failed,
        failed = acknowledge(&mut acks, &meter, window, consumed, minimal, live) => match failed {
            Err(FlowError::StageEnded(closed)) => Err(closed.into()),
            // The source takes no more acknowledgements: it ended, and why may still be on its way.
            _ => receiving.await,
        },
    }
}

async fn receive(
    peer: &NodeId,
    frames: &mut FrameReceiver,
    items: &ByteSender<Arrived>,
    meter: &SinkMeter,
) -> Result<Infallible, FlowError> {
    let mut pieces = Pieces::new(BATCH_BYTES_MAX);
    loop {
        let frame = timeout(SILENCE_MAX, frames.recv_frame())
            .await
            .map_err(|_| FlowError::Silent { limit: SILENCE_MAX })??;
        let frame = frame.ok_or(FlowError::Ended {
            while_: "the sink task was receiving",
        })?;
        if matches!(frame.kind, DATA | DATA_PIECE) {
            if let Some(body) = pieces.take(frame)? {
                hand_over(body, items, meter).await?;
            }
        } else {
            follow(peer, SourceToSink::from_frame(&frame)?, meter)?;
        }
    }
}

/// Hands the items of a batch to the applier, waiting for room.
async fn hand_over(body: Bytes, items: &ByteSender<Arrived>, meter: &SinkMeter) -> Result<(), FlowError> {
    let bytes_wire = body.len() as u64;
    let batch = decode_batch(body)?;
    let weights: Vec<usize> = batch.iter().map(item_bytes).collect();
    meter.batch(bytes_wire, weights.iter().sum::<usize>() as u64);
    let last = batch.len().saturating_sub(1);
    for (at, (item, weight)) in batch.into_iter().zip(weights).enumerate() {
        match &item {
            Item::Txn(part) if part.is_last => meter.received(&part.gtid, part.prepared.as_ref(), part.commit_us),
            Item::Ddl(ddl) => meter.received(&ddl.gtid, None, ddl.commit_us),
            _ => {}
        }
        let credit = if at == last { bytes_wire } else { 0 };
        items.send(Arrived { item, credit }, weight).await?;
    }
    Ok(())
}

fn follow(peer: &NodeId, message: SourceToSink, meter: &SinkMeter) -> Result<(), FlowError> {
    match message {
        SourceToSink::Accepted { .. } => Ok(()),
        SourceToSink::Heartbeat {
            executed, source_now_us, ..
        } => {
            let executed = GtidSet::parse(&executed).map_err(|error| WireError::Malformed {
                what: "a heartbeat",
                reason: error.to_string(),
            })?;
            meter.heartbeat(executed, source_now_us);
            Ok(())
        }
        SourceToSink::Prepared { json } => {
            let waiting = serde_json::from_str(&json).map_err(|error| WireError::Malformed {
                what: "prepared transactions",
                reason: error.to_string(),
            })?;
            meter.prepared(waiting);
            Ok(())
        }
        SourceToSink::Failed {
            report_json,
            disposition,
        } => {
            let mut report: ErrorReport = serde_json::from_str(&report_json).map_err(|error| WireError::Malformed {
                what: "a report",
                reason: error.to_string(),
            })?;
            report.class = disposition;
            Err(FlowError::Reported {
                peer: peer.clone(),
                report: Box::new(report),
            })
        }
    }
}

/// What the source may have under way, and what it has taken of the budget.
struct Window {
    grant: GrantWindow,
    growth: WindowShare,
    bytes: u64,
    began: Instant,
}

impl Window {
    fn new(bytes: u64, growth: WindowShare) -> Self {
        Self {
            grant: GrantWindow::new(bytes, Duration::ZERO),
            growth,
            bytes,
            began: Instant::now(),
        }
    }

    /// The credit for bytes that were applied: more of it when the link holds more than the window.
    fn give_back(&mut self, bytes: u64, round_trip: Duration) -> u64 {
        let lacks = self.grant.gave_back(bytes, round_trip + ACK_EVERY, self.began.elapsed());
        let more = self.growth.take(lacks);
        self.grant.grow(more);
        bytes + more
    }
}

/// Sends credit and durable positions at most each 50 ms, or after enough bytes.
async fn acknowledge(
    acks: &mut FrameSender,
    meter: &SinkMeter,
    mut window: Window,
    mut consumed: watch::Receiver<u64>,
    mut minimal: watch::Receiver<Vec<ShapeId>>,
    mut live: watch::Receiver<Arc<JobSpec>>,
) -> Result<Infallible, FlowError> {
    let at_once = ACK_BYTES.min(window.bytes / 4);
    let (mut granted, mut durable_seq) = (0, 0);
    let (mut told, mut is_copy_held) = (None, false);
    let mut looks = tokio::time::interval(LOOK_AT_COPY_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent_at = Instant::now();
    let is_applier_gone = |_| FlowError::StageEnded(crate::flow::byte_channel::Closed);
    loop {
        tokio::select! {
            changed = consumed.changed() => changed.map_err(is_applier_gone)?,
            _ = looks.tick() => {
                let is_held = meter.copy_held().is_some();
                if std::mem::replace(&mut is_copy_held, is_held) != is_held {
                    acks.send(&SinkToSource::HoldCopy { is_held }).await?;
                }
                continue;
            }
            Ok(()) = live.changed() => {
                let bytes_per_s = live.borrow_and_update().link.rate_bytes;
                if told.replace(bytes_per_s) != Some(bytes_per_s) {
                    acks.send(&SinkToSource::Rate { bytes_per_s }).await?;
                }
                continue;
            }
            Ok(()) = minimal.changed() => {
                let shapes = minimal.borrow_and_update().iter().map(|shape| shape.0).collect();
                acks.send(&SinkToSource::MinimalImages { shapes }).await?;
                continue;
            }
        }
        let due = sent_at + ACK_EVERY;
        while *consumed.borrow_and_update() - granted < at_once {
            match tokio::time::timeout_at(due, consumed.changed()).await {
                Ok(changed) => changed.map_err(is_applier_gone)?,
                Err(_elapsed) => break,
            }
        }
        let total = *consumed.borrow_and_update();
        if total > granted {
            let bytes = window.give_back(total - granted, acks.round_trip());
            acks.send(&SinkToSource::Credit { bytes }).await?;
            granted = total;
        }
        let durable = meter.durable();
        if durable.seq != durable_seq {
            durable_seq = durable.seq;
            acks.send(&SinkToSource::Durable {
                executed: durable.executed,
                seq: durable.seq,
            })
            .await?;
        }
        sent_at = Instant::now();
    }
}
