//! Where a sink flow stands, kept by its stages and published as `SinkStatus`.
//!
//! Written by the receiver (what arrived, heartbeats) and the applier (what is committed), read by a publisher that does
//! not depend on either: a stuck target must not stop the lag from growing. Behind one lock that is held for
//! moments only. It decides nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::change::{BinlogPosition, CopyRow};
use crate::core::commit_sizes::CommitSizes;
use crate::core::group::{Group, Tables};
use crate::core::gtid_set::{Gtid, GtidSet};
use crate::core::ids::{Epoch, NodeId, Seq};
use crate::core::job_state::{CopyHeld, LargeTransaction, Phase, PreparedStatus, PreparedWait, SinkStatus, TableProgress};
use crate::core::lag::LagClock;
use crate::core::progress::Progress;
use crate::core::recent_rate::RecentRate;
use crate::core::row_by_row::RowByRowLog;
use crate::core::shape::TableName;
use crate::flow::sink_series::SinkSeries;
use crate::flow::status::Durable;

/// Lag beyond which the copy is not read on: the changes of what is copied go first. As the lag is known by a heartbeat each second, and
/// the pieces of the copy that are on their way take some, a limit near a second would hold the copy for its own sake.
const COPY_LAG_MAX: Duration = Duration::from_secs(10);

/// How often the status is published.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

/// Silence after which the source stream no longer counts as healthy. Three heartbeats.
const HEALTHY_SILENCE_MAX: Duration = Duration::from_secs(3);

/// The counters of one sink flow.
#[derive(Debug)]
pub struct SinkMeter {
    started_at: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    status: SinkStatus,
    received: GtidSet,
    /// Nothing of these is left to be written; filtered ones included.
    applied: GtidSet,
    durable: GtidSet,
    durable_seq: Seq,
    lag: LagClock,
    heard_at: Option<Duration>,
    /// The source's clock at that moment.
    source_now_us: u64,
    prepared: Option<PreparedWait>,
    is_started: bool,
    rows: RecentRate,
    copied: RecentRate,
    commits: CommitSizes,
    row_by_row: RowByRowLog,
}

impl Default for SinkMeter {
    fn default() -> Self {
        Self {
            started_at: Instant::now(),
            state: Mutex::default(),
        }
    }
}

impl SinkMeter {
    /// The fence was acquired and this is what the target holds.
    pub fn acquired(&self, epoch: Epoch, progress: &Progress) {
        let mut state = self.lock();
        state.status.epoch = epoch;
        state.is_started = !progress.is_fresh();
        state.received = progress.executed.clone();
        state.applied = progress.executed.clone();
        state.durable = progress.executed.clone();
        state.durable_seq = progress.seq;
        state.status.binlog_file.clone_from(&progress.position.file);
        state.status.binlog_pos = progress.position.offset;
        state.lag.forget_received();
        state.status.tables = progress.copy.iter().map(table).collect();
        state.copied.clear();
        state.set_phase();
    }

    /// So many rows did not fit until now.
    pub fn conflicts(&self, conflicts: u64) {
        self.lock().status.totals.conflicts = conflicts;
    }

    /// The peer that is asked to run the source task.
    pub fn source(&self, source: NodeId) {
        self.lock().status.source = Some(source);
    }

    /// Nothing can flow now, and why. Until the source beats again.
    pub fn stuck(&self, source: Option<NodeId>, reason: String) {
        let mut state = self.lock();
        state.status.source = source;
        state.status.reason = Some(reason);
    }

    /// A batch arrived: its bytes on the link and unpacked.
    pub fn batch(&self, bytes_wire: u64, bytes_raw: u64) {
        let totals = &mut self.lock().status.totals;
        totals.bytes_wire += bytes_wire;
        totals.bytes_raw += bytes_raw;
    }

    /// The last part of a transaction arrived, with the prepared one that it ends.
    pub fn received(&self, gtid: &Gtid, prepared: Option<&Gtid>, commit_us: u64) {
        let mut state = self.lock();
        for gtid in [Some(gtid), prepared].into_iter().flatten() {
            state.received.add(gtid);
        }
        state.lag.received(commit_us);
    }

    /// A heartbeat arrived.
    pub fn heartbeat(&self, executed: GtidSet, source_now_us: u64) {
        let now = self.now();
        let state = &mut *self.lock();
        state.heard_at = Some(now);
        state.source_now_us = source_now_us;
        state.status.reason = None;
        state.status.read = executed.to_string();
        state.lag.heartbeat(executed, source_now_us, &state.applied, now);
    }

    /// What the source holds prepared.
    pub fn prepared(&self, waiting: Option<PreparedWait>) {
        self.lock().prepared = waiting;
    }

    /// So much of a large transaction is applied; None: it has ended, or was given up.
    pub fn large(&self, transaction: Option<LargeTransaction>) {
        self.lock().status.transaction = transaction;
    }

    /// The source stream beats and nothing is wrong with it.
    #[must_use]
    pub fn is_source_healthy(&self) -> bool {
        let now = self.now();
        self.lock()
            .heard_at
            .is_some_and(|at| now.saturating_sub(at) < HEALTHY_SILENCE_MAX)
    }

    /// The source began a job that had no progress: `executed` is where, `copy` what it will copy.
    pub fn started(&self, executed: &GtidSet, copy: &[CopyRow]) {
        let mut state = self.lock();
        state.is_started = true;
        state.received.union(executed);
        state.applied.union(executed);
        state.status.tables = copy.iter().map(table).collect();
        state.set_phase();
    }

    /// Transactions without changes in scope were passed; there is nothing of them to commit but progress.
    pub fn passed(&self, transactions: usize, added: &GtidSet) {
        let now = self.now();
        let state = &mut *self.lock();
        state.applied.union(added);
        state.lag.applied(transactions, &state.applied, now);
        state.status.totals.transactions += transactions as u64;
    }

    /// A group was committed. What it held of transactions must have been `passed` or be counted by `transactions`.
    pub fn committed(&self, group: Committed<'_>) {
        let now = self.now();
        let state = &mut *self.lock();
        state.applied.union(group.added);
        state.lag.applied(group.transactions, &state.applied, now);
        state.durable.clone_from(group.durable);
        state.durable_seq = group.seq;
        state.status.totals.transactions += group.transactions as u64;
        state.status.totals.rows += group.rows;
        state.status.totals.groups += 1;
        if let Some(position) = group.position {
            state.commits.note(now, group.transactions as u64, group.rows);
            state.status.binlog_file.clone_from(&position.file);
            state.status.binlog_pos = position.offset;
        }
    }

    /// What of a group, or of a part of a large transaction, was carried out one by one, and why.
    pub fn row_by_row(&self, group: &Group, tables: &Tables) {
        let now = self.now();
        self.lock().row_by_row.note(group, tables, now);
    }

    /// Whether the copy shall wait now, and why.
    pub fn copy_held(&self) -> Option<CopyHeld> {
        self.lock().copy_held(self.now())
    }

    /// A piece of the copy was committed.
    pub fn copied(&self, name: &TableName, rows: u64, is_last: bool) {
        let mut state = self.lock();
        if let Some(found) = state.table(name) {
            found.rows += rows;
            found.state = if is_last { "done" } else { "copying" }.into();
        }
        state.set_phase();
    }

    /// The copy of a table starts anew.
    pub fn reset(&self, name: &TableName) {
        let mut state = self.lock();
        if let Some(found) = state.table(name) {
            found.rows = 0;
            found.state = "waiting".into();
        }
        state.set_phase();
    }

    /// What was received and not committed is gone with its stream.
    pub fn forget_received(&self) {
        let state = &mut *self.lock();
        state.received.clone_from(&state.applied);
        state.lag.forget_received();
        state.heard_at = None;
        state.prepared = None;
        state.status.transaction = None;
    }

    /// What is committed, for the source.
    #[must_use]
    pub fn durable(&self) -> Durable {
        let state = self.lock();
        Durable {
            executed: state.durable.to_string(),
            seq: state.durable_seq.0,
        }
    }

    /// The status now.
    #[must_use]
    pub fn status(&self) -> SinkStatus {
        let now = self.now();
        let state = &mut *self.lock();
        state.rows.note(now, state.status.totals.rows);
        state.status.rows_per_s = state.rows.per_s().unwrap_or_default();
        state.status.copy_rows_per_s = state.copy_rate(now);
        state.status.received = state.received.to_string();
        state.status.applied = state.applied.to_string();
        state.status.lag_ms = state.lag.lag_ms(now);
        state.status.copy_held = state.copy_held(now);
        state.status.prepared = state.prepared_status(now);
        state.status.commits = state.commits.recent(now);
        state.status.row_by_row = state.row_by_row.report(now);
        state.status.caught_up = state.status.phase == Phase::Streaming && state.lag.is_caught_up(now);
        state.status.clone()
    }

    /// Publishes the status and the metrics of `task` until `stop`, and once more then.
    pub async fn publish(&self, task: &str, status: &watch::Sender<SinkStatus>, stop: CancellationToken) {
        let mut series = SinkSeries::of(task);
        let mut tick = tokio::time::interval(PUBLISH_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => self.publish_once(status, &mut series),
            }
        }
        self.publish_once(status, &mut series);
    }

    fn publish_once(&self, status: &watch::Sender<SinkStatus>, series: &mut SinkSeries) {
        let now = self.status();
        series.follow(&now);
        status.send_replace(now);
    }

    fn now(&self) -> Duration {
        self.started_at.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group that was committed on the target.
#[derive(Clone, Copy, Debug)]
pub struct Committed<'a> {
    /// Its number.
    pub seq: Seq,
    /// GTIDs that came with it.
    pub added: &'a GtidSet,
    /// All that is in the progress row.
    pub durable: &'a GtidSet,
    /// How many of the added ones were not `passed` before.
    pub transactions: usize,
    /// Rows written.
    pub rows: u64,
    /// End of its last transaction in the source's binlog; None for a piece of the copy.
    pub position: Option<&'a BinlogPosition>,
}

impl State {
    fn table(&mut self, name: &TableName) -> Option<&mut TableProgress> {
        self.status
            .tables
            .iter_mut()
            .find(|table| table.schema == name.schema && table.table == name.table)
    }

    /// Live changes beside the copy do not make it faster, so they are not counted.
    fn copy_rate(&mut self, now: Duration) -> Option<f64> {
        if self.status.phase != Phase::Copying {
            self.copied.clear();
            return None;
        }
        self.copied.note(now, self.status.tables.iter().map(|table| table.rows).sum());
        self.copied.per_s()
    }

    /// Nothing of the stream waits for a chunk that is not open, so the lag goes down without it when it can at all.
    fn copy_held(&self, now: Duration) -> Option<CopyHeld> {
        let lag_ms = self.lag.lag_ms(now)?;
        let lag_max_ms = COPY_LAG_MAX.as_millis() as u64;
        (self.status.phase == Phase::Copying && lag_ms > lag_max_ms).then_some(CopyHeld { lag_ms, lag_max_ms })
    }

    /// The age grows by the local clock between two heartbeats.
    fn prepared_status(&self, now: Duration) -> Option<PreparedStatus> {
        let waiting = self.prepared.as_ref()?;
        let since_heard = self.heard_at.map_or(Duration::ZERO, |at| now.saturating_sub(at));
        let age = Duration::from_micros(self.source_now_us.saturating_sub(waiting.prepared_us)) + since_heard;
        Some(PreparedStatus {
            transactions: waiting.transactions,
            xid: waiting.xid.clone(),
            gtid: waiting.gtid.clone(),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn set_phase(&mut self) {
        self.status.phase = match () {
            () if !self.is_started => Phase::Starting,
            () if self.status.tables.iter().any(|table| table.state != "done") => Phase::Copying,
            () => Phase::Streaming,
        };
    }
}

fn table(row: &CopyRow) -> TableProgress {
    let state = match (row.is_done, row.rows) {
        (true, _) => "done",
        (false, 0) => "waiting",
        (false, _) => "copying",
    };
    TableProgress {
        schema: row.table.schema.clone(),
        table: row.table.table.clone(),
        state: state.into(),
        rows: row.rows,
        rows_estimate: row.rows_estimate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(last: u64) -> GtidSet {
        GtidSet::parse(&format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{last}")).expect("a valid set")
    }

    fn orders() -> TableName {
        TableName {
            schema: "shop".into(),
            table: "orders".into(),
        }
    }

    fn open(rows: u64) -> CopyRow {
        CopyRow {
            table: orders(),
            cursor: None,
            rows,
            rows_estimate: Some(1000),
            is_done: false,
            since: Default::default(),
        }
    }

    fn commit(meter: &SinkMeter, last: u64, rows: u64) {
        meter.committed(Committed {
            seq: Seq(last),
            added: &set(last),
            durable: &set(last),
            transactions: 1,
            rows,
            position: None,
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_copies_until_its_last_table_is_done_and_then_streams() {
        let meter = SinkMeter::default();
        meter.acquired(Epoch(4), &Progress::default());
        assert_eq!((meter.status().phase, meter.status().epoch), (Phase::Starting, Epoch(4)));
        meter.started(&set(5), &[open(0)]);
        assert_eq!(meter.status().phase, Phase::Copying);
        meter.copied(&orders(), 10, false);
        meter.copied(&orders(), 5, true);
        assert_eq!(meter.status().phase, Phase::Streaming);
        assert_eq!(
            (meter.status().tables[0].rows, meter.status().tables[0].state.as_str()),
            (15, "done")
        );
        meter.reset(&orders());
        let anew = meter.status();
        assert_eq!(
            (anew.phase, anew.tables[0].rows, anew.tables[0].rows_estimate),
            (Phase::Copying, 0, Some(1000))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_streaming_job_is_caught_up() {
        let meter = SinkMeter::default();
        meter.acquired(Epoch(1), &Progress::default());
        meter.started(&set(5), &[open(0)]);
        meter.heartbeat(set(5), 1_000_000);
        assert!(!meter.status().caught_up);
        meter.copied(&orders(), 1, true);
        assert!(meter.status().caught_up);
        meter.heartbeat(set(6), 2_000_000);
        assert!(!meter.status().caught_up);
        meter.passed(1, &set(6));
        assert!(meter.status().caught_up);
        assert_eq!(meter.durable().executed, "", "passed is not durable");
        commit(&meter, 6, 0);
        assert_eq!(
            meter.durable(),
            Durable {
                executed: set(6).to_string(),
                seq: 6
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_prepared_is_shown_with_its_age_and_does_not_stop_the_job_from_being_caught_up() {
        let meter = SinkMeter::default();
        meter.acquired(Epoch(1), &Progress::default());
        meter.started(&set(5), &[]);
        meter.heartbeat(set(5), 9_000_000);
        meter.prepared(Some(PreparedWait {
            transactions: 2,
            xid: "X'61',X'',1".into(),
            gtid: "3e11fa47-71ca-11e1-9e33-c80aa9429562:6".into(),
            prepared_us: 4_000_000,
        }));
        tokio::time::advance(Duration::from_secs(1)).await;
        let status = meter.status();
        assert_eq!((status.caught_up, status.lag_ms), (true, Some(0)));
        let prepared = status.prepared.expect("one is prepared");
        assert_eq!((prepared.transactions, prepared.age_ms), (2, 6000));
        meter.prepared(None);
        let gtid = "u:7".to_owned();
        let large = LargeTransaction {
            gtid,
            rows: 9,
            bytes: 90,
        };
        meter.large(Some(large.clone()));
        assert_eq!(meter.status().transaction, Some(large));
        meter.forget_received();
        assert_eq!(meter.status().transaction, None, "it ended with its stream");
        assert_eq!(meter.status().prepared, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_held_while_changes_are_late_and_goes_on_when_they_are_there() {
        let meter = SinkMeter::default();
        meter.acquired(Epoch(1), &Progress::default());
        meter.started(&set(5), &[open(0)]);
        meter.heartbeat(set(5), 1_000_000);
        assert_eq!(meter.copy_held(), None);
        for second in 1..=20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            meter.heartbeat(set(6), 1_000_000 * (second + 1));
            assert_eq!(meter.copy_held().is_some(), second > 10, "after {second} s");
        }
        let held = meter.status().copy_held.expect("it is held");
        assert_eq!((held.lag_ms, held.lag_max_ms), (20_000, 10_000));
        commit(&meter, 6, 1);
        assert_eq!((meter.copy_held(), meter.status().copy_held), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_copies_nothing_holds_nothing_whatever_its_lag() {
        let meter = SinkMeter::default();
        meter.acquired(Epoch(1), &Progress::default());
        meter.started(&set(5), &[]);
        meter.heartbeat(set(9), 1_000_000);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(meter.copy_held(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_of_the_last_seconds() {
        let meter = SinkMeter::default();
        for second in 0..20 {
            let _ = meter.status();
            commit(&meter, second + 1, if second < 10 { 1000 } else { 0 });
            tokio::time::advance(Duration::from_secs(1)).await;
            if second == 8 {
                let rate = meter.status().rows_per_s;
                assert!((900.0..=1100.0).contains(&rate), "{rate}");
            }
        }
        assert!(meter.status().rows_per_s < 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resumed_copy_shows_its_estimate_and_only_its_own_rows_make_it_fast() {
        let meter = SinkMeter::default();
        let progress = Progress {
            seq: Seq(7),
            copy: vec![open(400)],
            ..Progress::default()
        };
        meter.acquired(Epoch(2), &progress);
        let table = meter.status().tables[0].clone();
        assert_eq!(
            (table.state.as_str(), table.rows, table.rows_estimate),
            ("copying", 400, Some(1000))
        );
        assert_eq!(meter.status().copy_rows_per_s, None, "nothing is known yet");
        for second in 1..=4 {
            tokio::time::advance(Duration::from_secs(1)).await;
            meter.copied(&orders(), 50, false);
            commit(&meter, second, 5_000);
            let _ = meter.status();
        }
        assert_eq!(meter.status().copy_rows_per_s, Some(50.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_without_a_source_says_why_until_one_beats() {
        let meter = SinkMeter::default();
        meter.stuck(None, "no peer may run the source task".into());
        assert_eq!(meter.status().reason.as_deref(), Some("no peer may run the source task"));
        meter.source(NodeId("a".into()));
        assert!(meter.status().reason.is_some(), "to be asked is not to serve");
        meter.heartbeat(set(5), 1_000_000);
        assert_eq!(meter.status().reason, None);
    }
}
