//! What is on the target already: tables of the same names, rows in them, triggers, foreign keys from elsewhere, other jobs.

use crate::core::check::{SourceFacts, TableFacts};
use crate::core::disposition::Disposition;
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::{JobSpec, StartPoint};
use crate::core::shape::{Column, TableName, TableShape};
use crate::core::table_writers::{self, Certainty, Own, Writer};
use crate::mysql::error::Error;
use crate::mysql::preflight::access::refused;
use crate::mysql::preflight::other_jobs;
use crate::mysql::preflight::settings::global;
use crate::mysql::preflight::source_tables::{list, of};
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::inspect;

/// The checks of the tables that the job would write. `is_begun`: the job has rows there already; `of_cluster`: what the job table knows
/// of other jobs.
pub(super) async fn check(
    session: &mut Session,
    spec: &JobSpec,
    source: &SourceFacts,
    is_begun: bool,
    of_cluster: &[Writer],
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut there = Vec::new();
    let own = source.own(spec);
    let mut writers = other_jobs::on_target(session, spec, &own).await?;
    for table in &source.tables {
        if exists(session, &table.target).await? {
            there.push(&table.target);
        }
        let may_have_rows = is_begun || is_shared(&own, &writers, table);
        findings.extend(check_table(session, spec, table, may_have_rows).await?);
    }
    writers.extend_from_slice(of_cluster);
    findings.extend(check_triggers(session, &there, spec.sink.drop_triggers).await?);
    findings.extend(check_children(session, &there).await?);
    findings.extend(table_writers::findings(&own, &writers));
    findings.extend(check_key_rule(session, source).await?);
    Ok(findings)
}

async fn exists(session: &mut Session, name: &TableName) -> Result<bool, Error> {
    let sql = format!("SELECT 1 FROM information_schema.TABLES WHERE {}", of(name));
    Ok(session.first::<u8>(sql).await?.is_some())
}

/// The table is not there, or is as the job needs it.
async fn check_table(
    session: &mut Session,
    spec: &JobSpec,
    table: &TableFacts,
    may_have_rows: bool,
) -> Result<Vec<Finding>, Error> {
    let name = &table.target;
    let object = format!("table {name} of the target");
    if !exists(session, name).await? {
        return Ok(vec![Finding::ok("PEER1824", object, "not there, it will be made")]);
    }
    let shapes = match inspect::shapes(session, std::slice::from_ref(name)).await {
        Ok(shapes) => shapes,
        Err(error) if error.disposition() == Disposition::Fatal => {
            return Ok(vec![refused("PEER1824", &object, &error, &error.fix())]);
        }
        Err(error) => return Err(error),
    };
    let different = shapes.first().map(|shape| differences(table, shape)).unwrap_or_default();
    let away = format!("RENAME TABLE {} TO {}", quote::table(name), aside(name));
    if !different.is_empty() {
        return Ok(vec![Finding::bad(
            Severity::Fail,
            "PEER1824",
            object,
            list(&different),
            format!("the columns and the key of {}", table.source),
            format!("{away}; -- it is made anew; or alter it to the source's definition"),
        )]);
    }
    let is_copied = matches!(spec.source.start, StartPoint::Snapshot | StartPoint::SnapshotOnly);
    let sql = format!("SELECT 1 FROM {} LIMIT 1", quote::table(name));
    if is_copied && !may_have_rows && session.first::<u8>(sql).await?.is_some() {
        return Ok(vec![Finding::bad(
            Severity::Fail,
            "PEER1824",
            object,
            "rows in it",
            "no table, or an empty one: it is about to be copied",
            format!("{away}; -- or TRUNCATE TABLE it, or start = \"now\" when it equals the source"),
        )]);
    }
    Ok(vec![Finding::ok("PEER1824", object, "there, and of the same form")])
}

/// Others may have rows in it: the job says so, or another one writes there. Whether that may be is told with the other jobs.
fn is_shared(own: &[Own], writers: &[Writer], table: &TableFacts) -> bool {
    let is_merged = |own: &Own| own.source == table.source && own.is_merged;
    let target = table.target.to_string().to_lowercase();
    let writes = |writer: &Writer| writer.certainty == Certainty::Writes && writer.target.to_lowercase() == target;
    own.iter().any(is_merged) || writers.iter().any(writes)
}

/// A free name beside it, at most 64 characters.
fn aside(name: &TableName) -> String {
    let kept: String = name.table.chars().take(52).collect();
    quote::qualified(&name.schema, &format!("{kept}_before_peer"))
}

/// What the table has otherwise than the source.
fn differences(wanted: &TableFacts, found: &TableShape) -> Vec<String> {
    let mut told = Vec::new();
    for column in &wanted.columns {
        match found
            .columns
            .iter()
            .find(|other| other.name.eq_ignore_ascii_case(&column.name))
        {
            None => told.push(format!("no column `{}`", column.name)),
            Some(other) => told.extend(column_difference(column, other)),
        }
    }
    let is_known = |column: &&Column| {
        wanted
            .columns
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(&column.name))
    };
    let extra = found.columns.iter().filter(|column| !is_known(column));
    told.extend(extra.map(|column| format!("column `{}`, which the source does not have", column.name)));
    let order = |columns: &[Column]| columns.iter().map(|column| column.name.to_lowercase()).collect::<Vec<_>>();
    if told.is_empty() && order(&wanted.columns) != order(&found.columns) {
        told.push("its columns in another order".to_owned());
    }
    if told.is_empty() && wanted.has_key && found.key.is_none() {
        told.push("no primary key".to_owned());
    }
    told
}

fn column_difference(wanted: &Column, found: &Column) -> Option<String> {
    let name = &wanted.name;
    if wanted.kind != found.kind {
        return Some(format!("column `{name}` of another type"));
    }
    if wanted.charset != found.charset {
        let charset = found.charset.as_deref().unwrap_or("none");
        return Some(format!("column `{name}` in charset {charset}"));
    }
    if wanted.is_nullable != found.is_nullable {
        let word = if found.is_nullable { "NULL" } else { "NOT NULL" };
        return Some(format!("column `{name}` {word}"));
    }
    (wanted.is_generated != found.is_generated).then(|| format!("column `{name}` generated on one side only"))
}

/// What a trigger of the source did is in the rows; a trigger of the target would do it once more.
async fn check_triggers(session: &mut Session, there: &[&TableName], are_dropped: bool) -> Result<Vec<Finding>, Error> {
    let object = "triggers of the target";
    let mut found = Vec::new();
    for name in there {
        let sql = format!(
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} AND EVENT_OBJECT_TABLE = {}",
            quote::text(&name.schema),
            quote::text(&name.table)
        );
        let triggers = session.rows::<String>(sql).await?;
        found.extend(triggers.into_iter().map(|trigger| (name.schema.as_str(), trigger)));
    }
    if found.is_empty() {
        return Ok(vec![Finding::ok("PEER1823", object, "none on the job's tables")]);
    }
    let names: Vec<String> = found.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
    let drops: Vec<String> = found
        .iter()
        .map(|(schema, name)| format!("DROP TRIGGER {}", quote::qualified(schema, name)))
        .collect();
    let (severity, expected) = match are_dropped {
        true => (
            Severity::Warn,
            "none: the job drops them and keeps their texts (drop_triggers)",
        ),
        false => (Severity::Fail, "none: the rows they write come from the source as well"),
    };
    Ok(vec![Finding::bad(
        severity,
        "PEER1823",
        object,
        list(&names),
        expected,
        drops.join("; "),
    )])
}

/// Tables outside of the job that refer to tables of it: the job neither asks nor carries out their rules.
async fn check_children(session: &mut Session, there: &[&TableName]) -> Result<Vec<Finding>, Error> {
    let object = "foreign keys of the target";
    let mut found = Vec::new();
    for name in there {
        let sql = format!(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE UNIQUE_CONSTRAINT_SCHEMA = {} AND REFERENCED_TABLE_NAME = {}",
            quote::text(&name.schema),
            quote::text(&name.table)
        );
        let children = session.rows::<(String, String, String)>(sql).await?;
        let is_outside = |(schema, table, _): &(String, String, String)| {
            !there.iter().any(|known| known.schema == *schema && known.table == *table)
        };
        found.extend(children.into_iter().filter(is_outside));
    }
    if found.is_empty() {
        return Ok(vec![Finding::ok("PEER1825", object, "none from outside of the job")]);
    }
    let names: Vec<String> = found.iter().map(|(schema, table, _)| format!("{schema}.{table}")).collect();
    let drops: Vec<String> = found
        .iter()
        .map(|(schema, table, key)| {
            format!(
                "ALTER TABLE {} DROP FOREIGN KEY {}",
                quote::qualified(schema, table),
                quote::identifier(key)
            )
        })
        .collect();
    Ok(vec![Finding::bad(
        Severity::Warn,
        "PEER1825",
        object,
        format!("{} refer to tables of the job", list(&names)),
        "no table outside of the job: its rows may be left without their parents",
        drops.join("; "),
    )])
}

/// A server that asks for primary keys, and tables that have none.
async fn check_key_rule(session: &mut Session, source: &SourceFacts) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let keyless: Vec<String> = source
        .tables
        .iter()
        .filter(|table| !table.has_key)
        .map(|table| table.target.to_string())
        .collect();
    for (name, severity, effect) in [
        (
            "sql_require_primary_key",
            Severity::Fail,
            "OFF, or a key: the server refuses to make a table without one",
        ),
        (
            "sql_generate_invisible_primary_key",
            Severity::Warn,
            "OFF, or a key: the server makes one that the source does not have",
        ),
    ] {
        let object = format!("{name} of the target");
        let is_on = global(session, name).await?.as_deref() == Some("ON");
        findings.push(if is_on && !keyless.is_empty() {
            let found = format!("ON, and no key in {}", list(&keyless));
            let fix = format!("SET PERSIST {name} = OFF; -- or give the source's table a primary key");
            Finding::bad(severity, "PEER1817", object, found, effect, fix)
        } else {
            Finding::ok(
                "PEER1817",
                object,
                if is_on { "ON, and every table has a key" } else { "OFF" },
            )
        });
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shape::{ColumnKind, RowKey};

    fn column(name: &str) -> Column {
        Column {
            name: name.into(),
            kind: ColumnKind::Float,
            is_nullable: false,
            is_generated: false,
            charset: None,
            collation: None,
        }
    }

    fn told(change: impl FnOnce(&mut TableShape)) -> Vec<String> {
        let name = TableName {
            schema: "s".into(),
            table: "t".into(),
        };
        let wanted = TableFacts {
            source: name.clone(),
            target: name.clone(),
            columns: vec![column("a"), column("b")],
            collation: None,
            has_key: true,
            key: None,
        };
        let mut found = TableShape {
            name,
            columns: wanted.columns.clone(),
            key: Some(RowKey {
                index: "PRIMARY".into(),
                columns: vec![0],
            }),
            has_secondary_unique: false,
            create_sql: String::new(),
            defaults: None,
            cascades: Vec::new(),
            map: None,
        };
        change(&mut found);
        differences(&wanted, &found)
    }

    #[test]
    fn a_table_of_another_form_is_told_by_what_differs() {
        assert!(told(|_| {}).is_empty());
        assert_eq!(told(|found| drop(found.columns.pop())), ["no column `b`"]);
        assert_eq!(
            told(|found| found.columns.push(column("c"))),
            ["column `c`, which the source does not have"]
        );
        assert_eq!(told(|found| found.columns[1].is_nullable = true), ["column `b` NULL"]);
        assert_eq!(told(|found| found.columns.reverse()), ["its columns in another order"]);
        assert_eq!(told(|found| found.key = None), ["no primary key"]);
    }
}
