//! Foreign keys by which an engine changes rows of one table because rows of another changed, and which changes do that.
//!
//! A server before 9.6, and a later one with native foreign keys, logs the change of the parent only: the target's engine must do
//! the rest. Read by `mysql::source::inspect` into the child's shape; used by `mysql::source::scope` to mark such changes
//! (`Change::Cascade`) and by `core::copy_state` to copy parents first. Knows no regime: the flags of a rows event tell it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::core::change::Change;
use crate::core::image::Image;
use crate::core::row::{RowError, RowLayout};
use crate::core::shape::{ShapeId, TableName, TableShape};

/// One foreign key with CASCADE or SET NULL, in the shape of the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cascade {
    /// Its name, without quotes.
    pub constraint: String,
    /// The table it refers to, on the source.
    pub parent: TableName,
    /// The columns it refers to.
    pub columns: Vec<String>,
    /// The server did not log what its engine did for it, when the definition was read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unlogged: bool,
}

/// Who cascades to whom among the tables of a job.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// Children of each parent, at any distance; a parent may be among its own.
    children: BTreeMap<ShapeId, BTreeSet<ShapeId>>,
}

impl Family {
    /// The family of these tables, numbered by their place.
    #[must_use]
    pub fn of(shapes: &[TableShape]) -> Self {
        let id = |at: usize| ShapeId(u32::try_from(at).expect("a job has fewer than 2^32 tables"));
        let mut children: BTreeMap<ShapeId, BTreeSet<ShapeId>> = BTreeMap::new();
        for (child, shape) in shapes.iter().enumerate() {
            for cascade in &shape.cascades {
                if let Some(parent) = shapes.iter().position(|shape| shape.name == cascade.parent) {
                    children.entry(id(parent)).or_default().insert(id(child));
                }
            }
        }
        // Ends when no set grows: each grows at most once per table.
        loop {
            let mut has_grown = false;
            for parent in children.keys().copied().collect::<Vec<_>>() {
                let near = children[&parent].clone();
                let far: BTreeSet<ShapeId> = near
                    .iter()
                    .filter_map(|child| children.get(child))
                    .flatten()
                    .copied()
                    .collect();
                let of_parent = children.entry(parent).or_default();
                let before = of_parent.len();
                of_parent.extend(far);
                has_grown |= of_parent.len() > before;
            }
            if !has_grown {
                return Self { children };
            }
        }
    }

    /// The tables whose rows may change when rows of this one do, at any distance.
    pub fn children(&self, parent: ShapeId) -> impl Iterator<Item = ShapeId> {
        self.children.get(&parent).into_iter().flatten().copied()
    }

    /// The tables that must be copied before this one: its parents, but for those that are its children too.
    pub fn before(&self, child: ShapeId) -> impl Iterator<Item = ShapeId> {
        let is_child = move |parent: &ShapeId| self.children.get(&child).is_some_and(|children| children.contains(parent));
        let of_child = self.children.iter().filter(move |(_, children)| children.contains(&child));
        of_child
            .map(|(parent, _)| *parent)
            .filter(move |parent| *parent != child && !is_child(parent))
    }
}

/// The columns of `parent` that `others` refer to, by ordinal; None: nothing cascades from it.
#[must_use]
pub fn referenced<'a>(parent: &TableShape, others: impl Iterator<Item = &'a TableShape>) -> Option<BTreeSet<usize>> {
    let mut is_parent = false;
    let mut columns = BTreeSet::new();
    for cascade in others
        .flat_map(|shape| &shape.cascades)
        .filter(|cascade| cascade.parent == parent.name)
    {
        is_parent = true;
        for name in &cascade.columns {
            let is_it = |column: &crate::core::shape::Column| column.name.eq_ignore_ascii_case(name);
            match parent.columns.iter().position(is_it) {
                Some(at) => drop(columns.insert(at)),
                // Renamed meanwhile: it may be any.
                None => columns.extend(0..parent.columns.len()),
            }
        }
    }
    is_parent.then_some(columns)
}

/// The engine looks for children because of this change: a row went, or a column that they refer to has another value.
///
/// # Errors
/// A row does not fit its shape.
pub fn is_cascading(change: &Change, columns: &BTreeSet<usize>, layout: &RowLayout) -> Result<bool, RowError> {
    Ok(match change {
        Change::Insert { .. } => false,
        Change::Delete { .. } | Change::Partial { after: None, .. } | Change::Cascade(_) => true,
        Change::Update { before, after, .. } => {
            let (mut old, mut new) = (Vec::new(), Vec::new());
            layout.split(&before.0, &mut old)?;
            layout.split(&after.0, &mut new)?;
            columns.iter().any(|at| old[*at] != new[*at])
        }
        Change::Partial {
            after: Some(after),
            before,
            ..
        } => {
            let mut values = (Vec::new(), Vec::new());
            layout.split(&before.row.0, &mut values.0)?;
            layout.split(&after.row.0, &mut values.1)?;
            columns.iter().any(|at| has_changed(*at, before, after, &values))
        }
    })
}

type Values<'a> = (Vec<Option<&'a [u8]>>, Vec<Option<&'a [u8]>>);

/// A column that only the image after has was set.
fn has_changed(at: usize, before: &Image, after: &Image, values: &Values<'_>) -> bool {
    after.has(at) && (!before.has(at) || values.0[at] != values.1[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::tests::shape;
    use crate::core::shape::ColumnKind;

    fn name(table: &str) -> TableName {
        TableName {
            schema: "s".into(),
            table: table.into(),
        }
    }

    fn table(of: &str, parents: &[(&str, &str)]) -> TableShape {
        let cascade = |(parent, column): &(&str, &str)| Cascade {
            constraint: "fk".into(),
            parent: name(parent),
            columns: vec![(*column).into()],
            is_unlogged: true,
        };
        TableShape {
            name: name(of),
            cascades: parents.iter().map(cascade).collect(),
            ..shape(vec![ColumnKind::Year, ColumnKind::Year], 1)
        }
    }

    #[test]
    fn parents_come_first_and_those_that_are_each_others_children_do_not_wait() {
        let shapes = [
            table("grandchild", &[("child", "c0")]),
            table("child", &[("parent", "c0"), ("outside", "c0")]),
            table("parent", &[]),
            table("tree", &[("tree", "c0")]),
            table("hen", &[("egg", "c0")]),
            table("egg", &[("hen", "c0"), ("parent", "c0")]),
        ];
        let family = Family::of(&shapes);
        let ids = |ids: &mut dyn Iterator<Item = ShapeId>| ids.map(|id| id.0).collect::<Vec<_>>();
        let children = |at| ids(&mut family.children(ShapeId(at)));
        let before = |at| ids(&mut family.before(ShapeId(at)));
        assert_eq!((children(2), children(1), children(0)), (vec![0, 1, 4, 5], vec![0], vec![]));
        assert_eq!((children(3), children(4)), (vec![3], vec![4, 5]));
        assert_eq!((before(0), before(1), before(2)), (vec![1, 2], vec![2], vec![]));
        assert_eq!((before(3), before(4), before(5)), (vec![], vec![2], vec![2]));
    }

    #[test]
    fn a_column_that_was_renamed_meanwhile_may_be_any() {
        let parent = table("parent", &[]);
        let of = |column| referenced(&parent, [table("child", &[("parent", column)])].iter());
        assert_eq!(of("C1"), Some([1].into()));
        assert_eq!(of("gone"), Some([0, 1].into()));
        assert_eq!(referenced(&parent, [table("child", &[("other", "c0")])].iter()), None);
    }
}
