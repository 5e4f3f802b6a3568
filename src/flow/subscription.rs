//! One stream from one source: opens it, says from where, receives and applies until it ends.
//!
//! Called by `flow::sink_flow` for each source in turn. Joins `flow::receiver` and `flow::applier` by a channel bounded
//! in bytes. When the stream dies, what came as whole transactions is still applied before this returns.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::core::ids::SourceEpoch;
use crate::core::job_spec::{JobSpec, StartPoint};
use crate::core::progress::Progress;
use crate::core::skip;
use crate::core::table_wanted::Wanted;
use crate::flow::applier::{Applier, End, ToSource};
use crate::flow::byte_channel::channel;
use crate::flow::ddl_apply::OnDdl;
use crate::flow::error::FlowError;
use crate::flow::live_limits::LiveLimits;
use crate::flow::receiver::{self, ReceiverArgs};
use crate::flow::sink_flow::{SinkArgs, SourcePeer};
use crate::flow::sink_meter::SinkMeter;
use crate::mysql::target::writer::Target;
use crate::transport::stream::Stream;
use crate::wire::message::{StreamKind, Subscribe};

/// Items in the channel at most; the bytes bound it long before, except for transactions of nothing.
const ITEMS_MAX: usize = 16 * 1024;

/// How a subscription ended without a fault of the target.
#[derive(Debug)]
pub enum Turnout {
    /// It was told to stop.
    Stopped,
    /// Definitions changed: subscribe again.
    Reshaped,
    /// Rows that came with minimal images do not fit, or are to be compared: subscribe again, they come whole.
    Unfit(FlowError),
    /// The source or the way to it failed.
    SourceFailed(FlowError),
}

/// Subscribes at `peer` from the target's progress. An error is one of the target.
pub async fn run(
    args: &SinkArgs,
    target: &mut Target,
    meter: &Arc<SinkMeter>,
    peer: &SourcePeer,
    src_epoch: SourceEpoch,
    stop: &CancellationToken,
) -> Result<Turnout, FlowError> {
    let window_bytes = args.window_bytes.min(args.memory_bytes / 4).max(1);
    // What changes after this look is passed on over the stream.
    let mut live = args.live.clone();
    let spec = live.borrow_and_update().clone();
    let opening = open(args, &spec, target, peer, src_epoch, window_bytes);
    let stream = tokio::select! {
        () = stop.cancelled() => return Ok(Turnout::Stopped),
        opened = opening => match opened {
            Ok(stream) => stream,
            Err(error) => return Ok(Turnout::SourceFailed(error)),
        },
    };
    let (acks, frames) = stream.split();
    let (items, arrived) = channel(usize::try_from(args.memory_bytes / 2).unwrap_or(usize::MAX), ITEMS_MAX);
    let (consumed, consumed_rx) = watch::channel(0);
    let (minimal, minimal_rx) = watch::channel(Vec::new());
    let receive = ReceiverArgs {
        peer: peer.id.clone(),
        frames,
        acks,
        items,
        meter: Arc::clone(meter),
        window_bytes,
        growth: args.windows.share(),
        consumed: consumed_rx,
        minimal: minimal_rx,
        live,
    };
    // A task of its own: decoding goes on while the target works. Dropping the set ends it.
    let mut receiving = JoinSet::new();
    receiving.spawn(receiver::run(receive));
    let limits = LiveLimits::new(args.live.clone(), args.memory_bytes / 4);
    let on_ddl = OnDdl {
        policy: spec.sink.on_ddl.clone(),
        restarts: args.restarts,
        wanted: Wanted {
            exact: spec.tables.clone(),
            selection: spec.selection.clone(),
        },
    };
    let is_copy_all = spec.source.start == StartPoint::SnapshotOnly;
    let was_whole = target.is_whole_wanted();
    let to_source = ToSource { consumed, minimal };
    let applier = Applier::new(target, limits, Arc::clone(meter), to_source, is_copy_all).with(on_ddl);
    let applied = applier.run(arrived, stop).await;
    let applied = match applied {
        Err(error) if target.is_whole_wanted() && !was_whole => {
            meter.large(None);
            return Ok(Turnout::Unfit(error));
        }
        applied => applied?,
    };
    match applied {
        End::Stopped => Ok(Turnout::Stopped),
        End::Reshaped => Ok(Turnout::Reshaped),
        End::Drained => Ok(Turnout::SourceFailed(match receiving.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(panicked)) if panicked.is_panic() => std::panic::resume_unwind(panicked.into_panic()),
            _ => FlowError::Ended {
                while_: "the sink task was receiving",
            },
        })),
    }
}

async fn open(
    args: &SinkArgs,
    spec: &JobSpec,
    target: &Target,
    peer: &SourcePeer,
    src_epoch: SourceEpoch,
    window_bytes: u64,
) -> Result<Stream, FlowError> {
    let progress = Progress {
        skips: skip::set_of(&args.skips).subtract(&target.progress().executed),
        ..target.progress().clone()
    };
    let subscribe = Subscribe {
        job: args.job.name.clone(),
        inc: args.job.inc,
        epoch: target.epoch(),
        src_epoch,
        sink: args.owner.clone(),
        spec_json: serde_json::to_string(spec).expect("a spec has only text keys"),
        progress_json: serde_json::to_string(&progress).expect("progress has only text keys"),
        window_bytes,
    };
    let mut stream = args.endpoint.open(peer.addr, StreamKind::Subscribe).await?;
    stream.send(&subscribe).await?;
    Ok(stream)
}
