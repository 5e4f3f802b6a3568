//! Finds a peer that would reach what this one does not: a job's target and a peer for its source.
//!
//! The sink's owner asks (`better_placed`, given to the sink flow), the others answer (`can_serve`, called by `incoming`) by
//! trying both. It is asked only when no source is reached from here. Nothing is decided here: who gives way is `flow::cut_off`'s, who takes over is placement's and the fence's.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::actors::me::Me;
use crate::actors::owner_search;
use crate::core::job_spec::JobSpec;
use crate::core::member::find;
use crate::core::placement::{Circumstances, Task, rank, rank_with};
use crate::flow::sink_flow::BetterPlaced;
use crate::mysql::session::Session;
use crate::wire::message::{Request, Response};

/// Peers that are asked, best rank first.
const ASKED_MAX: usize = 3;
/// Source peers that an asked one tries.
const SOURCES_MAX: usize = 3;
/// How long an asked peer tries; a line that takes longer is none to move to.
const TRY_MAX: Duration = Duration::from_secs(2);
/// How long the owner waits for all answers.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Returns the question for one job as its text is at that moment: the best ranked of those that say yes.
#[must_use]
pub fn better_placed(spec: watch::Receiver<Arc<JobSpec>>, me: &Me) -> BetterPlaced {
    let me = me.clone();
    Arc::new(move || {
        let (me, spec) = (me.clone(), spec.borrow().clone());
        Box::pin(async move {
            // A source that died is no reason: another one is reached from here.
            if timeout(TRY_MAX, reaches_source(&me, &spec)).await == Ok(true) {
                return None;
            }
            let roster = me.roster().borrow().clone();
            let spec_json = serde_json::to_string(&*spec).expect("a spec has only text keys");
            let ranked = rank(&spec, Task::Sink, &roster).eligible;
            let others = ranked.into_iter().filter(|(id, _)| *id != me.node).take(ASKED_MAX);
            let questions = others.filter_map(|(id, _)| {
                let member = find(&roster, &id)?;
                let address = member.peer_addr.parse().ok()?;
                let (me, spec_json, name) = (&me, spec_json.clone(), member.name.clone());
                Some(async move {
                    let question = Request::CanServe { spec_json };
                    let answer = timeout(ANSWER_MAX, me.endpoint.ask(address, &question)).await;
                    matches!(answer, Ok(Ok(Response::Serves { is_able: true }))).then_some(name)
                })
            });
            join_all(questions).await.into_iter().flatten().next()
        })
    })
}

/// This peer reaches the job's target and a peer that may run its source.
pub async fn can_serve(me: &Me, spec_json: &str) -> bool {
    let Ok(spec) = serde_json::from_str::<JobSpec>(spec_json) else {
        return false;
    };
    let both = async { tokio::join!(reaches_target(&spec), reaches_source(me, &spec)) };
    timeout(TRY_MAX, both).await == Ok((true, true))
}

async fn reaches_target(spec: &JobSpec) -> bool {
    match Session::connect(&spec.sink.endpoint).await {
        Ok(session) => {
            session.close().await;
            true
        }
        Err(_) => false,
    }
}

async fn reaches_source(me: &Me, spec: &JobSpec) -> bool {
    let roster = me.roster().borrow().clone();
    let now = Circumstances {
        other: roster.iter().find(|member| member.is_self),
        ..Circumstances::default()
    };
    let ranked = rank_with(spec, Task::Source, &roster, now).eligible;
    let tries = ranked.iter().take(SOURCES_MAX).map(|(id, _)| async move {
        // On itself it reaches it by no line at all.
        *id == me.node || owner_search::answers(me, id).await
    });
    let tries: FuturesUnordered<_> = tries.collect();
    // The first yes: a dead one among them answers only by its time-out.
    tries.any(|is_reached| async move { is_reached }).await
}
