//! Changes of rows as the row events they came from, in a BINLOG statement: the server parses nothing and builds no expressions
//! (facts/apply "BINLOG"; docs/benchmarks.md has what it gains).
//!
//! Used by `event_tables` for tables whose definition on the target is that of the shape, column by column. The server refuses a row that
//! is there already and misses one that is not, and a statement that fails leaves nothing behind. Decides nothing about what is refused:
//! the same rows then go as SQL.

use std::sync::Arc;

use bytes::Bytes;

use crate::core::group::Table;
use crate::core::image::{Image, bitmap};
use crate::core::net_effect::TableEffect;
use crate::core::shape::{Column, ColumnKind, TableShape};
use crate::mysql::error::Error;
use crate::mysql::source::table_map::binlog_type;
use crate::mysql::target::statement::{ANY_COUNT, Statement, StatementLimits, TableSql};

/// What every such statement begins with.
const HEAD: &str = "BINLOG '";
const TABLE_MAP: u8 = 19;
const WRITE_ROWS: u8 = 30;
const UPDATE_ROWS: u8 = 31;
const DELETE_ROWS: u8 = 32;
const FORMAT_DESCRIPTION: u8 = 15;
/// Any number: the map goes in front of each of its rows events.
const TABLE_ID: [u8; 6] = [1, 0, 0, 0, 0, 0];
/// The event ends its statement; foreign keys are not checked, as everywhere in an apply session.
const ROWS_FLAGS: u16 = 1 | 2;
/// The length of a BIT column is exact.
const MAP_FLAGS: u16 = 1;
/// Only its own length.
const NO_EXTRA_DATA: [u8; 2] = [2, 0];
/// Bytes of every event's header.
const HEADER_BYTES: usize = 19;
/// Where the length of the event stands in it.
const LENGTH_AT: usize = 9;
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

/// How what happens to the rows of one table becomes events.
#[derive(Debug)]
pub struct RowEvents {
    sql: Arc<TableSql>,
    /// Body of the table map.
    map: Vec<u8>,
}

/// The columns of a row before and after.
type Columns = (Option<Bytes>, Option<Bytes>);

impl RowEvents {
    /// For a table that is on the target what its shape says; None: it cannot go this way.
    pub fn of(sql: &Arc<TableSql>) -> Option<Self> {
        Some(Self {
            sql: Arc::clone(sql),
            map: table_map(&sql.table().shape)?,
        })
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        self.sql.table()
    }

    /// Images that lack columns can go this way.
    pub fn takes_images(&self) -> bool {
        let shape = &self.sql.table().shape;
        shape.key.is_some() && !shape.has_secondary_unique
    }

    /// The statements that do what is folded of an effect; None: it is to go as SQL. Where values of a unique key may swap places, events one
    /// by one would meet a value that is still there.
    ///
    /// # Errors
    /// A row does not fit the shape.
    pub fn statements(&self, effect: &TableEffect, limits: StatementLimits) -> Result<Option<Vec<Statement>>, Error> {
        let is_insert = effect.inserts.len() == effect.rows();
        if !is_insert && !self.takes_images() {
            return Ok(None);
        }
        let mut packing = Packing::new(self, limits);
        let all = bitmap(self.columns(), |_| true);
        let mut is_packed = true;
        for row in &effect.deletes {
            is_packed &= packing.push(&(Some(all.clone()), None), &[&row.0]);
        }
        is_packed &= self.partials(effect, &mut packing)?;
        for (before, after) in &effect.updates {
            is_packed &= packing.push(&(Some(all.clone()), Some(all.clone())), &[&before.0, &after.0]);
        }
        for row in &effect.inserts {
            is_packed &= packing.push(&(None, Some(all.clone())), &[&row.0]);
        }
        Ok(is_packed.then(|| packing.finish()))
    }

    /// Those with the same columns follow each other: an event has one bitmap for all its rows.
    fn partials(&self, effect: &TableEffect, packing: &mut Packing<'_>) -> Result<bool, Error> {
        let mut order: Vec<&(Image, Option<Image>)> = effect.partials.iter().collect();
        let columns = |(before, after): &(Image, Option<Image>)| -> Columns {
            let present = |image: &Image| bitmap(self.columns(), |at| image.has(at));
            (Some(present(before)), after.as_ref().map(present))
        };
        order.sort_by_cached_key(|partial| columns(partial));
        let mut is_packed = true;
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for partial in order {
            let (before, after) = partial;
            self.image(before, &mut old)?;
            new.clear();
            if let Some(after) = after {
                self.image(after, &mut new)?;
            }
            is_packed &= packing.push(&columns(partial), &[&old, &new]);
        }
        Ok(is_packed)
    }

    fn image(&self, image: &Image, bytes: &mut Vec<u8>) -> Result<(), Error> {
        bytes.clear();
        let layout = &self.sql.table().layout;
        let written = layout.push_some(&image.row.0, &image.present, bytes);
        written.map_err(|error| self.sql.bad_row(error.to_string()))
    }

    fn columns(&self) -> usize {
        self.sql.table().shape.columns.len()
    }
}

/// Puts rows into events and events into statements.
struct Packing<'a> {
    of: &'a RowEvents,
    bytes_max: usize,
    statements: Vec<Statement>,
    /// Events of the statement that is not complete.
    events: Vec<u8>,
    /// The event that is not complete: its columns, and where it begins.
    open: Option<(Columns, usize)>,
}

impl<'a> Packing<'a> {
    fn new(of: &'a RowEvents, limits: StatementLimits) -> Self {
        Self {
            of,
            // Three bytes are four letters.
            bytes_max: limits.bytes / 4 * 3,
            statements: Vec::new(),
            events: Vec::new(),
            open: None,
        }
    }

    /// Adds what happens to one row; false: it is too large for a statement.
    fn push(&mut self, columns: &Columns, images: &[&[u8]]) -> bool {
        let bytes: usize = images.iter().map(|image| image.len()).sum();
        let is_open = self.open.as_ref().is_some_and(|(open, _)| open == columns);
        let head = if is_open { 0 } else { self.head_bytes() };
        if !self.events.is_empty() && self.events.len() + head + bytes > self.bytes_max {
            self.end_statement();
        }
        if self.events.is_empty() && self.head_bytes() + bytes > self.bytes_max {
            return false;
        }
        if self.open.as_ref().is_none_or(|(open, _)| open != columns) {
            self.end_event();
            self.begin_event(columns);
        }
        images.iter().for_each(|image| self.events.extend_from_slice(image));
        true
    }

    fn finish(mut self) -> Vec<Statement> {
        self.end_statement();
        self.statements
    }

    /// Bytes in front of the rows of an event, its table map included.
    fn head_bytes(&self) -> usize {
        // Table id, flags, length of the extra data, number of columns, two bitmaps.
        HEADER_BYTES * 2 + self.of.map.len() + 13 + 2 * self.of.columns().div_ceil(8)
    }

    fn begin_event(&mut self, columns: &Columns) {
        let kind = match columns {
            (None, _) => WRITE_ROWS,
            (Some(_), Some(_)) => UPDATE_ROWS,
            (Some(_), None) => DELETE_ROWS,
        };
        push_event(&mut self.events, TABLE_MAP, &[&self.of.map]);
        self.open = Some((columns.clone(), self.events.len()));
        push_event(
            &mut self.events,
            kind,
            &[&TABLE_ID, &ROWS_FLAGS.to_le_bytes(), &NO_EXTRA_DATA],
        );
        push_packed(&mut self.events, self.of.columns());
        for bitmap in [&columns.0, &columns.1].into_iter().flatten() {
            self.events.extend_from_slice(bitmap);
        }
    }

    fn end_event(&mut self) {
        if let Some((_, from)) = self.open.take() {
            let bytes = self.events.len() - from;
            self.events[from + LENGTH_AT..from + LENGTH_AT + 4].copy_from_slice(&length(bytes));
        }
    }

    fn end_statement(&mut self) {
        self.end_event();
        if self.events.is_empty() {
            return;
        }
        self.statements.push(Statement {
            sql: binlog(&self.events),
            expected: ANY_COUNT,
            table: Arc::clone(self.of.sql.table()),
            operation: "change of rows",
            key: None,
        });
        self.events.clear();
    }
}

/// Body of the table map.
fn table_map(shape: &TableShape) -> Option<Vec<u8>> {
    // A row of another table need not hold what a generated column is; a vector's dimension would have to be told.
    let is_foreign = |column: &Column| column.is_generated || matches!(column.kind, ColumnKind::Vector);
    if shape.map.is_some()
        || shape.columns.iter().any(is_foreign)
        || shape.columns.first()?.name.eq_ignore_ascii_case(GENERATED_KEY)
    {
        return None;
    }
    let types = shape.columns.iter().map(|column| binlog_type(&column.kind));
    let types: Vec<(u8, Vec<u8>)> = types.collect::<Option<_>>()?;
    let mut map = TABLE_ID.to_vec();
    map.extend_from_slice(&MAP_FLAGS.to_le_bytes());
    for name in [&shape.name.schema, &shape.name.table] {
        map.push(u8::try_from(name.len()).ok()?);
        map.extend_from_slice(name.as_bytes());
        map.push(0);
    }
    push_packed(&mut map, types.len());
    map.extend(types.iter().map(|(kind, _)| *kind));
    let metadata: Vec<u8> = types.iter().flat_map(|(_, metadata)| metadata.iter().copied()).collect();
    push_packed(&mut map, metadata.len());
    map.extend_from_slice(&metadata);
    map.extend_from_slice(&bitmap(types.len(), |at| shape.columns[at].is_nullable));
    Some(map)
}

/// A number of columns, or of bytes about them, as the protocol packs it.
fn push_packed(bytes: &mut Vec<u8>, number: usize) {
    match u8::try_from(number) {
        Ok(short) if short < 251 => bytes.push(short),
        _ => {
            bytes.push(252);
            let long = u16::try_from(number).expect("a table has at most 4096 columns of at most 4 bytes");
            bytes.extend_from_slice(&long.to_le_bytes());
        }
    }
}

/// Appends an event: no time, no server (the target writes its own), no position.
fn push_event(events: &mut Vec<u8>, kind: u8, body: &[&[u8]]) {
    let bytes = HEADER_BYTES + body.iter().map(|part| part.len()).sum::<usize>();
    events.extend_from_slice(&[0, 0, 0, 0, kind, 0, 0, 0, 0]);
    events.extend_from_slice(&length(bytes));
    events.extend_from_slice(&[0; 6]);
    for part in body {
        events.extend_from_slice(part);
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("below the size of a packet").to_le_bytes()
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
    use crate::core::net_effect::tests::{row, shape_with_key};
    use crate::core::shape::ShapeId;

    const LIMITS: StatementLimits = StatementLimits { rows: 9, bytes: 1 << 20 };

    fn row_events() -> RowEvents {
        let sql = Arc::new(TableSql::new(Arc::new(Table::new(shape_with_key()))));
        RowEvents::of(&sql).expect("integers go this way")
    }

    fn effect() -> TableEffect {
        TableEffect {
            shape: ShapeId(0),
            deletes: vec![],
            updates: vec![],
            inserts: vec![],
            partials: vec![],
            is_uncountable: false,
            in_order: vec![],
        }
    }

    /// The statements of three rows where `rows` of them fit one statement.
    fn events(rows: usize) -> Option<Vec<Statement>> {
        let events = row_events();
        let inserts = vec![row(1, 1), row(2, 2), row(3, 3)];
        let head = Packing::new(&events, LIMITS).head_bytes();
        let bytes = (head + rows * inserts[0].0.len()).div_ceil(3) * 4;
        let effect = TableEffect { inserts, ..effect() };
        let found = events.statements(&effect, StatementLimits { rows: 9, bytes }).unwrap();
        let is_long = |statement: &Statement| statement.sql.len() > bytes + HEAD.len() + 1;
        assert!(!found.iter().flatten().any(is_long), "{found:?}");
        found
    }

    /// Kinds and lengths of the events of one statement.
    fn kinds(effect: &TableEffect) -> Vec<(u8, usize)> {
        let events = row_events();
        let mut packing = Packing::new(&events, LIMITS);
        let all = bitmap(2, |_| true);
        for row in &effect.deletes {
            assert!(packing.push(&(Some(all.clone()), None), &[&row.0]));
        }
        assert!(events.partials(effect, &mut packing).unwrap());
        packing.end_event();
        let (mut kinds, mut rest) = (Vec::new(), packing.events.as_slice());
        while !rest.is_empty() {
            let bytes = u32::from_le_bytes(rest[LENGTH_AT..LENGTH_AT + 4].try_into().unwrap()) as usize;
            kinds.push((rest[4], bytes));
            rest = &rest[bytes..];
        }
        kinds
    }

    #[test]
    fn rows_with_the_same_columns_share_an_event_and_hold_only_those() {
        let image = |present: u8, value| Image {
            row: row(value, value),
            present: vec![present].into(),
        };
        let partial = |value, after: Option<u8>| (image(1, value), after.map(|present| image(present, value)));
        let effect = TableEffect {
            deletes: vec![row(9, 9)],
            partials: vec![
                partial(1, Some(2)),
                partial(2, None),
                partial(3, Some(3)),
                partial(4, Some(2)),
            ],
            ..effect()
        };
        let map = HEADER_BYTES + row_events().map.len();
        let rows = |bitmaps: usize, bytes: usize| HEADER_BYTES + 6 + 2 + 2 + 1 + bitmaps + bytes;
        let expected = [
            (TABLE_MAP, map),
            (DELETE_ROWS, rows(1, 9)),
            (TABLE_MAP, map),
            (DELETE_ROWS, rows(1, 5)),
            (TABLE_MAP, map),
            (UPDATE_ROWS, rows(2, 20)),
            (TABLE_MAP, map),
            (UPDATE_ROWS, rows(2, 5 + 9)),
        ];
        assert_eq!(kinds(&effect), expected);
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
        assert!(table_map(&shape).is_some());
        shape.columns[1].is_generated = true;
        assert!(table_map(&shape).is_none());
        let mut shape = shape_with_key();
        shape.columns[0].name = GENERATED_KEY.into();
        assert!(table_map(&shape).is_none());
    }
}
