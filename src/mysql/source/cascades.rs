//! Foreign keys by which the engine itself changes rows: which there are, whether the server logs what they do, and whether a job
//! that gets only the parent's change can be carried.
//!
//! Read into each shape by `inspect`, on a source and on a target. The rules are asked by `tables` when a job starts and by
//! `flow::source_start` when it goes on. Changes nothing.

use crate::core::cascade::Cascade;
use crate::core::shape::{TableName, TableShape};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;

/// The foreign keys of a table with CASCADE or SET NULL.
///
/// # Errors
/// The query failed.
pub async fn read(session: &mut Session, name: &TableName) -> Result<Vec<Cascade>, Error> {
    let sql = format!(
        "SELECT r.CONSTRAINT_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME \
         FROM information_schema.REFERENTIAL_CONSTRAINTS r JOIN information_schema.KEY_COLUMN_USAGE k \
         ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.TABLE_NAME = r.TABLE_NAME AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME \
         WHERE r.CONSTRAINT_SCHEMA = {} AND r.TABLE_NAME = {} AND (r.DELETE_RULE IN ({RULES}) OR r.UPDATE_RULE IN ({RULES})) \
         ORDER BY r.CONSTRAINT_NAME, k.ORDINAL_POSITION",
        quote::text(&name.schema),
        quote::text(&name.table),
        RULES = "'CASCADE', 'SET NULL', 'SET DEFAULT'"
    );
    let mut cascades: Vec<Cascade> = Vec::new();
    for (constraint, schema, table, column) in session.rows::<(String, String, String, String)>(sql).await? {
        match cascades.last_mut() {
            Some(last) if last.constraint == constraint => last.columns.push(column),
            _ => cascades.push(Cascade {
                constraint,
                parent: TableName { schema, table },
                columns: vec![column],
                is_unlogged: false,
            }),
        }
    }
    if !cascades.is_empty() && are_unlogged(session).await? {
        cascades.iter_mut().for_each(|cascade| cascade.is_unlogged = true);
    }
    Ok(cascades)
}

/// What the server's engine changes for a foreign key is in no log: servers before 9.6, and later ones with native foreign keys.
///
/// # Errors
/// The query failed.
pub async fn are_unlogged(session: &mut Session) -> Result<bool, Error> {
    let native = session
        .first::<(String, String)>("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'")
        .await?;
    Ok(native.is_none_or(|(_, value)| value != "OFF"))
}

/// The foreign keys of which the target cannot do by itself what the source's engine did and did not log, each as an `Unsuitable`: child
/// and parent must be in the job, as they are. `is_chosen` tells whether the job asks for a table.
///
/// # Errors
/// The query failed.
pub async fn unfit(
    session: &mut Session,
    shapes: &[TableShape],
    is_chosen: impl Fn(&TableName) -> bool,
) -> Result<Vec<Error>, Error> {
    if shapes.iter().all(|shape| shape.cascades.is_empty()) || !are_unlogged(session).await? {
        return Ok(Vec::new());
    }
    let each = shapes
        .iter()
        .flat_map(|shape| shape.cascades.iter().map(move |cascade| (shape, cascade)));
    let refusal = |(shape, cascade)| Some(refused(shape, cascade, &why_unfit(shape, cascade, shapes, &is_chosen)?));
    Ok(each.filter_map(refusal).collect())
}

/// Fails when there is one.
///
/// # Errors
/// The first of `unfit`, or as it.
pub async fn check(session: &mut Session, shapes: &[TableShape], is_chosen: impl Fn(&TableName) -> bool) -> Result<(), Error> {
    let unfit = unfit(session, shapes, is_chosen).await?;
    unfit.into_iter().next().map_or(Ok(()), Err)
}

/// Why the target cannot do it; None: it can.
fn why_unfit(
    child: &TableShape,
    cascade: &Cascade,
    shapes: &[TableShape],
    is_chosen: impl Fn(&TableName) -> bool,
) -> Option<String> {
    let parent = shapes.iter().find(|shape| shape.name == cascade.parent);
    match parent {
        _ if child.map.is_some() => Some("the job does not carry the table as it is".into()),
        Some(parent) if parent.map.is_some() => Some(format!("the job does not carry {} as it is", parent.name)),
        None if !is_chosen(&cascade.parent) => Some(format!("{} is not in the job", cascade.parent)),
        Some(_) | None => None,
    }
}

fn refused(child: &TableShape, cascade: &Cascade, why: &str) -> Error {
    Error::Unsuitable {
        object: child.name.to_string(),
        found: format!(
            "foreign key `{}` to {}, whose cascades this server does not log, and {why}",
            cascade.constraint, cascade.parent
        ),
        expected:
            "both tables in the job with all rows and columns, under their names, no kind skipped: then the target cascades by \
                   itself; or a foreign key with RESTRICT; or a server from 9.6 on, which logs what it cascades"
                .into(),
        fix: format!(
            "add {} to the job and take `where`, `columns`, `to`, `merge` and `filter.skip` off both, leave {} out, or start the server \
             from 9.6 on without innodb_native_foreign_keys",
            cascade.parent, child.name
        ),
    }
}
