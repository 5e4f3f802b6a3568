//! Bytes from the network: frames, messages and batches. What is read packs into a frame that reads the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peer::wire::batch::decode_batch;
use peer::wire::frame::Frame;
use peer::wire::message::{
    GossipPacket, Hello, HelloAnswer, Message, Request, Response, SinkToSource, SourceToSink, Subscribe, TableSync,
};

fn read<M: Message>(frame: &Frame) {
    if let Ok(message) = M::from_frame(&Frame {
        kind: M::KIND,
        body: frame.body.clone(),
    }) {
        let again = message.to_frame();
        assert!(M::from_frame(&again).is_ok(), "{} packs into what it can read", M::NAME);
    }
}

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(frame) = Frame::parse(bytes.clone()) {
        assert_eq!(
            frame.to_bytes().expect("it was within the limits"),
            data,
            "a frame packs as it came"
        );
    }
    let _ = decode_batch(bytes.clone());
    let frame = Frame { kind: 0, body: bytes };
    read::<Hello>(&frame);
    read::<HelloAnswer>(&frame);
    read::<TableSync>(&frame);
    read::<GossipPacket>(&frame);
    read::<Subscribe>(&frame);
    read::<SinkToSource>(&frame);
    read::<SourceToSink>(&frame);
    read::<Request>(&frame);
    read::<Response>(&frame);
});
