//! One subscription from the sink's end of a real stream: what comes first, what a resumed copy sends, and how it fails.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peer::core::change::{Chunk, CopyRow, Item};
use peer::core::disposition::Disposition;
use peer::core::gtid_set::GtidSet;
use peer::core::ids::{ClusterId, Incarnation, JobId, JobName, NodeId, Seq};
use peer::core::job_spec::{ApplySpec, Compression, JobSpec, LinkSpec, Preferences, SinkSpec, SourceSpec, StartPoint};
use peer::core::job_state::ErrorReport;
use peer::core::progress::Progress;
use peer::core::shape::TableName;
use peer::core::table_choice::Selection;
use peer::flow::error::FlowError;
use peer::flow::source_flow::{self, SourceArgs};
use peer::mysql::session::Session;
use peer::mysql::source::{heartbeat, inspect};
use peer::store::spill::SpillFolder;
use peer::transport::endpoint::{Endpoint, EndpointConfig, Incoming};
use peer::transport::key::ClusterKey;
use peer::transport::rate_limit::RateLimit;
use peer::transport::stream::{FrameReceiver, FrameSender};
use peer::wire::batch::decode_batch;
use peer::wire::frame::DATA;
use peer::wire::message::{Message, SourceToSink, StreamKind};
use support::schema::TestSchema;
use support::servers::servers;
use support::target::database;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

fn spec(schema: &TestSchema, tables: &[&str]) -> JobSpec {
    let table = |table: &&str| TableName {
        schema: schema.base.clone(),
        table: (*table).to_owned(),
    };
    JobSpec {
        name: JobName(schema.base.clone()),
        datacenters: Vec::new(),
        constraints: Vec::new(),
        source: SourceSpec {
            endpoint: database(servers().source),
            start: StartPoint::Snapshot,
            constraints: Vec::new(),
            preferences: Preferences::default(),
        },
        sink: SinkSpec {
            endpoint: database(servers().target),
            meta_schema: schema.meta.clone(),
            constraints: Vec::new(),
            preferences: Preferences::default(),
            on_ddl: Default::default(),
            on_conflict: Default::default(),
            drop_triggers: false,
        },
        selection: Selection::default(),
        tables: tables.iter().map(table).collect(),
        link: LinkSpec {
            compression: Compression::Lz4,
            rate_bytes: 0,
            batch_bytes: 256 << 10,
            batch_delay_ms: 0,
        },
        apply: ApplySpec {
            group_transactions: 100,
            group_bytes: 1 << 20,
            check: Default::default(),
        },
        preferences: Preferences::default(),
        restart: Default::default(),
        reschedule: Default::default(),
    }
}

/// A running source flow and the sink's end of its stream.
struct Subscription {
    frames: FrameReceiver,
    _acks: FrameSender,
    flow: JoinSet<Result<(), FlowError>>,
    stop: CancellationToken,
    waiting: Vec<Item>,
    _endpoints: (Endpoint, Endpoint, Incoming, Incoming),
}

/// What comes over the stream.
#[derive(Debug)]
enum Came {
    Item(Item),
    Failed(ErrorReport),
}

async fn subscribe(spec: JobSpec, progress: Progress) -> Subscription {
    let key = ClusterKey::generate().expect("random numbers");
    let bind = |name: &str| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Endpoint::bind(EndpointConfig::new(any, NodeId(name.into()), key.clone(), "flow-test")).expect("a free port")
    };
    let ((source, mut at_source), (sink, at_sink)) = (bind("source"), bind("sink"));
    let (opened, accepted) = tokio::join!(sink.open(source.local_addr(), StreamKind::Subscribe), at_source.recv());
    let (acks, frames) = opened.expect("accepted").split();
    let args = SourceArgs {
        job: JobId {
            name: spec.name.clone(),
            inc: Incarnation(1),
        },
        spec,
        progress,
        window_bytes: 1 << 30,
        cluster_id: ClusterId("c".repeat(64)),
        stream: accepted.expect("a stream").stream,
        rates: vec![RateLimit::new(0)],
        budget_bytes: 32 << 20,
        spill: SpillFolder::open(support::guard::folder()).expect("a folder"),
        wall: Arc::new(|| "2026-01-01T00:00:00Z".into()),
        status: watch::Sender::default(),
    };
    let (stop, mut flow) = (CancellationToken::new(), JoinSet::new());
    flow.spawn(source_flow::run(args, stop.clone()));
    Subscription {
        frames,
        _acks: acks,
        flow,
        stop,
        waiting: Vec::new(),
        _endpoints: (source, sink, at_source, at_sink),
    }
}

impl Subscription {
    async fn next(&mut self) -> Came {
        while self.waiting.is_empty() {
            let frame = timeout(Duration::from_secs(20), self.frames.recv_frame())
                .await
                .expect("within 20 s");
            let frame = frame.expect("the stream lives").expect("the stream goes on");
            if frame.kind == DATA {
                self.waiting = decode_batch(frame.body).expect("decodes");
            } else if let SourceToSink::Failed { report_json, .. } = SourceToSink::from_frame(&frame).expect("decodes") {
                return Came::Failed(serde_json::from_str(&report_json).expect("a report"));
            }
        }
        Came::Item(self.waiting.remove(0))
    }

    async fn item(&mut self) -> Item {
        match self.next().await {
            Came::Item(item) => item,
            Came::Failed(report) => panic!("failed: {report:?}"),
        }
    }

    /// The next chunk; transactions of others' tests are passed over.
    async fn chunk(&mut self) -> Chunk {
        loop {
            match self.item().await {
                Item::Chunk(chunk) => return chunk,
                Item::Txn(part) => assert!(part.changes.is_empty(), "expected a chunk, found {part:?}"),
                other => panic!("expected a chunk, found {other:?}"),
            }
        }
    }

    async fn failure(&mut self) -> ErrorReport {
        loop {
            if let Came::Failed(report) = self.next().await {
                return report;
            }
        }
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.flow
            .join_next()
            .await
            .expect("one flow")
            .expect("no panic")
            .expect("a clean stop");
    }
}

async fn schema_with(word: &str, statements: &[&str]) -> TestSchema {
    let schema = TestSchema::new(word).await;
    let statements: Vec<String> = statements
        .iter()
        .map(|statement| statement.replace("{s}", &schema.base))
        .collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    servers().source.run(&statements).await;
    schema
}

/// Progress of a job that stands at the present, its copies as given.
async fn progress_now(spec: &JobSpec, copy: impl Fn(TableName) -> CopyRow) -> Progress {
    let mut session = Session::connect(&spec.source.endpoint).await.expect("connects");
    let executed = heartbeat::beat(&mut session).await.expect("answers").executed;
    Progress {
        seq: Seq(5),
        executed,
        source_uuid: session.server_uuid().to_owned(),
        copy: spec.tables.iter().cloned().map(copy).collect(),
        shapes: inspect::shapes(&mut session, &spec.tables).await.expect("shapes"),
        ..Progress::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_progress_gets_shapes_then_the_start_then_rows_then_changes() {
    let tables = [
        "CREATE TABLE {s}.a (id INT PRIMARY KEY)",
        "CREATE TABLE {s}.b (id INT PRIMARY KEY)",
        "INSERT INTO {s}.a VALUES (1),(2)",
    ];
    let schema = schema_with("fresh", &tables).await;
    let mut subscription = subscribe(spec(&schema, &["a", "b"]), Progress::default()).await;
    for number in 0..2 {
        assert!(matches!(subscription.item().await, Item::Shape { id, .. } if id.0 == number));
    }
    let Item::Start { copy, executed, .. } = subscription.item().await else {
        panic!("expected the start")
    };
    assert_eq!((copy.len(), executed.is_empty()), (2, false));
    // A page of two rows is counted, not guessed.
    assert_eq!(copy[0].rows_estimate, Some(2));
    let mut rows = 0;
    for _ in 0..2 {
        let chunk = subscription.chunk().await;
        assert!(chunk.is_last);
        rows += chunk.rows.len();
    }
    assert_eq!(rows, 2);
    servers()
        .source
        .run(&[&format!("INSERT INTO {}.b VALUES (7)", schema.base)])
        .await;
    loop {
        let Item::Txn(part) = subscription.item().await else {
            panic!("expected transactions only")
        };
        if !part.changes.is_empty() {
            break;
        }
    }
    subscription.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_copy_goes_on_behind_its_cursor_and_a_keyless_one_starts_anew() {
    let tables = [
        "CREATE TABLE {s}.a (id INT PRIMARY KEY)",
        "CREATE TABLE {s}.b (v INT)",
        "INSERT INTO {s}.a VALUES (1),(2),(3)",
        "INSERT INTO {s}.b VALUES (1)",
    ];
    let schema = schema_with("resume", &tables).await;
    let spec = spec(&schema, &["a", "b"]);
    let cursor = peer::core::change::Key(vec![2_i32.to_le_bytes().to_vec()]);
    let copy = |table: TableName| {
        let cursor = (table.table == "a").then(|| cursor.clone());
        CopyRow {
            table,
            cursor,
            rows: 2,
            rows_estimate: None,
            is_done: false,
            since: Default::default(),
        }
    };
    let progress = progress_now(&spec, copy).await;
    let mut subscription = subscribe(spec, progress).await;
    for _ in 0..2 {
        assert!(matches!(subscription.item().await, Item::Shape { .. }));
    }
    assert!(matches!(subscription.item().await, Item::Reset { shape } if shape.0 == 1));
    for _ in 0..2 {
        let chunk = subscription.chunk().await;
        assert_eq!((chunk.rows.len(), chunk.low.is_some()), (1, chunk.shape.0 == 0), "{chunk:?}");
    }
    subscription.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lost_transactions_of_the_target_is_refused() {
    let schema = schema_with("lost", &["CREATE TABLE {s}.a (id INT PRIMARY KEY)"]).await;
    let spec = spec(&schema, &["a"]);
    let mut progress = progress_now(&spec, |table| CopyRow {
        table,
        cursor: None,
        rows: 0,
        rows_estimate: None,
        is_done: true,
        since: Default::default(),
    })
    .await;
    // Its own transactions: it cannot catch up with them.
    let ahead = format!("{}:1000000001-1000000003", progress.source_uuid);
    progress.executed.union(&GtidSet::parse(&ahead).expect("a set"));
    let mut subscription = subscribe(spec, progress).await;
    let report = subscription.failure().await;
    assert_eq!(report.class, Disposition::Fatal);
    assert!(report.fix.contains("would lose 3 transactions"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_the_source_again_may_catch_up_with_what_the_other_one_did() {
    let schema = schema_with("failback", &["CREATE TABLE {s}.a (id INT PRIMARY KEY)"]).await;
    let spec = spec(&schema, &["a"]);
    let mut progress = progress_now(&spec, |table| CopyRow {
        table,
        cursor: None,
        rows: 0,
        rows_estimate: None,
        is_done: true,
        since: Default::default(),
    })
    .await;
    // The job began here, followed another server meanwhile, and comes back before this one has everything.
    let other = format!("00000000-0000-4000-8000-{:012x}:1", std::process::id());
    progress.executed.union(&GtidSet::parse(&other).expect("a set"));
    let mut subscription = subscribe(spec, progress).await;
    assert!(
        timeout(Duration::from_secs(2), subscription.next()).await.is_err(),
        "it waits for the server"
    );
    let next = format!("SET GTID_NEXT = '{other}'");
    servers().source.run(&[&next, "BEGIN", "COMMIT"]).await;
    assert!(matches!(subscription.item().await, Item::Shape { .. }));
    subscription.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_change_is_the_last_item_behind_everything_before_it() {
    let schema = schema_with("ddl", &["CREATE TABLE {s}.a (id INT PRIMARY KEY)"]).await;
    let spec = spec(&schema, &["a"]);
    let progress = progress_now(&spec, |table| CopyRow {
        table,
        cursor: None,
        rows: 0,
        rows_estimate: None,
        is_done: true,
        since: Default::default(),
    })
    .await;
    let (insert, alter, after) = (
        format!("INSERT INTO {}.a VALUES (1)", schema.base),
        format!("ALTER TABLE {}.a ADD v INT", schema.base),
        format!("INSERT INTO {}.a VALUES (2, 3)", schema.base),
    );
    servers().source.run(&[&insert, &alter, &after]).await;
    let mut subscription = subscribe(spec, progress).await;
    let mut changes = 0;
    let ddl = loop {
        match subscription.next().await {
            Came::Item(Item::Txn(part)) => changes += part.changes.len(),
            Came::Item(Item::Ddl(ddl)) => break ddl,
            Came::Item(_) => {}
            Came::Failed(report) => panic!("{report:?}"),
        }
    };
    assert_eq!((changes, ddl.excerpt()), (1, alter));
    let more = tokio::time::timeout(std::time::Duration::from_secs(3), subscription.item()).await;
    assert!(more.is_err(), "{more:?} behind the change");
    subscription.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_named() {
    let schema = schema_with("missing", &[]).await;
    let mut subscription = subscribe(spec(&schema, &["nowhere"]), Progress::default()).await;
    let report = subscription.failure().await;
    assert_eq!(report.class, Disposition::Fatal);
    assert!(report.text.contains("nowhere"), "{report:?}");
}
