//! The law of the copy, on a model of a source: after each emitted item the target equals the source at the reader's position,
//! restricted to what was copied; and at the end it equals the source.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{InRust, TABLE, at, copy_state, delete, insert, key, read, row, update};
use super::*;
use crate::core::change::Row;
use crate::core::copy_fold::SiftError;
use crate::core::copy_table::Place;
use crate::core::image::Image;

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
    /// Images hold the key and what was changed.
    is_minimal: bool,
    /// A change could not be placed: the job ended.
    is_stopped: bool,
}

impl Model {
    fn new(is_minimal: bool) -> Self {
        let start: Rows = (0..6).map(|id| (id * 2, -id)).collect();
        Self {
            states: vec![start],
            log: Vec::new(),
            passed: 0,
            copy: copy_state(true, None),
            opened: 0,
            target: Rows::new(),
            is_minimal,
            is_stopped: false,
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
            let change = if self.is_minimal { minimal(change) } else { change };
            match self.copy.sift(vec![change], &InRust) {
                Ok(kept) => kept.iter().for_each(|kept| self.apply(kept)),
                Err(SiftError::Moved { .. }) => self.is_stopped = true,
                Err(error) => panic!("{error}"),
            }
            if self.is_stopped {
                return;
            }
            if self.table().is_spoiled() {
                self.copy.void(TABLE);
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
        if let Change::Partial { before, after, .. } = change {
            let (id, _) = parts(&before.row);
            let v = self.target.remove(&id).unwrap_or_else(|| panic!("{change:?} found no row"));
            if let Some(after) = after {
                let (new, v_new) = parts(&after.row);
                let id = if after.has(0) { new } else { id };
                let v = if after.has(1) { v_new } else { v };
                assert_eq!(self.target.insert(id, v), None, "{change:?} found a row");
            }
            return;
        }
        let (before, after) = match change {
            Change::Insert { after, .. } => (None, Some(after)),
            Change::Delete { before, .. } => (Some(before), None),
            Change::Update { before, after, .. } => (Some(before), Some(after)),
            Change::Partial { .. } | Change::Cascade(_) => unreachable!("applied above, or not made here"),
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
        // In the middle of a transaction nothing is equal.
        if !self.is_stopped {
            self.close();
        }
    }
}

/// As `binlog_row_image = MINIMAL` has it; NULL would be cut short in this layout, so what is not known is 0.
fn minimal(change: Change) -> Change {
    let image = |present: u8, id: i32, v: i32| Image {
        row: row(if present & 1 == 0 { 0 } else { id }, if present & 2 == 0 { 0 } else { v }),
        present: vec![present].into(),
    };
    match change {
        Change::Delete { shape, before } => Change::Partial {
            shape,
            before: image(1, parts(&before).0, 0),
            after: None,
        },
        Change::Update { shape, before, after } => {
            let ((old, v_old), (new, v_new)) = (parts(&before), parts(&after));
            let present = u8::from(old != new) | u8::from(v_old != v_new) << 1;
            Change::Partial {
                shape,
                before: image(1, old, 0),
                after: Some(image(present, new, v_new)),
            }
        }
        other => other,
    }
}

fn parts(row: &Row) -> (i32, i32) {
    let number = |from: usize| i32::from_le_bytes(row.0[from..from + 4].try_into().expect("four bytes"));
    (number(1), number(5))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn target_equals_source_restricted_to_what_was_copied_after_every_item(steps in steps(), is_minimal: bool) {
        let mut model = Model::new(is_minimal);
        for step in steps.iter().chain(std::iter::repeat_n(&Step::Pass, steps.len())) {
            model.step(step);
            if model.is_stopped {
                return Ok(());
            }
        }
        prop_assert_eq!(model.passed, model.log.len());
        while !model.copy.is_done() {
            model.step(&Step::Open(3));
            model.step(&Step::Read(0, 0));
        }
        prop_assert_eq!(&model.target, model.states.last().expect("never empty"));
    }
}
