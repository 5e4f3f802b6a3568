//! Makes the target's tables from the source's definitions, or finds that those which are there will do.
//!
//! Called by `writer` before the first group. A table that exists is compared with the source's definition as this server
//! reads it: an empty twin is made in the meta schema, both are read from information_schema, the twin is dropped.

use crate::core::finding::Severity;
use crate::core::shape::{TableName, TableShape};
use crate::core::table_definition;
use crate::mysql::error::Error;
use crate::mysql::preflight;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::meta::Meta;

/// What a table must be like before the job starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It will be copied: it must be empty.
    Empty,
    /// The job begins at the present: any rows.
    Any,
}

/// The table is there, has the columns of the shape and the content that is needed.
pub async fn ensure(session: &mut Session, meta: &Meta, shape: &TableShape, content: Content) -> Result<(), Error> {
    let name = &shape.name;
    if !table_exists(session, name).await? {
        ensure_schema(session, &name.schema).await?;
        let sql = create_statement(shape, &name.schema, &name.table)?;
        session.execute(sql).await?;
        return Ok(());
    }
    compare(session, meta, shape).await?;
    require_foreign_keys(session, shape).await?;
    if content == Content::Empty {
        refuse_rows(session, name).await?;
    }
    Ok(())
}

/// What the source's engine does for a foreign key and does not log, the target's does for the same one.
async fn require_foreign_keys(session: &mut Session, shape: &TableShape) -> Result<(), Error> {
    if shape.cascades.iter().all(|cascade| !cascade.is_unlogged) {
        return Ok(());
    }
    let name = &shape.name;
    let found = session
        .first::<(String, String)>(format!("SHOW CREATE TABLE {}", quote::table(name)))
        .await?;
    let (_, found) = found.unwrap_or_default();
    let found = table_definition::cascading_keys(&found);
    let Some((constraint, key)) = table_definition::cascading_keys(&shape.create_sql)
        .into_iter()
        .find(|(_, key)| !found.iter().any(|(_, other)| other == key))
    else {
        return Ok(());
    };
    Err(Error::Unsuitable {
        object: format!("table {name} of the target"),
        found: format!("no foreign key as `{constraint}` of the source, whose cascades the source does not log"),
        expected: format!("the same: {key}"),
        fix: format!(
            "ALTER TABLE {} ADD CONSTRAINT {} {key} on the target, then `peer restart`",
            quote::table(name),
            quote::identifier(constraint)
        ),
    })
}

/// The table is not there, or empty.
pub(super) async fn refuse_rows(session: &mut Session, name: &TableName) -> Result<(), Error> {
    if !table_exists(session, name).await? {
        return Ok(());
    }
    let found: Option<u32> = session.first(format!("SELECT 1 FROM {} LIMIT 1", quote::table(name))).await?;
    if found.is_none() {
        return Ok(());
    }
    Err(Error::Unsuitable {
        object: format!("table {name} of the target"),
        found: "rows in it".into(),
        expected: "no table, or an empty one: it is about to be copied".into(),
        fix: format!(
            "TRUNCATE TABLE {} on the target, or start = \"now\" when it already equals the source",
            quote::table(name)
        ),
    })
}

/// Source and target are two servers. On one, each table would be its own target: every change would come back.
pub fn check_pair(source_uuid: &str, target_uuid: &str) -> Result<(), Error> {
    let finding = preflight::check_pair(source_uuid, target_uuid);
    if finding.severity != Severity::Fail {
        return Ok(());
    }
    Err(Error::Unsuitable {
        object: finding.object,
        found: finding.found,
        expected: finding.expected,
        fix: finding.fix,
    })
}

/// A unique key that is not the row key exists on the target, whatever the source has.
pub async fn has_other_unique(session: &mut Session, shape: &TableShape) -> Result<bool, Error> {
    let key = shape.key.as_ref().map_or("", |key| &key.index);
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.statistics WHERE {} AND non_unique = 0 AND index_name <> {}",
        of_table(&shape.name.schema, &shape.name.table),
        quote::text(key)
    );
    Ok(session.first::<u64>(sql).await?.unwrap_or(0) > 0)
}

async fn table_exists(session: &mut Session, name: &TableName) -> Result<bool, Error> {
    let sql = format!(
        "SELECT 1 FROM information_schema.tables WHERE {}",
        of_table(&name.schema, &name.table)
    );
    Ok(session.first::<u32>(sql).await?.is_some())
}

/// The schema is there.
pub(super) async fn ensure_schema(session: &mut Session, schema: &str) -> Result<(), Error> {
    let sql = format!(
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = {}",
        quote::text(schema)
    );
    if session.first::<u32>(sql).await?.is_some() {
        return Ok(());
    }
    let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", quote::identifier(schema));
    session.execute(sql).await.map(drop)
}

/// `SHOW CREATE TABLE` of the source under another name, without the counter of its rows.
pub(super) fn create_statement(shape: &TableShape, schema: &str, table: &str) -> Result<String, Error> {
    let head = format!("CREATE TABLE {}", quote::identifier(&shape.name.table));
    let Some(body) = shape.create_sql.strip_prefix(&head) else {
        return Err(Error::Unsuitable {
            object: format!("table {} of the source", shape.name),
            found: format!(
                "a definition that begins `{}`",
                shape.create_sql.chars().take(60).collect::<String>()
            ),
            expected: format!("`{head} (…`"),
            fix: "this is a bug: report it with the definition".into(),
        });
    };
    Ok(format!(
        "CREATE TABLE {}{}",
        quote::qualified(schema, table),
        without_counter(body)
    ))
}

/// Cuts ` AUTO_INCREMENT=n` from the table options; they stand behind the last line that begins with `)`.
pub(super) fn without_counter(body: &str) -> String {
    let options_at = body.rfind("\n)").unwrap_or(0);
    let (columns, options) = body.split_at(options_at);
    let Some((before, counter)) = options.split_once(" AUTO_INCREMENT=") else {
        return body.to_owned();
    };
    let rest = counter.trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!("{columns}{before}{rest}")
}

async fn compare(session: &mut Session, meta: &Meta, shape: &TableShape) -> Result<(), Error> {
    let hash = crate::core::stable_hash::hex256(shape.name.to_string().as_bytes());
    let twin = format!("twin_{}", &hash[..24]);
    let drop_twin = format!("DROP TABLE IF EXISTS {}", meta.table(&twin));
    session.execute(&drop_twin).await?;
    let sql = create_statement(shape, meta.schema(), &twin)?;
    session.execute(sql).await?;
    let expected = definition(session, meta.schema(), &twin, shape).await;
    session.execute(&drop_twin).await?;
    let expected = expected?;
    let found = definition(session, &shape.name.schema, &shape.name.table, shape).await?;
    if found == expected {
        return Ok(());
    }
    let only = |these: &[String], those: &[String]| {
        let lines: Vec<_> = these.iter().filter(|line| !those.contains(line)).cloned().collect();
        if lines.is_empty() {
            "the same in another order, or less".to_owned()
        } else {
            lines.join(", ")
        }
    };
    Err(Error::Unsuitable {
        object: format!("table {} of the target", shape.name),
        found: only(&found, &expected),
        expected: only(&expected, &found),
        fix: "drop the table on the target so that it is made anew, or alter it to the source's definition".into(),
    })
}

/// Columns in order, then the columns of the row key.
async fn definition(session: &mut Session, schema: &str, table: &str, shape: &TableShape) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT CONCAT_WS(' ', column_name, column_type, character_set_name, IF(is_nullable = 'YES', NULL, 'NOT NULL'), \
         IF(generation_expression = '', NULL, 'GENERATED')) FROM information_schema.columns WHERE {} ORDER BY ordinal_position",
        of_table(schema, table)
    );
    let mut lines: Vec<String> = session.rows(sql).await?;
    if let Some(key) = &shape.key {
        let sql = format!(
            "SELECT CONCAT('key ', index_name, ' (', GROUP_CONCAT(column_name ORDER BY seq_in_index), ')') \
             FROM information_schema.statistics WHERE {} AND index_name = {} AND non_unique = 0 GROUP BY index_name",
            of_table(schema, table),
            quote::text(&key.index)
        );
        lines.extend(session.rows::<String>(sql).await?);
    }
    Ok(lines)
}

fn of_table(schema: &str, table: &str) -> String {
    format!(
        "table_schema = {} AND table_name = {}",
        quote::text(schema),
        quote::text(table)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_cannot_be_both_source_and_target() {
        assert!(check_pair("a", "b").is_ok());
        let error = check_pair("a", "a").unwrap_err();
        assert!(error.to_string().contains("one server"), "{error}");
    }

    #[test]
    fn only_the_counter_of_the_table_options_is_cut() {
        let body = " (\n  `id` int NOT NULL AUTO_INCREMENT,\n  `c` text COMMENT ' AUTO_INCREMENT=7'\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4";
        let expected = " (\n  `id` int NOT NULL AUTO_INCREMENT,\n  `c` text COMMENT ' AUTO_INCREMENT=7'\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";
        assert_eq!(without_counter(body), expected);
        assert_eq!(
            without_counter(" (\n  `id` int\n) ENGINE=InnoDB"),
            " (\n  `id` int\n) ENGINE=InnoDB"
        );
    }
}
