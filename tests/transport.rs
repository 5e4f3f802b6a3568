//! The transport with real sockets on loopback: two peers talk, strangers are refused, the dead are noticed.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use peer::core::disposition::Disposition;
use peer::core::ids::NodeId;
use peer::transport::endpoint::{Endpoint, EndpointConfig, Incoming, IncomingStream};
use peer::transport::error::TransportError;
use peer::transport::hello::{Local, greet};
use peer::transport::key::ClusterKey;
use peer::transport::quic::{self, Windows};
use peer::transport::stream::Stream;
use peer::wire::error::WireError;
use peer::wire::frame::{CONTROL_BYTES_MAX, DATA, Frame};
use peer::wire::message::{Hello, Message, Request, Response, StreamKind, WIRE_VERSION};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Everything that must happen at once on loopback, with room for a busy machine.
const SOON: Duration = Duration::from_secs(4);

/// Longest time until an open fails, with room for a busy machine.
const OPEN_FAILS_WITHIN: Duration = Duration::from_millis(5_500);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn new_key() -> ClusterKey {
    ClusterKey::generate().expect("random numbers")
}

fn config(key: &ClusterKey, id: &str) -> EndpointConfig {
    EndpointConfig::new(loopback(), NodeId(id.into()), key.clone(), "prod")
}

fn bind(config: EndpointConfig) -> (Endpoint, Incoming) {
    Endpoint::bind(config).expect("bound")
}

/// Opens a control stream and takes it at the other side.
async fn pair(from: &Endpoint, to: &Endpoint, incoming: &mut Incoming) -> (Stream, IncomingStream) {
    let (opened, accepted) = tokio::join!(from.open(to.local_addr(), StreamKind::Control), incoming.recv());
    (opened.expect("opened"), accepted.expect("accepted"))
}

async fn refused(from: EndpointConfig, to: EndpointConfig) -> TransportError {
    let (to, mut incoming) = bind(to);
    let (from, _from_incoming) = bind(from);
    let error = from.open(to.local_addr(), StreamKind::Control).await.expect_err("refused");
    assert!(
        timeout(Duration::from_millis(100), incoming.recv()).await.is_err(),
        "nothing was let in"
    );
    error
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("happens soon")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_of_one_key_talk_and_know_each_other() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let (mut asking, mut answering) = pair(&a, &b, &mut b_incoming).await;
    assert_eq!((asking.peer(), asking.addr()), (b.node_id(), b.local_addr()));
    assert_eq!((&answering.peer, answering.addr), (a.node_id(), a.local_addr()));
    assert_eq!(answering.kind, StreamKind::Control);

    asking.send(&Request::Ping).await.expect("sent");
    assert_eq!(answering.stream.recv::<Request>().await.expect("received"), Request::Ping);
    answering.stream.send(&Response::Pong).await.expect("sent");
    assert_eq!(asking.recv::<Response>().await.expect("received"), Response::Pong);

    asking.finish().await.expect("finished");
    assert_eq!(answering.stream.recv_frame().await.expect("in good order"), None);
    let ended = answering.stream.recv::<Request>().await.expect_err("ended");
    assert!(matches!(ended, TransportError::Ended { expected: "Request", .. }), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_the_wrong_place_is_named() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let (mut asking, mut answering) = pair(&a, &b, &mut b_incoming).await;
    asking.send(&Response::Pong).await.expect("sent");
    let error = answering.stream.recv::<Request>().await.expect_err("refused");
    assert!(
        matches!(
            error,
            TransportError::Wire {
                source: WireError::Kind { name: "Request", .. },
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_another_key_is_refused_on_both_sides() {
    for direction in [("a", "b"), ("b", "a")] {
        let error = refused(config(&new_key(), direction.0), config(&new_key(), direction.1)).await;
        assert!(matches!(error, TransportError::KeyMismatch { .. }), "{error:?}");
        assert_eq!(error.fault().code, "PEER1201");
        assert!(error.fault().to_string().contains("key does not match"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_only_the_server_does_not_trust_learns_why() {
    // The client trusts both keys (a rotation) and shows the new one, which the server does not have yet.
    let dir = tempfile::tempdir().expect("temp dir");
    let (old, new) = (new_key(), new_key());
    let text = |key: &ClusterKey, name: &str| {
        key.save(&dir.path().join(name)).expect("saved");
        std::fs::read_to_string(dir.path().join(name)).expect("read")
    };
    let both = text(&new, "new") + &text(&old, "old");
    let both = ClusterKey::parse(both.as_bytes(), dir.path()).expect("two keys");
    let error = refused(config(&both, "a"), config(&old, "b")).await;
    assert!(matches!(error, TransportError::KeyMismatch { .. }), "{error:?}");

    let (a, mut a_incoming) = bind(config(&both, "a"));
    let (b, _b_incoming) = bind(config(&both, "b"));
    pair(&b, &a, &mut a_incoming).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_another_cluster_is_refused() {
    let key = new_key();
    let error = refused(
        config(&key, "a"),
        EndpointConfig {
            cluster_name: "test".into(),
            ..config(&key, "b")
        },
    )
    .await;
    let fault = error.fault();
    assert_eq!(fault.code, "PEER1202");
    assert!(fault.found.contains("`prod`") && fault.found.contains("`test`"), "{fault}");
    assert_eq!(error.disposition(), Disposition::Replace);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_another_wire_version_is_refused() {
    let key = new_key();
    let newer = EndpointConfig {
        wire_version: WIRE_VERSION + 1,
        ..config(&key, "b")
    };
    assert_eq!(refused(config(&key, "a"), newer).await.fault().code, "PEER1203");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_frame_crosses_whole() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let (mut sending, mut receiving) = pair(&a, &b, &mut b_incoming).await;
    let body: Vec<u8> = (0..8 * 1024 * 1024_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let frame = Frame {
        kind: DATA,
        body: Bytes::from(body),
    };
    let small = Frame {
        kind: DATA,
        body: Bytes::new(),
    };
    let sent = async {
        sending.send_frame(frame.clone()).await.expect("sent");
        sending.send_frame(small.clone()).await.expect("sent");
        sending.finish().await.expect("finished");
    };
    let received = async {
        assert!(receiving.stream.recv_frame().await.expect("received").as_ref() == Some(&frame));
        assert_eq!(receiving.stream.recv_frame().await.expect("received"), Some(small.clone()));
        assert_eq!(receiving.stream.recv_frame().await.expect("in good order"), None);
    };
    timeout(Duration::from_secs(30), async { tokio::join!(sent, received) })
        .await
        .expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn receiving_and_sending_may_be_cancelled_anywhere() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let (sending, receiving) = pair(&a, &b, &mut b_incoming).await;
    let (mut sender, _) = sending.split();
    let (_, mut receiver) = receiving.stream.split();
    let frames: Vec<_> = (0..6_u8)
        .map(|n| Frame {
            kind: DATA,
            body: Bytes::from(vec![n; 3_000_000]),
        })
        .collect();
    let sent = async {
        for frame in &frames {
            // Cut off after a moment, usually within the frame; the next send or finish brings the rest.
            let _ = timeout(Duration::from_millis(2), sender.send_frame(frame.clone())).await;
        }
        sender.finish().await
    };
    let received = async {
        let mut received = Vec::new();
        loop {
            match timeout(Duration::from_millis(1), receiver.recv_frame()).await {
                Err(_) => {}
                Ok(Ok(Some(frame))) => received.push(frame.body[0]),
                Ok(end) => break end.map(|_| received),
            }
        }
    };
    let (finished, received) = timeout(Duration::from_secs(30), async { tokio::join!(sent, received) })
        .await
        .expect("in time");
    finished.expect("finished");
    let received = received.expect("no frame was damaged");
    // A send that was cut while an earlier frame was still leaving never queued its own.
    assert!(received.is_sorted() && received.first() == Some(&0), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_frame_is_not_sent() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let (mut sending, mut receiving) = pair(&a, &b, &mut b_incoming).await;
    let large = Frame {
        kind: 1,
        body: Bytes::from(vec![0; CONTROL_BYTES_MAX + 1]),
    };
    let error = sending.send_frame(large).await.expect_err("refused");
    assert!(
        matches!(
            error,
            TransportError::Wire {
                source: WireError::TooLong { .. },
                ..
            }
        ),
        "{error:?}"
    );

    // Nothing of it was sent: the stream goes on.
    sending.send(&Request::Ping).await.expect("sent");
    assert_eq!(receiving.stream.recv::<Request>().await.expect("received"), Request::Ping);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_to_one_address_share_a_connection_even_when_opened_at_once() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let open = || a.open(b.local_addr(), StreamKind::Gossip);
    let (one, two, three) = tokio::join!(open(), open(), open());
    let streams = [one.expect("opened"), two.expect("opened"), three.expect("opened")];
    for _ in &streams {
        soon(b_incoming.recv()).await.expect("accepted");
    }
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_opens_streams_to_itself() {
    let (a, mut a_incoming) = bind(config(&new_key(), "a"));
    let (mut asking, mut answering) = soon(pair(&a, &a, &mut a_incoming)).await;
    asking.send(&Request::Ping).await.expect("sent");
    assert_eq!(
        soon(answering.stream.recv::<Request>()).await.expect("received"),
        Request::Ping
    );
    assert_eq!(&answering.peer, a.node_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_open_streams_at_the_same_moment() {
    let key = new_key();
    let (a, mut a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let both = async { tokio::join!(pair(&a, &b, &mut b_incoming), pair(&b, &a, &mut a_incoming)) };
    let ((mut from_a, _at_b), (_from_b, mut at_a)) = soon(both).await;
    from_a.finish().await.expect("finished");
    at_a.stream.send(&Response::Pong).await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_answers_times_out() {
    let silent = UdpSocket::bind(loopback()).expect("bound");
    let (a, _a_incoming) = bind(config(&new_key(), "a"));
    let start = Instant::now();
    let open = || a.open(silent.local_addr().expect("bound"), StreamKind::Control);
    let (one, two) = tokio::join!(open(), open());
    for opened in [one, two] {
        let error = opened.expect_err("nobody there");
        assert!(matches!(error, TransportError::TimedOut { .. }), "{error:?}");
        assert_eq!(
            (error.fault().code.as_str(), error.disposition()),
            ("PEER1205", Disposition::Retry)
        );
    }
    assert!(start.elapsed() < OPEN_FAILS_WITHIN, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_no_streams_makes_an_open_time_out() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let mut held = Vec::new();
    let error = loop {
        match a.open(b.local_addr(), StreamKind::Control).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error:?}");
    assert_eq!(held.len(), peer::transport::accept::WAITING_MAX);
    soon(b_incoming.recv()).await.expect("the first is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_and_reconnect_when_a_peer_restarts_on_its_port() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let addr = b.local_addr();
    let (mut open, accepted) = pair(&a, &b, &mut b_incoming).await;
    b.shutdown().await;
    assert!(b_incoming.recv().await.is_none(), "a peer that left takes no streams");
    let ended = soon(open.recv::<Response>()).await.expect_err("ended");
    assert!(ended.is_loss(), "{ended:?}");
    assert!(matches!(
        b.open(addr, StreamKind::Control).await,
        Err(TransportError::ShutDown)
    ));
    drop((accepted, b, b_incoming));

    let again = EndpointConfig {
        listen: addr,
        ..config(&key, "b")
    };
    let (b, mut b_incoming) = soon(bind_again(again)).await;
    soon(pair(&a, &b, &mut b_incoming)).await;
}

/// The kernel frees the port when the last task of the former endpoint has ended.
async fn bind_again(config: EndpointConfig) -> (Endpoint, Incoming) {
    loop {
        match Endpoint::bind(config.clone()) {
            Ok(bound) => return bound,
            Err(TransportError::Bind { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A relay between two peers. While it leads nowhere the peer behind it is as good as killed: it never says goodbye.
struct Relay {
    addr: SocketAddr,
    to: watch::Sender<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    async fn start(to: SocketAddr) -> Self {
        let front = tokio::net::UdpSocket::bind(loopback()).await.expect("bound");
        let back = tokio::net::UdpSocket::bind(loopback()).await.expect("bound");
        let addr = front.local_addr().expect("bound");
        let (to, target) = watch::channel(Some(to));
        let task = tokio::spawn(async move {
            let (mut there, mut here) = (vec![0; 65_536], vec![0; 65_536]);
            let mut client = None;
            loop {
                tokio::select! {
                    Ok((len, from)) = front.recv_from(&mut there) => {
                        client = Some(from);
                        let to = *target.borrow();
                        if let Some(to) = to {
                            let _ = back.send_to(&there[..len], to).await;
                        }
                    }
                    Ok((len, from)) = back.recv_from(&mut here) => {
                        let is_led = *target.borrow() == Some(from);
                        if let Some(client) = client.filter(|_| is_led) {
                            let _ = front.send_to(&here[..len], client).await;
                        }
                    }
                }
            }
        });
        Self { addr, to, task }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_to_a_peer_that_fell_silent_fails_in_time() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let relay = Relay::start(b.local_addr()).await;
    let (opened, _accepted) = tokio::join!(a.open(relay.addr, StreamKind::Control), b_incoming.recv());
    opened.expect("opened");
    relay.to.send_replace(None);
    let start = Instant::now();
    let error = a.open(relay.addr, StreamKind::Control).await.expect_err("silence");
    assert!(error.is_loss(), "{error:?}");
    assert!(start.elapsed() < OPEN_FAILS_WITHIN, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_killed_and_came_back_ends_its_former_streams_at_once() {
    let key = new_key();
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (killed, mut killed_incoming) = bind(config(&key, "b"));
    let relay = Relay::start(killed.local_addr()).await;
    let (opened, _accepted) = tokio::join!(a.open(relay.addr, StreamKind::Control), killed_incoming.recv());
    let mut former = opened.expect("opened");

    let (back, mut back_incoming) = bind(config(&key, "b"));
    relay.to.send_replace(Some(back.local_addr()));
    let start = Instant::now();
    // Any packet draws the reset; an acknowledgement may have done so before this one.
    let _ = former.send(&Request::Ping).await;
    let ended = soon(former.recv::<Response>()).await.expect_err("ended");
    assert!(ended.is_loss(), "{ended:?}");
    let (opened, accepted) = soon(async { tokio::join!(a.open(relay.addr, StreamKind::Control), back_incoming.recv()) }).await;
    opened.expect("opened again");
    accepted.expect("accepted");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

/// What is logged on this thread while it lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines about refusals.
    async fn while_refused(from: EndpointConfig, to: EndpointConfig) -> Vec<String> {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        refused(from, to).await;
        drop(guard);
        let text = String::from_utf8(log.0.lock().expect("whole").clone()).expect("text");
        text.lines()
            .filter(|line| line.contains("another peer was refused"))
            .map(str::to_owned)
            .collect()
    }
}

// One thread: the subscriber is the thread's.
#[tokio::test]
async fn the_side_that_refuses_says_so_in_one_line() {
    let key = new_key();
    let foreign = Log::while_refused(config(&new_key(), "a"), config(&key, "b")).await;
    assert!(foreign.len() == 1 && foreign[0].contains("PEER1201"), "{foreign:?}");
    let named = EndpointConfig {
        cluster_name: "test".into(),
        ..config(&key, "b")
    };
    let name = Log::while_refused(config(&key, "a"), named).await;
    assert!(
        name.len() == 1 && name[0].contains("PEER1202") && name[0].contains("`test`"),
        "{name:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_end_the_stream_and_nothing_else() {
    let key = new_key();
    let (b, mut b_incoming) = bind(config(&key, "b"));
    let raw = quic::bind(&config(&key, "a"), Windows::of(64 << 20)).expect("bound");
    let connecting = raw.endpoint.connect_with(raw.client, b.local_addr(), "any").expect("valid");
    let connection = connecting.await.expect("connected");
    let hello = Hello {
        wire_version: WIRE_VERSION,
        cluster_name: "prod".into(),
        node_id: NodeId("a".into()),
        kind: StreamKind::Control,
    };
    let hello = hello.to_frame().to_bytes().expect("small");

    // A header alone, of a frame over the limit; of another version; and a frame with a flipped bit.
    let too_long = [(CONTROL_BYTES_MAX as u32 + 1).to_le_bytes().to_vec(), vec![1, 1, 0, 0, 0, 0]].concat();
    let version = vec![0, 0, 0, 0, 1, 9, 0, 0, 0, 0];
    let mut flipped = Request::Ping.to_frame().to_bytes().expect("small");
    *flipped.last_mut().expect("not empty") ^= 1;
    let mut found = Vec::new();
    for damage in [too_long, version, flipped] {
        let (mut send, _recv) = connection.open_bi().await.expect("opened");
        send.write_all(&hello).await.expect("sent");
        send.write_all(&damage).await.expect("sent");
        let mut accepted = soon(b_incoming.recv()).await.expect("accepted").stream;
        let error = soon(accepted.recv_frame()).await.expect_err("refused");
        assert_eq!(error.fault().code, "PEER1208");
        let again = accepted.recv_frame().await.expect_err("stays refused");
        assert_eq!(again.to_string(), error.to_string());
        let TransportError::Wire { source, .. } = error else {
            panic!("{error:?}")
        };
        found.push(source);
    }
    assert!(
        matches!(
            found[..],
            [
                WireError::TooLong { .. },
                WireError::Version { .. },
                WireError::Checksum { .. }
            ]
        ),
        "{found:?}"
    );

    // Garbage instead of a hello is not let in, and others still are.
    let (mut send, _recv) = connection.open_bi().await.expect("opened");
    send.write_all(&[0xff; 64]).await.expect("sent");
    let (a, _a_incoming) = bind(config(&key, "a"));
    let (_opened, accepted) = soon(pair(&a, &b, &mut b_incoming)).await;
    assert_eq!(accepted.addr, a.local_addr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_claims_another_id_than_its_certificate_is_refused() {
    let key = new_key();
    let (b, _b_incoming) = bind(config(&key, "b"));
    let raw = quic::bind(&config(&key, "a"), Windows::of(64 << 20)).expect("bound");
    let connecting = raw.endpoint.connect_with(raw.client, b.local_addr(), "any").expect("valid");
    let local = Local {
        node_id: NodeId("c".into()),
        cluster_name: "prod".into(),
        wire_version: WIRE_VERSION,
        send_window_max: 1 << 20,
    };
    let connection = connecting.await.expect("connected");
    let error = greet(&connection, &local, StreamKind::Control).await.expect_err("refused");
    assert_eq!(error.fault().code, "PEER1204");
}
