//! Reads what the meta tables say of a job's progress, and writes the parts of it that travel inside a group.
//!
//! `writer` reads once, after the fence was acquired; from then on memory and table move together. Writes are statements
//! for a group's transaction, never executed here: they must commit with the rows.

use crate::core::change::{BinlogPosition, CopyRow, Key};
use crate::core::gtid_set::GtidSet;
use crate::core::ids::{Epoch, JobId, Seq};
use crate::core::progress::Progress;
use crate::core::shape::{TableName, TableShape};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::meta::{Meta, job_values, of_job};

/// Progress after the fence was acquired, with a locking read; makes the row with number 0 when there is none.
pub async fn read(session: &mut Session, meta: &Meta, job: &JobId, epoch: Epoch) -> Result<Progress, Error> {
    type Columns = (u64, String, String, String, u64);
    let sql = format!(
        "SELECT seq, gtid_set, source_uuid, binlog_file, binlog_pos FROM {} WHERE {} FOR UPDATE",
        meta.table("progress"),
        of_job(job)
    );
    let row: Option<Columns> = session.first(sql).await?;
    let Some((seq, executed, source_uuid, file, offset)) = row else {
        let sql = format!(
            "INSERT INTO {} (job, inc, seq, epoch, gtid_set, source_uuid, binlog_file, binlog_pos, origin, commit_us) \
             VALUES ({}, 0, {epoch}, '', '', '', 0, '', 0) ON DUPLICATE KEY UPDATE epoch = epoch",
            meta.table("progress"),
            job_values(job)
        );
        // Another owner may have made it meanwhile: an older one commits nothing in it, a newer one ends this one.
        session.execute(sql).await?;
        return Ok(Progress::default());
    };
    let executed = GtidSet::parse(&executed).map_err(|error| session.unexpected(error.to_string(), "a GTID set in progress"))?;
    Ok(Progress {
        seq: Seq(seq),
        executed,
        source_uuid,
        position: BinlogPosition { file, offset },
        copy: read_copy(session, meta, job).await?,
        shapes: read_shapes(session, meta, job).await?,
        skips: GtidSet::default(),
    })
}

async fn read_copy(session: &mut Session, meta: &Meta, job: &JobId) -> Result<Vec<CopyRow>, Error> {
    let sql = format!(
        "SELECT schema_name, table_name, cursor_key, `rows`, rows_estimate, state, low FROM {} WHERE {} ORDER BY ordinal",
        meta.table("copy"),
        of_job(job)
    );
    type Columns = (String, String, String, u64, Option<u64>, String, String);
    let rows: Vec<Columns> = session.rows(sql).await?;
    rows.into_iter()
        .map(|(schema, table, cursor, rows, rows_estimate, state, since)| {
            Ok(CopyRow {
                table: TableName { schema, table },
                cursor: parse_key(&cursor).map_err(|found| session.unexpected(found, "a key in copy.cursor_key"))?,
                rows,
                rows_estimate,
                is_done: state == "done",
                since: GtidSet::parse(&since).map_err(|error| session.unexpected(error.to_string(), "a GTID set in copy.low"))?,
            })
        })
        .collect()
}

async fn read_shapes(session: &mut Session, meta: &Meta, job: &JobId) -> Result<Vec<TableShape>, Error> {
    let sql = format!(
        "SELECT definition FROM {} WHERE {} ORDER BY ordinal",
        meta.table("shape"),
        of_job(job)
    );
    let definitions: Vec<String> = session.rows(sql).await?;
    definitions
        .iter()
        .map(|text| serde_json::from_str(text).map_err(|error| session.unexpected(error.to_string(), "a shape as JSON")))
        .collect()
}

/// Puts a copy row in its place (`low` holds what it is copied since); affects 1 row when new, 2 when changed.
#[must_use]
pub fn copy_statement(meta: &Meta, job: &JobId, ordinal: usize, row: &CopyRow) -> String {
    let estimate = row.rows_estimate.map_or_else(|| "NULL".to_owned(), |rows| rows.to_string());
    let state = if row.is_done { "done" } else { "open" };
    format!(
        "INSERT INTO {} (job, inc, schema_name, table_name, range_no, low, high, cursor_key, `rows`, rows_estimate, state, ordinal) \
         VALUES ({}, {}, {}, 0, {}, '', {}, {}, {estimate}, '{state}', {ordinal}) ON DUPLICATE KEY UPDATE cursor_key = VALUES(cursor_key), \
         `rows` = VALUES(`rows`), state = VALUES(state)",
        meta.table("copy"),
        job_values(job),
        quote::text(&row.table.schema),
        quote::text(&row.table.table),
        quote::text(&row.since.to_string()),
        quote::text(&format_key(row.cursor.as_ref())),
        row.rows
    )
}

/// Puts a shape in its place.
#[must_use]
pub fn shape_statement(meta: &Meta, job: &JobId, ordinal: usize, version: Seq, shape: &TableShape) -> String {
    let definition = serde_json::to_string(shape).expect("a shape has only text keys");
    format!(
        "INSERT INTO {} (job, inc, schema_name, table_name, version, definition, ordinal) VALUES ({}, {}, {}, {version}, {}, {ordinal}) \
         ON DUPLICATE KEY UPDATE definition = VALUES(definition), ordinal = VALUES(ordinal)",
        meta.table("shape"),
        job_values(job),
        quote::text(&shape.name.schema),
        quote::text(&shape.name.table),
        quote::text(&definition)
    )
}

/// Puts all shapes and copy rows anew, in their order: after a change of definitions.
#[must_use]
pub fn replace_statements(meta: &Meta, job: &JobId, progress: &Progress) -> Vec<String> {
    let empty = |table| format!("DELETE FROM {} WHERE {}", meta.table(table), of_job(job));
    let shapes = progress.shapes.iter().enumerate();
    let copy = progress.copy.iter().enumerate();
    [empty("shape"), empty("copy")]
        .into_iter()
        .chain(shapes.map(|(at, shape)| shape_statement(meta, job, at, progress.seq, shape)))
        .chain(copy.map(|(at, row)| copy_statement(meta, job, at, row)))
        .collect()
}

/// Stamps the sign of life of an owner with nothing to commit.
#[must_use]
pub fn beat_statement(meta: &Meta, job: &JobId, epoch: Epoch) -> String {
    format!(
        "INSERT INTO {} (job, inc, epoch, at) VALUES ({}, {epoch}, NOW(6)) ON DUPLICATE KEY UPDATE \
         at = IF(VALUES(epoch) >= epoch, VALUES(at), at), epoch = GREATEST(epoch, VALUES(epoch))",
        meta.table("beat"),
        job_values(job)
    )
}

/// `68690a,ff`: hex per value, so that any bytes fit an ASCII column; empty: no key.
fn format_key(key: Option<&Key>) -> String {
    let Some(Key(values)) = key else {
        return String::new();
    };
    let hex = |value: &Vec<u8>| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("k{}", values.iter().map(hex).collect::<Vec<_>>().join(","))
}

fn parse_key(text: &str) -> Result<Option<Key>, String> {
    let Some(values) = text.strip_prefix('k') else {
        return if text.is_empty() { Ok(None) } else { Err(format!("`{text}`")) };
    };
    let values = values.split(',').map(|hex| {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| format!("`{text}`"))
    });
    values.collect::<Result<Vec<_>, _>>().map(|values| Some(Key(values)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_key_and_a_key_of_one_empty_value_are_two_things() {
        assert_eq!(parse_key(&format_key(None)), Ok(None));
        let empty = Key(vec![vec![]]);
        assert_eq!(parse_key(&format_key(Some(&empty))), Ok(Some(empty)));
    }

    #[test]
    fn a_cursor_that_is_not_a_key_is_refused() {
        assert!(parse_key("12").is_err() && parse_key("kxy").is_err());
    }

    proptest! {
        #[test]
        fn a_key_comes_back_from_its_text(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 1..4)) {
            let key = Key(values);
            prop_assert_eq!(parse_key(&format_key(Some(&key))), Ok(Some(key)));
        }
    }
}
