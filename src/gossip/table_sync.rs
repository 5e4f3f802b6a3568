//! One exchange of job records with one peer: a push of what changed, or a comparison that repairs both tables.
//!
//! Called by `table_exchange` (comparison) and the job table (push); the other side is `serve`, called by `node` for each
//! stream of kind TableSync. Records are bytes here: what they mean, and how two become one, is the business of the `Table`.
//! A merge is a join, so repeated, lost and reordered exchanges do no harm.
//!
//! Comparison, A calls B: A `Root`; B `Done` when equal, else `Hashes`; A `Want`, `Records`…, `Done`; B `Records`…, `Done`.
//! Push: A `Records`…, `Done`; B `Done`. Only one side sends at a time, so full windows cannot block each other.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::timeout;

use crate::core::ids::{JobName, NodeId};
use crate::gossip::error::GossipError;
use crate::transport::endpoint::{Endpoint, IncomingStream};
use crate::transport::stream::Stream;
use crate::wire::message::{StreamKind, TableSync};

/// Most bytes of one record (facts 6.2). Submit refuses a larger one; one that arrives is skipped and reported.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Most jobs in one table: above it the list of hashes is not the right tool any more (DESIGN 3.3).
pub const RECORDS_MAX: usize = 10_000;
/// Peers that are pushed to at the same time.
pub const FAN_OUT_MAX: usize = 16;
/// Bytes of records put into one message; with the largest record far below the 16 MiB of a data frame.
const MESSAGE_BYTES: usize = 2 * 1024 * 1024;
/// Longest wait for one message, merges at the other side included.
const STEP_WITHIN: Duration = Duration::from_secs(10);

const _: () = assert!(MESSAGE_BYTES + RECORD_BYTES_MAX < crate::wire::frame::DATA_BYTES_MAX);

/// The job table, as an exchange sees it. Implemented by its owner.
pub trait Table: Send + Sync {
    /// Hash of the whole table.
    fn root_hash(&self) -> String;
    /// Name and hash of every record.
    fn hashes(&self) -> Vec<(JobName, String)>;
    /// The records of these names, as bytes; names it does not have are passed over.
    fn records(&self, names: &[JobName]) -> Vec<Vec<u8>>;
    /// Joins records into the table, durable when it answers, and names those it had to refuse.
    fn merge(&self, records: Vec<Vec<u8>>) -> BoxFuture<'_, Vec<BadRecord>>;
}

/// A record that was refused. The rest of its message was merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The job, when that much could be read.
    pub name: Option<JobName>,
    /// What was wrong.
    pub reason: String,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "record of job `{name}` refused: {}", self.reason),
            None => write!(f, "job record refused: {}", self.reason),
        }
    }
}

/// What an exchange did here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Records merged into this table.
    pub received: usize,
    /// Records sent.
    pub sent: usize,
    /// Records refused here.
    pub refused: Vec<BadRecord>,
}

/// Sends records to all of `addrs`, a few at a time, and returns who did not take them; the comparison repairs that later.
pub async fn push(endpoint: &Endpoint, addrs: &[SocketAddr], records: &[Vec<u8>]) -> Vec<(SocketAddr, GossipError)> {
    let pushes: Vec<_> = addrs.iter().map(|addr| push_or_say(endpoint, *addr, records)).collect();
    let failed = stream::iter(pushes).buffer_unordered(FAN_OUT_MAX);
    failed.filter_map(|failed| async { failed }).collect().await
}

async fn push_or_say(endpoint: &Endpoint, addr: SocketAddr, records: &[Vec<u8>]) -> Option<(SocketAddr, GossipError)> {
    push_one(endpoint, addr, records).await.err().map(|error| (addr, error))
}

async fn push_one(endpoint: &Endpoint, addr: SocketAddr, records: &[Vec<u8>]) -> Result<(), GossipError> {
    let mut stream = endpoint.open(addr, StreamKind::TableSync).await?;
    send_records(&mut stream, records).await?;
    send(&mut stream, &TableSync::Done).await?;
    match receive(&mut stream).await? {
        TableSync::Done => Ok(()),
        other => Err(unexpected(&other, "Done")),
    }
}

/// Compares tables with the peer at `addr` and repairs both.
pub async fn compare(endpoint: &Endpoint, addr: SocketAddr, table: &dyn Table) -> Result<Synced, GossipError> {
    let mut stream = endpoint.open(addr, StreamKind::TableSync).await?;
    let root = TableSync::Root { hash: table.root_hash() };
    send(&mut stream, &root).await?;
    let theirs = match receive(&mut stream).await? {
        TableSync::Done => return Ok(Synced::default()),
        TableSync::Hashes { records } => records,
        other => return Err(unexpected(&other, "Hashes or Done")),
    };
    let Difference { want, give } = difference(&table.hashes(), &theirs)?;
    send(&mut stream, &TableSync::Want { names: want }).await?;
    let sent = send_records(&mut stream, &table.records(&give)).await?;
    send(&mut stream, &TableSync::Done).await?;
    let mut synced = receive_records(&mut stream, table, None).await?;
    synced.sent = sent;
    stream.finish().await?;
    Ok(synced)
}

/// Answers the peer that opened a stream of kind TableSync, either form.
pub async fn serve(incoming: IncomingStream, table: &dyn Table) -> Result<Synced, GossipError> {
    let IncomingStream { peer, mut stream, .. } = incoming;
    let synced = match receive(&mut stream).await? {
        TableSync::Root { hash } if hash == table.root_hash() => Synced::default(),
        TableSync::Root { .. } => serve_difference(&mut stream, table).await?,
        first @ (TableSync::Records { .. } | TableSync::Done) => receive_records(&mut stream, table, Some(first)).await?,
        other => return Err(unexpected(&other, "Root or Records")),
    };
    report(&peer, &synced);
    send(&mut stream, &TableSync::Done).await?;
    stream.finish().await?;
    Ok(synced)
}

async fn serve_difference(stream: &mut Stream, table: &dyn Table) -> Result<Synced, GossipError> {
    let records = table.hashes();
    check_length(records.len())?;
    send(stream, &TableSync::Hashes { records }).await?;
    let names = match receive(stream).await? {
        TableSync::Want { names } => names,
        other => return Err(unexpected(&other, "Want")),
    };
    check_length(names.len())?;
    let mut synced = receive_records(stream, table, None).await?;
    // Also what was just merged: the caller asked for names that differ, and both join to the same.
    synced.sent = send_records(stream, &table.records(&names)).await?;
    Ok(synced)
}

/// Logs what a peer sent and was refused, once, where it ends.
pub(super) fn report(peer: &NodeId, synced: &Synced) {
    for bad in &synced.refused {
        tracing::warn!(%peer, error = %bad, "job record of another peer refused");
    }
    if synced.received + synced.sent > 0 {
        tracing::debug!(%peer, rows = synced.received, "job tables compared");
    }
}

/// Sends records in messages of bounded size and returns how many.
async fn send_records(stream: &mut Stream, records: &[Vec<u8>]) -> Result<usize, GossipError> {
    let mut sent = 0;
    let mut batch: Vec<Vec<u8>> = Vec::new();
    let mut batch_bytes = 0;
    for record in records {
        if record.len() > RECORD_BYTES_MAX {
            tracing::warn!(bytes = record.len(), "job record too long to be sent");
            continue;
        }
        if batch_bytes + record.len() > MESSAGE_BYTES {
            let records = std::mem::take(&mut batch);
            send(stream, &TableSync::Records { records }).await?;
            batch_bytes = 0;
        }
        batch_bytes += record.len();
        batch.push(record.clone());
        sent += 1;
    }
    if !batch.is_empty() {
        send(stream, &TableSync::Records { records: batch }).await?;
    }
    Ok(sent)
}

/// Merges messages of records until `Done`, of which `first` may already be here.
async fn receive_records(stream: &mut Stream, table: &dyn Table, first: Option<TableSync>) -> Result<Synced, GossipError> {
    let mut synced = Synced::default();
    let mut next = first;
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => receive(stream).await?,
        };
        let records = match message {
            TableSync::Done => return Ok(synced),
            TableSync::Records { records } => records,
            other => return Err(unexpected(&other, "Records or Done")),
        };
        synced.received += records.len();
        check_length(synced.received)?;
        let (short, long): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.len() <= RECORD_BYTES_MAX);
        synced.refused.extend(long.iter().map(|record| too_long(record.len())));
        synced.refused.extend(table.merge(short).await);
    }
}

fn too_long(bytes: usize) -> BadRecord {
    BadRecord {
        name: None,
        reason: format!("it has {bytes} bytes, at most {RECORD_BYTES_MAX} are taken"),
    }
}

/// What to ask for and what to give. A record that differs goes both ways.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    want: Vec<JobName>,
    give: Vec<JobName>,
}

fn difference(mine: &[(JobName, String)], theirs: &[(JobName, String)]) -> Result<Difference, GossipError> {
    check_length(mine.len())?;
    check_length(theirs.len())?;
    let names_missing = |from: &[(JobName, String)], other: &[(JobName, String)]| {
        let known: BTreeMap<&JobName, &String> = other.iter().map(|(name, hash)| (name, hash)).collect();
        let differs = from.iter().filter(|(name, hash)| known.get(name) != Some(&hash));
        differs.map(|(name, _)| name.clone()).collect()
    };
    Ok(Difference {
        want: names_missing(theirs, mine),
        give: names_missing(mine, theirs),
    })
}

fn check_length(found: usize) -> Result<(), GossipError> {
    if found > RECORDS_MAX {
        return Err(GossipError::TableTooLong {
            found,
            expected: RECORDS_MAX,
        });
    }
    Ok(())
}

fn unexpected(found: &TableSync, expected: &'static str) -> GossipError {
    let found = match found {
        TableSync::Root { .. } => "Root",
        TableSync::Hashes { .. } => "Hashes",
        TableSync::Want { .. } => "Want",
        TableSync::Records { .. } => "Records",
        TableSync::Done => "Done",
    };
    GossipError::Protocol { found, expected }
}

async fn send(stream: &mut Stream, message: &TableSync) -> Result<(), GossipError> {
    timeout(STEP_WITHIN, stream.send(message)).await.map_err(|_| silent())??;
    Ok(())
}

async fn receive(stream: &mut Stream) -> Result<TableSync, GossipError> {
    Ok(timeout(STEP_WITHIN, stream.recv()).await.map_err(|_| silent())??)
}

fn silent() -> GossipError {
    GossipError::Silent { after: STEP_WITHIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, &str)]) -> Vec<(JobName, String)> {
        let entry = |(name, hash): &(&str, &str)| (JobName((*name).to_owned()), (*hash).to_owned());
        entries.iter().map(entry).collect()
    }

    #[test]
    fn what_differs_goes_both_ways_and_what_is_missing_one_way() {
        let mine = table(&[("same", "1"), ("edited", "2"), ("mine", "3")]);
        let theirs = table(&[("edited", "9"), ("same", "1"), ("theirs", "4")]);
        let names = |names: &[&str]| names.iter().map(|name| JobName((*name).to_owned())).collect::<Vec<_>>();
        assert_eq!(
            difference(&mine, &theirs).unwrap(),
            Difference {
                want: names(&["edited", "theirs"]),
                give: names(&["edited", "mine"])
            }
        );
    }

    #[test]
    fn a_list_over_the_limit_is_refused() {
        let long: Vec<(JobName, String)> = (0..=RECORDS_MAX).map(|n| (JobName(n.to_string()), String::new())).collect();
        assert!(matches!(difference(&[], &long), Err(GossipError::TableTooLong { .. })));
        assert!(difference(&[], &long[1..]).is_ok());
    }
}
