//! Runs one group as one transaction: its statements with their counts checked, then the turn.
//!
//! Used by `writer`, which decides what a failure means. A small group goes as one packet in which a guard behind every
//! statement stops the server before the COMMIT; a larger one goes in several, checked here before the turn is sent.
//! After any failure that leaves the connection the transaction is rolled back.

use std::time::Duration;

use crate::core::job_spec::DatabaseSpec;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::target::packet::{Packet, PacketError};
use crate::mysql::target::row_events::{format_description, is_row_event};
use crate::mysql::target::spill::spill;
use crate::mysql::target::statement::{ANY_COUNT, STATEMENT_ROWS_MAX, Statement, StatementLimits};
use crate::mysql::target::turn::{TURN_LIMIT, guard_statement};

/// Bytes of one packet: beyond it a round trip costs nothing compared to the work (facts/apply c: 0.3–1.5 MB is the plateau).
const PACKET_BYTES: usize = 1 << 20;
/// Statements of one packet: each of a table without a key reads the whole table, and the packet's answers are waited for
/// together (guess: up to 2 s each in a turn, 7 s each before it).
const PACKET_STATEMENTS_MAX: usize = 16;
/// Longest wait for the answers to a packet of row statements (guess; locks end after 2 s each).
pub(super) const ROWS_LIMIT: Duration = Duration::from_secs(120);
/// Rows of one step when a table is emptied (guess: a second or two; the call is bounded at 60 s).
const EMPTY_ROWS: u64 = 50_000;
/// F24: strict, but zero dates and `2020-02-31` are values a source may hold, and 0 is no wish for a new number.
/// CLIENT_FOUND_ROWS is off: an update that changes nothing must count 0. With the range settings a DELETE of 1,000 keys
/// stays on its index. A transaction whose owner is gone ends after 20 s.
const APPLY_SETTINGS: &str = "SET NAMES utf8mb4; \
    SET SESSION transaction_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = 2, lock_wait_timeout = 10, autocommit = 1, \
    foreign_key_checks = 0, unique_checks = 1, \
    sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', \
    wait_timeout = 20, net_write_timeout = 30, range_optimizer_max_mem_size = 0, eq_range_index_dive_limit = 0, \
    group_concat_max_len = 1073741824";

/// The description of events leaves the session without a GTID for its next transaction. A row that is there already is an error.
const GTID_AND_STRICT: &str = "SET SESSION gtid_next = 'AUTOMATIC', SESSION rbr_exec_mode = 'STRICT'";

/// Errors that appliers of the server pass over, by the name of either age.
const SKIPPED_ERRORS: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('replica_skip_errors', 'slave_skip_errors')";

/// The one connection that writes rows.
#[derive(Debug)]
pub struct ApplySession {
    session: Session,
    packet_bytes_max: usize,
    /// The server takes row events from it; None: not asked yet.
    takes_row_events: Option<bool>,
}

/// Why a group was not committed; it was rolled back unless the connection is gone.
#[derive(Debug)]
pub enum Failure {
    /// The turn was refused: fence, predecessor or a wait for their locks.
    Turn(Error),
    /// A row statement failed, or its count is wrong (`error` is None).
    Statement {
        /// Its index.
        at: usize,
        /// What the server said.
        error: Option<Error>,
        /// Rows it affected, where the client counted.
        found: Option<u64>,
    },
    /// Anything else.
    Other(Error),
}

impl Failure {
    /// The error behind it, unless it is a wrong count.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Turn(error) | Self::Other(error) => Some(error),
            Self::Statement { error, .. } => error.as_ref(),
        }
    }
}

/// What a position in a packet stands for.
#[derive(Clone, Copy)]
enum Role {
    Frame,
    Row(usize),
    Guard(usize),
    Turn,
}

impl ApplySession {
    /// Connects and sets the session up.
    pub async fn connect(spec: &DatabaseSpec) -> Result<Self, Error> {
        let mut session = Session::connect(spec).await?;
        session.execute(APPLY_SETTINGS).await?;
        let limit: Option<u64> = session.first("SELECT @@max_allowed_packet").await?;
        let packet_bytes_max = limit.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(PACKET_BYTES);
        Ok(Self {
            session,
            packet_bytes_max,
            takes_row_events: None,
        })
    }

    /// The connection itself.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Gives the connection up.
    pub async fn close(self) {
        self.session.close().await;
    }

    /// Whether the server takes row events from here; between two transactions. It needs REPLICATION_APPLIER, and a server that passes
    /// over no errors of its appliers.
    pub async fn takes_row_events(&mut self) -> Result<bool, Error> {
        if let Some(known) = self.takes_row_events {
            return Ok(known);
        }
        // These errors end an event and are none: the rows behind the first would be missing, and nobody would know.
        let skipped: Vec<(String, String)> = self.session.rows(SKIPPED_ERRORS).await?;
        if skipped.iter().any(|(_, errors)| !matches!(errors.as_str(), "OFF" | "")) {
            self.takes_row_events = Some(false);
            return Ok(false);
        }
        // Before the events: who may not set it could not leave the state they put the session in.
        let mut is_taken = true;
        for sql in [GTID_AND_STRICT, &format_description()] {
            is_taken = is_taken
                && match self.session.execute(sql).await {
                    Err(error) if error.is_connection_gone() => return Err(error),
                    outcome => outcome.is_ok(),
                };
        }
        if is_taken {
            self.session.execute(GTID_AND_STRICT).await?;
        }
        self.takes_row_events = Some(is_taken);
        Ok(is_taken)
    }

    /// How large statements may grow here.
    #[must_use]
    pub fn limits(&self) -> StatementLimits {
        StatementLimits {
            rows: STATEMENT_ROWS_MAX,
            bytes: PACKET_BYTES.min(self.packet_bytes_max / 2),
        }
    }

    /// One transaction: the statements, then `inside` (whose counts do not matter), then the turn and COMMIT.
    pub async fn commit(&mut self, statements: &[Statement], inside: &[String], turn: &str) -> Result<(), Failure> {
        let bytes: usize = statements.iter().map(|statement| statement.sql.len()).sum();
        let is_small = bytes <= self.limits().bytes / 2 && statements.len() <= PACKET_STATEMENTS_MAX;
        let outcome = if is_small && !statements.iter().any(is_row_event) {
            self.commit_at_once(statements, inside, turn).await
        } else {
            match self.begin().await {
                Ok(()) => match self.execute(statements).await {
                    Ok(()) => self.turn(inside, turn).await,
                    Err(failure) => Err(failure),
                },
                Err(error) => Err(Failure::Other(error)),
            }
        };
        self.settle(outcome).await
    }

    /// Opens a transaction that several calls fill.
    pub async fn begin(&mut self) -> Result<(), Error> {
        self.session.execute("BEGIN").await.map(drop)
    }

    /// Runs statements inside an open transaction, in packets, and checks every count.
    pub async fn execute(&mut self, statements: &[Statement]) -> Result<(), Failure> {
        let mut from = 0;
        while from < statements.len() {
            if statements[from].sql.len() >= self.packet_bytes_max {
                self.execute_long(from, &statements[from]).await?;
                from += 1;
                continue;
            }
            let mut packet = Packet::default();
            let mut to = from;
            while to < statements.len() && to - from < PACKET_STATEMENTS_MAX {
                let is_alone = is_row_event(&statements[to]) || is_row_event(&statements[from]);
                if !packet.is_empty() && (is_alone || packet.bytes() + statements[to].sql.len() > self.limits().bytes) {
                    break;
                }
                packet.push(&statements[to].sql);
                to += 1;
            }
            self.check_size(&packet, &statements[from]).map_err(Failure::Other)?;
            let counts = packet
                .run(&mut self.session, "row changes", ROWS_LIMIT)
                .await
                .map_err(|failed| Failure::Statement {
                    at: from + failed.statement,
                    error: Some(failed.error),
                    found: None,
                })?;
            let wrong = counts
                .iter()
                .zip(&statements[from..to])
                .position(|(found, statement)| statement.expected != ANY_COUNT && *found != statement.expected);
            if let Some(at) = wrong {
                return Err(Failure::Statement {
                    at: from + at,
                    error: None,
                    found: Some(counts[at]),
                });
            }
            from = to;
        }
        Ok(())
    }

    /// One statement that does not fit a packet.
    async fn execute_long(&mut self, at: usize, statement: &Statement) -> Result<(), Failure> {
        let spilled = spill(&statement.sql, self.packet_bytes_max);
        let mut packet = Packet::default();
        packet.push(&spilled.sql);
        self.check_size(&packet, statement).map_err(Failure::Other)?;
        for sql in &spilled.before {
            self.session.execute(sql).await.map_err(Failure::Other)?;
        }
        let failed = |error, found| Failure::Statement { at, error, found };
        let counts = packet.run(&mut self.session, "row changes", ROWS_LIMIT).await;
        let count = counts.map_err(|PacketError { error, .. }| failed(Some(error), None))?[0];
        if statement.expected != ANY_COUNT && count != statement.expected {
            return Err(failed(None, Some(count)));
        }
        if !spilled.after.is_empty() {
            self.session.execute(&spilled.after).await.map_err(Failure::Other)?;
        }
        Ok(())
    }

    /// Deletes all rows of a table inside an open transaction, in steps that each end in time.
    pub async fn empty(&mut self, quoted_table: &str) -> Result<(), Error> {
        let sql = format!("DELETE FROM {quoted_table} LIMIT {EMPTY_ROWS}");
        while self.session.execute(&sql).await? == EMPTY_ROWS {}
        Ok(())
    }

    /// Ends an open transaction: `inside`, the turn and COMMIT in one packet.
    pub async fn turn(&mut self, inside: &[String], turn: &str) -> Result<(), Failure> {
        let mut packet = Packet::default();
        for statement in inside {
            packet.push(statement);
        }
        packet.push(turn);
        packet.push("COMMIT");
        packet
            .run(&mut self.session, "the turn of a group", TURN_LIMIT)
            .await
            .map(drop)
            .map_err(|failed| {
                if failed.statement == inside.len() {
                    Failure::Turn(failed.error)
                } else {
                    Failure::Other(failed.error)
                }
            })
    }

    /// Undoes an open transaction.
    pub async fn rollback(&mut self) -> Result<(), Error> {
        self.session.execute("ROLLBACK").await.map(drop)
    }

    async fn commit_at_once(&mut self, statements: &[Statement], inside: &[String], turn: &str) -> Result<(), Failure> {
        let mut packet = Packet::default();
        let mut roles = vec![Role::Frame];
        packet.push("BEGIN");
        for (at, statement) in statements.iter().enumerate() {
            packet.push(&statement.sql);
            roles.push(Role::Row(at));
            if statement.expected != ANY_COUNT {
                packet.push(&guard_statement(statement.expected));
                roles.push(Role::Guard(at));
            }
        }
        for statement in inside {
            packet.push(statement);
            roles.push(Role::Frame);
        }
        packet.push(turn);
        packet.push("COMMIT");
        roles.extend([Role::Turn, Role::Frame]);
        if let Some(first) = statements.first() {
            self.check_size(&packet, first).map_err(Failure::Other)?;
        }
        let outcome = packet.run(&mut self.session, "a group", TURN_LIMIT).await;
        outcome
            .map(drop)
            .map_err(|PacketError { statement, error }| match roles.get(statement) {
                _ if error.is_connection_gone() => Failure::Other(error),
                Some(Role::Row(at)) => Failure::Statement {
                    at: *at,
                    error: Some(error),
                    found: None,
                },
                Some(Role::Guard(at)) => Failure::Statement {
                    at: *at,
                    error: None,
                    found: None,
                },
                Some(Role::Turn) => Failure::Turn(error),
                Some(Role::Frame) | None => Failure::Other(error),
            })
    }

    /// A failed transaction never stays open.
    pub(super) async fn settle(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let Err(failure) = outcome else {
            return Ok(());
        };
        if failure.error().is_some_and(Error::is_connection_gone) {
            return Err(failure);
        }
        match self.rollback().await {
            Ok(()) => Err(failure),
            Err(error) => Err(Failure::Other(error)),
        }
    }

    fn check_size(&self, packet: &Packet, first: &Statement) -> Result<(), Error> {
        if packet.bytes() < self.packet_bytes_max {
            return Ok(());
        }
        Err(Error::Unsuitable {
            object: format!("table {}", first.table.shape.name),
            found: format!(
                "a row that takes {} bytes as SQL, max_allowed_packet {}",
                packet.bytes(),
                self.packet_bytes_max
            ),
            expected: "a row that fits one packet".into(),
            fix: "SET GLOBAL max_allowed_packet = 1073741824 on the target, then `peer restart`".into(),
        })
    }
}
