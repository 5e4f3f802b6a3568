//! What a run of changes does to each table in the end: first before-image and last after-image of every key.
//!
//! Fed by `core::group`, feeds `mysql::target::statement`. Insert + delete is nothing, delete + insert is an update, an
//! update that ends where it began is nothing, a changed key is a delete and an insert. Tables without a key keep every
//! change in source order: their rows cannot be told apart. Images that lack columns are laid over each other where the target takes
//! such images; where it does not, or that cannot be (a changed key, changes inside of a document, unique values beside the key), the
//! table keeps the order of the source from there on.
//! Deletes are meant to run before inserts. A change that the target's engine cascades from stands between what was before it
//! and what comes after it, in all tables: the engine must find the children as the source's engine found them.

use std::collections::HashMap;

use thiserror::Error;

use crate::core::change::{Change, Key, Row};
use crate::core::group::{Table, Tables};
use crate::core::image::{Image, bitmap};
use crate::core::key::{KeyOrder, compare, key_of};
use crate::core::row::RowError;
use crate::core::shape::{ShapeId, TableName};

/// Changes that cannot be folded: nothing of the group may be applied; the stream cannot be trusted.
#[derive(Debug, Error)]
pub enum FoldError {
    /// A change names a table that was never named.
    #[error("change of shape {}: expected a shape sent before, found none", .shape.0)]
    UnknownShape {
        /// The number.
        shape: ShapeId,
    },
    /// A row cannot be read.
    #[error("row of {table}")]
    BadRow {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        reason: RowError,
    },
    /// Two changes of one key do not follow each other.
    #[error("{table}: expected {expected}, found {found} of the same key")]
    OutOfOrder {
        /// The table.
        table: TableName,
        /// What could have come.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
}

/// The folded changes of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEffect {
    /// The table.
    pub shape: ShapeId,
    /// Rows that go: their first before-images.
    pub deletes: Vec<Row>,
    /// Rows that change but keep their key: first before-image, last after-image.
    pub updates: Vec<(Row, Row)>,
    /// Rows that come: their last after-images.
    pub inserts: Vec<Row>,
    /// Rows that keep their key, or go (None), of whose old state the key is known. What the new image lacks is unchanged.
    pub partials: Vec<(Image, Option<Image>)>,
    /// Some of these may change nothing (what was merged may end where it began, JSON may only differ in its bytes): how many rows a statement
    /// of SQL changed would not tell whether they were there.
    pub is_uncountable: bool,
    /// Changes to be carried out one by one, in source order, behind those above: all of a table without a key, of any other
    /// those from the first on that cannot be folded, and those that cascade.
    pub in_order: Vec<Change>,
}

impl TableEffect {
    fn new(shape: ShapeId) -> Self {
        Self {
            shape,
            deletes: Vec::new(),
            updates: Vec::new(),
            inserts: Vec::new(),
            partials: Vec::new(),
            is_uncountable: false,
            in_order: Vec::new(),
        }
    }

    /// Nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows() == 0 && self.in_order.is_empty()
    }

    /// Rows it changes, those of `in_order` apart.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.deletes.len() + self.updates.len() + self.inserts.len() + self.partials.len()
    }
}

/// What is known of a row at one time.
#[derive(Debug)]
enum Known {
    Whole(Row),
    Some(Image),
}

/// One key: the row before the group, the row now.
#[derive(Debug)]
struct Fate {
    key: Key,
    before: Option<Known>,
    after: Option<Known>,
}

#[derive(Debug)]
struct TableFold {
    shape: ShapeId,
    table: std::sync::Arc<Table>,
    fates: Vec<Fate>,
    fate_of: HashMap<Key, usize>,
    in_order: Vec<Change>,
    /// Images that lack columns are laid over each other.
    is_folded: bool,
    is_uncountable: bool,
}

/// Folds changes as they come. Bounded by the limits of the group it belongs to.
#[derive(Debug, Default)]
pub struct NetEffect {
    tables: Vec<TableFold>,
    fold_of: HashMap<ShapeId, usize>,
    /// What comes before those.
    done: Vec<TableEffect>,
}

impl NetEffect {
    /// Adds the next change.
    pub fn push(&mut self, tables: &Tables, change: Change) -> Result<(), FoldError> {
        let shape = change.shape();
        if matches!(change, Change::Cascade(_)) {
            self.cascade(shape, change);
            return Ok(());
        }
        let at = match self.fold_of.get(&shape) {
            Some(at) => *at,
            None => self.open(tables, shape)?,
        };
        self.tables[at].push(change)
    }

    fn cascade(&mut self, shape: ShapeId, change: Change) {
        self.fold_of.clear();
        self.done.extend(self.tables.drain(..).map(TableFold::finish));
        match self.done.last_mut() {
            Some(last) if last.shape == shape => last.in_order.push(change),
            _ => self.done.push(TableEffect {
                in_order: vec![change],
                ..TableEffect::new(shape)
            }),
        }
    }

    fn open(&mut self, tables: &Tables, shape: ShapeId) -> Result<usize, FoldError> {
        let table = tables.get(shape).ok_or(FoldError::UnknownShape { shape })?;
        self.tables.push(TableFold {
            shape,
            table: std::sync::Arc::clone(table),
            fates: Vec::new(),
            fate_of: HashMap::new(),
            in_order: Vec::new(),
            is_folded: tables.is_folded(shape),
            is_uncountable: false,
        });
        self.fold_of.insert(shape, self.tables.len() - 1);
        Ok(self.tables.len() - 1)
    }

    /// The effect per table, rows in key order where Rust knows it, else in the order of first touch. A table comes again behind each
    /// change that cascades.
    #[must_use]
    pub fn finish(mut self) -> Vec<TableEffect> {
        self.done.extend(self.tables.into_iter().map(TableFold::finish));
        self.done
    }
}

impl TableFold {
    fn push(&mut self, change: Change) -> Result<(), FoldError> {
        if self.table.shape.key.is_none() || !self.in_order.is_empty() {
            self.in_order.push(change);
            return Ok(());
        }
        match change {
            Change::Cascade(_) => {
                self.in_order.push(change);
                Ok(())
            }
            Change::Insert { after, .. } => self.insert(self.key(&after)?, after),
            Change::Delete { before, .. } => self.delete(self.key(&before)?, Known::Whole(before)),
            Change::Update { before, after, .. } => {
                let (old, new) = (self.key(&before)?, self.key(&after)?);
                if old == new {
                    self.update(old, Known::Whole(before), Known::Whole(after))
                } else {
                    self.delete(old, Known::Whole(before))?;
                    self.insert(new, after)
                }
            }
            Change::Partial {
                ref before, ref after, ..
            } => {
                if !self.is_foldable(before, after.as_ref())? {
                    self.in_order.push(change);
                    return Ok(());
                }
                let key = self.key(&before.row)?;
                match after {
                    None => self.delete(key, Known::Some(before.clone())),
                    Some(after) => {
                        let layout = &self.table.layout;
                        self.is_uncountable |= (0..layout.columns()).any(|at| after.has(at) && layout.is_json(at));
                        self.update(key, Known::Some(before.clone()), Known::Some(after.clone()))
                    }
                }
            }
        }
    }

    /// Images can be laid over each other, and the order of the rows does not matter.
    fn is_foldable(&self, before: &Image, after: Option<&Image>) -> Result<bool, FoldError> {
        let shape = &self.table.shape;
        let key = shape.key.iter().flat_map(|key| &key.columns);
        let is_known = |at: &usize| before.has(*at) && after.is_none_or(|after| !after.has(*at));
        if !self.is_folded || shape.has_secondary_unique || !key.clone().all(is_known) || key.count() == 0 {
            return Ok(false);
        }
        let Some(after) = after else { return Ok(true) };
        let layout = &self.table.layout;
        let has_changes = after.has_json_changes(layout).map_err(|reason| self.bad_row(reason))?;
        Ok(!has_changes && !after.has_more(layout))
    }

    fn insert(&mut self, key: Key, row: Row) -> Result<(), FoldError> {
        match self.fate_of.get(&key) {
            None => self.begin(key, None, Some(Known::Whole(row))),
            Some(at) if self.fates[*at].after.is_none() => self.fates[*at].after = Some(Known::Whole(row)),
            Some(_) => return Err(self.out_of_order("a change or delete", "a second insert")),
        }
        Ok(())
    }

    fn update(&mut self, key: Key, before: Known, after: Known) -> Result<(), FoldError> {
        let Some(at) = self.fate_of.get(&key).copied() else {
            self.begin(key, Some(before), Some(after));
            return Ok(());
        };
        self.is_uncountable |= matches!(&self.fates[at].after, Some(Known::Some(_)));
        let Some(last) = self.fates[at].after.take() else {
            return Err(self.out_of_order("an insert", "a change after the delete"));
        };
        self.fates[at].after = Some(self.over(after, last)?);
        Ok(())
    }

    /// The upper state of a row, completed by the one below it.
    fn over(&self, upper: Known, below: Known) -> Result<Known, FoldError> {
        let layout = &self.table.layout;
        let laid = match (upper, below) {
            (Known::Whole(row), _) => Ok(Known::Whole(row)),
            (Known::Some(image), Known::Whole(row)) => image.over(&row, layout).map(Known::Whole),
            (Known::Some(image), Known::Some(below)) => image.joined(&below, layout).map(Known::Some),
        };
        laid.map_err(|reason| self.bad_row(reason))
    }

    fn delete(&mut self, key: Key, before: Known) -> Result<(), FoldError> {
        match self.fate_of.get(&key) {
            None => self.begin(key, Some(before), None),
            Some(at) if self.fates[*at].after.is_some() => self.fates[*at].after = None,
            Some(_) => return Err(self.out_of_order("an insert", "a second delete")),
        }
        Ok(())
    }

    fn begin(&mut self, key: Key, before: Option<Known>, after: Option<Known>) {
        self.fate_of.insert(key.clone(), self.fates.len());
        self.fates.push(Fate { key, before, after });
    }

    fn key(&self, row: &Row) -> Result<Key, FoldError> {
        let found = key_of(&self.table.shape, &self.table.layout, row);
        let key = found.map_err(|reason| self.bad_row(reason))?;
        Ok(key.expect("push asked for the key of a table that has one"))
    }

    fn bad_row(&self, reason: RowError) -> FoldError {
        FoldError::BadRow {
            table: self.table.shape.name.clone(),
            reason,
        }
    }

    fn out_of_order(&self, expected: &'static str, found: &'static str) -> FoldError {
        FoldError::OutOfOrder {
            table: self.table.shape.name.clone(),
            expected,
            found,
        }
    }

    fn finish(mut self) -> TableEffect {
        let shape = &self.table.shape;
        if KeyOrder::of(shape) == KeyOrder::Rust {
            self.fates.sort_by(|a, b| compare(shape, &a.key, &b.key));
        }
        let mut effect = TableEffect::new(self.shape);
        effect.in_order = self.in_order;
        effect.is_uncountable = self.is_uncountable;
        let columns = self.table.layout.columns();
        let image = |known| match known {
            Known::Some(image) => image,
            Known::Whole(row) => Image {
                row,
                present: bitmap(columns, |_| true),
            },
        };
        for fate in self.fates {
            match (fate.before, fate.after) {
                (None, None) => {}
                (Some(Known::Whole(before)), None) => effect.deletes.push(before),
                (Some(before), None) => effect.partials.push((image(before), None)),
                (None, Some(Known::Whole(after))) => effect.inserts.push(after),
                (Some(Known::Whole(before)), Some(Known::Whole(after))) if before == after => {}
                (Some(Known::Whole(before)), Some(Known::Whole(after))) => effect.updates.push((before, after)),
                (Some(before), Some(after)) => effect.partials.push((image(before), Some(image(after)))),
                (None, Some(Known::Some(_))) => unreachable!("what is laid over an insert is whole"),
            }
        }
        effect
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::core::shape::{Column, ColumnKind, RowKey, TableShape};

    /// `t(id INT, v INT)` with key `id`.
    pub(crate) fn shape_with_key() -> TableShape {
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
            key: Some(RowKey {
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

    /// A row of it.
    pub(crate) fn row(id: i32, value: i32) -> Row {
        let mut bytes = vec![0];
        bytes.extend(id.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        Row(bytes.into())
    }

    fn fold(changes: &[Change]) -> TableEffect {
        let mut tables = Tables::default();
        tables.set(ShapeId(0), shape_with_key());
        let mut effect = NetEffect::default();
        for change in changes {
            effect.push(&tables, change.clone()).unwrap();
        }
        let folded = effect.finish().pop();
        folded.unwrap_or_else(|| TableEffect::new(ShapeId(0)))
    }

    fn insert(id: i32, value: i32) -> Change {
        Change::Insert {
            shape: ShapeId(0),
            after: row(id, value),
        }
    }

    fn delete(id: i32, value: i32) -> Change {
        Change::Delete {
            shape: ShapeId(0),
            before: row(id, value),
        }
    }

    fn update(before: (i32, i32), after: (i32, i32)) -> Change {
        Change::Update {
            shape: ShapeId(0),
            before: row(before.0, before.1),
            after: row(after.0, after.1),
        }
    }

    #[test]
    fn an_insert_and_its_delete_are_nothing() {
        assert!(fold(&[insert(1, 1), update((1, 1), (1, 2)), delete(1, 2)]).is_empty());
    }

    #[test]
    fn a_delete_and_an_insert_of_one_key_are_an_update() {
        assert_eq!(fold(&[delete(1, 1), insert(1, 2)]).updates, [(row(1, 1), row(1, 2))]);
    }

    #[test]
    fn an_update_that_ends_where_it_began_is_nothing() {
        assert!(fold(&[update((1, 1), (1, 2)), update((1, 2), (1, 1))]).is_empty());
    }

    #[test]
    fn a_changed_key_is_a_delete_and_an_insert() {
        let effect = fold(&[update((1, 1), (2, 1))]);
        assert_eq!((effect.deletes, effect.inserts), (vec![row(1, 1)], vec![row(2, 1)]));
    }

    #[test]
    fn two_inserts_of_one_key_are_refused() {
        let mut tables = Tables::default();
        tables.set(ShapeId(0), shape_with_key());
        let mut effect = NetEffect::default();
        effect.push(&tables, insert(1, 1)).unwrap();
        assert!(matches!(
            effect.push(&tables, insert(1, 2)),
            Err(FoldError::OutOfOrder { .. })
        ));
    }

    #[test]
    fn a_table_without_key_keeps_the_order_of_the_source() {
        let mut tables = Tables::default();
        tables.set(
            ShapeId(0),
            TableShape {
                key: None,
                ..shape_with_key()
            },
        );
        let mut effect = NetEffect::default();
        let changes = [insert(1, 1), insert(1, 1), delete(1, 1)];
        for change in &changes {
            effect.push(&tables, change.clone()).unwrap();
        }
        assert_eq!(effect.finish()[0].in_order, changes);
    }

    #[test]
    fn a_change_that_cascades_stands_between_what_was_before_it_and_what_comes_after() {
        let mut tables = Tables::default();
        tables.set(ShapeId(0), shape_with_key());
        let child = TableName {
            schema: "s".into(),
            table: "child".into(),
        };
        let of_child = TableShape {
            name: child,
            ..shape_with_key()
        };
        tables.set(ShapeId(1), of_child);
        let in_child = |id| Change::Insert {
            shape: ShapeId(1),
            after: row(id, 1),
        };
        let cascade = |change| Change::Cascade(Box::new(change));
        let mut effect = NetEffect::default();
        // The engine deletes the child's row: it comes again, which would be two inserts of one key without the line between.
        for change in [
            insert(1, 1),
            in_child(7),
            cascade(delete(1, 1)),
            cascade(delete(2, 2)),
            in_child(7),
            insert(1, 1),
        ] {
            effect.push(&tables, change).unwrap();
        }
        let found: Vec<_> = effect
            .finish()
            .iter()
            .map(|effect| (effect.shape.0, effect.inserts.len(), effect.in_order.len()))
            .collect();
        assert_eq!(found, [(0, 1, 0), (1, 1, 0), (0, 0, 2), (1, 1, 0), (0, 1, 0)]);
    }

    #[test]
    fn from_the_first_image_that_lacks_columns_on_the_order_of_the_source_is_kept() {
        let partial = Change::Partial {
            shape: ShapeId(0),
            before: crate::core::image::Image {
                row: row(1, 0),
                present: vec![1].into(),
            },
            after: None,
        };
        let effect = fold(&[insert(1, 1), update((1, 1), (1, 2)), partial.clone(), insert(1, 3)]);
        assert_eq!(effect.inserts, [row(1, 2)]);
        assert_eq!(effect.in_order, [partial, insert(1, 3)]);
    }

    /// Of row 1: the key, and `v` when it is given.
    fn image(value: Option<i32>) -> Image {
        Image {
            row: row(1, value.unwrap_or_default()),
            present: vec![if value.is_some() { 0b10 } else { 0b01 }].into(),
        }
    }

    fn partial(after: Option<i32>) -> Change {
        Change::Partial {
            shape: ShapeId(0),
            before: image(None),
            after: after.map(|value| image(Some(value))),
        }
    }

    fn fold_images(shape: TableShape, changes: &[Change]) -> TableEffect {
        let mut tables = Tables::default();
        tables.set(ShapeId(0), shape);
        tables.set_folded(&[ShapeId(0)]);
        let mut effect = NetEffect::default();
        for change in changes {
            effect.push(&tables, change.clone()).unwrap();
        }
        let folded = effect.finish().pop();
        folded.unwrap_or_else(|| TableEffect::new(ShapeId(0)))
    }

    #[test]
    fn images_that_lack_columns_are_laid_over_each_other_and_over_whole_rows() {
        let folded = |changes: &[Change]| fold_images(shape_with_key(), changes);
        assert_eq!(folded(&[insert(1, 1), partial(Some(2))]).inserts, [row(1, 2)]);
        assert!(folded(&[insert(1, 1), partial(Some(2)), partial(None)]).is_empty());
        assert_eq!(folded(&[partial(Some(1)), partial(None)]).partials, [(image(None), None)]);
        let twice = folded(&[partial(Some(1)), partial(Some(2))]);
        assert_eq!(twice.partials, [(image(None), Some(image(Some(2))))]);
        assert!(twice.is_uncountable && !folded(&[partial(Some(1))]).is_uncountable);
        let anew = folded(&[partial(None), insert(1, 3)]);
        let whole = Image {
            row: row(1, 3),
            present: vec![0b11].into(),
        };
        assert_eq!(anew.partials, [(image(None), Some(whole))]);
        assert_eq!(
            folded(&[update((1, 1), (1, 2)), partial(Some(3))]).updates,
            [(row(1, 1), row(1, 3))]
        );
    }

    #[test]
    fn with_unique_values_beside_the_key_such_images_keep_the_order_of_the_source() {
        let shape = TableShape {
            has_secondary_unique: true,
            ..shape_with_key()
        };
        assert_eq!(fold_images(shape, &[partial(Some(1))]).in_order, [partial(Some(1))]);
    }

    type Model = BTreeMap<i32, i32>;

    /// Turns arbitrary wishes into changes that are possible on the model, and carries them out on it.
    fn carry_out(model: &mut Model, wishes: &[(u8, i32, i32)]) -> Vec<Change> {
        let mut changes = Vec::new();
        for &(wish, id, value) in wishes {
            match (wish % 4, model.get(&id).copied()) {
                (_, None) => changes.push(insert(id, value)),
                (0, Some(old)) => changes.push(delete(id, old)),
                (1, Some(old)) if !model.contains_key(&(id + 1)) => {
                    changes.push(update((id, old), (id + 1, value)));
                    model.insert(id + 1, value);
                }
                (_, Some(old)) => changes.push(update((id, old), (id, value))),
            }
            match changes.last().unwrap() {
                Change::Insert { .. } => drop(model.insert(id, value)),
                Change::Delete { .. } => drop(model.remove(&id)),
                Change::Update { after, .. } if *after == row(id, value) => drop(model.insert(id, value)),
                Change::Update { .. } | Change::Partial { .. } | Change::Cascade(_) => drop(model.remove(&id)),
            }
        }
        changes
    }

    fn read(row: &Row) -> (i32, i32) {
        let number = |at: usize| i32::from_le_bytes(row.0[at..at + 4].try_into().unwrap());
        (number(1), number(5))
    }

    fn apply(model: &mut Model, effect: &TableEffect) {
        for before in &effect.deletes {
            let (id, value) = read(before);
            assert_eq!(model.remove(&id), Some(value), "a delete finds its row");
        }
        for (before, after) in &effect.updates {
            let (id, value) = read(after);
            assert_eq!(model.insert(id, value), Some(read(before).1), "an update finds its row");
            assert_ne!(before, after);
        }
        for after in &effect.inserts {
            let (id, value) = read(after);
            assert_eq!(model.insert(id, value), None, "an insert finds no row");
        }
    }

    proptest! {
        #[test]
        fn the_net_effect_is_the_effect_of_all_changes_one_by_one(
            start in proptest::collection::btree_map(0..8, 0..4, 0..8),
            wishes in proptest::collection::vec((any::<u8>(), 0..8, 0..4), 0..60),
        ) {
            let mut expected = start.clone();
            let changes = carry_out(&mut expected, &wishes);
            let mut found = start;
            apply(&mut found, &fold(&changes));
            prop_assert_eq!(found, expected);
        }
    }
}
