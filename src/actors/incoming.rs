//! Takes streams from other peers and hands each to whom it concerns.
//!
//! Fed by the transport (streams whose hello was accepted), feeds gossip, the table exchange, `tasks` and the control
//! answers. A plain task: it owns no state. At most `STREAMS_MAX` streams are served at once; gossip keeps its own bound.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::actors::better_placed::can_serve;
use crate::actors::check;
use crate::actors::drain::Drain;
use crate::actors::handle::local_report;
use crate::actors::me::Me;
use crate::actors::placement::PlacementMsg;
use crate::actors::sync_table::SyncTable;
use crate::actors::target_look;
use crate::actors::task_report::TaskReport;
use crate::actors::tasks_msg::{SubscriptionId, TasksMsg};
use crate::core::fault::Fault;
use crate::core::ids::{JobId, NodeId};
use crate::core::job_spec::JobSpec;
use crate::core::member::find;
use crate::core::progress::Progress;
use crate::core::table_plan::TablesPlan;
use crate::flow::prerequisites;
use crate::flow::source_flow::SourceArgs;
use crate::flow::status::SourceStatus;
use crate::gossip::{Leaving, table_sync};
use crate::transport::endpoint::{Incoming, IncomingStream};
use crate::transport::rate_limit::RateLimit;
use crate::transport::stream::Stream;
use crate::wire::message::{Request, Response, StreamKind, Subscribe};

/// Streams served at once. Guess: many times what five peers with 64 tasks each need.
const STREAMS_MAX: usize = 512;

/// How long a peer may take to say what it wants on a stream it opened.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// Control streams without a request for this long are closed.
const CONTROL_IDLE_MAX: Duration = Duration::from_secs(60);

/// Who gets the streams.
pub struct Doors {
    /// This peer.
    pub me: Me,
    /// The job table as the exchange sees it.
    pub table: Arc<SyncTable>,
    /// The tasks.
    pub tasks: ActorRef<TasksMsg>,
    /// Placement.
    pub placement: ActorRef<PlacementMsg>,
    /// Whether this peer drains.
    pub drain: Drain,
}

/// Hands streams on until `stop`.
pub async fn run(mut incoming: Incoming, doors: Doors, stop: CancellationToken) {
    let doors = Arc::new(doors);
    let served = TaskTracker::new();
    let places = Arc::new(Semaphore::new(STREAMS_MAX));
    loop {
        let arrived = tokio::select! {
            () = stop.cancelled() => break,
            arrived = incoming.recv() => match arrived {
                Some(arrived) => arrived,
                None => break,
            },
        };
        if arrived.kind == StreamKind::Gossip {
            doors.me.membership.feed(arrived);
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            warn!(peer = %arrived.peer, "stream refused: too many are open");
            continue;
        };
        let (doors, stop) = (doors.clone(), stop.clone());
        served.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = serve(arrived, &doors) => {}
            }
            drop(place);
        });
    }
    served.close();
    served.wait().await;
}

async fn serve(arrived: IncomingStream, doors: &Doors) {
    let peer = arrived.peer.clone();
    match arrived.kind {
        StreamKind::Gossip => {}
        StreamKind::TableSync => {
            if let Err(error) = table_sync::serve(arrived, &*doors.table).await {
                debug!(%peer, %error, "table exchange ended early");
            }
        }
        StreamKind::Subscribe => subscribe(arrived.stream, doors).await,
        StreamKind::Control => control(arrived.stream, doors).await,
    }
}

async fn subscribe(mut stream: Stream, doors: &Doors) {
    let peer = stream.peer().clone();
    let request = match timeout(REQUEST_TIME_MAX, stream.recv::<Subscribe>()).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => return warn!(%peer, %error, "subscription was not readable"),
        Err(_) => return warn!(%peer, "subscription did not come"),
    };
    let spec: Result<JobSpec, _> = serde_json::from_str(&request.spec_json);
    let progress: Result<Progress, _> = serde_json::from_str(&request.progress_json);
    let (spec, progress) = match (spec, progress) {
        (Ok(spec), Ok(progress)) => (spec, progress),
        (Err(error), _) | (_, Err(error)) => return warn!(%peer, %error, "subscription was not readable"),
    };
    let subscription = SubscriptionId {
        inc: request.inc,
        epoch: request.epoch,
        src_epoch: request.src_epoch,
        job: request.job.clone(),
    };
    let (status_in, status) = watch::channel(SourceStatus::default());
    let clock = doors.me.clock.clone();
    let flow = SourceArgs {
        job: JobId {
            name: request.job,
            inc: request.inc,
        },
        rates: rates(spec.link.rate_bytes, shared_rate(&request.sink, &doors.me)),
        spec,
        progress,
        window_bytes: request.window_bytes,
        cluster_id: doors.me.cluster_id.clone(),
        stream,
        budget_bytes: usize::try_from(doors.me.window_bytes()).unwrap_or(usize::MAX),
        spill: doors.me.spill.clone(),
        wall: Arc::new(move || clock.wall_text()),
        status: status_in,
    };
    // A dead tasks actor means that the peer is ending.
    let _ = doors.tasks.cast(TasksMsg::Subscribe {
        subscription,
        flow: Box::new(flow),
        status,
    });
}

/// The one that all jobs to the sink's datacenter share.
fn shared_rate(sink: &NodeId, me: &Me) -> Option<RateLimit> {
    let roster = me.roster().borrow().clone();
    find(&roster, sink).and_then(|member| me.link_rates.to(&member.datacenter))
}

/// The job's own rate, also while it has none: the sink may set one, and it sets the first.
fn rates(own: u64, shared: Option<RateLimit>) -> Vec<RateLimit> {
    [RateLimit::new(own)].into_iter().chain(shared).collect()
}

async fn control(mut stream: Stream, doors: &Doors) {
    while let Ok(Ok(request)) = timeout(CONTROL_IDLE_MAX, stream.recv::<Request>()).await {
        let response = answer(request, doors).await;
        if stream.send(&response).await.is_err() {
            return;
        }
    }
}

async fn answer(request: Request, doors: &Doors) -> Response {
    match request {
        Request::Ping => Response::Pong,
        Request::Version => Response::Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        Request::ExamineSource { spec_json } => {
            let examined = async {
                let spec = serde_json::from_str(&spec_json).ok()?;
                let error = prerequisites::examine_source(&spec).await.err()?;
                Some(error.report(doors.me.clock.wall_text()))
            };
            Response::Examined {
                report_json: serde_json::to_string(&examined.await).expect("a report has only text"),
            }
        }
        Request::PlanTables { spec_json } => {
            let plan = match serde_json::from_str(&spec_json) {
                Ok(spec) => prerequisites::plan_tables(&spec).await,
                Err(_) => TablesPlan::default(),
            };
            Response::TablesPlanned {
                plan_json: serde_json::to_string(&plan).expect("a plan has only text"),
            }
        }
        Request::CanServe { spec_json } => Response::Serves {
            is_able: can_serve(&doors.me, &spec_json).await,
        },
        Request::Check { question_json } => {
            let report = match serde_json::from_str(&question_json) {
                Ok(question) => check::answer(&doors.me, question).await,
                Err(_) => {
                    return Response::Refused {
                        fault_json: no_task("check"),
                    };
                }
            };
            Response::Checked {
                report_json: serde_json::to_string(&report).expect("a report has only text keys"),
            }
        }
        Request::LookAtTarget { job, inc, spec_json } => target_look::answer(job, inc, &spec_json).await,
        Request::Drain { is_draining } => match doors.drain.set(is_draining).await {
            Ok(is_changed) => Response::Drained { is_changed },
            Err(fault) => Response::Refused {
                fault_json: serde_json::to_string(&fault).expect("a fault has only text"),
            },
        },
        Request::Leave { is_restart } => Response::Leaves {
            is_changed: doors.drain.leave(Leaving::of(is_restart)),
        },
        Request::Status { job } => {
            let report: Option<TaskReport> = local_report(&doors.tasks, &doors.placement, &job).await;
            match report.as_ref().map(serde_json::to_string) {
                Some(Ok(json)) => Response::Status { json },
                _ => Response::Refused {
                    fault_json: no_task(&job.0),
                },
            }
        }
    }
}

fn no_task(job: &str) -> String {
    let fault = Fault::new(
        "PEER1701",
        format!("job {job}"),
        "no sink of it runs here",
        "the owner's peer",
        "ask the job's owner",
    );
    serde_json::to_string(&fault).expect("a fault has only text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_rate_of_a_job_without_one_leaves_the_rate_that_jobs_share() {
        let shared = RateLimit::new(1000);
        let rates = rates(0, Some(shared.clone()));
        // What the sender does when the sink sets the job's rate.
        rates[0].set_rate(5);
        assert_eq!((shared.rate(), rates.len()), (1000, 2));
    }
}
