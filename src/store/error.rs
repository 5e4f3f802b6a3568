//! What can be wrong with the files under data_dir.
//!
//! Made by `store`, shown by the command line at start and by the job table when a write fails. Nothing here is repaired
//! silently: the person who reads the fault decides, and a damaged file is never changed.

use std::path::PathBuf;

use thiserror::Error;

use crate::core::disposition::Disposition;
use crate::core::fault::Fault;

/// An error of the local store. In every case what was stored before is still there and unchanged.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// A second process has the file open. Nothing was read or written.
    #[error("`{path}` is open in another process")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a database, or its checksums are wrong. It was not changed.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What the check found.
        reason: String,
    },
    /// A newer program wrote the file. It was not changed.
    #[error("`{path}` has format {found}, this program reads up to {expected}")]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Format in the file.
        found: u64,
        /// Newest format this program knows.
        expected: u64,
    },
    /// The system refused to make, read or write a file.
    #[error("cannot {operation} `{path}`: {reason}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A write did not become durable; the old value holds. The disk may be full. The database takes no further write until
    /// it is opened again.
    #[error("cannot write to `{path}`: {reason}")]
    Write {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
}

impl StoreError {
    /// Returns what the error means for whoever met it: a person must act, always.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        Disposition::Fatal
    }

    /// Returns the error for people.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::InUse { path } => Fault::new(
                "PEER1601",
                shown(path),
                "another peer uses this data_dir",
                "one process per data_dir",
                "stop the other peer, or give this one its own `data_dir`",
            ),
            Self::Damaged { path, reason } => Fault::new(
                "PEER1602",
                shown(path),
                format!("a damaged file: {reason}"),
                "a peer database that passes its checks",
                format!(
                    "move the file away (mv {0} {0}.damaged) and start again; nothing is lost that is not elsewhere: the peer gets a \
                     new id, jobs come back from the other peers, positions are in the target databases. A peer that is \
                     alone needs its jobs submitted again",
                    path.display()
                ),
            ),
            Self::Newer { path, found, expected } => Fault::new(
                "PEER1603",
                shown(path),
                format!("format {found}, written by a newer program"),
                format!("format {expected} or older"),
                "start the newer program, or give this one an empty `data_dir`",
            ),
            Self::Io { operation, path, reason } => Fault::new(
                "PEER1604",
                shown(path),
                format!("cannot {operation}: {reason}"),
                "a folder this user may write to",
                "correct owner and mode of the folder, or set another `data_dir`",
            ),
            Self::Write { path, reason } => Fault::new(
                "PEER1605",
                shown(path),
                format!("cannot write: {reason}"),
                "a durable write",
                "look for a full or failing disk under `data_dir`, then start the peer again",
            ),
        }
    }
}

fn shown(path: &std::path::Path) -> String {
    format!("`{}`", path.display())
}
