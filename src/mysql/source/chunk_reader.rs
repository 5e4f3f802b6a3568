//! Reads ranges of tables on a connection of its own (PROTOCOLS 1 steps 2, 4, 5, 6, 13).
//!
//! Driven by `flow::merger`, one step at a time: the merger decides when a chunk is opened, this file only reads. Rows come out as
//! canonical bytes. A failed query is an error or a void chunk, never the end of a table. Holds the rows of one chunk, bounded in bytes.

use std::time::Duration;

use mysql_async::prelude::Queryable;

use crate::core::change::{BinlogPosition, Key, Row};
use crate::core::copy_table::ReadRows;
use crate::core::gtid_set::GtidSet;
use crate::core::job_spec::DatabaseSpec;
use crate::core::row_bag::row_bytes;
use crate::core::row_filter::RowFilter;
use crate::core::shape::{RowKey, TableShape};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::canonical::{self, CanonicalError, RowEncoder, encode_key};
use crate::mysql::source::key_range;

/// Longest wait of the server for its own past; a replica applies that much in a burst (PROTOCOLS 1 step 4).
const WAIT_SECONDS: u64 = 10;
/// Longest read of one range; the first chunk of wide rows on slow disks is the worst case (guess).
const READ_LIMIT: Duration = Duration::from_secs(600);
/// Longest wait for `LOCK TABLES … READ`: every writer of the table waits behind it.
const LOCK_WAIT_SECONDS: u64 = 10;
/// The definition changed after the view was opened: the view shows nothing of it.
const DEFINITION_CHANGED: u16 = 1412;

/// A range of a table: keys above `low`, up to `high`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// None: from the start.
    pub low: Option<Key>,
    /// None: to the end.
    pub high: Option<Key>,
}

/// What came of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The rows and the high mark.
    Rows(ReadRows),
    /// More bytes than allowed; read fewer rows.
    TooLarge,
    /// The definition changed, or another statement won a deadlock: read again.
    Void,
}

/// What came of one SELECT.
#[derive(Debug, PartialEq, Eq)]
pub enum Selected {
    /// All rows.
    Rows(Vec<Row>),
    /// More bytes than allowed; the connection was replaced.
    TooLarge,
    /// The definition changed or a lock conflict was lost; the view is closed.
    Void,
}

/// None: too large.
type EncodedRows = Result<Option<Vec<Row>>, CanonicalError>;

/// What came of waiting for the server to have executed a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Everything in the set is visible.
    Visible,
    /// Not yet.
    TimedOut,
}

/// One connection that reads chunks.
#[derive(Debug)]
pub struct ChunkReader {
    spec: DatabaseSpec,
    session: Session,
}

impl ChunkReader {
    /// Connects. The caller compares `server_uuid` with that of the stream: rows of another server void the chunk.
    ///
    /// # Errors
    /// The database cannot be reached or refuses the session's settings.
    pub async fn open(spec: &DatabaseSpec) -> Result<Self, Error> {
        Ok(Self {
            spec: spec.clone(),
            session: connect(spec).await?,
        })
    }

    /// The server this connection reads.
    #[must_use]
    pub fn server_uuid(&self) -> &str {
        self.session.server_uuid()
    }

    /// `host:port`, for errors.
    #[must_use]
    pub fn address(&self) -> &str {
        self.session.address()
    }

    /// Step 2: the `rows`-th key after `low`; None when the table has fewer: the chunk goes to the end.
    ///
    /// # Errors
    /// The query failed, or the key does not fit the shape.
    pub async fn bound(&mut self, shape: &TableShape, low: Option<&Key>, rows: u64) -> Result<Option<Key>, Error> {
        let Some(key) = &shape.key else { return Ok(None) };
        let list = key.columns.iter().map(|at| canonical::select_expression(&shape.columns[*at]));
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {}, 1",
            list.collect::<Vec<_>>().join(", "),
            indexed(shape, key),
            key_range::condition(shape, key, low, None)?,
            key_range::columns(shape, key).join(", "),
            rows.saturating_sub(1)
        );
        let row = self.session.within(READ_LIMIT, "the search of a chunk's end", async |conn| {
            conn.exec_first::<mysql_async::Row, _, _>(sql, ()).await
        });
        let values = row.await?.map(mysql_async::Row::unwrap);
        values
            .map(|values| encode_key(shape, key, &values))
            .transpose()
            .map_err(|error| bad_row(shape, &error))
    }

    /// Step 4: waits until everything in `executed` is visible.
    ///
    /// # Errors
    /// The server refuses the set.
    pub async fn wait_for(&mut self, executed: &GtidSet) -> Result<Waited, Error> {
        let sql = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{executed}', {WAIT_SECONDS})");
        match self.session.first::<Option<i64>>(sql).await?.flatten() {
            Some(0) => Ok(Waited::Visible),
            _ => Ok(Waited::TimedOut),
        }
    }

    /// Steps 5 and 6: reads the range in a view of its own, then takes the high mark.
    ///
    /// # Errors
    /// The connection failed or the rows do not fit the shape; a changed definition is an outcome.
    pub async fn read(&mut self, shape: &TableShape, range: &Range, bytes_max: u64) -> Result<ReadOutcome, Error> {
        let Some(key) = &shape.key else {
            return self.read_keyless(shape, bytes_max, false).await;
        };
        self.begin_view().await?;
        let rows = match self.select_range(shape, key, range, bytes_max).await? {
            Selected::Rows(rows) => rows,
            Selected::TooLarge => return Ok(ReadOutcome::TooLarge),
            Selected::Void => return Ok(ReadOutcome::Void),
        };
        self.end_view().await?;
        let high_mark = self.high_mark().await?;
        Ok(ReadOutcome::Rows(ReadRows {
            rows,
            high_mark,
            is_locked: false,
        }))
    }

    /// Step 13: the whole table; the mark is taken right after the view was opened, with writers locked out when `is_locked`.
    ///
    /// # Errors
    /// As `read`; also when the lock is not granted.
    pub async fn read_keyless(&mut self, shape: &TableShape, bytes_max: u64, is_locked: bool) -> Result<ReadOutcome, Error> {
        let lock = if is_locked { Some(self.lock(shape).await?) } else { None };
        self.begin_view().await?;
        let high_mark = self.high_mark().await?;
        if let Some(mut lock) = lock {
            lock.execute("UNLOCK TABLES").await?;
            lock.close().await;
        }
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            canonical::select_list(shape),
            quote::table(&shape.name),
            filter_sql(shape)?
        );
        let rows = match self.select(shape, sql, bytes_max).await? {
            Selected::Rows(rows) => rows,
            Selected::TooLarge => return Ok(ReadOutcome::TooLarge),
            Selected::Void => return Ok(ReadOutcome::Void),
        };
        self.end_view().await?;
        Ok(ReadOutcome::Rows(ReadRows {
            rows,
            high_mark,
            is_locked,
        }))
    }

    /// Opens a consistent view.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn begin_view(&mut self) -> Result<(), Error> {
        self.session
            .execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            .await
            .map(drop)
    }

    /// Rows of the range as the view shows them.
    ///
    /// # Errors
    /// The connection failed or the rows do not fit the shape.
    pub async fn select_range(
        &mut self,
        shape: &TableShape,
        key: &RowKey,
        range: &Range,
        bytes_max: u64,
    ) -> Result<Selected, Error> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {} AND {} ORDER BY {}",
            canonical::select_list(shape),
            indexed(shape, key),
            key_range::condition(shape, key, range.low.as_ref(), range.high.as_ref())?,
            filter_sql(shape)?,
            key_range::columns(shape, key).join(", ")
        );
        self.select(shape, sql, bytes_max).await
    }

    /// Closes the view.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn end_view(&mut self) -> Result<(), Error> {
        self.session.execute("COMMIT").await.map(drop)
    }

    /// Step 6: where the binlog ends now.
    ///
    /// # Errors
    /// The server has no binlog, or the account may not see it.
    pub async fn high_mark(&mut self) -> Result<BinlogPosition, Error> {
        binlog_end(&mut self.session).await
    }

    async fn select(&mut self, shape: &TableShape, sql: String, bytes_max: u64) -> Result<Selected, Error> {
        match self.select_raw(shape, sql, bytes_max).await {
            Ok(Ok(Some(rows))) => Ok(Selected::Rows(rows)),
            Ok(Ok(None)) => {
                // The rest of the result is still on its way: dropping the connection is cheaper than reading it.
                let session = connect(&self.spec).await?;
                self.check_same_server(&session)?;
                self.session = session;
                Ok(Selected::TooLarge)
            }
            Ok(Err(error)) => Err(bad_row(shape, &error)),
            Err(error) if error.server_code() == Some(DEFINITION_CHANGED) || error.is_lock_conflict() => {
                self.session.execute("ROLLBACK").await?;
                Ok(Selected::Void)
            }
            Err(error) => Err(error),
        }
    }

    /// The rows, streamed; None as soon as they are too many.
    async fn select_raw(&mut self, shape: &TableShape, sql: String, bytes_max: u64) -> Result<EncodedRows, Error> {
        let reading = self.session.within(READ_LIMIT, "a chunk", async |conn| {
            let mut encoder = RowEncoder::new(shape);
            let (mut rows, mut bytes) = (Vec::new(), 0);
            let mut result = conn.exec_iter(sql, ()).await?;
            while let Some(row) = result.next().await? {
                let row = match encoder.encode(&row.unwrap()) {
                    Ok(row) => row,
                    Err(error) => return Ok(Err(error)),
                };
                bytes += row_bytes(&row);
                // A single row may be larger than any budget: it still has to travel.
                if bytes > bytes_max && !rows.is_empty() {
                    return Ok(Ok(None));
                }
                rows.push(row);
            }
            Ok(Ok(Some(rows)))
        });
        reading.await
    }

    /// The address may lead to another server by now.
    fn check_same_server(&self, session: &Session) -> Result<(), Error> {
        check_server(session.address(), session.server_uuid(), self.session.server_uuid())
    }

    async fn lock(&self, shape: &TableShape) -> Result<Session, Error> {
        let mut session = Session::connect(&self.spec).await?;
        self.check_same_server(&session)?;
        session
            .execute(format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}"))
            .await?;
        session
            .execute(format!("LOCK TABLES {} READ", quote::table(&shape.name)))
            .await?;
        Ok(session)
    }
}

/// Rows of another server than the stream's would be merged at a position they were never at.
///
/// # Errors
/// The servers differ: the flow starts again, and with it the stream finds the server that is there now.
pub fn check_server(address: &str, found: &str, expected: &str) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Lost {
        address: address.to_owned(),
        reason: format!("found server {found} where {expected} was a moment ago"),
    })
}

async fn connect(spec: &DatabaseSpec) -> Result<Session, Error> {
    let mut session = Session::connect(spec).await?;
    session.execute(canonical::SESSION_SETTINGS).await?;
    Ok(session)
}

/// Where the server's binlog ends now.
///
/// # Errors
/// The server has no binlog, or the account may not see it.
pub async fn binlog_end(session: &mut Session) -> Result<BinlogPosition, Error> {
    // Servers before 8.2 know only the old name, servers from 8.4 on only the new one.
    let sql = if is_before_8_2(session.version()) {
        "SHOW MASTER STATUS"
    } else {
        "SHOW BINARY LOG STATUS"
    };
    let mut row = session.first::<mysql_async::Row>(sql).await?;
    let position = row.as_mut().and_then(|row| {
        let file = row.take_opt::<String, _>(0)?.ok()?;
        Some(BinlogPosition {
            file,
            offset: row.take_opt::<u64, _>(1)?.ok()?,
        })
    });
    position.ok_or_else(|| Error::Unsuitable {
        object: session.address().to_owned(),
        found: "no binary log".into(),
        expected: "log_bin = ON".into(),
        fix: "start the source with --log-bin and binlog_format = ROW".into(),
    })
}

fn is_before_8_2(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (8, 2)
}

/// The table, read through its key's index: another index could give another order of equal collation weights.
fn indexed(shape: &TableShape, key: &RowKey) -> String {
    format!(
        "{} FORCE INDEX ({})",
        quote::table(&shape.name),
        quote::identifier(&key.index)
    )
}

/// The rows that are replicated. The stream uses the same filter, so a row is in the copy exactly when it would be in the stream.
fn filter_sql(shape: &TableShape) -> Result<String, Error> {
    let Some(filter) = shape.map.as_ref().and_then(|map| map.filter.as_ref()) else {
        return Ok("TRUE".into());
    };
    let filter = RowFilter::of(filter, shape).map_err(|reason| Error::BadRow {
        table: shape.name.to_string(),
        reason,
    })?;
    Ok(filter.sql())
}

fn bad_row(shape: &TableShape, error: &CanonicalError) -> Error {
    Error::BadRow {
        table: shape.name.to_string(),
        reason: error.to_string(),
    }
}
