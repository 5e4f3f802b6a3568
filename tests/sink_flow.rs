//! The sink flow against a real target, with a scripted source that speaks the real protocol.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use peer::core::change::{BinlogPosition, Change, Chunk, CopyPlan, Item, Key, Row, TxnPart};
use peer::core::disposition::Disposition;
use peer::core::gtid_set::{Gtid, GtidSet, SourceId};
use peer::core::ids::{Boot, ClusterId, Epoch, Incarnation, JobId, JobName, Life, NodeId};
use peer::core::job_spec::{
    ApplySpec, Compression, DatabaseSpec, JobSpec, LinkSpec, Preferences, Secret, SinkSpec, SourceSpec, StartPoint, TlsMode,
};
use peer::core::job_state::{ErrorReport, Phase, SinkStatus};
use peer::core::progress::Progress;
use peer::core::row::RowLayout;
use peer::core::shape::{Column, ColumnKind, RowKey, ShapeId, TableName, TableShape};
use peer::core::table_choice::Selection;
use peer::flow::error::FlowError;
use peer::flow::sink_flow::{self, SinkArgs, SinkEvent, SourcePeer};
use peer::flow::window_budget::WindowBudget;
use peer::transport::endpoint::{Endpoint, EndpointConfig, Incoming, IncomingStream};
use peer::transport::key::ClusterKey;
use peer::transport::stream::Stream;
use peer::wire::batch::{BatchEncoder, encode_batch};
use peer::wire::frame::{DATA, Frame};
use peer::wire::message::{Request, Response, SourceToSink, StreamKind, Subscribe};
use support::line::Line;
use support::servers::{Server, servers};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const UUID: &str = "01010101-0101-0101-0101-010101010101";
const SOON: Duration = Duration::from_secs(20);

/// A running sink flow, its schemas on the target, and the endpoint its source is expected at.
struct Bench {
    schema: String,
    job: JobId,
    sources: Incoming,
    events: mpsc::Receiver<SinkEvent>,
    status: watch::Receiver<SinkStatus>,
    stop: CancellationToken,
    flow: JoinHandle<Result<(), FlowError>>,
    args: SinkArgs,
    source: Endpoint,
}

impl Bench {
    async fn start(limit_group_bytes: u64) -> Self {
        Self::start_at(target().port, limit_group_bytes).await
    }

    /// The same with the target behind another port.
    async fn start_at(target_port: u16, limit_group_bytes: u64) -> Self {
        Self::start_beside(None, target_port, limit_group_bytes).await
    }

    /// The same beside a peer that reaches the target and a source.
    async fn start_beside(better_placed: Option<&'static str>, target_port: u16, limit_group_bytes: u64) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let schema = format!("link_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let key = ClusterKey::generate().expect("random numbers");
        let bind = |name: &str| {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            Endpoint::bind(EndpointConfig::new(any, NodeId(name.into()), key.clone(), "link-test")).expect("a free port")
        };
        let (source, sources) = bind("source");
        let (sink, _) = bind("sink");
        let peer = SourcePeer {
            id: NodeId("source".into()),
            name: "source".into(),
            addr: source.local_addr(),
        };
        let (events_tx, events) = mpsc::channel(100);
        let (status_tx, status) = watch::channel(SinkStatus::default());
        let job = JobId {
            name: JobName(schema.clone()),
            inc: Incarnation(1),
        };
        let args = SinkArgs {
            job: job.clone(),
            live: watch::channel(Arc::new(spec(&schema, target_port, limit_group_bytes))).1,
            spec: spec(&schema, target_port, limit_group_bytes),
            owner: NodeId("sink".into()),
            owner_name: "sink".into(),
            boot: Boot(1),
            cluster_id: ClusterId("c".repeat(64)),
            life: Life("1".repeat(32)),
            epoch_seen: Epoch(0),
            restarts: 0,
            skips: Default::default(),
            endpoint: sink,
            choose_source: Arc::new(move |avoid| {
                if avoid.contains(&peer.id) {
                    Err("nobody".into())
                } else {
                    Ok(peer.clone())
                }
            }),
            leave_source: Arc::new(|_| Box::pin(std::future::pending())),
            better_placed: Arc::new(move || Box::pin(std::future::ready(better_placed.map(str::to_owned)))),
            events: events_tx,
            status: status_tx,
            window_bytes: 1 << 20,
            windows: WindowBudget::new(0),
            memory_bytes: 16 << 20,
        };
        let stop = CancellationToken::new();
        let flow = tokio::spawn(sink_flow::run(args.clone(), stop.clone()));
        Self {
            schema,
            job,
            sources,
            events,
            status,
            stop,
            flow,
            args,
            source,
        }
    }

    /// The next stream to the source's peer.
    async fn incoming(&mut self) -> IncomingStream {
        let incoming = tokio::select! {
            incoming = timeout(SOON, self.sources.recv()) => incoming.expect("a stream in time"),
            ended = &mut self.flow => panic!("the flow ended: {ended:?}"),
        };
        incoming.expect("an endpoint")
    }

    /// The next subscription; before a new job's first one the peer is asked about the source.
    async fn subscribed(&mut self) -> Source {
        let mut incoming = self.incoming().await;
        if incoming.kind == StreamKind::Control {
            let answer = Response::Examined {
                report_json: "null".into(),
            };
            incoming.stream.recv::<Request>().await.expect("a question");
            incoming.stream.send(&answer).await.expect("answered");
            incoming = self.incoming().await;
        }
        let mut stream = incoming.stream;
        let subscribe: Subscribe = timeout(SOON, stream.recv()).await.expect("in time").expect("a subscription");
        let progress = serde_json::from_str(&subscribe.progress_json).expect("progress");
        Source {
            stream,
            subscribe,
            progress,
        }
    }

    async fn until(&mut self, what: &str, is_so: impl FnMut(&SinkStatus) -> bool) -> SinkStatus {
        let waited = timeout(SOON, self.status.wait_for(is_so)).await;
        waited
            .unwrap_or_else(|_| panic!("never: {what}"))
            .expect("the flow runs")
            .clone()
    }

    async fn rows(&self) -> Vec<(i32, Option<String>)> {
        let mut conn = target().conn().await;
        conn.query(format!("SELECT id, name FROM {}.t ORDER BY id", self.schema))
            .await
            .expect("rows")
    }

    async fn fence(&self, column: &str) -> String {
        let mut conn = target().conn().await;
        let sql = format!(
            "SELECT CAST({column} AS CHAR) FROM {}_meta.fence WHERE job = '{}'",
            self.schema, self.job.name
        );
        conn.query_first(sql).await.expect("a row").expect("a row")
    }

    async fn end(self) -> Result<(), FlowError> {
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(10), self.flow)
            .await
            .expect("ends in time")
            .expect("no panic");
        drop_schema(&self.schema).await;
        ended
    }
}

async fn drop_schema(schema: &str) {
    let statements = [
        format!("DROP DATABASE IF EXISTS {schema}"),
        format!("DROP DATABASE IF EXISTS {schema}_meta"),
    ];
    target().run(&[&statements[0], &statements[1]]).await;
}

fn target() -> Server {
    servers().target
}

/// The source's end of a subscription.
struct Source {
    stream: Stream,
    subscribe: Subscribe,
    progress: Progress,
}

impl Source {
    async fn send(&mut self, items: &[Item]) {
        let body = encode_batch(items, peer::wire::compress::Compression::Lz4, &mut BatchEncoder::default()).expect("small");
        self.stream.send_frame(Frame { kind: DATA, body }).await.expect("sent");
    }

    async fn beat(&mut self, last: u64, source_now_us: u64) {
        let beat = SourceToSink::Heartbeat {
            executed: format!("{UUID}:1-{last}"),
            source_now_us,
        };
        self.stream.send(&beat).await.expect("sent");
    }
}

fn spec(schema: &str, target_port: u16, group_bytes: u64) -> JobSpec {
    let endpoint = DatabaseSpec {
        host: "127.0.0.1".into(),
        port: target_port,
        user: "root".into(),
        password: Secret::Text(String::new()),
        tls: TlsMode::Disabled,
        tls_ca: None,
    };
    JobSpec {
        name: JobName(schema.into()),
        datacenters: Vec::new(),
        constraints: Vec::new(),
        source: SourceSpec {
            // Never asked: the source is scripted. Preflight refuses a job whose two ends are one server.
            endpoint: DatabaseSpec {
                port: servers().source.port,
                ..endpoint.clone()
            },
            start: StartPoint::Snapshot,
            constraints: Vec::new(),
            preferences: Preferences::default(),
        },
        sink: SinkSpec {
            endpoint,
            meta_schema: format!("{schema}_meta"),
            constraints: Vec::new(),
            preferences: Preferences::default(),
            on_ddl: Default::default(),
            on_conflict: Default::default(),
            drop_triggers: false,
        },
        selection: Selection::default(),
        tables: vec![TableName {
            schema: schema.into(),
            table: "t".into(),
        }],
        link: LinkSpec {
            compression: Compression::Lz4,
            rate_bytes: 0,
            batch_bytes: 256 << 10,
            batch_delay_ms: 0,
        },
        apply: ApplySpec {
            group_transactions: 1000,
            group_bytes,
            check: Default::default(),
        },
        preferences: Preferences::default(),
        restart: Default::default(),
        reschedule: Default::default(),
    }
}

fn shape(schema: &str) -> TableShape {
    let column = |name: &str, kind, is_nullable, text: bool| Column {
        name: name.into(),
        kind,
        is_nullable,
        is_generated: false,
        charset: text.then(|| "utf8mb4".into()),
        collation: text.then(|| "utf8mb4_0900_ai_ci".into()),
    };
    TableShape {
        name: TableName {
            schema: schema.into(),
            table: "t".into(),
        },
        columns: vec![
            column(
                "id",
                ColumnKind::Int {
                    bytes: 4,
                    unsigned: false,
                },
                false,
                false,
            ),
            column("name", ColumnKind::VarChar { bytes_max: 200 }, true, true),
        ],
        key: Some(RowKey {
            index: "PRIMARY".into(),
            columns: vec![0],
        }),
        map: None,
        has_secondary_unique: false,
        create_sql: "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `name` varchar(50) DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) \
            ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"
            .into(),
        defaults: None,
        cascades: Vec::new(),
    }
}

fn row(id: i32, name: &str) -> Row {
    RowLayout::new(&shape("s"))
        .build(&[Some(&id.to_le_bytes()), Some(name.as_bytes())])
        .expect("a row")
}

fn insert(id: i32) -> Change {
    Change::Insert {
        shape: ShapeId(0),
        after: row(id, &format!("row {id}")),
    }
}

fn part(number: u64, is_first: bool, is_last: bool, changes: Vec<Change>) -> Item {
    Item::Txn(TxnPart {
        gtid: Gtid {
            source: SourceId {
                uuid: [1; 16],
                tag: String::new(),
            },
            number,
        },
        is_first,
        is_last,
        last_committed: 0,
        sequence_number: 1,
        prepared: None,
        commit_us: number * 1000,
        position: BinlogPosition {
            file: "binlog.000001".into(),
            offset: number * 100,
        },
        changes,
    })
}

fn txn(number: u64, changes: Vec<Change>) -> Item {
    part(number, true, true, changes)
}

fn set(last: u64) -> GtidSet {
    GtidSet::parse(&format!("{UUID}:1-{last}")).expect("a set")
}

/// The beginning of a job: its one table, copied whole with the rows 1 to 3.
fn beginning(schema: &str) -> Vec<Item> {
    let rows = (1..=3).map(|id| row(id, &format!("row {id}"))).collect();
    vec![
        Item::Shape {
            id: ShapeId(0),
            shape: shape(schema),
        },
        Item::Start {
            executed: set(10),
            source_uuid: UUID.into(),
            copy: vec![CopyPlan {
                shape: ShapeId(0),
                rows_estimate: Some(7),
            }],
        },
        Item::Chunk(Chunk {
            shape: ShapeId(0),
            low: None,
            high: Some(Key(vec![3_i32.to_le_bytes().to_vec()])),
            rows,
            is_last: true,
        }),
    ]
}

fn named(rows: &[i32]) -> Vec<(i32, Option<String>)> {
    rows.iter().map(|id| (*id, Some(format!("row {id}")))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_in_a_transaction_is_resumed_and_each_row_is_there_once() {
    let mut bench = Bench::start(8 << 20).await;
    let mut source = bench.subscribed().await;
    assert!(source.progress.is_fresh());
    assert_eq!((source.subscribe.epoch.0, source.subscribe.src_epoch.0), (1, 1));
    source.send(&beginning(&bench.schema)).await;
    let update = Change::Update {
        shape: ShapeId(0),
        before: row(1, "row 1"),
        after: row(1, "changed"),
    };
    source
        .send(&[
            txn(11, vec![insert(4)]),
            txn(12, vec![update]),
            part(13, true, false, vec![insert(5)]),
        ])
        .await;
    bench
        .until("transaction 12 applied", |status| status.applied == set(12).to_string())
        .await;
    drop(source);

    let mut source = bench.subscribed().await;
    assert_eq!(source.progress.executed, set(12), "resumes behind what is committed");
    assert!(
        source.progress.copy[0].is_done && source.progress.copy[0].rows == 3 && source.progress.copy[0].rows_estimate == Some(7),
        "{:?}",
        source.progress.copy
    );
    assert_eq!(source.subscribe.src_epoch.0, 2);
    assert_eq!(source.subscribe.epoch.0, 1, "the fence is held over the change");
    source
        .send(&[
            part(13, true, false, vec![insert(5)]),
            part(13, false, true, vec![insert(6)]),
            txn(14, Vec::new()),
        ])
        .await;
    source.beat(14, 15_000).await;
    let status = bench.until("caught up", |status| status.caught_up).await;
    assert_eq!((status.phase, status.lag_ms), (Phase::Streaming, Some(0)));
    assert_eq!(status.applied, set(14).to_string());
    let mut expected = named(&[1, 2, 3, 4, 5, 6]);
    expected[0].1 = Some("changed".into());
    assert_eq!(bench.rows().await, expected);
    assert_eq!(bench.fence("src_epoch").await, "2");

    assert!(!bench.fence("owner").await.is_empty());
    bench.stop.cancel();
    let flow = std::mem::replace(&mut bench.flow, tokio::spawn(async { Ok(()) }));
    timeout(Duration::from_secs(5), flow)
        .await
        .expect("within the bound")
        .expect("no panic")
        .expect("a clean stop");
    assert_eq!(bench.fence("owner").await, "", "released");
    let sql = format!("SELECT gtid_set FROM {}_meta.progress", bench.schema);
    let committed: String = target().conn().await.query_first(sql).await.expect("a row").expect("a row");
    assert_eq!(committed, set(14).to_string(), "a clean stop writes what was passed");
    bench.end().await.expect("ended before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_becomes_visible_as_one() {
    let mut bench = Bench::start(10_000).await;
    let mut source = bench.subscribed().await;
    source.send(&beginning(&bench.schema)).await;
    for at in 0..20 {
        let changes = (0..100).map(|row| insert(100 + at * 100 + row)).collect();
        source.send(&[part(11, at == 0, false, changes)]).await;
    }
    bench.until("the copy", |status| status.phase == Phase::Streaming).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.rows().await.len(), 3, "nothing of it is visible before its end");
    source.send(&[part(11, false, true, vec![insert(99)])]).await;
    bench
        .until("transaction 11", |status| status.applied == set(11).to_string())
        .await;
    assert_eq!(bench.rows().await.len(), 3 + 2000 + 1);
    bench.end().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_a_stream_cut_in_a_large_transaction_leaves_nothing_of_it() {
    let mut bench = Bench::start(10_000).await;
    let mut source = bench.subscribed().await;
    source.send(&beginning(&bench.schema)).await;
    let parts = |is_whole: bool| {
        let changes = |at: i32| (0..100).map(|row| insert(100 + at * 100 + row)).collect();
        let part = |at: i32| part(11, at == 0, is_whole && at == 19, changes(at));
        (0..20).map(part).collect::<Vec<Item>>()
    };
    source.send(&parts(false)).await;
    bench.until("the copy", |status| status.phase == Phase::Streaming).await;
    drop(source);
    let mut source = bench.subscribed().await;
    assert_eq!(source.progress.executed, set(10));
    assert_eq!(bench.rows().await.len(), 3, "not even what was less than a group");
    source.send(&parts(true)).await;
    bench
        .until("transaction 11", |status| status.applied == set(11).to_string())
        .await;
    assert_eq!(bench.rows().await.len(), 3 + 2000);
    bench.end().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_applied_in_few_groups_and_a_quiet_job_one_by_one() {
    let mut bench = Bench::start(8 << 20).await;
    let mut source = bench.subscribed().await;
    source.send(&beginning(&bench.schema)).await;
    for number in 11..=20 {
        source.send(&[txn(number, vec![insert(number as i32)])]).await;
        bench.until("one", |status| status.applied == set(number).to_string()).await;
    }
    let quiet = bench.status.borrow().totals;
    assert_eq!(quiet.groups, 2 + 10, "{quiet:?}");
    let backlog: Vec<Item> = (21..=2020).map(|number| txn(number, vec![insert(number as i32)])).collect();
    source.send(&backlog).await;
    let status = bench.until("all", |status| status.applied == set(2020).to_string()).await;
    assert!(status.totals.groups < quiet.groups + 50, "{:?}", status.totals);
    assert_eq!(bench.rows().await.len(), 3 + 10 + 2000);
    bench.end().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fatal_report_of_the_source_ends_the_job_and_a_passing_one_does_not() {
    let mut bench = Bench::start(8 << 20).await;
    let report = |class, code: &str| ErrorReport {
        at: String::new(),
        class,
        code: code.into(),
        text: "no".into(),
        fix: "do".into(),
        faults: Vec::new(),
    };
    for (class, code) in [(Disposition::Retry, "PEER1302"), (Disposition::Fatal, "PEER1305")] {
        let mut source = bench.subscribed().await;
        let report_json = serde_json::to_string(&report(class, code)).expect("text");
        source
            .stream
            .send(&SourceToSink::Failed {
                report_json,
                disposition: class,
            })
            .await
            .expect("sent");
        source.stream.finish().await.expect("finished");
        if class == Disposition::Retry {
            let why = |status: &SinkStatus| {
                status
                    .reason
                    .as_ref()
                    .is_some_and(|reason| reason.starts_with("the source on source failed: "))
            };
            bench.until("the status says what failed", why).await;
        }
    }
    let flow = std::mem::replace(&mut bench.flow, tokio::spawn(async { Ok(()) }));
    let error = timeout(SOON, flow)
        .await
        .expect("ends")
        .expect("no panic")
        .expect_err("fatal");
    assert_eq!((error.disposition(), error.code().as_str()), (Disposition::Fatal, "PEER1305"));
    let mut failed = 0;
    while let Ok(event) = bench.events.try_recv() {
        failed += u32::from(matches!(event, SinkEvent::SourceFailed { .. }));
    }
    assert_eq!(failed, 1);
    bench.end().await.expect("ended before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_owner_ends_the_older_one_quietly() {
    let mut bench = Bench::start(8 << 20).await;
    let mut source = bench.subscribed().await;
    source.send(&beginning(&bench.schema)).await;
    bench.until("the copy", |status| status.phase == Phase::Streaming).await;
    let (newer_stop, (status, _watching)) = (CancellationToken::new(), watch::channel(SinkStatus::default()));
    let newer = SinkArgs {
        owner: NodeId("newer".into()),
        status,
        ..bench.args.clone()
    };
    let newer = tokio::spawn(sink_flow::run(newer, newer_stop.clone()));
    let mut second = bench.subscribed().await;
    assert_eq!(second.subscribe.epoch, Epoch(2));
    let _ = source.stream.send_frame(one(txn(11, vec![insert(11)]))).await;
    let flow = std::mem::replace(&mut bench.flow, tokio::spawn(async { Ok(()) }));
    let error = timeout(SOON, flow)
        .await
        .expect("ends")
        .expect("no panic")
        .expect_err("superseded");
    assert_eq!(error.disposition(), Disposition::Superseded, "{error}");
    second.send(&[txn(11, vec![insert(12)])]).await;
    support::wait::until_async("the newer owner's row", SOON, || async {
        let rows = bench.rows().await;
        (rows == named(&[1, 2, 3, 12])).then_some(())
    })
    .await;
    newer_stop.cancel();
    newer.await.expect("no panic").expect("a clean stop");
    bench.end().await.expect("ended before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_falls_silent_is_left_to_another_peer_within_seconds() {
    let line = Line::to(target().port).await;
    let mut bench = Bench::start_at(line.port, 8 << 20).await;
    let mut source = bench.subscribed().await;
    source.send(&beginning(&bench.schema)).await;
    bench.until("the copy", |status| status.phase == Phase::Streaming).await;
    line.die();
    source.send(&[txn(11, vec![insert(11)])]).await;
    let flow = std::mem::replace(&mut bench.flow, tokio::spawn(async { Ok(()) }));
    let error = timeout(Duration::from_secs(15), flow)
        .await
        .expect("well before the 30 s that a commit may take")
        .expect("no panic")
        .expect_err("gives up");
    assert_eq!(error.disposition(), Disposition::Replace, "{error}");
    bench.end().await.expect("ended before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_long_on_a_living_target_is_waited_for() {
    let mut bench = Bench::start(8 << 20).await;
    let mut source = bench.subscribed().await;
    source.send(&beginning(&bench.schema)).await;
    bench.until("the copy", |status| status.phase == Phase::Streaming).await;
    let slow = format!(
        "CREATE TRIGGER {0}.slow BEFORE INSERT ON {0}.t FOR EACH ROW SET @slept = SLEEP(8)",
        bench.schema
    );
    target().run(&[&slow]).await;
    source.send(&[txn(11, vec![insert(11)])]).await;
    bench
        .until("transaction 11", |status| status.applied == set(11).to_string())
        .await;
    assert_eq!(bench.fence("epoch").await, "1", "it was never taken over again");
    bench.end().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_reaches_no_source_gives_way_to_a_peer_that_does() {
    let mut bench = Bench::start_beside(Some("bj-1"), target().port, 8 << 20).await;
    let mut source = bench.subscribed().await;
    source.send(&beginning(&bench.schema)).await;
    bench.until("the copy", |status| status.phase == Phase::Streaming).await;
    bench.source.shutdown().await;
    let flow = std::mem::replace(&mut bench.flow, tokio::spawn(async { Ok(()) }));
    let ended = timeout(Duration::from_secs(45), flow)
        .await
        .expect("two tries of 5 s")
        .expect("no panic");
    let error = ended.expect_err("gives way");
    assert!(matches!(&error, FlowError::GivesWay { peer } if peer == "bj-1"), "{error}");
    assert_eq!(error.disposition(), Disposition::Replace);
    assert_eq!(bench.fence("owner").await, "", "the fence was released");
    bench.end().await.expect("ended before");
}

fn one(item: Item) -> Frame {
    let body = encode_batch(&[item], peer::wire::compress::Compression::None, &mut BatchEncoder::default()).expect("small");
    Frame { kind: DATA, body }
}
