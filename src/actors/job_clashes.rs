//! Which other jobs go into the tables that a job would write: what this peer's job table tells, and for `peer plan` what a peer near the
//! target reads there.
//!
//! Called by the command layer through `PeerHandle` and by `check`. Bounded in time; changes nothing anywhere. Judged by
//! `core::table_writers`.

use std::time::Duration;

use crate::actors::check::unbroken;
use crate::actors::handle::PeerHandle;
use crate::core::check::{Part, Question};
use crate::core::finding::Finding;
use crate::core::job_record::JobRecord;
use crate::core::job_spec::JobSpec;
use crate::core::placement_summary::Placed;
use crate::core::table_writers::{self, Own, Writer};

/// How long the target's peer and its database may take; with the look at the source below what a door waits (10 s).
const LOOK_TIME_MAX: Duration = Duration::from_secs(3);

impl PeerHandle {
    /// What is to be told of other jobs in a job's tables, for `peer plan`.
    pub async fn job_clashes(&self, spec: &JobSpec, own: &[Own]) -> Vec<Finding> {
        let of_cluster = self.writers_of_cluster(spec, own);
        match self.writers_of_target(spec, own).await {
            Ok(of_target) => table_writers::findings(own, &[of_target, of_cluster].concat()),
            Err(reason) => {
                let mut findings = table_writers::findings(own, &of_cluster);
                findings.push(table_writers::not_asked(&reason));
                findings
            }
        }
    }

    /// The jobs of the job table that go to the same target.
    pub(super) fn writers_of_cluster(&self, spec: &JobSpec, own: &[Own]) -> Vec<Writer> {
        let table = self.table();
        let others = table.records().filter(|record| record.is_alive() && record.name != spec.name);
        let specs = others.filter_map(|record| newest(record));
        let of_target = specs.filter(|other| table_writers::is_one_target(spec, other));
        of_target.flat_map(|other| table_writers::of_job(&other, own)).collect()
    }

    async fn writers_of_target(&self, spec: &JobSpec, own: &[Own]) -> Result<Vec<Writer>, String> {
        let roster = self.view().roster;
        let placed = Placed::of(spec, &roster, None, None);
        let (peer, _) = placed.sink.eligible.first().ok_or("no peer may run the sink")?;
        let question = Question {
            own: own.to_vec(),
            ..Question::of(Part::Writers, spec)
        };
        let answered = self.ask_check(peer, &question, LOOK_TIME_MAX).await;
        Ok(answered.and_then(unbroken)?.report.writers)
    }
}

/// A text of another version of peer that cannot be read is not this job's to judge.
fn newest(record: &JobRecord) -> Option<JobSpec> {
    let (_, entry) = record.newest_spec()?;
    serde_json::from_value(entry.spec.clone()).ok()
}
