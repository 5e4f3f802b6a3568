//! What can be wrong with bytes from another peer, and with bytes that are too big to send.
//!
//! Returned by every file of `wire`; `transport` and `flow` wrap it. Bad bytes are never a panic: the stream they came
//! from is given up and opened anew.

use thiserror::Error;

use crate::core::disposition::Disposition;

/// Bytes that do not hold what they should. Nothing was changed; the stream they came from is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// More bytes than the limit of their kind, found before anything was allocated. The sender must cut smaller.
    #[error("{what} has {found} bytes, expected at most {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Fewer bytes than announced.
    #[error("{what} ended after {found} bytes, expected {expected}")]
    Truncated {
        /// What ended early.
        what: &'static str,
        /// Bytes there were.
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// Bytes behind the end of a value.
    #[error("{what} ended after {consumed} bytes but {found} were sent")]
    Trailing {
        /// What the bytes belong to.
        what: &'static str,
        /// Bytes the value took.
        consumed: usize,
        /// Bytes there were.
        found: usize,
    },
    /// The bytes changed on their way.
    #[error("checksum of a frame is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Computed from the bytes that came.
        found: u32,
        /// Sent in the header.
        expected: u32,
    },
    /// A layout that this build does not know.
    #[error("{what} version is {found}, expected {expected}")]
    Version {
        /// Which layout.
        what: &'static str,
        /// The version that came.
        found: u8,
        /// The version this build speaks.
        expected: u8,
    },
    /// A well-formed frame that does not belong here.
    #[error("frame kind is {found}, expected {expected} ({name})")]
    Kind {
        /// The kind that came.
        found: u8,
        /// The kind that was waited for.
        expected: u8,
        /// Name of the expected kind.
        name: &'static str,
    },
    /// The compressed bytes do not give the announced original.
    #[error("compressed bytes are damaged: {reason}")]
    Compressed {
        /// What is wrong with them.
        reason: String,
    },
    /// The bytes of a value cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// Why it cannot be.
        reason: String,
    },
}

impl WireError {
    /// Another version never heals by itself; anything else is gone with the stream it came from.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Version { .. } | Self::TooLong { .. } => Disposition::Replace,
            _ => Disposition::Retry,
        }
    }
}
