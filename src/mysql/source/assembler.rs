//! Events to transactions: what opens one, what is in it, what closes it, and what this version refuses.
//!
//! Fed by the reader with one event after the other; gives at most one `ReaderEvent` for each. Synchronous: no IO. A GTID
//! event while a transaction is open means that events were lost: nothing is committed then, the stream is read again.

use std::collections::VecDeque;

use mysql_common::binlog::events::Event;

use crate::core::change::BinlogPosition;
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::mysql::error::Error;
use crate::mysql::source::assembler_statement::Foreign;
use crate::mysql::source::event::{self, Damaged, FLAG_IGNORABLE, Query, Verb, kind};
use crate::mysql::source::prepared::Prepared;
use crate::mysql::source::reader_event::ReaderEvent;
use crate::mysql::source::rows_event::{self, RowsError, TABLE_ID_NONE};
use crate::mysql::source::scope::Scope;
use crate::mysql::source::table_map::{MapError, TableMaps, table_id};
use crate::mysql::source::xa::OpenXa;

/// The transaction that is being read.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) gtid: Gtid,
    pub(super) commit_us: u64,
    /// BEGIN was seen: statements do not close it.
    pub(super) is_in_body: bool,
    pub(super) has_changes: bool,
    /// XA START was seen instead.
    pub(super) xa: Option<OpenXa>,
}

/// The state between events.
#[derive(Debug)]
pub(super) struct Assembler {
    address: String,
    pub(super) scope: Scope,
    maps: TableMaps,
    file: String,
    pub(super) open: Option<Open>,
    pub(super) prepared: Prepared,
    /// What is to be given before the next event is taken.
    pub(super) ready: VecDeque<ReaderEvent>,
    /// Transactions of which nothing is read.
    pub(super) skips: GtidSet,
    /// A statement that must be written in UTF-8 before the next event is taken: `resume` goes on.
    pub(super) foreign: Option<Foreign>,
    /// The source's version as a number.
    pub(super) version: u32,
}

pub(super) type Step = Result<Option<ReaderEvent>, Error>;

impl Assembler {
    pub fn new(address: String, scope: Scope) -> Self {
        let (maps, file) = (TableMaps::default(), String::new());
        Self {
            address,
            scope,
            maps,
            file,
            open: None,
            prepared: Prepared::default(),
            ready: VecDeque::new(),
            skips: GtidSet::default(),
            foreign: None,
            version: 0,
        }
    }

    /// Takes the next event of the stream.
    pub fn take(&mut self, event: &Event) -> Step {
        let end = event.header().log_pos();
        if end != 0 {
            event::verify_checksum(event).map_err(|error| self.damaged(error))?;
        }
        self.take_at(event, u64::from(end))
    }

    /// Takes the next event of a compressed transaction, which ends at `end`: they have no position and no checksum themselves.
    pub fn take_inner(&mut self, event: &Event, end: u64) -> Step {
        let is_outer = matches!(
            event.header().event_type_raw(),
            kind::GTID
                | kind::TAGGED_GTID
                | kind::ANONYMOUS_GTID
                | kind::ROTATE
                | kind::HEARTBEAT
                | kind::HEARTBEAT_V2
                | kind::FORMAT_DESCRIPTION
                | kind::STOP
                | kind::TRANSACTION_PAYLOAD
        );
        if is_outer {
            return Err(self.broken("an event that cannot be in a compressed transaction"));
        }
        self.take_at(event, end)
    }

    fn take_at(&mut self, event: &Event, end: u64) -> Step {
        if self.is_passed_over() {
            return self.pass_over(event, end);
        }
        self.read(event, end)
    }

    /// Takes an event of a transaction that is wanted, or of none.
    pub(super) fn read(&mut self, event: &Event, end: u64) -> Step {
        let (header, body) = (event.header(), event.data());
        match header.event_type_raw() {
            kind::GTID | kind::TAGGED_GTID => self.begin(event),
            kind::TABLE_MAP => self.table_map(body),
            kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1 | kind::WRITE_ROWS..=kind::DELETE_ROWS | kind::PARTIAL_UPDATE_ROWS => {
                self.rows(header.event_type_raw(), body)
            }
            kind::XID => self.commit(end),
            kind::QUERY => self.query(Query::read(body), header.timestamp(), end),
            kind::EXECUTE_LOAD_QUERY => self.query(Query::read_load(body), header.timestamp(), end),
            kind::ROTATE => self.rotate(body, header.log_pos() != 0),
            kind::HEARTBEAT => Ok(self.heartbeat(body, end)),
            kind::XA_PREPARE => self.xa_prepare(body, end),
            other => self.other(other, header.flags_raw()),
        }
    }

    fn begin(&mut self, event: &Event) -> Step {
        if let Some(open) = &self.open {
            let reason = format!("transaction {} was not closed before the next began", open.gtid);
            return Err(self.broken(reason));
        }
        let head = event::transaction_head(event).map_err(|error| self.damaged(error))?;
        self.open = Some(Open {
            gtid: head.gtid.clone(),
            commit_us: head.commit_us,
            is_in_body: false,
            has_changes: false,
            xa: None,
        });
        Ok(Some(ReaderEvent::Begin {
            gtid: head.gtid,
            last_committed: head.last_committed,
            sequence_number: head.sequence_number,
            commit_us: head.commit_us,
        }))
    }

    fn table_map(&mut self, body: &[u8]) -> Step {
        let open = self.open.as_ref();
        let of = open.map(|open| (&open.gtid, open.xa.is_some()));
        match self.maps.learn(&self.scope, of, body) {
            Ok(()) => Ok(None),
            Err(MapError::Damaged(error)) => Err(self.damaged(error)),
            Err(MapError::Misfit { object, found, expected }) => Err(self.refused(
                format!("{object}: {found}"),
                expected,
                "the table was changed while the job was not looking: copy it again with a new job",
            )),
        }
    }

    fn rows(&mut self, event_kind: u8, body: &[u8]) -> Step {
        let id = table_id(body).map_err(|error| self.damaged(error))?;
        if id == TABLE_ID_NONE {
            return Ok(None);
        }
        let Some(table) = self.maps.table(id) else {
            return Err(self.broken(format!("rows of table id {id}, which no table map named")));
        };
        let Some(table) = table else { return Ok(None) };
        let name = &table.shape.name;
        let changes = match rows_event::changes(event_kind, body, table) {
            Ok(changes) => changes,
            Err(RowsError::Incomplete(reason)) => {
                let fix = "set binlog_row_image = FULL on the source for all sessions, then copy the tables again with a new job";
                return Err(self.refused(format!("{name}: {reason}"), "binlog_row_image = FULL", fix));
            }
            Err(error) => return Err(self.broken(format!("{name}: {error}"))),
        };
        let Some(open) = &mut self.open else {
            return Err(self.broken("rows outside of a transaction"));
        };
        open.has_changes |= !changes.is_empty();
        if changes.is_empty() {
            Ok(None)
        } else {
            Ok(Some(self.xa_changes(changes)))
        }
    }

    pub(super) fn commit(&mut self, end: u64) -> Step {
        if self.open.take().is_none() {
            return Err(self.broken("the end of a transaction that did not begin"));
        }
        Ok(Some(ReaderEvent::Commit {
            position: self.position(end),
        }))
    }

    fn query(&mut self, query: Result<Query<'_>, Damaged>, seconds: u32, end: u64) -> Step {
        let query = &query.map_err(|error| self.damaged(error))?;
        let Some(open) = &mut self.open else {
            return Err(self.broken(format!("a statement outside of a transaction: `{}`", query.excerpt())));
        };
        let has_changes = open.has_changes;
        match Verb::of(query.text) {
            Verb::Begin => {
                open.is_in_body = true;
                Ok(None)
            }
            Verb::Commit => self.commit(end),
            Verb::Rollback if !has_changes => self.commit(end),
            Verb::RollbackTo if !has_changes => Ok(None),
            Verb::Savepoint => Ok(None),
            Verb::Rollback | Verb::RollbackTo => Err(self.refused(
                format!("`{}` after changes of replicated tables", query.excerpt()),
                "a transaction of transactional tables only",
                "convert the tables this transaction wrote to InnoDB, then copy the replicated tables again",
            )),
            Verb::Xa => self.xa_statement(query, end),
            Verb::Other => self.statement(query, seconds, end),
        }
    }

    fn rotate(&mut self, body: &[u8], is_real: bool) -> Step {
        let (offset, file) = event::rotation(body).map_err(|error| self.damaged(error))?;
        self.file = file;
        if is_real {
            self.maps.clear();
        }
        Ok(self.is_between().then(|| ReaderEvent::Position {
            position: self.position(offset),
        }))
    }

    fn heartbeat(&mut self, body: &[u8], end: u64) -> Option<ReaderEvent> {
        if !body.is_empty() && self.file.as_bytes() != body {
            self.file = String::from_utf8_lossy(body).into_owned();
        }
        self.is_between().then(|| ReaderEvent::Position {
            position: self.position(end),
        })
    }

    fn other(&self, event_kind: u8, flags: u16) -> Step {
        match event_kind {
            kind::FORMAT_DESCRIPTION
            | kind::PREVIOUS_GTIDS
            | kind::ROWS_QUERY
            | kind::STOP
            | kind::IGNORABLE
            | kind::HEARTBEAT_V2 => Ok(None),
            // They only matter to a statement, which is judged when it comes.
            kind::INTVAR | kind::RAND | kind::USER_VAR | kind::BEGIN_LOAD_QUERY => Ok(None),
            // Group replication: its own bookkeeping.
            kind::TRANSACTION_CONTEXT | kind::VIEW_CHANGE => Ok(None),
            kind::ANONYMOUS_GTID => Err(self.refused(
                "a transaction without GTID",
                "gtid_mode = ON",
                "set gtid_mode = ON on the source, then copy the tables again",
            )),
            kind::INCIDENT => Err(self.refused(
                "an incident: the source says that its binlog lacks events",
                "a complete binlog",
                "copy the tables again with a new job",
            )),
            _ if flags & FLAG_IGNORABLE != 0 => Ok(None),
            unknown => Err(self.refused(
                format!("an event of unknown type {unknown}"),
                "events of MySQL 5.7 to 9.7",
                "report the version of the source",
            )),
        }
    }

    fn is_between(&self) -> bool {
        self.open.is_none()
    }

    pub(super) fn position(&self, offset: u64) -> BinlogPosition {
        BinlogPosition {
            file: self.file.clone(),
            offset,
        }
    }

    fn transaction(&self) -> String {
        self.open.as_ref().map_or_else(|| "none".into(), |open| open.gtid.to_string())
    }

    pub(super) fn damaged(&self, error: Damaged) -> Error {
        self.broken(error.to_string())
    }

    pub(super) fn broken(&self, reason: impl Into<String>) -> Error {
        Error::BrokenStream {
            address: self.address.clone(),
            gtid: self.transaction(),
            reason: reason.into(),
        }
    }

    pub(super) fn refused(&self, found: impl Into<String>, expected: impl Into<String>, fix: &str) -> Error {
        Error::NotReplicable {
            gtid: self.transaction(),
            found: found.into(),
            expected: expected.into(),
            fix: fix.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mysql_common::binlog::consts::BinlogVersion;
    use mysql_common::binlog::events::FormatDescriptionEvent;

    use super::*;
    use crate::core::change::{Change, Row};
    use crate::core::ddl::DdlStep;
    use crate::core::disposition::Disposition;
    use crate::core::row::tests::shape;
    use crate::core::shape::{ColumnKind, ShapeId};

    const UUID: [u8; 16] = [0x11; 16];

    fn event(event_kind: u8, flags: u16, log_pos: u32, body: &[u8]) -> Event {
        let size = u32::try_from(19 + body.len()).unwrap();
        let mut bytes = vec![0, 0, 0, 0, event_kind, 1, 0, 0, 0];
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&log_pos.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(body);
        Event::read(&FormatDescriptionEvent::new(BinlogVersion::Version4), &bytes[..]).unwrap()
    }

    fn gtid(number: u64) -> Event {
        let mut body = vec![0];
        body.extend_from_slice(&UUID);
        body.extend_from_slice(&number.to_le_bytes());
        body.push(2);
        body.extend_from_slice(&4u64.to_le_bytes());
        body.extend_from_slice(&5u64.to_le_bytes());
        event(kind::GTID, 0, 100, &body)
    }

    fn query(schema: &str, text: &str) -> Event {
        let mut body = vec![0; 8];
        body.push(u8::try_from(schema.len()).unwrap());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(schema.as_bytes());
        body.push(0);
        body.extend_from_slice(text.as_bytes());
        event(kind::QUERY, 0, 200, &body)
    }

    /// A change of rows in statement format that wrote to these schemas.
    fn statement(text: &str, schemas: &[&str]) -> Event {
        let mut status = vec![12, u8::try_from(schemas.len()).unwrap()];
        schemas
            .iter()
            .for_each(|schema| status.extend([schema.as_bytes(), b"\0"].concat()));
        let status_bytes = u8::try_from(status.len()).unwrap();
        let head = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, status_bytes, 0];
        event(kind::QUERY, 0, 200, &[&head, &status[..], b"x\0", text.as_bytes()].concat())
    }

    fn assembler() -> Assembler {
        let table = shape(
            vec![ColumnKind::Int {
                bytes: 1,
                unsigned: false,
            }],
            1,
        );
        Assembler::new("h:1".into(), Scope::new(vec![(ShapeId(0), table)]))
    }

    fn refusal(events: &[Event]) -> Error {
        let mut assembler = assembler();
        events
            .iter()
            .find_map(|event| assembler.take(event).err())
            .expect("one of the events is refused")
    }

    #[test]
    fn a_transaction_elsewhere_begins_and_commits_and_nothing_more() {
        let mut assembler = assembler();
        assert!(matches!(
            assembler.take(&gtid(1)),
            Ok(Some(ReaderEvent::Begin {
                last_committed: 4,
                sequence_number: 5,
                ..
            }))
        ));
        assert!(matches!(assembler.take(&query("", "BEGIN")), Ok(None)));
        assert!(matches!(
            assembler.take(&statement("INSERT INTO y VALUES (1)", &["x"])),
            Ok(None)
        ));
        assert!(
            matches!(assembler.take(&event(kind::XID, 0, 300, &[0; 8])), Ok(Some(ReaderEvent::Commit { position })) if position.offset == 300)
        );
        assert!(assembler.take(&gtid(2)).unwrap().is_some());
        assert!(matches!(
            assembler.take(&query("x", "CREATE TABLE y (a INT)")),
            Ok(Some(ReaderEvent::Commit { .. }))
        ));
    }

    #[test]
    fn a_change_in_statement_format_is_passed_over_only_when_it_wrote_nowhere_near() {
        let refused = [
            statement("INSERT INTO x.a_view VALUES (1)", &["s"]),
            statement("INSERT INTO x.has_a_trigger VALUES (1)", &["x", "s"]),
            query("x", "DELETE FROM x.is_referred_to"),
        ];
        for event in refused {
            let error = refusal(&[gtid(1), query("", "BEGIN"), event]);
            assert!(error.to_string().contains("statement format"), "{error}");
            assert_eq!(error.disposition(), Disposition::Fatal);
        }
        let load = |schema: &str| {
            let status = [&[12, 1], schema.as_bytes(), b"\0"].concat();
            let mut head = [0; 26];
            (head[8], head[11]) = (1, u8::try_from(status.len()).unwrap());
            let body = [&head[..], &status, b"x\0", b"LOAD DATA INFILE 'f' INTO TABLE y"].concat();
            event(kind::EXECUTE_LOAD_QUERY, 0, 200, &body)
        };
        let mut assembler = assembler();
        last_of(&mut assembler, &[gtid(1), query("", "BEGIN"), load("x")]);
        let error = assembler.take(&load("s")).unwrap_err();
        assert!(error.to_string().contains("LOAD DATA INFILE 'f'"), "{error}");
    }

    #[test]
    fn a_transaction_that_is_not_closed_is_noticed_at_the_next() {
        let error = refusal(&[gtid(1), query("", "BEGIN"), gtid(2)]);
        assert!(
            error.to_string().contains("11111111-1111-1111-1111-111111111111:1"),
            "{error}"
        );
        assert_eq!(error.disposition(), Disposition::Retry);
    }

    #[test]
    fn what_cannot_be_replicated_is_refused_with_its_gtid_and_text() {
        for (statement, word) in [
            ("ALTER TABLE s.t DISCARD TABLESPACE", "definition"),
            ("UPDATE s.t SET c0 = 1", "statement format"),
            ("XA COMMIT X'01',X'',1", "before the start of the job"),
            ("XA FORGET X'01',X'',1", "XA"),
            ("FROBNICATE", "not understood"),
        ] {
            let error = refusal(&[gtid(7), query("", statement)]);
            let text = error.to_string();
            assert!(
                text.contains(word) && text.contains(":7") && text.contains(statement),
                "{text}"
            );
            assert_eq!(error.disposition(), Disposition::Fatal);
        }
        for event_kind in [kind::INCIDENT, 77] {
            assert_eq!(
                refusal(&[gtid(1), event(event_kind, 0, 0, &[])]).disposition(),
                Disposition::Fatal,
                "{event_kind}"
            );
        }
    }

    #[test]
    fn a_definition_change_of_a_replicated_table_is_one_event_with_its_gtid_and_session() {
        let mut assembler = assembler();
        assembler.take(&gtid(7)).unwrap();
        let Ok(Some(ReaderEvent::Ddl(ddl))) = assembler.take(&query("s", "ALTER TABLE t ADD c INT")) else {
            panic!("no change of definitions")
        };
        assert_eq!(ddl.gtid.to_string(), "11111111-1111-1111-1111-111111111111:7");
        assert_eq!((ddl.position.offset, ddl.session.default_schema.as_str()), (200, "s"));
        assert_eq!(ddl.statement, b"ALTER TABLE t ADD c INT");
        assert!(matches!(&ddl.steps[..], [DdlStep::Execute { table }] if table.table == "t"));
    }

    fn xa_prepare(is_one_phase: bool, name: &[u8]) -> Event {
        let length = u8::try_from(name.len()).unwrap();
        let head = [u8::from(is_one_phase), 1, 0, 0, 0, length, 0, 0, 0, 0, 0, 0, 0];
        event(kind::XA_PREPARE, 0, 250, &[&head, name].concat())
    }

    /// The last event that comes of these; every one of them is taken.
    fn last_of(assembler: &mut Assembler, events: &[Event]) -> Option<ReaderEvent> {
        events.iter().map(|event| assembler.take(event).unwrap()).last().unwrap()
    }

    fn prepare(assembler: &mut Assembler, number: u64, digits: &str, name: &[u8]) -> Option<ReaderEvent> {
        let start = query("", &format!("XA START X'{digits}',X'',1"));
        let end = query("", &format!("XA END X'{digits}',X'',1"));
        last_of(assembler, &[gtid(number), start, end, xa_prepare(false, name)])
    }

    #[test]
    fn prepared_transactions_wait_for_their_own_end_in_any_order() {
        let mut assembler = assembler();
        for (number, digits, name) in [(1, "61", b"a"), (2, "62", b"b")] {
            let prepared = prepare(&mut assembler, number, digits, name);
            assert!(
                matches!(&prepared, Some(ReaderEvent::Prepared { position, xid }) if position.offset == 250 && xid.to_string().contains(digits)),
                "{prepared:?}"
            );
            assert!(assembler.is_between());
        }
        for (number, end, prepared_by) in [(3, "XA ROLLBACK X'61',X'',1", 1), (4, "XA COMMIT X'62',X'',1", 2)] {
            let first = last_of(&mut assembler, &[gtid(number), query("", end)]);
            let resolved = assembler.ready.pop_front().or(first);
            assert!(
                matches!(&resolved, Some(ReaderEvent::Resolved { prepared, .. }) if prepared.number == prepared_by),
                "{resolved:?}"
            );
        }
        // Its name is free again.
        assert!(matches!(
            prepare(&mut assembler, 5, "61", b"a"),
            Some(ReaderEvent::Prepared { .. })
        ));
    }

    #[test]
    fn one_phase_is_an_ordinary_transaction_and_a_rollback_of_an_unknown_one_nothing() {
        let mut assembler = assembler();
        let start = query("", "XA START X'61',X'',1");
        last_of(&mut assembler, &[gtid(1), start, xa_prepare(true, b"a")]);
        let committed = assembler.ready.pop_front();
        assert!(matches!(committed, Some(ReaderEvent::Commit { .. })), "{committed:?}");
        let passed = last_of(&mut assembler, &[gtid(2), query("", "XA ROLLBACK X'61',X'',1")]);
        assert!(matches!(passed, Some(ReaderEvent::Commit { .. })), "{passed:?}");
    }

    #[test]
    fn a_prepared_transaction_that_is_passed_over_still_waits_for_its_end() {
        let mut assembler = assembler();
        assembler.skips = GtidSet::parse("11111111-1111-1111-1111-111111111111:1:5").unwrap();
        let prepared = prepare(&mut assembler, 1, "61", b"a");
        assert!(matches!(prepared, Some(ReaderEvent::Prepared { .. })), "{prepared:?}");
        let first = last_of(&mut assembler, &[gtid(2), query("", "XA COMMIT X'61',X'',1")]);
        let resolved = assembler.ready.pop_front().or(first);
        assert!(matches!(resolved, Some(ReaderEvent::Resolved { .. })), "{resolved:?}");
        let unknown = last_of(&mut assembler, &[gtid(5), query("", "XA COMMIT X'62',X'',1")]);
        assert!(matches!(unknown, Some(ReaderEvent::Commit { .. })), "{unknown:?}");
    }

    #[test]
    fn rows_inside_an_xa_transaction_are_held_and_released_by_its_end() {
        let mut assembler = assembler();
        let rows = || {
            let (shape, after) = (ShapeId(0), Row(vec![0; 9].into()));
            vec![Change::Insert { shape, after }]
        };
        last_of(&mut assembler, &[gtid(1), query("", "XA START X'61',X'',1")]);
        let held = assembler.xa_changes(rows());
        assert!(
            matches!(&held, ReaderEvent::Held { gtid, .. } if gtid.number == 1),
            "{held:?}"
        );
        last_of(&mut assembler, &[xa_prepare(false, b"a")]);
        let release = last_of(&mut assembler, &[gtid(2), query("", "XA COMMIT X'61',X'',1")]);
        assert!(
            matches!(&release, Some(ReaderEvent::Release { gtid, .. }) if gtid.number == 1),
            "{release:?}"
        );
        let end = assembler.ready.pop_front();
        assert!(
            matches!(&end, Some(ReaderEvent::Resolved { prepared, .. }) if prepared.number == 1),
            "{end:?}"
        );
        last_of(&mut assembler, &[gtid(3), query("", "XA START X'62',X'',1")]);
        let release = last_of(&mut assembler, &[xa_prepare(true, b"b")]);
        assert!(
            matches!(&release, Some(ReaderEvent::Release { gtid, .. }) if gtid.number == 3),
            "{release:?}"
        );
        assert!(matches!(assembler.ready.pop_front(), Some(ReaderEvent::Commit { .. })));
        assert!(matches!(assembler.xa_changes(rows()), ReaderEvent::Changes(_)));
    }

    #[test]
    fn the_commit_of_an_unknown_one_passes_up_to_the_mark_of_the_start_only() {
        let mut assembler = assembler();
        assembler.prepared.rules.is_seen_up_to = Some(assembler.position(200));
        let unknown = query("", "XA COMMIT X'61',X'',1");
        let passed = last_of(&mut assembler, &[gtid(1), unknown.clone()]);
        assert!(matches!(passed, Some(ReaderEvent::Commit { .. })), "{passed:?}");
        assembler.prepared.rules.is_seen_up_to = Some(assembler.position(199));
        assembler.take(&gtid(2)).unwrap();
        let error = assembler.take(&unknown).unwrap_err();
        assert!(error.to_string().contains("XA COMMIT X'61',X'',1"), "{error}");
    }

    #[test]
    fn a_table_made_elsewhere_with_its_rows_is_passed_over_as_one_transaction() {
        let mut assembler = assembler();
        assembler.take(&gtid(1)).unwrap();
        let made = query("x", "CREATE TABLE `y` (a INT) START TRANSACTION");
        assert!(matches!(assembler.take(&made), Ok(None)));
        let end = event(kind::XID, 0, 300, &[0; 8]);
        assert!(matches!(assembler.take(&end), Ok(Some(ReaderEvent::Commit { .. }))));
    }

    #[test]
    fn an_unknown_event_with_the_ignorable_flag_is_passed_over() {
        assert!(matches!(assembler().take(&event(77, FLAG_IGNORABLE, 0, &[])), Ok(None)));
    }

    #[test]
    fn a_compressed_transaction_holds_no_beginning_of_another() {
        let mut assembler = assembler();
        assembler.take(&gtid(1)).unwrap();
        let error = assembler.take_inner(&gtid(2), 500).unwrap_err();
        assert_eq!(error.disposition(), Disposition::Retry, "{error}");
    }

    #[test]
    fn an_idle_source_reports_its_position_between_transactions_only() {
        let mut assembler = assembler();
        let beat = event(kind::HEARTBEAT, 0, 0, b"binlog.000007");
        let Ok(Some(ReaderEvent::Position { position })) = assembler.take(&beat) else {
            panic!("no position")
        };
        assert_eq!(position.file, "binlog.000007");
        assembler.take(&gtid(1)).unwrap();
        assert!(matches!(assembler.take(&beat), Ok(None)));
    }
}
