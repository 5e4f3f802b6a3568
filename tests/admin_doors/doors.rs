//! The real HTTP door and the real shell on free ports.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use peer::admin::cluster::Cluster;
use peer::admin::views::JobPhase;
use peer::admin::{http, shell};
use peer::telemetry::metrics::Metrics;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::scripted::Scripted;

/// Both doors, closed at the end of the test.
pub struct Doors {
    pub http: SocketAddr,
    pub shell: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Doors {
    pub async fn open() -> Self {
        Self::with(Scripted::new(u32::MAX, JobPhase::Streaming)).await
    }

    pub async fn with(cluster: Scripted) -> Self {
        let stop = CancellationToken::new();
        let cluster: Arc<dyn Cluster> = Arc::new(cluster);
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http, shell) = (web.local_addr().unwrap(), line.local_addr().unwrap());
        let (_, metrics) = Metrics::detached();
        let tasks = vec![
            tokio::spawn(http::serve(web, Arc::clone(&cluster), metrics, stop.clone())),
            tokio::spawn(shell::serve(line, cluster, stop.clone())),
        ];
        Self {
            http,
            shell,
            stop,
            tasks,
        }
    }

    pub async fn close(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(8), task)
                .await
                .expect("the door closes")
                .unwrap()
                .unwrap();
        }
    }

    pub async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.http,
            body.len()
        );
        let answer = talk(self.http, text.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    pub async fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.ask(method, path, body).await;
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")),
        )
    }

    /// The shell's whole answer to `input`, prompts included.
    pub async fn nc(&self, input: &str) -> String {
        talk(self.shell, input.as_bytes()).await
    }
}

/// Sends `input` and reads until the other side closes.
async fn talk(address: SocketAddr, input: &[u8]) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sent = async {
        // A refused line closes the connection while the rest is on its way.
        let _ = write.write_all(input).await;
        write
    };
    let mut bytes = Vec::new();
    let received = async {
        let _ = read.read_to_end(&mut bytes).await;
    };
    let (_write, ()) = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(sent, received) })
        .await
        .expect("the door closes the connection");
    String::from_utf8(bytes).unwrap()
}

/// Runs `peer WORDS FILE FLAGS` on a file with this text; on a thread of its own: the doors run on the test's.
pub async fn peer_with_file(doors: &Doors, words: &[&str], text: &str, flags: &[&str]) -> (i32, String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PEER_")) {
        command.env_remove(name);
    }
    command.args(["--address", &doors.http.to_string()]).args(words);
    command.arg(file.path()).args(flags);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
