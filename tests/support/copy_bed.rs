//! One table on the source, and the parts of the copy driven by hand: the test decides when a chunk opens, is read and closes.
//! The sink is a map that applies items as strictly as the real one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use peer::core::change::{Change, Chunk, CopyRow, Item, Key, Row};
use peer::core::copy_state::{Closed, is_at_or_after};
use peer::core::copy_table::ReadRows;
use peer::core::gtid_set::GtidSet;
use peer::core::job_spec::DatabaseSpec;
use peer::core::key::key_of;
use peer::core::row::RowLayout;
use peer::core::shape::{ShapeId, TableName, TableShape};
use peer::flow::merger::Merger;
use peer::mysql::session::Session;
use peer::mysql::source::chunk_reader::{ChunkReader, Range, ReadOutcome, Waited, binlog_end};
use peer::mysql::source::heartbeat;
use peer::mysql::source::inspect;
use peer::mysql::source::reader::{Reader, ReaderOptions, Scope};

use super::schema::TestSchema;
use super::servers::{Server, servers};
use super::target::database;

pub const TABLE: ShapeId = ShapeId(0);
const BYTES_MAX: u64 = 64 << 20;

/// What a target would hold.
pub struct Sink {
    shape: TableShape,
    layout: RowLayout,
    pub by_key: BTreeMap<Key, Row>,
    pub bag: BTreeMap<Vec<u8>, u64>,
    pub passed: GtidSet,
    pub is_done: bool,
}

impl Sink {
    pub fn new(shape: &TableShape, passed: GtidSet) -> Self {
        let layout = RowLayout::new(shape);
        Self {
            shape: shape.clone(),
            layout,
            by_key: BTreeMap::new(),
            bag: BTreeMap::new(),
            passed,
            is_done: false,
        }
    }

    pub fn apply(&mut self, item: Item) {
        match item {
            Item::Txn(part) => {
                part.changes.into_iter().for_each(|change| self.change(change));
                if part.is_last {
                    assert!(self.passed.add(&part.gtid), "{} came twice", part.gtid);
                }
            }
            Item::Chunk(Chunk { rows, is_last, .. }) => {
                rows.into_iter().for_each(|row| self.insert(row));
                self.is_done |= is_last;
            }
            Item::Start { .. } | Item::Shape { .. } | Item::Reset { .. } | Item::Ddl(_) => {}
        }
    }

    /// A row of the source itself, for comparing.
    pub fn put(&mut self, row: Row) {
        self.insert(row);
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Insert { after, .. } => self.insert(after),
            Change::Delete { before, .. } => self.delete(&before),
            Change::Update { before, after, .. } => {
                self.delete(&before);
                self.insert(after);
            }
            Change::Partial { .. } => panic!("the source logs whole rows"),
            Change::Cascade(_) => panic!("the source logs what it cascades"),
        }
    }

    fn insert(&mut self, row: Row) {
        match key_of(&self.shape, &self.layout, &row).expect("the row fits") {
            Some(key) => {
                let old = self.by_key.insert(key.clone(), row);
                assert_eq!(old, None, "key {key:?} was there already");
            }
            None => *self.bag.entry(row.0.to_vec()).or_default() += 1,
        }
    }

    fn delete(&mut self, row: &Row) {
        match key_of(&self.shape, &self.layout, row).expect("the row fits") {
            Some(key) => assert_eq!(self.by_key.remove(&key).as_ref(), Some(row), "key {key:?} holds another row"),
            None => {
                let count = self.bag.get_mut(row.0.as_ref()).expect("the row is there");
                *count -= 1;
                if *count == 0 {
                    self.bag.remove(row.0.as_ref());
                }
            }
        }
    }
}

pub struct CopyBed {
    pub schema: TestSchema,
    pub table: String,
    pub source: DatabaseSpec,
    pub conn: Conn,
    pub shape: TableShape,
    pub merger: Merger,
    pub reader: Reader,
    pub chunks: ChunkReader,
    pub sink: Sink,
    range: Option<Range>,
}

impl CopyBed {
    /// A table of these columns and rows; the copy begins behind them.
    pub async fn new(word: &str, columns: &str, rows: &[&str]) -> Self {
        Self::on(servers().source, word, columns, rows).await
    }

    /// The same on another server than the shared source.
    pub async fn on(server: Server, word: &str, columns: &str, rows: &[&str]) -> Self {
        let schema = TestSchema::new(word).await;
        let table = format!("{}.t", schema.base);
        let mut conn = server.conn().await;
        conn.query_drop(format!("CREATE DATABASE IF NOT EXISTS {}", schema.base))
            .await
            .expect("creates the schema");
        conn.query_drop(format!("CREATE TABLE {table} ({columns})"))
            .await
            .expect("creates the table");
        for values in rows {
            conn.query_drop(format!("INSERT INTO {table} VALUES {values}"))
                .await
                .unwrap_or_else(|e| panic!("{values}: {e}"));
        }
        let source = database(server);
        let mut session = Session::connect(&source).await.expect("connects");
        let name = TableName {
            schema: schema.base.clone(),
            table: "t".into(),
        };
        let shape = inspect::shapes(&mut session, &[name])
            .await
            .expect("the table has a shape")
            .remove(0);
        let start = heartbeat::beat(&mut session).await.expect("answers").executed;
        let copy = [CopyRow {
            table: shape.name.clone(),
            cursor: None,
            rows: 0,
            rows_estimate: None,
            is_done: false,
            since: Default::default(),
        }];
        Self {
            merger: Merger::new(&source, std::slice::from_ref(&shape), &copy, start.clone()),
            reader: open_reader(&source, &shape, start.clone()).await,
            chunks: ChunkReader::open(&source).await.expect("connects"),
            sink: Sink::new(&shape, start),
            range: None,
            schema,
            table,
            source,
            conn,
            shape,
        }
    }

    /// Runs a statement; `{t}` is the table.
    pub async fn write(&mut self, statement: &str) {
        let statement = statement.replace("{t}", &self.table);
        self.conn
            .query_drop(&statement)
            .await
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }

    /// Finds the bound `rows` keys on and opens the chunk.
    pub async fn open(&mut self, rows: u64) {
        let copied = self.merger.copy().table(TABLE).expect("in the copy").cursor().cloned();
        let high = self
            .chunks
            .bound(&self.shape, copied.as_ref(), rows)
            .await
            .expect("finds a bound");
        let low = self.merger.open(TABLE, high.clone());
        self.range = Some(Range { low, high });
    }

    fn range(&self) -> Range {
        self.range.clone().expect("a chunk is open")
    }

    /// Waits for W0, reads the open chunk and takes its high mark.
    pub async fn read(&mut self) {
        let range = self.range();
        self.wait_for_w0().await;
        let outcome = self.chunks.read(&self.shape, &range, BYTES_MAX).await.expect("reads");
        let ReadOutcome::Rows(read) = outcome else {
            panic!("expected rows, found {outcome:?}")
        };
        self.merger.put_rows(TABLE, read);
    }

    pub async fn wait_for_w0(&mut self) {
        let waited = self.chunks.wait_for(self.merger.passed()).await.expect("waits");
        assert_eq!(waited, Waited::Visible, "the source has not executed what it streamed");
    }

    /// The same in steps: the view is opened, `meanwhile` runs, then rows and mark are read.
    pub async fn read_around(&mut self, meanwhile: &[&str]) {
        use peer::mysql::source::chunk_reader::Selected;
        self.wait_for_w0().await;
        self.chunks.begin_view().await.expect("opens a view");
        for statement in meanwhile {
            self.write(statement).await;
        }
        let (key, range) = (self.shape.key.clone().expect("keyed"), self.range());
        let selected = self
            .chunks
            .select_range(&self.shape, &key, &range, BYTES_MAX)
            .await
            .expect("reads");
        let Selected::Rows(rows) = selected else {
            panic!("expected rows, found {selected:?}")
        };
        self.chunks.end_view().await.expect("closes the view");
        let high_mark = self.chunks.high_mark().await.expect("a mark");
        self.merger.put_rows(
            TABLE,
            ReadRows {
                rows,
                high_mark,
                is_locked: false,
            },
        );
    }

    /// Closes the chunk if its time has come; true: it was emitted.
    pub fn close(&mut self) -> bool {
        let mut is_closed = false;
        for (_, closed) in self.merger.close().expect("rows fit") {
            let Closed::Chunks(chunks) = closed else {
                panic!("a keyed table is never stale")
            };
            chunks.into_iter().for_each(|chunk| self.sink.apply(Item::Chunk(chunk)));
            is_closed = true;
        }
        is_closed
    }

    /// The open chunk of a keyless table was of no use; it is opened anew by the next step.
    pub fn is_stale(&mut self) -> bool {
        let closed = self.merger.close().expect("rows fit");
        matches!(closed[..], [(TABLE, Closed::Stale)])
    }

    /// Passes everything that is in the binlog now.
    pub async fn follow(&mut self) {
        let mut session = Session::connect(&self.source).await.expect("connects");
        let end = binlog_end(&mut session).await.expect("a position");
        session.close().await;
        while !self.merger.is_between() || !is_at_or_after(self.merger.position(), &end) {
            let event = tokio::time::timeout(Duration::from_secs(20), self.reader.next());
            let event = event.await.expect("the stream moves").expect("the stream lives");
            let mut items = Vec::new();
            self.merger.take(event, &mut items).await.expect("merges");
            items.into_iter().for_each(|item| self.sink.apply(item));
        }
    }

    /// One chunk of `rows` keys, opened, read and closed.
    pub async fn copy_chunk(&mut self, rows: u64) {
        self.open(rows).await;
        self.read().await;
        self.follow().await;
        assert!(self.close(), "the stream is at the mark, the chunk is not closed");
    }

    /// Copies what is left and compares.
    pub async fn finish(mut self) {
        while !self.merger.copy().is_done() {
            self.copy_chunk(1000).await;
        }
        self.follow().await;
        let expected = self.source_rows().await;
        assert_eq!(self.sink.by_key, expected.by_key, "target and source differ");
        assert_eq!(self.sink.bag, expected.bag, "target and source differ");
        self.conn.disconnect().await.expect("disconnects");
    }

    /// The table as it is now.
    pub async fn source_rows(&mut self) -> Sink {
        let range = Range { low: None, high: None };
        let outcome = self.chunks.read(&self.shape, &range, BYTES_MAX).await.expect("reads");
        let ReadOutcome::Rows(read) = outcome else {
            panic!("expected rows, found {outcome:?}")
        };
        let mut sink = Sink::new(&self.shape, GtidSet::default());
        read.rows.into_iter().for_each(|row| sink.insert(row));
        sink
    }
}

pub async fn open_reader(source: &DatabaseSpec, shape: &TableShape, from: GtidSet) -> Reader {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = 1_000_000 + std::process::id() % 100_000 * 100 + number;
    let options = ReaderOptions {
        server_id: id,
        replica_uuid: format!("00000000-0000-4000-8000-{id:012x}"),
        from,
        heartbeat: Duration::from_secs(1),
    };
    Reader::open(source, options, Scope::new(vec![(TABLE, shape.clone())]))
        .await
        .expect("opens the dump")
}
