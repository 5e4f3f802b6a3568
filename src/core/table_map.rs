//! What becomes of a table on its way to the target: its name, its columns, which rows and which kinds of change.
//!
//! Made at the source when a job starts (`mysql::source::tables`) and kept inside the table's shape, so that a resumed job goes
//! on with the names it began with. `TableShape::on_target` is what the sink makes and writes; rows take that form in
//! `core::projection` before they travel.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::core::fault::Fault;
use crate::core::row_filter::RowFilter;
use crate::core::shape::{Column, RowKey, TableName, TableShape};
use crate::core::table_choice::{Chosen, RowKind, TableRule};
use crate::core::table_definition::{self, Columns};
use crate::core::table_merge::TWO_SOURCES;

/// The columns that a job chooses or renames do not fit the table.
const BAD_COLUMNS: &str = "PEER1123";

/// The filter of a job does not fit the table.
const BAD_FILTER: &str = "PEER1124";

/// The way of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMap {
    /// Its name on the target.
    pub to: TableName,
    /// Its columns on the target, in order; empty: all, as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<MappedColumn>,
    /// Rows that are replicated, as SQL; None: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Kinds of change that are not carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<RowKind>,
    /// Others write into the table on the target too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge: bool,
    /// Columns of the source that came by a change of definitions that was skipped: they do not travel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// One column of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedColumn {
    /// Its ordinal on the source, from 0.
    pub at: usize,
    /// Its name on the target.
    pub name: String,
}

impl TableMap {
    /// The way of a table; None: it goes as it is.
    ///
    /// # Errors
    /// Every column that is missing, needed, or would have the name of another.
    pub fn of(shape: &TableShape, chosen: &Chosen, skip: &[RowKind]) -> Result<Option<Self>, Vec<Fault>> {
        Self::without(shape, chosen, skip, &[])
    }

    /// The same without these columns.
    ///
    /// # Errors
    /// As `of`.
    pub fn without(
        shape: &TableShape,
        chosen: &Chosen,
        skip: &[RowKind],
        left_out: &[String],
    ) -> Result<Option<Self>, Vec<Fault>> {
        let mut faults = Vec::new();
        let columns = columns(shape, chosen, left_out, &mut faults);
        faults.extend(not_apart(shape, &columns, chosen));
        let map = Self {
            to: chosen.to.clone(),
            columns,
            filter: chosen.rule.as_ref().and_then(|rule| rule.filter.clone()),
            skip: skip.to_vec(),
            merge: chosen.rule.as_ref().is_some_and(|rule| rule.merge),
            left_out: left_out.to_vec(),
        };
        let is_plain =
            map.to == shape.name && map.columns.is_empty() && map.filter.is_none() && map.skip.is_empty() && !map.merge;
        if is_plain && faults.is_empty() {
            return Ok(None);
        }
        if faults.is_empty() {
            faults.extend(needed(shape, &map));
        }
        if faults.is_empty() { Ok(Some(map)) } else { Err(faults) }
    }
}

impl TableShape {
    /// The table as the target has it: rows on the link have this shape.
    #[must_use]
    pub fn on_target(&self) -> Cow<'_, Self> {
        let Some(map) = &self.map else {
            return Cow::Borrowed(self);
        };
        let mut shape = Self {
            name: map.to.clone(),
            // A definition that cannot be rewritten was refused when the map was made.
            create_sql: definition(self, map).unwrap_or_default(),
            defaults: None,
            map: None,
            ..self.clone()
        };
        if !map.columns.is_empty() {
            let column = |mapped: &MappedColumn| Column {
                name: mapped.name.clone(),
                ..self.columns[mapped.at].clone()
            };
            shape.columns = map.columns.iter().map(column).collect();
            shape.key = self.key.as_ref().map(|key| moved_key(key, &map.columns));
        }
        Cow::Owned(shape)
    }

    /// The columns of its key, in lower case; empty without one.
    #[must_use]
    pub fn key_names(&self) -> Vec<String> {
        let of_key = self.key.iter().flat_map(|key| &key.columns);
        of_key.map(|at| self.columns[*at].name.to_lowercase()).collect()
    }
}

/// The key, by the ordinals of the target.
fn moved_key(key: &RowKey, columns: &[MappedColumn]) -> RowKey {
    let place = |old: &usize| columns.iter().position(|mapped| mapped.at == *old);
    RowKey {
        index: key.index.clone(),
        columns: key.columns.iter().filter_map(place).collect(),
    }
}

fn definition_columns<'a>(shape: &'a TableShape, map: &'a TableMap) -> Option<Columns<'a>> {
    let pair = |mapped: &'a MappedColumn| (shape.columns[mapped.at].name.as_str(), mapped.name.as_str());
    (!map.columns.is_empty()).then(|| Columns {
        all: shape.columns.iter().map(|column| column.name.as_str()).collect(),
        chosen: map.columns.iter().map(pair).collect(),
    })
}

/// The columns of the target; empty when the job says nothing about them.
fn columns(shape: &TableShape, chosen: &Chosen, left_out: &[String], faults: &mut Vec<Fault>) -> Vec<MappedColumn> {
    let is_said = |rule: &&TableRule| !rule.columns.is_empty() || !rule.to.columns.is_empty() || !left_out.is_empty();
    let Some(rule) = chosen.rule.as_ref().filter(is_said) else {
        return Vec::new();
    };
    let mut named: Vec<usize> = Vec::new();
    for name in &rule.columns {
        match ordinal(shape, name) {
            Some(at) if named.contains(&at) => faults.push(bad(shape, format!("column `{name}` twice"), "each column once")),
            Some(at) => named.push(at),
            None => faults.push(bad(shape, format!("no column `{name}`"), &column_names(shape))),
        }
    }
    if rule.columns.is_empty() {
        let travels = |at: &usize| !left_out.iter().any(|name| is_same(name, &shape.columns[*at].name));
        named.extend((0..shape.columns.len()).filter(travels));
    }
    for old in rule.to.columns.keys() {
        if !ordinal(shape, old).is_some_and(|at| named.contains(&at)) {
            faults.push(bad(
                shape,
                format!("a new name for `{old}`, which is not among the columns"),
                &column_names(shape),
            ));
        }
    }
    let new_name = |at: usize| {
        let old = &shape.columns[at].name;
        let renamed = rule.to.columns.iter().find(|(name, _)| is_same(name, old));
        renamed.map_or_else(|| old.clone(), |(_, new)| new.clone())
    };
    let columns: Vec<MappedColumn> = named.into_iter().map(|at| MappedColumn { at, name: new_name(at) }).collect();
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|other| is_same(&other.name, &column.name)) {
            faults.push(bad(
                shape,
                format!("two columns `{}` on the target", column.name),
                "one column of each name",
            ));
        }
    }
    columns
}

/// What a target cannot do without: the key, and what the definitions of the chosen columns speak of.
fn needed(shape: &TableShape, map: &TableMap) -> Vec<Fault> {
    let is_chosen = |at: &usize| map.columns.is_empty() || map.columns.iter().any(|mapped| mapped.at == *at);
    let key = shape.key.as_ref().map_or(&[][..], |key| &key.columns);
    let missing = key.iter().filter(|at| !is_chosen(at));
    let mut faults: Vec<Fault> = missing
        .map(|at| {
            let found = format!("columns without `{}`, which is part of the key", shape.columns[*at].name);
            bad(shape, found, "every column of the key: without it no row is found again")
        })
        .collect();
    if let Some(filter) = &map.filter
        && let Err(reason) = RowFilter::of(filter, shape)
    {
        faults.push(Fault::new(
            BAD_FILTER,
            format!("where of table {}", shape.name),
            reason,
            "a condition on the columns of the row, docs/filters.md",
            "correct `where` of its [[tables]]",
        ));
    }
    if let Err(reason) = definition(shape, map) {
        faults.push(bad(shape, reason, "columns whose definitions speak of chosen columns only"));
    }
    faults
}

/// A column that keeps the table apart from another must be part of the key: else one key may come from both.
fn not_apart(shape: &TableShape, columns: &[MappedColumn], chosen: &Chosen) -> Vec<Fault> {
    let name_of = |at: &usize| {
        let mapped = columns.iter().find(|mapped| mapped.at == *at);
        mapped.map_or(&shape.columns[*at].name, |mapped| &mapped.name).to_lowercase()
    };
    let key: Vec<String> = shape.key.iter().flat_map(|key| key.columns.iter().map(name_of)).collect();
    let is_loose = |column: &&String| !key.contains(column);
    let fault = |column: &String| {
        Fault::new(
            TWO_SOURCES,
            format!("table {} of the target", chosen.to),
            format!(
                "several sources, of which {} is kept apart by `{column}`, which is no part of its key",
                shape.name
            ),
            "a column of the key: else one key may come from both",
            "bound a column of the key by `where`, or write merge = true in the [[tables]] of each when you know that no key is in both",
        )
    };
    chosen.apart.iter().filter(is_loose).map(fault).collect()
}

fn definition(shape: &TableShape, map: &TableMap) -> Result<String, String> {
    let columns = definition_columns(shape, map);
    table_definition::rewritten(&shape.create_sql, &shape.name, &map.to, columns.as_ref())
}

fn ordinal(shape: &TableShape, name: &str) -> Option<usize> {
    shape.columns.iter().position(|column| is_same(&column.name, name))
}

/// Servers compare names of columns without case.
fn is_same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn column_names(shape: &TableShape) -> String {
    let names: Vec<&str> = shape.columns.iter().map(|column| column.name.as_str()).collect();
    format!("columns of {}", names.join(", "))
}

fn bad(shape: &TableShape, found: String, expected: &str) -> Fault {
    Fault::new(
        BAD_COLUMNS,
        format!("columns of table {}", shape.name),
        found,
        expected,
        "correct `columns` and `to.columns` of its [[tables]]",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shape::ColumnKind;
    use crate::core::table_choice::{NamePattern, Renaming, TablePattern, TableRule};

    fn shape() -> TableShape {
        let column = |name: &str| Column {
            name: name.into(),
            kind: ColumnKind::Int {
                bytes: 4,
                unsigned: false,
            },
            is_nullable: true,
            is_generated: false,
            charset: None,
            collation: None,
        };
        TableShape {
            name: TableName {
                schema: "shop".into(),
                table: "orders".into(),
            },
            columns: ["id", "total", "note"].map(column).into(),
            key: Some(RowKey {
                index: "PRIMARY".into(),
                columns: vec![0],
            }),
            has_secondary_unique: false,
            create_sql: "CREATE TABLE `orders` (\n  `id` int NOT NULL,\n  `total` int,\n  `note` int,\n  PRIMARY KEY (`id`),\n  \
                         KEY `n` (`note`)\n) ENGINE=InnoDB"
                .into(),
            defaults: None,
            cascades: Vec::new(),
            map: None,
        }
    }

    fn map(columns: &[&str], renamed: &[(&str, &str)]) -> Result<Option<TableMap>, String> {
        let shape = shape();
        let rule = TableRule {
            which: TablePattern {
                schema: NamePattern::Exact("shop".into()),
                table: None,
            },
            merge: false,
            filter: None,
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            to: Renaming {
                columns: renamed
                    .iter()
                    .map(|(old, new)| ((*old).to_owned(), (*new).to_owned()))
                    .collect(),
                ..Renaming::default()
            },
        };
        let chosen = Chosen {
            name: shape.name.clone(),
            to: shape.name.clone(),
            rule: Some(rule),
            apart: Vec::new(),
        };
        TableMap::of(&shape, &chosen, &[]).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_table_that_goes_as_it_is_has_no_map() {
        assert_eq!(map(&[], &[]), Ok(None));
    }

    #[test]
    fn chosen_columns_come_in_their_order_under_their_new_names() {
        let mut shape = shape();
        shape.map = map(&["TOTAL", "id"], &[("total", "amount")]).expect("maps").map(Box::new);
        let target = shape.on_target();
        let names: Vec<&str> = target.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["amount", "id"]);
        assert_eq!(target.key.as_ref().expect("has a key").columns, [1]);
        assert_eq!(
            target.create_sql,
            "CREATE TABLE `orders` (\n  `amount` int,\n  `id` int NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB"
        );
    }

    #[test]
    fn every_column_that_does_not_fit_is_named() {
        let text = map(&["total", "total", "nothing"], &[("note", "x")]).expect_err("refused");
        for word in ["`total` twice", "no column `nothing`", "a new name for `note`"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let text = map(&["total"], &[]).expect_err("refused");
        assert!(text.contains("without `id`"), "{text}");
        let text = map(&[], &[("total", "ID")]).expect_err("refused");
        assert!(text.contains("two columns"), "{text}");
    }

    #[test]
    fn tables_are_apart_only_by_columns_of_their_key() {
        let shape = shape();
        let chosen = |column: &str| Chosen {
            name: shape.name.clone(),
            to: shape.name.clone(),
            rule: None,
            apart: vec![column.to_owned()],
        };
        assert_eq!(TableMap::of(&shape, &chosen("id"), &[]), Ok(None));
        let faults = TableMap::of(&shape, &chosen("total"), &[]).expect_err("refused");
        assert!(faults[0].to_string().contains("no part of its key"), "{}", faults[0]);
    }

    #[test]
    fn columns_that_came_unseen_do_not_travel() {
        let mut shape = shape();
        let chosen = Chosen {
            name: shape.name.clone(),
            to: shape.name.clone(),
            rule: Some(TableRule {
                which: TablePattern {
                    schema: NamePattern::Exact("shop".into()),
                    table: None,
                },
                filter: None,
                columns: Vec::new(),
                to: Renaming::default(),
                merge: false,
            }),
            apart: Vec::new(),
        };
        let map = TableMap::without(&shape, &chosen, &[], &["TOTAL".to_owned()]).expect("maps");
        shape.map = map.map(Box::new);
        let names: Vec<String> = shape.on_target().columns.iter().map(|column| column.name.clone()).collect();
        assert_eq!(names, ["id", "note"]);
    }
}
