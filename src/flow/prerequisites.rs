//! Refuses a job that its databases cannot carry, with every fault that can be seen at once and before anything is written.
//!
//! `sink_flow` asks it before it takes the target over; the peer that would run the source answers for its side
//! (`actors::incoming`), and looks again when it begins. What is checked stands in `mysql::preflight`; here is only what
//! follows from it.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::core::disposition::Disposition;
use crate::core::fault::Faults;
use crate::core::finding::{Finding, Severity, faults};
use crate::core::job_spec::JobSpec;
use crate::core::job_state::ErrorReport;
use crate::core::table_plan::{TablePlan, TablesPlan};
use crate::core::table_writers::Own;
use crate::flow::error::FlowError;
use crate::flow::sink_flow::{SinkArgs, SourcePeer};
use crate::mysql::error::Error;
use crate::mysql::preflight;
use crate::mysql::session::Session;
use crate::mysql::source::tables;
use crate::mysql::target::purge::read_fence;
use crate::wire::message::{Request, Response};

/// How long the source's peer may take to look at its side. Guess: some hundred tables, one query after the other.
const EXAMINE_LIMIT: Duration = Duration::from_secs(30);

/// Refuses a job on either side. The source of a job that the target does not know is looked at first of all: what is
/// refused leaves nothing on the target, not even peer's own schema.
///
/// # Errors
/// `Refused` with all faults of the target, or what the source's peer reported.
pub async fn of_new_job(args: &SinkArgs) -> Result<(), FlowError> {
    target(&args.spec).await?;
    if read_fence(&args.spec.sink, &args.job).await?.is_some() {
        return Ok(());
    }
    let Ok(peer) = (args.choose_source)(&[]) else {
        return Ok(());
    };
    let reported = timeout(EXAMINE_LIMIT, ask(args, &peer)).await;
    match reported {
        Ok(Ok(Some(report))) if report.class == Disposition::Fatal => Err(FlowError::Reported {
            peer: peer.id,
            report: Box::new(report),
        }),
        // Whatever else is wrong shows when the source is subscribed to, and is tried again there.
        other => {
            debug!(job = %args.job, peer = %peer.name, ?other, "source was looked at");
            Ok(())
        }
    }
}

async fn ask(args: &SinkArgs, peer: &SourcePeer) -> Result<Option<ErrorReport>, FlowError> {
    let spec_json = serde_json::to_string(&args.spec).expect("a spec has only text keys");
    let question = Request::ExamineSource { spec_json };
    Ok(match args.endpoint.ask(peer.addr, &question).await? {
        Response::Examined { report_json } => serde_json::from_str(&report_json).unwrap_or_default(),
        // A build that does not know the question.
        _ => None,
    })
}

/// Looks at the source of a job without progress, from a peer that may run it.
///
/// # Errors
/// As `source`, and when the database cannot be reached from here.
pub async fn examine_source(spec: &JobSpec) -> Result<(), FlowError> {
    let mut session = Session::connect(&spec.source.endpoint).await?;
    let examined = source(&mut session, spec).await;
    session.close().await;
    examined
}

/// The tables of a job as its source has them, from a peer that may run it. Changes nothing.
pub async fn plan_tables(spec: &JobSpec) -> TablesPlan {
    let looking = async {
        let mut session = Session::connect(&spec.source.endpoint).await?;
        let found = tables::mapped(&mut session, spec).await;
        session.close().await;
        found
    };
    match looking.await {
        Ok(Ok(shapes)) => TablesPlan {
            tables: Some(shapes.iter().map(TablePlan::of).collect()),
            faults: Vec::new(),
            own: shapes.iter().map(Own::of_shape).collect(),
        },
        Ok(Err(Faults(faults))) => TablesPlan::unknown(faults),
        Err(error) => TablesPlan::unknown(vec![error.fault()]),
    }
}

/// Refuses a source from which a copy or a stream would be wrong or impossible.
///
/// # Errors
/// `Refused` with all faults.
pub async fn source(session: &mut Session, spec: &JobSpec) -> Result<(), FlowError> {
    refuse(&preflight::examine_source(session, spec).await?, Severity::Fail)
}

/// Refuses a target that cannot take the job.
async fn target(spec: &JobSpec) -> Result<(), FlowError> {
    let mut session = Session::connect(&spec.sink.endpoint).await?;
    let findings = preflight::examine_target(&mut session, spec).await;
    session.close().await;
    refuse(&findings?, Severity::Fail)
}

/// An error of the target for want of a privilege becomes the list of all that is missing, also of what is only a risk: a
/// statement did fail.
pub async fn with_missing_rights(error: FlowError, spec: &JobSpec) -> FlowError {
    if !matches!(&error, FlowError::Database(error) if is_missing_right(error)) {
        return error;
    }
    let asking = async {
        let mut session = Session::connect(&spec.sink.endpoint).await?;
        let findings = preflight::examine_target(&mut session, spec).await;
        session.close().await;
        refuse(&findings?, Severity::Warn)
    };
    match asking.await {
        Err(FlowError::Refused(faults)) => FlowError::Refused(faults),
        _ => error,
    }
}

fn is_missing_right(error: &Error) -> bool {
    matches!(error.server_code(), Some(1044 | 1142 | 1143 | 1227 | 1370))
}

fn refuse(findings: &[Finding], least: Severity) -> Result<(), FlowError> {
    let faults = faults(findings, least);
    if faults.is_empty() {
        return Ok(());
    }
    Err(FlowError::Refused(faults))
}
