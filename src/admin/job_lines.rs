//! What is seen of a job without asking its owner: its record, its claim, and what gossip tells of it.
//!
//! Fed by the job table and the gossip view, feeds `jobs` and `status`. States are derived here and nowhere else.

use crate::actors::cluster_view::ClusterView;
use crate::actors::task_report::TaskBrief;
use crate::admin::views::{Desired, JobLine, JobPhase, OwnerView};
use crate::core::ids::NodeId;
use crate::core::job_failure::CONFLICT_REASON;
use crate::core::job_merge::{Effective, effective};
use crate::core::job_record::{Claim, HoldKind, JobRecord};
use crate::core::job_spec::JobSpec;
use crate::core::job_state::Phase;
use crate::core::member::name_of;
use crate::core::placement_summary::Placed;

/// Peers asked about a job that nobody owns. Trades a whole list of errors against questions in a large cluster; a guess.
const ASKED_MAX: usize = 32;

/// One living job, as this peer sees it.
pub struct Seen<'a> {
    /// The record.
    pub record: &'a JobRecord,
    /// The roster and what peers tell.
    pub view: &'a ClusterView,
    /// What the table says should be.
    pub effective: Effective,
    /// The claim of an owner that is alive and has not released.
    pub claim: Option<&'a Claim>,
    /// What that owner tells through gossip.
    pub brief: Option<TaskBrief>,
}

impl<'a> Seen<'a> {
    /// Puts together what is known.
    #[must_use]
    pub fn new(record: &'a JobRecord, view: &'a ClusterView) -> Self {
        let claim = record
            .claim
            .as_ref()
            .filter(|claim| !claim.is_released && view.is_live(&claim.owner));
        let briefs = view
            .sinks(&record.name)
            .map(|(_, brief)| brief)
            .filter(|brief| brief.inc == record.inc);
        // Two peers may tell of one job while an owner changes: the larger epoch is the effective one.
        let brief = briefs.max_by_key(|brief| brief.epoch);
        Self {
            record,
            view,
            effective: effective(record),
            claim,
            brief,
        }
    }

    /// The peers that know of it: the owner; without one every live peer, since each may have tried.
    #[must_use]
    pub fn report_from(&self) -> Vec<NodeId> {
        match self.claim {
            Some(claim) => vec![claim.owner.clone()],
            None => {
                let live = self.view.facts.iter().filter(|peer| peer.is_live());
                live.map(|peer| peer.id.clone()).take(ASKED_MAX).collect()
            }
        }
    }

    /// The spec in force, or the newest one of a held job.
    #[must_use]
    pub fn spec(&self) -> Option<JobSpec> {
        let json = match &self.effective {
            Effective::Run(run) => Some(run.spec.clone()),
            Effective::Held(held) => held.spec.clone(),
            Effective::Absent => None,
        };
        json.and_then(|json| serde_json::from_value(json).ok())
    }

    /// What people asked for.
    #[must_use]
    pub fn desired(&self) -> Desired {
        match &self.effective {
            Effective::Held(held) if held.kind == HoldKind::Stop => Desired::Stop,
            Effective::Held(held) if held.kind == HoldKind::Pause && held.reason != CONFLICT_REASON => Desired::Pause,
            _ => Desired::Run,
        }
    }

    /// Where placement would put the tasks, as seen from here; None: the spec is not readable.
    #[must_use]
    pub fn placed(&self) -> Option<Placed> {
        let owner = self.claim.map(|claim| &claim.owner);
        let source = self.claim.and_then(|claim| claim.source.as_ref());
        self.spec().map(|spec| Placed::of(&spec, &self.view.roster, owner, source))
    }

    /// The one word for where the job is.
    #[must_use]
    pub fn phase(&self) -> JobPhase {
        if let Effective::Held(held) = &self.effective {
            return match held.kind {
                HoldKind::Stop => JobPhase::Stopped,
                HoldKind::Pause => JobPhase::Paused,
                HoldKind::Failed => JobPhase::Failed,
                HoldKind::Done => JobPhase::Done,
                HoldKind::Arbitration | HoldKind::Other(_) => JobPhase::Held,
            };
        }
        match &self.brief {
            Some(brief) if self.claim.is_some() => match brief.phase {
                Phase::Starting => JobPhase::Starting,
                Phase::Copying => JobPhase::Copying,
                Phase::Streaming => JobPhase::Streaming,
            },
            Some(_) => JobPhase::Starting,
            None if self.has_nowhere() => JobPhase::Unplaced,
            None => JobPhase::Starting,
        }
    }

    /// No peer may run one of the two tasks.
    fn has_nowhere(&self) -> bool {
        let is_empty = |placed: Placed| placed.sink.eligible.is_empty() || placed.source.eligible.is_empty();
        self.placed().is_none_or(is_empty)
    }

    /// Name of the sink's peer.
    #[must_use]
    pub fn sink_peer(&self) -> Option<String> {
        self.claim.map(|claim| name_of(&self.view.roster, &claim.owner))
    }

    /// Name of the source's peer, as the claim has it.
    #[must_use]
    pub fn source_peer(&self) -> Option<String> {
        let source = self.claim?.source.as_ref()?;
        Some(name_of(&self.view.roster, source))
    }
}

/// The line of `jobs`.
#[must_use]
pub fn job_line(seen: &Seen<'_>) -> JobLine {
    let brief = seen.brief.as_ref();
    let held = match &seen.effective {
        Effective::Held(held) if !held.reason.is_empty() => Some(held.reason.clone()),
        _ => None,
    };
    JobLine {
        name: seen.record.name.0.clone(),
        state: seen.phase(),
        desired: seen.desired(),
        incarnation: seen.record.inc.0,
        version: seen.record.version(),
        source: OwnerView {
            peer: seen.source_peer(),
        },
        sink: OwnerView { peer: seen.sink_peer() },
        lag_ms: brief.and_then(|brief| brief.lag_ms),
        rows_per_s: brief.map(|brief| brief.rows_per_s as f64),
        error: held.or_else(|| brief.and_then(|brief| brief.error.clone())),
    }
}
