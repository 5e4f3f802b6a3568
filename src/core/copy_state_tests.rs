//! The story of the copy by examples: key moves, folds, voids, keyless tables. Its law is in `copy_state_laws`.

use super::*;
use crate::core::change::Row;
use crate::core::copy_table::Place;
use crate::core::key::compare;
use crate::core::row::RowLayout;
use crate::core::shape::{Column, ColumnKind, RowKey};

pub(super) const TABLE: ShapeId = ShapeId(0);

pub(super) struct InRust;

impl BorderOrder for InRust {
    fn is_at_most(&self, shape: &TableShape, key: &Key, border: &Key) -> bool {
        compare(shape, key, border).is_le()
    }
}

pub(super) fn shape(has_key: bool) -> TableShape {
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
        map: None,
        has_secondary_unique: false,
        create_sql: String::new(),
        defaults: None,
        cascades: Vec::new(),
    }
}

pub(super) fn row(id: i32, v: i32) -> Row {
    let layout = RowLayout::new(&shape(true));
    layout
        .build(&[Some(&id.to_le_bytes()), Some(&v.to_le_bytes())])
        .expect("two fixed values")
}

pub(super) fn key(id: i32) -> Key {
    Key(vec![id.to_le_bytes().to_vec()])
}

pub(super) fn insert(id: i32, v: i32) -> Change {
    Change::Insert {
        shape: TABLE,
        after: row(id, v),
    }
}

pub(super) fn delete(id: i32, v: i32) -> Change {
    Change::Delete {
        shape: TABLE,
        before: row(id, v),
    }
}

pub(super) fn update(old: (i32, i32), new: (i32, i32)) -> Change {
    Change::Update {
        shape: TABLE,
        before: row(old.0, old.1),
        after: row(new.0, new.1),
    }
}

pub(super) fn at(offset: usize) -> BinlogPosition {
    BinlogPosition {
        file: "b.000001".into(),
        offset: offset as u64,
    }
}

pub(super) fn copy_state(has_key: bool, cursor: Option<i32>) -> CopyState {
    let shape = shape(has_key);
    let row = CopyRow {
        table: shape.name.clone(),
        cursor: cursor.map(key),
        rows: 0,
        rows_estimate: None,
        is_done: false,
        since: Default::default(),
    };
    CopyState::new(&[shape], &[row])
}

pub(super) fn read(rows: Vec<Row>, high_mark: usize) -> ReadRows {
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

#[test]
fn a_keyless_row_that_the_stream_removes_and_the_view_does_not_show_makes_the_chunk_stale() {
    // The view shows JSON as text, the stream as JSONB: were the row kept, the target would have it for ever.
    for change in [delete(1, 2), update((1, 2), (1, 3))] {
        for is_locked in [false, true] {
            let mut state = copy_state(false, None);
            state.open(TABLE, None);
            state.sift(vec![change.clone()], &InRust).expect("rows fit");
            state.commit(&at(6));
            state.put_rows(
                TABLE,
                ReadRows {
                    is_locked,
                    ..read(vec![row(1, 1)], 5)
                },
            );
            assert_eq!(state.close(&at(6)).expect("rows fit"), [(TABLE, Closed::Stale)]);
        }
    }
}

#[test]
fn what_is_held_of_an_event_does_not_keep_the_event_in_memory() {
    let mut state = three_ranges();
    let event: bytes::Bytes = [&row(12, 1).0[..], &row(5, 1).0[..], &[0; 8192]].concat().into();
    let slice = |at: usize| Row(event.slice(at * 9..at * 9 + 9));
    let changes = vec![
        Change::Insert {
            shape: TABLE,
            after: slice(0),
        },
        Change::Insert {
            shape: TABLE,
            after: slice(1),
        },
    ];
    let emitted = state.sift(changes, &InRust).expect("rows fit");
    assert_eq!(emitted, [insert(5, 1)]);
    assert!(event.is_unique(), "a folded or emitted row still holds the event");
}

#[test]
fn a_row_and_its_image_are_one_key_a_new_row_beside_it_is_another() {
    let mut state = three_ranges();
    let is_single = |state: &CopyState| state.table(TABLE).map(CopyTable::holds_one_row);
    state.put_rows(TABLE, read(vec![row(12, 1)], 5));
    state.sift(vec![update((12, 1), (12, 2))], &InRust).expect("rows fit");
    assert_eq!(is_single(&state), Some(true), "the image takes the place of the row");
    state.sift(vec![insert(13, 1)], &InRust).expect("rows fit");
    assert_eq!(is_single(&state), Some(false));
}

/// `t` and its child `c`, whose copies are so far; None: done.
fn parent_and_child(parent: Option<Option<i32>>, child: Option<Option<i32>>) -> CopyState {
    let mut shapes = [shape(true), shape(true)];
    shapes[1].name.table = "c".into();
    shapes[1].cascades.push(crate::core::cascade::Cascade {
        constraint: "fk".into(),
        parent: shapes[0].name.clone(),
        columns: vec!["id".into()],
        is_unlogged: true,
    });
    let row = |shape: &TableShape, so_far: Option<Option<i32>>| CopyRow {
        cursor: so_far.flatten().map(key),
        is_done: so_far.is_none(),
        ..CopyRow::begun(shape.name.clone(), None)
    };
    let rows = [row(&shapes[0], parent), row(&shapes[1], child)];
    CopyState::new(&shapes, &rows)
}

fn cascade(change: Change) -> Change {
    Change::Cascade(Box::new(change))
}

const CHILD: ShapeId = ShapeId(1);

#[test]
fn a_child_waits_for_its_parent_and_until_then_nothing_cascades_on_the_target() {
    let mut copy = parent_and_child(Some(Some(5)), Some(None));
    assert!(copy.is_held(CHILD) && !copy.is_held(TABLE));
    let kept = copy
        .sift(vec![cascade(delete(4, 1)), cascade(delete(6, 1))], &InRust)
        .unwrap();
    assert_eq!(kept, [cascade(delete(4, 1))]);
    assert!(!parent_and_child(None, Some(None)).is_held(CHILD));
}

#[test]
fn the_open_chunk_of_a_child_is_read_again_when_the_engine_may_have_changed_it() {
    let mut copy = parent_and_child(None, Some(Some(5)));
    copy.open(CHILD, Some(key(9)));
    copy.put_rows(CHILD, read(vec![row(6, 1)], 1));
    assert_eq!(copy.cascaded(), None);
    let kept = copy.sift(vec![cascade(delete(1, 1))], &InRust).unwrap();
    assert_eq!(
        kept,
        [cascade(delete(1, 1))],
        "the target's engine does the same to rows 1 to 5"
    );
    assert_eq!(copy.cascaded(), Some(CHILD));
    assert_eq!(copy.close(&at(2)).unwrap(), [], "what was read may be gone");
    copy.void(CHILD);
    assert_eq!(copy.cascaded(), None);
}

#[test]
fn a_parent_that_is_not_on_the_target_while_children_are_ends_the_copy() {
    let mut copy = parent_and_child(Some(Some(5)), None);
    let gone = copy.sift(vec![cascade(delete(6, 1))], &InRust);
    assert!(matches!(gone, Err(SiftError::Cascade { .. })), "{gone:?}");
    let renumbered = copy.sift(vec![cascade(update((4, 1), (8, 1)))], &InRust);
    assert!(matches!(renumbered, Err(SiftError::Cascade { .. })), "{renumbered:?}");
    let kept = copy.sift(vec![cascade(delete(3, 1))], &InRust).unwrap();
    assert_eq!(kept, [cascade(delete(3, 1))]);
}
