//! One plain connection to one database: never pooled, never reconnected, every call bounded in time.
//!
//! Everything in `mysql` talks through it. It knows nothing of jobs. After `Error::is_connection_gone` it is useless and is
//! dropped; whoever holds it decides what the unknown outcome means.

use std::future::Future;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, DriverError, IoError, Opts, OptsBuilder, SslOpts};
use tokio::time::timeout;

use crate::core::job_spec::{DatabaseSpec, Secret, TlsMode};
use crate::mysql::error::Error;

/// Longest wait for a connection, TLS and authentication included (guess: above three SYN retransmissions).
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for an ordinary statement; row statements wait at most 2 s for a lock (PROTOCOLS 2), so this is the server's work.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Prepared statements kept per connection; chunk reading uses a handful per table.
const STATEMENT_CACHE: usize = 128;
/// The largest packet MySQL can send: one row may be that large, and the driver ends the connection above its limit.
const PACKET_BYTES_MAX: usize = 1 << 30;

/// A live connection.
#[derive(Debug)]
pub struct Session {
    conn: Conn,
    address: String,
    server_uuid: String,
    version: String,
    call_limit: Duration,
}

impl Session {
    /// Connects and reads who the server is.
    pub async fn connect(spec: &DatabaseSpec) -> Result<Self, Error> {
        let address = format!("{}:{}", spec.host, spec.port);
        let conn = open(spec, &address).await?;
        let mut session = Self {
            conn,
            address,
            server_uuid: String::new(),
            version: String::new(),
            call_limit: CALL_LIMIT,
        };
        let (uuid, version) = session
            .first::<(String, String)>("SELECT @@server_uuid, VERSION()")
            .await?
            .ok_or_else(|| session.unexpected("no row", "the server's uuid and version"))?;
        session.server_uuid = uuid;
        session.version = version;
        Ok(session)
    }

    /// Runs one or more statements separated by `;` whose rows do not matter; returns the affected rows of the last.
    pub async fn execute(&mut self, sql: impl AsRef<str>) -> Result<u64, Error> {
        let limit = self.call_limit;
        self.within(limit, "a statement", async |conn| {
            conn.query_drop(sql.as_ref()).await?;
            Ok(conn.affected_rows())
        })
        .await
    }

    /// All rows of a query; for results whose size the caller knows to be small.
    pub async fn rows<T>(&mut self, sql: impl AsRef<str>) -> Result<Vec<T>, Error>
    where
        T: FromRow + Send + 'static,
    {
        let limit = self.call_limit;
        let rows = self
            .within(limit, "a query", async |conn| {
                conn.query::<mysql_async::Row, _>(sql.as_ref()).await
            })
            .await?;
        rows.into_iter().map(|row| self.convert(row)).collect()
    }

    /// The first row of a query; None when it has none.
    pub async fn first<T>(&mut self, sql: impl AsRef<str>) -> Result<Option<T>, Error>
    where
        T: FromRow + Send + 'static,
    {
        let limit = self.call_limit;
        let row = self
            .within(limit, "a query", async |conn| {
                conn.query_first::<mysql_async::Row, _>(sql.as_ref()).await
            })
            .await?;
        row.map(|row| self.convert(row)).transpose()
    }

    /// Runs anything on the raw connection, bounded by `limit`; `operation` names it in errors. After a time-out the
    /// connection is in the middle of an answer and must be dropped.
    pub async fn within<T>(
        &mut self,
        limit: Duration,
        operation: &'static str,
        work: impl AsyncFnOnce(&mut Conn) -> mysql_async::Result<T>,
    ) -> Result<T, Error> {
        match timeout(limit, work(&mut self.conn)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(operation, error)),
            Err(_) => Err(Error::TimedOut {
                address: self.address.clone(),
                operation,
                limit,
            }),
        }
    }

    /// The server answers.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.ping_within(CONNECT_LIMIT).await
    }

    /// The server answers within `limit`.
    pub async fn ping_within(&mut self, limit: Duration) -> Result<(), Error> {
        self.within(limit, "a ping", async |conn| conn.ping().await).await
    }

    /// The raw connection, for binlog streams and streamed results; the caller bounds its own waits.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// The server's `@@server_uuid` at connect.
    #[must_use]
    pub fn server_uuid(&self) -> &str {
        &self.server_uuid
    }

    /// The server's `VERSION()` at connect.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// `host:port`, for errors.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The server's number of this connection.
    #[must_use]
    pub fn connection_id(&self) -> u32 {
        self.conn.id()
    }

    /// Sets how long `execute`, `rows` and `first` wait for an answer.
    pub fn set_call_limit(&mut self, limit: Duration) {
        self.call_limit = limit;
    }

    /// Says good-bye to the server; an error here means nothing.
    pub async fn close(self) {
        let farewell = self.conn.disconnect();
        // Neither a refusal nor a time-out changes anything: the connection is gone for us either way.
        drop(timeout(Duration::from_secs(1), farewell).await);
    }

    /// Turns a driver error into ours.
    #[must_use]
    pub fn explain(&self, operation: &'static str, error: mysql_async::Error) -> Error {
        classify(&self.address, operation, error)
    }

    /// An `Error::Unexpected` about this server.
    #[must_use]
    pub fn unexpected(&self, found: impl Into<String>, expected: impl Into<String>) -> Error {
        Error::Unexpected {
            address: self.address.clone(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    fn convert<T: FromRow>(&self, row: mysql_async::Row) -> Result<T, Error> {
        let columns = row.len();
        T::from_row_opt(row).map_err(|_| {
            self.unexpected(
                format!("a row of {columns} columns of other types"),
                std::any::type_name::<T>(),
            )
        })
    }
}

/// Opens the connection as `tls` says; `preferred` falls back to plain TCP.
async fn open(spec: &DatabaseSpec, address: &str) -> Result<Conn, Error> {
    let password = read_secret(&spec.password).map_err(|reason| Error::Secret {
        address: address.into(),
        user: spec.user.clone(),
        reason,
    })?;
    let plain = OptsBuilder::default()
        .ip_or_hostname(spec.host.clone())
        .tcp_port(spec.port)
        .user(Some(spec.user.clone()))
        .pass(Some(password))
        // A loopback address would silently become the server's UNIX socket.
        .prefer_socket(false)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(10)))
        .stmt_cache_size(STATEMENT_CACHE)
        .max_allowed_packet(Some(PACKET_BYTES_MAX))
        .client_found_rows(false);
    let tls = tls_options(spec, address)?;
    let Some(tls) = tls else {
        return connect_once(plain.into(), address).await;
    };
    match connect_once(plain.clone().ssl_opts(Some(tls)).into(), address).await {
        Err(Error::Tls { .. }) if spec.tls == TlsMode::Preferred => connect_once(plain.into(), address).await,
        outcome => outcome,
    }
}

async fn connect_once(opts: Opts, address: &str) -> Result<Conn, Error> {
    bounded_connect(Conn::new(opts), address).await
}

async fn bounded_connect(connecting: impl Future<Output = mysql_async::Result<Conn>>, address: &str) -> Result<Conn, Error> {
    match timeout(CONNECT_LIMIT, connecting).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(error)) => Err(match classify(address, "connect", error) {
            Error::Lost { address, reason } => Error::Unreachable { address, reason },
            other => other,
        }),
        Err(_) => Err(Error::Unreachable {
            address: address.into(),
            reason: format!("no connection within {CONNECT_LIMIT:?}"),
        }),
    }
}

/// `verify-ca` is as strict as `verify-identity`: rustls cannot leave the name out of the check (facts/crates 1.3).
fn tls_options(spec: &DatabaseSpec, address: &str) -> Result<Option<SslOpts>, Error> {
    let accept_any = || SslOpts::default().with_danger_accept_invalid_certs(true);
    match spec.tls {
        TlsMode::Disabled => Ok(None),
        TlsMode::Preferred | TlsMode::Required => Ok(Some(accept_any())),
        TlsMode::VerifyCa | TlsMode::VerifyIdentity => {
            let Some(ca) = &spec.tls_ca else {
                return Ok(Some(SslOpts::default()));
            };
            let pem = std::fs::read(ca).map_err(|error| Error::Tls {
                address: address.into(),
                reason: format!("cannot read the CA file `{ca}`: {error}"),
            })?;
            Ok(Some(
                SslOpts::default()
                    .with_root_certs(vec![pem.into()])
                    .with_disable_built_in_roots(true),
            ))
        }
    }
}

/// The password itself; the error names the variable or file, never the value.
pub(super) fn read_secret(secret: &Secret) -> Result<String, String> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::Env(name) => {
            std::env::var(name).map_err(|_| format!("the environment variable `{name}` is not set on this peer"))
        }
        Secret::File(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("the file `{path}` cannot be read on this peer: {error}"))?;
            let cut = text.strip_suffix('\n').unwrap_or(&text);
            Ok(cut.strip_suffix('\r').unwrap_or(cut).to_owned())
        }
    }
}

/// Turns a driver error into ours.
fn classify(address: &str, operation: &'static str, error: mysql_async::Error) -> Error {
    let address = address.to_owned();
    match error {
        mysql_async::Error::Server(error) => Error::Server {
            address,
            operation,
            code: error.code,
            message: error.message,
        },
        mysql_async::Error::Io(IoError::Tls(error)) => Error::Tls {
            address,
            reason: error.to_string(),
        },
        // tokio-rustls reports a failed handshake as an io error that wraps rustls's.
        mysql_async::Error::Io(IoError::Io(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            Error::Tls {
                address,
                reason: error.to_string(),
            }
        }
        mysql_async::Error::Io(error) => Error::Lost {
            address,
            reason: error.to_string(),
        },
        mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => Error::Tls {
            address,
            reason: "the server offers none".into(),
        },
        mysql_async::Error::Driver(error @ (DriverError::FromValue { .. } | DriverError::FromRow { .. })) => {
            // The driver's Debug would show row data; its Display does not.
            Error::Unexpected {
                address,
                found: error.to_string(),
                expected: "a row of other types".into(),
            }
        }
        mysql_async::Error::Driver(error) => Error::Lost {
            address,
            reason: error.to_string(),
        },
        other => Error::Lost {
            address,
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::disposition::Disposition;

    fn spec(port: u16) -> DatabaseSpec {
        DatabaseSpec {
            host: "127.0.0.1".into(),
            port,
            user: "root".into(),
            password: Secret::Text(String::new()),
            tls: TlsMode::Disabled,
            tls_ca: None,
        }
    }

    #[test]
    fn a_missing_variable_or_file_is_named() {
        let missing = read_secret(&Secret::Env("PEER_NO_SUCH_VARIABLE".into())).unwrap_err();
        assert!(missing.contains("PEER_NO_SUCH_VARIABLE"), "{missing}");
        let missing = read_secret(&Secret::File("/no/such/file".into())).unwrap_err();
        assert!(missing.contains("/no/such/file"), "{missing}");
    }

    #[test]
    fn a_password_file_loses_its_newline_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " se cret \r\n").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        assert_eq!(read_secret(&Secret::File(path)).unwrap(), " se cret ");
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable_and_moves_the_task() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = Session::connect(&spec(port)).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::Replace);
    }
}
