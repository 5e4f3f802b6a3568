//! PROTOCOLS 1 and 8 where the server itself is in the way: a commit held by semi-synchronous replication, foreign keys that are
//! not logged, and an address that leads to another server while a chunk is open.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use peer::core::disposition::Disposition;
use peer::core::shape::TableName;
use peer::flow::chunk_tasks::ChunkTasks;
use peer::mysql::session::Session;
use peer::mysql::source::chunk_reader::{Range, ReadOutcome, Waited};
use peer::mysql::source::inspect;
use support::copy_bed::CopyBed;
use support::servers::{Server, servers, start};
use support::target::database;
use support::wait::until_async;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const KEYED: &str = "id INT PRIMARY KEY, v INT";
const ROWS: &str = "(5,0),(10,0),(15,0),(20,0),(25,0)";

/// A server whose commits wait, when told to, between binlog and engine for an acknowledgement that never comes.
async fn holding_server() -> Server {
    let server = start("held", &["--loose-innodb-native-foreign-keys=ON", "--sync-binlog=1"]);
    server
        .run(&[
            "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
            "SET GLOBAL rpl_semi_sync_source_wait_point = 'AFTER_SYNC'",
            "SET GLOBAL rpl_semi_sync_source_timeout = 600000",
            "SET GLOBAL rpl_semi_sync_source_wait_no_replica = ON",
        ])
        .await;
    server
}

/// Runs a statement that does not return before `release`.
async fn commit_held(server: Server, statement: String, tasks: &mut JoinSet<()>) {
    server.run(&["SET GLOBAL rpl_semi_sync_source_enabled = ON"]).await;
    tasks.spawn(async move { server.run(&[&statement]).await });
    until_async(
        "a commit that waits for its acknowledgement",
        Duration::from_secs(20),
        || async {
            let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for semi-sync ACK%'";
            (server.number(waiting).await == 1).then_some(())
        },
    )
    .await;
}

async fn release(server: Server, tasks: &mut JoinSet<()>) {
    server.run(&["SET GLOBAL rpl_semi_sync_source_enabled = OFF"]).await;
    while let Some(done) = tasks.join_next().await {
        done.expect("the held statement ends well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_need_a_server_of_their_own() {
    let server = holding_server().await;
    a_held_commit_that_was_dropped_before_the_chunk_opened_is_waited_for(server).await;
    a_held_commit_between_view_and_high_mark_is_folded(server).await;
    a_held_commit_of_a_keyless_table_between_view_and_mark_makes_the_chunk_stale(server).await;
    cascades_that_are_not_logged_are_known(server).await;
}

/// T3: in the stream and not visible. The merger drops it, so the chunk must not be read before it is visible.
async fn a_held_commit_that_was_dropped_before_the_chunk_opened_is_waited_for(server: Server) {
    let mut bed = CopyBed::on(server, "t3", KEYED, &[ROWS]).await;
    let mut held = JoinSet::new();
    commit_held(server, format!("INSERT INTO {} VALUES (12, 7)", bed.table), &mut held).await;
    // The dump delivers it before it is committed; the key is in no chunk yet: dropped.
    bed.follow().await;
    bed.open(1000).await;
    let waited = bed.chunks.wait_for(bed.merger.passed()).await.expect("waits");
    assert_eq!(waited, Waited::TimedOut, "W0 holds a transaction that is not visible");
    let early = bed.source_rows().await;
    assert_eq!(early.by_key.len(), 5, "read without the wait, the row is missing");
    release(server, &mut held).await;
    bed.read().await;
    bed.follow().await;
    assert!(bed.close(), "the stream is at the mark");
    assert_eq!(bed.sink.by_key.len(), 6);
    bed.finish().await;
}

/// T1: in the binlog before the mark, committed in the engine after the view. The fold must carry it.
async fn a_held_commit_between_view_and_high_mark_is_folded(server: Server) {
    let mut bed = CopyBed::on(server, "t1", KEYED, &[ROWS]).await;
    bed.open(1000).await;
    bed.wait_for_w0().await;
    let mut held = JoinSet::new();
    let statement = format!("UPDATE {} SET v = 7 WHERE id = 10", bed.table);
    commit_held(server, statement, &mut held).await;
    // Rows, then the mark: the view does not show the update, the binlog's end is behind it.
    bed.read().await;
    assert!(!bed.close(), "the stream has not shown what is before the mark");
    bed.follow().await;
    assert!(bed.close(), "the stream is at the mark");
    let seven = bed
        .sink
        .by_key
        .values()
        .filter(|row| row.0.ends_with(&7_i32.to_le_bytes()))
        .count();
    assert_eq!(seven, 1, "the chunk holds the update that its view did not show");
    release(server, &mut held).await;
    bed.finish().await;
}

/// The same without a key: the rows do not show an event before the mark, so they are of no use.
async fn a_held_commit_of_a_keyless_table_between_view_and_mark_makes_the_chunk_stale(server: Server) {
    let mut bed = CopyBed::on(server, "t1bag", "a INT, v INT", &[ROWS]).await;
    bed.open(1000).await;
    bed.wait_for_w0().await;
    let mut held = JoinSet::new();
    commit_held(server, format!("INSERT INTO {} VALUES (10, 7)", bed.table), &mut held).await;
    bed.read().await;
    bed.follow().await;
    assert!(bed.is_stale(), "an event before the mark is not in the rows");
    release(server, &mut held).await;
    bed.finish().await;
}

/// The mark is the head of a file in which nothing follows: only a heartbeat can reach it.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_whose_mark_is_in_a_new_binlog_file_closes() {
    let mut bed = CopyBed::new("rotated", KEYED, &[ROWS]).await;
    bed.open(2).await;
    bed.read_around(&["UPDATE {t} SET v = 7 WHERE id = 10", "FLUSH BINARY LOGS"])
        .await;
    bed.follow().await;
    assert!(bed.close(), "the stream is at the mark");
    bed.write("UPDATE {t} SET v = 8").await;
    bed.finish().await;
}

/// The server runs with native foreign keys, as every server before 9.6 does.
async fn cascades_that_are_not_logged_are_known(server: Server) {
    server
        .run(&[
            "CREATE DATABASE family",
            "CREATE TABLE family.parent (id INT PRIMARY KEY)",
            "CREATE TABLE family.child (id INT PRIMARY KEY, p INT, CONSTRAINT c1 FOREIGN KEY (p) REFERENCES family.parent (id) ON DELETE CASCADE)",
            "CREATE TABLE family.strict_child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES family.parent (id))",
        ])
        .await;
    let mut session = Session::connect(&database(server)).await.expect("connects");
    let name = |table: &str| TableName {
        schema: "family".into(),
        table: table.into(),
    };
    let names = ["child", "parent", "strict_child"].map(name);
    let shapes = inspect::shapes(&mut session, &names).await.expect("shapes");
    let unlogged: Vec<Vec<&str>> = shapes
        .iter()
        .map(|shape| {
            shape
                .cascades
                .iter()
                .filter(|key| key.is_unlogged)
                .map(|key| key.constraint.as_str())
                .collect()
        })
        .collect();
    assert_eq!(unlogged, [vec!["c1"], vec![], vec![]], "nothing cascades into the other two");
}

/// An address that leads to one server, later to another. Connections that are open stay where they are.
struct Proxy {
    addr: SocketAddr,
    leads_to: Arc<AtomicU16>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    async fn to(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let leads_to = Arc::new(AtomicU16::new(server.port));
        let target = Arc::clone(&leads_to);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let port = target.load(Ordering::SeqCst);
                open.spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Self {
            addr,
            leads_to,
            _accepting: accepting,
        }
    }

    fn switch(&self, server: Server) {
        self.leads_to.store(server.port, Ordering::SeqCst);
    }
}

/// The bed with its chunk connection through a proxy that led to the source and leads to the target now.
async fn switched_mid_chunk(word: &str, columns: &str, rows: &[&str]) -> (CopyBed, Proxy) {
    let proxy = Proxy::to(servers().source).await;
    let behind = Server { port: proxy.addr.port() };
    let mut bed = CopyBed::on(behind, word, columns, rows).await;
    // The same table with another row: what must never be read.
    servers()
        .target
        .run(&[
            &format!("CREATE DATABASE {}", bed.schema.base),
            &format!("CREATE TABLE {} ({columns})", bed.table),
            &format!("INSERT INTO {} VALUES (1, 'other')", bed.table),
        ])
        .await;
    bed.open(1000).await;
    bed.wait_for_w0().await;
    proxy.switch(servers().target);
    (bed, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_switched_mid_chunk_never_answers_a_chunk_that_was_too_large() {
    let rows = ["(1, REPEAT('x', 100000))", "(2, REPEAT('y', 100000))"];
    let (mut bed, _proxy) = switched_mid_chunk("wide", "id INT PRIMARY KEY, v LONGTEXT", &rows).await;
    let range = Range { low: None, high: None };
    // The reader gives up the connection in the middle of the rows and makes another: it leads elsewhere now.
    let error = match bed.chunks.read(&bed.shape, &range, 150_000).await {
        Err(error) => error,
        Ok(ReadOutcome::TooLarge) => panic!("the reader goes on at another server"),
        Ok(other) => panic!("expected an error, found {other:?}"),
    };
    assert_eq!(error.disposition(), Disposition::Retry, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_switched_mid_chunk_is_not_locked_in_place_of_the_first() {
    let (mut bed, _proxy) = switched_mid_chunk("bagswitch", "id INT, v TEXT", &["(1, 'x')"]).await;
    let error = bed.chunks.read_keyless(&bed.shape, 1 << 20, true).await;
    let error = error.expect_err("the lock would be on another server than the view");
    assert_eq!(error.disposition(), Disposition::Retry, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_switched_mid_chunk_is_not_read_over_a_new_connection() {
    let (bed, _proxy) = switched_mid_chunk("switch", "id INT PRIMARY KEY, v TEXT", &["(1, 'x')", "(2, 'y')"]).await;
    let first = bed.chunks.server_uuid().to_owned();
    let mut tasks = ChunkTasks::new(bed.source.clone(), first, bed.merger.copy());
    tasks.start(bed.merger.copy());
    let error = tasks.next().await.expect_err("the connection leads to another server");
    assert_eq!(error.disposition(), Disposition::Retry, "{error}");
}
