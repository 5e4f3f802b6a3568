//! What a link of known rate, round trip and loss carries from one peer to another: two endpoints with a relay of datagrams between them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peer::core::ids::NodeId;
use peer::transport::endpoint::{Endpoint, EndpointConfig};
use peer::transport::key::ClusterKey;
use peer::wire::frame::{DATA_PIECE, Frame};
use peer::wire::message::StreamKind;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::support::random::Random;

/// What waits in front of the line before packets are dropped.
const QUEUE: Duration = Duration::from_millis(30);
/// Before the clock runs, and so many round trips: as often what is in flight may double.
const WARM_UP: Duration = Duration::from_secs(2);
const WARM_UP_ROUND_TRIPS: u32 = 15;
const FRAME_BYTES: usize = 256 * 1024;
/// A part in 10,000 of the line's rate is configured: headers and acknowledgements take the rest.
const CONFIGURED: u64 = 9_500;

/// A line: bytes per second, time one way, lost packets of 10,000.
#[derive(Clone, Copy)]
struct Line {
    rate: u64,
    delay: Duration,
    loss: u64,
}

/// Passes datagrams one way.
async fn pass(from: Arc<UdpSocket>, to: Arc<UdpSocket>, target: impl Fn() -> Option<SocketAddr>, line: Line, seed: u64) {
    let mut random = Random(seed);
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut free_at = Instant::now();
    let mut buffer = vec![0; 65_536];
    loop {
        let due = waiting.front().map_or_else(|| Instant::now() + QUEUE, |(due, _)| *due);
        tokio::select! {
            ready = from.readable() => {
                ready.expect("the socket is open");
                while let Ok(size) = from.try_recv(&mut buffer) {
                    let now = Instant::now();
                    let starts = free_at.max(now);
                    if random.below(10_000) < line.loss || starts - now > QUEUE {
                        continue;
                    }
                    free_at = starts + Duration::from_nanos(size as u64 * 1_000_000_000 / line.rate);
                    waiting.push_back((free_at + line.delay, buffer[..size].to_vec()));
                }
            }
            () = sleep_until(due) => {}
        }
        while waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, datagram) = waiting.pop_front().expect("looked at");
            if let Some(target) = target() {
                let _ = to.send_to(&datagram, target).await;
            }
        }
    }
}

/// Bytes per second that arrive over `line` between peers of this `limits.memory`; `capped`: congestion control keeps that rate.
async fn carried(line: Line, memory_bytes: u64, capped: Option<u64>, seconds: u64) -> f64 {
    let key = ClusterKey::generate().expect("a key");
    let bind = |name: &str| {
        let config = EndpointConfig::new(
            "127.0.0.1:0".parse().expect("an address"),
            NodeId(name.into()),
            key.clone(),
            "bench",
        );
        let config = EndpointConfig {
            capped,
            memory_bytes,
            ..config
        };
        Endpoint::bind(config).expect("an endpoint")
    };
    let ((source, mut incoming), (sink, _sink_incoming)) = (bind("source"), bind("sink"));
    let (front, back) = (socket().await, socket().await);
    let relay = front.local_addr().expect("an address");
    let (to_source, to_sink) = (source.local_addr(), sink.local_addr());
    let mut tasks = JoinSet::new();
    tasks.spawn(pass(front.clone(), back.clone(), move || Some(to_source), line, 1));
    tasks.spawn(pass(back, front, move || Some(to_sink), line, 2));
    let opened = sink.open(relay, StreamKind::Control);
    let (stream, accepted) = tokio::join!(opened, incoming.recv());
    let (mut stream, accepted) = (stream.expect("a stream"), accepted.expect("a stream"));
    tasks.spawn(async move {
        let mut random = Random(3);
        let body: Bytes = (0..FRAME_BYTES).map(|_| random.below(256) as u8).collect::<Vec<u8>>().into();
        let mut stream = accepted.stream;
        let frame = || Frame {
            kind: DATA_PIECE,
            body: body.clone(),
        };
        while stream.send_frame(frame()).await.is_ok() {}
    });
    let begin = Instant::now() + WARM_UP + line.delay * 2 * WARM_UP_ROUND_TRIPS;
    let (mut bytes, mut from, mut at) = (0usize, begin, begin);
    while at < begin + Duration::from_secs(seconds) {
        let frame = stream.recv_frame().await.expect("the link holds").expect("no end");
        at = Instant::now();
        if at < begin {
            from = at;
        } else {
            bytes += frame.body.len();
        }
    }
    tasks.shutdown().await;
    bytes as f64 / (at - from).as_secs_f64()
}

async fn socket() -> Arc<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    let _ = socket.set_recv_buffer_size(8 << 20);
    socket.set_nonblocking(true).expect("set");
    socket
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().expect("an address").into())
        .expect("bound");
    Arc::new(UdpSocket::from_std(socket.into()).expect("a socket"))
}

/// Mbit/s, round trip in ms, lost packets of 10,000, and the memory limits of the peers in MiB: 16 is a stream's window of 4 MiB, 64, the default, one of 16.
const LINES: [(u64, u64, u64, &[u64]); 10] = [
    (100, 0, 0, &[64]),
    (100, 0, 10, &[64]),
    (100, 60, 0, &[64]),
    (100, 60, 10, &[64]),
    // Holds as much as the last but one, and needs a fifth of its CPU.
    (200, 300, 0, &[16, 64]),
    (200, 300, 10, &[16, 64]),
    (1000, 0, 0, &[64]),
    (1000, 0, 10, &[64]),
    (1000, 60, 0, &[16, 64]),
    (1000, 60, 10, &[16, 64]),
];

/// Every line with both kinds of congestion control; `link-200` only those of 200 Mbit/s.
pub async fn run(seconds: u64, wants: impl Fn(&str) -> bool) {
    println!("link         round trip    loss   memory  control   MB/s   of the line   of the rate");
    for (mbit, round_trip_ms, loss, memories) in LINES {
        if !wants("link") && !wants(&format!("link-{mbit}")) {
            continue;
        }
        let rate = mbit * 125_000;
        let line = Line {
            rate,
            delay: Duration::from_millis(round_trip_ms / 2),
            loss,
        };
        for memory in memories {
            for capped in [None, Some(rate / 10_000 * CONFIGURED)] {
                let carried = carried(line, memory << 20, capped, seconds).await;
                println!(
                    "{mbit:>4} Mbit/s {round_trip_ms:>8} ms {:>6.1} % {memory:>4} MiB  {:<7} {:>6.1} {:>11.0} % {:>11}",
                    loss as f64 / 100.0,
                    if capped.is_some() { "capped" } else { "cubic" },
                    carried / 1e6,
                    carried / rate as f64 * 100.0,
                    capped.map_or_else(|| "-".into(), |cap| format!("{:.0} %", carried / cap as f64 * 100.0)),
                );
            }
        }
    }
}
