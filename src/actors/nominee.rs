//! One job as placement holds it: its nomination state, and what of the table and the roster nomination was told.
//!
//! Turns records and rosters into events, and only into those that are news. Used by `placement` alone.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::cluster_view::ClusterView;
use crate::actors::ports::Clock;
use crate::actors::retry_report::RetryReport;
use crate::actors::tasks_msg::StartSink;
use crate::core::explanation::{Explanation, Explanations};
use crate::core::ids::{Epoch, JobId, NodeId};
use crate::core::job_failure::{Cause, Move, RunId, moves_of};
use crate::core::job_merge::{Effective, RunSpec, effective};
use crate::core::job_record::{Claim, Dot, JobRecord, canonical_json};
use crate::core::job_spec::{JobSpec, SinkSpec};
use crate::core::job_state::ErrorReport;
use crate::core::member::Roster;
use crate::core::nomination::{Effect, Event, Phase, State};
use crate::core::placement::{Circumstances, Ranking, Task, rank_with};
use crate::core::placement_summary::Placed;
use crate::core::plan::fixed_part;
use crate::core::stable_hash::hash64;
use crate::gossip::keys::Leaving;
use crate::gossip::view::PeerFacts;

/// One living job.
pub struct Nominee {
    /// Nomination's state.
    pub state: State,
    node: NodeId,
    record: Option<Arc<JobRecord>>,
    run: Option<RunSpec>,
    spec: Option<JobSpec>,
    /// The text that the sink here was started with or told of last.
    runs_with: Option<Dot>,
    /// Something of the record was not told yet.
    is_changed: bool,
    /// The roster and claim owner nomination was told of last.
    told: Option<(Arc<Roster>, Option<NodeId>)>,
    reason: String,
    /// Why the sink ended last, until it has the fence again.
    failure: Option<ErrorReport>,
    /// Where both tasks would run, when that was worked out anew and not explained yet.
    placed: Option<Placed>,
    explanations: Explanations,
}

impl Nominee {
    /// A job nothing is known of yet.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        let state = State::new(node.clone());
        Self {
            state,
            node,
            record: None,
            run: None,
            spec: None,
            runs_with: None,
            is_changed: false,
            told: None,
            reason: String::new(),
            failure: None,
            placed: None,
            explanations: Explanations::default(),
        }
    }

    /// Takes the record as the table has it now.
    pub fn update(&mut self, record: &Arc<JobRecord>) {
        if self.record.as_ref().is_some_and(|known| Arc::ptr_eq(known, record)) {
            return;
        }
        self.run = match effective(record) {
            Effective::Run(run) => Some(run),
            Effective::Held(_) | Effective::Absent => None,
        };
        if let Some(run) = &self.run {
            self.spec = run.job_spec().ok();
        }
        self.record = Some(record.clone());
        self.is_changed = true;
    }

    /// The job was purged or has a newer incarnation.
    pub fn forget(&mut self) {
        self.is_changed |= self.run.take().is_some();
    }

    /// Something may still happen to it without the table changing.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.run.is_some() || self.state.is_active()
    }

    /// Events for what changed since the last call.
    pub fn news(&mut self, id: &JobId, view: &ClusterView) -> Vec<Event> {
        let mut events = Vec::new();
        let claim = self.record.as_ref().and_then(|record| record.claim.clone());
        let is_changed = std::mem::take(&mut self.is_changed);
        if is_changed {
            events.extend(claim.clone().map(Event::ClaimSeen));
            events.push(Event::JobChanged {
                runs: self.run.is_some() && self.spec.is_some(),
                revision: self.revision(id),
            });
        }
        if !self.is_at_work() {
            return events;
        }
        let owner = claim.map(|claim| claim.owner);
        let told = (view.roster.clone(), owner.clone());
        let is_known = |(roster, known): &(Arc<Roster>, Option<NodeId>)| Arc::ptr_eq(roster, &told.0) && *known == owner;
        // A changed record may hold a spec that ranks the peers anew.
        if !is_changed && self.told.as_ref().is_some_and(is_known) {
            return events;
        }
        self.told = Some(told);
        let is_owner_alive = view
            .roster
            .iter()
            .any(|member| Some(&member.id) == owner.as_ref() && member.is_live());
        let live = view
            .roster
            .iter()
            .filter(|member| member.is_live() && !member.is_self)
            .map(|member| member.id.clone())
            .collect();
        let restarts = |peer: &PeerFacts| Some(&peer.id) == owner.as_ref() && peer.leaving == Some(Leaving::Restart);
        if view.facts.iter().any(restarts) {
            events.push(Event::OwnerRestarts);
        }
        let (rank, is_only) = self.rank(&view.roster);
        // The rank goes first: a claim or a job change is decided with the roster of the moment.
        events.insert(
            0,
            Event::RosterChanged {
                rank,
                is_only,
                is_owner_alive,
                live,
            },
        );
        events
    }

    /// This peer's place, and whether there is no other.
    fn rank(&mut self, roster: &Roster) -> (Option<u32>, bool) {
        let Some(spec) = self.spec.as_ref() else {
            return (None, false);
        };
        // People see who runs the tasks by the claim, nomination acts on what runs here.
        let claim = self.record.as_ref().and_then(|record| record.claim.as_ref());
        let claim = claim.filter(|claim| !claim.is_released);
        let owner = claim.map(|claim| &claim.owner);
        let placed = Placed::of(spec, roster, owner, claim.and_then(|claim| claim.source.as_ref()));
        let own = self.state.is_active().then_some(&self.node);
        let placed_in = |sink: &Ranking| (sink.rank_of(&self.node), sink.eligible.len() == 1);
        let rank = if own == owner {
            placed_in(&placed.sink)
        } else {
            let now = Circumstances {
                running: own,
                ..Circumstances::default()
            };
            placed_in(&rank_with(spec, Task::Sink, roster, now))
        };
        self.placed = Some(placed);
        rank
    }

    /// Keeps what changed in the table of verdicts since the last call; `at` is the time for people.
    pub fn explain(&mut self, at: impl FnOnce() -> String) {
        if let Some(placed) = self.placed.take() {
            self.explanations.look(&placed, at);
        }
    }

    /// The last changes of the verdicts, newest first.
    #[must_use]
    pub fn explanations(&self) -> Vec<Explanation> {
        self.explanations.latest()
    }

    /// Changes whenever the sink must start anew.
    fn revision(&self, id: &JobId) -> u64 {
        let restart = self.record.as_ref().map_or(0, |record| record.restart);
        let fixed = self.run.as_ref().map(|run| canonical_json(&fixed_part(&run.spec)));
        let fixed = fixed.unwrap_or_default();
        let skips = self.record.iter().flat_map(|record| record.skips.keys());
        let skips: String = skips.map(|gtid| format!("{gtid} ")).collect();
        let parts = [id.to_string(), fixed, restart.to_string(), skips];
        hash64(&parts.each_ref().map(|part| part.as_bytes()))
    }

    /// The text that the running sink has not heard of yet; None: it has the newest, or ends and starts with that.
    pub fn live_change(&mut self) -> Option<(JobSpec, Dot)> {
        if !matches!(self.state.phase(), Phase::Running { .. }) {
            return None;
        }
        let dot = &self.run.as_ref()?.dot;
        if self.runs_with.as_ref() == Some(dot) {
            return None;
        }
        let spec = self.spec.clone()?;
        self.runs_with = Some(dot.clone());
        Some((spec, dot.clone()))
    }

    /// One step of nomination.
    pub fn step(&mut self, event: Event, now: Duration, random: u64) -> Vec<Effect> {
        if matches!(event, Event::AcquireWon(_)) {
            self.reason.clear();
            self.failure = None;
        }
        self.state.advance(event, now, random)
    }

    /// What this peer's failures are about: what the record asks for now; None while nothing shall run.
    fn run_id(&self) -> Option<RunId> {
        self.run.as_ref()?;
        RunId::of(self.record.as_ref()?)
    }

    /// The policy in force and the moves that count at `now_ms` of the wall clock; to be told before the end of a task.
    #[must_use]
    pub fn policy_news(&self, now_ms: u64) -> Option<Event> {
        let policy = self.spec.as_ref()?.policy();
        let (record, run) = (self.record.as_ref()?, self.run_id()?);
        let interval = Duration::from_millis(policy.reschedule.interval_ms);
        let moves = moves_of(record, &run, now_ms, interval);
        Some(Event::PolicySeen { policy, moves })
    }

    /// Keeps why the sink ended, for people.
    pub fn remember(&mut self, failure: Option<ErrorReport>) {
        self.failure = failure.or(self.failure.take());
    }

    /// The move that `CountMove` asks to be counted.
    #[must_use]
    pub fn counted_move(&self, now_ms: u64, reason: &str) -> Option<Move> {
        Some(Move::new(self.run_id()?, self.node.clone(), now_ms, reason))
    }

    /// Why the job failed, for its record.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        let version = self.run.as_ref()?.version;
        Some(Cause::new(
            self.run_id()?,
            version,
            self.state.moves(),
            self.failure.as_ref()?,
        ))
    }

    /// How it is tried again after failures; None: nothing failed, or it is not this peer that tries.
    #[must_use]
    pub fn retry(&self, peer: &str, clock: &Clock) -> Option<RetryReport> {
        let (standing, failure) = (self.state.standing(clock.now())?, self.failure.as_ref()?);
        Some(RetryReport::new(peer, standing, self.state.is_active(), failure, clock))
    }

    /// What `tasks` needs to start the sink; None when the job is not readable.
    #[must_use]
    pub fn start(&mut self, id: &JobId, above: Epoch) -> Option<StartSink> {
        let (record, run) = (self.record.as_ref()?, self.run.as_ref()?);
        self.runs_with = Some(run.dot.clone());
        Some(StartSink {
            job: id.clone(),
            spec: self.spec.clone()?,
            dot: run.dot.clone(),
            life: record.life().clone(),
            epoch_seen: above,
            restarts: record.restart,
            skips: record.skips.clone(),
        })
    }

    /// The claim of this peer that the table holds, from an earlier start of the process too; None: others are not waiting
    /// for this peer.
    #[must_use]
    pub fn own_claim(&self) -> Option<Claim> {
        let claim = self.record.as_ref()?.claim.as_ref()?;
        (claim.owner == self.node && !claim.is_released).then(|| claim.clone())
    }

    /// Where the sink writes; None when the job is not readable.
    #[must_use]
    pub fn sink(&self) -> Option<SinkSpec> {
        self.spec.as_ref().map(|spec| spec.sink.clone())
    }

    /// The spec whose target this peer must clean after a purge: it owned the job last.
    #[must_use]
    pub fn spec_to_clean(self, node: &NodeId) -> Option<JobSpec> {
        let owner = self.record.as_ref()?.claim.as_ref().map(|claim| &claim.owner);
        if owner == Some(node) { self.spec } else { None }
    }

    /// Why it does not run, in words; empty when there is nothing to say.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Takes nomination's word.
    pub fn tell(&mut self, reason: String) {
        self.reason = reason;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::ids::{JobName, Life};
    use crate::core::job_operations::{self as operations, Actor, Written};
    use crate::core::member::Member;

    fn node(name: &str) -> NodeId {
        NodeId(name.into())
    }

    fn actor(next: u64) -> Actor {
        Actor {
            id: "a".into(),
            next,
            author: "a person".into(),
            at: "2026-01-01T00:00:00Z".into(),
        }
    }

    fn changed(written: Written) -> Arc<JobRecord> {
        match written {
            Written::Changed(record) => Arc::new(record),
            Written::Unchanged => panic!("expected a change"),
        }
    }

    fn spec(sink_site: &str) -> serde_json::Value {
        let endpoint =
            json!({"host": "h", "port": 3306, "user": "u", "password": {"text": ""}, "tls": "preferred", "tls_ca": null});
        let at = |site: &str| json!([{"attribute": "${node.datacenter}", "operator": "=", "value": site}]);
        json!({
            "name": "orders", "datacenters": [], "constraints": [],
            "source": {"endpoint": endpoint, "start": "now", "constraints": []},
            "sink": {"endpoint": endpoint, "meta_schema": "m", "constraints": at(sink_site)},
            "tables": [{"schema": "s", "table": "t"}],
            "link": {"compression": "none", "rate_bytes": 0, "batch_bytes": 1, "batch_delay_ms": 0},
            "apply": {"group_transactions": 1, "group_bytes": 1},
        })
    }

    fn submitted(sink_site: &str) -> Arc<JobRecord> {
        let name = JobName("orders".into());
        changed(operations::submit(None, &name, spec(sink_site), Life("1".into()), &mut actor(1)).expect("is accepted"))
    }

    fn view() -> ClusterView {
        let me = Member {
            id: node("me"),
            datacenter: "beijing".into(),
            capacity: 8,
            is_self: true,
            ..Member::default()
        };
        ClusterView {
            roster: Arc::new(vec![me]),
            facts: Arc::default(),
        }
    }

    fn ranks(events: &[Event]) -> Vec<Option<u32>> {
        let rank = |event: &Event| match event {
            Event::RosterChanged { rank, .. } => Some(*rank),
            _ => None,
        };
        events.iter().filter_map(rank).collect()
    }

    #[test]
    fn an_edit_that_moves_the_job_is_ranked_anew_though_the_roster_is_the_same() {
        let (mut nominee, view) = (Nominee::new(node("me")), view());
        let record = submitted("shanghai");
        let id = JobId {
            name: record.name.clone(),
            inc: record.inc,
        };
        nominee.update(&record);
        assert_eq!(
            nominee.spec.as_ref().map(|spec| &spec.name),
            Some(&id.name),
            "the spec is readable"
        );
        assert_eq!(ranks(&nominee.news(&id, &view)), [None]);
        assert!(nominee.news(&id, &view).is_empty(), "nothing is new");
        nominee.update(&changed(
            operations::edit(&record, spec("beijing"), None, &mut actor(2)).expect("is accepted"),
        ));
        assert_eq!(ranks(&nominee.news(&id, &view)), [Some(0)]);
    }

    fn at_rate(site: &str, rate: u64) -> serde_json::Value {
        let mut spec = spec(site);
        spec["link"]["rate_bytes"] = json!(rate);
        spec
    }

    fn edited(record: &JobRecord, spec: serde_json::Value, next: u64) -> Arc<JobRecord> {
        changed(operations::edit(record, spec, None, &mut actor(next)).expect("is accepted"))
    }

    #[test]
    fn a_live_change_is_told_once_to_the_running_sink_and_any_other_ends_it() {
        let (mut nominee, view) = (Nominee::new(node("me")), view());
        let feed = |nominee: &mut Nominee, record: &Arc<JobRecord>, at: u64| -> Vec<Effect> {
            let id = JobId {
                name: record.name.clone(),
                inc: record.inc,
            };
            nominee.update(record);
            let mut events = nominee.news(&id, &view);
            events.push(Event::Tick);
            let effects = events
                .into_iter()
                .flat_map(|event| nominee.step(event, Duration::from_secs(at), 0));
            let effects: Vec<Effect> = effects.collect();
            if effects.iter().any(|effect| matches!(effect, Effect::StartSink { .. })) {
                nominee.start(&id, Epoch(0)).expect("a readable job");
            }
            effects
        };
        let first = submitted("beijing");
        let started = feed(&mut nominee, &first, 1);
        assert!(matches!(started.as_slice(), [Effect::StartSink { .. }]), "{started:?}");
        assert_eq!(nominee.live_change(), None, "it was started with that");

        let second = edited(&first, at_rate("beijing", 7), 2);
        assert_eq!(feed(&mut nominee, &second, 2), []);
        let (spec, dot) = nominee.live_change().expect("a new text");
        assert_eq!((spec.link.rate_bytes, dot.counter), (7, 2));
        assert_eq!(nominee.live_change(), None, "once");

        let mut third = at_rate("beijing", 7);
        third["link"]["batch_bytes"] = json!(2);
        let third = edited(&second, third, 3);
        assert_eq!(feed(&mut nominee, &third, 3), [Effect::StopSink]);
        assert_eq!(nominee.live_change(), None, "it starts again with that");
    }

    #[test]
    fn an_edit_of_the_constraints_ends_the_sink_only_where_it_may_no_longer_run() {
        let (mut nominee, view) = (Nominee::new(node("me")), view());
        let first = submitted("beijing");
        let id = JobId {
            name: first.name.clone(),
            inc: first.inc,
        };
        let feed = |nominee: &mut Nominee, record: &Arc<JobRecord>| -> Vec<Effect> {
            nominee.update(record);
            let events = nominee.news(&id, &view);
            let effects = events
                .into_iter()
                .flat_map(|event| nominee.step(event, Duration::from_secs(1), 0));
            effects.collect()
        };
        feed(&mut nominee, &first);
        let mut still = spec("beijing");
        still["datacenters"] = json!(["bei*"]);
        let second = edited(&first, still, 2);
        assert_eq!(feed(&mut nominee, &second), []);
        assert!(nominee.live_change().is_some());
        let effects = feed(&mut nominee, &edited(&second, spec("shanghai"), 3));
        assert!(effects.contains(&Effect::StopSink), "{effects:?}");
    }

    #[test]
    fn a_claim_of_an_earlier_start_is_still_this_peers_to_release() {
        let mut nominee = Nominee::new(node("me"));
        let record = submitted("beijing");
        let claim = Claim {
            inc: record.inc,
            owner: node("me"),
            epoch: Epoch(3),
            ..Claim::default()
        };
        let claimed = operations::claim(&record, claim.clone());
        nominee.update(&Arc::new(claimed));
        assert_eq!(nominee.own_claim(), Some(claim.clone()));
        let released = Claim {
            is_released: true,
            ..claim
        };
        nominee.update(&Arc::new(operations::claim(&record, released)));
        assert_eq!(nominee.own_claim(), None);
    }
}
