//! The target as its owner sees it: acquired with an epoch, written group by group, released.
//!
//! Used by `flow::applier`, which feeds it the source's sequence in order. Every method that writes commits one transaction
//! that holds rows and progress together, or nothing. After an error with `is_connection_gone`, and when a call was dropped
//! before it ended, the value is useless and the job is acquired again: progress tells what landed.

use crate::core::change::{BinlogPosition, Chunk, CopyPlan, CopyRow};
use crate::core::group::{Group, Table};
use crate::core::gtid_set::GtidSet;
use crate::core::ids::{Epoch, JobId, NodeId, Seq, SourceEpoch};
use crate::core::job_spec::{DatabaseSpec, SinkSpec};
use crate::core::progress::Progress;
use crate::core::shape::{ShapeId, TableName, TableShape};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::apply::{ApplySession, Failure};
use crate::mysql::target::create::{self, Content};
use crate::mysql::target::fence::{self, AcquireRequest, FenceRow};
use crate::mysql::target::meta::{Meta, of_job};
use crate::mysql::target::progress_store::{self, beat_statement, copy_statement, shape_statement};
use crate::mysql::target::statement::{Statement, StatementLimits, TableSql};
use crate::mysql::target::turn::{Turn, progress_statement};

/// Times a group is tried when locks are in its way; each wait is 2 s (guess: longer means a person must look).
const LOCK_TRIES: u32 = 5;

/// A target this task owns.
#[derive(Debug)]
pub struct Target {
    pub(super) control: Session,
    pub(super) apply: ApplySession,
    pub(super) meta: Meta,
    pub(super) job: JobId,
    pub(super) epoch: Epoch,
    pub(super) endpoint: DatabaseSpec,
    progress: Progress,
    tables: Vec<Option<TableSql>>,
}

impl Target {
    /// Takes the job over: newest epoch, older sessions ended, progress read.
    pub async fn acquire(spec: &SinkSpec, request: AcquireRequest) -> Result<(Self, Progress), Error> {
        let meta = Meta::new(&spec.meta_schema);
        let mut control = Session::connect(&spec.endpoint).await?;
        fence::prepare_control(&mut control).await?;
        meta.ensure(&mut control).await?;
        let epoch = fence::acquire(&mut control, &meta, &request).await?;
        let progress = progress_store::read(&mut control, &meta, &request.job, epoch).await?;
        let mut apply = ApplySession::connect(&spec.endpoint).await?;
        if apply.session().server_uuid() != control.server_uuid() {
            return Err(Error::Lost {
                address: control.address().into(),
                reason: "two connections reached two servers: a switch is going on".into(),
            });
        }
        fence::register(&mut control, &meta, &request.job, epoch, apply.session()).await?;
        let mut target = Self {
            control,
            apply,
            meta,
            job: request.job,
            epoch,
            endpoint: spec.endpoint.clone(),
            progress: progress.clone(),
            tables: Vec::new(),
        };
        target.name_tables().await?;
        Ok((target, progress))
    }

    /// Names the tables of progress anew.
    pub(super) async fn name_tables(&mut self) -> Result<(), Error> {
        self.tables.clear();
        for (at, shape) in self.progress.shapes.clone().into_iter().enumerate() {
            self.set_shape(shape_id(at), shape).await?;
        }
        Ok(())
    }

    /// The epoch this task writes with.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The target server.
    #[must_use]
    pub fn server_uuid(&self) -> &str {
        self.control.server_uuid()
    }

    /// What is committed.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Names a table for the groups that follow. Its definition is only kept in the target by `start`.
    pub async fn set_shape(&mut self, id: ShapeId, shape: TableShape) -> Result<(), Error> {
        let mut shape = shape.on_target().into_owned();
        shape.has_secondary_unique |= create::has_other_unique(&mut self.control, &shape).await?;
        let at = id.0 as usize;
        if self.tables.len() <= at {
            self.tables.resize(at + 1, None);
        }
        self.tables[at] = Some(TableSql::new(std::sync::Arc::new(Table::new(shape))));
        Ok(())
    }

    /// The first group: makes the tables, then commits where the source begins, the shapes (element n is shape n) and what
    /// is to be copied.
    pub async fn start(
        &mut self,
        executed: &GtidSet,
        source_uuid: &str,
        shapes: Vec<TableShape>,
        copy: &[CopyPlan],
    ) -> Result<Seq, Error> {
        create::check_pair(source_uuid, self.server_uuid())?;
        for (at, shape) in shapes.iter().enumerate() {
            let content = if copy.iter().any(|plan| plan.shape == shape_id(at)) {
                Content::Empty
            } else {
                Content::Any
            };
            create::ensure(self.apply.session(), &self.meta, &shape.on_target(), content).await?;
            self.set_shape(shape_id(at), shape.clone()).await?;
        }
        let copy_rows = copy.iter().map(|plan| {
            let shape = shapes.get(plan.shape.0 as usize);
            let shape = shape.ok_or_else(|| unknown_shape(plan.shape))?;
            Ok(CopyRow::begun(shape.name.clone(), plan.rows_estimate))
        });
        let copy_rows: Vec<CopyRow> = copy_rows.collect::<Result<_, Error>>()?;
        let seq = self.progress.seq.next();
        let of_shape = |(at, shape)| shape_statement(&self.meta, &self.job, at, seq, shape);
        let of_copy = |(at, row)| copy_statement(&self.meta, &self.job, at, row);
        let mut inside: Vec<String> = shapes.iter().enumerate().map(of_shape).collect();
        inside.extend(copy_rows.iter().enumerate().map(of_copy));
        let next = Progress {
            seq,
            executed: executed.clone(),
            source_uuid: source_uuid.into(),
            position: BinlogPosition::default(),
            copy: copy_rows,
            shapes,
        };
        self.commit(&[], &inside, next, 0).await
    }

    /// Commits a group of whole transactions.
    pub async fn apply_group(&mut self, group: &Group) -> Result<Seq, Error> {
        let statements = self.statements(group, self.apply.limits())?;
        let next = self.progress_after(group);
        match self.try_commit(&statements, &[], &next, group.commit_us).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) => Err(self.explain(failure, &statements, Some(group)).await),
        }
    }

    /// Commits a chunk of the copy: its rows, its copy row and progress. Progress itself stays where it is.
    pub async fn apply_chunk(&mut self, chunk: &Chunk) -> Result<Seq, Error> {
        let sql = self.table(chunk.shape)?;
        let statements = sql.insert(chunk.rows.iter(), self.apply.limits())?;
        let name = self.source_name(chunk.shape)?;
        let mut next = self.next_progress();
        let (at, row) = find_copy(&mut next.copy, &name)?;
        if chunk.high.is_some() {
            row.cursor.clone_from(&chunk.high);
        }
        row.rows += chunk.rows.len() as u64;
        row.is_done = chunk.is_last;
        let inside = [copy_statement(&self.meta, &self.job, at, row)];
        self.commit(&statements, &inside, next, 0).await
    }

    /// Empties a table and its copy row, in one transaction: its copy starts anew.
    pub async fn reset(&mut self, shape: ShapeId) -> Result<Seq, Error> {
        let (name, written) = (self.source_name(shape)?, self.table(shape)?.name().clone());
        let mut next = self.next_progress();
        let (at, row) = find_copy(&mut next.copy, &name)?;
        (row.cursor, row.rows, row.is_done) = (None, 0, false);
        let inside = [copy_statement(&self.meta, &self.job, at, row)];
        self.apply.begin().await?;
        if let Err(error) = self.apply.empty(&quote::table(&written)).await {
            return Err(self.undo(Failure::Other(error), &[]).await);
        }
        let turn = self.turn(&next, 0);
        match self.apply.turn(&inside, &turn).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) => Err(self.undo(failure, &[]).await),
        }
    }

    /// Opens the transaction of a large source transaction. Until `large_commit` or `large_abort` no other method may write.
    pub async fn large_begin(&mut self) -> Result<(), Error> {
        self.apply.begin().await
    }

    /// Applies one part of it. After an error nothing of it is left.
    pub async fn large_part(&mut self, part: &Group) -> Result<(), Error> {
        let statements = self.statements(part, self.apply.limits())?;
        match self.apply.execute(&statements).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.undo(failure, &statements).await),
        }
    }

    /// Applies its last part and commits.
    pub async fn large_commit(&mut self, last: &Group) -> Result<Seq, Error> {
        self.large_part(last).await?;
        let next = self.progress_after(last);
        let turn = self.turn(&next, last.commit_us);
        match self.apply.turn(&[], &turn).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) => Err(self.undo(failure, &[]).await),
        }
    }

    /// Gives it up.
    pub async fn large_abort(&mut self) -> Result<(), Error> {
        self.apply.rollback().await
    }

    /// Commits that these transactions are passed, without a row.
    pub async fn progress_only(&mut self, added: &GtidSet, position: BinlogPosition, commit_us: u64) -> Result<Seq, Error> {
        let group = Group {
            added: added.clone(),
            position,
            commit_us,
            ..Group::default()
        };
        self.apply_group(&group).await
    }

    /// Writes down which peer runs the source task under which number.
    pub async fn record_source(&mut self, src_epoch: SourceEpoch, source: Option<&NodeId>) -> Result<(), Error> {
        let sql = format!(
            "UPDATE {} SET src_epoch = {src_epoch}, src_owner = {} WHERE {} AND epoch = {}",
            self.meta.table("fence"),
            quote::text(source.map_or("", |node| &node.0)),
            of_job(&self.job),
            self.epoch
        );
        if self.control.execute(sql).await? == 1 {
            return Ok(());
        }
        match fence::lost(&mut self.control, &self.meta, &self.job, self.epoch).await? {
            // The row already says so: nothing changed.
            Error::WrongPredecessor { .. } => Ok(()),
            lost => Err(lost),
        }
    }

    /// The fence row as it is now.
    pub async fn fence(&mut self) -> Result<Option<FenceRow>, Error> {
        fence::read(&mut self.control, &self.meta, &self.job).await
    }

    /// Keeps both connections alive; at least each 10 s while nothing is applied, a large transaction being open or not.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.control.ping().await?;
        self.apply.session().ping().await
    }

    /// Stamps the owner's sign of life.
    pub async fn beat(&mut self) -> Result<(), Error> {
        let sql = beat_statement(&self.meta, &self.job, self.epoch);
        self.control.execute(sql).await.map(drop)
    }

    /// Gives the job up so that another owner need not wait.
    pub async fn release(mut self) -> Result<(), Error> {
        self.apply.close().await;
        let outcome = fence::release(&mut self.control, &self.meta, &self.job, self.epoch).await;
        self.control.close().await;
        outcome.map(drop)
    }

    /// Closes both connections and leaves the fence as it is.
    pub async fn close(self) {
        self.apply.close().await;
        self.control.close().await;
    }

    /// Rolls a transaction of several calls back and tells what its failure means. Without the parts before it the failing row
    /// cannot be found again: the statement's table is what is known.
    async fn undo(&mut self, failure: Failure, statements: &[Statement]) -> Error {
        if !failure.error().is_some_and(Error::is_connection_gone)
            && let Err(error) = self.apply.rollback().await
        {
            return error;
        }
        self.explain(failure, statements, None).await
    }

    pub(super) fn next_progress(&self) -> Progress {
        Progress {
            seq: self.progress.seq.next(),
            ..self.progress.clone()
        }
    }

    fn progress_after(&self, group: &Group) -> Progress {
        let mut next = self.next_progress();
        next.executed.union(&group.added);
        next.position = group.position.clone();
        next
    }

    fn committed(&mut self, next: Progress) -> Seq {
        self.progress = next;
        self.progress.seq
    }

    pub(super) async fn commit(
        &mut self,
        statements: &[Statement],
        inside: &[String],
        next: Progress,
        commit_us: u64,
    ) -> Result<Seq, Error> {
        match self.try_commit(statements, inside, &next, commit_us).await {
            Ok(()) => Ok(self.committed(next)),
            Err(failure) => Err(self.explain(failure, statements, None).await),
        }
    }

    /// Commits; what locks made impossible is tried again, alone as it is.
    async fn try_commit(
        &mut self,
        statements: &[Statement],
        inside: &[String],
        next: &Progress,
        commit_us: u64,
    ) -> Result<(), Failure> {
        let turn = self.turn(next, commit_us);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.apply.commit(statements, inside, &turn).await {
                Err(failure) if tries < LOCK_TRIES && failure.error().is_some_and(Error::is_lock_conflict) => {}
                outcome => return outcome,
            }
        }
    }

    fn turn(&self, next: &Progress, commit_us: u64) -> String {
        let turn = Turn {
            seq: next.seq,
            executed: next.executed.to_string(),
            source_uuid: next.source_uuid.clone(),
            position: next.position.clone(),
            commit_us,
        };
        progress_statement(&self.meta, &self.job, self.epoch, &turn)
    }

    pub(super) fn statements(&self, group: &Group, limits: StatementLimits) -> Result<Vec<Statement>, Error> {
        let mut statements = Vec::new();
        for effect in &group.tables {
            statements.extend(self.table(effect.shape)?.effect(effect, limits)?);
        }
        Ok(statements)
    }

    fn table(&self, id: ShapeId) -> Result<&TableSql, Error> {
        self.tables
            .get(id.0 as usize)
            .and_then(Option::as_ref)
            .ok_or_else(|| unknown_shape(id))
    }

    /// Copy rows have the name that the table has on the source.
    fn source_name(&self, id: ShapeId) -> Result<TableName, Error> {
        let shape = self.progress.shapes.get(id.0 as usize);
        Ok(shape.ok_or_else(|| unknown_shape(id))?.name.clone())
    }
}

fn shape_id(at: usize) -> ShapeId {
    ShapeId(u32::try_from(at).expect("fewer tables than 2^32"))
}

fn unknown_shape(id: ShapeId) -> Error {
    Error::BadRow {
        table: format!("shape {}", id.0),
        reason: "expected a shape named before, found none".into(),
    }
}

fn find_copy<'a>(copy: &'a mut [CopyRow], name: &TableName) -> Result<(usize, &'a mut CopyRow), Error> {
    let at = copy.iter().position(|row| row.table == *name);
    let at = at.ok_or_else(|| Error::BadRow {
        table: name.to_string(),
        reason: "expected a copy row, found none".into(),
    })?;
    Ok((at, &mut copy[at]))
}
