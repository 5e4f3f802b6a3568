//! Changes of definitions of tables that are not on the target as they are on the source: other names, columns, rows or kinds.
//!
//! Used by `ddl`. What the source has afterwards is seen on a shadow (`shadow`), from which the job's rules make what the target is to
//! have. The target gets the source's own text where rows or partitions go without row events, and where it means the same there; else the
//! difference of the two definitions (`core::table_difference`), tried on empty tables before.

use crate::core::ddl::{Ddl, DdlSession, DdlStep};
use crate::core::ddl_rewrite::{self, ColumnChanges};
use crate::core::fault::Fault;
use crate::core::shape::{Column, TableName, TableShape};
use crate::core::table_difference::{self, ColumnFate};
use crate::core::table_map::{MappedColumn, TableMap};
use crate::core::table_wanted::Wanted;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::meta::Meta;
use crate::mysql::target::shadow::Shadows;

/// `sql_mode` bits that change how a text is read: REAL_AS_FLOAT, PIPES_AS_CONCAT, ANSI_QUOTES, IGNORE_SPACE,
/// NO_BACKSLASH_ESCAPES, HIGH_NOT_PRECEDENCE. Definitions are printed without them.
const READING_BITS: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 20 | 1 << 29;

/// What a statement is to one table.
#[derive(Debug)]
pub(super) struct Change {
    /// The table of the source afterwards, with its way.
    pub shape: TableShape,
    /// What to run on the target; None: it stays as it is.
    pub text: Option<Vec<u8>>,
    /// The session to run it in.
    pub session: DdlSession,
}

/// What the statement is to a table whose definition it changes.
pub(super) async fn altered(
    session: &mut Session,
    meta: &Meta,
    ddl: &Ddl,
    before: &TableShape,
    wanted: &Wanted,
    is_shared: bool,
) -> Result<Change, Error> {
    let changes = column_changes(ddl)?;
    let mut shadows = Shadows::hold(session, meta).await?;
    let mut after = shadows.after(before, ddl).await?;
    after.map = way(ddl, &after, wanted, &left_out(before, &changes))?;
    let (old, new) = (before.on_target(), after.on_target());
    // Another source of the table may have brought it already.
    if is_shared && !changes.is_partition_work && shadows.is_there(&new).await? {
        shadows.release().await?;
        return Ok(Change {
            shape: after,
            text: None,
            session: ddl.session.clone(),
        });
    }
    let is_same_text = old.name == before.name && has_all_columns(before) && has_all_columns(&after);
    let change = if is_same_text {
        Change {
            text: Some(ddl.statement.clone()),
            session: ddl.session.clone(),
            shape: after,
        }
    } else if changes.is_partition_work {
        let text = ddl_rewrite::about(&ddl.statement, ddl.session.reading(), &old.name);
        let text = text.ok_or_else(|| {
            refused(
                ddl,
                "it cannot be written for the target's table".into(),
                "a name in ASCII there",
            )
        })?;
        Change {
            text: Some(text),
            session: ddl.session.clone(),
            shape: after,
        }
    } else {
        let source = plain_reading(&ddl.session);
        let fates = fates(ddl, before, &after, &changes)?;
        let clauses = table_difference::clauses(&old.create_sql, &new.create_sql, &fates);
        let clauses = clauses.map_err(|reason| refused(ddl, reason, "a change that can be written for the target's table"))?;
        if let Some(clauses) = &clauses
            && !shadows.do_lead(&old, clauses, &new, &source).await?
        {
            let found = format!(
                "`ALTER TABLE {} {clauses}` makes something else of it",
                quote::table(&old.name)
            );
            return Err(refused(ddl, found, "a change that can be written for the target's table"));
        }
        let text = |clauses: String| format!("ALTER TABLE {} {clauses}", quote::table(&old.name)).into_bytes();
        Change {
            text: clauses.map(text),
            session: source,
            shape: after,
        }
    };
    shadows.release().await?;
    Ok(change)
}

/// What a statement that is passed over leaves: the target as it is, and rows with the columns that both sides have.
pub(super) async fn skipped(
    session: &mut Session,
    meta: &Meta,
    ddl: &Ddl,
    before: &TableShape,
    wanted: &Wanted,
) -> Result<TableShape, Error> {
    let changes = column_changes(ddl)?;
    let mut shadows = Shadows::hold(session, meta).await?;
    let mut after = shadows.after(before, ddl).await?;
    shadows.release().await?;
    let impossible = |found: String| {
        let expected = "a change that can be skipped: columns that come or go, indexes, constraints, options";
        refused(ddl, format!("the policy skips it, but {found}"), expected)
    };
    if changes.is_partition_work {
        return Err(impossible("rows may go with partitions".into()));
    }
    if key_names(before) != key_names(&after) {
        return Err(impossible("rows are found by another key".into()));
    }
    let mut left = left_out(before, &changes);
    for column in &after.columns {
        match source_before(&column.name, before, &changes) {
            None => left.push(column.name.clone()),
            Some(old) if !is_same(&old.name, &column.name) => {
                return Err(impossible(format!("column `{}` has another name", old.name)));
            }
            Some(old) if (&old.kind, &old.charset, old.is_generated) != (&column.kind, &column.charset, column.is_generated) => {
                return Err(impossible(format!("values of column `{}` have another form", old.name)));
            }
            Some(_) => {}
        }
    }
    after.map = way(ddl, &after, wanted, &left)?;
    Ok(after)
}

fn key_names(shape: &TableShape) -> Option<Vec<String>> {
    let key = shape.key.as_ref()?;
    Some(key.columns.iter().map(|at| shape.columns[*at].name.to_lowercase()).collect())
}

fn column_changes(ddl: &Ddl) -> Result<ColumnChanges, Error> {
    let changes = ddl_rewrite::column_changes(&ddl.statement, ddl.session.reading());
    changes.ok_or_else(|| {
        refused(
            ddl,
            "a column's name in it cannot be read".into(),
            "names that this peer can read",
        )
    })
}

/// Columns that do not travel because the change that brought them was skipped, under their names afterwards.
fn left_out(before: &TableShape, changes: &ColumnChanges) -> Vec<String> {
    let old = before.map.iter().flat_map(|map| map.left_out.iter());
    old.filter(|name| !changes.dropped.iter().any(|gone| is_same(gone, name)))
        .map(|name| {
            let renamed = changes.renamed.iter().find(|(from, _)| is_same(from, name));
            renamed.map_or(name, |(_, to)| to).clone()
        })
        .collect()
}

/// The column of before whose values this column has.
fn source_before<'a>(name: &str, before: &'a TableShape, changes: &ColumnChanges) -> Option<&'a Column> {
    let from = match changes.renamed.iter().find(|(_, new)| is_same(new, name)) {
        Some((old, _)) => old.as_str(),
        None if changes.dropped.iter().any(|gone| is_same(gone, name)) => return None,
        None => name,
    };
    before.columns.iter().find(|column| is_same(&column.name, from))
}

/// Servers compare names of columns without case.
fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// The table under its new name on the source, with the way of that name.
pub(super) async fn renamed(
    session: &mut Session,
    meta: &Meta,
    ddl: &Ddl,
    before: &TableShape,
    to: &TableName,
    wanted: &Wanted,
) -> Result<TableShape, Error> {
    let mut shadows = Shadows::hold(session, meta).await?;
    let mut after = shadows.renamed(before, to).await?;
    shadows.release().await?;
    after.map = way(ddl, &after, wanted, &left_out(before, &ColumnChanges::default()))?;
    Ok(after)
}

/// What is renamed on the target, at once: names there, or of the source where nothing has another one.
pub(super) fn renames(ddl: &Ddl, shapes: &[TableShape], wanted: &Wanted) -> Vec<(TableName, TableName)> {
    let Some(DdlStep::Rename { pairs, moved }) = ddl.steps.first() else {
        return Vec::new();
    };
    let on_target = |name: &TableName| {
        let shape = shapes.iter().find(|shape| shape.name == *name);
        shape.map_or_else(|| name.clone(), |shape| shape.on_target().name.clone())
    };
    let to = |before: &TableName, after: &Option<TableName>| match after {
        Some(after) => wanted.choice(after).map_or_else(|| after.clone(), |chosen| chosen.to),
        None => {
            let last = pairs.iter().fold(
                before.clone(),
                |name, (from, to)| if name == *from { to.clone() } else { name },
            );
            // A table that leaves the job stays in the schema it was replicated to.
            let schema = if last.schema == before.schema {
                on_target(before).schema
            } else {
                last.schema
            };
            TableName { schema, ..last }
        }
    };
    let all: Vec<(TableName, TableName)> = moved
        .iter()
        .map(|(before, after)| (on_target(before), to(before, after)))
        .collect();
    let is_plain = moved
        .iter()
        .zip(&all)
        .all(|((before, after), (from, to))| before == from && after.as_ref().is_none_or(|after| after == to));
    if is_plain {
        return pairs.clone();
    }
    let moving: Vec<_> = all.into_iter().filter(|(from, to)| from != to).collect();
    let is_taken = |name: &TableName| moving.iter().any(|(from, _)| from == name);
    if !moving.iter().any(|(_, to)| is_taken(to)) {
        return moving;
    }
    let between = |at: usize, to: &TableName| TableName {
        schema: to.schema.clone(),
        table: format!("peer_rename_{at}"),
    };
    let out = moving
        .iter()
        .enumerate()
        .map(|(at, (from, to))| (from.clone(), between(at, to)));
    let back = moving.iter().enumerate().map(|(at, (_, to))| (between(at, to), to.clone()));
    out.chain(back).collect()
}

fn way(ddl: &Ddl, after: &TableShape, wanted: &Wanted, left_out: &[String]) -> Result<Option<Box<TableMap>>, Error> {
    let Some(chosen) = wanted.choice(&after.name) else {
        return Err(refused(
            ddl,
            format!("no rule of the job takes {}", after.name),
            "the job's rules as they were",
        ));
    };
    let map = TableMap::without(after, &chosen, &wanted.selection.skip, left_out);
    map.map(|map| map.map(Box::new)).map_err(|faults| {
        let told: Vec<String> = faults
            .iter()
            .map(|fault: &Fault| format!("{}: {}", fault.object, fault.found))
            .collect();
        refused(
            ddl,
            told.join("; "),
            "what `columns`, `to.columns` and `where` of its [[tables]] speak of",
        )
    })
}

fn has_all_columns(shape: &TableShape) -> bool {
    let Some(map) = &shape.map else { return true };
    let is_as_it_is = |(at, mapped): (usize, &MappedColumn)| mapped.at == at && mapped.name == shape.columns[at].name;
    map.columns.is_empty() || map.columns.len() == shape.columns.len() && map.columns.iter().enumerate().all(is_as_it_is)
}

/// Which column of the target each column of the target was before.
fn fates(ddl: &Ddl, before: &TableShape, after: &TableShape, changes: &ColumnChanges) -> Result<Vec<ColumnFate>, Error> {
    let old_columns = carried(before);
    carried(after)
        .into_iter()
        .map(|(source, name)| {
            let Some(old) = source_before(&source, before, changes) else {
                return Ok(ColumnFate { before: None, name });
            };
            let carried = old_columns.iter().find(|(known, _)| is_same(known, &old.name));
            let carried = carried.ok_or_else(|| {
                let found = format!("column `{source}` has the values of `{}`, which were left out", old.name);
                refused(ddl, found, "columns whose values the target has")
            })?;
            Ok(ColumnFate {
                before: Some(carried.1.clone()),
                name,
            })
        })
        .collect()
}

/// Names on source and target of the columns that travel, in the target's order.
fn carried(shape: &TableShape) -> Vec<(String, String)> {
    match shape.map.as_ref().filter(|map| !map.columns.is_empty()) {
        None => shape
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.name.clone()))
            .collect(),
        Some(map) => {
            let pair = |mapped: &MappedColumn| (shape.columns[mapped.at].name.clone(), mapped.name.clone());
            map.columns.iter().map(pair).collect()
        }
    }
}

/// The source's session for a text of peer's own: the same clock and strictness, plain quotes, UTF-8.
fn plain_reading(source: &DdlSession) -> DdlSession {
    DdlSession {
        default_schema: String::new(),
        sql_mode: source.sql_mode & !READING_BITS,
        collations: None,
        ..source.clone()
    }
}

/// Nothing is done yet on the target.
fn refused(ddl: &Ddl, found: String, expected: &str) -> Error {
    Error::NotReplicable {
        gtid: ddl.gtid.to_string(),
        found: format!("`{}`: {found}", ddl.excerpt()),
        expected: expected.into(),
        fix: "purge the job, correct its [[tables]] and submit it again: the table is copied anew".into(),
    }
}
