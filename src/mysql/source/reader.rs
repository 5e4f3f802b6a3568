//! The binlog dump: events in, transactions out.
//!
//! Opens a connection of its own as a replica and pulls events; `assembler` makes transactions of them, the source flow
//! calls `next`. Reads no further than asked: a slow caller slows the server down. After an error it is over: open anew
//! from what was applied.

use std::time::Duration;

use mysql_common::packets::{GnoInterval, Sid, Tag};
use tokio::time::{Instant, timeout, timeout_at};

use crate::core::gtid_set::{GtidSet, SourceId};
use crate::core::ids::{ClusterId, JobId};
use crate::core::job_spec::DatabaseSpec;
use crate::core::sql_version;
use crate::core::stable_hash::{hash64, hex256};
pub use crate::core::table_wanted::Wanted;
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::assembler::Assembler;
use crate::mysql::source::dump_connection::DumpConnection;
use crate::mysql::source::dump_feed::Delivered;
use crate::mysql::source::foreign_text;
pub use crate::mysql::source::prepared::PreparedRules;
pub use crate::mysql::source::reader_event::ReaderEvent;
pub use crate::mysql::source::scope::Scope;

/// Longest wait for the first event: the server scans a binlog file for the position (facts/crates 1.3: 0.2 s per 300 MB).
const FIRST_EVENT_LIMIT: Duration = Duration::from_secs(60);
/// So many heartbeats may be missed before the stream counts as dead.
const HEARTBEATS_MISSED_MAX: u32 = 3;
/// A shorter silence is not death, however short the heartbeats: a server under load is late.
const SILENCE_MIN: Duration = Duration::from_secs(3);
/// How long the server keeps a reader that takes nothing: long enough for a target that is down for a while. A reader that
/// died is evicted by the next one with its id, not by this.
const NET_WRITE_TIMEOUT_S: u32 = 3600;
/// The server ended the dump; the text says why.
const SERVER_ENDED_DUMP: u16 = 1236;

/// Who the reader is and where it begins.
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// As `server_id` makes it: stable, so that a new reader of a job evicts a forgotten one.
    pub server_id: u32,
    /// As `replica_uuid` makes it.
    pub replica_uuid: String,
    /// Transactions that are not to be sent.
    pub from: GtidSet,
    /// How often an idle server says where it is.
    pub heartbeat: Duration,
}

/// A stream of transactions.
#[derive(Debug)]
pub struct Reader {
    connection: DumpConnection,
    /// Where it is asked what a text means.
    database: DatabaseSpec,
    address: String,
    server_uuid: String,
    assembler: Assembler,
    event_limit: Duration,
    has_events: bool,
    /// When the event in hand must be there; set by the first call that waits for it, kept when that call is cancelled.
    deadline: Option<Instant>,
    is_over: bool,
}

impl Reader {
    /// Connects and asks for everything that is not in `from`. What the server says to that comes with the first `next`.
    pub async fn open(database: &DatabaseSpec, options: ReaderOptions, scope: Scope) -> Result<Self, Error> {
        let mut session = Session::connect(database).await?;
        let folding: Option<u32> = session.first("SELECT @@GLOBAL.lower_case_table_names").await?;
        let scope = scope.folding(folding.unwrap_or(0) != 0);
        let version: Option<String> = session.first("SELECT VERSION()").await?;
        let (address, server_uuid) = (session.address().to_owned(), session.server_uuid().to_owned());
        session.close().await;
        let opening = async {
            let mut connection = DumpConnection::connect(database).await?;
            connection.execute(&session_variables(&options)).await?;
            connection.dump(options.server_id, sids(&options.from)).await?;
            Ok(connection)
        };
        let connection = match timeout(FIRST_EVENT_LIMIT, opening).await {
            Ok(connection) => connection.map_err(explain)?,
            Err(_) => {
                return Err(Error::TimedOut {
                    address,
                    operation: "the binlog dump",
                    limit: FIRST_EVENT_LIMIT,
                });
            }
        };
        let mut assembler = Assembler::new(address.clone(), scope);
        assembler.version = version.as_deref().and_then(sql_version::number).unwrap_or(0);
        Ok(Self {
            connection,
            database: database.clone(),
            assembler,
            address,
            server_uuid,
            event_limit: (options.heartbeat * HEARTBEATS_MISSED_MAX).max(SILENCE_MIN),
            has_events: false,
            deadline: None,
            is_over: false,
        })
    }

    /// Reads nothing of these transactions: they come without changes.
    #[must_use]
    pub fn passing_over(mut self, skips: GtidSet) -> Self {
        self.assembler.skips = skips;
        self
    }

    /// The same with other rules about prepared transactions.
    #[must_use]
    pub fn preparing(mut self, rules: PreparedRules) -> Self {
        self.assembler.prepared.rules = rules;
        self
    }

    /// The next piece of the stream. Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<ReaderEvent, Error> {
        loop {
            if let Some(event) = self.assembler.ready.pop_front() {
                return Ok(event);
            }
            let step = match &self.assembler.foreign {
                Some(foreign) => match foreign_text::in_utf8(&self.database, foreign).await {
                    Ok(text) => self.assembler.resume(text),
                    Err(error) => Err(error),
                },
                None => match self.receive().await {
                    Ok(Delivered::Event(event)) => self.assembler.take(&event),
                    Ok(Delivered::Inner(event, end)) => self.assembler.take_inner(&event, end),
                    Ok(Delivered::End) => Err(self.lost("the server ended the stream")),
                    Err(error) => Err(error),
                },
            };
            match step {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => {
                    self.is_over = true;
                    return Err(error);
                }
            }
        }
    }

    /// The server it reads from.
    #[must_use]
    pub fn server_uuid(&self) -> &str {
        &self.server_uuid
    }

    /// Ends the connection; an error here means nothing.
    pub async fn close(self) {
        drop(timeout(Duration::from_secs(1), self.connection.close()).await);
    }

    async fn receive(&mut self) -> Result<Delivered, Error> {
        if self.is_over {
            return Err(self.lost("it ended before"));
        }
        let limit = if self.has_events {
            self.event_limit
        } else {
            FIRST_EVENT_LIMIT
        };
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        let received = timeout_at(deadline, self.connection.next()).await;
        self.deadline = None;
        self.has_events = true;
        match received {
            Ok(delivered) => delivered.map_err(explain),
            Err(_) => Err(Error::TimedOut {
                address: self.address.clone(),
                operation: "the binlog stream (no event, no heartbeat)",
                limit,
            }),
        }
    }

    fn lost(&self, reason: &str) -> Error {
        Error::Lost {
            address: self.address.clone(),
            reason: format!("binlog stream: {reason}"),
        }
    }
}

/// A reader that was evicted by another with its id tries again (PROTOCOLS 8); every other end of a dump needs a person.
fn explain(error: Error) -> Error {
    match error {
        Error::Server {
            address,
            code: SERVER_ENDED_DUMP,
            message,
            ..
        } if message.contains("same server_uuid/server_id") => Error::Lost {
            address,
            reason: message,
        },
        other => other,
    }
}

fn session_variables(options: &ReaderOptions) -> String {
    let nanoseconds = options.heartbeat.as_nanos();
    let uuid = &options.replica_uuid;
    // Servers before 8.0.26 know only the second name of each.
    format!(
        "SET @source_heartbeat_period = {nanoseconds}, @master_heartbeat_period = {nanoseconds}, \
         @replica_uuid = '{uuid}', @slave_uuid = '{uuid}', SESSION net_write_timeout = {NET_WRITE_TIMEOUT_S}"
    )
}

/// The set in the driver's form, whose intervals end before their second number.
fn sids(set: &GtidSet) -> Vec<Sid<'static>> {
    let sid = |(source, intervals): (&SourceId, &[(u64, u64)])| {
        let intervals = intervals
            .iter()
            .map(|(first, last)| GnoInterval::new(*first, last + 1))
            .collect();
        let sid = Sid::new(source.uuid).with_intervals(intervals);
        match Tag::new(source.tag.clone()) {
            Ok(tag) if !source.tag.is_empty() => sid.with_tag(tag),
            _ => sid,
        }
    };
    set.sources().map(sid).collect()
}

/// A replica id that belongs to one job of one cluster (PROTOCOLS 8); the salt gives another when somebody else uses it.
#[must_use]
pub fn server_id(cluster: &ClusterId, job: &JobId, salt: u64) -> u32 {
    let hash = hash64(&[
        b"server_id",
        cluster.0.as_bytes(),
        job.name.0.as_bytes(),
        &job.inc.0.to_be_bytes(),
        &salt.to_be_bytes(),
    ]);
    (1 << 31) | u32::try_from(hash >> 34).expect("30 bits are left")
}

/// The replica's UUID of the same.
#[must_use]
pub fn replica_uuid(cluster: &ClusterId, job: &JobId, salt: u64) -> String {
    let digits = hex256(format!("replica_uuid\n{cluster}\n{}\n{}\n{salt}", job.name, job.inc).as_bytes());
    // Version 8, "custom", of RFC 9562: the digits are ours.
    format!(
        "{}-{}-8{}-a{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{Incarnation, JobName};

    fn ids(name: &str, salt: u64) -> (u32, String) {
        let cluster = ClusterId("c".into());
        let job = JobId {
            name: JobName(name.into()),
            inc: Incarnation(1),
        };
        (server_id(&cluster, &job, salt), replica_uuid(&cluster, &job, salt))
    }

    #[test]
    fn the_replica_ids_are_stable_and_belong_to_one_job_and_salt() {
        assert_eq!(ids("a", 0), ids("a", 0));
        assert_ne!(ids("a", 0).0, ids("b", 0).0);
        assert_ne!(ids("a", 0).1, ids("a", 1).1);
        let (id, uuid) = ids("a", 0);
        assert!((1 << 31..(1 << 31) + (1 << 30)).contains(&id), "{id}");
        assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }

    #[test]
    fn a_task_may_read_on_any_thread() {
        fn is_send<T: Send>(_: impl FnOnce(&'static mut Reader) -> T) {}
        is_send(|reader| reader.next());
    }

    #[test]
    fn tags_and_exclusive_ends_reach_the_driver() {
        let set = GtidSet::parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:mytag:5").unwrap();
        let text: Vec<_> = sids(&set).iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3",
                "3e11fa47-71ca-11e1-9e33-c80aa9429562:mytag:5"
            ]
        );
    }
}
