//! Batches items and sends them within the sink's credit and the link's rate.
//!
//! Fed by `flow::merger` through a byte channel of `Outgoing`; feeds the link, and reads what the sink sends back. A batch
//! leaves at once when the link is idle; while credit or rate hold it back, what piles up joins it. Heartbeats pass the
//! items: one that waited behind them would find them all applied, however long the queue is (P9). While it waits for
//! anything it sends an empty batch each second, so that the sink can tell a slow link from a dead one. It does not
//! retry: a stream that failed is opened anew by the sink.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::core::change::Item;
use crate::core::job_spec::LinkSpec;
use crate::core::job_state::{ErrorReport, PreparedWait};
use crate::core::shape::ShapeId;
use crate::flow::byte_channel::ByteReceiver;
use crate::flow::error::FlowError;
use crate::flow::inbox::{Inbox, Piece};
use crate::flow::minimal_cut::MinimalTables;
use crate::flow::pulse::Pulse;
use crate::flow::source_series::SenderSeries;
use crate::flow::status::{Durable, SentTotals};
use crate::transport::rate_limit::{RateLimit, Turn};
use crate::transport::stream::{FrameReceiver, FrameSender};
use crate::wire::batch::{BatchEncoder, encode_batch, item_bytes};
use crate::wire::frame::{DATA, DATA_BYTES_MAX, Frame};
use crate::wire::message::{Message, SinkToSource, SourceToSink};
use crate::wire::pieces::frames;

/// Time without a frame after which an empty one goes. A fifth of what the sink takes for a dead path.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// Share of a second's rate that one batch takes at most, so that a heartbeat is not late behind it.
const BATCHES_PER_SECOND: u64 = 20;

/// No batch is cut smaller than this for the sake of the rate: smaller ones do not compress.
const BATCH_BYTES_MIN: u64 = 4096;

/// What the stages of the source task hand to the sender, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// An element of the sequence.
    Item(Item),
    /// When it changed: prepared transactions that wait.
    Prepared(Option<PreparedWait>),
    /// The last thing of a subscription: why it ends. The sender delivers what came before it.
    Failed(ErrorReport),
}

impl Outgoing {
    /// What it counts in a byte channel.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Item(item) => item_bytes(item),
            Self::Prepared(_) => 512,
            Self::Failed(report) => 64 + report.text.len() + report.fix.len(),
        }
    }
}

/// What a sender needs.
#[derive(Debug)]
pub struct SenderArgs {
    /// Its task, for the metrics.
    pub task: String,
    /// What is to be sent.
    pub items: ByteReceiver<Outgoing>,
    /// What the sink measures its lag by.
    pub pulse: Pulse,
    /// To the sink.
    pub frames: FrameSender,
    /// From the sink.
    pub acks: FrameReceiver,
    /// The job's `[link]`.
    pub link: LinkSpec,
    /// Bytes of batches that may be under way, from `Subscribe`; more comes as credit.
    pub window_bytes: u64,
    /// The job's own rate, which the sink may change, then those shared with other jobs.
    pub rates: Vec<RateLimit>,
    /// Counters.
    pub totals: watch::Sender<SentTotals>,
    /// What the sink says is committed.
    pub durable: watch::Sender<Durable>,
    /// Whether the sink wants no more of the copy now.
    pub copy_held: watch::Sender<bool>,
    /// Tables of which it wants minimal images, for `flow::minimal_cut`.
    pub minimal: watch::Sender<MinimalTables>,
}

/// Sends until the items end (Ok, everything delivered to the link), the stream fails, or `stop` (Ok, at once: what was
/// not committed is asked for again).
pub async fn run(args: SenderArgs, stop: CancellationToken) -> Result<(), FlowError> {
    let SenderArgs {
        task,
        items,
        pulse,
        frames,
        mut acks,
        link,
        window_bytes,
        rates,
        totals,
        durable,
        copy_held,
        minimal,
    } = args;
    let granted = watch::Sender::new(window_bytes);
    let inbox = Inbox::new(items, &link);
    let mut sender = Sender {
        pulse,
        frames,
        link,
        granted: granted.subscribe(),
        window_bytes,
        sent: 0,
        encoder: BatchEncoder::default(),
        rates: rates.clone(),
        totals,
        series: SenderSeries::of(&task),
    };
    tokio::select! {
        sent = sender.send_all(inbox) => sent,
        failed = read_acks(&mut acks, &granted, &durable, &copy_held, &rates, &minimal) => failed.map(|never| match never {}),
        () = stop.cancelled() => Ok(()),
    }
}

/// Follows what the sink sends back until the stream ends.
async fn read_acks(
    acks: &mut FrameReceiver,
    granted: &watch::Sender<u64>,
    durable: &watch::Sender<Durable>,
    copy_held: &watch::Sender<bool>,
    rates: &[RateLimit],
    minimal: &watch::Sender<MinimalTables>,
) -> Result<Infallible, FlowError> {
    loop {
        match acks.recv::<SinkToSource>().await? {
            SinkToSource::Credit { bytes } => granted.send_modify(|total| *total = total.saturating_add(bytes)),
            SinkToSource::Durable { executed, seq } => {
                durable.send_replace(Durable { executed, seq });
            }
            SinkToSource::Rate { bytes_per_s } => {
                if let Some(own) = rates.first() {
                    own.set_rate(bytes_per_s);
                }
            }
            SinkToSource::HoldCopy { is_held } => {
                copy_held.send_replace(is_held);
            }
            SinkToSource::MinimalImages { shapes } => {
                minimal.send_replace(shapes.into_iter().map(ShapeId).collect());
            }
        }
    }
}

struct Sender {
    pulse: Pulse,
    frames: FrameSender,
    link: LinkSpec,
    /// Bytes of batches the sink ever allowed, the first window included.
    granted: watch::Receiver<u64>,
    window_bytes: u64,
    /// Bytes of batches ever sent.
    sent: u64,
    encoder: BatchEncoder,
    rates: Vec<RateLimit>,
    totals: watch::Sender<SentTotals>,
    series: SenderSeries,
}

impl Sender {
    async fn send_all(&mut self, mut inbox: Inbox) -> Result<(), FlowError> {
        while self.staying_alive(inbox.wait()).await? {
            match inbox.front() {
                None => {}
                Some(Piece::Item { .. }) => self.send_batch(&mut inbox).await?,
                Some(Piece::Prepared(_) | Piece::Failed(_)) => {
                    let is_end = self.send_message(inbox.pop()).await?;
                    if is_end {
                        break;
                    }
                }
            }
        }
        Ok(self.frames.finish().await?)
    }

    /// Sends what is no item; true: it was the end.
    async fn send_message(&mut self, piece: Option<Piece>) -> Result<bool, FlowError> {
        let (message, is_end) = match piece {
            Some(Piece::Prepared(message)) => (message, false),
            Some(Piece::Failed(report)) => {
                let report_json = serde_json::to_string(&report).expect("a report has only text");
                (
                    SourceToSink::Failed {
                        report_json,
                        disposition: report.class,
                    },
                    true,
                )
            }
            Some(Piece::Item { .. }) | None => return Ok(false),
        };
        self.send_frame(message.to_frame()).await?;
        Ok(is_end)
    }

    async fn send_batch(&mut self, inbox: &mut Inbox) -> Result<(), FlowError> {
        self.learn_window();
        self.wait_for_credit(1).await?;
        self.wait_for_more(inbox).await;
        let turns = self.wait_for_turns().await?;
        // The charges keep the items' bytes counted until the frame is handed over.
        let (items, _charges) = inbox.collect(self.batch_bytes());
        let body = encode_batch(&items, compression(&self.link), &mut self.encoder).map_err(too_large)?;
        let bytes = body.len() as u64;
        self.wait_for_credit(bytes).await?;
        for frame in frames(body) {
            self.send_frame(frame).await?;
        }
        drop(turns);
        self.sent += bytes;
        let (raw, in_flight) = (self.encoder.raw_bytes() as u64, self.in_flight());
        self.series.sent(raw, bytes);
        self.totals.send_modify(|totals| {
            totals.batches += 1;
            totals.items += items.len() as u64;
            totals.bytes_raw += raw;
            totals.bytes_wire += bytes;
            totals.bytes_in_flight = in_flight;
        });
        Ok(())
    }

    async fn send_frame(&mut self, frame: Frame) -> Result<(), FlowError> {
        self.rates.iter().for_each(|rate| rate.charge(frame.body.len() as u64));
        Ok(self.frames.send_frame(frame).await?)
    }

    /// Credit beyond what was sent is what the window has grown to: it shows when the link is idle.
    fn learn_window(&mut self) {
        let free = self.granted.borrow().saturating_sub(self.sent);
        self.window_bytes = self.window_bytes.max(free);
    }

    /// Sent and not granted back; by as much too small as the window has grown since the link was idle.
    fn in_flight(&self) -> u64 {
        (self.sent + self.window_bytes).saturating_sub(*self.granted.borrow())
    }

    /// Waits until `bytes` may be sent: there is credit for them, or nothing is under way (a frame larger than the window).
    async fn wait_for_credit(&mut self, bytes: u64) -> Result<(), FlowError> {
        let mut granted = self.granted.clone();
        let (sent, window) = (self.sent, self.window_bytes);
        let room = async move {
            granted
                .wait_for(|granted| *granted >= sent + bytes || *granted >= sent + window)
                .await
                .is_ok()
        };
        // The other half of the watch lives as long as this sender runs.
        if self.staying_alive(room).await? {
            Ok(())
        } else {
            Err(FlowError::Ended {
                while_: "the sender waited for credit",
            })
        }
    }

    /// On a link that is not idle, waits for a fuller batch for as long as the job allows.
    async fn wait_for_more(&self, inbox: &Inbox) {
        let delay = Duration::from_millis(self.link.batch_delay_ms);
        if delay.is_zero() || self.in_flight() == 0 {
            return;
        }
        let full = self.batch_bytes();
        let deadline = tokio::time::Instant::now() + delay;
        while inbox.waiting_bytes() < full && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn wait_for_turns(&mut self) -> Result<Vec<Turn>, FlowError> {
        let rates = self.rates.clone();
        self.staying_alive(async move {
            let mut turns = Vec::with_capacity(rates.len());
            for rate in &rates {
                turns.push(rate.turn().await);
            }
            turns
        })
        .await
    }

    /// Bytes a batch aims at now.
    fn batch_bytes(&self) -> usize {
        let slowest = self.rates.iter().map(RateLimit::rate).filter(|rate| *rate > 0).min();
        let by_rate = slowest.map_or(u64::MAX, |rate| (rate / BATCHES_PER_SECOND).max(BATCH_BYTES_MIN));
        usize::try_from(self.link.batch_bytes.min(by_rate))
            .unwrap_or(usize::MAX)
            .clamp(1, DATA_BYTES_MAX / 2)
    }

    /// Waits for `work`, passes heartbeats on and sends an empty batch for each second without one. Neither needs credit.
    async fn staying_alive<T>(&mut self, work: impl Future<Output = T>) -> Result<T, FlowError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                heartbeat = self.pulse.next() => self.send_frame(heartbeat.to_frame()).await?,
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(ALIVE_EVERY) => {
                    let body = encode_batch(&[], compression(&self.link), &mut self.encoder)?;
                    self.send_frame(Frame { kind: DATA, body }).await?;
                }
            }
        }
    }
}

fn too_large(error: crate::wire::error::WireError) -> FlowError {
    match error {
        crate::wire::error::WireError::TooLong { found, max, .. } => FlowError::TooLarge {
            what: "a row or a chunk",
            bytes: found,
            bytes_max: max,
        },
        other => other.into(),
    }
}

fn compression(link: &LinkSpec) -> crate::wire::compress::Compression {
    use crate::core::job_spec::Compression as Wanted;
    use crate::wire::compress::Compression;
    match link.compression {
        Wanted::Lz4 => Compression::Lz4,
        Wanted::None => Compression::None,
    }
}
