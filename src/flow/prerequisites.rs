//! Refuses a job that its databases cannot carry, with every fault that can be seen at once and before anything is written.
//!
//! `source_start` asks it on the source side before a job without progress begins, `sink_flow` on the target side before it
//! takes the target over. What is checked stands in `mysql::preflight`; here is only what follows from it.

use crate::core::finding::{Finding, Severity, faults};
use crate::core::job_spec::JobSpec;
use crate::flow::error::FlowError;
use crate::mysql::error::Error;
use crate::mysql::preflight;
use crate::mysql::session::Session;

/// Refuses a source from which a copy or a stream would be wrong or impossible.
///
/// # Errors
/// `Refused` with all faults.
pub async fn source(session: &mut Session, spec: &JobSpec) -> Result<(), FlowError> {
    refuse(preflight::examine_source(session, spec).await?, Severity::Fail)
}

/// Refuses a target that cannot take the job.
///
/// # Errors
/// `Refused` with all faults; an error of the database when it cannot be asked.
pub async fn target(spec: &JobSpec) -> Result<(), FlowError> {
    let mut session = Session::connect(&spec.sink.endpoint).await?;
    let findings = preflight::examine_target(&mut session, spec).await;
    session.close().await;
    refuse(findings?, Severity::Fail)
}

/// An error of the target for want of a privilege becomes the list of all that is missing. What SHOW GRANTS says is only
/// believed once a statement failed: grants on single tables and by patterns are not read from it.
pub async fn with_missing_rights(error: FlowError, spec: &JobSpec) -> FlowError {
    if !matches!(&error, FlowError::Database(error) if is_missing_right(error)) {
        return error;
    }
    let asking = async {
        let mut session = Session::connect(&spec.sink.endpoint).await?;
        let findings = preflight::examine_target(&mut session, spec).await;
        session.close().await;
        refuse(findings?, Severity::Warn)
    };
    match asking.await {
        Err(FlowError::Refused(faults)) => FlowError::Refused(faults),
        _ => error,
    }
}

fn is_missing_right(error: &Error) -> bool {
    matches!(error.server_code(), Some(1044 | 1142 | 1143 | 1227 | 1370))
}

fn refuse(findings: Vec<Finding>, least: Severity) -> Result<(), FlowError> {
    let faults = faults(findings, least);
    if faults.is_empty() {
        return Ok(());
    }
    Err(FlowError::Refused(faults))
}
