//! A listener for the HTTP door that keeps at most so many connections, and none that is silent for long.
//!
//! `axum::serve` bounds neither. Fed by a `TcpListener`, feeds `http`; the shell bounds its own connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Accepts while fewer than `connections_max` are open; the others wait in the kernel's backlog.
pub struct BoundedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    idle_max: Duration,
}

/// A connection that counts until it is dropped, and fails once it was silent for `idle_max`.
pub struct BoundedStream {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    idle_max: Duration,
    _permit: OwnedSemaphorePermit,
}

impl BoundedListener {
    /// Bounds `listener`.
    #[must_use]
    pub fn new(listener: TcpListener, connections_max: usize, idle_max: Duration) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(connections_max)),
            idle_max,
        }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        // The trait's own accept for TcpListener waits out errors such as too many open files.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let bounded = BoundedStream {
            stream,
            idle: Box::pin(sleep(self.idle_max)),
            idle_max: self.idle_max,
            _permit: permit,
        };
        (bounded, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl BoundedStream {
    /// Passes `poll` on; a result moves the deadline, waiting past it is an error.
    fn guard<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.idle.as_mut().reset(Instant::now() + self.idle_max);
            return poll;
        }
        self.idle.as_mut().poll(context).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the connection was silent for too long",
            ))
        })
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, into);
        self.guard(context, poll)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guard(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_silent_connection_ends_and_makes_room_for_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let mut bounded = BoundedListener::new(listener, 1, Duration::from_millis(50));
        let _first = TcpStream::connect(address).await.expect("connects");
        let _second = TcpStream::connect(address).await.expect("waits in the backlog");
        let (mut held, _) = bounded.accept().await;
        let waiting = tokio::time::timeout(Duration::from_millis(10), bounded.accept()).await;
        assert!(waiting.is_err(), "one at a time");
        let error = held.read_u8().await.expect_err("nobody writes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(held);
        bounded.accept().await;
    }
}
