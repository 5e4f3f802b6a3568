//! Rows of every type and shape from a real source into a real target: copied, then changed, byte for byte equal.

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use peer::core::change::{Chunk, CopyPlan, TxnPart};
use peer::core::group::{Group, GroupLimits, Grouper};
use peer::core::gtid_set::GtidSet;
use peer::core::ids::{ClusterId, Seq};
use peer::core::minimal_image::MinimalImages;
use peer::core::shape::{ShapeId, TableName, TableShape};
use peer::mysql::error::Error;
use peer::mysql::session::Session;
use peer::mysql::source::chunk_reader::{ChunkReader, Range, ReadOutcome};
use peer::mysql::source::inspect;
use peer::mysql::source::reader::{Reader, ReaderEvent, ReaderOptions, Scope, replica_uuid, server_id};
use peer::mysql::target::apply::ApplySession;
use peer::mysql::target::writer::Target;

use support::compare::assert_equal;
use support::servers::servers;
use support::target::{Bed, database, delete, insert, mismatch, row, update};

/// Tables on the source, copied to the target.
struct Mirror {
    bed: Bed,
    tables: Vec<&'static str>,
    shapes: Vec<TableShape>,
    target: Target,
    executed: GtidSet,
}

impl Mirror {
    /// Makes `tables` with `setup` on the source and copies them; `S` in statements is the schema.
    async fn new(word: &str, tables: &[&'static str], setup: &[&str]) -> Self {
        let bed = Bed::new(word).await;
        run_on_source(&bed, setup).await;
        let mut session = Session::connect(&database(servers().source)).await.expect("a session");
        let name = |table: &&str| TableName {
            schema: bed.schema.base.clone(),
            table: (*table).into(),
        };
        let names: Vec<TableName> = tables.iter().map(name).collect();
        let shapes = inspect::shapes(&mut session, &names).await.expect("shapes");
        let executed = executed(&mut session).await;
        let mut target = bed.acquire("a").await;
        let ids: Vec<ShapeId> = (0..).take(shapes.len()).map(ShapeId).collect();
        let plans: Vec<CopyPlan> = ids.iter().copied().map(plan).collect();
        target
            .start(&executed, session.server_uuid(), shapes.clone(), &plans)
            .await
            .expect("started");
        let mut reader = ChunkReader::open(&session_spec()).await.expect("a reader");
        for (id, shape) in ids.iter().zip(&shapes) {
            let range = Range { low: None, high: None };
            let ReadOutcome::Rows(read) = reader.read(shape, &range, 1 << 30).await.expect("rows") else {
                panic!("the chunk of {} is void", shape.name);
            };
            let chunk = Chunk {
                shape: *id,
                low: None,
                high: None,
                rows: read.rows,
                is_last: true,
            };
            target.apply_chunk(&chunk).await.expect("applied");
        }
        Self {
            bed,
            tables: tables.to_vec(),
            shapes,
            target,
            executed,
        }
    }

    /// Runs statements on the source and returns their transactions.
    async fn changes(&mut self, statements: &[&str]) -> Vec<TxnPart> {
        run_on_source(&self.bed, statements).await;
        let mut session = Session::connect(&session_spec()).await.expect("a session");
        let end = executed(&mut session).await;
        let cluster = ClusterId(self.bed.schema.base.clone());
        let options = ReaderOptions {
            server_id: server_id(&cluster, &self.bed.job, 0),
            replica_uuid: replica_uuid(&cluster, &self.bed.job, 0),
            from: self.executed.clone(),
            heartbeat: Duration::from_secs(1),
        };
        let scope = Scope::new((0..).map(ShapeId).zip(self.shapes.clone()).collect());
        let mut reader = Reader::open(&session_spec(), options, scope).await.expect("a reader");
        let mut parts: Vec<TxnPart> = Vec::new();
        while !end.is_subset_of(&self.executed) {
            match reader.next().await.expect("an event") {
                ReaderEvent::Begin { gtid, commit_us, .. } => {
                    let mut part = support::target::part(1, Vec::new());
                    (part.gtid, part.commit_us) = (gtid, commit_us);
                    parts.push(part);
                }
                ReaderEvent::Changes(changes) => parts.last_mut().expect("begun").changes.extend(changes),
                ReaderEvent::Commit { position } => {
                    let part = parts.last_mut().expect("begun");
                    part.position = position;
                    self.executed.add(&part.gtid);
                }
                _ => {}
            }
        }
        reader.close().await;
        parts
    }

    /// Runs statements on the source, applies them as one group, and compares all tables.
    async fn follow(&mut self, statements: &[&str]) {
        let parts = self.changes(statements).await;
        let group = fold(&self.shapes, parts);
        self.target.apply_group(&group).await.expect("applied");
        self.compare().await;
    }

    /// Runs statements on the source and applies them as one group, cut down to minimal images as the sink asks for them. Returns how many
    /// BINLOG statements the target saw meanwhile.
    async fn follow_cut(&mut self, statements: &[&str]) -> u64 {
        let before = row_events_seen().await;
        let group = self.cut(statements).await;
        self.target.apply_group(&group).await.expect("applied");
        self.compare().await;
        self.nothing_was_refused();
        row_events_seen().await - before
    }

    async fn cut(&mut self, statements: &[&str]) -> Group {
        let mut parts = self.changes(statements).await;
        self.target.look_for_events().await.expect("looked");
        let minimal = self.target.minimal_change().expect("just looked");
        for change in parts.iter_mut().flat_map(|part| &mut part.changes) {
            let id = change.shape();
            if minimal.contains(&id) {
                let images = MinimalImages::of(&self.shapes[id.0 as usize]).expect("the sink knows");
                *change = images.cut(change.clone()).expect("a row of it");
            }
        }
        fold_some(&self.shapes, parts, &minimal)
    }

    /// The same as the two parts of one large transaction. Returns how many BINLOG statements the target saw meanwhile; it refused none.
    async fn follow_large(&mut self, statements: [&str; 2]) -> u64 {
        let before = row_events_seen().await;
        self.apply_large(statements).await;
        self.compare().await;
        self.nothing_was_refused();
        row_events_seen().await - before
    }

    fn nothing_was_refused(&mut self) {
        let change = self.target.minimal_change();
        assert!(
            change.as_ref().is_none_or(|tables| !tables.is_empty()),
            "row events were given up"
        );
    }

    async fn apply_large(&mut self, statements: [&str; 2]) {
        let parts = self.changes(&statements).await;
        self.target.look_for_events().await.expect("looked");
        self.target.large_begin().await.expect("begun");
        for part in &parts[..parts.len() - 1] {
            let part = fold(&self.shapes, vec![part.clone()]);
            self.target.large_part(part.into()).await.expect("a part");
        }
        let last = fold(&self.shapes, parts[parts.len() - 1..].to_vec());
        self.target.large_commit(last.into()).await.expect("committed");
    }

    async fn compare(&self) {
        assert_equal(&servers().source, &servers().target, &self.bed.schema.base, &self.tables).await;
    }
}

fn fold(shapes: &[TableShape], parts: Vec<TxnPart>) -> Group {
    fold_some(shapes, parts, &[])
}

fn fold_some(shapes: &[TableShape], parts: Vec<TxnPart>, folded: &[ShapeId]) -> Group {
    let mut grouper = Grouper::new(GroupLimits {
        transactions: 1 << 30,
        bytes: 1 << 30,
    });
    for (id, shape) in (0..).map(ShapeId).zip(shapes) {
        grouper.set_shape(id, shape.clone());
    }
    grouper.set_folded(folded);
    for part in parts {
        grouper.push(part).expect("folds");
    }
    grouper.take()
}

async fn row_events_seen() -> u64 {
    let mut session = Session::connect(&database(servers().target)).await.expect("a session");
    let seen: Option<(String, u64)> = session.first("SHOW GLOBAL STATUS LIKE 'Com_binlog'").await.expect("a count");
    seen.expect("one row").1
}

fn session_spec() -> peer::core::job_spec::DatabaseSpec {
    database(servers().source)
}

async fn run_on_source(bed: &Bed, statements: &[&str]) {
    let mut conn = servers().source.conn().await;
    conn.query_drop("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        .await
        .expect("settings");
    for statement in statements {
        let sql = statement.replace("S.", &format!("{}.", bed.schema.base));
        conn.query_drop(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    conn.disconnect().await.expect("disconnects");
}

async fn executed(session: &mut Session) -> GtidSet {
    let text: Option<String> = session.first("SELECT @@global.gtid_executed").await.expect("a set");
    GtidSet::parse(&text.expect("one row")).expect("a set")
}

const ALL_TYPES: &str = "CREATE TABLE S.v (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, i1 TINYINT, i2 SMALLINT UNSIGNED, i3 MEDIUMINT, i4 INT, \
    i8 BIGINT, d1 DECIMAL(65,30), d2 DECIMAL(5,0) UNSIGNED, f FLOAT, d DOUBLE, b1 BIT(1), b64 BIT(64), y YEAR, da DATE, t0 TIME, \
    t2 TIME(2), t6 TIME(6), dt0 DATETIME, dt3 DATETIME(3), dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts1 TIMESTAMP(1) NULL, \
    ts6 TIMESTAMP(6) NULL, c CHAR(10), cg CHAR(10) CHARACTER SET gbk, vu VARCHAR(300) CHARACTER SET utf16, vl VARCHAR(9) CHARACTER SET \
    latin1, bi BINARY(16), vb VARBINARY(300), bl MEDIUMBLOB, tx LONGTEXT, tt TINYTEXT, j JSON, g GEOMETRY, p POINT SRID 4326, \
    vec VECTOR(3), e ENUM('a','ö','c'), s SET('x','y','z'), gv INT AS (i4 + 1) VIRTUAL, gs INT AS (i4 + 2) STORED, hidden INT INVISIBLE)";
const NAMES: &str =
    "(id,i1,i2,i3,i4,i8,d1,d2,f,d,b1,b64,y,da,t0,t2,t6,dt0,dt3,dt6,ts0,ts1,ts6,c,cg,vu,vl,bi,vb,bl,tx,tt,j,g,p,vec,e,s,hidden)";

fn all_types(id: u64) -> String {
    format!(
        "INSERT INTO S.v {NAMES} VALUES ({id}, -128, 65535, -8388608, -2147483648, -9223372036854775808, \
         -12345678901234567890123456789012345.123456789012345678901234567890, 99999, 16777216, 1.7976931348623157e308, b'1', ~0, 2155, \
         '9999-12-31', '-838:59:59', '-00:00:01.50', '838:59:58.999999', '1000-01-01 00:00:00', '2020-02-29 12:34:56.789', \
         '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', '1970-01-01 00:00:01.5', '2020-06-01 00:00:00.000001', 'it''s \\\\ ', \
         CONVERT('你好' USING gbk), CONVERT('😀a' USING utf16), CONVERT('é' USING latin1), x'61000000000000000000000000000000', x'00ff00', \
         REPEAT(x'00ff', 70000), REPEAT('ä\\n', 500), '', '{{\"a\": [1, 2.5, null, true, \"ü\"], \"b\": {{}}}}', \
         ST_GeomFromText('LINESTRING(0 0,1 2)'), ST_GeomFromText('POINT(10 20)', 4326), TO_VECTOR('[1.5,-2,3]'), 'ö', 'x,z', 7)"
    )
}

const ZEROS: &str = "INSERT INTO S.v (id,i1,f,d,b1,y,da,t0,dt0,dt3,ts0,ts6,c,bi,vb,bl,tx,j,e,s) VALUES (18446744073709551615,0,0.1,-0e0,b'0',0, \
    '0000-00-00',0,'0000-00-00 00:00:00','2020-02-31 00:00:00','0000-00-00 00:00:00','0000-00-00 00:00:00','','','','','','null',1,'')";

fn plan(shape: ShapeId) -> CopyPlan {
    CopyPlan {
        shape,
        rows_estimate: None,
    }
}

#[tokio::test]
async fn every_type_arrives_byte_for_byte_by_copy_and_by_stream() {
    let (one, two) = (all_types(1), all_types(2));
    let mut mirror = Mirror::new("types", &["v"], &[ALL_TYPES, &one, "INSERT INTO S.v (id) VALUES (0)", ZEROS]).await;
    mirror.compare().await;
    mirror.follow(&[&two, "INSERT INTO S.v (id, i4) VALUES (3, 5)"]).await;
    mirror
        .follow(&[
            "UPDATE S.v SET i4 = 4, f = 1234567.875, j = '[1.25]', bi = 'b', tx = 'new', ts6 = NULL, da = NULL WHERE id IN (1,2)",
        ])
        .await;
    mirror
        .follow(&[
            "UPDATE S.v SET id = 9 WHERE id = 2",
            "DELETE FROM S.v WHERE id IN (0, 18446744073709551615)",
        ])
        .await;
    mirror.follow(&["DELETE FROM S.v"]).await;
}

#[tokio::test]
async fn a_table_without_key_holds_the_same_rows_byte_for_byte() {
    let create = ALL_TYPES.replace("S.v", "S.k").replace(" PRIMARY KEY", "");
    let one = all_types(1).replace("S.v", "S.k");
    let zeros = ZEROS.replace("S.v", "S.k");
    let mut mirror = Mirror::new(
        "keyless",
        &["k"],
        &[&create, &one, &one, "INSERT INTO S.k (id) VALUES (0)", &zeros],
    )
    .await;
    mirror.compare().await;
    mirror
        .follow(&[
            "DELETE FROM S.k WHERE id = 1 LIMIT 1",
            "UPDATE S.k SET c = 'Abc' WHERE id = 0",
        ])
        .await;
    mirror
        .follow(&[
            "UPDATE S.k SET c = 'abC' WHERE id = 0",
            "INSERT INTO S.k (id, c) VALUES (0, 'abc')",
        ])
        .await;
    mirror
        .follow(&["DELETE FROM S.k WHERE c = BINARY 'abC'", "UPDATE S.k SET i4 = 1"])
        .await;
    mirror.follow(&["DELETE FROM S.k"]).await;
}

#[tokio::test]
async fn values_of_a_unique_key_may_swap_places_in_one_group() {
    let setup = [
        "CREATE TABLE S.u (id INT PRIMARY KEY, a VARCHAR(20) UNIQUE, v INT)",
        "INSERT INTO S.u VALUES (1,'x',1),(2,'y',1),(3,'z',1)",
    ];
    let mut mirror = Mirror::new("swap", &["u"], &setup).await;
    let swap = [
        "UPDATE S.u SET a = 't' WHERE id = 1",
        "UPDATE S.u SET a = 'x' WHERE id = 2",
        "UPDATE S.u SET a = 'y' WHERE id = 1",
    ];
    mirror.follow(&swap).await;
    mirror
        .follow(&[
            "DELETE FROM S.u WHERE id = 3",
            "INSERT INTO S.u VALUES (4,'z',2)",
            "REPLACE INTO S.u VALUES (5,'z',3)",
        ])
        .await;
}

#[tokio::test]
async fn an_alias_of_ours_never_meets_the_name_of_a_table() {
    let setup = [
        "CREATE TABLE S.n (n INT PRIMARY KEY, v INT)",
        "INSERT INTO S.n VALUES (1,1),(2,1)",
    ];
    let mut mirror = Mirror::new("alias", &["n"], &setup).await;
    mirror.follow(&["UPDATE S.n SET v = 2"]).await;
}

#[tokio::test]
async fn json_values_that_are_equal_to_the_server_are_told_apart() {
    let setup = [
        "CREATE TABLE S.j (id INT PRIMARY KEY, j JSON, v INT)",
        "CREATE TABLE S.k (id INT, j JSON, v INT)",
        "INSERT INTO S.j VALUES (1, JSON_ARRAY(CAST(1.10 AS DECIMAL(9,2))), 1), (2, '[1]', 1)",
        "INSERT INTO S.k SELECT * FROM S.j",
    ];
    let mut mirror = Mirror::new("json", &["j", "k"], &setup).await;
    // In the end only the JSON differs, and only in its text.
    let change = |table: &str| {
        [
            format!("UPDATE S.{table} SET v = 2, j = '[1.1]' WHERE id = 1"),
            format!("UPDATE S.{table} SET v = 2, j = '[1.0]' WHERE id = 2"),
            format!("UPDATE S.{table} SET v = 1"),
        ]
    };
    let (j, k) = (change("j"), change("k"));
    let statements: Vec<&str> = j.iter().chain(&k).map(String::as_str).collect();
    mirror.follow(&statements).await;
}

#[tokio::test]
async fn the_empty_value_of_an_enum_arrives() {
    let setup = [
        "CREATE TABLE S.e (id INT PRIMARY KEY, e ENUM('a','b'), k INT)",
        "INSERT IGNORE INTO S.e VALUES (1, 'none of them', 1), (2, 'a', 1)",
    ];
    let mut mirror = Mirror::new("enum", &["e"], &setup).await;
    mirror.compare().await;
    mirror
        .follow(&[
            "INSERT IGNORE INTO S.e VALUES (3, 'x', 1)",
            "UPDATE S.e SET k = 2",
            "UPDATE IGNORE S.e SET e = 'z' WHERE id = 2",
        ])
        .await;
}

#[tokio::test]
async fn keys_of_every_kind_find_their_rows() {
    let setup = [
        "CREATE TABLE S.a (d DATETIME(3), n DECIMAL(10,3), s VARCHAR(20), b BINARY(4), e ENUM('p','q'), v INT, PRIMARY KEY (d,n,s,b,e))",
        "CREATE TABLE S.b (t TIMESTAMP(2) NOT NULL, v INT, UNIQUE KEY by_t (t))",
        "CREATE TABLE S.c (f FLOAT PRIMARY KEY, v INT)",
        "CREATE TABLE S.d (c CHAR(8) CHARACTER SET gbk PRIMARY KEY, v INT)",
        "INSERT INTO S.a VALUES ('2020-01-01 00:00:00.120', 1.5, 'a', 'x', 'p', 1), ('2020-01-01 00:00:00.120', -1.5, 'ä', 'y', 'q', 1), \
         ('2020-01-02', 0, '', '', 'p', 1)",
        "INSERT INTO S.b VALUES ('2020-01-01 00:00:00.12', 1), ('2020-01-02 00:00:00', 1), ('2020-01-03 00:00:00', 1)",
        "INSERT INTO S.c VALUES (0.1, 1), (16777216, 1), (-3.5e-20, 1)",
        "INSERT INTO S.d VALUES (CONVERT('你' USING gbk), 1), ('b', 1), ('', 1)",
    ];
    let mut mirror = Mirror::new("keys", &["a", "b", "c", "d"], &setup).await;
    mirror
        .follow(&[
            "UPDATE S.a SET v = 2",
            "UPDATE S.b SET v = 2",
            "UPDATE S.c SET v = 2",
            "UPDATE S.d SET v = 2",
        ])
        .await;
    mirror
        .follow(&[
            "UPDATE S.a SET s = 'A' WHERE s = 'a'",
            "UPDATE S.d SET c = 'B' WHERE c = 'b'",
            "DELETE FROM S.b LIMIT 2",
        ])
        .await;
    mirror
        .follow(&["DELETE FROM S.a", "DELETE FROM S.b", "DELETE FROM S.c", "DELETE FROM S.d"])
        .await;
}

#[tokio::test]
async fn a_group_of_thousands_of_rows_goes_in_several_packets() {
    let fill = "INSERT INTO S.big WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('x', 2000) FROM n";
    let mut mirror = Mirror::new("big", &["big"], &["CREATE TABLE S.big (id INT PRIMARY KEY, t TEXT)"]).await;
    mirror.follow(&[fill]).await;
    mirror
        .follow(&[
            "UPDATE S.big SET t = CONCAT(t, 'y')",
            "DELETE FROM S.big WHERE id % 3 = 0",
            "UPDATE S.big SET id = id + 10000",
        ])
        .await;
}

#[tokio::test]
async fn a_large_transaction_is_there_whole_or_not_at_all() {
    let bed = Bed::new("large").await;
    let mut target = bed.started("a").await;
    target.large_begin().await.expect("begun");
    target
        .large_part(bed.group(11, vec![insert(1, 1)]).into())
        .await
        .expect("a part");
    assert!(bed.rows().await.is_empty());
    target.large_abort().await.expect("aborted");
    assert!(bed.rows().await.is_empty());
    target.large_begin().await.expect("begun");
    target
        .large_part(bed.group(11, vec![insert(1, 1), insert(2, 1)]).into())
        .await
        .expect("a part");
    target.ping().await.expect("alive");
    let seq = target
        .large_commit(bed.group(11, vec![update(1, 1, 5)]).into())
        .await
        .expect("committed");
    assert_eq!((seq, bed.rows().await), (Seq(2), [(1, 5), (2, 1)].into()));
    target.large_begin().await.expect("begun");
    target
        .large_part(bed.group(12, vec![delete(9, 9)]).into())
        .await
        .expect("on its way");
    let error = target.large_landed().await.expect_err("refused");
    assert!(mismatch(&error).0.starts_with("delete"));
    target
        .apply_group(&bed.group(12, vec![delete(2, 1)]))
        .await
        .expect("the session is free again");
}

#[tokio::test]
async fn every_type_of_a_large_transaction_arrives_byte_for_byte_as_row_events() {
    let create = event_types();
    let (one, two) = (
        all_types(1),
        format!("{}, {}", all_types(2), "(3{})".replace("{}", &",NULL".repeat(38))),
    );
    let wide: String = (0..300).map(|n| format!(", w{n} INT")).collect();
    let wide = format!("CREATE TABLE S.w (id VARCHAR(200) PRIMARY KEY{wide}, UNIQUE KEY (w7), KEY ((w1 + w2)))");
    let mut mirror = Mirror::new("events", &["v", "w"], &[&create, &wide]).await;
    assert!(mirror.follow_large([&one, &two]).await > 2, "the format and two parts");
    assert!(
        mirror
            .follow_large([ZEROS, "INSERT INTO S.w (id, w7, w299) VALUES ('ä', 1, 9), ('b', NULL, 8)"])
            .await
            >= 2
    );
    mirror
        .follow_large(["UPDATE S.v SET i4 = 8", "DELETE FROM S.w WHERE w7 = 1"])
        .await;
    mirror
        .follow_large(["INSERT INTO S.w (id, w7) VALUES ('c', 1)", "DELETE FROM S.v"])
        .await;
}

/// Rows with generated columns and vectors go as SQL.
fn event_types() -> String {
    let others = ALL_TYPES.replace(", gv INT AS (i4 + 1) VIRTUAL, gs INT AS (i4 + 2) STORED", "");
    others.replace("vec VECTOR(3)", "vec VARBINARY(12)")
}

const NUMBERS: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40)";

/// The key and the columns that changed are enough for the target, whatever the types.
#[tokio::test]
async fn a_group_of_minimal_images_goes_as_row_events_and_ends_where_the_source_is() {
    let create = event_types();
    let few =
        "CREATE TABLE S.w (a INT, b VARCHAR(9) COLLATE utf8mb4_0900_ai_ci, c INT, d JSON, PRIMARY KEY (b, a), KEY ((c + 1)))";
    let unique = "CREATE TABLE S.u (id INT PRIMARY KEY, n INT UNIQUE, v INT)";
    let mut mirror = Mirror::new("minimal", &["v", "w", "u"], &[&create, few, unique]).await;
    let types: Vec<String> = (100..140).map(all_types).collect();
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    assert!(mirror.follow_cut(&types).await > 0, "new rows");
    let others = [
        &format!("INSERT INTO S.w {NUMBERS} SELECT n, CONCAT('ä', n), n, JSON_OBJECT('n', n) FROM n"),
        &format!("INSERT INTO S.u {NUMBERS} SELECT n, n, 0 FROM n"),
    ];
    assert!(
        mirror.follow_cut(&others.map(String::as_str)).await > 1,
        "new rows of two tables"
    );
    let seen = mirror
        .follow_cut(&[
            "UPDATE S.v SET i4 = 1 WHERE id < 130",
            "UPDATE S.w SET c = NULL WHERE a % 2 = 0",
            "UPDATE S.w SET d = JSON_SET(d, '$.x', 1.0), c = 7 WHERE a % 3 = 0",
            "UPDATE S.w SET c = a WHERE a % 2 = 0",
            "UPDATE S.w SET b = CONCAT('Ä', a) WHERE a < 5",
            "DELETE FROM S.w WHERE a > 30",
            "INSERT INTO S.w VALUES (31, 'ä31', 1, NULL), (99, 'z', 2, '[]')",
            "UPDATE S.u SET n = 100 + n, v = 1",
            "UPDATE S.u SET n = 141 - n",
        ])
        .await;
    assert!(seen > 1, "{seen} BINLOG statements for two tables");
    let all = "UPDATE S.v SET i4 = NULL, i2 = NULL";
    mirror
        .follow_cut(&[all, "DELETE FROM S.v WHERE id % 2 = 0", "DELETE FROM S.w"])
        .await;
    // Few rows: as SQL, in one packet with their commit.
    let again = all_types(105);
    mirror
        .follow_cut(&[
            "UPDATE S.v SET i4 = 5 WHERE id = 101",
            "DELETE FROM S.v WHERE id = 103",
            "DELETE FROM S.v WHERE id = 105",
            &again,
        ])
        .await;
    // Where a count would not tell that the row is there: it ends where it began, or only the bytes of its JSON change.
    mirror
        .follow_cut(&[
            "UPDATE S.v SET i4 = 6 WHERE id = 107",
            "UPDATE S.v SET i4 = NULL WHERE id = 107",
        ])
        .await;
    mirror.follow_cut(&["INSERT INTO S.w VALUES (1, 'j', 1, '1')"]).await;
    mirror
        .follow_cut(&["UPDATE S.w SET d = CAST(1.0 AS JSON) WHERE b = 'j'"])
        .await;
}

#[tokio::test]
async fn keys_that_only_the_server_finds_equal_go_before_they_come() {
    let table = "CREATE TABLE S.k (id VARCHAR(9) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT)";
    let mut mirror = Mirror::new("equal", &["k"], &[table]).await;
    mirror.follow_cut(&["INSERT INTO S.k VALUES ('a', 1), ('b', 1)"]).await;
    mirror
        .follow_cut(&[
            "DELETE FROM S.k WHERE id = 'a'",
            "INSERT INTO S.k VALUES ('A', 2)",
            "UPDATE S.k SET v = 3 WHERE id = 'b'",
            "UPDATE S.k SET id = 'B' WHERE id = 'b'",
        ])
        .await;
}

/// A server that passes over errors would pass over the rows behind the first that is missing.
#[tokio::test]
async fn a_target_that_skips_errors_of_its_appliers_gets_no_row_events() {
    let careless = support::servers::start("careless", &["--replica-skip-errors=1032,1062"]);
    for (server, is_taken) in [(servers().target, true), (careless, false)] {
        let mut session = ApplySession::connect(&database(server)).await.expect("a session");
        assert_eq!(session.takes_row_events().await.expect("an answer"), is_taken);
    }
}

#[tokio::test]
async fn a_row_that_a_minimal_image_misses_is_a_conflict_and_nothing_of_its_transaction_stays() {
    let mut mirror = Mirror::new("misses", &["t"], &["CREATE TABLE S.t (id INT PRIMARY KEY, v INT, w INT)"]).await;
    let insert = format!("INSERT INTO S.t {NUMBERS} SELECT n, 0, 0 FROM n");
    mirror.follow_cut(&[&insert]).await;
    let gone = format!("DELETE FROM {}.t WHERE id = 33", mirror.bed.schema.base);
    servers().target.run(&[&gone]).await;
    let before = mirror.executed.clone();
    let group = mirror.cut(&["UPDATE S.t SET v = 1"]).await;
    mirror.target.apply_group(&group).await.expect_err("a row is missing");
    assert!(
        mirror.target.is_whole_wanted() && mirror.target.conflicts() == 0,
        "people see whole rows"
    );
    mirror.executed = before;
    let group = mirror.cut(&[]).await;
    let error = mirror.target.apply_group(&group).await.expect_err("a row is missing");
    assert_eq!(mismatch(&error).1, "(33)");
    let changed = format!("SELECT COUNT(*) FROM {}.t WHERE v = 1", mirror.bed.schema.base);
    assert_eq!(servers().target.number(&changed).await, 0);
}

#[tokio::test]
async fn row_events_that_the_target_refuses_while_their_rows_fit_go_as_sql() {
    let mut mirror = Mirror::new("refuses", &["t"], &["CREATE TABLE S.t (id INT PRIMARY KEY, v INT)"]).await;
    let insert = format!("INSERT INTO S.t {NUMBERS} SELECT n, 0 FROM n");
    mirror.follow_cut(&[&insert]).await;
    let parts = mirror.changes(&["UPDATE S.t SET v = id"]).await;
    let other = format!("ALTER TABLE {}.t MODIFY v VARCHAR(20)", mirror.bed.schema.base);
    servers().target.run(&[&other]).await;
    mirror
        .target
        .apply_group(&fold(&mirror.shapes, parts))
        .await
        .expect("applied");
    let sum = format!("SELECT SUM(v) FROM {}.t", mirror.bed.schema.base);
    assert_eq!(servers().target.number(&sum).await, 820);
    assert_eq!(mirror.target.minimal_change(), Some(vec![]), "no more events, so whole rows");
}

/// Those who restore to a point in time, and those who read the target's binlog, go by it.
#[tokio::test]
async fn row_events_of_a_large_transaction_have_a_time_and_leave_the_session_its_own_clock() {
    let mut mirror = Mirror::new("clock", &["t"], &["CREATE TABLE S.t (id INT PRIMARY KEY)"]).await;
    let begun = unix_now();
    let (file, from) = binlog_end().await;
    let seen = mirror
        .follow_large(["INSERT INTO S.t VALUES (1), (2)", "INSERT INTO S.t VALUES (3)"])
        .await;
    assert!(seen >= 2, "{seen} BINLOG statements");
    let times = event_times(&std::fs::read(file).expect("this machine's file")[from..]);
    assert!(times.len() > 8, "{times:?}");
    assert!(times.iter().all(|time| *time + 60 >= begun), "{times:?} begun {begun}");
    let sql = format!(
        "SELECT FLOOR(UNIX_TIMESTAMP(MIN(at))) FROM {}.progress",
        mirror.bed.schema.meta
    );
    assert!(servers().target.number(&sql).await + 60 >= begun, "progress is of now");
}

fn unix_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// The target's newest binlog file and where it ends.
async fn binlog_end() -> (std::path::PathBuf, usize) {
    let mut session = Session::connect(&database(servers().target)).await.expect("a session");
    let base: Option<String> = session.first("SELECT @@log_bin_basename").await.expect("a name");
    let end: Option<(String, u64, String, String, String)> = session.first("SHOW BINARY LOG STATUS").await.expect("an end");
    let (file, offset, ..) = end.expect("one row");
    let folder = std::path::PathBuf::from(base.expect("one row"));
    (folder.with_file_name(file), usize::try_from(offset).expect("small"))
}

/// The seconds in the headers of binlog events.
fn event_times(mut events: &[u8]) -> Vec<u64> {
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let mut times = Vec::new();
    // Another test may be writing the last one.
    while let Some(header) = events.get(..19)
        && let Some(rest) = events.get(number(&header[9..13]) as usize..)
    {
        times.push(u64::from(number(&header[..4])));
        events = rest;
    }
    times
}

#[tokio::test]
async fn a_large_transaction_finds_its_columns_by_name_where_the_target_has_them_in_another_order() {
    let table = "CREATE TABLE S.o (id INT PRIMARY KEY, a INT, b INT)";
    let mut mirror = Mirror::new("other", &["o"], &[table]).await;
    let swapped = format!("ALTER TABLE {}.o MODIFY b INT AFTER id", mirror.bed.schema.base);
    servers().target.run(&[&swapped]).await;
    mirror
        .apply_large(["INSERT INTO S.o VALUES (1, 2, 3)", "INSERT INTO S.o VALUES (2, 3, 4)"])
        .await;
    let mut session = Session::connect(&database(servers().target)).await.expect("a session");
    let sql = format!("SELECT id, a, b FROM {}.o ORDER BY id", mirror.bed.schema.base);
    let found: Vec<(i32, i32, i32)> = session.rows(sql).await.expect("rows");
    assert_eq!(found, [(1, 2, 3), (2, 3, 4)]);
}

#[tokio::test]
async fn an_account_without_the_privilege_for_row_events_applies_a_large_transaction_all_the_same() {
    let mut bed = Bed::new("plain").await;
    let account = format!("'{}'@'%'", bed.schema.base);
    servers()
        .target
        .run(&[
            &format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY ''"),
            &format!("GRANT ALL ON *.* TO {account}"),
            &format!("REVOKE SUPER, BINLOG_ADMIN, REPLICATION_APPLIER ON *.* FROM {account}"),
        ])
        .await;
    bed.sink.endpoint.user.clone_from(&bed.schema.base);
    let mut target = bed.started("a").await;
    for number in [11, 12] {
        let id = i32::try_from(number).expect("small");
        target.large_begin().await.expect("begun");
        target
            .large_part(bed.group(number, vec![insert(id, 1)]).into())
            .await
            .expect("a part");
        target
            .large_commit(bed.group(number, vec![update(id, 1, 2)]).into())
            .await
            .expect("committed");
    }
    assert_eq!(bed.rows().await, [(11, 2), (12, 2)].into());
    servers().target.run(&[&format!("DROP USER {account}")]).await;
}

#[tokio::test]
async fn a_copy_resumes_at_its_cursor_and_a_reset_empties_the_table() {
    let bed = Bed::new("copy").await;
    let mut target = bed.acquire("a").await;
    target
        .start(&GtidSet::default(), "u", vec![bed.shape()], &[plan(ShapeId(0))])
        .await
        .expect("started");
    let high = peer::core::change::Key(vec![2i32.to_le_bytes().to_vec()]);
    let chunk = Chunk {
        shape: ShapeId(0),
        low: None,
        high: Some(high.clone()),
        rows: vec![row(1, 1), row(2, 2)],
        is_last: false,
    };
    target.apply_chunk(&chunk).await.expect("applied");
    let error = target.apply_chunk(&chunk).await.expect_err("these rows are there already");
    assert!(mismatch(&error).0.starts_with("insert"));
    target.close().await;
    let mut target = bed.acquire("b").await;
    let copy = &target.progress().copy[0];
    assert_eq!((copy.cursor.as_ref(), copy.rows, copy.is_done), (Some(&high), 2, false));
    let last = Chunk {
        shape: ShapeId(0),
        low: Some(high),
        high: None,
        rows: vec![row(3, 3)],
        is_last: true,
    };
    target.apply_chunk(&last).await.expect("applied");
    assert!(target.progress().copy[0].is_done);
    target.reset(ShapeId(0)).await.expect("emptied");
    assert!(bed.rows().await.is_empty());
    target.close().await;
    let copy = bed.acquire("c").await.progress().copy[0].clone();
    assert_eq!((copy.cursor, copy.rows, copy.is_done), (None, 0, false));
}

#[tokio::test]
async fn a_target_table_with_rows_or_other_columns_is_refused_before_the_first_row() {
    let bed = Bed::new("exists").await;
    let table = format!("{}.t", bed.schema.base);
    let server = servers().target;
    server
        .run(&[
            &format!("CREATE DATABASE {}", bed.schema.base),
            &format!("CREATE TABLE {table} (id INT PRIMARY KEY, v BIGINT)"),
        ])
        .await;
    let mut target = bed.acquire("a").await;
    let mut refusals = Vec::new();
    for fix in [
        "DROP TABLE T",
        "CREATE TABLE T (id INT PRIMARY KEY, v INT)",
        "INSERT INTO T VALUES (1,1)",
    ] {
        if let Err(error) = target
            .start(&GtidSet::default(), "u", vec![bed.shape()], &[plan(ShapeId(0))])
            .await
        {
            assert!(matches!(error, Error::Unsuitable { .. }), "{error:?}");
            refusals.push(error.to_string());
            server
                .run(&[
                    &format!("DROP TABLE {table}"),
                    &format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT)"),
                ])
                .await;
            server.run(&[&format!("INSERT INTO {table} VALUES (1,1)")]).await;
        } else {
            panic!("accepted before {fix}");
        }
    }
    assert!(
        refusals[0].contains("v bigint") && refusals[0].contains("v int"),
        "{}",
        refusals[0]
    );
    assert!(refusals[1].contains("rows in it"), "{}", refusals[1]);
    server.run(&[&format!("DELETE FROM {table}")]).await;
    target
        .start(&GtidSet::default(), "u", vec![bed.shape()], &[plan(ShapeId(0))])
        .await
        .expect("an empty table of the same columns");
}

#[tokio::test]
async fn a_group_waits_for_a_lock_of_somebody_else_and_is_tried_again() {
    let bed = Bed::new("locks").await;
    let mut target = bed.started("a").await;
    target.apply_group(&bed.group(11, vec![insert(1, 1)])).await.expect("applied");
    let mut other = servers().target.conn().await;
    other
        .query_drop(format!("BEGIN; UPDATE {}.t SET v = v WHERE id = 1", bed.schema.base))
        .await
        .expect("locked");
    let held = tokio::spawn(async move {
        // Longer than one lock wait of the apply session, 2 s, so that the first try ends with 1205.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        other.query_drop("ROLLBACK").await.expect("unlocked");
    });
    target
        .apply_group(&bed.group(12, vec![update(1, 1, 2)]))
        .await
        .expect("applied in the end");
    held.await.expect("no panic");
    assert_eq!(bed.rows().await, [(1, 2)].into());
}
