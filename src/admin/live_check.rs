//! What `Live` does for `check`, and for a submit of a new job, which is checked first.
//!
//! `actors::check` asks the peers; here is only what follows from the report: a new job that its databases cannot carry is refused
//! with all faults, one that lacks a peer is taken and waits.

use crate::admin::cluster::SubmitRequest;
use crate::admin::live::Live;
use crate::admin::refusal::Refusal;
use crate::admin::views::CheckView;
use crate::config::job::parse_job;
use crate::core::check::Check;
use crate::core::job_spec::JobSpec;

impl Live {
    /// Every prerequisite of a job.
    pub(super) async fn check_text(&self, text: &str) -> Result<CheckView, Refusal> {
        let spec = parse_job(text).map_err(Refusal::invalid)?;
        let is_known = self.record(&spec.name.0).is_ok();
        let checks = self.handle.checked(&spec, is_known).await;
        Ok(CheckView::of(&spec.name.0, &self.handle.me.name, checks))
    }

    /// Refuses a new job that its databases cannot carry; returns what a person should know of one that they can.
    pub(super) async fn check_new(&self, spec: &JobSpec, request: &SubmitRequest) -> Result<Vec<Check>, Refusal> {
        if request.is_unchecked || self.record(&spec.name.0).is_ok() {
            return Ok(Vec::new());
        }
        // Adopted progress comes with its rows.
        let checks = self.handle.checked(spec, request.adopt).await;
        let refusals = checks.refusals();
        if !refusals.is_empty() {
            return Err(Refusal::invalid(refusals));
        }
        Ok(checks.remarks())
    }
}
