//! The source's data path, read top to bottom: reader → merge stage → sender, beside them the heartbeat and the chunk reads.
//!
//! Started by the source task's actor for one subscription, ends with it. Keeps nothing: everything is rebuilt from the target's progress
//! (PROTOCOLS 1 step 15), so any failure of the source ends the flow and the sink subscribes again.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::core::gtid_set::GtidSet;
use crate::core::ids::{ClusterId, JobId};
use crate::core::job_spec::{DatabaseSpec, JobSpec};
use crate::core::progress::Progress;
use crate::flow::byte_channel::{ByteSender, channel};
use crate::flow::chunk_tasks::ChunkTasks;
use crate::flow::error::FlowError;
use crate::flow::merge_stage::{MergeStage, MergeView};
use crate::flow::merger::Merger;
use crate::flow::minimal_cut::{MinimalCut, MinimalTables};
use crate::flow::prerequisites;
use crate::flow::projector::Projector;
use crate::flow::pulse::Pulse;
use crate::flow::pump::{Pump, event_bytes};
use crate::flow::sender::{self, Outgoing, SenderArgs};
use crate::flow::source_series::{CopySeries, ReaderSeries};
use crate::flow::source_start::{self, Start, shape_id};
use crate::flow::status::{Durable, SentTotals, SourceStatus};
use crate::mysql;
use crate::mysql::session::Session;
use crate::mysql::source::chunk_reader::check_server;
use crate::mysql::source::heartbeat::{self, Beat};
use crate::mysql::source::reader::{PreparedRules, Reader, ReaderEvent, ReaderOptions, Scope, Wanted, replica_uuid, server_id};
use crate::store::spill::SpillFolder;
use crate::transport::rate_limit::RateLimit;
use crate::transport::stream::Stream;
use crate::wire::message::SourceToSink;

/// Longest wait of the sender for delivering why the flow ended.
const FAREWELL: Duration = Duration::from_secs(5);
/// Items that may wait for the sender, and batches of events that may wait for the merger; their bytes are bounded by the budget.
const QUEUE_ITEMS: usize = 4096;
/// Events the reader hands over at once while more are there already: one wake-up pays for them all.
const EVENTS_AT_ONCE: usize = 256;
/// And their bytes.
const EVENT_BYTES_AT_ONCE: usize = 256 << 10;
/// How often an idle source says where its binlog ends.
const READER_HEARTBEAT: Duration = Duration::from_secs(1);
/// The same for a subscription that begins with a copy: a chunk of an idle source waits for it (PROTOCOLS 1 step 8). Trades a few tiny
/// events a second against as much delay of the first chunks (guess).
const COPY_HEARTBEAT: Duration = Duration::from_millis(100);
/// How often the status is published.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The wall clock as RFC 3339 text, for error reports only.
pub type WallText = Arc<dyn Fn() -> String + Send + Sync>;

/// What a source flow needs.
pub struct SourceArgs {
    /// The job.
    pub job: JobId,
    /// What it is to do.
    pub spec: JobSpec,
    /// Where the target is, from `Subscribe`.
    pub progress: Progress,
    /// Bytes of batches that may be under way, from `Subscribe`.
    pub window_bytes: u64,
    /// Part of the reader's identity on the source.
    pub cluster_id: ClusterId,
    /// To and from the sink; `Subscribe` was already read from it.
    pub stream: Stream,
    /// The job's own rate, then those shared with other jobs.
    pub rates: Vec<RateLimit>,
    /// Bytes of rows between reader and link.
    pub budget_bytes: usize,
    /// For rows that wait longer than memory should.
    pub spill: SpillFolder,
    /// For error reports.
    pub wall: WallText,
    /// For people.
    pub status: watch::Sender<SourceStatus>,
}

impl fmt::Debug for SourceArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceArgs")
            .field("job", &self.job)
            .field("window_bytes", &self.window_bytes)
            .finish_non_exhaustive()
    }
}

/// Serves one subscription until it fails or `stop`. What failed on this side is told to the sink before the stream ends.
///
/// # Errors
/// What failed.
pub async fn run(args: SourceArgs, stop: CancellationToken) -> Result<(), FlowError> {
    let (mut frames, acks) = args.stream.split();
    frames.send(&SourceToSink::Accepted { source_uuid: None }).await?;
    let (out, items) = channel(args.budget_bytes / 2, QUEUE_ITEMS);
    let watches = Watches::default();
    let (beats_out, beats) = watch::channel(Beat::default());
    let minimal = watch::Sender::new(MinimalTables::default());
    let task = format!("{}/source", args.job.name);
    let sending = SenderArgs {
        task: task.clone(),
        items,
        pulse: Pulse::new(beats.clone(), watches.prepared.subscribe()),
        frames,
        acks,
        link: args.spec.link.clone(),
        window_bytes: args.window_bytes,
        rates: args.rates,
        totals: watches.sent.clone(),
        durable: watches.durable.clone(),
        copy_held: watches.copy_held.clone(),
        minimal: minimal.clone(),
    };
    let mut sender = JoinSet::new();
    sender.spawn(sender::run(sending, stop.clone()));
    let feed = Feed {
        task,
        job: args.job,
        spec: args.spec,
        cluster_id: args.cluster_id,
        budget_bytes: args.budget_bytes / 2,
        spill: args.spill,
        out: out.clone(),
        beats: (beats_out, beats),
        prepared: watches.prepared.clone(),
        copy_held: watches.copy_held.subscribe(),
        minimal: minimal.subscribe(),
    };
    let feeding = feed.run(args.progress, watches.view.clone());
    tokio::select! {
        // First: a sender that was stopped too has ended well, not too early.
        biased;
        () = stop.cancelled() => Ok(()),
        // The sink leaves a stream that ended with a change of definitions, and comes back.
        sent = joined(&mut sender) => match sent {
            _ if watches.view.borrow().is_over => Ok(()),
            sent => sent.and(Err(FlowError::Ended { while_: "the source was read" })),
        },
        failed = feeding => {
            let Err(error) = failed;
            say_farewell(&error, &args.wall, out, &mut sender).await;
            Err(error)
        }
        never = publish(&watches, &args.status) => match never {},
    }
}

/// Lets the sender deliver what came before the error, and the error.
async fn say_farewell(
    error: &FlowError,
    wall: &WallText,
    out: ByteSender<Outgoing>,
    sender: &mut JoinSet<Result<(), FlowError>>,
) {
    let last = Outgoing::Failed(error.report(wall()));
    let weight = last.weight();
    let delivering = async {
        // When the sender is gone there is nobody to tell; the sink sees the stream end.
        let _gone = out.send(last, weight).await;
        drop(joined(sender).await);
    };
    drop(timeout(FAREWELL, delivering).await);
}

/// The result of the next task of a set; a panic in it goes on here. Waits for ever when there is none.
async fn joined<T: 'static>(set: &mut JoinSet<T>) -> T {
    match set.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(_)) | None => std::future::pending().await,
    }
}

/// What the stages tell about themselves.
#[derive(Debug, Default)]
struct Watches {
    view: watch::Sender<MergeView>,
    sent: watch::Sender<SentTotals>,
    durable: watch::Sender<Durable>,
    prepared: watch::Sender<GtidSet>,
    copy_held: watch::Sender<bool>,
}

async fn publish(watches: &Watches, status: &watch::Sender<SourceStatus>) -> Infallible {
    let mut ticks = tokio::time::interval(STATUS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let view = watches.view.borrow().clone();
        status.send_replace(SourceStatus {
            phase: view.phase,
            read: view.read,
            position: view.position,
            durable: watches.durable.borrow().clone(),
            sent: *watches.sent.borrow(),
        });
    }
}

/// Everything before the sender.
struct Feed {
    task: String,
    job: JobId,
    spec: JobSpec,
    cluster_id: ClusterId,
    budget_bytes: usize,
    spill: SpillFolder,
    out: ByteSender<Outgoing>,
    beats: (watch::Sender<Beat>, watch::Receiver<Beat>),
    prepared: watch::Sender<GtidSet>,
    copy_held: watch::Receiver<bool>,
    minimal: watch::Receiver<MinimalTables>,
}

impl Feed {
    async fn run(self, progress: Progress, view: watch::Sender<MergeView>) -> Result<Infallible, FlowError> {
        let endpoint = &self.spec.source.endpoint;
        let mut session = Session::connect(endpoint).await?;
        if progress.is_fresh() {
            prerequisites::source(&mut session, &self.spec).await?;
        }
        let mut start = source_start::prepare(&mut session, &self.spec, progress).await?;
        session.close().await;
        for item in std::mem::take(&mut start.items) {
            let outgoing = Outgoing::Item(item);
            let weight = outgoing.weight();
            self.out.send(outgoing, weight).await?;
        }
        let reader = self.open_reader(&start).await?;
        let (events_out, events) = channel(self.budget_bytes, QUEUE_ITEMS);
        let (beats_out, beats) = self.beats;
        let mut feeders = JoinSet::new();
        let pump = Pump::new(ReaderSeries::of(&self.task), self.spill.clone(), events_out);
        feeders.spawn(run_pump(reader, pump));
        feeders.spawn(beat(endpoint.clone(), beats_out));
        let merger = Merger::new(endpoint, &start.shapes, &start.copy, start.passed);
        let tasks = ChunkTasks::new(endpoint.clone(), start.source_uuid.clone(), merger.copy());
        let stage = MergeStage {
            merger,
            projector: Projector::new(endpoint.clone(), &start.shapes)?,
            minimal: MinimalCut::new(&start.shapes, self.minimal),
            tasks,
            series: CopySeries::of(&self.task),
            events,
            beats,
            prepared: self.prepared,
            out: self.out,
            copy_held: self.copy_held,
            view,
            spec: self.spec.clone(),
            source_uuid: start.source_uuid,
            is_over: false,
            copy_from: start.copy_from,
            waiting_told: None,
        };
        let mut merging = pin!(stage.run());
        tokio::select! {
            merged = &mut merging => merged,
            Ended { error, queue } = joined(&mut feeders) => {
                // What was read before the error still goes to the target: it should stand right before what it cannot pass.
                drop(queue);
                drop(timeout(FAREWELL, merging).await);
                Err(error)
            }
        }
    }

    async fn open_reader(&self, start: &Start) -> Result<Reader, FlowError> {
        let options = ReaderOptions {
            server_id: server_id(&self.cluster_id, &self.job, 0),
            replica_uuid: replica_uuid(&self.cluster_id, &self.job, 0),
            from: start.passed.clone(),
            heartbeat: if start.copy.iter().all(|row| row.is_done) {
                READER_HEARTBEAT
            } else {
                COPY_HEARTBEAT
            },
        };
        let tables = start
            .shapes
            .iter()
            .enumerate()
            .map(|(at, shape)| (shape_id(at), shape.clone()));
        let wanted = Wanted {
            exact: self.spec.tables.clone(),
            selection: self.spec.selection.clone(),
        };
        let scope = Scope::of(tables.collect(), &start.copy, Some(wanted));
        let endpoint = &self.spec.source.endpoint;
        let reader = Reader::open(endpoint, options, scope).await?;
        let address = format!("{}:{}", endpoint.host, endpoint.port);
        check_server(&address, reader.server_uuid(), &start.source_uuid)?;
        Ok(reader.passing_over(start.skips.clone()).preparing(PreparedRules {
            is_seen_up_to: start.copy_from.clone(),
        }))
    }
}

/// Why a feeder ended, and its end of the queue: while it is kept, the merge stage cannot mistake the end for one without a reason.
struct Ended {
    error: FlowError,
    queue: Queue,
}

enum Queue {
    Events { _out: ByteSender<Vec<ReaderEvent>> },
    Beats { _out: watch::Sender<Beat> },
}

async fn run_pump(mut reader: Reader, mut pump: Pump) -> Ended {
    let error = loop {
        let (events, end) = some_events(&mut reader).await;
        let is_last = matches!(events.last(), Some(ReaderEvent::Ddl(_)));
        if let Err(error) = pump.hand_on(events).await {
            break error;
        }
        if is_last {
            // What follows cannot be read before the target has the new definitions: the next subscription reads it.
            reader.close().await;
            let _kept = pump;
            return std::future::pending().await;
        }
        if let Some(error) = end {
            break error.into();
        }
    };
    Ended {
        error,
        queue: Queue::Events { _out: pump.into_out() },
    }
}

/// The next event, those that are there already, and the error behind them.
async fn some_events(reader: &mut Reader) -> (Vec<ReaderEvent>, Option<mysql::error::Error>) {
    let (mut events, mut bytes) = (Vec::new(), 0);
    let mut next = reader.next().await;
    loop {
        match next {
            Ok(event) => {
                bytes += event_bytes(&event);
                events.push(event);
            }
            Err(error) => return (events, Some(error)),
        }
        let is_last = matches!(events.last(), Some(ReaderEvent::Ddl(_)));
        if is_last || events.len() >= EVENTS_AT_ONCE || bytes >= EVENT_BYTES_AT_ONCE {
            return (events, None);
        }
        match reader.next().now_or_never() {
            Some(ready) => next = ready,
            None => return (events, None),
        }
    }
}

async fn beat(endpoint: DatabaseSpec, out: watch::Sender<Beat>) -> Ended {
    let error = match heartbeat::run(endpoint, &out).await {
        Ok(()) => FlowError::Ended {
            while_: "the source's clock was read",
        },
        Err(error) => error.into(),
    };
    Ended {
        error,
        queue: Queue::Beats { _out: out },
    }
}
