//! Inserted rows as the row events they came from, in a BINLOG statement: the server parses nothing and builds no expressions
//! (facts/apply W5; docs/benchmarks.md has what it gains).
//!
//! Used by `large` for tables whose definition on the target is that of the shape, column by column. Only inserts go this way: the
//! server refuses a row that is there already, and the statement leaves nothing behind. Decides nothing about what is refused: the same
//! rows then go as SQL.

use std::sync::Arc;

use crate::core::change::Row;
use crate::core::shape::TableShape;
use crate::mysql::source::table_map::binlog_type;
use crate::mysql::target::statement::{ANY_COUNT, Statement, StatementLimits, TableSql};

/// What every such statement begins with.
const HEAD: &str = "BINLOG '";
const TABLE_MAP: u8 = 19;
const WRITE_ROWS: u8 = 30;
const FORMAT_DESCRIPTION: u8 = 15;
/// Any number: the map goes in front of each of its rows events.
const TABLE_ID: [u8; 6] = [1, 0, 0, 0, 0, 0];
/// The event ends its statement; foreign keys are not checked, as everywhere in an apply session.
const ROWS_FLAGS: u16 = 1 | 2;
/// The length of a BIT column is exact.
const MAP_FLAGS: u16 = 1;
/// Bytes of every event's header.
const HEADER_BYTES: usize = 19;
/// Of each kind of event, the bytes behind that header (libbinlogevents of 8.0).
const POST_HEADER_BYTES: [u8; 40] = [
    56, 13, 0, 8, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 98, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42, 0, 18, 52, 0,
    10, 40,
];
/// The version whose events these are.
const VERSION: &[u8] = b"8.0.30";
/// The first column of a table whose key the server made up; an event says so, this one does not.
const GENERATED_KEY: &str = "my_row_id";

/// The statement that tells a session how the events behind it are made: without checksums.
pub fn format_description() -> String {
    let mut body = vec![4, 0];
    body.extend_from_slice(VERSION);
    body.resize(52, 0);
    body.extend_from_slice(&[0; 4]);
    body.push(u8::try_from(HEADER_BYTES).expect("19 is a byte"));
    body.extend_from_slice(&POST_HEADER_BYTES);
    // No checksum, and the place of this event's own.
    body.extend_from_slice(&[0; 5]);
    let mut events = Vec::new();
    push_event(&mut events, FORMAT_DESCRIPTION, &[&body]);
    binlog(&events)
}

/// The statement runs row events. The answer to it does not say whether another follows: it goes in a packet of its own.
pub fn is_row_event(statement: &Statement) -> bool {
    statement.sql.starts_with(HEAD)
}

/// How rows of one table are inserted.
#[derive(Debug)]
pub struct InsertEvents {
    sql: Arc<TableSql>,
    /// Body of the table map.
    map: Vec<u8>,
    /// What stands before the rows in the body of a rows event.
    rows_head: Vec<u8>,
}

impl InsertEvents {
    /// For a table that is on the target what its shape says; None: it cannot go this way.
    pub fn of(sql: &Arc<TableSql>) -> Option<Self> {
        let shape = &sql.table().shape;
        let (map, rows_head) = heads(shape)?;
        Some(Self {
            sql: Arc::clone(sql),
            map,
            rows_head,
        })
    }

    /// The statements that insert these rows; None: a row is too large for one.
    pub fn statements(&self, rows: &[Row], limits: StatementLimits) -> Option<Vec<Statement>> {
        // Three bytes are four letters.
        let bytes_max = limits.bytes / 4 * 3;
        let mut statements = Vec::new();
        let mut from = 0;
        while from < rows.len() {
            let mut bytes = HEADER_BYTES * 2 + self.map.len() + self.rows_head.len();
            let mut to = from;
            while to < rows.len() && bytes + rows[to].0.len() <= bytes_max {
                bytes += rows[to].0.len();
                to += 1;
            }
            if to == from {
                return None;
            }
            let mut events = Vec::with_capacity(bytes);
            push_event(&mut events, TABLE_MAP, &[&self.map]);
            let mut parts = Vec::with_capacity(to - from + 1);
            parts.push(self.rows_head.as_slice());
            parts.extend(rows[from..to].iter().map(|row| row.0.as_ref()));
            push_event(&mut events, WRITE_ROWS, &parts);
            statements.push(Statement {
                sql: binlog(&events),
                expected: ANY_COUNT,
                table: Arc::clone(self.sql.table()),
                operation: "insert",
                key: None,
            });
            from = to;
        }
        Some(statements)
    }
}

/// Body of the table map, and what a rows event begins with.
fn heads(shape: &TableShape) -> Option<(Vec<u8>, Vec<u8>)> {
    // A row of another table need not hold what a generated column is.
    let is_generated = shape.columns.iter().any(|column| column.is_generated);
    if shape.map.is_some() || is_generated || shape.columns.first()?.name.eq_ignore_ascii_case(GENERATED_KEY) {
        return None;
    }
    let types = shape.columns.iter().map(|column| binlog_type(&column.kind));
    let types: Vec<(u8, Vec<u8>)> = types.collect::<Option<_>>()?;
    let bitmap = |is_set: &dyn Fn(usize) -> bool| {
        let mut bits = vec![0u8; types.len().div_ceil(8)];
        for at in (0..types.len()).filter(|at| is_set(*at)) {
            bits[at / 8] |= 1 << (at % 8);
        }
        bits
    };
    let mut map = TABLE_ID.to_vec();
    map.extend_from_slice(&MAP_FLAGS.to_le_bytes());
    for name in [&shape.name.schema, &shape.name.table] {
        map.push(u8::try_from(name.len()).ok()?);
        map.extend_from_slice(name.as_bytes());
        map.push(0);
    }
    push_packed(&mut map, types.len())?;
    map.extend(types.iter().map(|(kind, _)| *kind));
    let metadata: Vec<u8> = types.iter().flat_map(|(_, metadata)| metadata.iter().copied()).collect();
    push_packed(&mut map, metadata.len())?;
    map.extend_from_slice(&metadata);
    map.extend(bitmap(&|at| shape.columns[at].is_nullable));
    let mut rows = TABLE_ID.to_vec();
    rows.extend_from_slice(&ROWS_FLAGS.to_le_bytes());
    // No extra data: only its own length.
    rows.extend_from_slice(&2u16.to_le_bytes());
    push_packed(&mut rows, types.len())?;
    rows.extend(bitmap(&|_| true));
    Some((map, rows))
}

/// A length as the protocol packs it; None: above any number of columns.
fn push_packed(bytes: &mut Vec<u8>, length: usize) -> Option<()> {
    match u8::try_from(length) {
        Ok(short) if short < 251 => bytes.push(short),
        _ => {
            bytes.push(252);
            bytes.extend_from_slice(&u16::try_from(length).ok()?.to_le_bytes());
        }
    }
    Some(())
}

/// Appends an event: no time, no server (the target writes its own), no position.
fn push_event(events: &mut Vec<u8>, kind: u8, body: &[&[u8]]) {
    let bytes = HEADER_BYTES + body.iter().map(|part| part.len()).sum::<usize>();
    events.extend_from_slice(&[0, 0, 0, 0, kind, 0, 0, 0, 0]);
    events.extend_from_slice(&u32::try_from(bytes).expect("below the size of a packet").to_le_bytes());
    events.extend_from_slice(&[0; 6]);
    for part in body {
        events.extend_from_slice(part);
    }
}

fn binlog(events: &[u8]) -> String {
    let mut sql = String::with_capacity(HEAD.len() + events.len().div_ceil(3) * 4 + 1);
    sql.push_str(HEAD);
    push_base64(&mut sql, events);
    sql.push('\'');
    sql
}

/// RFC 4648 section 4, with padding.
fn push_base64(text: &mut String, bytes: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::group::Table;
    use crate::core::net_effect::tests::{row, shape_with_key};

    /// The statements of three rows where `rows` of them fit one statement.
    fn events(rows: usize) -> Option<Vec<Statement>> {
        let sql = Arc::new(TableSql::new(Arc::new(Table::new(shape_with_key()))));
        let events = InsertEvents::of(&sql).expect("integers go this way");
        let all = [row(1, 1), row(2, 2), row(3, 3)];
        let head = HEADER_BYTES * 2 + events.map.len() + events.rows_head.len();
        let bytes = (head + rows * all[0].0.len()).div_ceil(3) * 4;
        let found = events.statements(&all, StatementLimits { rows: 9, bytes });
        let is_long = |statement: &Statement| statement.sql.len() > bytes + HEAD.len() + 1;
        assert!(!found.iter().flatten().any(is_long), "{found:?}");
        found
    }

    #[test]
    fn bytes_become_the_letters_of_the_standard() {
        for (bytes, wanted) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut text = String::new();
            push_base64(&mut text, bytes.as_bytes());
            assert_eq!(text, wanted);
        }
    }

    #[test]
    fn rows_are_cut_into_statements_that_fit_and_a_row_that_does_not_fit_goes_another_way() {
        let count = |rows| events(rows).map(|statements| statements.len());
        assert_eq!([0, 1, 2, 3].map(count), [None, Some(3), Some(2), Some(1)]);
        assert!(events(2).expect("they fit").iter().all(is_row_event));
    }

    #[test]
    fn what_servers_make_up_themselves_goes_another_way() {
        let mut shape = shape_with_key();
        assert!(heads(&shape).is_some());
        shape.columns[1].is_generated = true;
        assert!(heads(&shape).is_none());
        let mut shape = shape_with_key();
        shape.columns[0].name = GENERATED_KEY.into();
        assert!(heads(&shape).is_none());
    }
}
