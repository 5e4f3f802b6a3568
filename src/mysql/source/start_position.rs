//! Which transactions lie before a position of the binlog: `start = { file, position }` as an executed set.
//!
//! Asked once, by `flow::source_start`. Reads the file's events through SHOW BINLOG EVENTS, in pages, up to the position; that
//! takes as long as the server reads the file.

use crate::core::change::BinlogPosition;
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::heartbeat::parse_set;

/// Events of one answer; at some 100 bytes each it stays far below a megabyte.
const PAGE_EVENTS: u64 = 5_000;
/// Where the first event of every binlog file begins.
const FIRST_EVENT: u64 = 4;

/// One row of SHOW BINLOG EVENTS.
struct Event {
    position: u64,
    kind: String,
    end: u64,
    info: String,
}

/// Everything that committed before `start`.
///
/// # Errors
/// `Unsuitable`: there is no such file, or the position is not between two transactions.
pub async fn executed_before(session: &mut Session, start: &BinlogPosition) -> Result<GtidSet, Error> {
    let mut walk = Walk::default();
    let mut from = FIRST_EVENT;
    loop {
        let events = page(session, &start.file, from).await?;
        let is_last = (events.len() as u64) < PAGE_EVENTS;
        for event in events {
            if event.position >= start.offset {
                return walk.stop_at(session, start, &event);
            }
            from = event.end;
            walk.pass(session, event)?;
        }
        if is_last {
            return walk.stop_at_end(session, start, from);
        }
    }
}

async fn page(session: &mut Session, file: &str, from: u64) -> Result<Vec<Event>, Error> {
    let sql = format!(
        "SHOW BINLOG EVENTS IN {} FROM {from} LIMIT {PAGE_EVENTS}",
        crate::mysql::quote::text(file)
    );
    type Columns = (String, u64, String, u32, u64, String);
    match session.rows::<Columns>(sql).await {
        Ok(rows) => Ok(rows
            .into_iter()
            .map(|(_, position, kind, _, end, info)| Event {
                position,
                kind,
                end,
                info,
            })
            .collect()),
        Err(error) if error.server_code().is_some() => Err(explain(session, file, error).await),
        Err(error) => Err(error),
    }
}

/// The server says only that it found no such file; the person needs those that are there.
async fn explain(session: &mut Session, file: &str, error: Error) -> Error {
    let Ok(files) = session.rows::<mysql_async::Row>("SHOW BINARY LOGS").await else {
        return error;
    };
    let name = |row: Option<&mysql_async::Row>| row.and_then(|row| row.get::<String, _>(0)).unwrap_or_default();
    if files.iter().any(|row| name(Some(row)) == file) {
        return error;
    }
    Error::Unsuitable {
        object: format!("binlog file `{file}` of {}", session.address()),
        found: "no such file: it was purged, or never was".into(),
        expected: format!("one of `{}` to `{}`", name(files.first()), name(files.last())),
        fix: "start from a position in one of them, or copy with start = \"snapshot\"".into(),
    }
}

/// What was passed so far.
#[derive(Default)]
struct Walk {
    executed: GtidSet,
    /// The transaction whose events are being passed.
    open: Option<(Gtid, u64)>,
}

impl Walk {
    fn pass(&mut self, session: &Session, event: Event) -> Result<(), Error> {
        if event.kind == "Previous_gtids" {
            self.executed = parse_set(session, &event.info)?;
        } else if is_gtid(&event.kind) {
            self.close();
            let text = event.info.split('\'').nth(1).unwrap_or_default();
            let gtid =
                Gtid::parse(text).map_err(|error| session.unexpected(format!("`{}` ({error})", event.info), "a GTID event"))?;
            self.open = Some((gtid, event.position));
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some((gtid, _)) = self.open.take() {
            self.executed.add(&gtid);
        }
    }

    /// `next` is the first event at or behind the position.
    fn stop_at(mut self, session: &Session, start: &BinlogPosition, next: &Event) -> Result<GtidSet, Error> {
        let is_between =
            is_gtid(&next.kind) || matches!(next.kind.as_str(), "Rotate" | "Stop" | "Previous_gtids" | "Format_desc");
        if next.position == start.offset && is_between {
            self.close();
            return Ok(self.executed);
        }
        let begin = self
            .open
            .map(|(gtid, begin)| format!("inside transaction {gtid}, which begins at {begin}"));
        let found = begin.unwrap_or_else(|| format!("inside an event; the next one begins at {}", next.position));
        Err(unsuitable(session, start, found))
    }

    fn stop_at_end(mut self, session: &Session, start: &BinlogPosition, end: u64) -> Result<GtidSet, Error> {
        if start.offset != end {
            return Err(unsuitable(
                session,
                start,
                format!("behind the last event, which ends at {end}"),
            ));
        }
        self.close();
        Ok(self.executed)
    }
}

fn is_gtid(kind: &str) -> bool {
    kind.starts_with("Gtid")
}

fn unsuitable(session: &Session, start: &BinlogPosition, found: String) -> Error {
    Error::Unsuitable {
        object: format!("position {}:{} of {}", start.file, start.offset, session.address()),
        found,
        expected: "the beginning of a transaction".into(),
        fix: format!("choose one from SHOW BINLOG EVENTS IN '{}'", start.file),
    }
}
