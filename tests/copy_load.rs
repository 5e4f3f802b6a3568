//! Chunks that go into a real target as LOAD DATA LOCAL: the same bytes arrive, or the chunk goes as INSERTs.

mod support;

use mysql_async::prelude::Queryable;
use peer::core::change::{Chunk, CopyPlan};
use peer::core::gtid_set::GtidSet;
use peer::core::shape::{ShapeId, TableName};
use peer::mysql::session::Session;
use peer::mysql::source::chunk_reader::{ChunkReader, Range, ReadOutcome};
use peer::mysql::source::inspect;
use peer::mysql::target::copy_lane::CopyLane;
use peer::mysql::target::writer::Target;

use support::compare::assert_equal;
use support::servers::servers;
use support::target::{Bed, database};
use tokio::sync::{Mutex, MutexGuard};

/// A table on the source, made and filled; its copy on the target under way.
struct Copying {
    /// The target counts statements for all: one test at a time.
    _alone: MutexGuard<'static, ()>,
    bed: Bed,
    target: Target,
    chunk: Chunk,
}

impl Copying {
    async fn of(word: &str, statements: &[&str]) -> Self {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let alone = ALONE.lock().await;
        let bed = Bed::new(word).await;
        let mut source = servers().source.conn().await;
        let settings = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'";
        source.query_drop(settings).await.expect("settings");
        for statement in statements {
            let sql = statement.replace("S.", &format!("{}.", bed.schema.base));
            source.query_drop(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        source.disconnect().await.expect("disconnects");
        servers().target.run(&["SET GLOBAL local_infile = ON"]).await;

        let mut session = Session::connect(&database(servers().source)).await.expect("a session");
        let name = TableName {
            schema: bed.schema.base.clone(),
            table: "t".into(),
        };
        let shapes = inspect::shapes(&mut session, &[name]).await.expect("shapes");
        let mut reader = ChunkReader::open(&database(servers().source)).await.expect("a reader");
        let range = Range { low: None, high: None };
        let ReadOutcome::Rows(read) = reader.read(&shapes[0], &range, 1 << 30).await.expect("rows") else {
            panic!("the chunk is void");
        };
        let mut target = bed.acquire("a").await;
        let plan = CopyPlan {
            shape: ShapeId(0),
            rows_estimate: None,
        };
        let started = target
            .start(&GtidSet::default(), session.server_uuid(), shapes, &[plan])
            .await;
        started.expect("started");
        let chunk = Chunk {
            shape: ShapeId(0),
            low: None,
            high: None,
            rows: read.rows,
            is_last: true,
        };
        Self {
            _alone: alone,
            bed,
            target,
            chunk,
        }
    }

    /// Executes the chunk on a lane. The lane, whether it was executed, and the LOAD DATA statements that were begun.
    async fn execute(&mut self) -> (CopyLane, bool, u64) {
        let table = self.target.chunk_table(ShapeId(0)).expect("named");
        let mut lane = self.target.take_lane().await.expect("a lane");
        let before = loads().await;
        let is_executed = lane.execute(&table, &self.chunk).await.expect("a connection");
        (lane, is_executed, loads().await - before)
    }

    async fn commit(&mut self, lane: &mut CopyLane) {
        let committed = self.target.commit_chunk(lane, &self.chunk, None).await;
        assert!(committed.expect("committed").is_some(), "locks were in the way");
        assert_equal(&servers().source, &servers().target, &self.bed.schema.base, &["t"]).await;
    }
}

/// LOAD DATA statements of the target so far.
async fn loads() -> u64 {
    let mut conn = servers().target.conn().await;
    let found: Option<(String, u64)> = conn.query_first("SHOW GLOBAL STATUS LIKE 'Com_load'").await.expect("a row");
    found.expect("a counter").1
}

const KINDS: &str = "CREATE TABLE S.t (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, i1 TINYINT, i2 SMALLINT UNSIGNED, i3 MEDIUMINT, i4 INT, \
    i8 BIGINT, d1 DECIMAL(65,30), d2 DECIMAL(5,0) UNSIGNED, y YEAR, da DATE, t0 TIME, t2 TIME(2), t6 TIME(6), dt0 DATETIME, dt3 DATETIME(3), \
    dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts1 TIMESTAMP(1) NULL, ts6 TIMESTAMP(6) NULL, c CHAR(10), cg CHAR(10) CHARACTER SET gbk, \
    vu VARCHAR(300) CHARACTER SET utf16, vl VARCHAR(9) CHARACTER SET latin1, bi BINARY(16), vb VARBINARY(300), bl MEDIUMBLOB, tx LONGTEXT, \
    tt TINYTEXT CHARACTER SET sjis, gv INT AS (i4 + 1) VIRTUAL, gs INT AS (i4 + 2) STORED, hidden INT INVISIBLE)";
const NAMES: &str = "(id,i1,i2,i3,i4,i8,d1,d2,y,da,t0,t2,t6,dt0,dt3,dt6,ts0,ts1,ts6,c,cg,vu,vl,bi,vb,bl,tx,tt,hidden)";

#[tokio::test]
async fn rows_of_every_kind_that_is_loaded_arrive_byte_for_byte() {
    let insert = |row: &str| format!("INSERT INTO S.t {NAMES} VALUES ({row})");
    let all_bytes: String = (0..=255u8).map(|byte| format!("{byte:02x}")).collect();
    let greatest = insert(&format!(
        "18446744073709551615, -128, 65535, -8388608, 2147483600, -9223372036854775808, \
         '-12345678901234567890123456789012345.123456789012345678901234567890', 99999, 2155, '9999-12-31', '-838:59:59', '-838:59:58.99', \
         '838:59:58.999999', '9999-12-31 23:59:59', '2024-02-29 01:02:03.004', '1000-01-01 00:00:00.000001', '2038-01-19 03:14:07', \
         '1970-01-01 00:00:01.1', '2025-07-01 12:00:00.123456', 'é\\t', _gbk x'a1a35c', 'a\\n\\\\N\\0💡', '\\\\N ', x'00ff', x'{all_bytes}', \
         x'{all_bytes}{all_bytes}', 'a\\r\\n\\tb\\\\', _sjis x'955c', 7"
    ));
    let nought = insert(
        "0, 0, 0, 0, 0, 0, 0, 0, '0000', '0000-00-00', '00:00:00', '-00:00:00.01', '00:00:00', '0000-00-00 00:00:00', \
         '2020-02-31 00:00:00.000', '0000-00-00 00:00:00.000000', '0000-00-00 00:00:00', '0000-00-00 00:00:00.0', \
         '0000-00-00 00:00:00.000000', '', '', '', 'N', '', '', '', '', '', NULL",
    );
    let nothing = "INSERT INTO S.t (id) VALUES (5)";
    let mut copying = Copying::of("load_kinds", &[KINDS, &greatest, &nought, nothing]).await;
    let (mut lane, is_executed, loads) = copying.execute().await;
    if !is_executed {
        copying
            .target
            .apply_chunk(&copying.chunk)
            .await
            .expect("nothing is wrong with the rows");
    }
    assert_eq!((is_executed, loads), (true, 1));
    copying.commit(&mut lane).await;
}

#[tokio::test]
async fn more_rows_than_one_statement_holds_arrive_too() {
    let fill = "INSERT INTO S.t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) \
        SELECT i, REPEAT(i, 3000) FROM n";
    let make = "CREATE TABLE S.t (id INT PRIMARY KEY, v TEXT)";
    let mut copying = Copying::of("load_many", &[make, fill]).await;
    let (mut lane, is_executed, loads) = copying.execute().await;
    assert!(is_executed && loads > 1, "executed: {is_executed}, in {loads} statements");
    copying.commit(&mut lane).await;
}

#[tokio::test]
async fn a_table_with_a_kind_that_is_not_loaded_goes_as_inserts() {
    let make = "CREATE TABLE S.t (id INT PRIMARY KEY, e ENUM('2', '1'), f FLOAT)";
    let mut copying = Copying::of("load_enum", &[make, "INSERT INTO S.t VALUES (1, '1', 0.1), (2, '2', NULL)"]).await;
    let (mut lane, is_executed, loads) = copying.execute().await;
    assert!(is_executed, "refused");
    assert_eq!(loads, 0);
    copying.commit(&mut lane).await;
}

#[tokio::test]
async fn a_row_that_is_there_already_is_not_passed_over() {
    let make = "CREATE TABLE S.t (id INT PRIMARY KEY, v INT)";
    let mut copying = Copying::of("load_there", &[make, "INSERT INTO S.t VALUES (1, 1), (2, 2)"]).await;
    let stray = format!("INSERT INTO {}.t VALUES (2, 200)", copying.bed.schema.base);
    servers().target.run(&[&stray]).await;
    let (_lane, is_executed, loads) = copying.execute().await;
    assert!(!is_executed, "the row that is there was passed over");
    assert_eq!(loads, 1);
}

#[tokio::test]
async fn a_value_that_load_would_change_goes_as_an_insert_of_what_it_is() {
    // 1062 on a key of the target's own: LOAD DATA LOCAL would leave the second row out with a warning.
    let make = "CREATE TABLE S.t (id INT PRIMARY KEY, v INT)";
    let mut copying = Copying::of("load_unique", &[make, "INSERT INTO S.t VALUES (1, 1), (2, 1)"]).await;
    let unique = format!("ALTER TABLE {}.t ADD UNIQUE KEY (v)", copying.bed.schema.base);
    servers().target.run(&[&unique]).await;
    let (lane, is_executed, _) = copying.execute().await;
    assert!(!is_executed, "a row was left out");
    copying.target.give_lane_back(lane);
    let error = copying.target.apply_chunk(&copying.chunk).await.expect_err("a conflict");
    assert_eq!(support::target::mismatch(&error).1, "(2)");
}
