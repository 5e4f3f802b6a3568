//! What a statement makes of a table of the target, and whether it did already.
//!
//! Used by `ddl_run` for statements that give a table another definition. The server is the interpreter: the statement runs first on an
//! empty table with the definition that the target's table has (`shadow`); what comes out is what must come out. Where that is
//! impossible (a right is missing, a name cannot be read) only the definition before is known.

use crate::core::ddl::{Ddl, DdlSession, DdlStep};
use crate::core::ddl_takeover::{Attempt, Verdict, needs_effect, verdict};
use crate::core::disposition::Disposition;
use crate::core::shape::{TableName, TableShape};
use crate::core::stable_hash::hex256;
use crate::core::table_difference;
use crate::core::table_wanted::Wanted;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::create::without_counter;
use crate::mysql::target::ddl_mapped;
use crate::mysql::target::meta::Meta;
use crate::mysql::target::shadow::Shadows;

/// The table is not there.
const MISSING: u16 = 1146;
/// Characters of a definition in an error.
const SHOWN_MAX: usize = 2_000;

/// What is looked at.
pub(super) struct Place<'a> {
    pub meta: &'a Meta,
    pub ddl: &'a Ddl,
    /// The table of the source before the statement.
    pub before: &'a TableShape,
    pub wanted: &'a Wanted,
    /// Other jobs or sources write the target's table too.
    pub is_shared: bool,
}

/// What comes of a statement.
#[derive(Debug)]
pub(super) struct Outlook {
    /// What to run on the target; None: it stays as it is.
    pub text: Option<Vec<u8>>,
    /// The session to run it in.
    pub session: DdlSession,
    /// The table of the source afterwards, with its way; None: the target has the same, and is asked then.
    pub shape: Option<TableShape>,
    /// What is to be done.
    pub verdict: Verdict,
    /// Hash of the definition that the target's table has.
    before: String,
    /// Hash of the one it must have afterwards, where that is known.
    after: Option<String>,
}

impl Outlook {
    /// What the journal is to say before the statement is run.
    pub fn attempt(&self) -> Attempt {
        Attempt::Begun {
            before: self.before.clone(),
            after: self.after.clone(),
        }
    }
}

/// Looks. The target's tables of the job stay as they are.
///
/// # Errors
/// The statement cannot be carried out there; or the table is neither as before an attempt nor as after it.
pub(super) async fn look(session: &mut Session, at: &Place<'_>, attempt: &Attempt) -> Result<Outlook, Error> {
    let (shape, text, source) = if at.before.map.is_some() {
        let change = ddl_mapped::altered(session, at.meta, at.ddl, at.before, at.wanted, at.is_shared).await?;
        (Some(change.shape), change.text, change.session)
    } else {
        (None, Some(at.ddl.statement.clone()), at.ddl.session.clone())
    };
    let there = at.before.on_target();
    let now = definition(session, &there.name).await?;
    let before = hash(&now);
    let mut outlook = Outlook {
        text,
        session: source,
        shape,
        verdict: Verdict::Done,
        before,
        after: None,
    };
    let Some(text) = &outlook.text else { return Ok(outlook) };
    let lines = if needs_effect(attempt, &outlook.before) {
        before_and_after(session, at, outlook.shape.as_ref()).await?
    } else {
        None
    };
    let shows = |(old, new): &(String, String)| table_difference::shows_effect(old, new, &now);
    outlook.verdict = verdict(attempt, &outlook.before, lines.as_ref().is_some_and(shows));
    if outlook.verdict == Verdict::Unclear {
        return Err(unclear(at.ddl, &there.name, &now, lines.map(|(_, after)| after)));
    }
    outlook.after = match attempt {
        Attempt::Begun { after, .. } => after.clone(),
        _ if outlook.verdict == Verdict::Done => None,
        _ => {
            let there = TableShape {
                create_sql: now,
                ..there.into_owned()
            };
            expected(session, at.meta, &there, text, &outlook.session).await?
        }
    };
    Ok(outlook)
}

/// Hash of the definition of the table a statement gives another one; empty when it does no such thing.
pub(super) async fn hash_now(session: &mut Session, ddl: &Ddl, shapes: &[TableShape]) -> Result<String, Error> {
    let Some(DdlStep::Execute { table }) = ddl.steps.first() else {
        return Ok(String::new());
    };
    let known = shapes.iter().find(|shape| shape.name == *table);
    let name = known.map_or_else(|| table.clone(), |shape| shape.on_target().name.clone());
    Ok(hash(&definition(session, &name).await?))
}

/// The definition of a table of the target, without the counter of its rows.
async fn definition(session: &mut Session, table: &TableName) -> Result<String, Error> {
    let sql = format!("SHOW CREATE TABLE {}", quote::table(table));
    match session.first::<(String, String)>(sql).await {
        Ok(row) => Ok(row.map(|(_, definition)| without_counter(&definition)).unwrap_or_default()),
        Err(error) if error.server_code() == Some(MISSING) => Ok("missing".into()),
        Err(error) => Err(error),
    }
}

fn hash(definition: &str) -> String {
    hex256(definition.as_bytes())[..60].to_owned()
}

/// Hash of what the text makes of a table of the target; None: it cannot be tried, or is refused. The table itself tells then.
async fn expected(
    session: &mut Session,
    meta: &Meta,
    there: &TableShape,
    text: &[u8],
    source: &DdlSession,
) -> Result<Option<String>, Error> {
    let trying = async {
        let mut shadows = Shadows::hold(session, meta).await?;
        let found = shadows.outcome(there, text, source).await;
        shadows.give_up(&there.name).await?;
        found
    };
    let found = possible(trying.await)?.flatten();
    Ok(found.map(|definition| hash(&without_counter(&definition))))
}

/// The definitions before and after without what only the target has; None: they cannot be made.
async fn before_and_after(
    session: &mut Session,
    at: &Place<'_>,
    after: Option<&TableShape>,
) -> Result<Option<(String, String)>, Error> {
    let trying = async {
        let mut shadows = Shadows::hold(session, at.meta).await?;
        let before = at.before.on_target();
        let found = async {
            let old = shadows.printed(&before).await?;
            let new = match after {
                Some(after) => shadows.printed(&after.on_target()).await?,
                None => shadows.after(at.before, at.ddl).await?.create_sql,
            };
            Ok((old, new))
        };
        let found = found.await;
        shadows.give_up(&before.name).await?;
        found
    };
    possible(trying.await)
}

/// What the server or the text makes impossible is left; a connection that broke is not.
fn possible<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.disposition() == Disposition::Fatal => Ok(None),
        Err(error) => Err(error),
    }
}

fn unclear(ddl: &Ddl, table: &TableName, now: &str, after: Option<String>) -> Error {
    let shown = |definition: &str| -> String {
        let words: Vec<&str> = definition.lines().map(str::trim).collect();
        words.join(" ").chars().take(SHOWN_MAX).collect()
    };
    Error::DdlUnclear {
        gtid: ddl.gtid.to_string(),
        statement: ddl.excerpt(),
        table: table.to_string(),
        found: shown(now),
        expected: after.map_or_else(|| "what it makes of the one before".to_owned(), |after| shown(&after)),
    }
}
