//! The command layer's view of a running peer: job table, roster and owners' reports put together as answers.
//!
//! Implements `Cluster` over `actors::handle`. Changes go through the job table; what is shown about a running job comes
//! from its owner. Decides nothing that placement or the law of the table decide.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::actors::handle::PeerHandle;
use crate::actors::table_keeper::{Change, ChangeError};
use crate::actors::task_report::TaskReport;
use crate::admin::cluster::{Cluster, HoldKind, Reply, SubmitRequest};
use crate::admin::job_history::job_history;
use crate::admin::job_lines::{Seen, job_line};
use crate::admin::job_plan::{plan_view, update_faults, update_look};
use crate::admin::job_status::status_view;
use crate::admin::refusal::{Refusal, RefusalKind};
use crate::admin::views::{
    ChangeView, CheckView, ConflictsView, Desired, HealthView, JobHistoryView, JobsView, MemberView, MembersView, PeerChangeView,
    PlanView, StatusView, SubmitResult, SubmitView, VersionView,
};
use crate::config::job::parse_job;
use crate::config::job_set::parse_settings;
use crate::core::fault::{Fault, Faults};
use crate::core::ids::JobName;
use crate::core::job_operations::OperationError;
use crate::core::job_record::{HoldKind as RecordHold, JobRecord};
use crate::core::job_spec::JobSpec;
use crate::core::job_versions::spec_of;
use crate::core::plan::Look;
use crate::core::spec_diff::differences;
use crate::core::table_writers::Own;

/// A running peer behind the doors.
pub struct Live {
    pub(super) handle: PeerHandle,
}

impl Live {
    /// The command layer of this peer.
    #[must_use]
    pub fn serving(handle: PeerHandle) -> Arc<dyn Cluster> {
        Arc::new(Self { handle })
    }

    pub(super) fn record(&self, name: &str) -> Result<Arc<JobRecord>, Refusal> {
        let found = self.handle.table().get(&JobName(name.to_owned())).cloned();
        found
            .filter(|record| record.is_alive())
            .ok_or_else(|| Refusal::unknown_job(name))
    }

    pub(super) async fn change(
        &self,
        name: &str,
        change: Change,
        action: &str,
        desired: Option<Desired>,
    ) -> Result<ChangeView, Refusal> {
        let old = self.record(name)?;
        let (record, changed) = self
            .handle
            .change(&old.name, change)
            .await
            .map_err(|error| refusal(name, error))?;
        self.handle.spread(&record).await;
        Ok(ChangeView {
            name: name.to_owned(),
            incarnation: old.inc.0,
            action: action.to_owned(),
            desired,
            changed,
            target: None,
        })
    }

    async fn submit_job(&self, request: SubmitRequest) -> Result<SubmitView, Refusal> {
        let spec = parse_job(&request.text).map_err(Refusal::invalid)?;
        // First of all: it takes seconds, in which the table may change.
        let warnings = self.check_submit(&spec, &request).await?;
        let json = serde_json::to_value(&spec).expect("a spec has only text keys");
        let life = self.handle.new_life();
        let change = Change::Submit {
            spec: json.clone(),
            life: life.clone(),
            update: request.update,
            expect_version: request.expect_version,
        };
        let known = self.handle.table().get(&spec.name).cloned();
        let old = known.clone().filter(|record| record.is_alive());
        if let Some(old) = old.as_deref().filter(|_| request.update) {
            self.check_update(old, &json)?;
        }
        // Before the job is taken: whoever starts it must find the progress adopted.
        let adopted_epoch = match request.adopt && will_be_taken(old.as_deref(), &json, &request) {
            true => self.adopt(&spec, known.as_deref(), &life).await?,
            false => None,
        };
        let changed = self.handle.change(&spec.name, change).await;
        let (record, is_changed) = changed.map_err(|error| exists_or(&spec, old.as_deref(), error))?;
        let result = match (is_changed, &old) {
            (false, _) => SubmitResult::Unchanged,
            (true, None) => SubmitResult::Accepted,
            (true, Some(_)) => SubmitResult::Updated,
        };
        let mut record = record;
        if adopted_epoch.is_some() && old.is_some() {
            // It failed because of that progress.
            let restarted = self.handle.change(&spec.name, Change::Restart).await;
            (record, _) = restarted.map_err(|error| refusal(&spec.name.0, error))?;
        }
        Ok(SubmitView {
            adopted_epoch,
            warnings,
            ..self.written(&record, result).await
        })
    }

    /// Spreads a written version and says who has it.
    async fn written(&self, record: &Arc<JobRecord>, result: SubmitResult) -> SubmitView {
        let seen_by = self.handle.spread(record).await;
        let peers = self.handle.view().live_count();
        SubmitView {
            name: record.name.0.clone(),
            incarnation: record.inc.0,
            version: record.version(),
            result,
            seen_by: seen_by as u64,
            peers: peers.max(1) as u64,
            adopted_epoch: None,
            warnings: Vec::new(),
        }
    }

    /// Makes the next version of a job that is there.
    async fn next_version(&self, name: &str, change: Change) -> Result<SubmitView, Refusal> {
        let changed = self.handle.change(&JobName(name.to_owned()), change).await;
        let (record, is_changed) = changed.map_err(|error| refusal(name, error))?;
        let result = if is_changed {
            SubmitResult::Updated
        } else {
            SubmitResult::Unchanged
        };
        Ok(self.written(&record, result).await)
    }

    async fn revert_job(&self, name: &str, version: u64) -> Result<SubmitView, Refusal> {
        let old = self.record(name)?;
        if let Ok(wanted) = spec_of(&old, version) {
            self.check_update(&old, wanted)?;
        }
        self.next_version(name, Change::Revert(version)).await
    }

    /// Refuses a text that does not fit what the job has in its target.
    fn check_update(&self, old: &JobRecord, new: &serde_json::Value) -> Result<(), Refusal> {
        let faults = update_faults(old, new, &self.handle.view());
        if faults.is_empty() {
            return Ok(());
        }
        Err(exists(Faults(faults)))
    }
}

impl Cluster for Live {
    fn members(&self) -> Reply<'_, MembersView> {
        Box::pin(async {
            let view = self.handle.view();
            Ok(MembersView {
                cluster: self.handle.me.cluster_name.clone(),
                as_seen_by: self.handle.me.name.clone(),
                members: view.roster.iter().map(MemberView::from).collect(),
            })
        })
    }

    fn jobs(&self) -> Reply<'_, JobsView> {
        Box::pin(async {
            let (table, view) = (self.handle.table(), self.handle.view());
            let living = table.records().filter(|record| record.is_alive());
            Ok(JobsView {
                jobs: living.map(|record| job_line(&Seen::new(record, &view))).collect(),
            })
        })
    }

    fn status<'a>(&'a self, name: &'a str) -> Reply<'a, StatusView> {
        Box::pin(async move {
            let record = self.record(name)?;
            let view = self.handle.view();
            let seen = Seen::new(&record, &view);
            let asked = seen.report_from();
            let reports = join_all(asked.iter().map(|peer| self.handle.report(&record.name, peer))).await;
            let report = TaskReport::merged(reports.into_iter().flatten());
            let word = self.handle.word(&record.name).await;
            Ok(status_view(&seen, report, word))
        })
    }

    fn submit(&self, request: SubmitRequest) -> Reply<'_, SubmitView> {
        Box::pin(self.submit_job(request))
    }

    fn set<'a>(&'a self, name: &'a str, settings: Vec<String>) -> Reply<'a, SubmitView> {
        Box::pin(async move {
            let settings = parse_settings(&settings).map_err(Refusal::invalid)?;
            self.next_version(name, Change::Set(settings)).await
        })
    }

    fn history<'a>(&'a self, name: &'a str) -> Reply<'a, JobHistoryView> {
        Box::pin(async move {
            // A purged job's tombstone still tells who purged it.
            let found = self.handle.table().get(&JobName(name.to_owned())).cloned();
            found
                .map(|record| job_history(&record))
                .ok_or_else(|| Refusal::unknown_job(name))
        })
    }

    fn revert<'a>(&'a self, name: &'a str, version: u64) -> Reply<'a, SubmitView> {
        Box::pin(self.revert_job(name, version))
    }

    fn plan(&self, text: String) -> Reply<'_, PlanView> {
        Box::pin(async move {
            let spec = parse_job(&text).map_err(Refusal::invalid)?;
            let (table, view) = (self.handle.table(), self.handle.view());
            let old = table.get(&spec.name).filter(|record| record.is_alive());
            let old = old.map(AsRef::as_ref);
            let plan = plan_view(&spec, old, &view, table.root(), &self.handle.me.name);
            let tables = self.handle.planned_tables(&spec).await;
            // Without a look at the source, what the text names.
            let own = if tables.own.is_empty() {
                Own::named(&spec)
            } else {
                tables.own.clone()
            };
            let others = self.handle.job_clashes(&spec, &own).await;
            let json = serde_json::to_value(&spec).expect("a spec has only text keys");
            let begins = old.is_none_or(|old| update_look(old, &json, &view) == Look::Begins);
            Ok(plan.with_tables(tables).with_other_jobs(others, begins))
        })
    }

    fn check(&self, text: String) -> Reply<'_, CheckView> {
        Box::pin(async move { self.check_text(&text).await })
    }

    fn hold<'a>(&'a self, name: &'a str, kind: HoldKind) -> Reply<'a, ChangeView> {
        let (kind, action, desired) = match kind {
            HoldKind::Pause => (RecordHold::Pause, "pause", Desired::Pause),
            HoldKind::Stop => (RecordHold::Stop, "stop", Desired::Stop),
        };
        Box::pin(self.change(name, Change::Hold(kind, String::new()), action, Some(desired)))
    }

    fn release<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        Box::pin(self.change(name, Change::Release, "resume", Some(Desired::Run)))
    }

    fn restart<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        Box::pin(self.change(name, Change::Restart, "restart", None))
    }

    fn purge<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        Box::pin(self.change(name, Change::Purge, "purge", None))
    }

    fn stop_fence<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        Box::pin(self.stop_and_fence(name))
    }

    fn purge_target<'a>(&'a self, name: &'a str) -> Reply<'a, ChangeView> {
        Box::pin(self.purge_with_target(name))
    }

    fn conflicts<'a>(&'a self, name: &'a str) -> Reply<'a, ConflictsView> {
        Box::pin(self.conflicts_of(name))
    }

    fn skip<'a>(&'a self, name: &'a str, gtid: &'a str, reason: String) -> Reply<'a, ChangeView> {
        Box::pin(self.skip_transaction(name, gtid, reason))
    }

    fn drain<'a>(&'a self, peer: &'a str, is_draining: bool) -> Reply<'a, PeerChangeView> {
        Box::pin(self.drain_peer(peer, is_draining))
    }

    fn leave<'a>(&'a self, peer: Option<&'a str>, is_restart: bool) -> Reply<'a, PeerChangeView> {
        Box::pin(self.leave_peer(peer, is_restart))
    }

    fn version(&self) -> Reply<'_, VersionView> {
        Box::pin(async {
            Ok(VersionView {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                name: Some(self.handle.me.name.clone()),
                id: Some(self.handle.me.node.0.clone()),
                cluster: Some(self.handle.me.cluster_name.clone()),
            })
        })
    }

    fn health(&self) -> Reply<'_, HealthView> {
        Box::pin(async { Ok(HealthView { ok: true, reason: None }) })
    }

    fn ready(&self) -> Reply<'_, HealthView> {
        // The doors open only when everything behind them runs.
        self.health()
    }
}

/// The table will not refuse this submit, as far as is known now.
fn will_be_taken(old: Option<&JobRecord>, json: &serde_json::Value, request: &SubmitRequest) -> bool {
    let Some(old) = old else { return true };
    let is_same = old.newest_spec().is_some_and(|(_, entry)| entry.spec == *json);
    let is_version = request.expect_version.is_none_or(|version| version == old.version());
    is_same || (request.update && is_version)
}

fn exists_or(spec: &JobSpec, old: Option<&JobRecord>, error: ChangeError) -> Refusal {
    let (ChangeError::Refused(OperationError::Exists { found }), Some(old)) = (&error, old) else {
        return refusal(&spec.name.0, error);
    };
    let json = serde_json::to_value(spec).expect("a spec has only text keys");
    let differences = old
        .newest_spec()
        .map_or_else(Vec::new, |(_, entry)| differences(&entry.spec, &json));
    exists(Fault::new(
        "PEER1703",
        format!("job {}", spec.name),
        format!(
            "it exists at version {found} with another content: {}",
            differences.join("; ")
        ),
        "a new name, or the same content",
        "use `--update` to make the next version",
    ))
}

fn exists(faults: impl Into<Faults>) -> Refusal {
    Refusal::new(RefusalKind::Exists, faults)
}

pub(super) fn refusal(name: &str, error: ChangeError) -> Refusal {
    match error {
        ChangeError::Refused(OperationError::Absent) => Refusal::unknown_job(name),
        ChangeError::Refused(error @ OperationError::Undecided { .. }) => exists(Fault::new(
            "PEER1706",
            format!("job {name}"),
            error.to_string(),
            "one version, or versions that differ in `link` and `apply` only",
            format!("see `peer status {name}`, then `peer submit --update` the one that is meant"),
        )),
        ChangeError::Refused(OperationError::Version(error)) => exists(Fault::new(
            "PEER1707",
            format!("job {name}"),
            error.to_string(),
            "a version that is kept, with one content",
            format!("see `peer history {name}`, or `peer submit --update` the text you want"),
        )),
        ChangeError::Refused(error) => exists(Fault::new(
            "PEER1704",
            format!("job {name}"),
            error.to_string(),
            "the version that was read",
            format!("read `peer status {name}` and submit again"),
        )),
        ChangeError::Store(error) => Refusal::new(RefusalKind::NotReady, error.fault()),
        ChangeError::Busy => Refusal::not_ready("job table", "too many changes are waiting for the disk"),
    }
}
