//! The tables of a job on its source: which they are, whether each can go its way, and what does not go with it.
//!
//! What it finds of each table is told to the target's side (`TableFacts`).

use std::collections::BTreeSet;

use crate::core::check::TableFacts;
use crate::core::disposition::Disposition;
use crate::core::fault::Faults;
use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::JobSpec;
use crate::core::shape::{TableName, TableShape};
use crate::core::table_choice::Chosen;
use crate::core::table_map::TableMap;
use crate::mysql::error::Error;
use crate::mysql::grants::Grants;
use crate::mysql::preflight::access::{grant, refused};
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::{cascades, inspect, tables};

/// The job's tables as far as they can be read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// On the source, every one that the job chooses.
    pub chosen: Vec<TableName>,
    /// Each one that can be replicated.
    pub usable: Vec<TableFacts>,
    /// Those of them whose definition names a folder.
    placed: Vec<String>,
}

/// A finding for each table, and for whatever is wrong with the choice.
pub(super) async fn check(
    session: &mut Session,
    spec: &JobSpec,
    grants: &Grants,
    findings: &mut Vec<Finding>,
) -> Result<Tables, Error> {
    let chosen = match tables::chosen(session, spec).await? {
        Ok(chosen) => chosen,
        Err(Faults(faults)) => {
            findings.extend(faults.into_iter().map(Finding::of_fault));
            return Ok(Tables::default());
        }
    };
    let mut tables = Tables::default();
    let mut shapes = Vec::new();
    for table in &chosen {
        tables.chosen.push(table.name.clone());
        let Some(mut shape) = check_table(session, &table.name, grants, findings).await? else {
            continue;
        };
        if is_placed(&shape.create_sql) {
            tables.placed.push(shape.name.to_string());
        }
        match TableMap::of(&shape, table, &spec.selection.skip) {
            Ok(map) => {
                shape.map = map.map(Box::new);
                tables.usable.push(facts(session, &shape, table).await?);
                shapes.push(shape);
            }
            Err(faults) => findings.extend(faults.into_iter().map(Finding::of_fault)),
        }
    }
    for error in cascades::unfit(session, &shapes, |name| tables.chosen.contains(name)).await? {
        let object = format!("table {} of the source", error.fault().object);
        findings.push(refused("PEER1362", &object, &error, &error.fix()));
    }
    Ok(tables)
}

async fn facts(session: &mut Session, shape: &TableShape, chosen: &Chosen) -> Result<TableFacts, Error> {
    let sql = format!(
        "SELECT TABLE_COLLATION FROM information_schema.TABLES WHERE {}",
        of(&shape.name)
    );
    let collation = session.first::<Option<String>>(sql).await?.flatten();
    let on_target = shape.on_target();
    Ok(TableFacts {
        source: shape.name.clone(),
        target: chosen.to.clone(),
        columns: on_target.columns.clone(),
        collation,
        has_key: on_target.key.is_some(),
        key: Some(on_target.key_names()),
    })
}

/// The table's definition when it can be replicated.
async fn check_table(
    session: &mut Session,
    name: &TableName,
    grants: &Grants,
    findings: &mut Vec<Finding>,
) -> Result<Option<TableShape>, Error> {
    let object = format!("table {name} of the source");
    let right = grant("SELECT", &quote::table(name), grants);
    let mut shapes = match inspect::shapes(session, std::slice::from_ref(name)).await {
        Ok(shapes) => shapes,
        Err(error) if error.disposition() == Disposition::Fatal => {
            let mut fix = error.fix();
            // A table one may not read looks like one that is not there.
            if !grants.has_on_table("SELECT", name) {
                fix = format!("correct its name in the job, or {right}");
            }
            findings.push(refused("PEER1362", &object, &error, &fix));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let reading = session
        .first::<u8>(format!("SELECT 1 FROM {} LIMIT 1", quote::table(name)))
        .await;
    match reading {
        Ok(_) => {}
        Err(error) if error.disposition() == Disposition::Fatal => {
            findings.push(refused("PEER1362", &object, &error, &right));
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let shape = shapes.pop();
    findings.push(match shape.as_ref().and_then(|shape| shape.key.as_ref()) {
        Some(key) => Finding::ok("PEER1362", object, format!("InnoDB, key {}", key.index)),
        None => keyless(name, object),
    });
    Ok(shape)
}

fn keyless(name: &TableName, object: String) -> Finding {
    let fix = format!(
        "ALTER TABLE {} ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
        quote::table(name)
    );
    let expected = "a primary key, or a unique key of NOT NULL columns: without one the copy is one piece and cannot be resumed";
    Finding::bad(Severity::Warn, "PEER1362", object, "InnoDB, no key", expected, fix)
}

/// A keyless table that changes during its copy is read behind a lock.
pub(super) fn check_locks(tables: &Tables, grants: &Grants) -> Finding {
    let object = "LOCK TABLES on the source";
    let lacking: Vec<&TableName> = tables
        .usable
        .iter()
        .filter(|table| !table.has_key && !grants.has("LOCK TABLES", &table.source.schema))
        .map(|table| &table.source)
        .collect();
    let Some(first) = lacking.first() else {
        return Finding::ok("PEER1829", object, "granted, or not needed");
    };
    let names: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    Finding::bad(
        Severity::Warn,
        "PEER1829",
        object,
        format!("not granted for {}, without a key", list(&names)),
        "the right to lock a table without a key, should it change while it is copied",
        grant("LOCK TABLES", &format!("{}.*", quote::identifier(&first.schema)), grants),
    )
}

/// Schemas of the job's tables, as a list for `IN (…)`; None: the job has none.
pub(super) fn schema_list(tables: &[TableName]) -> Option<String> {
    let schemas: BTreeSet<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let quoted: Vec<String> = schemas.into_iter().map(quote::text).collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}

/// Triggers and events stay behind: their effects travel as rows.
pub(super) async fn check_programs(session: &mut Session, tables: &[TableName]) -> Result<Vec<Finding>, Error> {
    let object = "triggers and events of the source";
    let Some(schemas) = schema_list(tables) else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN ({schemas})"
    );
    let triggers = session.rows::<(String, String, String)>(sql).await?;
    let of_job = |(schema, _, table): &&(String, String, String)| {
        tables.iter().any(|known| known.schema == *schema && known.table == *table)
    };
    let triggers = triggers
        .iter()
        .filter(of_job)
        .map(|(schema, name, _)| format!("trigger {schema}.{name}"));
    let sql = format!("SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN ({schemas})");
    let events = session.rows::<(String, String)>(sql).await?;
    let events = events.iter().map(|(schema, name)| format!("event {schema}.{name}"));
    let found: Vec<String> = triggers.chain(events).collect();
    if found.is_empty() {
        return Ok(vec![Finding::ok("PEER1809", object, "none")]);
    }
    Ok(vec![Finding::bad(
        Severity::Warn,
        "PEER1809",
        object,
        list(&found),
        "none: the rows they write are replicated, they themselves are not made on the target",
        "-- for the day the target takes over: keep their definitions (SHOW CREATE TRIGGER, SHOW CREATE EVENT)",
    )])
}

/// Parents that are not in the job stay on the target as they are.
pub(super) async fn check_parents(session: &mut Session, tables: &[TableName]) -> Result<Vec<Finding>, Error> {
    let object = "foreign keys of the source";
    let Some(schemas) = schema_list(tables) else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME \
         FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA IN ({schemas})"
    );
    type Found = (String, String, String, String, String);
    let keys = session.rows::<Found>(sql).await?;
    let knows = |schema: &str, table: &str| tables.iter().any(|known| known.schema == schema && known.table == table);
    let outside: Vec<&Found> = keys
        .iter()
        .filter(|(schema, table, _, above, parent)| knows(schema, table) && !knows(above, parent))
        .collect();
    if outside.is_empty() {
        return Ok(vec![Finding::ok("PEER1810", object, "every parent table is in the job")]);
    }
    let drops = outside.iter().map(|(schema, table, key, ..)| {
        format!(
            "ALTER TABLE {} DROP FOREIGN KEY {}",
            quote::qualified(schema, table),
            quote::identifier(key)
        )
    });
    let fix = format!(
        "{}; -- or take the parents into the job",
        drops.collect::<Vec<_>>().join("; ")
    );
    let found: Vec<String> = outside
        .iter()
        .map(|(schema, table, _, above, parent)| format!("{schema}.{table} refers to {above}.{parent}"))
        .collect();
    let expected = "parent tables in the job: on the target the rows may refer to nothing";
    Ok(vec![Finding::bad(
        Severity::Warn,
        "PEER1810",
        object,
        list(&found),
        expected,
        fix,
    )])
}

/// Tables that look like those of gh-ost or pt-online-schema-change.
pub(super) async fn check_tool_tables(session: &mut Session, spec: &JobSpec) -> Result<Finding, Error> {
    let object = "tables of online schema changes";
    let left = tables::left_to_tools(session, spec).await?;
    if left.is_empty() {
        return Ok(Finding::ok("PEER1830", object, "none under the job's patterns"));
    }
    let names: Vec<String> = left.iter().map(ToString::to_string).collect();
    Ok(Finding::bad(
        Severity::Warn,
        "PEER1830",
        object,
        format!("{}: a pattern of the job fits, and they stay behind", list(&names)),
        "none, or tables of a change that is going on: what they hold arrives with the rename that ends it",
        "name a table in [[tables]] as it is (schema and table, no pattern) to replicate it all the same; drop what a tool left behind",
    ))
}

/// Options that name a place on the source's disk.
pub(super) fn check_places(tables: &Tables) -> Finding {
    let object = "files of the source's tables";
    if tables.placed.is_empty() {
        return Finding::ok("PEER1812", object, "where the server keeps its own");
    }
    Finding::bad(
        Severity::Warn,
        "PEER1812",
        object,
        format!("{} with DATA DIRECTORY", list(&tables.placed)),
        "tables that can be made on any server",
        "name the same folder in innodb_directories of the target, or make the table there by hand without it",
    )
}

/// The options of a table, or of its partitions, name a folder. They stand behind the last column or key.
fn is_placed(create_sql: &str) -> bool {
    create_sql
        .rsplit("\n)")
        .next()
        .is_some_and(|options| options.contains("DATA DIRECTORY"))
}

/// The first few, and how many more.
pub(super) fn list(found: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    let mut text = found.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    if found.len() > SHOWN_MAX {
        text.push_str(&format!(" and {} more", found.len() - SHOWN_MAX));
    }
    text
}

pub(super) fn of(name: &TableName) -> String {
    format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quote::text(&name.schema),
        quote::text(&name.table)
    )
}
