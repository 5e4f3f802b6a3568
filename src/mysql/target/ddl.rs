//! Carries a change of definitions out on the target, once, whoever dies on the way (PROTOCOLS 5).
//!
//! Fed by `flow::ddl_apply` when every group before it is committed: begin (a session of its own, what the journal has), look (what
//! comes of it, `ddl_run`), intend (fenced), run, done (fenced: the new shapes and the transaction's GTID). The caller keeps the owner's other
//! sessions alive meanwhile. Whether the first step was executed by an earlier owner is told by the definitions or by a marker; all other
//! steps may be done again.

use crate::core::ddl::{Ddl, DdlOutcome, DdlStep, progress_after};
use crate::core::ddl_takeover::Attempt;
use crate::core::disposition::Disposition;
use crate::core::ids::Seq;
use crate::core::shape::TableName;
use crate::core::table_wanted::Wanted;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::target::ddl_journal::{self, Intent, Marker};
use crate::mysql::target::ddl_outlook;
use crate::mysql::target::ddl_run::DdlRun;
use crate::mysql::target::ddl_session;
use crate::mysql::target::fence;
use crate::mysql::target::progress_store::replace_statements;
use crate::mysql::target::shared;
use crate::mysql::target::writer::Target;

impl Target {
    /// Opens the session, ends what an earlier owner left, and reads how far it came. `asks`: a person must have asked for a restart
    /// since the job stopped before it; that many were asked for until now.
    pub async fn ddl_begin(&mut self, ddl: &Ddl, asks: Option<u64>, wanted: &Wanted) -> Result<DdlRun, Error> {
        let mut session = self.ddl_session().await?;
        self.refuse_shared(&mut session, ddl).await?;
        let pending = ddl_journal::pending(&mut session, &self.meta, &self.job).await?;
        let (seq, attempt) = match pending {
            Some(intent) if intent.gtid != ddl.gtid.to_string() => return Err(other_intent(&intent, ddl)),
            Some(Intent {
                attempt: Attempt::Asked { restarts, .. },
                ..
            }) if asks.is_some_and(|asks| asks <= restarts) => return Err(waits(ddl)),
            Some(intent) => (intent.seq, intent.attempt),
            None => (Seq(0), Attempt::None),
        };
        if let (Attempt::None, Some(restarts)) = (&attempt, asks) {
            let before = ddl_outlook::hash_now(&mut session, ddl, &self.progress().shapes).await?;
            self.write_intent(ddl, &Attempt::Asked { restarts, before }).await?;
            return Err(waits(ddl));
        }
        Ok(DdlRun {
            session,
            marker: Marker::of(&self.meta, &self.job),
            meta: self.meta.clone(),
            job: self.job.clone(),
            ddl: ddl.clone(),
            wanted: wanted.clone(),
            seq,
            attempt,
            outlook: None,
            is_refused: false,
            progress: self.progress().clone(),
        })
    }

    /// Commits the intent of what was looked at, unless one is there.
    pub async fn ddl_intend(&mut self, run: &mut DdlRun) -> Result<(), Error> {
        if run.attempt.is_begun() || run.is_executed() {
            return Ok(());
        }
        if let Some(DdlStep::Rename { .. }) = run.ddl.steps.first() {
            run.marker.lay_out(&mut run.session).await?;
        }
        run.attempt = run.outlook.as_ref().map_or_else(
            || Attempt::Begun {
                before: String::new(),
                after: None,
            },
            ddl_outlook::Outlook::attempt,
        );
        run.seq = self.write_intent(&run.ddl, &run.attempt).await?;
        Ok(())
    }

    /// Notes that the target refused it, if that is why it failed: whoever tries again need not guess whether it was run.
    pub async fn ddl_refused(&mut self, run: &DdlRun) -> Result<(), Error> {
        if !run.is_refused {
            return Ok(());
        }
        let refused = ddl_journal::refused_statement(&self.meta, &self.job, run.seq);
        let next = self.next_progress();
        self.commit(&[], &[refused], next, 0).await.map(drop)
    }

    async fn write_intent(&mut self, ddl: &Ddl, attempt: &Attempt) -> Result<Seq, Error> {
        let next = self.next_progress();
        let seq = next.seq;
        let intent = ddl_journal::intent_statements(&self.meta, &self.job, seq, ddl, attempt);
        self.commit(&[], &intent, next, 0).await?;
        Ok(seq)
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
