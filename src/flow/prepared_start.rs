//! Prepared XA transactions at the start of a job: their GTIDs are in the executed set while their rows are nowhere (PROTOCOLS 1, 4).
//!
//! Used by `source_start`. One that is prepared after the start is in the stream and needs nothing of this.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::core::change::BinlogPosition;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::chunk_reader::binlog_end;
use crate::mysql::source::xid::Xid;

/// How long prepared transactions may take to end (PROTOCOLS 1).
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at them. Also longer than the server takes from the moment an XA PREPARE is in the executed set to the one
/// where XA RECOVER shows it: the prepare of the engine, one write to disk.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What XA RECOVER answers without XA_RECOVER_ADMIN.
const XA_RECOVER_REFUSED: u16 = 1401;

/// Waits until every transaction that was prepared when the executed set was read, before this call, has ended. What is then the
/// end of the binlog is where the copy may begin; None: no transaction was or is prepared.
///
/// # Errors
/// One of them does not end, or they cannot be listed.
pub async fn settle(session: &mut Session) -> Result<Option<BinlogPosition>, Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut open = open(session).await?;
    if open.is_empty() && !is_used(session).await? {
        return Ok(None);
    }
    loop {
        if open.is_empty() {
            return binlog_end(session).await.map(Some);
        }
        if Instant::now() >= deadline {
            return Err(refused(session, &open));
        }
        sleep(LOOK_EVERY).await;
        let now = list(session).await?;
        open.retain(|xid| now.contains(xid));
    }
}

/// Waits for a moment without prepared transactions, for a job without a copy: what they hold must not be left out.
///
/// # Errors
/// There is none within a minute, or they cannot be listed.
pub async fn await_none(session: &mut Session) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut open = open(session).await?;
    while !open.is_empty() {
        if Instant::now() >= deadline {
            return Err(refused(session, &open));
        }
        sleep(LOOK_EVERY).await;
        open = list(session).await?;
    }
    Ok(())
}

/// Transactions that are prepared now; among them are those that were when the executed set was read, before this call, and
/// have not ended.
///
/// # Errors
/// They cannot be listed.
pub async fn open(session: &mut Session) -> Result<Vec<Xid>, Error> {
    if is_used(session).await? {
        sleep(LOOK_EVERY).await;
    }
    list(session).await
}

/// Statements about XA were run since the server started.
///
/// # Errors
/// The connection failed.
pub async fn is_used(session: &mut Session) -> Result<bool, Error> {
    let counts: Vec<(String, u64)> = session.rows("SHOW GLOBAL STATUS LIKE 'Com\\_xa\\_%'").await?;
    Ok(counts.iter().any(|(name, count)| name != "Com_xa_recover" && *count > 0))
}

async fn list(session: &mut Session) -> Result<Vec<Xid>, Error> {
    let rows = session
        .rows::<(i64, i64, i64, Vec<u8>)>("XA RECOVER")
        .await
        .map_err(|error| explain(session.address(), error))?;
    rows.iter()
        .map(|(format, global_bytes, _, data)| {
            Xid::of_recover(*format, *global_bytes, data)
                .ok_or_else(|| session.unexpected("a damaged row of XA RECOVER", "formatID, lengths and data"))
        })
        .collect()
}

/// The refusal of a job that cannot begin beside these.
pub fn refused(session: &Session, open: &[Xid]) -> Error {
    let names: Vec<String> = open.iter().map(|xid| format!("`{xid}`")).collect();
    Error::Unsuitable {
        object: session.address().to_owned(),
        found: format!("prepared XA transactions {}", names.join(", ")),
        expected: "none that stays for a minute: their rows are not visible yet, and the binlog of before the start is not read"
            .into(),
        fix: "end them with XA COMMIT or XA ROLLBACK and start the job again".into(),
    }
}

/// The server hides the missing privilege behind a text about damaged data.
fn explain(address: &str, error: Error) -> Error {
    if error.server_code() != Some(XA_RECOVER_REFUSED) {
        return error;
    }
    Error::Unsuitable {
        object: address.to_owned(),
        found: "an account that may not list prepared XA transactions".into(),
        expected: "XA_RECOVER_ADMIN: a job cannot begin while one is open".into(),
        fix: "GRANT XA_RECOVER_ADMIN ON *.* to the account of the source".into(),
    }
}
