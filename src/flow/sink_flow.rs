//! The sink task from top to bottom: take the target over, choose a source, apply what it sends, again and again.
//!
//! Started and stopped by `actors::sink_task`, which is told of epochs and sources through `events` and acts on the
//! disposition of the error this ends with. The fence is held over changes of the source; it is given up on a stop and
//! when nobody shall try again. Which peers may run the source is not decided here but by `choose_source`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::core::disposition::Disposition;
use crate::core::ids::{Boot, ClusterId, Epoch, JobId, Life, NodeId, Seq, SourceEpoch};
use crate::core::job_spec::JobSpec;
use crate::core::job_state::SinkStatus;
use crate::core::skip::Skips;
use crate::flow::byte_channel::Closed;
use crate::flow::cut_off::CutOff;
use crate::flow::error::FlowError;
use crate::flow::prerequisites;
use crate::flow::sink_meter::SinkMeter;
use crate::flow::source_choice::SourceChoice;
use crate::flow::subscription::{self, Turnout};
use crate::flow::target_pulse;
use crate::flow::window_budget::WindowBudget;
use crate::mysql;
use crate::mysql::session::Session;
use crate::mysql::target::fence::{self, AcquireRequest};
use crate::mysql::target::meta::Meta;
use crate::mysql::target::writer::Target;
use crate::transport::endpoint::Endpoint;

/// How long a stop may take (DESIGN 2.3).
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Pause before the target is taken over again after it failed.
const ACQUIRE_PAUSE: Duration = Duration::from_millis(500);

/// Takeovers in a row without a single commit between them, after which the task above decides.
const ACQUIRES_IDLE_MAX: u32 = 3;

/// Pause before a source is asked for again when none is eligible.
const CHOICE_PAUSE: Duration = Duration::from_secs(1);

/// A peer that can run the source task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePeer {
    /// Its id.
    pub id: NodeId,
    /// Its name, for people.
    pub name: String,
    /// Where its endpoint listens.
    pub addr: SocketAddr,
}

/// Chooses the peer for the source task, other than those to avoid; Err: nobody is eligible, and why.
pub type ChooseSource = Arc<dyn Fn(&[NodeId]) -> Result<SourcePeer, String> + Send + Sync>;

/// Completes when the source task had better leave this peer, which still serves, for another one that is eligible.
pub type LeaveSource = Arc<dyn Fn(NodeId) -> BoxFuture<'static, ()> + Send + Sync>;

/// Asks whether another peer may run the sink and reaches both its target and a source: its name. Takes seconds at most.
pub type BetterPlaced = Arc<dyn Fn() -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// What the actor above must know at once.
#[derive(Debug)]
pub enum SinkEvent {
    /// The fence is ours.
    Acquired {
        /// The new epoch.
        epoch: Epoch,
        /// The target server.
        target_uuid: String,
    },
    /// A source is about to be asked.
    SourceChosen {
        /// Its number.
        src_epoch: SourceEpoch,
        /// The peer.
        node: NodeId,
    },
    /// A source failed; another try follows. For the list of errors.
    SourceFailed {
        /// The peer.
        node: NodeId,
        /// Why.
        error: FlowError,
    },
}

/// What a sink flow needs.
#[derive(Clone)]
pub struct SinkArgs {
    /// The job.
    pub job: JobId,
    /// What it wanted when the flow started.
    pub spec: JobSpec,
    /// This peer.
    pub owner: NodeId,
    /// Its name.
    pub owner_name: String,
    /// Its boot.
    pub boot: Boot,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// The job's life.
    pub life: Life,
    /// The largest epoch seen in any claim.
    pub epoch_seen: Epoch,
    /// How often a person asked for a restart: the consent to a definition change that waits.
    pub restarts: u64,
    /// Source transactions that a person passed over.
    pub skips: Skips,
    /// The way to other peers.
    pub endpoint: Endpoint,
    /// Who may run the source.
    pub choose_source: ChooseSource,
    /// When to move the source away from a peer that works.
    pub leave_source: LeaveSource,
    /// Who else could serve when no source is reached from here.
    pub better_placed: BetterPlaced,
    /// What the actor must know.
    pub events: mpsc::Sender<SinkEvent>,
    /// The status.
    pub status: watch::Sender<SinkStatus>,
    /// Bytes of batches under way to begin with; cut to a quarter of `memory_bytes`.
    pub window_bytes: u64,
    /// What that may grow by, with other jobs.
    pub windows: WindowBudget,
    /// Bytes this flow may hold: a quarter each on the link and in the group, half in the channel between.
    pub memory_bytes: u64,
    /// What it wants now; differs from `spec` only in what a running job takes up (`core::plan`).
    pub live: watch::Receiver<Arc<JobSpec>>,
}

impl fmt::Debug for SinkArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkArgs")
            .field("job", &self.job)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// Runs until `stop` (Ok: the turn in hand is finished, the fence released) or an error that no new source heals.
pub async fn run(args: SinkArgs, stop: CancellationToken) -> Result<(), FlowError> {
    let meter = Arc::new(SinkMeter::default());
    let ended = CancellationToken::new();
    let task = format!("{}/sink", args.job.name);
    let owning = async {
        let outcome = tokio::select! {
            outcome = prepared(&args, &meter, &stop) => outcome,
            () = time_out(&stop) => Err(FlowError::StopTimedOut { limit: STOP_LIMIT }),
            // Whatever it waits for: nothing of it can arrive. What was in flight is unknown, the next owner looks.
            error = target_pulse::lost(&args.spec.sink.endpoint) => Err(error.into()),
        };
        ended.cancel();
        outcome
    };
    let (outcome, ()) = tokio::join!(owning, meter.publish(&task, &args.status, ended.clone()));
    outcome
}

async fn time_out(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_LIMIT).await;
}

/// Owns the target once it has all that the job needs.
async fn prepared(args: &SinkArgs, meter: &Arc<SinkMeter>, stop: &CancellationToken) -> Result<(), FlowError> {
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        checked = prerequisites::of_new_job(args) => checked?,
    }
    match own(args, meter, stop).await {
        Err(error) => Err(prerequisites::with_missing_rights(error, &args.spec).await),
        ended => ended,
    }
}

/// Takes the target over, as often as its connections are lost, and follows sources while it is ours.
async fn own(args: &SinkArgs, meter: &Arc<SinkMeter>, stop: &CancellationToken) -> Result<(), FlowError> {
    let mut idle = 0;
    let mut last: Option<(Epoch, Seq)> = None;
    loop {
        if let Some((epoch, _)) = last {
            expect_fence(args, epoch).await?;
        }
        let (mut target, progress) = Target::acquire(&args.spec.sink, request(args)).await?;
        let (epoch, seq) = (target.epoch(), progress.seq);
        idle = if last.is_some_and(|(_, before)| before == seq) {
            idle + 1
        } else {
            0
        };
        last = Some((epoch, seq));
        target.set_skips(args.skips.clone());
        meter.conflicts(target.conflicts());
        meter.acquired(epoch, &progress);
        info!(job = %args.job, epoch = epoch.0, seq = seq.0, "target acquired");
        send(
            args,
            SinkEvent::Acquired {
                epoch,
                target_uuid: target.server_uuid().to_owned(),
            },
        )
        .await?;
        let error = match follow_sources(args, &mut target, meter, stop).await {
            Ok(()) => return Ok(target.release().await?),
            Err(error) => error,
        };
        meter.conflicts(target.conflicts());
        match error.disposition() {
            Disposition::Superseded => target.close().await,
            Disposition::Retry if matches!(error, FlowError::Database(_)) && idle < ACQUIRES_IDLE_MAX => {
                warn!(job = %args.job, epoch = epoch.0, %error, "target failed, taking it over again");
                meter.stuck(None, format!("the target failed: {error}"));
                target.close().await;
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(ACQUIRE_PAUSE) => continue,
                }
            }
            // The error matters more than a release that fails behind it.
            _ => drop(target.release().await),
        }
        return Err(error);
    }
}

fn request(args: &SinkArgs) -> AcquireRequest {
    AcquireRequest {
        job: args.job.clone(),
        cluster_id: args.cluster_id.clone(),
        life: args.life.clone(),
        owner: args.owner.clone(),
        owner_name: args.owner_name.clone(),
        boot: args.boot,
        epoch_seen: args.epoch_seen,
    }
}

/// A new owner kills our connections: that must not look like a fault to us, or two owners take turns for ever.
async fn expect_fence(args: &SinkArgs, held: Epoch) -> Result<(), FlowError> {
    let mut session = Session::connect(&args.spec.sink.endpoint).await?;
    let row = fence::read(&mut session, &Meta::new(&args.spec.sink.meta_schema), &args.job).await;
    session.close().await;
    match row?.map(|row| row.epoch) {
        Some(found) if found == held => Ok(()),
        found => Err(mysql::error::Error::FenceLost { held, found }.into()),
    }
}

/// Chooses sources and applies what they send until `stop`. An error is one of the target, or final.
async fn follow_sources(
    args: &SinkArgs,
    target: &mut Target,
    meter: &Arc<SinkMeter>,
    stop: &CancellationToken,
) -> Result<(), FlowError> {
    let (mut choice, mut cut_off) = (SourceChoice::default(), CutOff::default());
    let mut src_epoch = target.fence().await?.map(|row| row.src_epoch).unwrap_or_default();
    while !stop.is_cancelled() {
        let peer = match choice.choose(&args.choose_source) {
            Ok(peer) => peer,
            Err(reason) => {
                meter.stuck(None, reason);
                cut_off.nobody();
                cut_off.give_way(&args.better_placed).await?;
                rest(target, CHOICE_PAUSE, stop).await?;
                continue;
            }
        };
        let pause = choice.pause(&peer.id);
        if !pause.is_zero() {
            rest(target, pause, stop).await?;
            continue;
        }
        src_epoch = SourceEpoch(src_epoch.0 + 1);
        target.record_source(src_epoch, Some(&peer.id)).await?;
        meter.source(peer.id.clone());
        send(
            args,
            SinkEvent::SourceChosen {
                src_epoch,
                node: peer.id.clone(),
            },
        )
        .await?;
        let turnout = follow(args, target, meter, &peer, src_epoch, stop).await;
        meter.forget_received();
        let error = match turnout? {
            Turnout::Stopped if stop.is_cancelled() => return Ok(()),
            Turnout::Stopped => {
                info!(job = %args.job, peer = %peer.name, "the source leaves this peer, choosing again");
                cut_off.reached();
                continue;
            }
            Turnout::Reshaped => {
                info!(job = %args.job, peer = %peer.name, "definitions changed, subscribing anew");
                cut_off.reached();
                continue;
            }
            Turnout::Unfit(error) => {
                info!(job = %args.job, peer = %peer.name, %error, "subscribing anew for whole rows");
                cut_off.reached();
                continue;
            }
            Turnout::SourceFailed(error) => error,
        };
        if error.disposition() == Disposition::Fatal {
            return Err(error);
        }
        warn!(job = %args.job, peer = %peer.name, %error, "source failed, choosing again");
        let reason = format!("the source on {} failed: {error}", peer.name);
        meter.stuck(Some(peer.id.clone()), reason);
        choice.failed(&peer.id, error.disposition());
        cut_off.failed(&error);
        send(args, SinkEvent::SourceFailed { node: peer.id, error }).await?;
        cut_off.give_way(&args.better_placed).await?;
    }
    Ok(())
}

/// Follows one source; ends it between two transactions when it had better run elsewhere.
async fn follow(
    args: &SinkArgs,
    target: &mut Target,
    meter: &Arc<SinkMeter>,
    peer: &SourcePeer,
    src_epoch: SourceEpoch,
    stop: &CancellationToken,
) -> Result<Turnout, FlowError> {
    let until = stop.child_token();
    let following = subscription::run(args, target, meter, peer, src_epoch, &until);
    tokio::pin!(following);
    tokio::select! {
        turnout = &mut following => return turnout,
        () = (args.leave_source)(peer.id.clone()) => until.cancel(),
    }
    following.await
}

/// Waits, with the target's connections kept alive.
async fn rest(target: &mut Target, pause: Duration, stop: &CancellationToken) -> Result<(), FlowError> {
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = tokio::time::sleep(pause) => {}
    }
    Ok(target.ping().await?)
}

/// Tells the actor; when it is gone, so is the reason to go on.
async fn send(args: &SinkArgs, event: SinkEvent) -> Result<(), FlowError> {
    args.events.send(event).await.map_err(|_| Closed.into())
}
