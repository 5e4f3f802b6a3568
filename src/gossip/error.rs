//! What gossip and the exchange of the job table refuse.
//!
//! Made here and in `keys`, `membership`, `table_sync`; the callers log them or hand them to the person who asked. No error
//! here stops gossip: a fact that is refused leaves the old one in place.

use std::time::Duration;

use thiserror::Error;

use crate::core::disposition::Disposition;
use crate::core::fault::Fault;
use crate::transport::error::TransportError;

/// An error of gossip or of the table exchange.
#[derive(Debug, Error)]
pub enum GossipError {
    /// One value is too long to be gossiped: it would block every later key of this peer. Nothing was published.
    #[error("the value of `{key}` has {found} bytes, at most {expected} can be gossiped")]
    ValueTooLong {
        /// The key.
        key: String,
        /// Bytes of the value.
        found: usize,
        /// Most bytes.
        expected: usize,
    },
    /// A key holds bytes that the gossip library cannot take. Nothing was published.
    #[error("gossip key `{key}` is not printable ASCII")]
    BadKey {
        /// The key.
        key: String,
    },
    /// All facts of this peer together are too long. Nothing was published.
    #[error("all facts of this peer would have {found} bytes, at most {expected} can be gossiped")]
    TotalTooLong {
        /// Bytes of all keys and values.
        found: usize,
        /// Most bytes.
        expected: usize,
    },
    /// A peer did not follow the exchange. What was merged before stays merged.
    #[error("table exchange: found {found}, expected {expected}")]
    Protocol {
        /// What came.
        found: &'static str,
        /// What should have come.
        expected: &'static str,
    },
    /// A peer was silent during an exchange. What was merged before stays merged.
    #[error("table exchange: no answer within {after:?}")]
    Silent {
        /// How long it was waited for.
        after: Duration,
    },
    /// A table, ours or the peer's, holds more jobs than an exchange takes. Nothing was exchanged.
    #[error("a job table of {found} records, at most {expected} can be exchanged")]
    TableTooLong {
        /// Records.
        found: usize,
        /// Most records.
        expected: usize,
    },
    /// The link failed. What was merged before stays merged; the next exchange finds the rest.
    #[error("table exchange: link failed")]
    Transport(#[from] TransportError),
}

impl GossipError {
    /// Returns what the error means: an exchange is tried again, a fact that is too long needs a person.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Protocol { .. } | Self::Silent { .. } | Self::Transport(_) => Disposition::Retry,
            Self::ValueTooLong { .. } | Self::BadKey { .. } | Self::TotalTooLong { .. } | Self::TableTooLong { .. } => {
                Disposition::Fatal
            }
        }
    }

    /// Returns the error for people.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::ValueTooLong { key, found, expected } => Fault::new(
                "PEER1651",
                format!("`{key}` of this peer"),
                format!("{found} bytes"),
                format!("at most {expected} bytes"),
                "shorten it in cluster.toml",
            ),
            Self::BadKey { key } => Fault::new(
                "PEER1652",
                format!("gossip key `{key}`"),
                "characters other than printable ASCII",
                "printable ASCII",
                "rename it",
            ),
            Self::TotalTooLong { found, expected } => Fault::new(
                "PEER1653",
                "what this peer tells about itself",
                format!("{found} bytes"),
                format!("at most {expected} bytes"),
                "shorten `meta` in cluster.toml, or run fewer tasks on this peer (`capacity`)",
            ),
            Self::Protocol { .. } | Self::Silent { .. } => Fault::new(
                "PEER1654",
                "exchange of the job table",
                self.to_string(),
                "an exchange that ends",
                "nothing: it is tried again within seconds; look at that peer's log if it stays",
            ),
            Self::TableTooLong { found, expected } => Fault::new(
                "PEER1655",
                "exchange of the job table",
                format!("{found} jobs, purged ones included"),
                format!("at most {expected}"),
                "use fewer job names in one cluster",
            ),
            Self::Transport(error) => error.fault(),
        }
    }
}
