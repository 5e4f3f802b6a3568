//! Empty tables on the target that tell what a statement makes of a definition: the server is the interpreter (PROTOCOLS 6).
//!
//! Used by `ddl_mapped`. They live in a schema of their own beside peer's tables, `peer_meta_shape`, one at a time and only while they are
//! needed: the source's definitions are kept in `peer_meta.shape`. A user lock holds other jobs off. A shadow has the table's own
//! name, so that the server makes the same names of constraints for it as the source did.

use std::time::Duration;

use crate::core::ddl::{Ddl, DdlSession};
use crate::core::ddl_rewrite;
use crate::core::shape::{TableName, TableShape};
use crate::core::stable_hash::hex256;
use crate::core::table_difference;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::inspect;
use crate::mysql::target::create::{create_statement, ensure_schema, without_counter};
use crate::mysql::target::ddl_session;
use crate::mysql::target::meta::{FENCE_COMMENT, MARK, Meta, shadow_schema};

/// How long other jobs may work with theirs; an empty table takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The schema of shadows, held.
pub(super) struct Shadows<'a> {
    session: &'a mut Session,
    schema: String,
}

impl<'a> Shadows<'a> {
    /// Lays the schema out and holds it. The session is set up for peer's own statements.
    pub async fn hold(session: &'a mut Session, meta: &Meta) -> Result<Self, Error> {
        let schema = shadow_schema(meta.schema());
        let taken: Option<Option<i64>> = session
            .first(format!("SELECT GET_LOCK({}, {})", lock_name(&schema), LOCK_WAIT.as_secs()))
            .await?;
        if taken.flatten() != Some(1) {
            return Err(Error::TimedOut {
                address: session.address().into(),
                operation: "have the schema of empty tables, which other jobs use for milliseconds",
                limit: LOCK_WAIT,
            });
        }
        ensure_schema(session, &schema).await?;
        let mark = format!(
            "CREATE TABLE IF NOT EXISTS {} (one INT PRIMARY KEY) ENGINE=InnoDB COMMENT={}",
            quote::qualified(&schema, MARK),
            quote::text(&format!("{FENCE_COMMENT}, definitions"))
        );
        session.execute(mark).await?;
        Ok(Self { session, schema })
    }

    /// Lets it go.
    pub async fn release(self) -> Result<(), Error> {
        let sql = format!("SELECT RELEASE_LOCK({})", lock_name(&self.schema));
        self.session.first::<Option<i64>>(sql).await.map(drop)
    }

    /// Lets it go after a failure too: the session is peer's own again, and no table is left.
    pub async fn give_up(mut self, name: &TableName) -> Result<(), Error> {
        ddl_session::prepare(self.session).await?;
        if let Ok(shadow) = self.name(name) {
            self.take_away(&shadow).await?;
        }
        self.release().await
    }

    /// The table of the source after the statement, without its way.
    pub async fn after(&mut self, before: &TableShape, ddl: &Ddl) -> Result<TableShape, Error> {
        let text = ddl_rewrite::in_schema(&ddl.statement, ddl.session.reading(), &self.schema);
        let text = text.ok_or_else(|| not_read(ddl))?;
        let shadow = self.lay_out(before).await?;
        ddl_session::become_source(self.session, &ddl.session).await?;
        ddl_session::statement(self.session, &text).await?;
        ddl_session::prepare(self.session).await?;
        self.read(&shadow, &before.name).await
    }

    /// The table of the source under another name.
    pub async fn renamed(&mut self, before: &TableShape, to: &TableName) -> Result<TableShape, Error> {
        let shadow = self.lay_out(before).await?;
        let other = self.name(to)?;
        if other != shadow {
            self.take_away(&other).await?;
            let sql = format!("RENAME TABLE {} TO {}", quote::table(&shadow), quote::table(&other));
            self.session.execute(sql).await?;
        }
        self.read(&other, to).await
    }

    /// The clauses make `after` of `before`, tables as the target has them; `source` is the session to run them in.
    pub async fn do_lead(
        &mut self,
        before: &TableShape,
        clauses: &str,
        after: &TableShape,
        source: &DdlSession,
    ) -> Result<bool, Error> {
        let shadow = self.lay_out(before).await?;
        ddl_session::become_source(self.session, source).await?;
        let sql = format!("ALTER TABLE {} {clauses}", quote::table(&shadow));
        ddl_session::statement(self.session, sql.as_bytes()).await?;
        ddl_session::prepare(self.session).await?;
        let found = self.read(&shadow, &after.name).await?;
        let wanted = self.lay_out(after).await?;
        let wanted = self.read(&wanted, &after.name).await?;
        Ok(table_difference::is_same(&found.create_sql, &wanted.create_sql))
    }

    /// The definition as this server prints it.
    pub async fn printed(&mut self, shape: &TableShape) -> Result<String, Error> {
        let shadow = self.lay_out(shape).await?;
        Ok(self.read(&shadow, &shape.name).await?.create_sql)
    }

    /// The definition that a text makes of this one, of a table of the target; None: its name in the text cannot be read. `source` is
    /// the session to run it in. Leaves the empty table to `give_up`.
    pub async fn outcome(&mut self, before: &TableShape, text: &[u8], source: &DdlSession) -> Result<Option<String>, Error> {
        let Some(text) = ddl_rewrite::in_schema(text, source.reading(), &self.schema) else {
            return Ok(None);
        };
        let shadow = self.lay_out(before).await?;
        ddl_session::become_source(self.session, source).await?;
        ddl_session::statement(self.session, &text).await?;
        ddl_session::prepare(self.session).await?;
        let sql = format!("SHOW CREATE TABLE {}", quote::table(&shadow));
        let found = self.session.first::<(String, String)>(sql).await?;
        Ok(found.map(|(_, definition)| near_parents(&definition, &before.name.schema)))
    }

    /// A table of the target has the definition already.
    pub async fn is_there(&mut self, wanted: &TableShape) -> Result<bool, Error> {
        let found = self
            .session
            .first::<(String, String)>(format!("SHOW CREATE TABLE {}", quote::table(&wanted.name)))
            .await?;
        let laid_out = self.lay_out(wanted).await?;
        let laid_out = self.read(&laid_out, &wanted.name).await?;
        Ok(found.is_some_and(|(_, found)| table_difference::is_same(&without_counter(&found), &laid_out.create_sql)))
    }

    async fn lay_out(&mut self, shape: &TableShape) -> Result<TableName, Error> {
        let shadow = self.name(&shape.name)?;
        self.take_away(&shadow).await?;
        let sql = create_statement(shape, &shadow.schema, &shadow.table)?;
        self.session.execute(sql).await?;
        Ok(shadow)
    }

    /// Reads it as a table of this name and takes it away.
    async fn read(&mut self, shadow: &TableName, name: &TableName) -> Result<TableShape, Error> {
        let found = inspect::shapes(self.session, std::slice::from_ref(shadow)).await;
        ddl_session::prepare(self.session).await?;
        self.take_away(shadow).await?;
        let mut shape = found?.pop().expect("one name, one shape");
        shape.create_sql = near_parents(&shape.create_sql, &name.schema);
        shape.name = name.clone();
        Ok(shape)
    }

    async fn take_away(&mut self, shadow: &TableName) -> Result<(), Error> {
        let sql = format!("DROP TABLE IF EXISTS {}", quote::table(shadow));
        self.session.execute(sql).await.map(drop)
    }

    fn name(&self, of: &TableName) -> Result<TableName, Error> {
        if of.table.eq_ignore_ascii_case(MARK) {
            return Err(Error::Unsuitable {
                object: format!("table {of}"),
                found: format!("the name `{MARK}`, by which schemas of peer are known"),
                expected: "another name for a table whose definition changes and that is not on the target as on the source"
                    .into(),
                fix: "make the change on the target by hand, or give the table no other name, columns or filter".into(),
            });
        }
        Ok(TableName {
            schema: self.schema.clone(),
            table: of.table.clone(),
        })
    }
}

fn lock_name(schema: &str) -> String {
    quote::text(&hex256(format!("shape\n{schema}").as_bytes())[..60])
}

/// Foreign keys to the table's own schema without its name, as the source prints them.
fn near_parents(create_sql: &str, schema: &str) -> String {
    let far = format!(") REFERENCES {}.", quote::identifier(schema));
    let lines: Vec<String> = create_sql
        .lines()
        .map(|line| {
            if line.contains(" FOREIGN KEY (") {
                line.replacen(&far, ") REFERENCES ", 1)
            } else {
                line.to_owned()
            }
        })
        .collect();
    lines.join("\n")
}

fn not_read(ddl: &Ddl) -> Error {
    Error::NotReplicable {
        gtid: ddl.gtid.to_string(),
        found: format!("`{}`, whose names cannot be written for another table", ddl.excerpt()),
        expected: "names that this peer can read, about a table with other names, columns or rows on the target".into(),
        fix: "do on the target by hand what the statement asks, or copy the table again".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_in_the_tables_own_schema_is_named_without_it() {
        let text = |parent: &str| {
            format!(
                "CREATE TABLE `t` (\n  `a` text COMMENT ') REFERENCES `s`.',\n  CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES {parent} (`id`)\n) ENGINE=InnoDB"
            )
        };
        assert_eq!(near_parents(&text("`s`.`p`"), "s"), text("`p`"));
        assert_eq!(near_parents(&text("`x`.`p`"), "s"), text("`x`.`p`"));
        assert_eq!(near_parents(&text("`p`"), "s"), text("`p`"));
    }
}
