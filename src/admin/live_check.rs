//! What `Live` does for `check`, and for a submit of a new job or of another version that databases decide about, which is checked first.
//!
//! `actors::check` asks the peers; here is only what follows from the report: a job that its databases cannot carry is refused with all
//! faults, one that lacks a peer is taken and waits.

use crate::admin::cluster::SubmitRequest;
use crate::admin::job_plan::{update_faults, update_look};
use crate::admin::live::Live;
use crate::admin::refusal::Refusal;
use crate::admin::views::CheckView;
use crate::config::job::parse_job;
use crate::core::check::Check;
use crate::core::job_record::JobRecord;
use crate::core::job_spec::JobSpec;
use crate::core::plan::Look;

impl Live {
    /// Every prerequisite of a job.
    pub(super) async fn check_text(&self, text: &str) -> Result<CheckView, Refusal> {
        let spec = parse_job(text).map_err(Refusal::invalid)?;
        let is_known = self.record(&spec.name.0).is_ok();
        let checks = self.handle.checked(&spec, is_known).await;
        Ok(CheckView::of(&spec.name.0, &self.handle.me.name, checks))
    }

    /// Refuses a job that its databases cannot carry, new or updated in what they decide; returns what a person should know of one
    /// that they can.
    pub(super) async fn check_submit(&self, spec: &JobSpec, request: &SubmitRequest) -> Result<Vec<Check>, Refusal> {
        if request.is_unchecked {
            return Ok(Vec::new());
        }
        let checks = match self.record(&spec.name.0) {
            // Adopted progress comes with its rows.
            Err(_) => self.handle.checked(spec, request.adopt).await,
            Ok(old) => match self.look_of_update(&old, spec, request) {
                Look::None => return Ok(Vec::new()),
                Look::Begins => self.handle.checked(spec, true).await,
                Look::GoesOn => self.handle.checked(spec, true).await.of_going_on(),
            },
        };
        let refusals = checks.refusals();
        if !refusals.is_empty() {
            return Err(Refusal::invalid(refusals));
        }
        Ok(checks.remarks())
    }

    /// An update that is refused for another reason needs no look.
    fn look_of_update(&self, old: &JobRecord, spec: &JobSpec, request: &SubmitRequest) -> Look {
        let json = serde_json::to_value(spec).expect("a spec has only text keys");
        let view = self.handle.view();
        if !request.update || !update_faults(old, &json, &view).is_empty() {
            return Look::None;
        }
        update_look(old, &json, &view)
    }
}
