//! Chunks of the copy beside each other: each executed on a connection of its own, committed when its turn comes.
//!
//! Part of `writer`, driven by `flow::copy_flight`. Two chunks with nothing between them are parts of one state of the source (PROTOCOLS 1):
//! they share no key, so both may be executed at once. Only the turn goes in order (PROTOCOLS 2): it holds the chunk's copy row and the
//! progress, so that a chunk is committed with its progress or not at all. A chunk that is refused here proves nothing: it is rolled
//! back, and applied alone by `copied` when everything before it is committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::change::Chunk;
use crate::core::group::Group;
use crate::core::ids::Seq;
use crate::core::job_spec::DatabaseSpec;
use crate::core::shape::ShapeId;
use crate::mysql::error::Error;
use crate::mysql::target::apply::{ApplySession, Failure};
use crate::mysql::target::fence;
use crate::mysql::target::load_data::{self, LOAD_BYTES, Loaded};
use crate::mysql::target::statement::{STATEMENT_ROWS_MAX, StatementLimits, TableSql};
use crate::mysql::target::writer::{Target, expect_same_server};

/// A connection that executes chunks, registered as one of the owner's.
#[derive(Debug)]
pub struct CopyLane {
    pub(super) session: ApplySession,
    /// The server takes LOAD DATA LOCAL here.
    loads: bool,
    /// Tables of which it did not take all rows as they were.
    not_loaded: BTreeSet<ShapeId>,
}

impl CopyLane {
    async fn open(spec: &DatabaseSpec) -> Result<Self, Error> {
        let mut session = ApplySession::connect(spec).await?;
        Ok(Self {
            loads: load_data::is_allowed(session.session()).await?,
            session,
            not_loaded: BTreeSet::new(),
        })
    }

    /// Executes a chunk in a transaction that stays open for `commit_chunk`. False: it was refused and is rolled back.
    ///
    /// # Errors
    /// The connection is gone, or a row does not fit its shape.
    pub async fn execute(&mut self, table: &TableSql, chunk: &Chunk) -> Result<bool, Error> {
        if let Some(statement) = self.load_statement(table, chunk.shape) {
            self.session.begin().await?;
            let outcome = self.load(table, chunk, &statement).await;
            if self.is_kept(outcome).await? {
                return Ok(true);
            }
            // INSERT tells what is wrong, if anything is.
            self.not_loaded.insert(chunk.shape);
        }
        self.session.begin().await?;
        let outcome = self.insert(table, chunk).await;
        self.is_kept(outcome.map(|()| true)).await
    }

    fn load_statement(&self, table: &TableSql, shape: ShapeId) -> Option<String> {
        (self.loads && !self.not_loaded.contains(&shape))
            .then(|| load_data::statement(table))
            .flatten()
    }

    /// False: not every row was written as it is. LOCAL makes the server go on after that.
    async fn load(&mut self, table: &TableSql, chunk: &Chunk, statement: &str) -> Result<bool, Failure> {
        let (mut values, mut at) = (Vec::new(), 0);
        while at < chunk.rows.len() {
            let (mut text, from) = (Vec::with_capacity(LOAD_BYTES + (LOAD_BYTES >> 3)), at);
            while at < chunk.rows.len() && text.len() < LOAD_BYTES {
                load_data::push_row(&mut text, table, &chunk.rows[at], &mut values).map_err(Failure::Other)?;
                at += 1;
            }
            let loading = load_data::load(self.session.session(), statement, text).await;
            let expected = Loaded {
                rows: (at - from) as u64,
                warnings: 0,
            };
            if loading.map_err(Failure::Other)? != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn insert(&mut self, table: &TableSql, chunk: &Chunk) -> Result<(), Failure> {
        let limits = StatementLimits {
            rows: STATEMENT_ROWS_MAX,
            ..self.session.limits()
        };
        // Piece by piece: the text of a whole chunk is several times its rows.
        for rows in chunk.rows.chunks(STATEMENT_ROWS_MAX) {
            let statements = table.insert(rows.iter(), limits).map_err(Failure::Other)?;
            self.session.execute(&statements).await?;
        }
        Ok(())
    }

    /// What was not done as it should is rolled back; an error ends the lane.
    async fn is_kept(&mut self, outcome: Result<bool, Failure>) -> Result<bool, Error> {
        match outcome {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(Failure::Turn(error) | Failure::Other(error) | Failure::Statement { error: Some(error), .. })
                if error.is_connection_gone() || matches!(error, Error::BadRow { .. }) =>
            {
                return Err(error);
            }
            Err(_) => {}
        }
        self.roll_back().await?;
        Ok(false)
    }

    /// Rolls an executed chunk back.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn roll_back(&mut self) -> Result<(), Error> {
        self.session.rollback().await
    }

    /// Keeps the connection while a chunk waits for its turn.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.session.session().ping().await
    }
}

impl Target {
    /// A connection for a chunk: one that was given back, or a new one.
    ///
    /// # Errors
    /// The target is not reached, or another server is, or another owner has taken it over.
    pub async fn take_lane(&mut self) -> Result<CopyLane, Error> {
        if let Some(lane) = self.copy_lanes.pop() {
            return Ok(lane);
        }
        let mut lane = CopyLane::open(&self.endpoint).await?;
        expect_same_server(&self.control, &mut lane.session)?;
        let session = lane.session.session();
        fence::register(&mut self.control, &self.meta, &self.job, self.epoch, session).await?;
        Ok(lane)
    }

    /// Keeps a connection on which nothing is open for the next chunk.
    pub fn give_lane_back(&mut self, lane: CopyLane) {
        self.copy_lanes.push(lane);
    }

    /// Ends the connections that wait for chunks and forgets them.
    ///
    /// # Errors
    /// The control connection failed.
    pub async fn end_lanes(&mut self) -> Result<(), Error> {
        for lane in &mut self.copy_lanes {
            let conn_id = lane.session.session().connection_id();
            fence::unregister(&mut self.control, &self.meta, &self.job, self.epoch, conn_id).await?;
        }
        self.close_copy_lanes().await;
        Ok(())
    }

    pub(super) async fn close_copy_lanes(&mut self) {
        for lane in std::mem::take(&mut self.copy_lanes) {
            lane.session.close().await;
        }
    }

    pub(super) async fn ping_copy_lanes(&mut self) -> Result<(), Error> {
        for lane in &mut self.copy_lanes {
            lane.ping().await?;
        }
        Ok(())
    }

    /// What a lane writes a chunk of this table with.
    ///
    /// # Errors
    /// The table was not named.
    pub fn chunk_table(&self, shape: ShapeId) -> Result<Arc<TableSql>, Error> {
        Self::find(&self.tables, shape).cloned()
    }

    /// Commits a chunk that `lane` has executed, when everything before it is committed, with the transactions that were passed before it.
    /// None: locks were in the way and it is rolled back.
    ///
    /// # Errors
    /// Another owner has taken over, or the connection is gone.
    pub async fn commit_chunk(
        &mut self,
        lane: &mut CopyLane,
        chunk: &Chunk,
        passed: Option<&Group>,
    ) -> Result<Option<Seq>, Error> {
        let (mut next, copied) = self.with_chunk(chunk)?;
        let commit_us = passed.map_or(0, |passed| passed.commit_us);
        if let Some(passed) = passed {
            next.executed.union(&passed.added);
            next.position = passed.position.clone();
        }
        let turn = self.turn(&next, commit_us);
        let (mut inside, _) = self.notes(self.standing.clone(), &next);
        inside.push(copied);
        match lane.session.turn(&inside, &turn).await {
            Ok(()) => Ok(Some(self.committed(next))),
            Err(failure) if failure.error().is_some_and(Error::is_connection_gone) => Err(self.explain(failure, &[]).await),
            Err(failure) => {
                lane.roll_back().await?;
                match failure.error().is_some_and(Error::is_lock_conflict) {
                    true => Ok(None),
                    false => Err(self.explain(failure, &[]).await),
                }
            }
        }
    }
}
