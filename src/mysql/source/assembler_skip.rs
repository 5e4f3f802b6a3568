//! A transaction that a person passed over: its rows and statements are not read, only where it ends.
//!
//! Part of `assembler`. The sink gets it without changes and records it. A change of definitions still goes to the sink, which knows
//! what it would do to the rows behind it; one that is not understood cannot be passed over.

use mysql_common::binlog::events::Event;

use crate::core::ddl::DdlSession;
use crate::core::ddl_scope::Touch;
use crate::mysql::error::Error;
use crate::mysql::source::assembler::{Assembler, Step};
use crate::mysql::source::event::{Query, Verb, kind};
use crate::mysql::source::query_session;
use crate::mysql::source::scope::Meaning;

impl Assembler {
    /// The open transaction is not to be read.
    pub(super) fn is_passed_over(&self) -> bool {
        !self.skips.is_empty() && self.open.as_ref().is_some_and(|open| self.skips.contains(&open.gtid))
    }

    /// Takes an event of such a transaction.
    pub(super) fn pass_over(&mut self, event: &Event, end: u64) -> Step {
        let body = event.data();
        match event.header().event_type_raw() {
            kind::XID => self.commit(end),
            kind::QUERY => {
                let query = Query::read(body).map_err(|error| self.damaged(error))?;
                self.pass_over_query(&query, event.header().timestamp(), end)
            }
            kind::TABLE_MAP
            | kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1
            | kind::WRITE_ROWS..=kind::DELETE_ROWS
            | kind::PARTIAL_UPDATE_ROWS
            | kind::ROWS_QUERY
            | kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::BEGIN_LOAD_QUERY
            | kind::EXECUTE_LOAD_QUERY => Ok(None),
            _ => self.read(event, end),
        }
    }

    fn pass_over_query(&mut self, query: &Query<'_>, seconds: u32, end: u64) -> Step {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        let is_in_body = open.is_in_body;
        match Verb::of(query.text) {
            Verb::Begin => open.is_in_body = true,
            Verb::Commit | Verb::Rollback => return self.commit(end),
            Verb::Xa => return self.xa_statement(query, end),
            Verb::RollbackTo | Verb::Savepoint => {}
            Verb::Other if is_in_body => {}
            Verb::Other => return self.pass_over_statement(query, seconds, end),
        }
        Ok(None)
    }

    /// A statement that is a transaction of its own.
    fn pass_over_statement(&mut self, query: &Query<'_>, seconds: u32, end: u64) -> Step {
        let session = query_session::read(query.status, &query.schema, seconds);
        if self.is_put_aside(query, &session, seconds, end) {
            return Ok(None);
        }
        self.pass_over_read(query, session, end)
    }

    /// The same once its characters are known.
    pub(super) fn pass_over_read(&mut self, query: &Query<'_>, session: DdlSession, end: u64) -> Step {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        match self.scope.meaning(query.text, query.status, &session, &open.gtid) {
            Meaning::Refused(Touch::Definition) => Err(Error::NotSkippable {
                gtid: open.gtid.to_string(),
                statement: query.excerpt(),
                reason: "it gives a replicated table another definition, in a way that is not understood".into(),
            }),
            Meaning::Refused(Touch::Rows | Touch::Unclear | Touch::No) => self.commit(end),
            Meaning::Elsewhere | Meaning::ElsewhereWithRows | Meaning::Steps(..) => self.read_statement(query, session, end),
        }
    }
}
