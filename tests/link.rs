//! The link between two peers over real endpoints: order, window, rate, lag.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::config::job::parse_job;
use peer::core::change::{BinlogPosition, Change, Item, Row, TxnPart};
use peer::core::disposition::Disposition;
use peer::core::gtid_set::{Gtid, GtidSet, SourceId};
use peer::core::ids::NodeId;
use peer::core::job_spec::{Compression, JobSpec, LinkSpec};
use peer::core::job_state::ErrorReport;
use peer::core::shape::ShapeId;
use peer::flow::byte_channel::{ByteReceiver, ByteSender, channel};
use peer::flow::error::FlowError;
use peer::flow::pulse::Pulse;
use peer::flow::receiver::{self, Arrived, ReceiverArgs};
use peer::flow::sender::{self, Outgoing, SenderArgs};
use peer::flow::sink_meter::SinkMeter;
use peer::flow::status::{Durable, SentTotals};
use peer::flow::window_budget::WindowBudget;
use peer::mysql::source::heartbeat::Beat;
use peer::transport::endpoint::{Endpoint, EndpointConfig, Incoming};
use peer::transport::key::ClusterKey;
use peer::transport::rate_limit::RateLimit;
use peer::transport::stream::{FrameReceiver, FrameSender};
use peer::wire::message::StreamKind;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const UUID: &str = "01010101-0101-0101-0101-010101010101";

/// Two endpoints of one cluster and a stream between them; the endpoints live as long as the streams do.
struct Wire {
    source: (FrameSender, FrameReceiver),
    sink: (FrameSender, FrameReceiver),
    _endpoints: (Endpoint, Endpoint, Incoming, Incoming),
}

async fn wire() -> Wire {
    let key = ClusterKey::generate().expect("random numbers");
    let bind = |name: &str| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Endpoint::bind(EndpointConfig::new(any, NodeId(name.into()), key.clone(), "link-test")).expect("a free port")
    };
    let (source, mut at_source) = bind("source");
    let (sink, at_sink) = bind("sink");
    let (opened, accepted) = tokio::join!(sink.open(source.local_addr(), StreamKind::Subscribe), at_source.recv());
    Wire {
        source: accepted.expect("a stream").stream.split(),
        sink: opened.expect("accepted").split(),
        _endpoints: (source, sink, at_source, at_sink),
    }
}

struct Options {
    window: u64,
    /// What the window may grow by.
    growth: u64,
    rate: u64,
    compression: Compression,
    /// Bound of the sink's channel.
    sink_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: 8 << 20,
            growth: 0,
            rate: 0,
            compression: Compression::Lz4,
            sink_bytes: 8 << 20,
        }
    }
}

/// A sender and a receiver at work.
struct Link {
    to_sender: ByteSender<Outgoing>,
    beats: watch::Sender<Beat>,
    arrived: ByteReceiver<Arrived>,
    consumed: watch::Sender<u64>,
    meter: Arc<SinkMeter>,
    sent: watch::Receiver<SentTotals>,
    durable: watch::Receiver<Durable>,
    live: watch::Sender<Arc<JobSpec>>,
    budget: WindowBudget,
    stages: JoinSet<Result<(), FlowError>>,
    _wire: (Endpoint, Endpoint, Incoming, Incoming),
}

/// A job with this rate.
fn job(rate: u64) -> Arc<JobSpec> {
    let text = "name = \"link\"\n[source]\nhost = \"a\"\nuser = \"u\"\npassword = \"\"\n[sink]\nhost = \"b\"\nuser = \"u\"\n\
         password = \"\"\n[[tables]]\nschema = \"s\"\ntable = \"t\"\n";
    let mut spec = parse_job(text).expect("a valid job");
    spec.link.rate_bytes = rate;
    Arc::new(spec)
}

async fn link(options: Options) -> Link {
    let Wire {
        source,
        sink,
        _endpoints,
    } = wire().await;
    let (to_sender, items) = channel(1 << 20, 10_000);
    let (to_applier, arrived) = channel(options.sink_bytes, 100_000);
    let (totals, sent) = watch::channel(SentTotals::default());
    let (durable_tx, durable) = watch::channel(Durable::default());
    let (consumed, consumed_rx) = watch::channel(0);
    let (live, live_rx) = watch::channel(job(options.rate));
    let (beats, beats_rx) = watch::channel(Beat::default());
    let meter = Arc::new(SinkMeter::default());
    let budget = WindowBudget::new(options.growth);
    let mut stages = JoinSet::new();
    let send = SenderArgs {
        task: "link-test".into(),
        items,
        pulse: Pulse::new(beats_rx, watch::channel(GtidSet::default()).1),
        frames: source.0,
        acks: source.1,
        link: LinkSpec {
            compression: options.compression,
            rate_bytes: options.rate,
            batch_bytes: 256 << 10,
            batch_delay_ms: 0,
        },
        window_bytes: options.window,
        rates: vec![RateLimit::new(options.rate)],
        totals,
        durable: durable_tx,
        copy_held: watch::Sender::default(),
        minimal: watch::Sender::default(),
    };
    stages.spawn(sender::run(send, CancellationToken::new()));
    let receive = ReceiverArgs {
        peer: NodeId("source".into()),
        frames: sink.1,
        acks: sink.0,
        items: to_applier,
        meter: Arc::clone(&meter),
        window_bytes: options.window,
        growth: budget.share(),
        consumed: consumed_rx,
        minimal: watch::channel(Vec::new()).1,
        live: live_rx,
    };
    stages.spawn(async move { receiver::run(receive).await.map(|never| match never {}) });
    Link {
        to_sender,
        beats,
        arrived,
        consumed,
        meter,
        sent,
        durable,
        live,
        budget,
        stages,
        _wire: _endpoints,
    }
}

impl Link {
    async fn send(&self, item: Item) {
        let outgoing = Outgoing::Item(item);
        let weight = outgoing.weight();
        self.to_sender.send(outgoing, weight).await.expect("the sender runs");
    }

    fn beat(&self, last: u64, source_now_us: u64) {
        self.beats.send_replace(Beat {
            executed: GtidSet::parse(&format!("{UUID}:1-{last}")).expect("a set"),
            source_now_us,
        });
    }

    /// The next item, its credit given back.
    async fn apply(&mut self) -> Option<Item> {
        let arrived = timeout(Duration::from_secs(20), self.arrived.recv())
            .await
            .expect("within 20 s")?
            .into_item();
        self.consumed.send_modify(|total| *total += arrived.credit);
        Some(arrived.item)
    }
}

fn txn(number: u64, row: Vec<u8>) -> Item {
    Item::Txn(TxnPart {
        gtid: Gtid {
            source: SourceId {
                uuid: [1; 16],
                tag: String::new(),
            },
            number,
        },
        is_first: true,
        is_last: true,
        last_committed: 0,
        sequence_number: 1,
        prepared: None,
        commit_us: number * 1_000_000,
        position: BinlogPosition {
            file: "binlog.000001".into(),
            offset: number,
        },
        changes: vec![Change::Insert {
            shape: ShapeId(0),
            after: Row(row.into()),
        }],
    })
}

/// Bytes that LZ4 cannot shrink.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn number_of(item: &Item) -> u64 {
    let Item::Txn(part) = item else { panic!("{item:?}") };
    part.gtid.number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_under_load() {
    let mut link = link(Options {
        window: 1 << 20,
        ..Options::default()
    })
    .await;
    let to_sender = link.to_sender.clone();
    let feeding = tokio::spawn(async move {
        for number in 1..=20_000 {
            let outgoing = Outgoing::Item(txn(number, noise(number, (number % 700) as usize)));
            let weight = outgoing.weight();
            to_sender.send(outgoing, weight).await.expect("the sender runs");
        }
    });
    for number in 1..=20_000 {
        let item = link.apply().await.expect("more items");
        assert_eq!(item, txn(number, noise(number, (number % 700) as usize)));
    }
    feeding.await.expect("fed");
    let sent = *link.sent.borrow();
    assert!(sent.batches < 10_000, "20000 transactions went in {} batches", sent.batches);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_arrives_in_parts() {
    let mut link = link(Options::default()).await;
    let Item::Txn(mut part) = txn(1, Vec::new()) else {
        unreachable!("a transaction")
    };
    part.changes = (0..500)
        .map(|at| Change::Insert {
            shape: ShapeId(0),
            after: Row(noise(at, 10_000).into()),
        })
        .collect();
    link.send(Item::Txn(part.clone())).await;
    let mut changes = Vec::new();
    loop {
        let Item::Txn(piece) = link.apply().await.expect("a part") else {
            panic!("not a part")
        };
        assert_eq!(piece.is_first, changes.is_empty());
        changes.extend(piece.changes);
        if piece.is_last {
            break;
        }
        assert!(changes.len() < 500);
    }
    assert!(changes == part.changes, "all rows in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_consumer_bounds_the_bytes_in_flight() {
    const WINDOW: u64 = 1 << 20;
    const ROW: usize = 10_000;
    let mut link = link(Options {
        window: WINDOW,
        sink_bytes: 256 << 10,
        ..Options::default()
    })
    .await;
    let to_sender = link.to_sender.clone();
    let feeding = tokio::spawn(async move {
        for number in 1..=1000_u64 {
            let outgoing = Outgoing::Item(txn(number, noise(number, ROW)));
            let weight = outgoing.weight();
            to_sender.send(outgoing, weight).await.expect("the sender runs");
        }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent = *link.sent.borrow();
    assert!(
        sent.bytes_wire <= WINDOW,
        "{} bytes left with a window of {WINDOW}",
        sent.bytes_wire
    );
    assert!(
        sent.bytes_wire >= WINDOW / 2,
        "only {} bytes left with a window of {WINDOW}",
        sent.bytes_wire
    );
    assert!(link.to_sender.depth().bytes <= 1 << 20, "{:?}", link.to_sender.depth());
    assert!(link.arrived.depth().bytes <= 256 << 10, "{:?}", link.arrived.depth());
    assert!(!feeding.is_finished());
    for number in 1..=1000 {
        assert_eq!(number_of(&link.apply().await.expect("more")), number);
    }
    feeding.await.expect("fed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_larger_than_the_window_passes_alone() {
    let mut link = link(Options {
        window: 100_000,
        ..Options::default()
    })
    .await;
    for number in 1..=5 {
        link.send(txn(number, noise(number, 400_000))).await;
        assert_eq!(number_of(&link.apply().await.expect("more")), number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_carries_no_more_than_its_rate() {
    const RATE: u64 = 2_000_000;
    let mut link = link(Options {
        rate: RATE,
        ..Options::default()
    })
    .await;
    let to_sender = link.to_sender.clone();
    let feeding = tokio::spawn(async move {
        for number in 1.. {
            let outgoing = Outgoing::Item(txn(number, noise(number, 1000)));
            let weight = outgoing.weight();
            if to_sender.send(outgoing, weight).await.is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        link.apply().await.expect("more");
    }
    let carried = link.sent.borrow().bytes_wire as f64 / started.elapsed().as_secs_f64();
    assert!(carried <= RATE as f64 * 1.10, "{carried} bytes a second at a rate of {RATE}");
    assert!(carried >= RATE as f64 * 0.85, "{carried} bytes a second at a rate of {RATE}");

    link.live.send_replace(job(RATE / 4));
    let settle = Instant::now();
    while settle.elapsed() < Duration::from_millis(500) {
        link.apply().await.expect("more");
    }
    let (before, started) = (link.sent.borrow().bytes_wire, Instant::now());
    while started.elapsed() < Duration::from_secs(2) {
        link.apply().await.expect("more");
    }
    let carried = (link.sent.borrow().bytes_wire - before) as f64 / started.elapsed().as_secs_f64();
    assert!(
        carried <= RATE as f64 / 4.0 * 1.15,
        "{carried} bytes a second after the rate was cut to {}",
        RATE / 4
    );
    feeding.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_link_carries_one_transaction_at_once() {
    let mut link = link(Options::default()).await;
    let mut slowest = Duration::ZERO;
    for number in 1..=50 {
        let sent_at = Instant::now();
        link.send(txn(number, noise(number, 200))).await;
        link.apply().await.expect("an item");
        slowest = slowest.max(sent_at.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(link.sent.borrow().batches, 50);
    assert!(slowest < Duration::from_millis(40), "the slowest took {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_is_zero_when_idle_and_grows_when_stuck() {
    let mut link = link(Options::default()).await;
    let set = |last: u64| GtidSet::parse(&format!("{UUID}:1-{last}")).expect("a set");
    let applied = |meter: &SinkMeter, last| meter.passed(1, &set(last));
    link.send(txn(1, Vec::new())).await;
    link.beat(1, 1_000_000);
    link.apply().await.expect("the transaction");
    applied(&link.meter, 1);
    for second in 2..4 {
        link.beat(1, second * 1_000_000);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(link.meter.status().lag_ms, Some(0), "idle");
    }
    link.send(txn(4, Vec::new())).await;
    link.beat(4, 4_100_000);
    link.apply().await.expect("the transaction");
    let mut last = 0;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let lag = link.meter.status().lag_ms.expect("heard");
        assert!(lag > last, "{lag} after {last}");
        last = lag;
    }
    assert!(
        (1_200..3_000).contains(&last),
        "stuck for 1.2 s, committed 0.1 s before: {last}"
    );
    applied(&link.meter, 4);
    assert_eq!(link.meter.status().lag_ms, Some(0), "applied again");
}

/// A heartbeat behind the rows would be as old as their queue, and find everything before it applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_a_link_held_back_by_its_rate_lags_until_the_last_row_is_there() {
    const ROWS: u64 = 100;
    let mut link = link(Options {
        rate: 30_000,
        ..Options::default()
    })
    .await;
    for number in 1..=ROWS {
        link.send(txn(number, noise(number, 1_000))).await;
    }
    let set = |last: u64| GtidSet::parse(&format!("{UUID}:1-{last}")).expect("a set");
    let (begun, mut heard) = (Instant::now(), 0_u64);
    for number in 1..=ROWS {
        link.apply().await.expect("the transaction");
        link.meter.passed(1, &set(number));
        let elapsed = begun.elapsed();
        link.beat(ROWS, (ROWS * 1_000_000) + elapsed.as_micros() as u64);
        if number < ROWS && link.meter.status().lag_ms.is_some() {
            heard += 1;
            let lag = link.meter.status().lag_ms.expect("heard");
            assert!(lag > 0, "{number} of {ROWS} rows are there after {elapsed:?}");
        }
    }
    assert!(heard > ROWS / 2, "only {heard} rows were waited for with a heartbeat");
    let done = timeout(Duration::from_secs(5), async {
        while link.meter.status().lag_ms != Some(0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    done.await.expect("nothing is missing any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_before_a_report_arrives_before_it() {
    let mut link = link(Options::default()).await;
    for number in 1..=10 {
        link.send(txn(number, noise(number, 100))).await;
    }
    let report = ErrorReport {
        at: String::new(),
        class: Disposition::Fatal,
        code: "PEER1305".into(),
        text: "binlog purged".into(),
        fix: "copy again".into(),
        faults: Vec::new(),
    };
    link.to_sender
        .send(Outgoing::Failed(report.clone()), 100)
        .await
        .expect("the sender runs");
    for number in 1..=10 {
        assert_eq!(number_of(&link.apply().await.expect("an item")), number);
    }
    assert!(link.apply().await.is_none(), "the end");
    let mut ends = Vec::new();
    while let Some(end) = link.stages.join_next().await {
        ends.push(end.expect("no panic"));
    }
    let reported = ends.iter().find_map(|end| {
        if let Err(FlowError::Reported { report, .. }) = end {
            Some(report)
        } else {
            None
        }
    });
    assert_eq!(reported.map(|report| &**report), Some(&report));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_learns_what_is_durable() {
    let mut link = link(Options::default()).await;
    let set = GtidSet::parse(&format!("{UUID}:1-7")).expect("a set");
    link.send(txn(7, Vec::new())).await;
    link.apply().await.expect("an item");
    link.meter.committed(peer::flow::sink_meter::Committed {
        seq: peer::core::ids::Seq(3),
        added: &set,
        durable: &set,
        transactions: 1,
        rows: 1,
        position: None,
    });
    link.consumed.send_modify(|_| {});
    let durable = timeout(Duration::from_secs(2), link.durable.wait_for(|durable| durable.seq == 3)).await;
    let durable = durable.expect("within 2 s").expect("the sender runs").clone();
    assert_eq!(durable.executed, set.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_grows_to_what_its_link_holds_and_gives_that_back_in_the_end() {
    const GROWTH: u64 = 512 << 10;
    let mut link = link(Options {
        window: 64 << 10,
        growth: GROWTH,
        ..Options::default()
    })
    .await;
    let left = |link: &Link| link.budget.share().take(u64::MAX);
    let to_sender = link.to_sender.clone();
    let feeding = tokio::spawn(async move {
        for number in 1.. {
            let outgoing = Outgoing::Item(txn(number, noise(number, 4096)));
            let weight = outgoing.weight();
            if to_sender.send(outgoing, weight).await.is_err() {
                return;
            }
        }
    });
    assert_eq!(left(&link), GROWTH);
    // The loop takes 50 ms and more: 64 KiB are 1.3 MB/s, which this link carries many times over.
    let grown = timeout(Duration::from_secs(20), async {
        while left(&link) == GROWTH {
            link.apply().await.expect("an item");
        }
    });
    grown.await.expect("the window grows");
    link.stages.shutdown().await;
    assert_eq!(left(&link), GROWTH, "the stream is over");
    feeding.await.expect("the sender is gone");
}
