//! What a sink task counts for `/metrics`.
//!
//! Fed by `flow::sink_meter` with each status it publishes; what is new since the one before is added. Pair of `source_series`.

use crate::core::ids::Epoch;
use crate::core::job_state::{SinkStatus, Totals};
use crate::telemetry::metrics::{
    APPLIER_CONFLICTS, APPLIER_GROUPS, APPLIER_LAG, APPLIER_ROWS, APPLIER_ROWS_ONE_BY_ONE, APPLIER_TRANSACTIONS, GaugeGuard,
    RECEIVER_BYTES,
};

/// The metrics of one task.
pub struct SinkSeries {
    bytes: metrics::Counter,
    transactions: metrics::Counter,
    groups: metrics::Counter,
    rows: metrics::Counter,
    one_by_one: metrics::Counter,
    conflicts: metrics::Counter,
    lag: GaugeGuard,
    last: Totals,
    last_one_by_one: u64,
    epoch: Epoch,
}

impl SinkSeries {
    /// Those of this task.
    #[must_use]
    pub fn of(task: &str) -> Self {
        Self {
            bytes: RECEIVER_BYTES.of(task),
            transactions: APPLIER_TRANSACTIONS.of(task),
            groups: APPLIER_GROUPS.of(task),
            rows: APPLIER_ROWS.of(task),
            one_by_one: APPLIER_ROWS_ONE_BY_ONE.of(task),
            conflicts: APPLIER_CONFLICTS.of(task),
            lag: APPLIER_LAG.of(task),
            last: Totals::default(),
            last_one_by_one: 0,
            epoch: Epoch::default(),
        }
    }

    /// Counts what is new since the last call.
    pub fn follow(&mut self, status: &SinkStatus) {
        let totals = status.totals;
        self.bytes.increment(totals.bytes_wire - self.last.bytes_wire);
        self.transactions.increment(totals.transactions - self.last.transactions);
        self.groups.increment(totals.groups - self.last.groups);
        self.rows.increment(totals.rows - self.last.rows);
        let one_by_one = status.row_by_row.iter().map(|table| table.rows).sum::<u64>();
        self.one_by_one.increment(one_by_one - self.last_one_by_one);
        self.last_one_by_one = one_by_one;
        if status.epoch == self.epoch {
            // Those of before it acquired the fence are not its own.
            let new = totals.conflicts.saturating_sub(self.last.conflicts);
            self.conflicts.increment(new);
        }
        self.epoch = status.epoch;
        self.lag.set(status.lag_ms.map_or(f64::NAN, |lag_ms| lag_ms as f64 / 1000.0));
        self.last = totals;
    }
}
