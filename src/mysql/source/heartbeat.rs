//! Asks the source each second what it has executed and what time it is (PROTOCOLS 12).
//!
//! Feeds the merge stage through a watch: only the newest answer counts. The sink measures its lag by it, with the source's clock only.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::core::gtid_set::GtidSet;
use crate::core::job_spec::DatabaseSpec;
use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// Between two questions (PROTOCOLS 11: a heartbeat each second).
const EVERY: Duration = Duration::from_secs(1);

/// One answer of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Everything it has executed.
    pub executed: GtidSet,
    /// Its clock, microseconds since the epoch.
    pub source_now_us: u64,
}

/// Asks until nobody listens any more. A server that does not answer is an error: the stream would only notice later.
///
/// # Errors
/// The connection failed.
pub async fn run(spec: DatabaseSpec, beats: &watch::Sender<Beat>) -> Result<(), Error> {
    let mut session = Session::connect(&spec).await?;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !beats.is_closed() {
        ticks.tick().await;
        beats.send_replace(beat(&mut session).await?);
    }
    session.close().await;
    Ok(())
}

/// Asks once.
///
/// # Errors
/// The connection failed, or the answer has another form.
pub async fn beat(session: &mut Session) -> Result<Beat, Error> {
    let sql = "SELECT @@GLOBAL.gtid_executed, CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)";
    let row = session.first::<(String, u64)>(sql).await?;
    let (executed, source_now_us) = row.ok_or_else(|| session.unexpected("no row", "the executed set and the time"))?;
    Ok(Beat {
        executed: parse_set(session, &executed)?,
        source_now_us,
    })
}

/// A set as the server prints it; it breaks long ones into lines.
///
/// # Errors
/// The text is no set.
pub fn parse_set(session: &Session, text: &str) -> Result<GtidSet, Error> {
    GtidSet::parse(text).map_err(|error| session.unexpected(format!("`{text}` ({error})"), "a GTID set"))
}
