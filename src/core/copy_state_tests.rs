//! The law of the copy, on a model of a source: after each emitted item the target equals the source at the reader's position,
//! restricted to what was copied; and at the end it equals the source.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::core::change::Row;
use crate::core::copy_table::Place;
use crate::core::key::compare;
use crate::core::row::RowLayout;
use crate::core::shape::{Column, ColumnKind, RowKey};

const TABLE: ShapeId = ShapeId(0);

struct InRust;

impl BorderOrder for InRust {
    fn is_at_most(&self, shape: &TableShape, key: &Key, border: &Key) -> bool {
        compare(shape, key, border).is_le()
    }
}

fn shape(has_key: bool) -> TableShape {
    let column = |name: &str| Column {
        name: name.into(),
        kind: ColumnKind::Int {
            bytes: 4,
            unsigned: false,
        },
        is_nullable: false,
        is_generated: false,
        charset: None,
        collation: None,
    };
    TableShape {
        name: TableName {
            schema: "s".into(),
            table: "t".into(),
        },
        columns: vec![column("id"), column("v")],
        key: has_key.then(|| RowKey {
            index: "PRIMARY".into(),
            columns: vec![0],
        }),
        has_secondary_unique: false,
        create_sql: String::new(),
    }
}

fn row(id: i32, v: i32) -> Row {
    let layout = RowLayout::new(&shape(true));
    layout
        .build(&[Some(&id.to_le_bytes()), Some(&v.to_le_bytes())])
        .expect("two fixed values")
}

fn key(id: i32) -> Key {
    Key(vec![id.to_le_bytes().to_vec()])
}

fn insert(id: i32, v: i32) -> Change {
    Change::Insert {
        shape: TABLE,
        after: row(id, v),
    }
}

fn delete(id: i32, v: i32) -> Change {
    Change::Delete {
        shape: TABLE,
        before: row(id, v),
    }
}

fn update(old: (i32, i32), new: (i32, i32)) -> Change {
    Change::Update {
        shape: TABLE,
        before: row(old.0, old.1),
        after: row(new.0, new.1),
    }
}

fn at(offset: usize) -> BinlogPosition {
    BinlogPosition {
        file: "b.000001".into(),
        offset: offset as u64,
    }
}

fn copy_state(has_key: bool, cursor: Option<i32>) -> CopyState {
    let shape = shape(has_key);
    let row = CopyRow {
        table: shape.name.clone(),
        cursor: cursor.map(key),
        rows: 0,
        is_done: false,
    };
    CopyState::new(&[shape], &[row])
}

fn read(rows: Vec<Row>, high_mark: usize) -> ReadRows {
    ReadRows {
        rows,
        high_mark: at(high_mark),
        is_locked: false,
    }
}

fn only_chunk(closed: Vec<(ShapeId, Closed)>) -> Chunk {
    match closed.into_iter().next() {
        Some((_, Closed::Chunks(mut chunks))) if chunks.len() == 1 => chunks.remove(0),
        other => panic!("expected one chunk, found {other:?}"),
    }
}

/// Copied: ids up to 10. Open: up to 20. Unread: above.
fn three_ranges() -> CopyState {
    let mut state = copy_state(true, Some(10));
    state.open(TABLE, Some(key(20)));
    state
}

/// A key that moves from `old` to `new`: what is emitted, and what the chunk holds of the two keys when the view was read before it.
fn move_key(old: i32, new: i32) -> (Vec<Change>, Vec<Row>) {
    let mut state = three_ranges();
    let emitted = state.sift(vec![update((old, 1), (new, 2))], &InRust).expect("rows fit");
    let seen = if old > 10 && old <= 20 {
        vec![row(old, 1)]
    } else {
        Vec::new()
    };
    state.put_rows(TABLE, read(seen, 5));
    (emitted, only_chunk(state.close(&at(5)).expect("rows fit")).rows)
}

#[test]
fn a_key_moved_from_copied_to_copied_stays_an_update() {
    assert_eq!(move_key(1, 2), (vec![update((1, 1), (2, 2))], vec![]));
}

#[test]
fn a_key_moved_from_copied_to_open_is_deleted_and_folded() {
    assert_eq!(move_key(1, 12), (vec![delete(1, 1)], vec![row(12, 2)]));
}

#[test]
fn a_key_moved_from_copied_to_unread_is_deleted() {
    assert_eq!(move_key(1, 30), (vec![delete(1, 1)], vec![]));
}

#[test]
fn a_key_moved_from_open_to_copied_is_inserted_and_leaves_the_chunk() {
    assert_eq!(move_key(12, 1), (vec![insert(1, 2)], vec![]));
}

#[test]
fn a_key_moved_from_open_to_open_moves_in_the_chunk() {
    assert_eq!(move_key(12, 13), (vec![], vec![row(13, 2)]));
}

#[test]
fn a_key_moved_from_open_to_unread_leaves_the_chunk() {
    assert_eq!(move_key(12, 30), (vec![], vec![]));
}

#[test]
fn a_key_moved_from_unread_to_copied_is_inserted() {
    assert_eq!(move_key(30, 1), (vec![insert(1, 2)], vec![]));
}

#[test]
fn a_key_moved_from_unread_to_open_is_folded() {
    assert_eq!(move_key(30, 12), (vec![], vec![row(12, 2)]));
}

#[test]
fn a_key_moved_from_unread_to_unread_is_dropped() {
    assert_eq!(move_key(30, 31), (vec![], vec![]));
}

#[test]
fn a_row_deleted_and_inserted_again_inside_the_window_is_there_once() {
    for seen in [vec![row(12, 1)], vec![], vec![row(12, 2)]] {
        let mut state = three_ranges();
        let emitted = state.sift(vec![delete(12, 1), insert(12, 2)], &InRust).expect("rows fit");
        assert!(emitted.is_empty());
        state.put_rows(TABLE, read(seen, 5));
        assert_eq!(only_chunk(state.close(&at(5)).expect("rows fit")).rows, [row(12, 2)]);
    }
}

#[test]
fn a_chunk_stays_open_until_the_stream_is_at_its_high_mark() {
    let mut state = three_ranges();
    state.put_rows(TABLE, read(vec![row(12, 1)], 5));
    assert!(state.close(&at(4)).expect("rows fit").is_empty());
    assert_eq!(only_chunk(state.close(&at(5)).expect("rows fit")).high, Some(key(20)));
    assert_eq!(
        state.table(TABLE).map(|table| table.place(&key(20), &InRust)),
        Some(Place::Copied)
    );
}

#[test]
fn a_voided_chunk_is_read_from_the_same_cursor() {
    let mut state = three_ranges();
    state.void(TABLE);
    state.put_rows(TABLE, read(vec![row(12, 1)], 5));
    assert!(state.close(&at(9)).expect("rows fit").is_empty(), "its rows came too late");
    let table = state.table(TABLE).expect("in the copy");
    assert_eq!(
        (table.cursor(), table.place(&key(12), &InRust)),
        (Some(&key(10)), Place::Unread)
    );
}

#[test]
fn file_numbers_compare_as_numbers() {
    let position = |file: &str, offset| BinlogPosition {
        file: file.into(),
        offset,
    };
    assert!(is_at_or_after(&position("b.1000000", 4), &position("b.999999", 900)));
    assert!(!is_at_or_after(&position("", 0), &position("b.000001", 4)));
}

#[test]
fn a_keyless_table_that_changed_between_view_and_mark_is_stale() {
    let mut state = copy_state(false, None);
    state.open(TABLE, None);
    assert!(state.sift(vec![insert(1, 1)], &InRust).expect("rows fit").is_empty());
    state.commit(&at(3));
    state.put_rows(TABLE, read(vec![row(1, 1)], 5));
    assert_eq!(state.close(&at(5)).expect("rows fit"), [(TABLE, Closed::Stale)]);
}

#[test]
fn a_keyless_table_read_under_a_lock_skips_what_its_rows_show() {
    let mut state = copy_state(false, None);
    state.open(TABLE, None);
    state.sift(vec![insert(1, 1)], &InRust).expect("rows fit");
    state.commit(&at(3));
    state.sift(vec![insert(1, 1)], &InRust).expect("rows fit");
    state.commit(&at(6));
    state.put_rows(
        TABLE,
        ReadRows {
            is_locked: true,
            ..read(vec![row(1, 1)], 5)
        },
    );
    assert_eq!(
        only_chunk(state.close(&at(6)).expect("rows fit")).rows,
        [row(1, 1), row(1, 1)]
    );
}

/// What the source's clients and the merger do, in any order.
#[derive(Clone, Debug)]
enum Step {
    /// A transaction commits on the source.
    Write(Vec<Write>),
    /// The reader passes the next transaction.
    Pass,
    /// A chunk of so many keys is opened.
    Open(usize),
    /// Its view is taken and its high mark read, somewhere between W0 and now.
    Read(usize, usize),
    /// The chunk is dropped.
    Void,
}

#[derive(Clone, Copy, Debug)]
enum Write {
    Put(i32, i32),
    Delete(i32),
    Move(i32, i32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 0..12_i32;
    let write = prop_oneof![
        4 => (id(), 0..100_i32).prop_map(|(id, v)| Write::Put(id, v)),
        2 => id().prop_map(Write::Delete),
        3 => (id(), id()).prop_map(|(old, new)| Write::Move(old, new)),
    ];
    let any_index = || 0..1000_usize;
    let step = prop_oneof![
        5 => prop::collection::vec(write, 1..4).prop_map(Step::Write),
        5 => Just(Step::Pass),
        4 => (1..5_usize).prop_map(Step::Open),
        4 => (any_index(), any_index()).prop_map(|(view, mark)| Step::Read(view, mark)),
        1 => Just(Step::Void),
    ];
    prop::collection::vec(step, 1..80)
}

type Rows = BTreeMap<i32, i32>;

struct Model {
    /// The source after each number of transactions.
    states: Vec<Rows>,
    log: Vec<Vec<Change>>,
    /// Transactions the merger has passed.
    passed: usize,
    copy: CopyState,
    /// Where the open chunk was opened.
    opened: usize,
    target: Rows,
}

impl Model {
    fn new() -> Self {
        let start: Rows = (0..6).map(|id| (id * 2, -id)).collect();
        Self {
            states: vec![start],
            log: Vec::new(),
            passed: 0,
            copy: copy_state(true, None),
            opened: 0,
            target: Rows::new(),
        }
    }

    fn table(&self) -> &CopyTable {
        self.copy.table(TABLE).expect("in the copy")
    }

    fn write(&mut self, writes: &[Write]) {
        let mut rows = self.states.last().expect("never empty").clone();
        let mut changes = Vec::new();
        for write in writes {
            match *write {
                Write::Put(id, v) => changes.push(match rows.insert(id, v) {
                    Some(old) => update((id, old), (id, v)),
                    None => insert(id, v),
                }),
                Write::Delete(id) => changes.extend(rows.remove(&id).map(|old| delete(id, old))),
                Write::Move(old, new) => {
                    if old != new
                        && !rows.contains_key(&new)
                        && let Some(v) = rows.remove(&old)
                    {
                        rows.insert(new, v + 1);
                        changes.push(update((old, v), (new, v + 1)));
                    }
                }
            }
        }
        self.log.push(changes);
        self.states.push(rows);
    }

    fn pass(&mut self) {
        let Some(changes) = self.log.get(self.passed).cloned() else {
            return;
        };
        for change in changes {
            for kept in self.copy.sift(vec![change], &InRust).expect("rows fit") {
                self.apply(&kept);
            }
        }
        self.passed += 1;
        self.copy.commit(&at(self.passed));
        self.check();
    }

    fn open(&mut self, width: usize) {
        if self.table().is_open() || self.table().is_done() {
            return;
        }
        let now = self.states.last().expect("never empty");
        let cursor = self.table().cursor().cloned();
        let behind = now.keys().filter(|id| {
            cursor
                .as_ref()
                .is_none_or(|c| !InRust.is_at_most(self.table().shape(), &key(**id), c))
        });
        let high = behind.copied().nth(width - 1).map(key);
        self.copy.open(TABLE, high);
        self.opened = self.passed;
    }

    fn read(&mut self, view: usize, mark: usize) {
        if !self.table().is_open() {
            return;
        }
        let view = self.opened + view % (self.log.len() + 1 - self.opened);
        let mark = view + mark % (self.log.len() + 1 - view);
        let is_in = |id: &i32| self.table().place(&key(*id), &InRust) == Place::Open;
        let rows = self.states[view]
            .iter()
            .filter(|(id, _)| is_in(id))
            .map(|(id, v)| row(*id, *v))
            .collect();
        self.copy.put_rows(TABLE, read(rows, mark));
    }

    fn close(&mut self) {
        for (_, closed) in self.copy.close(&at(self.passed)).expect("rows fit") {
            let Closed::Chunks(chunks) = closed else {
                panic!("only keyless tables are stale")
            };
            for row in chunks.iter().flat_map(|chunk| &chunk.rows) {
                let (id, v) = parts(row);
                assert_eq!(self.target.insert(id, v), None, "row {id} is on the target already");
            }
        }
        self.check();
    }

    /// Strict, as the sink is: what is to be changed must be there as it was.
    fn apply(&mut self, change: &Change) {
        let (before, after) = match change {
            Change::Insert { after, .. } => (None, Some(after)),
            Change::Delete { before, .. } => (Some(before), None),
            Change::Update { before, after, .. } => (Some(before), Some(after)),
        };
        if let Some((id, v)) = before.map(parts) {
            assert_eq!(self.target.remove(&id), Some(v), "{change:?} found another row");
        }
        if let Some((id, v)) = after.map(parts) {
            assert_eq!(self.target.insert(id, v), None, "{change:?} found a row");
        }
    }

    fn check(&self) {
        let is_copied = |id: &i32| self.table().place(&key(*id), &InRust) == Place::Copied;
        let source: Rows = self.states[self.passed]
            .iter()
            .filter(|(id, _)| is_copied(id))
            .map(|(id, v)| (*id, *v))
            .collect();
        assert_eq!(self.target, source, "target and source at transaction {}", self.passed);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(writes) => self.write(writes),
            Step::Pass => self.pass(),
            Step::Open(width) => self.open(*width),
            Step::Read(view, mark) => self.read(*view, *mark),
            Step::Void => self.copy.void(TABLE),
        }
        self.close();
    }
}

fn parts(row: &Row) -> (i32, i32) {
    let number = |from: usize| i32::from_le_bytes(row.0[from..from + 4].try_into().expect("four bytes"));
    (number(1), number(5))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn target_equals_source_restricted_to_what_was_copied_after_every_item(steps in steps()) {
        let mut model = Model::new();
        steps.iter().for_each(|step| model.step(step));
        while model.passed < model.log.len() {
            model.step(&Step::Pass);
        }
        while !model.copy.is_done() {
            model.step(&Step::Open(3));
            model.step(&Step::Read(0, 0));
        }
        prop_assert_eq!(&model.target, model.states.last().expect("never empty"));
    }
}
