//! A relay of datagrams in front of one peer: counts what passes, and keeps a copy when asked to.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a socket waits before it looks whether the relay is over.
const PATIENCE: Duration = Duration::from_millis(50);

/// Passes datagrams between one peer and whoever talks to it, until dropped.
pub struct Relay {
    /// What others must take for the peer's address.
    pub front: String,
    inner: Arc<Inner>,
}

struct Inner {
    to: String,
    front: UdpSocket,
    bytes_out: AtomicU64,
    capture: Option<Mutex<Vec<u8>>>,
    is_over: AtomicBool,
}

impl Relay {
    /// Stands in front of the peer that listens at `to`.
    pub fn start(to: &str, is_captured: bool) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        front.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = front.local_addr().unwrap().to_string();
        let inner = Arc::new(Inner {
            to: to.to_owned(),
            front,
            bytes_out: AtomicU64::new(0),
            capture: is_captured.then(Mutex::default),
            is_over: AtomicBool::new(false),
        });
        let running = inner.clone();
        std::thread::spawn(move || running.run());
        Self { front: address, inner }
    }

    /// Bytes of datagrams that the peer behind it has sent.
    pub fn bytes_out(&self) -> u64 {
        self.inner.bytes_out.load(Ordering::Relaxed)
    }

    /// Everything that passed, both ways.
    pub fn captured(&self) -> Vec<u8> {
        let capture = self.inner.capture.as_ref().expect("started with a capture");
        capture.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.inner.is_over.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn keep(&self, datagram: &[u8]) {
        if let Some(capture) = &self.capture {
            capture.lock().unwrap().extend_from_slice(datagram);
        }
    }

    fn run(self: Arc<Self>) {
        let mut backs: HashMap<SocketAddr, UdpSocket> = HashMap::new();
        let mut buffer = [0; 65536];
        while !self.is_over() {
            let Ok((size, from)) = self.front.recv_from(&mut buffer) else {
                continue;
            };
            self.keep(&buffer[..size]);
            let back = backs.entry(from).or_insert_with(|| self.clone().back_of(from));
            let _ = back.send(&buffer[..size]);
        }
    }

    /// The socket that stands for `from` at the peer, and a thread that brings the answers back.
    fn back_of(self: Arc<Self>, from: SocketAddr) -> UdpSocket {
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        back.connect(&self.to).unwrap();
        back.set_read_timeout(Some(PATIENCE)).unwrap();
        let answers = back.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while !self.is_over() {
                let Ok(size) = answers.recv(&mut buffer) else { continue };
                self.keep(&buffer[..size]);
                self.bytes_out.fetch_add(size as u64, Ordering::Relaxed);
                let _ = self.front.send_to(&buffer[..size], from);
            }
        });
        back
    }
}
