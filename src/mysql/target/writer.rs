//! The target as its owner sees it: acquired with an epoch, written group by group, released.
//!
//! Used by `flow::applier`, which feeds it the source's sequence in order. Every method that writes commits one transaction
//! that holds rows and progress together, or nothing. After an error with `is_connection_gone`, and when a call was dropped
//! before it ended, the value is useless and the job is acquired again: progress tells what landed.

use std::sync::Arc;

use crate::core::change::{BinlogPosition, CopyPlan, CopyRow};
use crate::core::conflict::{Check, ConflictPolicy};
use crate::core::group::{Group, Tables};
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::ids::{Epoch, JobId, NodeId, Seq, SourceEpoch};
use crate::core::job_spec::{DatabaseSpec, SinkSpec};
use crate::core::progress::Progress;
use crate::core::shape::{ShapeId, TableShape};
use crate::core::skip::Skips;
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::target::apply::ApplySession;
use crate::mysql::target::chains;
use crate::mysql::target::conflict_store::{self, Standing};
use crate::mysql::target::copy_lane::CopyLane;
use crate::mysql::target::create::{self, Content};
use crate::mysql::target::fence::{self, AcquireRequest, FenceRow};
use crate::mysql::target::lanes::Lanes;
use crate::mysql::target::large::Large;
use crate::mysql::target::meta::{Meta, of_job};
use crate::mysql::target::progress_store::{self, beat_statement, copy_statement, shape_statement};
use crate::mysql::target::row_events::RowEvents;
use crate::mysql::target::shared;
use crate::mysql::target::statement::TableSql;

/// A target this task owns.
#[derive(Debug)]
pub struct Target {
    pub(super) control: Session,
    pub(super) apply: ApplySession,
    /// Connections for chunks on which nothing is open.
    pub(super) copy_lanes: Vec<CopyLane>,
    pub(super) meta: Meta,
    pub(super) job: JobId,
    pub(super) epoch: Epoch,
    pub(super) endpoint: DatabaseSpec,
    pub(super) progress: Progress,
    pub(super) tables: Vec<Option<Arc<TableSql>>>,
    /// Of those that take row events, how; as many as tables.
    pub(super) events: Vec<Option<Arc<RowEvents>>>,
    /// What `minimal_change` told is still so.
    pub(super) is_minimal_told: bool,
    /// It told of some: what comes may be cut.
    pub(super) may_be_cut: bool,
    pub(super) is_whole_wanted: bool,
    /// The same tables, for folding again what did not fit.
    pub(super) folding: Tables,
    pub(super) policy: ConflictPolicy,
    pub(super) standing: Standing,
    /// The large transaction that is open.
    pub(super) large: Large,
    pub(super) skips: Skips,
    /// Groups under way beside each other.
    pub(super) lanes: Lanes,
    pub(super) drops_triggers: bool,
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
        expect_same_server(&control, &mut apply)?;
        fence::register(&mut control, &meta, &request.job, epoch, apply.session()).await?;
        let standing = conflict_store::standing(&mut control, &meta, &request.job).await?;
        let mut target = Self {
            control,
            apply,
            copy_lanes: Vec::new(),
            meta,
            job: request.job,
            epoch,
            endpoint: spec.endpoint.clone(),
            progress: progress.clone(),
            tables: Vec::new(),
            events: Vec::new(),
            is_minimal_told: true,
            may_be_cut: false,
            is_whole_wanted: false,
            folding: Tables::default(),
            policy: ConflictPolicy::default(),
            standing,
            large: Large::default(),
            drops_triggers: spec.drop_triggers,
            skips: Skips::new(),
            lanes: Lanes::default(),
        };
        target.name_tables().await?;
        Ok((target, progress))
    }

    /// Names the tables of progress anew.
    pub(super) async fn name_tables(&mut self) -> Result<(), Error> {
        self.tables.clear();
        self.events.clear();
        chains::check(&mut self.control, &self.progress.shapes).await?;
        for (at, shape) in self.progress.shapes.clone().into_iter().enumerate() {
            self.set_shape(shape_id(at), shape).await?;
        }
        self.mind_triggers().await
    }

    /// How rows are checked from now on, and what is done with those that do not fit.
    pub fn set_conflict_policy(&mut self, policy: ConflictPolicy) {
        self.is_minimal_told &= self.policy == policy;
        // What is on its way cut cannot be compared.
        self.is_whole_wanted |= self.may_be_cut && policy.check == Check::Image;
        self.policy = policy;
    }

    /// Transactions that a person passed over: they are recorded as such when they join progress.
    pub fn set_skips(&mut self, skips: Skips) {
        self.skips = skips;
    }

    /// A person passed it over.
    #[must_use]
    pub fn is_skipped(&self, gtid: &Gtid) -> bool {
        !self.skips.is_empty() && self.skips.contains_key(&gtid.to_string())
    }

    /// Conflicts of this incarnation so far.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.standing.last
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
            self.events.resize(at + 1, None);
        }
        self.events[at] = None;
        self.folding.set(id, shape);
        self.tables[at] = self.folding.get(id).cloned().map(|table| Arc::new(TableSql::new(table)));
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
        chains::check(&mut self.control, &shapes).await?;
        for (at, shape) in shapes.iter().enumerate() {
            let others = shared::others(&mut self.control, &self.meta, &self.job, &shapes, shape).await?;
            shared::check(shape, &others)?;
            let is_copied = copy.iter().any(|plan| plan.shape == shape_id(at));
            let is_merged = shape.map.as_ref().is_some_and(|map| map.merge) || others.iter().any(|other| other.is_foreign);
            let content = if is_copied && !is_merged {
                Content::Empty
            } else {
                Content::Any
            };
            create::ensure(self.apply.session(), &self.meta, &shape.on_target(), content).await?;
            self.set_shape(shape_id(at), shape.clone()).await?;
        }
        self.mind_triggers().await?;
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
            skips: GtidSet::default(),
        };
        self.commit(&[], &inside, next, 0).await
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

    /// Stamps the owner's sign of life.
    pub async fn beat(&mut self) -> Result<(), Error> {
        let sql = beat_statement(&self.meta, &self.job, self.epoch);
        self.control.execute(sql).await.map(drop)
    }

    /// Gives the job up so that another owner need not wait.
    pub async fn release(mut self) -> Result<(), Error> {
        self.close_copy_lanes().await;
        self.lanes.close().await;
        self.apply.close().await;
        let outcome = fence::release(&mut self.control, &self.meta, &self.job, self.epoch).await;
        self.control.close().await;
        outcome.map(drop)
    }

    /// Closes the connections and leaves the fence as it is.
    pub async fn close(mut self) {
        self.close_copy_lanes().await;
        self.lanes.close().await;
        self.apply.close().await;
        self.control.close().await;
    }

    pub(super) fn next_progress(&self) -> Progress {
        Progress {
            seq: self.progress.seq.next(),
            ..self.progress.clone()
        }
    }

    pub(super) fn progress_after(&self, group: &Group) -> Progress {
        let mut next = self.next_progress();
        next.executed.union(&group.added);
        next.position = group.position.clone();
        next
    }

    pub(super) fn committed(&mut self, next: Progress) -> Seq {
        (_, self.standing) = self.notes(self.standing.clone(), &next);
        self.progress = next;
        self.progress.seq
    }

    /// A group is committed beside which nothing was to be noted.
    pub(super) fn advanced(&mut self, group: &Group) -> Seq {
        self.progress.seq = self.progress.seq.next();
        self.progress.executed.union(&group.added);
        self.progress.position.clone_from(&group.position);
        self.progress.seq
    }

    pub(super) fn table(&self, id: ShapeId) -> Result<&TableSql, Error> {
        Self::find(&self.tables, id).map(Arc::as_ref)
    }

    pub(super) fn find(tables: &[Option<Arc<TableSql>>], id: ShapeId) -> Result<&Arc<TableSql>, Error> {
        tables
            .get(id.0 as usize)
            .and_then(Option::as_ref)
            .ok_or_else(|| unknown_shape(id))
    }
}

/// Behind one address two connections may reach two servers.
pub(super) fn expect_same_server(control: &Session, apply: &mut ApplySession) -> Result<(), Error> {
    if apply.session().server_uuid() == control.server_uuid() {
        return Ok(());
    }
    Err(Error::Lost {
        address: control.address().into(),
        reason: "two connections reached two servers: a switch is going on".into(),
    })
}

fn shape_id(at: usize) -> ShapeId {
    ShapeId(u32::try_from(at).expect("fewer tables than 2^32"))
}

pub(super) fn unknown_shape(id: ShapeId) -> Error {
    Error::BadRow {
        table: format!("shape {}", id.0),
        reason: "expected a shape named before, found none".into(),
    }
}
