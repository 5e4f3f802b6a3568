//! Where a subscription begins: the shapes, the position, and whether this server can go on from there (PROTOCOLS 1 step 1, 8).
//!
//! Used by `source_flow` before its stages start. Reads only.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::core::change::{BinlogPosition, CopyPlan, CopyRow, Item};
use crate::core::gtid_set::GtidSet;
use crate::core::job_spec::{JobSpec, StartPoint};
use crate::core::progress::Progress;
use crate::core::shape::{ShapeId, TableName, TableShape};
use crate::flow::prepared_start;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::chunk_reader::binlog_end;
use crate::mysql::source::definition_hold::DefinitionHold;
use crate::mysql::source::heartbeat::parse_set;
use crate::mysql::source::{inspect, start_position, tables};

/// How long a server may take to catch up with what the target has (PROTOCOLS 8).
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Where to begin, and what to say first.
#[derive(Debug)]
pub struct Start {
    /// The server.
    pub source_uuid: String,
    /// All shapes; `ShapeId` n is element n.
    pub shapes: Vec<TableShape>,
    /// What the target has of the tables to be copied.
    pub copy: Vec<CopyRow>,
    /// Transactions the target has, or that are older than the copy.
    pub passed: GtidSet,
    /// Transactions of which nothing is read.
    pub skips: GtidSet,
    /// `Shape`s, then `Start` for a job without progress, `Reset`s for copies that cannot go on.
    pub items: Vec<Item>,
    /// The copy begins when the stream is here: `P0` of PROTOCOLS 1 step 1. None: nothing was prepared at the start, or it is past.
    pub copy_from: Option<BinlogPosition>,
}

/// Finds where to begin: at the target's progress, or for a job without progress at the present.
///
/// # Errors
/// The server lacks transactions, tables or binlogs the job needs, or cannot be reached.
pub async fn prepare(session: &mut Session, spec: &JobSpec, progress: Progress) -> Result<Start, Error> {
    if progress.is_fresh() {
        return begin(session, spec).await;
    }
    check_history(session, &progress).await?;
    tables::check_cascades(session, spec, &progress.shapes).await?;
    let mut items = shape_items(&progress.shapes);
    let lost = progress.copy.iter().filter(|row| !row.is_done);
    let resets = lost
        .filter_map(|row| keyless(&progress.shapes, row))
        .map(|shape| Item::Reset { shape });
    items.extend(resets);
    // What was prepared at the start had ended before the target heard of the job: a mark of now is as good as the first one.
    let copy_from = if is_untouched(&progress.copy) && prepared_start::is_used(session).await? {
        Some(binlog_end(session).await?)
    } else {
        None
    };
    Ok(Start {
        source_uuid: session.server_uuid().to_owned(),
        shapes: progress.shapes,
        copy: progress.copy,
        passed: progress.executed,
        skips: progress.skips,
        items,
        copy_from,
    })
}

/// A copy of which no chunk is on the target.
fn is_untouched(copy: &[CopyRow]) -> bool {
    let is_untouched = |row: &CopyRow| !row.is_done && row.cursor.is_none() && row.rows == 0;
    !copy.is_empty() && copy.iter().all(is_untouched)
}

/// The table of a copy row, when it has no key: its copy is not resumable.
fn keyless(shapes: &[TableShape], row: &CopyRow) -> Option<ShapeId> {
    let at = shapes
        .iter()
        .position(|shape| shape.name == row.table && shape.key.is_none())?;
    Some(shape_id(at))
}

async fn begin(session: &mut Session, spec: &JobSpec) -> Result<Start, Error> {
    let is_copied = matches!(spec.source.start, StartPoint::Snapshot | StartPoint::SnapshotOnly);
    let (executed, shapes) = match &spec.source.start {
        StartPoint::Snapshot | StartPoint::SnapshotOnly | StartPoint::Now => definitions_now(session, spec, is_copied).await?,
        StartPoint::Gtid(set) => {
            prepared_start::await_none(session).await?;
            (given(session, set.clone()).await?, tables::resolved(session, spec).await?)
        }
        StartPoint::File(position) => {
            prepared_start::await_none(session).await?;
            let set = start_position::executed_before(session, position).await?;
            (given(session, set).await?, tables::resolved(session, spec).await?)
        }
    };
    let (copy, copy_from) = if is_copied {
        (copy_rows(session, &shapes).await?, prepared_start::settle(session).await?)
    } else {
        (Vec::new(), None)
    };
    let source_uuid = session.server_uuid().to_owned();
    let mut items = shape_items(&shapes);
    items.push(Item::Start {
        executed: executed.clone(),
        source_uuid: source_uuid.clone(),
        copy: copy.iter().enumerate().map(plan).collect(),
    });
    Ok(Start {
        source_uuid,
        shapes,
        copy,
        passed: executed,
        skips: GtidSet::default(),
        items,
        copy_from,
    })
}

/// `G0` and the definitions at `G0`: a change before it is in them, one after it is in the stream. Without a copy, at a moment
/// when no transaction is prepared.
async fn definitions_now(session: &mut Session, spec: &JobSpec, is_copied: bool) -> Result<(GtidSet, Vec<TableShape>), Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = tables::names(session, spec).await?;
        let hold = DefinitionHold::take(&spec.source.endpoint, &held).await?;
        let executed = executed(session).await?;
        let shapes = tables::resolved(session, spec).await;
        let open = if is_copied {
            Vec::new()
        } else {
            prepared_start::open(session).await?
        };
        hold.release().await;
        let shapes = shapes?;
        match open.is_empty() {
            true => {}
            false if Instant::now() < deadline => {
                sleep(LOOK_EVERY).await;
                continue;
            }
            false => return Err(prepared_start::refused(session, &open)),
        }
        // A table that was made meanwhile was not held.
        if shapes.iter().all(|shape| held.contains(&shape.name)) {
            return Ok((executed, shapes));
        }
    }
}

/// A set that a person says is on the target: the server must have executed it, and must have the binlog of all the rest.
async fn given(session: &mut Session, set: GtidSet) -> Result<GtidSet, Error> {
    let missing = set.subtract(&executed(session).await?);
    if !missing.is_empty() {
        return Err(Error::Unsuitable {
            object: format!("start of the job at {}", session.address()),
            found: format!(
                "{} transactions that this server has not executed: {missing}",
                missing.count()
            ),
            expected: "a part of what it has executed: the others would be passed over when they come".into(),
            fix: "take the set from SELECT @@GLOBAL.gtid_executed of this server, at the time the target was made".into(),
        });
    }
    check_purged(session, &set).await?;
    Ok(set)
}

/// What is to be copied: every table, nothing of it yet.
async fn copy_rows(session: &mut Session, shapes: &[TableShape]) -> Result<Vec<CopyRow>, Error> {
    let names: Vec<TableName> = shapes.iter().map(|shape| shape.name.clone()).collect();
    let estimates = inspect::row_estimates(session, &names).await?;
    let row = |(table, rows_estimate)| CopyRow::begun(table, rows_estimate);
    Ok(names.into_iter().zip(estimates).map(row).collect())
}

fn plan((at, row): (usize, &CopyRow)) -> CopyPlan {
    CopyPlan {
        shape: shape_id(at),
        rows_estimate: row.rows_estimate,
    }
}

fn shape_items(shapes: &[TableShape]) -> Vec<Item> {
    shapes
        .iter()
        .enumerate()
        .map(|(at, shape)| Item::Shape {
            id: shape_id(at),
            shape: shape.clone(),
        })
        .collect()
}

/// The number of the shape at this place in the list.
#[must_use]
pub fn shape_id(at: usize) -> ShapeId {
    ShapeId(u32::try_from(at).expect("a job has fewer than 2^32 tables"))
}

async fn executed(session: &mut Session) -> Result<GtidSet, Error> {
    variable(session, "gtid_executed").await
}

async fn variable(session: &mut Session, name: &str) -> Result<GtidSet, Error> {
    let text = session.first::<String>(format!("SELECT @@GLOBAL.{name}")).await?;
    parse_set(session, &text.unwrap_or_default())
}

/// The server must have executed everything the target has, and must still have the binlog of everything else.
async fn check_history(session: &mut Session, progress: &Progress) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let missing = progress.executed.subtract(&executed(session).await?);
        if missing.is_empty() {
            break;
        }
        // Its own transactions a server cannot catch up with: its binlog was reset, or an old state was restored.
        let is_own = missing
            .sources()
            .any(|(source, _)| source.to_string().starts_with(session.server_uuid()));
        if Instant::now() >= deadline || is_own {
            return Err(Error::Unsuitable {
                object: session.address().to_owned(),
                found: format!(
                    "server {} without {} transactions the target has: {missing}",
                    session.server_uuid(),
                    missing.count()
                ),
                expected: "every transaction that was applied to the target".into(),
                fix: format!(
                    "going on would lose {} transactions: point the endpoint at a server that has them, or copy again",
                    missing.count()
                ),
            });
        }
        sleep(LOOK_EVERY).await;
    }
    check_purged(session, &progress.executed).await
}

/// The server must still have the binlog of everything that the target has not.
async fn check_purged(session: &mut Session, applied: &GtidSet) -> Result<(), Error> {
    let purged = variable(session, "gtid_purged").await?.subtract(applied);
    if purged.is_empty() {
        return Ok(());
    }
    Err(Error::Unsuitable {
        object: session.address().to_owned(),
        found: format!("the binlog of {} transactions is purged: {purged}", purged.count()),
        expected: "the binlog of every transaction that is not on the target".into(),
        fix: "copy again with a new job; raise binlog_expire_logs_seconds above the longest pause of the job".into(),
    })
}
