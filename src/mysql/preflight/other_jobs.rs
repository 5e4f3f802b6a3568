//! The jobs that go into the same tables of the target, as peer's own tables there tell it, of any cluster.
//!
//! Read for the checks of the target and, alone, for `peer plan`. Whether two jobs may be in one table is judged by
//! `core::table_writers`.

use crate::core::job_spec::JobSpec;
use crate::core::shape::TableShape;
use crate::core::table_merge::Rows;
use crate::core::table_writers::{Certainty, Own, Writer};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;

/// The same for whoever asks for nothing else: logs in and out.
///
/// # Errors
/// The target is not reached, or a query failed.
pub async fn writers(spec: &JobSpec, own: &[Own]) -> Result<Vec<Writer>, Error> {
    let mut session = Session::connect(&spec.sink.endpoint).await?;
    let found = on_target(&mut session, spec, own).await;
    session.close().await;
    found
}

/// Other jobs in these tables.
pub(super) async fn on_target(session: &mut Session, spec: &JobSpec, own: &[Own]) -> Result<Vec<Writer>, Error> {
    let schemas = session
        .rows::<String>(
            "SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME = 'fence' AND TABLE_COMMENT LIKE 'peer-meta v%'",
        )
        .await?;
    let mut found = Vec::new();
    for schema in &schemas {
        found.extend(of_schema(session, spec, own, schema).await);
    }
    Ok(found)
}

/// What one schema of peer's knows. What this account may not read there is not its job's business.
async fn of_schema(session: &mut Session, spec: &JobSpec, own: &[Own], schema: &str) -> Vec<Writer> {
    let is_ours = *schema == spec.sink.meta_schema;
    let table = quote::qualified(schema, "shape");
    let sql = format!(
        "SELECT job, schema_name, table_name, CONCAT_WS('.', \
         COALESCE(JSON_UNQUOTE(JSON_EXTRACT(definition, '$.map.to.schema')), schema_name), \
         COALESCE(JSON_UNQUOTE(JSON_EXTRACT(definition, '$.map.to.table')), table_name)) FROM {table}"
    );
    let Ok(rows) = session.rows::<(String, String, String, String)>(sql).await else {
        return Vec::new();
    };
    let mut writers = Vec::new();
    for (job, source_schema, source_table, target) in rows {
        let is_same = |own: &Own| own.target.to_string().to_lowercase() == target.to_lowercase();
        let is_own = is_ours && job == spec.name.0;
        if is_own || !own.iter().any(is_same) {
            continue;
        }
        let sql = format!(
            "SELECT definition FROM {table} WHERE job = {} AND schema_name = {} AND table_name = {} LIMIT 1",
            quote::text(&job),
            quote::text(&source_schema),
            quote::text(&source_table)
        );
        let text = session.first::<String>(sql).await.ok().flatten().unwrap_or_default();
        // Another build's definition that cannot be read: all rows, for all that is known.
        let shape = serde_json::from_str::<TableShape>(&text);
        writers.push(Writer {
            job,
            source: format!("{source_schema}.{source_table}"),
            target,
            rows: shape.map_or_else(|_| Rows::default(), |shape| Rows::of_shape(&shape)),
            certainty: if is_ours { Certainty::Writes } else { Certainty::Elsewhere },
        });
    }
    writers
}
