//! What a person can do about each way a database can fail us.
//!
//! Read with `mysql::error::Error`: shown behind its text. Decides nothing.

use crate::mysql::error::Error;

impl Error {
    /// What a person can do.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Unreachable { .. } => {
                "check host, port, firewall and that mysqld runs; the task moves to a peer that reaches it".into()
            }
            Self::Lost { .. } | Self::TimedOut { .. } => "nothing: it is tried again; look at the server if it stays".into(),
            Self::Server { code, .. } => server_fix(*code).into(),
            Self::Secret { .. } => "set the variable or file on this peer, or name another in the job".into(),
            Self::Tls { .. } => {
                "give the CA that signed the server's certificate (which must name the host), or set tls = \"required\" to accept any"
                    .into()
            }
            Self::Unexpected { .. } | Self::BadRow { .. } => "this is a bug or an unsupported server: report it with the version of the server".into(),
            Self::FenceLost { .. } => "nothing: another peer owns the task".into(),
            Self::FencedOut { .. } => {
                "nothing: this peer hears of the stop when it reaches the others; if all have heard and `peer resume` does not start the job, run `peer stop JOB --fence` and `peer resume JOB` once more"
                    .into()
            }
            Self::WrongPredecessor { .. } => "nothing: progress is read again; if it stays, the target was restored while the job ran".into(),
            Self::RowMismatch { gtid, .. } => mismatch_fix(gtid),
            Self::InTransaction { gtid, error } => format!(
                "{}; `peer skip JOB {gtid} --reason TEXT` and `peer restart JOB` pass the transaction over",
                error.fix()
            ),
            Self::Unsuitable { fix, .. } | Self::NotReplicable { fix, .. } => fix.clone(),
            Self::DdlFailed { .. } => {
                "do by hand on the target what the statement asks, in any way that gives its tables the definition they have on the source, or take away what is in its way; then `peer restart`".into()
            }
            Self::DdlUnclear { table, .. } => format!(
                "give {table} on the target the definition that is expected, or the one it had before; then `peer restart`, which goes on behind the statement or runs it"
            ),
            Self::DdlWaits { .. } => {
                "`peer restart` carries it out; or do by hand on the target what it asks and then `peer restart`, which finds it done".into()
            }
            Self::NotSkippable { .. } => {
                "`peer restart JOB` carries it out all the same; or do by hand on the target what it asks, in any way that gives its tables the definition they have on the source, and then `peer restart JOB`, which finds it done".into()
            }
            Self::BrokenStream { .. } => "nothing: it is read again; if it stays, the binlog file on the source is damaged".into(),
            Self::ForeignProgress { .. } => "resume from it with `peer submit FILE --adopt`, or forget it with `peer purge JOB --target`".into(),
        }
    }
}

fn mismatch_fix(gtid: &str) -> String {
    let skip = match gtid {
        "" => String::new(),
        gtid => format!("; or pass the transaction over with `peer skip JOB {gtid} --reason TEXT` first"),
    };
    format!(
        "`peer conflicts JOB` shows both rows: make the target's row what it was on the source, and `peer resume JOB`{skip}. \
         Somebody else writes to the target, or it was changed while the job stood"
    )
}

fn server_fix(code: u16) -> &'static str {
    match code {
        1045 | 1698 => "check user and password of the endpoint, and that the account may log in from this host",
        1044 | 1142 | 1143 | 1227 | 1370 => "grant the account the privilege the text names",
        1049 => "create the database, or correct its name in the job",
        1040 | 1203 => "raise max_connections, or wait: it is tried again",
        1129 | 1130 => "allow this peer's host for the account; the task moves to a peer that is let in",
        1205 | 1213 => "nothing: it is tried again; if it stays, find who holds the locks on the target",
        1290 | 1836 => "the server is read only: point the endpoint at the writable one, or wait for the switch to end",
        1021 | 1114 => "make room on the server's disk: it is tried again",
        1153 => "raise max_allowed_packet on the server",
        _ => "look the number up in the server's manual; the server's text says what it refused",
    }
}
