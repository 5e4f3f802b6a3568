//! Looks at what a job's target holds of it, through this peer or another one that reaches the target.
//!
//! Asked by the command layer through `PeerHandle`, answered for others by `incoming`. Bounded in time; changes nothing anywhere.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::actors::handle::PeerHandle;
use crate::core::conflict::TargetLook;
use crate::core::fault::Fault;
use crate::core::ids::{Incarnation, JobId, JobName};
use crate::core::job_record::JobRecord;
use crate::core::job_spec::JobSpec;
use crate::core::member::find;
use crate::core::placement_summary::Placed;
use crate::mysql::target::look;
use crate::wire::message::{Request, Response};

/// How long the target may take; below what a door waits (10 s), so that others can be asked when it is not reached from here.
const LOOK_TIME_MAX: Duration = Duration::from_secs(3);
/// How long the other peers may take, all at once.
const OTHERS_TIME_MAX: Duration = Duration::from_secs(4);
/// Peers that are asked when this one does not reach the target.
const ASKED_MAX: usize = 5;

impl PeerHandle {
    /// What the target of a job holds of it.
    ///
    /// # Errors
    /// No peer that was asked reaches it; the fault is this peer's.
    pub async fn look_at_target(&self, record: &JobRecord, spec: &JobSpec) -> Result<TargetLook, Fault> {
        let own = match look_from_here(spec, record.name.clone(), record.inc).await {
            Ok(look) => return Ok(look),
            Err(fault) => fault,
        };
        let roster = self.view().roster;
        let eligible = Placed::of(spec, &roster, None, None).sink.eligible;
        let others = eligible.into_iter().filter(|(id, _)| *id != self.me.node).take(ASKED_MAX);
        let spec_json = serde_json::to_string(spec).expect("a spec has only text keys");
        let questions = others.filter_map(|(id, _)| {
            let address = find(&roster, &id)?.peer_addr.parse().ok()?;
            let question = Request::LookAtTarget {
                job: record.name.clone(),
                inc: record.inc,
                spec_json: spec_json.clone(),
            };
            Some(async move {
                match timeout(OTHERS_TIME_MAX, self.me.endpoint.ask(address, &question)).await {
                    Ok(Ok(Response::TargetSeen { look_json })) => serde_json::from_str(&look_json).ok(),
                    // A build that does not know the question, or one that does not reach it either.
                    _ => None,
                }
            })
        });
        join_all(questions).await.into_iter().flatten().next().ok_or(own)
    }
}

/// The answer to another peer.
pub async fn answer(job: JobName, inc: Incarnation, spec_json: &str) -> Response {
    let seen = match serde_json::from_str::<JobSpec>(spec_json) {
        Ok(spec) => look_from_here(&spec, job, inc).await,
        Err(error) => Err(fault(&job.0, &error.to_string())),
    };
    match seen {
        Ok(look) => Response::TargetSeen {
            look_json: serde_json::to_string(&look).expect("a look has only text keys"),
        },
        Err(fault) => Response::Refused {
            fault_json: serde_json::to_string(&fault).expect("a fault has only text"),
        },
    }
}

async fn look_from_here(spec: &JobSpec, name: JobName, inc: Incarnation) -> Result<TargetLook, Fault> {
    let job = JobId { name, inc };
    match timeout(LOOK_TIME_MAX, look::look(&spec.sink, &job)).await {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(error)) => Err(fault(&job.name.0, &error.to_string())),
        Err(_) => Err(fault(&job.name.0, &format!("no answer within {LOOK_TIME_MAX:?}"))),
    }
}

fn fault(job: &str, found: &str) -> Fault {
    Fault::new(
        "PEER1731",
        format!("target of job {job}"),
        found,
        "a target that some peer of the job reaches",
        "ask again when the target is there, or ask a peer that reaches it with --address",
    )
}
