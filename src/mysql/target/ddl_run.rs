//! One change of definitions on its session: what comes of it, and its steps.
//!
//! Made and ended by `ddl`, driven by `flow::ddl_apply`. It commits nothing: the journal and the fence are `ddl`'s.

use crate::core::ddl::{Ddl, DdlOutcome, DdlSession, DdlStep, Replacement, has_other_key};
use crate::core::ddl_takeover::{Attempt, Verdict};
use crate::core::disposition::Disposition;
use crate::core::ids::{JobId, Seq};
use crate::core::progress::Progress;
use crate::core::shape::{TableName, TableShape};
use crate::core::table_wanted::Wanted;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::inspect;
use crate::mysql::target::create;
use crate::mysql::target::ddl::explained;
use crate::mysql::target::ddl_journal::Marker;
use crate::mysql::target::ddl_mapped;
use crate::mysql::target::ddl_outlook::{self, Outlook};
use crate::mysql::target::ddl_session;
use crate::mysql::target::meta::Meta;
use crate::mysql::target::shared::{self, Writer};

/// A change that was begun.
#[derive(Debug)]
pub struct DdlRun {
    pub(super) session: Session,
    pub(super) marker: Marker,
    pub(super) meta: Meta,
    pub(super) job: JobId,
    pub(super) ddl: Ddl,
    /// The tables the job asks for.
    pub(super) wanted: Wanted,
    /// Group of the intent; 0: there is none yet.
    pub(super) seq: Seq,
    /// How far it came.
    pub(super) attempt: Attempt,
    /// What comes of a statement that gives a table another definition.
    pub(super) outlook: Option<Outlook>,
    /// The target answered with an error: the statement was not run.
    pub(super) is_refused: bool,
    /// Progress before.
    pub(super) progress: Progress,
}

impl DdlRun {
    /// Finds out what comes of it and whether it was run already; the tables of the job stay as they are.
    pub async fn look(&mut self) -> Result<(), Error> {
        let Some(DdlStep::Execute { table }) = self.ddl.steps.first() else {
            return Ok(());
        };
        let Some(before) = self.known(table).cloned() else {
            return Err(unknown_table(&self.ddl, table));
        };
        let is_shared = before.map.is_some() && self.other_writer(&before).await?.is_some();
        let at = ddl_outlook::Place {
            meta: &self.meta,
            ddl: &self.ddl,
            before: &before,
            wanted: &self.wanted,
            is_shared,
        };
        let outlook = ddl_outlook::look(&mut self.session, &at, &self.attempt).await;
        self.outlook = Some(outlook.map_err(|error| self.explain(error))?);
        Ok(())
    }

    /// The statement that gives a table another definition was run already.
    pub(super) fn is_executed(&self) -> bool {
        self.outlook.as_ref().is_some_and(|outlook| outlook.verdict == Verdict::Done)
    }

    /// Does what is to be done; may take as long as the server needs.
    pub async fn run(&mut self) -> Result<DdlOutcome, Error> {
        let steps = self.ddl.steps.clone();
        let mut shapes = Vec::new();
        for step in &steps {
            let done = self.step(step).await;
            shapes.extend(done.map_err(|error| self.explain(error))?);
        }
        let emptied = self.empty_what_cannot_go_on(&steps, &shapes).await?;
        Ok(DdlOutcome { shapes, emptied })
    }

    /// Definitions of tables that are others now and stay in the job.
    async fn step(&mut self, step: &DdlStep) -> Result<Vec<TableShape>, Error> {
        match step {
            DdlStep::Execute { table } => return self.execute(table).await.map(|shape| vec![shape]),
            DdlStep::Rename { moved, .. } => return self.rename(moved).await,
            DdlStep::Drop { table } => self.drop_table(&self.on_target(table)).await?,
            DdlStep::Truncate { table } => self.truncate(&self.on_target(table)).await?,
            DdlStep::Replace { table, by } => self.replace(table, by.as_deref()).await?,
        }
        Ok(Vec::new())
    }

    async fn execute(&mut self, table: &TableName) -> Result<TableShape, Error> {
        let Some(outlook) = self.outlook.take() else {
            return Err(unknown_table(&self.ddl, table));
        };
        if let Some(text) = outlook.text.filter(|_| outlook.verdict == Verdict::Run) {
            let outcome = self.as_source(&text, &outlook.session).await;
            self.is_refused = matches!(&outcome, Err(error @ Error::Server { .. }) if error.disposition() == Disposition::Fatal);
            outcome?;
            ddl_session::prepare(&mut self.session).await?;
        }
        match outlook.shape {
            Some(shape) => Ok(shape),
            None => self.inspected(table).await,
        }
    }

    /// Runs a text as a session of the source ran it.
    async fn as_source(&mut self, text: &[u8], source: &DdlSession) -> Result<(), Error> {
        ddl_session::become_source(&mut self.session, source).await?;
        ddl_session::statement(&mut self.session, text).await
    }

    async fn rename(&mut self, moved: &[(TableName, Option<TableName>)]) -> Result<Vec<TableShape>, Error> {
        let mut shapes = Vec::new();
        for (from, to) in moved {
            let Some(to) = to else { continue };
            let before = self.known(from).cloned();
            if let Some(before) = before.filter(|shape| shape.map.is_some() || self.wanted.is_changed(to)) {
                let ddl = &self.ddl;
                shapes.push(ddl_mapped::renamed(&mut self.session, &self.meta, ddl, &before, to, &self.wanted).await?);
            }
        }
        let pairs = ddl_mapped::renames(&self.ddl, &self.progress.shapes, &self.wanted);
        let is_renamed = self.attempt.is_begun() && self.marker.is_renamed(&mut self.session).await?;
        if !is_renamed {
            for (_, to) in &pairs {
                create::ensure_schema(&mut self.session, &to.schema).await?;
            }
            let sql = self.marker.rename_statement(&pairs);
            ddl_session::statement(&mut self.session, sql.as_bytes()).await?;
        }
        for to in moved.iter().filter_map(|(_, to)| to.as_ref()) {
            if !shapes.iter().any(|shape| shape.name == *to) {
                shapes.push(self.inspected(to).await?);
            }
        }
        Ok(shapes)
    }

    /// A table that is on the target as it is on the source.
    async fn inspected(&mut self, table: &TableName) -> Result<TableShape, Error> {
        let mut shapes = inspect::shapes(&mut self.session, std::slice::from_ref(table)).await?;
        ddl_session::prepare(&mut self.session).await?;
        Ok(shapes.pop().expect("one name, one shape"))
    }

    /// Somebody else whose rows are in the table too.
    async fn other_writer(&mut self, shape: &TableShape) -> Result<Option<Writer>, Error> {
        let others = shared::others(&mut self.session, &self.meta, &self.job, &self.progress.shapes, shape).await?;
        Ok(others.into_iter().next())
    }

    fn known(&self, table: &TableName) -> Option<&TableShape> {
        self.progress.shapes.iter().find(|shape| shape.name == *table)
    }

    async fn drop_table(&mut self, table: &TableName) -> Result<(), Error> {
        let sql = format!("DROP TABLE IF EXISTS {}", quote::table(table));
        match ddl_session::statement(&mut self.session, sql.as_bytes()).await {
            // The schema is gone, and the table with it.
            Err(error) if error.server_code() == Some(1049) => Ok(()),
            other => other,
        }
    }

    async fn truncate(&mut self, table: &TableName) -> Result<(), Error> {
        let sql = format!("TRUNCATE TABLE {}", quote::table(table));
        ddl_session::statement(&mut self.session, sql.as_bytes()).await
    }

    async fn replace(&mut self, table: &TableName, by: Option<&Replacement>) -> Result<(), Error> {
        let is_ours = self.progress.shapes.iter().any(|shape| shape.name == *table);
        if is_ours {
            self.drop_table(&self.on_target(table)).await?;
        }
        let Some(by) = by else { return Ok(()) };
        let shape = by.shape.on_target();
        let name = &shape.name;
        self.refuse_taken(table, name)?;
        create::refuse_rows(&mut self.session, name).await?;
        self.drop_table(name).await?;
        create::ensure_schema(&mut self.session, &name.schema).await?;
        let sql = create::create_statement(&shape, &name.schema, &name.table)?;
        ddl_session::statement(&mut self.session, sql.as_bytes()).await
    }

    /// The name a table of the source has on the target.
    fn on_target(&self, table: &TableName) -> TableName {
        self.known(table)
            .map_or_else(|| table.clone(), |shape| shape.on_target().name.clone())
    }

    /// No other table of the job, and none of peer's own, has this name on the target.
    fn refuse_taken(&self, table: &TableName, name: &TableName) -> Result<(), Error> {
        let mut others = self.progress.shapes.iter().filter(|shape| shape.name != *table);
        let other = others.find(|shape| shape.on_target().name == *name);
        let found = match other {
            Some(other) => format!("the table that {} is replicated to", other.name),
            None if name.schema == self.meta.schema() => "the schema of peer's own tables".to_owned(),
            None => return Ok(()),
        };
        Err(Error::Unsuitable {
            object: format!("table {name} of the target"),
            found,
            expected: format!("a name of its own for {table}"),
            fix: "give the table another name on the target, or leave it out of the job".into(),
        })
    }

    /// A table whose copy is under way by a key that is another now: its rows come again.
    async fn empty_what_cannot_go_on(&mut self, steps: &[DdlStep], shapes: &[TableShape]) -> Result<Vec<TableName>, Error> {
        let mut emptied = Vec::new();
        for shape in shapes {
            let before = name_before(steps, &shape.name);
            let known = self.progress.shapes.iter().find(|known| known.name == before);
            let is_copying = self.progress.copy.iter().any(|row| row.table == before && !row.is_done);
            if is_copying && known.is_some_and(|known| has_other_key(known, shape)) {
                if let Some(other) = self.other_writer(shape).await? {
                    return Err(shared::whole_table(&self.ddl, shape, &other));
                }
                self.truncate(&shape.on_target().name).await?;
                emptied.push(shape.name.clone());
            }
        }
        Ok(emptied)
    }

    fn explain(&self, error: Error) -> Error {
        explained(&self.ddl, error)
    }
}

fn name_before(steps: &[DdlStep], name: &TableName) -> TableName {
    let Some(DdlStep::Rename { moved, .. }) = steps.first() else {
        return name.clone();
    };
    let pair = moved.iter().find(|(_, to)| to.as_ref() == Some(name));
    pair.map_or(name, |(from, _)| from).clone()
}

/// A bug: steps are made for tables that the job knows.
fn unknown_table(ddl: &Ddl, table: &TableName) -> Error {
    Error::Unsuitable {
        object: format!("transaction {} on the source, `{}`", ddl.gtid, ddl.excerpt()),
        found: format!("table {table}, of which the target holds no definition"),
        expected: "a table of the job".into(),
        fix: "this is a bug: report it with the job's file".into(),
    }
}
