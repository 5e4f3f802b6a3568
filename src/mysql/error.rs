//! Every way a database can fail us, by what the task must do about it.
//!
//! Made by sessions and by everything above them in `mysql`; `flow` and the actors act on `disposition()` alone, people
//! read `fault()`. No variant holds row data or a password.

use std::time::Duration;

use thiserror::Error;

use crate::core::disposition::Disposition;
use crate::core::fault::Fault;
use crate::core::ids::Epoch;

/// An error of one database.
#[derive(Debug, Error)]
pub enum Error {
    /// No connection could be made; another peer may reach it.
    #[error("cannot reach the database at `{address}`: {reason}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The connection broke; what was in flight has an unknown outcome, the session is useless.
    #[error("connection to `{address}` lost: {reason}")]
    Lost {
        /// `host:port`.
        address: String,
        /// What the driver said.
        reason: String,
    },
    /// No answer in time; what was in flight has an unknown outcome, the session is useless.
    #[error("no answer from `{address}` within {limit:?} to {operation}")]
    TimedOut {
        /// `host:port`.
        address: String,
        /// What was asked.
        operation: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The server refused a statement.
    #[error("`{address}` answered error {code} to {operation}: {message}")]
    Server {
        /// `host:port`.
        address: String,
        /// What was asked.
        operation: &'static str,
        /// The server's error number.
        code: u16,
        /// The server's text.
        message: String,
    },
    /// The variable or file that should hold the password cannot be read here; another peer may have it.
    #[error("no password for `{user}` at `{address}`: {reason}")]
    Secret {
        /// `host:port`.
        address: String,
        /// The account.
        user: String,
        /// Which variable or file, and what is wrong with it.
        reason: String,
    },
    /// TLS as configured is not possible.
    #[error("no TLS to `{address}` as configured: {reason}")]
    Tls {
        /// `host:port`.
        address: String,
        /// What failed.
        reason: String,
    },
    /// A value the server sent does not have the form it must have.
    #[error("`{address}` sent {found} where {expected} was expected")]
    Unexpected {
        /// `host:port`.
        address: String,
        /// What came.
        found: String,
        /// What should have come.
        expected: String,
    },
    /// The fence row names a newer epoch: somebody else owns the job. Nothing was committed.
    #[error("epoch {held} of the fence is over, found {found:?}")]
    FenceLost {
        /// The epoch this task held.
        held: Epoch,
        /// The row's epoch; None when it is gone (the job was purged).
        found: Option<Epoch>,
    },
    /// `stop --fence` ended the job in the target, and this peer has not heard of it. Nothing was changed.
    #[error("the fence was shut at epoch {epoch} by `{by}`, which this peer has not heard of")]
    FencedOut {
        /// The row's epoch.
        epoch: Epoch,
        /// Where it was asked.
        by: String,
    },
    /// Progress is not at the group before this one although the epoch is ours: the target was restored, or a bug.
    /// Nothing was committed; acquire again.
    #[error("progress is not where epoch {held} left it")]
    WrongPredecessor {
        /// The epoch, which is still ours.
        held: Epoch,
    },
    /// A row was missing, there although it should not be, or another one. Nothing of its transaction is on the target; what was
    /// before it is. It is recorded in the target.
    #[error("{table}: {expectation}, key {key}{}", in_transaction_text(.gtid, *.others))]
    RowMismatch {
        /// `schema.table`.
        table: String,
        /// What was expected and what was found.
        expectation: String,
        /// The key as SQL, or what is known of it.
        key: String,
        /// The transaction on the source; empty: a row of the copy.
        gtid: String,
        /// Other conflicts of the same transaction.
        others: u64,
    },
    /// The target refused a row. Nothing of its transaction is on the target; what was before it is.
    #[error("transaction {gtid} on the source: {error}")]
    InTransaction {
        /// The transaction.
        gtid: String,
        /// What the server said.
        error: Box<Self>,
    },
    /// The target does not have the form that the job needs.
    #[error("{object}: found {found}, expected {expected}")]
    Unsuitable {
        /// What it is about.
        object: String,
        /// What is there.
        found: String,
        /// What is needed.
        expected: String,
        /// What to do.
        fix: String,
    },
    /// The target holds progress of another job of this name.
    #[error("{text}")]
    ForeignProgress {
        /// Whose, since when, and what to do.
        text: String,
    },
    /// The binlog holds something that this version must not apply. Nothing of the transaction was committed; a person acts.
    #[error("transaction {gtid} on the source: found {found}, expected {expected}")]
    NotReplicable {
        /// The transaction, `none` between two.
        gtid: String,
        /// What is there, with the statement's text.
        found: String,
        /// What can be applied.
        expected: String,
        /// What to do.
        fix: String,
    },
    /// Nobody can tell whether a change of definitions was run before its owner died; nothing was done since. A person acts.
    #[error(
        "transaction {gtid} on the source, `{statement}`, was begun: table {table} of the target is neither as before it nor as after it, \
         found {found}, expected {expected}"
    )]
    DdlUnclear {
        /// The transaction.
        gtid: String,
        /// Its text.
        statement: String,
        /// The table.
        table: String,
        /// Its definition on the target.
        found: String,
        /// The one that the statement makes.
        expected: String,
    },
    /// The target refused a change of definitions that the source made. Its other steps may be done; a person acts.
    #[error("transaction {gtid} on the source, `{statement}`: the target answered {reason}")]
    DdlFailed {
        /// The transaction.
        gtid: String,
        /// Its text.
        statement: String,
        /// What the target says.
        reason: String,
    },
    /// `on_ddl` says that a person decides about this change. Nothing of it is done.
    #[error("transaction {gtid} on the source, `{statement}`, waits: `on_ddl` says pause for {kind}")]
    DdlWaits {
        /// The transaction.
        gtid: String,
        /// Its text.
        statement: String,
        /// What `on_ddl` calls it.
        kind: &'static str,
    },
    /// A person passed over a change of definitions without which the rows behind it cannot be applied. Nothing of it is done.
    #[error("transaction {gtid} on the source, `{statement}`, cannot be passed over: {reason}")]
    NotSkippable {
        /// The transaction.
        gtid: String,
        /// Its text.
        statement: String,
        /// What would be wrong behind it.
        reason: String,
    },
    /// The binlog stream is damaged or lacks events. Nothing of the transaction was committed; read it again.
    #[error("binlog stream of `{address}` at transaction {gtid}: {reason}")]
    BrokenStream {
        /// `host:port`.
        address: String,
        /// The open transaction, `none` between two.
        gtid: String,
        /// What is wrong.
        reason: String,
    },
    /// A row or shape cannot be read: a bug, or a row image that is not FULL.
    #[error("{table}: cannot read a row: {reason}")]
    BadRow {
        /// `schema.table`.
        table: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What the task must do.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable { .. } | Self::Secret { .. } => Disposition::Replace,
            Self::Lost { .. } | Self::TimedOut { .. } | Self::WrongPredecessor { .. } | Self::BrokenStream { .. } => {
                Disposition::Retry
            }
            Self::Server { code, .. } => server_disposition(*code),
            Self::InTransaction { error, .. } => error.disposition(),
            Self::FenceLost { .. } | Self::FencedOut { .. } => Disposition::Superseded,
            Self::Tls { .. }
            | Self::Unexpected { .. }
            | Self::RowMismatch { .. }
            | Self::Unsuitable { .. }
            | Self::ForeignProgress { .. }
            | Self::NotReplicable { .. }
            | Self::DdlFailed { .. }
            | Self::DdlUnclear { .. }
            | Self::DdlWaits { .. }
            | Self::NotSkippable { .. }
            | Self::BadRow { .. } => Disposition::Fatal,
        }
    }

    /// A row that the server refuses, with the transaction it came in; any other error as it is.
    #[must_use]
    pub fn in_transaction(self, gtid: &str) -> Self {
        let is_about_rows = matches!(&self, Self::Server { code, .. } if !RIGHTS.contains(code));
        if gtid.is_empty() || !is_about_rows || self.disposition() != Disposition::Fatal {
            return self;
        }
        Self::InTransaction {
            gtid: gtid.to_owned(),
            error: Box::new(self),
        }
    }

    /// The server's error number, when the server answered.
    #[must_use]
    pub fn server_code(&self) -> Option<u16> {
        match self {
            Self::Server { code, .. } => Some(*code),
            Self::InTransaction { error, .. } => error.server_code(),
            _ => None,
        }
    }

    /// The session cannot be used any more; the outcome of what was in flight is unknown.
    #[must_use]
    pub fn is_connection_gone(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => true,
            Self::Server { code, .. } => CONNECTION_ENDS.contains(code),
            _ => false,
        }
    }

    /// A lock wait ended or a deadlock was broken: the same work may succeed now.
    #[must_use]
    pub fn is_lock_conflict(&self) -> bool {
        matches!(self.server_code(), Some(1205 | 1213))
    }

    /// Stable number of this kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "PEER1301",
            Self::Lost { .. } => "PEER1302",
            Self::TimedOut { .. } => "PEER1303",
            Self::Server { code, .. } => match code {
                1045 | 1698 => "PEER1304",
                code if RIGHTS.contains(code) => "PEER1305",
                1049 => "PEER1306",
                1205 | 1213 => "PEER1307",
                _ => "PEER1308",
            },
            Self::InTransaction { error, .. } => error.code(),
            Self::Secret { .. } => "PEER1309",
            Self::Tls { .. } => "PEER1310",
            Self::Unexpected { .. } => "PEER1311",
            Self::FenceLost { .. } => "PEER1312",
            Self::WrongPredecessor { .. } => "PEER1313",
            Self::RowMismatch { .. } => "PEER1314",
            Self::Unsuitable { .. } => "PEER1315",
            Self::ForeignProgress { .. } => "PEER1316",
            Self::BadRow { .. } => "PEER1317",
            Self::NotReplicable { .. } => "PEER1318",
            Self::BrokenStream { .. } => "PEER1319",
            Self::FencedOut { .. } => "PEER1320",
            Self::DdlFailed { .. } | Self::DdlUnclear { .. } => "PEER1321",
            Self::DdlWaits { .. } => "PEER1322",
            Self::NotSkippable { .. } => "PEER1371",
        }
    }

    /// The error as a person reads it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let object = match self {
            Self::Unreachable { address, .. }
            | Self::Lost { address, .. }
            | Self::TimedOut { address, .. }
            | Self::Server { address, .. }
            | Self::Secret { address, .. }
            | Self::Tls { address, .. }
            | Self::Unexpected { address, .. }
            | Self::BrokenStream { address, .. } => format!("database {address}"),
            Self::FenceLost { .. } | Self::FencedOut { .. } | Self::WrongPredecessor { .. } | Self::ForeignProgress { .. } => {
                "target".into()
            }
            Self::RowMismatch { table, .. } | Self::BadRow { table, .. } => format!("table {table}"),
            Self::Unsuitable { object, .. } => object.clone(),
            Self::InTransaction { gtid, .. }
            | Self::NotReplicable { gtid, .. }
            | Self::DdlFailed { gtid, .. }
            | Self::DdlUnclear { gtid, .. }
            | Self::NotSkippable { gtid, .. }
            | Self::DdlWaits { gtid, .. } => {
                format!("transaction {gtid}")
            }
        };
        let (found, expected) = match self {
            Self::Unsuitable { found, expected, .. } | Self::NotReplicable { found, expected, .. } => {
                (found.clone(), expected.clone())
            }
            other => (other.to_string(), String::new()),
        };
        Fault::new(self.code(), object, found, expected, self.fix())
    }
}

fn in_transaction_text(gtid: &str, others: u64) -> String {
    let of = match gtid {
        "" => ", in the copy".to_owned(),
        gtid => format!(", in transaction {gtid}"),
    };
    match others {
        0 => of,
        others => format!("{of}, which has {others} more that do not fit"),
    }
}

/// The account lacks a privilege.
pub(super) const RIGHTS: [u16; 5] = [1044, 1142, 1143, 1227, 1370];

/// Server errors after which the server closes the connection.
/// The network errors 1158 to 1161 are the server's last words on a connection too.
const CONNECTION_ENDS: [u16; 12] = [1053, 1077, 1158, 1159, 1160, 1161, 1317, 1927, 2006, 2013, 3169, 4031];

fn server_disposition(code: u16) -> Disposition {
    match code {
        // 1040 too many connections, 1203 too many of this user, 1205 lock wait, 1213 deadlock, 1129 host blocked,
        // 1290/1836/1792/3100/3101 read only or a hook refused (a switch is going on), 3024 time limit of a query, 1021/1114 disk
        // or table full (it ends when somebody makes room), 1037/1041/1135 out of memory or threads, 1180 a commit failed, 1206 lock table full, 1226 a limit of the account, 1637 undo slots,
        // 3032 offline mode, 3168 the server is not up yet.
        1021 | 1037 | 1040 | 1041 | 1114 | 1135 | 1180 | 1203 | 1205 | 1206 | 1213 | 1226 | 1290 | 1637 | 1792 | 1836 => {
            Disposition::Retry
        }
        3024 | 3032 | 3100 | 3101 | 3168 => Disposition::Retry,
        code if CONNECTION_ENDS.contains(&code) => Disposition::Retry,
        // The server does not let this host in: another peer's host may be allowed.
        1129 | 1130 => Disposition::Replace,
        _ => Disposition::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> Error {
        Error::Server {
            address: "h:1".into(),
            operation: "test",
            code,
            message: "no".into(),
        }
    }

    #[test]
    fn a_lock_wait_is_tried_again_and_a_wrong_password_is_not() {
        for code in [1040, 1205, 1213, 2006, 2013] {
            assert_eq!(server(code).disposition(), Disposition::Retry, "{code}");
        }
        for code in [1044, 1045, 1049, 1142, 1227] {
            assert_eq!(server(code).disposition(), Disposition::Fatal, "{code}");
        }
    }

    #[test]
    fn an_unreachable_database_moves_the_task_and_a_lost_fence_ends_it() {
        let unreachable = Error::Unreachable {
            address: "h:1".into(),
            reason: "refused".into(),
        };
        assert_eq!(unreachable.disposition(), Disposition::Replace);
        let lost = Error::FenceLost {
            held: Epoch(3),
            found: Some(Epoch(4)),
        };
        assert_eq!(lost.disposition(), Disposition::Superseded);
    }

    #[test]
    fn a_missing_privilege_says_what_to_do() {
        assert_eq!(server(1142).code(), "PEER1305");
        assert!(server(1142).fix().contains("grant"));
        assert!(server(1045).fix().contains("password"));
    }
}
