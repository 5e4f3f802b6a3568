//! A TCP line in front of a server that can go dead: bytes are taken and go nowhere, and no side gets an error.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Carries bytes between clients of `port` and a server, until dropped.
pub struct Line {
    /// What clients must take for the server's port.
    pub port: u16,
    is_dead: watch::Sender<bool>,
    _carrying: JoinSet<()>,
}

impl Line {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = listener.local_addr().unwrap().port();
        let (is_dead, dead) = watch::channel(false);
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                ways.spawn(carry(from_client, to_server, dead.clone()));
                ways.spawn(carry(from_server, to_client, dead.clone()));
            }
        });
        Self {
            port: front,
            is_dead,
            _carrying: carrying,
        }
    }

    /// From now on nothing passes, on old and new connections.
    pub fn die(&self) {
        self.is_dead.send_replace(true);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, dead: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        if !*dead.borrow() && to.write_all(&buffer[..size]).await.is_err() {
            break;
        }
    }
    if *dead.borrow() {
        std::future::pending::<()>().await;
    }
}
