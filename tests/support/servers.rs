//! The two MySQL servers of a test binary.

use std::process::Command;
use std::sync::OnceLock;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use peer::core::gtid_set::GtidSet;

use super::guard;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    pub port: u16,
}

/// Source and target, started at the first call.
pub struct Servers {
    pub source: Server,
    pub target: Server,
}

pub fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| Servers {
        source: from_env("PEER_TEST_SOURCE").unwrap_or_else(|| start("source", &[])),
        target: from_env("PEER_TEST_TARGET").unwrap_or_else(|| start("target", &[])),
    })
}

/// A server of its own for a test that breaks it; ends with the test process.
pub fn start(name: &str, flags: &[&str]) -> Server {
    let folder = guard::folder().join(format!("mysql-{name}"));
    let mut command = Command::new(guard::mysql_script());
    command.arg("start").arg(&folder);
    if !flags.is_empty() {
        command.arg("--").args(flags);
    }
    let output = command.output().expect("scripts/mysql runs");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "scripts/mysql start failed: {talk}");
    eprintln!("{talk}");
    let port = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("scripts/mysql prints the port");
    Server { port }
}

fn from_env(name: &str) -> Option<Server> {
    let address = std::env::var(name).ok()?;
    let port = address
        .rsplit(':')
        .next()?
        .parse()
        .unwrap_or_else(|_| panic!("{name}={address}: expected HOST:PORT"));
    Some(Server { port })
}

impl Server {
    /// A session as root without a default schema.
    pub async fn conn(&self) -> Conn {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some("root"))
            .prefer_socket(false)
            .max_allowed_packet(Some(1 << 30));
        Conn::new(opts)
            .await
            .unwrap_or_else(|e| panic!("no session on port {}: {e}", self.port))
    }

    /// Runs statements one by one.
    pub async fn run(&self, statements: &[&str]) {
        let mut conn = self.conn().await;
        for statement in statements {
            conn.query_drop(*statement)
                .await
                .unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
        conn.disconnect().await.expect("disconnects");
    }

    /// Everything it has executed.
    pub async fn executed(&self) -> GtidSet {
        let mut conn = self.conn().await;
        let found: Option<String> = conn.query_first("SELECT @@GLOBAL.gtid_executed").await.expect("a set");
        conn.disconnect().await.expect("disconnects");
        GtidSet::parse(&found.expect("a row")).expect("a set")
    }

    /// One number.
    pub async fn number(&self, query: &str) -> u64 {
        let mut conn = self.conn().await;
        let found: Option<u64> = conn.query_first(query).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        conn.disconnect().await.expect("disconnects");
        found.unwrap_or_else(|| panic!("{query}: no row"))
    }
}
