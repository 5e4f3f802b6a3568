//! Framed streams: messages and frames over one QUIC stream, both directions, with limits.
//!
//! Made by `hello` once both sides agreed; used by gossip and flow. Receiving is cancel-safe: what was read of a frame is
//! kept, so `recv` may stand in a `select!`. A cancelled send stays queued and leaves with the next one. Back-pressure is
//! QUIC's: a receiver that does not read stops the sender. Not here: what frames mean, pacing.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use tokio::time::timeout;

use crate::core::ids::NodeId;
use crate::transport::error::TransportError;
use crate::transport::send_window::SendWindow;
use crate::wire::error::WireError;
use crate::wire::frame::{Frame, HEADER_BYTES, Header};
use crate::wire::message::Message;

/// How long `finish` waits until the other side has everything: the time-out of an open.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// Both directions of a stream.
#[derive(Debug)]
pub struct Stream {
    sender: FrameSender,
    receiver: FrameReceiver,
    peer: NodeId,
}

/// The direction to the other peer.
#[derive(Debug)]
pub struct FrameSender {
    stream: SendStream,
    /// Header and body of the frame under way; emptied as they leave. Never more than one frame.
    pending: [Bytes; 2],
    window: SendWindow,
    addr: SocketAddr,
}

/// The direction from the other peer.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: RecvStream,
    reading: Reading,
    addr: SocketAddr,
}

/// Where receiving stands. Header → Body → Header, and from both to Broken, which stays.
#[derive(Debug)]
enum Reading {
    Header { bytes: [u8; HEADER_BYTES], filled: usize },
    Body { header: Header, bytes: BytesMut, filled: usize },
    Broken(WireError),
}

impl Reading {
    fn start() -> Self {
        Self::Header {
            bytes: [0; HEADER_BYTES],
            filled: 0,
        }
    }
}

impl Stream {
    /// A stream of `connection`, which buffers `send_window_max` bytes at most until they are acknowledged.
    pub(super) fn new(
        (send, recv): (SendStream, RecvStream),
        connection: Connection,
        send_window_max: u64,
        peer: NodeId,
    ) -> Self {
        let addr = connection.remote_address();
        let sender = FrameSender {
            stream: send,
            pending: [Bytes::new(), Bytes::new()],
            window: SendWindow::new(connection, send_window_max),
            addr,
        };
        let receiver = FrameReceiver {
            stream: recv,
            reading: Reading::start(),
            addr,
        };
        Self { sender, receiver, peer }
    }

    /// The other peer, as its certificate says.
    #[must_use]
    pub fn peer(&self) -> &NodeId {
        &self.peer
    }

    /// The other peer's address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.sender.addr
    }

    /// See [`FrameSender::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send<T: Message>(&mut self, message: &T) -> Result<(), TransportError> {
        self.sender.send(message).await
    }

    /// See [`FrameSender::send_frame`].
    ///
    /// # Errors
    /// As there.
    pub async fn send_frame(&mut self, frame: Frame) -> Result<(), TransportError> {
        self.sender.send_frame(frame).await
    }

    /// See [`FrameReceiver::recv`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv<T: Message>(&mut self) -> Result<T, TransportError> {
        self.receiver.recv().await
    }

    /// See [`FrameReceiver::recv_frame`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv_frame(&mut self) -> Result<Option<Frame>, TransportError> {
        self.receiver.recv_frame().await
    }

    /// Orders this stream among those of its connection: higher leaves first.
    pub(super) fn set_priority(&self, priority: i32) {
        // Fails only on a stream that is already closed, where order means nothing.
        let _ = self.sender.stream.set_priority(priority);
    }

    /// See [`FrameSender::finish`].
    ///
    /// # Errors
    /// As there.
    pub async fn finish(&mut self) -> Result<(), TransportError> {
        self.sender.finish().await
    }

    /// The two directions, for two tasks.
    #[must_use]
    pub fn split(self) -> (FrameSender, FrameReceiver) {
        (self.sender, self.receiver)
    }
}

impl FrameSender {
    /// Sends a message. Returns when QUIC took it, which waits while the other side does not read.
    ///
    /// # Errors
    /// As [`FrameSender::send_frame`].
    pub async fn send<T: Message>(&mut self, message: &T) -> Result<(), TransportError> {
        self.send_frame(message.to_frame()).await
    }

    /// Sends a frame; the body is not copied. When this future is dropped early the rest of the frame leaves with the
    /// next send, so the stream stays in step.
    ///
    /// # Errors
    /// A body above the limit of its kind, and then nothing was sent; a lost connection; a stream the other side ended.
    pub async fn send_frame(&mut self, frame: Frame) -> Result<(), TransportError> {
        let addr = self.addr;
        let header = frame.header().map_err(|source| TransportError::Wire { addr, source })?;
        self.flush().await?;
        self.pending = [Bytes::copy_from_slice(&header), frame.body];
        self.flush().await
    }

    /// The connection's round trip, as measured of late.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.window.connection().rtt()
    }

    /// Ends this direction and waits until the other side has everything. Without it the tail may be lost when the
    /// connection closes.
    ///
    /// # Errors
    /// A lost connection, or no acknowledgement within 5 s.
    pub async fn finish(&mut self) -> Result<(), TransportError> {
        let addr = self.addr;
        let finished = async {
            self.flush().await?;
            // Already finished is finished.
            let _ = self.stream.finish();
            match self.stream.stopped().await {
                Ok(_) => Ok(()),
                Err(quinn::StoppedError::ConnectionLost(error)) => Err(TransportError::from_connection(addr, &error)),
                Err(error) => Err(TransportError::Lost {
                    addr,
                    reason: error.to_string(),
                }),
            }
        };
        let late = TransportError::TimedOut {
            addr,
            after: FINISH_WITHIN,
        };
        timeout(FINISH_WITHIN, finished).await.unwrap_or(Err(late))
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        let addr = self.addr;
        while let Some(at) = self.pending.iter().position(|bytes| !bytes.is_empty()) {
            self.window.follow();
            // Takes from the front of the slices it is given, also when it takes only a part.
            self.stream
                .write_chunks(&mut self.pending[at..])
                .await
                .map_err(|error| write_error(addr, error))?;
        }
        Ok(())
    }
}

impl FrameReceiver {
    /// Receives a message of one type.
    ///
    /// # Errors
    /// [`TransportError::Ended`] at the end of the stream; another kind of frame; else as [`FrameReceiver::recv_frame`].
    pub async fn recv<T: Message>(&mut self) -> Result<T, TransportError> {
        let addr = self.addr;
        let frame = self
            .recv_frame()
            .await?
            .ok_or(TransportError::Ended { addr, expected: T::NAME })?;
        T::from_frame(&frame).map_err(|source| TransportError::Wire { addr, source })
    }

    /// Receives the next frame; `None` when the other side ended its direction in good order. Cancel-safe.
    ///
    /// # Errors
    /// Damaged or oversize frames, after which every call fails alike; a lost connection.
    pub async fn recv_frame(&mut self) -> Result<Option<Frame>, TransportError> {
        let addr = self.addr;
        loop {
            match self.step().await? {
                Step::Goes => {}
                Step::Frame(frame) => return Ok(Some(frame)),
                Step::End => return Ok(None),
                Step::Broken(error) => {
                    self.reading = Reading::Broken(error.clone());
                    return Err(TransportError::Wire { addr, source: error });
                }
            }
        }
    }

    /// One read at most; all that was read is in `self.reading` before the next await.
    async fn step(&mut self) -> Result<Step, TransportError> {
        let addr = self.addr;
        let lost = |error| read_error(addr, error);
        Ok(match &mut self.reading {
            Reading::Broken(error) => Step::Broken(error.clone()),
            Reading::Header { bytes, filled } if *filled == HEADER_BYTES => match Header::parse(bytes) {
                Ok(header) => {
                    let bytes = BytesMut::zeroed(header.body_bytes());
                    self.reading = Reading::Body {
                        header,
                        bytes,
                        filled: 0,
                    };
                    Step::Goes
                }
                Err(error) => Step::Broken(error),
            },
            Reading::Body { header, bytes, filled } if *filled == bytes.len() => {
                match header.frame(std::mem::take(bytes).freeze()) {
                    Ok(frame) => {
                        self.reading = Reading::start();
                        Step::Frame(frame)
                    }
                    Err(error) => Step::Broken(error),
                }
            }
            Reading::Header { bytes, filled } => match self.stream.read(&mut bytes[*filled..]).await.map_err(lost)? {
                Some(read) => {
                    *filled += read;
                    Step::Goes
                }
                None if *filled == 0 => Step::End,
                None => cut("a frame header", *filled, HEADER_BYTES),
            },
            Reading::Body { bytes, filled, .. } => match self.stream.read(&mut bytes[*filled..]).await.map_err(lost)? {
                Some(read) => {
                    *filled += read;
                    Step::Goes
                }
                None => cut("a frame body", *filled, bytes.len()),
            },
        })
    }
}

enum Step {
    Goes,
    Frame(Frame),
    End,
    Broken(WireError),
}

fn cut(what: &'static str, found: usize, expected: usize) -> Step {
    Step::Broken(WireError::Truncated { what, found, expected })
}

fn read_error(addr: SocketAddr, error: ReadError) -> TransportError {
    match error {
        ReadError::ConnectionLost(error) => lost(addr, &error),
        other => TransportError::Lost {
            addr,
            reason: other.to_string(),
        },
    }
}

fn write_error(addr: SocketAddr, error: WriteError) -> TransportError {
    match error {
        WriteError::ConnectionLost(error) => lost(addr, &error),
        other => TransportError::Lost {
            addr,
            reason: other.to_string(),
        },
    }
}

fn lost(addr: SocketAddr, error: &ConnectionError) -> TransportError {
    TransportError::from_connection(addr, error)
}
