//! Statements of the binlog that are no frame of a transaction: what each is to the job.
//!
//! Part of `assembler`. A statement is read as the source executed it: comments for its version are part of it, and characters of another
//! set than UTF-8 are asked for. The assembler does no IO: it puts such a statement aside, the reader asks the source and resumes.

use crate::core::ddl::{Ddl, DdlSession};
use crate::core::ddl_scope::Touch;
use crate::core::sql_foreign::is_to_be_written_anew;
use crate::core::sql_version;
use crate::mysql::source::assembler::{Assembler, Step};
use crate::mysql::source::event::Query;
use crate::mysql::source::query_session;
use crate::mysql::source::reader_event::ReaderEvent;
use crate::mysql::source::scope::Meaning;

/// Number of utf8mb4_general_ci, which every server has.
const UTF8MB4: u16 = 45;

/// A statement that was put aside.
#[derive(Debug)]
pub(super) struct Foreign {
    /// Its bytes.
    pub text: Vec<u8>,
    /// Number of the collation of the client's character set.
    pub collation: u16,
    status: Vec<u8>,
    schema: String,
    seconds: u32,
    end: u64,
}

impl Assembler {
    /// A statement that is neither the frame of a transaction nor about one.
    pub(super) fn statement(&mut self, query: &Query<'_>, seconds: u32, end: u64) -> Step {
        let session = query_session::read(query.status, &query.schema, seconds);
        if self.is_put_aside(query, &session, seconds, end) {
            return Ok(None);
        }
        self.read_statement(query, session, end)
    }

    /// It has characters that only the source knows: nothing is done before they are.
    pub(super) fn is_put_aside(&mut self, query: &Query<'_>, session: &DdlSession, seconds: u32, end: u64) -> bool {
        let is_foreign = is_to_be_written_anew(query.text, session.reading());
        if is_foreign {
            self.foreign = Some(Foreign {
                text: query.text.to_vec(),
                collation: session.reading().client_collation,
                status: query.status.to_vec(),
                schema: query.schema.clone().into_owned(),
                seconds,
                end,
            });
        }
        is_foreign
    }

    /// Goes on with the statement that was put aside; None: it cannot be written in UTF-8.
    pub fn resume(&mut self, in_utf8: Option<String>) -> Step {
        let Some(foreign) = self.foreign.take() else {
            return Ok(None);
        };
        let mut session = query_session::read(&foreign.status, &foreign.schema, foreign.seconds);
        let text = match (in_utf8, &mut session.collations) {
            (Some(text), Some(collations)) => {
                collations[0] = UTF8MB4;
                text.into_bytes()
            }
            _ => foreign.text,
        };
        let query = Query {
            schema: foreign.schema.into(),
            status: &foreign.status,
            text: &text,
        };
        if self.is_passed_over() {
            self.pass_over_read(&query, session, foreign.end)
        } else {
            self.read_statement(&query, session, foreign.end)
        }
    }

    /// The text as the source executed it, whatever the version of the target.
    fn executed(&self, text: &[u8], session: &DdlSession) -> Vec<u8> {
        match std::str::from_utf8(text) {
            Ok(text) if text.contains("/*!") => {
                sql_version::executed_by(text, session.reading().has_backslash_escapes(), self.version).into_bytes()
            }
            _ => text.to_vec(),
        }
    }

    pub(super) fn read_statement(&mut self, query: &Query<'_>, session: DdlSession, end: u64) -> Step {
        let text = self.executed(query.text, &session);
        let position = self.position(end);
        let Some(open) = &mut self.open else {
            return Err(self.broken("a statement outside of a transaction"));
        };
        let touch = match self.scope.meaning(&text, query.status, &session, &open.gtid) {
            Meaning::Elsewhere if open.is_in_body => return Ok(None),
            Meaning::Elsewhere => return self.commit(end),
            Meaning::ElsewhereWithRows => {
                open.is_in_body = true;
                return Ok(None);
            }
            Meaning::Steps(_, steps) if open.has_changes => {
                let steps = format!("{} steps of a change of definitions behind rows", steps.len());
                return Err(self.broken(steps));
            }
            Meaning::Steps(kind, steps) => {
                let ddl = Ddl {
                    gtid: open.gtid.clone(),
                    commit_us: open.commit_us,
                    position,
                    statement: text,
                    session,
                    kind,
                    steps,
                };
                self.open = None;
                return Ok(Some(ReaderEvent::Ddl(Box::new(ddl))));
            }
            Meaning::Refused(touch) => touch,
        };
        let (what, fix) = match touch {
            Touch::Rows => (
                "a change in statement format",
                "set binlog_format = ROW for all sessions of the source, then copy the tables again",
            ),
            Touch::Definition => (
                "a definition change of a replicated table",
                "this version cannot replicate it: change the target in the same way and copy the tables again with a new job",
            ),
            Touch::Unclear | Touch::No => (
                "a statement that is not understood",
                "make sure it does not concern the tables, then copy them again with a new job",
            ),
        };
        let found = format!("{what}, `{}` in schema `{}`", query.excerpt(), query.schema);
        Err(self.refused(found, "row changes, and definition changes that can be carried out", fix))
    }
}
