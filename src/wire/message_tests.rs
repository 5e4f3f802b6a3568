//! Golden bytes, roundtrips and damaged input for every message.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each message with the bytes it has for ever.
macro_rules! golden {
    ($($name:ident: $message:expr => $bytes:expr;)*) => {
        $(#[test]
        fn $name() {
            check(&$message, $bytes);
        })*
    };
}

fn check<T: Message + PartialEq + Debug>(message: &T, golden: &str) {
    let frame = message.to_frame();
    assert_eq!(hex(&frame.body), golden, "{message:?}");
    assert_eq!(T::from_frame(&frame).as_ref(), Ok(message));
    for at in 0..frame.body.len() {
        let cut = Frame {
            kind: T::KIND,
            body: frame.body.slice(..at),
        };
        assert!(T::from_frame(&cut).is_err(), "{message:?} cut at {at}");
        for bit in 0..8 {
            let mut damaged = frame.body.to_vec();
            damaged[at] ^= 1 << bit;
            let _ = T::from_frame(&Frame {
                kind: T::KIND,
                body: damaged.into(),
            });
        }
    }
    let other = Frame {
        kind: T::KIND ^ 0x40,
        body: frame.body,
    };
    assert!(matches!(T::from_frame(&other), Err(WireError::Kind { .. })));
}

fn subscribe() -> Subscribe {
    Subscribe {
        job: JobName("orders".into()),
        inc: Incarnation(1),
        epoch: Epoch(300),
        src_epoch: SourceEpoch(2),
        sink: NodeId("n1".into()),
        spec_json: "{}".into(),
        progress_json: "[]".into(),
        window_bytes: 1 << 20,
    }
}

golden! {
    hello_is_these_bytes: Hello { wire_version: 1, cluster_name: "c".into(), node_id: NodeId("n".into()), kind: StreamKind::Control } => "0101010163016e03";
    hello_accepted_is_these_bytes: HelloAnswer::Accepted => "010100";
    hello_refused_is_these_bytes: HelloAnswer::Refused { code: "PEER1202".into(), text: "no".into() } => "010101085045455231323032026e6f";
    subscribe_is_these_bytes: subscribe() => "0101066f726465727301fb2c0102026e31027b7d025b5dfc00001000";
    credit_is_these_bytes: SinkToSource::Credit { bytes: 65_536 } => "010100fc00000100";
    rate_is_these_bytes: SinkToSource::Rate { bytes_per_s: 5 } => "01010205";
    hold_copy_is_these_bytes: SinkToSource::HoldCopy { is_held: true } => "01010301";
    minimal_images_is_these_bytes: SinkToSource::MinimalImages { shapes: vec![3] } => "0101040103";
    durable_is_these_bytes: SinkToSource::Durable { executed: "u:1".into(), seq: 9 } => "01010103753a3109";
    accepted_is_these_bytes: SourceToSink::Accepted { source_uuid: Some("u".into()) } => "010100010175";
    heartbeat_is_these_bytes: SourceToSink::Heartbeat { executed: "u:1".into(), source_now_us: 1 } => "01010103753a3101";
    failed_is_these_bytes: SourceToSink::Failed { report_json: "{}".into(), disposition: Disposition::Fatal } => "010102027b7d02";
    ping_is_these_bytes: Request::Ping => "010100";
    status_request_is_these_bytes: Request::Status { job: JobName("j".into()) } => "010101016a";
    version_request_is_these_bytes: Request::Version => "010102";
    examine_is_these_bytes: Request::ExamineSource { spec_json: "{}".into() } => "010103027b7d";
    drain_is_these_bytes: Request::Drain { is_draining: true } => "01010401";
    leave_is_these_bytes: Request::Leave { is_restart: true } => "01010501";
    pong_is_these_bytes: Response::Pong => "010100";
    status_is_these_bytes: Response::Status { json: "{}".into() } => "010101027b7d";
    version_is_these_bytes: Response::Version { version: "0.1".into() } => "01010203302e31";
    refused_is_these_bytes: Response::Refused { fault_json: "{}".into() } => "010103027b7d";
    examined_is_these_bytes: Response::Examined { report_json: "{}".into() } => "010104027b7d";
    drained_is_these_bytes: Response::Drained { is_changed: true } => "01010501";
    leaves_is_these_bytes: Response::Leaves { is_changed: true } => "01010601";
    plan_tables_is_these_bytes: Request::PlanTables { spec_json: "{}".into() } => "010106027b7d";
    tables_planned_is_these_bytes: Response::TablesPlanned { plan_json: "{}".into() } => "010107027b7d";
    can_serve_is_these_bytes: Request::CanServe { spec_json: "{}".into() } => "010107027b7d";
    look_at_target_is_these_bytes: Request::LookAtTarget { job: JobName("j".into()), inc: Incarnation(1), spec_json: "{}".into() } => "010109016a01027b7d";
    target_seen_is_these_bytes: Response::TargetSeen { look_json: "{}".into() } => "01010a027b7d";
    serves_is_these_bytes: Response::Serves { is_able: true } => "01010801";
    check_is_these_bytes: Request::Check { question_json: "{}".into() } => "010108027b7d";
    checked_is_these_bytes: Response::Checked { report_json: "{}".into() } => "010109027b7d";
    gossip_is_these_bytes: GossipPacket { bytes: vec![1, 2], from: "a".into() } => "01010201020161";
    root_is_these_bytes: TableSync::Root { hash: "ab".into() } => "010100026162";
    hashes_are_these_bytes: TableSync::Hashes { records: vec![(JobName("j".into()), "ab".into())] } => "01010101016a026162";
    want_is_these_bytes: TableSync::Want { names: vec![JobName("j".into())] } => "01010201016a";
    records_are_these_bytes: TableSync::Records { records: vec![vec![123, 125]] } => "01010301027b7d";
    done_is_these_bytes: TableSync::Done => "010104";
}

#[test]
fn every_stream_kind_keeps_its_number() {
    let kinds = [
        StreamKind::Gossip,
        StreamKind::TableSync,
        StreamKind::Subscribe,
        StreamKind::Control,
    ];
    assert_eq!(kinds.map(|kind| codec::encode(&kind)[codec::PREFIX_BYTES]), [0, 1, 2, 3]);
}

fn back<T: Message>(message: &T) -> Result<T, WireError> {
    T::from_frame(&message.to_frame())
}

fn read_as_everything(bytes: &[u8]) {
    fn read<T: Message>(bytes: &[u8]) {
        let _ = T::from_frame(&Frame {
            kind: T::KIND,
            body: Bytes::copy_from_slice(bytes),
        });
    }
    read::<Hello>(bytes);
    read::<HelloAnswer>(bytes);
    read::<SinkToSource>(bytes);
    read::<Request>(bytes);
    read::<Response>(bytes);
    read::<GossipPacket>(bytes);
    read::<Subscribe>(bytes);
    read::<SourceToSink>(bytes);
    read::<TableSync>(bytes);
}

proptest! {
    #[test]
    fn opening_messages_come_back(wire_version: u32, a: String, b: String, kind in 0..4_usize) {
        let kind = [StreamKind::Gossip, StreamKind::TableSync, StreamKind::Subscribe, StreamKind::Control][kind];
        let hello = Hello { wire_version, cluster_name: a.clone(), node_id: NodeId(b.clone()), kind };
        prop_assert_eq!(back(&hello), Ok(hello));
        let answer = HelloAnswer::Refused { code: a, text: b };
        prop_assert_eq!(back(&answer), Ok(answer));
    }

    #[test]
    fn subscription_messages_come_back(n: [u64; 4], a: String, b: String, uuid: Option<String>) {
        let subscribe = Subscribe {
            job: JobName(a.clone()), inc: Incarnation(n[0]), epoch: Epoch(n[1]), src_epoch: SourceEpoch(n[2]),
            sink: NodeId(b.clone()), spec_json: b.clone(), progress_json: a.clone(), window_bytes: n[3],
        };
        prop_assert_eq!(back(&subscribe), Ok(subscribe));
        for message in [SinkToSource::Credit { bytes: n[0] }, SinkToSource::Durable { executed: a.clone(), seq: n[1] }] {
            prop_assert_eq!(back(&message), Ok(message));
        }
        for disposition in [Disposition::Retry, Disposition::Replace, Disposition::Fatal, Disposition::Superseded] {
            let message = SourceToSink::Failed { report_json: a.clone(), disposition };
            prop_assert_eq!(back(&message), Ok(message));
        }
        let heartbeat = SourceToSink::Heartbeat { executed: b, source_now_us: n[2] };
        for message in [heartbeat, SourceToSink::Accepted { source_uuid: uuid }] {
            prop_assert_eq!(back(&message), Ok(message));
        }
    }

    #[test]
    fn control_and_gossip_messages_come_back(a: String, bytes: Vec<u8>) {
        let request = Request::Status { job: JobName(a.clone()) };
        prop_assert_eq!(back(&request), Ok(request));
        let refused = Response::Refused { fault_json: a.clone() };
        for message in [Response::Status { json: a.clone() }, Response::Version { version: a.clone() }, refused] {
            prop_assert_eq!(back(&message), Ok(message));
        }
        let packet = GossipPacket { bytes, from: a };
        prop_assert_eq!(back(&packet), Ok(packet));
    }

    #[test]
    fn table_sync_messages_come_back(hash: String, pairs: Vec<(String, String)>, records: Vec<Vec<u8>>) {
        let names = pairs.iter().map(|(name, _)| JobName(name.clone())).collect();
        let pairs = pairs.into_iter().map(|(name, hash)| (JobName(name), hash)).collect();
        let steps = [TableSync::Root { hash }, TableSync::Hashes { records: pairs }, TableSync::Want { names }];
        for message in steps.into_iter().chain([TableSync::Records { records }]) {
            prop_assert_eq!(back(&message), Ok(message));
        }
    }

    #[test]
    fn random_bytes_never_panic(mut bytes: Vec<u8>) {
        read_as_everything(&bytes);
        bytes.splice(0..0, [1, 1]);
        read_as_everything(&bytes);
    }
}
