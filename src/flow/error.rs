//! Every way a flow ends other than by its own stop, by what the task above must do about it.
//!
//! Made by the stages of both flows. The actor acts on `disposition()` alone; people read `report()`.

use std::time::Duration;

use thiserror::Error;

use crate::core::disposition::Disposition;
use crate::core::fault::{Fault, Faults};
use crate::core::ids::NodeId;
use crate::core::job_failure::COMPLETED;
use crate::core::job_state::ErrorReport;
use crate::core::net_effect::FoldError;
use crate::flow::byte_channel::Closed;
use crate::mysql;
use crate::store::StoreError;
use crate::transport::error::TransportError;
use crate::wire::error::WireError;

/// An error of a flow. What was not committed in the target is read again from the progress row.
#[derive(Debug, Error)]
pub enum FlowError {
    /// A database failed.
    #[error(transparent)]
    Database(#[from] mysql::error::Error),
    /// The connection between the peers failed; the stream is gone.
    #[error(transparent)]
    Link(#[from] TransportError),
    /// Bytes from the other peer cannot be read; the stream is of no use any more.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The source task ended and said why.
    #[error("the source task at `{peer}` ended: {}", .report.text)]
    Reported {
        /// Who ran it.
        peer: NodeId,
        /// What it said.
        report: Box<ErrorReport>,
    },
    /// No frame for too long on a stream that should carry one each second.
    #[error("nothing came from the other peer for {limit:?}, expected a frame each second")]
    Silent {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The other peer closed the stream without a reason.
    #[error("the stream ended while {while_}")]
    Ended {
        /// What was under way.
        while_: &'static str,
    },
    /// A stage ended before the one that feeds it; its own error tells why.
    #[error(transparent)]
    StageEnded(#[from] Closed),
    /// No source peer is reached from here, but another peer reaches one and the target: the sink had better run there.
    #[error("no peer of the source is reached from here, `{peer}` reaches one and the target")]
    GivesWay {
        /// The name of that peer.
        peer: String,
    },
    /// An item stands where it must not. Nothing of it was applied.
    #[error("found {found} in the sequence, expected {expected}")]
    OutOfOrder {
        /// What came.
        found: String,
        /// What should have come.
        expected: &'static str,
    },
    /// A row or a piece of the copy is larger than a frame of the link.
    #[error("{what} takes {bytes} bytes, expected at most {bytes_max}")]
    TooLarge {
        /// What does not fit.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Prepared XA transactions have more rows than may wait on disk; nothing of them was passed on.
    #[error("the rows of prepared XA transactions, those of `{gtid}` the last, take more than {bytes_max} bytes on disk")]
    XaTooLarge {
        /// Which was being read.
        gtid: String,
        /// The limit for all together.
        bytes_max: u64,
    },
    /// A file of this peer failed. What it held is read from the source again.
    #[error("{}", in_words(&.0.fault().into()))]
    Store(#[from] StoreError),
    /// The job or its databases do not have the form they must have; every fault that could be seen. Nothing was changed.
    #[error("{}", in_words(.0))]
    Refused(Faults),
    /// The copy is complete, and the job was to do nothing else.
    #[error("every table is copied, and the job ends with its copy")]
    Completed,
    /// The flow did not come to its end in time after it was told to stop; it was cut off. Nothing is half committed.
    #[error("stopping took longer than {limit:?}")]
    StopTimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The flow panicked or its actor died: a bug, or input it could not survive. Nothing is half committed.
    #[error("the task died: {reason}")]
    Died {
        /// What is known.
        reason: String,
    },
}

impl From<Fault> for FlowError {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.into())
    }
}

impl From<FoldError> for FlowError {
    fn from(error: FoldError) -> Self {
        let reason = std::error::Error::source(&error)
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        Self::out_of_order(format!("{error}{reason}"), "changes that follow each other")
    }
}

impl FlowError {
    /// An item stands where it must not.
    #[must_use]
    pub fn out_of_order(found: impl Into<String>, expected: &'static str) -> Self {
        Self::OutOfOrder {
            found: found.into(),
            expected,
        }
    }

    /// What the task must do.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Database(error) => error.disposition(),
            Self::Link(error) => error.disposition(),
            Self::Wire(error) => error.disposition(),
            Self::Reported { report, .. } => report.class,
            Self::Silent { .. } | Self::Ended { .. } | Self::StageEnded(_) | Self::StopTimedOut { .. } | Self::Died { .. } => {
                Disposition::Retry
            }
            Self::OutOfOrder { .. } | Self::TooLarge { .. } | Self::Refused(_) | Self::Completed => Disposition::Fatal,
            Self::GivesWay { .. } => Disposition::Replace,
            Self::XaTooLarge { .. } => Disposition::Fatal,
            Self::Store(error) => error.disposition(),
        }
    }

    /// Stable number of this kind of error.
    #[must_use]
    pub fn code(&self) -> String {
        let code = match self {
            Self::Database(error) => error.code(),
            Self::Link(error) => return error.fault().code,
            Self::Reported { report, .. } => &report.code,
            Self::Refused(faults) => faults.0.first().map_or("PEER1405", |fault| &fault.code),
            Self::Wire(_) => crate::transport::error::BYTES,
            Self::Completed => COMPLETED,
            Self::Silent { .. } => "PEER1403",
            Self::Ended { .. } | Self::StageEnded(_) => "PEER1404",
            Self::OutOfOrder { .. } => "PEER1405",
            Self::TooLarge { .. } => "PEER1406",
            Self::StopTimedOut { .. } => "PEER1407",
            Self::Died { .. } => "PEER1408",
            Self::GivesWay { .. } => "PEER1409",
            Self::XaTooLarge { .. } => "PEER1410",
            Self::Store(error) => return error.fault().code,
        };
        code.to_owned()
    }

    /// What a person can do.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Database(error) => error.fix(),
            Self::Reported { report, .. } => report.fix.clone(),
            Self::Refused(faults) => joined(faults, |fault| fault.fix.clone()),
            Self::Link(error) => error.fault().fix,
            Self::Silent { .. } | Self::Ended { .. } | Self::StageEnded(_) | Self::StopTimedOut { .. } => {
                "nothing: it is tried again; look at the network between the two peers if it stays".into()
            }
            Self::Wire(_) | Self::OutOfOrder { .. } | Self::Died { .. } => {
                "this is a bug or a mix of versions: report it with `peer version` of both peers".into()
            }
            Self::Completed => {
                "nothing; `peer purge` forgets the job, another one with start = { gtid = … } goes on from here".into()
            }
            Self::GivesWay { .. } => {
                "nothing: the sink moves; look at the network between this peer and the source's site".into()
            }
            Self::XaTooLarge { .. } => "end prepared transactions with XA COMMIT or XA ROLLBACK, then `peer restart`".into(),
            Self::Store(error) => error.fault().fix,
            Self::TooLarge { .. } => "exclude the table, or keep its rows below the limit".into(),
        }
    }

    /// The error as people see it; `at` is the wall clock, RFC 3339 UTC.
    #[must_use]
    pub fn report(&self, at: String) -> ErrorReport {
        ErrorReport {
            at,
            class: self.disposition(),
            code: self.code(),
            text: self.to_string(),
            fix: self.fix(),
            faults: match self {
                Self::Refused(faults) => faults.0.clone(),
                Self::Reported { report, .. } => report.faults.clone(),
                _ => Vec::new(),
            },
        }
    }
}

/// All faults in one line.
fn in_words(faults: &Faults) -> String {
    joined(faults, |fault| {
        format!("{}: found {}, expected {}", fault.object, fault.found, fault.expected)
    })
}

fn joined(faults: &Faults, part: impl Fn(&Fault) -> String) -> String {
    let parts: Vec<String> = faults.0.iter().map(part).filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_reported_keeps_its_class_code_and_fix() {
        let report = ErrorReport {
            at: "2026-01-01T00:00:00Z".into(),
            class: Disposition::Fatal,
            code: "PEER1305".into(),
            text: "binlog purged".into(),
            fix: "copy again".into(),
            faults: Vec::new(),
        };
        let error = FlowError::Reported {
            peer: NodeId("a".into()),
            report: Box::new(report),
        };
        assert_eq!(error.disposition(), Disposition::Fatal);
        let again = error.report("2026-01-01T00:00:01Z".into());
        assert_eq!((again.code.as_str(), again.fix.as_str()), ("PEER1305", "copy again"));
        assert!(again.text.contains("binlog purged"));
    }

    #[test]
    fn a_refusal_names_every_fault_and_every_fix() {
        let fault = |object: &str| Fault::new("PEER1354", object, "OFF", "ON", format!("SET {object} = ON"));
        let error = FlowError::Refused(Faults(vec![fault("a"), fault("b")]));
        let report = error.report(String::new());
        assert_eq!(report.text, "a: found OFF, expected ON; b: found OFF, expected ON");
        assert_eq!((report.fix.as_str(), report.faults.len()), ("SET a = ON; SET b = ON", 2));
    }

    #[test]
    fn a_dead_link_is_tried_again() {
        assert_eq!(
            FlowError::Silent {
                limit: Duration::from_secs(5)
            }
            .disposition(),
            Disposition::Retry
        );
        assert_eq!(FlowError::from(Closed).disposition(), Disposition::Retry);
    }
}
