//! Asks the peers that reach a job's databases to look at them, and puts one report together; answers such questions too.
//!
//! Called by the command layer through `PeerHandle` (`checked`) and by `incoming` (`answer`). Bounded in time; changes nothing
//! anywhere. Who looks is whom placement would choose, as far as it reaches the database.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::actors::handle::PeerHandle;
use crate::actors::me::Me;
use crate::core::check::{Checks, ClockReading, NotReached, Part, Question, ReplicaIds, Report, Side, SourceFacts};
use crate::core::check_cluster::{self, Reach};
use crate::core::ids::{Incarnation, JobId, NodeId};
use crate::core::job_spec::JobSpec;
use crate::core::member::{Member, find, name_of};
use crate::core::placement::Task;
use crate::core::placement_summary::Placed;
use crate::core::reach::address;
use crate::mysql::preflight;
use crate::mysql::source::reader::{replica_uuid, server_id};
use crate::wire::message::{Request, Response};

/// Peers that are asked whether they reach the databases; this one first. Trades a whole picture of a large cluster against logins.
const ASKED_MAX: usize = 16;
/// How long a peer may try both databases: a connection that hangs takes 5 s.
const REACH_TIME_MAX: Duration = Duration::from_secs(6);
/// How long a peer may look at one side: some thousand tables, a few queries each.
const LOOK_TIME_MAX: Duration = Duration::from_secs(12);

/// How long a check may take in all; doors wait a little longer.
pub const CHECK_TIME_MAX: Duration = Duration::from_secs(REACH_TIME_MAX.as_secs() + 2 * LOOK_TIME_MAX.as_secs());

/// Answers one part of a check from this peer.
pub async fn answer(me: &Me, question: Question) -> Report {
    let received_us = me.clock.wall_us();
    let clock = me.clock.clone();
    let now_us = move || clock.wall_us();
    let spec = &question.spec;
    let looked = match question.part {
        Part::Reach => Ok(reach(spec).await),
        Part::Source => preflight::check_source(&question, &now_us).await,
        Part::Target => preflight::check_target(&question, &now_us).await,
        Part::Writers => preflight::writers(spec, &question.own).await.map(|writers| Report {
            writers,
            ..Report::default()
        }),
    };
    // Only what breaks on the way is an error.
    let mut report = looked.unwrap_or_else(|error| {
        let lost = |part| (question.part == part).then(|| preflight::not_reached(&error));
        Report {
            source_lost: lost(Part::Source),
            target_lost: lost(Part::Target).or_else(|| lost(Part::Writers)),
            ..Report::default()
        }
    });
    report.received_us = received_us;
    report.answered_us = me.clock.wall_us();
    report
}

async fn reach(spec: &JobSpec) -> Report {
    let (source_lost, target_lost) = tokio::join!(preflight::reach(&spec.source.endpoint), preflight::reach(&spec.sink.endpoint));
    Report {
        source_lost,
        target_lost,
        ..Report::default()
    }
}

/// A peer's answer, and its clock beside this peer's.
pub(super) struct Answered {
    pub(super) report: Report,
    clock: ClockReading,
}

impl PeerHandle {
    /// Every prerequisite of a job; `is_known`: it is in the job table.
    pub async fn checked(&self, spec: &JobSpec, is_known: bool) -> Checks {
        let mut roster = self.view().roster.to_vec();
        let told = self.reached(spec, &roster).await;
        know_reach(&mut roster, &address(&spec.source.endpoint), &told.source);
        know_reach(&mut roster, &address(&spec.sink.endpoint), &told.target);
        let placed = Placed::of(spec, &roster, None, None);
        let mut round = Round {
            handle: self,
            spec,
            is_known,
            checks: Checks::default(),
            readings: vec![(self.me.name.clone(), ClockReading::default())],
        };
        let looker = check_cluster::looker(&placed.source, &told.source);
        let source = round.look(Side::Source, looker, None).await;
        let looker = check_cluster::looker(&placed.sink, &told.target);
        round.look(Side::Target, looker, source).await;
        let of_cluster = [
            check_cluster::reached(Task::Source, &address(&spec.source.endpoint), &told.source),
            check_cluster::reached(Task::Sink, &address(&spec.sink.endpoint), &told.target),
            check_cluster::placed(Task::Source, &placed.source, &told.source),
            check_cluster::placed(Task::Sink, &placed.sink, &told.target),
        ];
        let Round {
            mut checks, readings, ..
        } = round;
        checks.add(Side::Cluster, &self.me.name, of_cluster);
        checks.add(Side::Cluster, &self.me.name, check_cluster::clocks(&readings));
        checks
    }

    /// Under which numbers the job reads, or would read, the binlog of its source.
    fn replica_ids(&self, spec: &JobSpec) -> ReplicaIds {
        let table = self.table();
        let known = table.get(&spec.name);
        let inc = known.map_or(1, |record| record.inc.0 + u64::from(!record.is_alive()));
        let job = JobId {
            name: spec.name.clone(),
            inc: Incarnation(inc),
        };
        ReplicaIds {
            server_id: server_id(&self.me.cluster_id, &job, 0),
            uuid: replica_uuid(&self.me.cluster_id, &job, 0),
        }
    }

    /// Who reaches what: every live peer tries both.
    async fn reached(&self, spec: &JobSpec, roster: &[Member]) -> Told {
        let live = roster.iter().filter(|member| member.is_live());
        let (own, others): (Vec<&Member>, Vec<&Member>) = live.partition(|member| member.is_self);
        let asked = own.into_iter().chain(others).take(ASKED_MAX);
        let question = &Question::of(Part::Reach, spec);
        let answers = join_all(asked.map(|member| async move {
            let answered = self.ask_check(&member.id, question, REACH_TIME_MAX).await;
            (member, answered)
        }));
        let mut told = Told::default();
        for (member, answered) in answers.await {
            let (source, target) = match answered {
                Ok(answered) => (text(answered.report.source_lost), text(answered.report.target_lost)),
                Err(reason) => (Some((reason.clone(), false)), Some((reason, false))),
            };
            let reach = |lost: Option<(String, bool)>| Reach {
                peer: member.id.clone(),
                name: member.name.clone(),
                is_refused: lost.as_ref().is_some_and(|(_, is_refused)| *is_refused),
                fault: lost.map(|(reason, _)| reason),
            };
            told.source.push(reach(source));
            told.target.push(reach(target));
        }
        told
    }

    pub(super) async fn ask_check(&self, peer: &NodeId, question: &Question, limit: Duration) -> Result<Answered, String> {
        let late = format!("no answer within {} s", limit.as_secs());
        if *peer == self.me.node {
            let report = timeout(limit, answer(&self.me, question.clone())).await.map_err(|_| late)?;
            let clock = ClockReading::default();
            return Ok(Answered { report, clock });
        }
        let roster = self.me.roster().borrow().clone();
        let address = find(&roster, peer).and_then(|member| member.peer_addr.parse().ok());
        let address = address.ok_or("its address is not known")?;
        let question_json = serde_json::to_string(question).expect("a question has only text keys");
        let asked_us = self.me.clock.wall_us();
        let request = Request::Check { question_json };
        let response = timeout(limit, self.me.endpoint.ask(address, &request))
            .await
            .map_err(|_| late)?;
        let back_us = self.me.clock.wall_us();
        let report_json = match response {
            Ok(Response::Checked { report_json }) => report_json,
            Ok(_) => return Err("its version does not know the question".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let report: Report = serde_json::from_str(&report_json).map_err(|error| error.to_string())?;
        let work_us = report.answered_us.saturating_sub(report.received_us);
        // What is left of the time is the way there and back.
        let clock = ClockReading::of(asked_us, report.received_us, back_us.saturating_sub(work_us));
        Ok(Answered { report, clock })
    }
}

/// One check under way.
struct Round<'a> {
    handle: &'a PeerHandle,
    spec: &'a JobSpec,
    is_known: bool,
    checks: Checks,
    /// Clocks that were read, against the asking peer's.
    readings: Vec<(String, ClockReading)>,
}

impl Round<'_> {
    /// Lets one peer look at one side; returns what it tells of the source. Nobody to look: that is told of the cluster.
    async fn look(&mut self, side: Side, looker: Option<NodeId>, source: Option<SourceFacts>) -> Option<SourceFacts> {
        let peer = looker?;
        let name = name_of(&self.handle.view().roster, &peer);
        let part = if side == Side::Source { Part::Source } else { Part::Target };
        let own = source.as_ref().map(|source| source.own(self.spec)).unwrap_or_default();
        let question = Question {
            source,
            is_known: self.is_known,
            writers: self.handle.writers_of_cluster(self.spec, &own),
            replica: Some(self.handle.replica_ids(self.spec)),
            ..Question::of(part, self.spec)
        };
        let answered = self.handle.ask_check(&peer, &question, LOOK_TIME_MAX).await;
        let answered = match answered.and_then(unbroken) {
            Ok(answered) => answered,
            Err(reason) => {
                let lost = check_cluster::unanswered(side.word(), &name, &reason);
                self.checks.add(Side::Cluster, &name, [lost]);
                return None;
            }
        };
        if let Some(clock) = answered.report.clock {
            self.readings
                .push((format!("the {}", side.word()), clock.beside(answered.clock)));
        }
        if peer != self.handle.me.node {
            self.readings.push((name.clone(), answered.clock));
        }
        self.checks.add(side, &name, answered.report.findings);
        answered.report.source
    }
}

/// The connection to the database did not break on the way.
pub(super) fn unbroken(answered: Answered) -> Result<Answered, String> {
    let report = &answered.report;
    match report.source_lost.as_ref().or(report.target_lost.as_ref()) {
        Some(lost) => Err(lost.fault.found.clone()),
        None => Ok(answered),
    }
}

/// What all peers said.
#[derive(Default)]
struct Told {
    source: Vec<Reach>,
    target: Vec<Reach>,
}

fn text(lost: Option<NotReached>) -> Option<(String, bool)> {
    lost.map(|lost| (lost.fault.found, lost.is_refused))
}

/// Constraints on `attr.reach.…` see what was found now: nobody tries the databases of a job that does not run.
fn know_reach(roster: &mut [Member], address: &str, told: &[Reach]) {
    for member in roster {
        let is_reached = told.iter().any(|one| one.peer == member.id && one.fault.is_none());
        if is_reached {
            member.attributes.insert(format!("reach.{address}"), "true".to_owned());
        }
    }
}
