//! The connection of a binlog dump, handshake to events: the driver's own stream inflates a compressed transaction as a whole
//! before anybody can look at it.
//!
//! Used by `reader`, behind a `Session` of the same user: what that could not reach is not tried here. Speaks what a dump needs:
//! plain or TLS, `caching_sha2_password` and `mysql_native_password`, statements without a result. `next` is cancel-safe.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::binlog_request::BinlogRequest;
use mysql_common::packets::{
    AuthPlugin, AuthSwitchRequest, ComRegisterSlave, HandshakePacket, HandshakeResponse, Sid, SslRequest,
};
use mysql_common::proto::MySerialize;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::core::job_spec::{DatabaseSpec, TlsMode};
use crate::mysql::error::Error;
use crate::mysql::session::read_secret;
use crate::mysql::source::dump_feed::{Delivered, Feed, FeedError, server_error};
use crate::mysql::tls;

/// utf8mb4_general_ci: every server knows it.
const COLLATION: u8 = 45;
/// The largest packet MySQL can send.
const PACKET_BYTES_MAX: u32 = 1 << 30;
/// What is read from the socket at once.
const READ_BYTES: usize = 64 << 10;
/// When an idle connection is probed.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// COM_QUERY.
const QUERY: u8 = 3;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection that dumps.
pub(super) struct DumpConnection {
    socket: Box<dyn Socket>,
    address: String,
    /// Number of the next packet of the command in hand.
    sequence: u8,
    is_secure: bool,
    feed: Feed,
}

impl std::fmt::Debug for DumpConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DumpConnection")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl DumpConnection {
    /// Connects as `tls` says; `preferred` falls back to plain TCP.
    pub async fn connect(spec: &DatabaseSpec) -> Result<Self, Error> {
        match Self::connect_once(spec, spec.tls != TlsMode::Disabled).await {
            Err(Error::Tls { .. }) if spec.tls == TlsMode::Preferred => Self::connect_once(spec, false).await,
            outcome => outcome,
        }
    }

    async fn connect_once(spec: &DatabaseSpec, has_tls: bool) -> Result<Self, Error> {
        let address = format!("{}:{}", spec.host, spec.port);
        let unreachable = |error: std::io::Error| Error::Unreachable {
            address: address.clone(),
            reason: error.to_string(),
        };
        let tcp = TcpStream::connect((spec.host.as_str(), spec.port))
            .await
            .map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
        SockRef::from(&tcp).set_tcp_keepalive(&keepalive).map_err(unreachable)?;
        let mut connection = Self {
            socket: Box::new(tcp),
            address,
            sequence: 0,
            is_secure: false,
            feed: Feed::new(),
        };
        connection.shake_hands(spec, has_tls).await?;
        Ok(connection)
    }

    /// Reads the greeting, changes to TLS, proves who the user is.
    async fn shake_hands(&mut self, spec: &DatabaseSpec, has_tls: bool) -> Result<(), Error> {
        let password = read_secret(&spec.password).map_err(|reason| Error::Secret {
            address: self.address.clone(),
            user: spec.user.clone(),
            reason,
        })?;
        let greeting = self.packet("connect").await?;
        let greeting: HandshakePacket<'_> = ParseBuf(&greeting)
            .parse(())
            .map_err(|_| self.lost("no greeting of a server"))?;
        let mut nonce = greeting.scramble_1_ref().to_vec();
        nonce.extend_from_slice(greeting.scramble_2_ref().unwrap_or_default());
        nonce.resize(20, 0);
        let wanted = CapabilityFlags::CLIENT_PROTOCOL_41
            | CapabilityFlags::CLIENT_SECURE_CONNECTION
            | CapabilityFlags::CLIENT_LONG_PASSWORD
            | CapabilityFlags::CLIENT_TRANSACTIONS
            | CapabilityFlags::CLIENT_PLUGIN_AUTH
            | if has_tls {
                CapabilityFlags::CLIENT_SSL
            } else {
                CapabilityFlags::empty()
            };
        let capabilities = wanted & greeting.capabilities();
        if has_tls {
            self.secure(spec, capabilities).await?;
        }
        let plugin = match greeting.auth_plugin() {
            Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
            _ => AuthPlugin::MysqlNativePassword,
        };
        let proof = plugin.gen_data(Some(&password), &nonce);
        let user = Some(spec.user.as_bytes());
        let version = greeting.server_version_parsed().unwrap_or_default();
        let none = None::<Vec<u8>>;
        let response = HandshakeResponse::new(
            proof.as_deref(),
            version,
            user,
            none,
            Some(plugin.clone()),
            capabilities,
            None,
            PACKET_BYTES_MAX,
        );
        self.write(&serialized(&response)).await?;
        self.authenticate(&password).await
    }

    async fn secure(&mut self, spec: &DatabaseSpec, capabilities: CapabilityFlags) -> Result<(), Error> {
        if !capabilities.contains(CapabilityFlags::CLIENT_SSL) {
            return Err(self.no_tls("the server offers none"));
        }
        let client = tls::client(spec).map_err(|reason| self.no_tls(&reason))?;
        let Some(client) = client else {
            return Err(self.no_tls("it is disabled"));
        };
        let name = ServerName::try_from(spec.host.clone()).map_err(|error| self.no_tls(&error.to_string()))?;
        self.write(&serialized(&SslRequest::new(capabilities, PACKET_BYTES_MAX, COLLATION)))
            .await?;
        let plain = std::mem::replace(&mut self.socket, Box::new(tokio::io::empty()));
        let secure = TlsConnector::from(client).connect(name, plain).await;
        self.socket = Box::new(secure.map_err(|error| self.no_tls(&error.to_string()))?);
        self.is_secure = true;
        Ok(())
    }

    /// Follows the server until it is satisfied.
    async fn authenticate(&mut self, password: &str) -> Result<(), Error> {
        loop {
            let packet = self.packet("connect").await?;
            match packet.first_chunk() {
                Some([0, _]) => return Ok(()),
                // It knows the proof.
                Some([1, 3]) => {}
                // It needs the password itself: it has forgotten the proof that the session before this connection left with it.
                Some([1, 4]) if self.is_secure => self.write(&[password.as_bytes(), &[0]].concat()).await?,
                Some([1, 4]) => return Err(self.lost("the server forgot the user's proof in the meantime")),
                Some([0xfe, _]) => {
                    let request: AuthSwitchRequest<'_> = ParseBuf(&packet)
                        .parse(())
                        .map_err(|_| self.lost("no request for another proof"))?;
                    let plugin = match request.auth_plugin() {
                        AuthPlugin::CachingSha2Password => AuthPlugin::CachingSha2Password,
                        AuthPlugin::MysqlNativePassword => AuthPlugin::MysqlNativePassword,
                        other => {
                            let name = String::from_utf8_lossy(other.as_bytes()).into_owned();
                            return Err(self.lost(&format!("the user's authentication `{name}` is not known")));
                        }
                    };
                    let proof = plugin.gen_data(Some(password), request.plugin_data());
                    self.write(proof.as_deref().unwrap_or_default()).await?;
                }
                _ => return Err(self.lost("an answer to the proof that is not known")),
            }
        }
    }

    /// Runs a statement without a result.
    pub async fn execute(&mut self, sql: &str) -> Result<(), Error> {
        self.command(&[&[QUERY], sql.as_bytes()].concat()).await?;
        self.ok("a statement").await
    }

    /// Asks for everything that is not in `passed`, as the replica `server_id`. What the server says to that comes with `next`.
    pub async fn dump(&mut self, server_id: u32, passed: Vec<Sid<'static>>) -> Result<(), Error> {
        self.execute("SET @master_binlog_checksum='ALL'").await?;
        self.command(&serialized(&ComRegisterSlave::new(server_id))).await?;
        self.ok("registering as a replica").await?;
        let request = BinlogRequest::new(server_id).with_use_gtid(true).with_sids(passed);
        self.command(&serialized(&request.as_cmd())).await
    }

    /// The next event. Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<Delivered, Error> {
        loop {
            // The driver's parser panics on some damaged events; that must not end the task.
            let step = catch_unwind(AssertUnwindSafe(|| self.feed.step()));
            let step = step.map_err(|_panic| self.lost("the driver could not read an event"))?;
            if let Some(delivered) = step.map_err(|error| self.explain("the binlog dump", error))? {
                return Ok(delivered);
            }
            let buffer = self.feed.buffer();
            buffer.reserve(READ_BYTES);
            match self.socket.read_buf(buffer).await {
                Ok(0) => return Err(self.lost("the server closed the connection")),
                Ok(_) => {}
                Err(error) => return Err(self.lost(&error.to_string())),
            }
        }
    }

    /// Ends the connection; an error here means nothing.
    pub async fn close(mut self) {
        drop(self.socket.shutdown().await);
    }

    async fn ok(&mut self, operation: &'static str) -> Result<(), Error> {
        match self.packet(operation).await?.first() {
            Some(0) => Ok(()),
            _ => Err(self.lost(&format!("an answer to {operation} that is not known"))),
        }
    }

    async fn command(&mut self, body: &[u8]) -> Result<(), Error> {
        self.sequence = 0;
        self.write(body).await
    }

    /// One packet; all of ours are short.
    async fn write(&mut self, body: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        if length[3] != 0 {
            return Err(self.lost("a request of 16 MiB"));
        }
        let packet = [&length[..3], &[self.sequence], body].concat();
        self.sequence = self.sequence.wrapping_add(1);
        let written = self.socket.write_all(&packet).await;
        let flushed = if written.is_ok() { self.socket.flush().await } else { written };
        flushed.map_err(|error| self.lost(&error.to_string()))
    }

    /// One packet of the server; an error it says is an error.
    async fn packet(&mut self, operation: &'static str) -> Result<Vec<u8>, Error> {
        let mut head = [0; 4];
        self.read(&mut head).await?;
        let mut body = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
        self.read(&mut body).await?;
        self.sequence = head[3].wrapping_add(1);
        if body.first() == Some(&0xff) {
            return Err(self.explain(operation, server_error(&body)));
        }
        Ok(body)
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let read = self.socket.read_exact(into).await;
        read.map(drop).map_err(|error| self.lost(&error.to_string()))
    }

    fn explain(&self, operation: &'static str, error: FeedError) -> Error {
        match error {
            FeedError::Server { code, message } => Error::Server {
                address: self.address.clone(),
                operation,
                code,
                message,
            },
            FeedError::Damaged(error) => self.lost(&error.to_string()),
        }
    }

    fn lost(&self, reason: &str) -> Error {
        Error::Lost {
            address: self.address.clone(),
            reason: format!("binlog stream: {reason}"),
        }
    }

    fn no_tls(&self, reason: &str) -> Error {
        Error::Tls {
            address: self.address.clone(),
            reason: reason.into(),
        }
    }
}

fn serialized(value: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.serialize(&mut bytes);
    bytes
}
