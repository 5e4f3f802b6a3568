//! Asks the source what a statement in a client's character set is in UTF-8.
//!
//! Used by `reader` for statements that `assembler_statement` put aside. Only MySQL knows its conversions; a text that does not come back
//! byte for byte is left as it is.

use crate::core::job_spec::DatabaseSpec;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::assembler_statement::Foreign;

/// Longest statement that is asked for: it travels twice as long, and twice.
const BYTES_MAX: usize = 1 << 20;

/// The text; None: it has none, or another meaning.
pub(super) async fn in_utf8(database: &DatabaseSpec, foreign: &Foreign) -> Result<Option<String>, Error> {
    if foreign.text.len() > BYTES_MAX {
        return Ok(None);
    }
    let mut session = Session::connect(database).await?;
    let sql = format!(
        "SELECT CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID = {}",
        foreign.collation
    );
    let found = match session.first::<String>(sql).await? {
        Some(charset) => converted(&mut session, &charset, &foreign.text).await?,
        None => None,
    };
    session.close().await;
    Ok(found)
}

async fn converted(session: &mut Session, charset: &str, text: &[u8]) -> Result<Option<String>, Error> {
    let digits: String = text.iter().map(|byte| format!("{byte:02X}")).collect();
    let sql = format!(
        "SELECT CONVERT(x USING utf8mb4), COALESCE(HEX(CONVERT(CONVERT(x USING utf8mb4) USING {charset})) = HEX(x), 0) \
         FROM (SELECT _{charset} X'{digits}' AS x) AS texts"
    );
    let found: Option<(Option<String>, bool)> = session.first(sql).await?;
    Ok(found.and_then(|(text, is_whole)| text.filter(|_| is_whole)))
}
