//! Carries a change of definitions out on the target, once, whoever dies on the way (PROTOCOLS 5).
//!
//! Fed by `flow::ddl_apply` when every group before it is committed: begin (fenced intent), run (on a session of its own, while the
//! caller keeps the others alive), done (fenced: the new shapes and the transaction's GTID). An owner that finds an intent
//! asks the journal whether the first step was executed; all other steps may be done again.

use crate::core::ddl::{Ddl, DdlOutcome, DdlSession, DdlStep, Replacement, has_other_key, progress_after};
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
use crate::mysql::target::ddl_journal::{self, Marker};
use crate::mysql::target::ddl_mapped;
use crate::mysql::target::ddl_session;
use crate::mysql::target::fence;
use crate::mysql::target::meta::Meta;
use crate::mysql::target::progress_store::replace_statements;
use crate::mysql::target::shared::{self, Writer};
use crate::mysql::target::writer::Target;

/// A change that was begun.
#[derive(Debug)]
pub struct DdlRun {
    session: Session,
    marker: Marker,
    meta: Meta,
    job: JobId,
    ddl: Ddl,
    /// The tables the job asks for.
    wanted: Wanted,
    /// Group of the intent.
    seq: Seq,
    /// The first step was executed by an earlier owner.
    is_executed: bool,
    /// Progress before.
    progress: Progress,
}

impl Target {
    /// Opens the session, ends what an earlier owner left, and commits the intent unless one is there. `asks`: a person must have
    /// asked for a restart since the intent; that many were asked for until now.
    pub async fn ddl_begin(&mut self, ddl: &Ddl, asks: Option<u64>, wanted: &Wanted) -> Result<DdlRun, Error> {
        let mut session = self.ddl_session().await?;
        self.refuse_shared(&mut session, ddl).await?;
        let marker = Marker::of(&self.meta, &self.job);
        let found = ddl_journal::fingerprint(&mut session, ddl, &self.progress().shapes).await?;
        let pending = ddl_journal::pending(&mut session, &self.meta, &self.job).await?;
        let (seq, is_executed) = match pending {
            Some(intent) if intent.gtid == ddl.gtid.to_string() => {
                if intent.asked.zip(asks).is_some_and(|(asked, restarts)| restarts <= asked) {
                    return Err(waits(ddl));
                }
                let is_executed = match ddl.steps.first() {
                    Some(DdlStep::Rename { .. }) => marker.is_renamed(&mut session).await?,
                    Some(DdlStep::Execute { .. }) => intent.before != found,
                    _ => false,
                };
                (intent.seq, is_executed)
            }
            Some(intent) => return Err(other_intent(&intent, ddl)),
            None => {
                if let Some(DdlStep::Rename { .. }) = ddl.steps.first() {
                    marker.lay_out(&mut session).await?;
                }
                let next = self.next_progress();
                let seq = next.seq;
                let intent = ddl_journal::intent_statement(&self.meta, &self.job, seq, ddl, &found, asks);
                self.commit(&[], &[intent], next, 0).await?;
                if asks.is_some() {
                    return Err(waits(ddl));
                }
                (seq, false)
            }
        };
        Ok(DdlRun {
            session,
            marker,
            meta: self.meta.clone(),
            job: self.job.clone(),
            ddl: ddl.clone(),
            wanted: wanted.clone(),
            seq,
            is_executed,
            progress: self.progress().clone(),
        })
    }

    /// Commits that it is done: the new shapes, the copy, and progress with its GTID.
    pub async fn ddl_done(&mut self, mut run: DdlRun, outcome: &DdlOutcome) -> Result<Seq, Error> {
        let next = progress_after(self.next_progress(), &run.ddl, outcome);
        let mut inside = replace_statements(&self.meta, &self.job, &next);
        inside.extend(ddl_journal::done_statements(&self.meta, &self.job, run.seq, &run.ddl.gtid));
        let seq = self.commit(&[], &inside, next, run.ddl.commit_us).await?;
        if let Some(DdlStep::Rename { .. }) = run.ddl.steps.first() {
            run.marker.remove(&mut run.session).await?;
        }
        self.close_ddl_session(run.session).await?;
        self.name_tables().await?;
        Ok(seq)
    }

    /// A session for definitions, the only one of its job.
    pub(super) async fn ddl_session(&mut self) -> Result<Session, Error> {
        let mut session = Session::connect(&self.endpoint).await?;
        if session.server_uuid() != self.control.server_uuid() {
            return Err(session.unexpected("another server", "the target's: a switch is going on"));
        }
        fence::register(&mut self.control, &self.meta, &self.job, self.epoch, &mut session).await?;
        ddl_session::lock(&mut session, &mut self.control, &self.job).await?;
        ddl_session::prepare(&mut session).await?;
        self.still_ours().await?;
        Ok(session)
    }

    pub(super) async fn close_ddl_session(&mut self, session: Session) -> Result<(), Error> {
        let conn_id = session.connection_id();
        session.close().await;
        fence::unregister(&mut self.control, &self.meta, &self.job, self.epoch, conn_id).await
    }

    /// Nothing is done to a whole table of the target that has rows of others.
    async fn refuse_shared(&mut self, session: &mut Session, ddl: &Ddl) -> Result<(), Error> {
        for step in &ddl.steps {
            let tables: Vec<&TableName> = match step {
                DdlStep::Execute { .. } => continue,
                DdlStep::Drop { table } | DdlStep::Truncate { table } | DdlStep::Replace { table, .. } => vec![table],
                DdlStep::Rename { moved, .. } => moved.iter().map(|(from, _)| from).collect(),
            };
            let shapes = &self.progress().shapes;
            for known in shapes.iter().filter(|shape| tables.contains(&&shape.name)) {
                let others = shared::others(session, &self.meta, &self.job, shapes, known).await?;
                if let Some(other) = others.first() {
                    return Err(shared::whole_table(ddl, known, other));
                }
            }
        }
        Ok(())
    }

    async fn still_ours(&mut self) -> Result<(), Error> {
        match self.fence().await?.map(|row| row.epoch) {
            Some(found) if found == self.epoch => Ok(()),
            found => Err(Error::FenceLost { held: self.epoch, found }),
        }
    }
}

impl DdlRun {
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
        let before = self.known(table).filter(|shape| shape.map.is_some()).cloned();
        let Some(before) = before else {
            if !self.is_executed {
                let text = self.ddl.statement.clone();
                self.as_source(&text, &self.ddl.session.clone()).await?;
            }
            return self.inspected(table).await;
        };
        let is_shared = self.other_writer(&before).await?.is_some();
        let change = ddl_mapped::altered(&mut self.session, &self.meta, &self.ddl, &before, &self.wanted, is_shared).await?;
        if let Some(text) = change.text.filter(|_| !self.is_executed) {
            self.as_source(&text, &change.session).await?;
        }
        Ok(change.shape)
    }

    /// Runs a text as a session of the source ran it.
    async fn as_source(&mut self, text: &[u8], source: &DdlSession) -> Result<(), Error> {
        ddl_session::become_source(&mut self.session, source).await?;
        ddl_session::statement(&mut self.session, text).await?;
        ddl_session::prepare(&mut self.session).await
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
        if !self.is_executed {
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
        let mut shapes = inspect::shapes_as_they_are(&mut self.session, std::slice::from_ref(table)).await?;
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

/// A statement that the target refuses stops the job with both texts.
pub(super) fn explained(ddl: &Ddl, error: Error) -> Error {
    match error {
        Error::Server { code, ref message, .. } if error.disposition() == Disposition::Fatal => Error::DdlFailed {
            gtid: ddl.gtid.to_string(),
            statement: ddl.excerpt(),
            reason: format!("error {code}: {message}"),
        },
        other => other,
    }
}

fn name_before(steps: &[DdlStep], name: &TableName) -> TableName {
    let Some(DdlStep::Rename { moved, .. }) = steps.first() else {
        return name.clone();
    };
    let pair = moved.iter().find(|(_, to)| to.as_ref() == Some(name));
    pair.map_or(name, |(from, _)| from).clone()
}

fn waits(ddl: &Ddl) -> Error {
    Error::DdlWaits {
        gtid: ddl.gtid.to_string(),
        statement: ddl.excerpt(),
        kind: ddl.kind.word(),
    }
}

fn other_intent(intent: &ddl_journal::Intent, ddl: &Ddl) -> Error {
    Error::Unsuitable {
        object: "the journal of definition changes on the target".into(),
        found: format!("transaction {}, `{}`, begun and not done", intent.gtid, intent.statement),
        expected: format!("transaction {}, which comes next on this source", ddl.gtid),
        fix: "point the job at the source it had, or copy again".into(),
    }
}
