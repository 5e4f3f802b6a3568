//! The chunks that are being read: which table is at which step, on which connection.
//!
//! Driven by `merge_stage`: it asks for bounds, tells when a chunk is open, and takes the rows. Decides no order. At most `TABLES_MAX`
//! tables are read at once, each with one chunk, on as many connections; the tasks are owned here and end with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::core::change::{BinlogPosition, Key};
use crate::core::chunk_size::ChunkSize;
use crate::core::copy_state::{CopyState, is_at_or_after};
use crate::core::copy_table::ReadRows;
use crate::core::disposition::Disposition;
use crate::core::gtid_set::GtidSet;
use crate::core::job_spec::DatabaseSpec;
use crate::core::row_bag::{KEYLESS_READ_MAX, row_bytes};
use crate::core::shape::{ShapeId, TableShape};
use crate::flow::chunk_errors;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::chunk_reader::{ChunkReader, Range, ReadOutcome, Waited, binlog_end, check_server};

/// Tables read at once: the source's disks are kept busy while one table waits for the stream (guess).
const TABLES_MAX: usize = 2;
/// Bytes of rows one chunk may hold when it is read; with its fold it stays below `CHUNK_HELD_MAX`.
const CHUNK_READ_MAX: u64 = 8 << 20;
/// Bytes one chunk may hold with its fold: it travels as one frame of at most 16 MiB.
const CHUNK_HELD_MAX: u64 = 12 << 20;
/// Bytes of rows of a keyless table (`KEYLESS_READ_MAX`) with the changes queued behind them.
const KEYLESS_HELD_MAX: u64 = 96 << 20;
/// How often the server may be late with its own past, 10 s each, before the flow is tried again.
const WAITS_MAX: u32 = 6;
/// Views of a keyless table that were taken in vain before its writers are locked out for a moment (PROTOCOLS 1 step 13).
const STALE_MAX: u32 = 20;
/// Views taken in vain, half of them with the writers locked out, after which a person must help.
const STALE_TRIES: u32 = 2 * STALE_MAX;
/// Pause before a keyless table is tried again, times the views taken in vain.
const STALE_PAUSE: Duration = Duration::from_millis(20);

/// Where a table is. Waiting → Bounding → Bound → Reading → Read → Waiting; a voided read goes back to Waiting when its task ends.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Waiting,
    Bounding,
    Bound(Option<Key>),
    Reading { is_void: bool },
    Read,
}

impl Step {
    /// The chunk is of no use, whether it is read already or not.
    fn give_up(&mut self) {
        *self = match self {
            Self::Reading { .. } => Self::Reading { is_void: true },
            _ => Self::Waiting,
        };
    }
}

#[derive(Debug)]
struct Table {
    shape: Arc<TableShape>,
    size: ChunkSize,
    step: Step,
    stale: u32,
}

#[derive(Debug)]
enum Answer {
    Bound(Option<Key>),
    Read(ReadOutcome, Duration),
}

#[derive(Debug)]
struct Done {
    shape: ShapeId,
    reader: ChunkReader,
    answer: Answer,
}

/// A read that failed.
#[derive(Debug)]
struct Failed {
    error: Box<Error>,
    /// End of the binlog after it: a change of definitions that explains the failure is before this. None: nothing of that kind.
    explained_by: Option<BinlogPosition>,
}

/// All chunk reads of one job.
#[derive(Debug)]
pub struct ChunkTasks {
    spec: DatabaseSpec,
    source_uuid: String,
    tables: BTreeMap<ShapeId, Table>,
    idle: Vec<ChunkReader>,
    running: JoinSet<Result<Done, Failed>>,
    /// Failures that a change of definitions may explain, each believed when the stream has reached its position.
    doubts: Vec<(BinlogPosition, Error)>,
}

impl ChunkTasks {
    /// Nothing is read yet. `source_uuid` is the server of the stream.
    #[must_use]
    pub fn new(spec: DatabaseSpec, source_uuid: String, copy: &CopyState) -> Self {
        let open = copy.tables().filter(|(_, table)| !table.is_done());
        let table = |shape: &TableShape| Table {
            shape: Arc::new(shape.clone()),
            size: ChunkSize::default(),
            step: Step::Waiting,
            stale: 0,
        };
        let tables = open.map(|(id, copied)| (id, table(copied.shape()))).collect();
        Self {
            spec,
            source_uuid,
            tables,
            idle: Vec::new(),
            running: JoinSet::new(),
            doubts: Vec::new(),
        }
    }

    /// Nothing runs now.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Starts the search for the next bound wherever a table may go on.
    pub fn start(&mut self, copy: &CopyState) {
        let mut active = self.tables.values().filter(|table| table.step != Step::Waiting).count();
        let ids: Vec<ShapeId> = self.tables.keys().copied().collect();
        for id in ids {
            let Some(table) = self.tables.get_mut(&id) else { continue };
            if active >= TABLES_MAX || table.step != Step::Waiting || copy.is_held(id) {
                continue;
            }
            active += 1;
            if table.shape.key.is_none() {
                table.step = Step::Bound(None);
                continue;
            }
            table.step = Step::Bounding;
            let (shape, rows) = (Arc::clone(&table.shape), table.size.rows());
            let low = copy.table(id).and_then(|copied| copied.cursor().cloned());
            let reader = self.reader();
            self.spawn(async move {
                let mut reader = reader.open().await?;
                let bound = reader.bound(&shape, low.as_ref(), rows).await?;
                Ok(Done {
                    shape: id,
                    reader,
                    answer: Answer::Bound(bound),
                })
            });
        }
    }

    /// The chunks whose bound is known; the caller opens each and then calls `read`.
    pub fn bound(&mut self) -> Vec<(ShapeId, Option<Key>)> {
        let bound = |(id, table): (&ShapeId, &mut Table)| match &mut table.step {
            Step::Bound(high) => Some((*id, high.take())),
            _ => None,
        };
        self.tables.iter_mut().filter_map(bound).collect()
    }

    /// Reads the chunk that was just opened; everything in `passed` must be visible first.
    pub fn read(&mut self, id: ShapeId, range: Range, passed: GtidSet) {
        let Some(table) = self.tables.get_mut(&id) else { return };
        table.step = Step::Reading { is_void: false };
        let (shape, stale) = (Arc::clone(&table.shape), table.stale);
        let reader = self.reader();
        self.spawn(async move {
            tokio::time::sleep(STALE_PAUSE * stale).await;
            let mut reader = reader.open().await?;
            wait_until_visible(&mut reader, &passed).await?;
            let began = Instant::now();
            let outcome = match shape.key {
                Some(_) => reader.read(&shape, &range, CHUNK_READ_MAX).await?,
                None => reader.read_keyless(&shape, KEYLESS_READ_MAX, stale >= STALE_MAX).await?,
            };
            Ok(Done {
                shape: id,
                reader,
                answer: Answer::Read(outcome, began.elapsed()),
            })
        });
    }

    /// Waits for the next task to end; never while none runs. The rows of a chunk that is still wanted, or a table to be voided.
    ///
    /// # Errors
    /// A connection failed, shows another server, or a keyless table is too large.
    pub async fn next(&mut self) -> Result<Option<(ShapeId, Option<ReadRows>)>, Error> {
        let Some(joined) = self.running.join_next().await else {
            return std::future::pending().await;
        };
        // A task is only cancelled when this is dropped; a panic in one is a panic here.
        let done = match joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Ok(done) => done,
            Err(Failed {
                error,
                explained_by: Some(position),
            }) => {
                // The table stays as it is: nothing more is read of it.
                self.doubts.push((position, *error));
                return Ok(None);
            }
            Err(failed) => return Err(*failed.error),
        };
        self.idle.push(done.reader);
        let Some(table) = self.tables.get_mut(&done.shape) else {
            return Ok(None);
        };
        match done.answer {
            Answer::Bound(high) => {
                table.step = Step::Bound(high);
                Ok(None)
            }
            Answer::Read(_, _) if table.step == (Step::Reading { is_void: true }) => {
                table.step = Step::Waiting;
                Ok(None)
            }
            Answer::Read(ReadOutcome::Rows(read), took) => {
                let bytes = read.rows.iter().map(row_bytes).sum();
                table.size = table.size.after(read.rows.len() as u64, bytes, took);
                table.step = Step::Read;
                Ok(Some((done.shape, Some(read))))
            }
            Answer::Read(ReadOutcome::TooLarge, _) if table.shape.key.is_none() => {
                Err(chunk_errors::too_large(&table.shape, KEYLESS_READ_MAX))
            }
            Answer::Read(outcome, _) => {
                if outcome == ReadOutcome::TooLarge {
                    table.size = table.size.halved();
                }
                table.step = Step::Waiting;
                Ok(Some((done.shape, None)))
            }
        }
    }

    /// The chunk of a table was emitted.
    pub fn closed(&mut self, id: ShapeId, is_done: bool) {
        if is_done {
            self.tables.remove(&id);
        } else if let Some(table) = self.tables.get_mut(&id) {
            table.step = Step::Waiting;
            table.stale = 0;
        }
    }

    /// A keyless table changed between view and mark: again, later.
    ///
    /// # Errors
    /// It did so each time, although its writers were locked out for the mark: its rows have two forms (JSON).
    pub fn stale(&mut self, id: ShapeId) -> Result<(), Error> {
        if let Some(table) = self.tables.get_mut(&id) {
            table.step = Step::Waiting;
        }
        self.again(id, chunk_errors::always_changed)
    }

    /// Gives up a chunk that holds too much; the next one is smaller.
    ///
    /// # Errors
    /// A keyless table cannot be read in pieces.
    pub fn shrink(&mut self, id: ShapeId) -> Result<(), Error> {
        let Some(table) = self.tables.get_mut(&id) else {
            return Ok(());
        };
        if table.shape.key.is_none() {
            return Err(chunk_errors::too_large(&table.shape, KEYLESS_READ_MAX));
        }
        table.size = table.size.halved();
        table.step.give_up();
        Ok(())
    }

    /// Gives up a chunk in which a row changed in a way its images do not tell, or no log (`is_cascaded`: the engine of the source did
    /// it for a foreign key). The next one is smaller, and shows what came of it.
    ///
    /// # Errors
    /// It was so each time.
    pub fn spoiled(&mut self, id: ShapeId, is_cascaded: bool) -> Result<(), Error> {
        if let Some(table) = self.tables.get_mut(&id) {
            table.size = table.size.halved();
            table.step.give_up();
        }
        match is_cascaded {
            true => self.again(id, chunk_errors::always_cascaded),
            false => self.again(id, chunk_errors::always_spoiled),
        }
    }

    fn again(&mut self, id: ShapeId, always: fn(&TableShape, u32) -> Error) -> Result<(), Error> {
        let Some(table) = self.tables.get_mut(&id) else {
            return Ok(());
        };
        table.stale += 1;
        match table.stale {
            STALE_TRIES.. => Err(always(&table.shape, STALE_TRIES)),
            _ => Ok(()),
        }
    }

    /// The stream has come to `at` without a change of definitions.
    ///
    /// # Errors
    /// A failure that nothing explains any more.
    pub fn settle_doubts(&mut self, at: &BinlogPosition) -> Result<(), Error> {
        match self.doubts.iter().position(|(position, _)| is_at_or_after(at, position)) {
            Some(index) => Err(self.doubts.swap_remove(index).1),
            None => Ok(()),
        }
    }

    fn spawn(&mut self, work: impl Future<Output = Result<Done, Error>> + Send + 'static) {
        let spec = self.spec.clone();
        self.running.spawn(async move {
            match work.await {
                Ok(done) => Ok(done),
                Err(error) => Err(Failed {
                    explained_by: binlog_end_after(&error, &spec).await,
                    error: Box::new(error),
                }),
            }
        });
    }

    fn reader(&mut self) -> Lazy {
        match self.idle.pop() {
            Some(reader) => Lazy::Open(Box::new(reader)),
            None => Lazy::Closed {
                spec: self.spec.clone(),
                source_uuid: self.source_uuid.clone(),
            },
        }
    }
}

/// A connection, or what is needed to make one inside a task.
enum Lazy {
    Open(Box<ChunkReader>),
    Closed { spec: DatabaseSpec, source_uuid: String },
}

impl Lazy {
    async fn open(self) -> Result<ChunkReader, Error> {
        match self {
            Self::Open(reader) => Ok(*reader),
            Self::Closed { spec, source_uuid } => {
                let reader = ChunkReader::open(&spec).await?;
                check_server(reader.address(), reader.server_uuid(), &source_uuid)?;
                Ok(reader)
            }
        }
    }
}

/// Bytes the open chunk of a table may hold.
#[must_use]
pub fn held_bytes_max(shape: &TableShape) -> u64 {
    if shape.key.is_some() {
        CHUNK_HELD_MAX
    } else {
        KEYLESS_HELD_MAX
    }
}

async fn wait_until_visible(reader: &mut ChunkReader, passed: &GtidSet) -> Result<(), Error> {
    for _ in 0..WAITS_MAX {
        if reader.wait_for(passed).await? == Waited::Visible {
            return Ok(());
        }
    }
    Err(Error::TimedOut {
        address: reader.address().to_owned(),
        operation: "the wait for transactions that the stream already showed",
        limit: Duration::from_secs(60),
    })
}

/// Where the binlog ends after a failure that the same read would meet again; None when it is of another kind.
async fn binlog_end_after(error: &Error, spec: &DatabaseSpec) -> Option<BinlogPosition> {
    if error.disposition() != Disposition::Fatal {
        return None;
    }
    let mut session = Session::connect(spec).await.ok()?;
    let end = binlog_end(&mut session).await.ok();
    session.close().await;
    end
}
