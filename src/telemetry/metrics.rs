//! The metrics catalogue: every series this process exports, and the text of `/metrics`.
//!
//! Fed by the stages through the constants here, read by `admin::http`. Names are `peer_<stage>_<noun>_<unit>[_total]`;
//! labels are `task` (the job), `state` and `reason` only. Take a handle once per task, not once per row.

use std::sync::OnceLock;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use thiserror::Error;

/// A series that only grows, one per value of its label.
#[derive(Clone, Copy, Debug)]
pub struct CounterSeries {
    /// Its name, ending in `_total`.
    pub name: &'static str,
    /// Name of its one label.
    pub label: &'static str,
    /// When it moves, what it leaves out, its pair.
    pub help: &'static str,
}

/// A series that goes up and down, one per value of its label.
#[derive(Clone, Copy, Debug)]
pub struct GaugeSeries {
    /// Its name.
    pub name: &'static str,
    /// Name of its one label.
    pub label: &'static str,
    /// When it moves, what it leaves out, its pair.
    pub help: &'static str,
}

impl CounterSeries {
    /// The counter for this value of the label.
    pub fn of(&self, value: &str) -> Counter {
        counter!(self.name, self.label => value.to_owned())
    }
}

impl GaugeSeries {
    /// The gauge for this value of the label, which reads NaN (unknown) once the guard is dropped: a task that moved
    /// to another peer leaves no stale number behind.
    #[must_use]
    pub fn of(&self, value: &str) -> GaugeGuard {
        GaugeGuard(gauge!(self.name, self.label => value.to_owned()))
    }
}

/// A gauge somebody answers for.
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.set(f64::NAN);
    }
}

/// Transactions the source task took from the binlog.
pub const READER_TRANSACTIONS: CounterSeries = CounterSeries {
    name: "peer_reader_transactions_total",
    label: "task",
    help: "Transactions read from the source's binlog. Counts those the filter empties; leaves out the copy. Pair: peer_applier_transactions_total.",
};

/// Rows the source task took from the binlog.
pub const READER_ROWS: CounterSeries = CounterSeries {
    name: "peer_reader_rows_total",
    label: "task",
    help: "Changes of rows in the job's tables read from the binlog, an update as one. Leaves out the copy. Pair: peer_applier_rows_total.",
};

/// Bytes the source task took from the binlog.
pub const READER_BYTES: CounterSeries = CounterSeries {
    name: "peer_reader_bytes_total",
    label: "task",
    help: "Bytes of those rows, decompressed, an update with both images. Leaves out the copy and everything else in the binlog. Pair: peer_sender_raw_bytes_total.",
};

/// Chunks the source task made for the copy.
pub const COPY_CHUNKS: CounterSeries = CounterSeries {
    name: "peer_copy_chunks_total",
    label: "task",
    help: "Pieces of the copy handed to the link. Pieces sent again after a restart count again. Pair: peer_copy_rows_total.",
};

/// Rows the source task read for the copy.
pub const COPY_ROWS: CounterSeries = CounterSeries {
    name: "peer_copy_rows_total",
    label: "task",
    help: "Rows of the copy handed to the link, as they stand after the changes since their SELECT. Rows sent again after a restart count again. Pair: peer_applier_rows_total.",
};

/// Batches the source task put on the link.
pub const SENDER_BATCHES: CounterSeries = CounterSeries {
    name: "peer_sender_batches_total",
    label: "task",
    help: "Batches sent. Leaves out the empty ones that keep a slow link alive. Pair: peer_sender_bytes_total.",
};

/// Bytes the source task put on the link, before compression.
pub const SENDER_RAW_BYTES: CounterSeries = CounterSeries {
    name: "peer_sender_raw_bytes_total",
    label: "task",
    help: "Bytes of batches sent, before compression. Pair: peer_sender_bytes_total.",
};

/// Bytes the source task put on the link.
pub const SENDER_BYTES: CounterSeries = CounterSeries {
    name: "peer_sender_bytes_total",
    label: "task",
    help: "Bytes of batches sent, after compression; leaves out frame headers, heartbeats, QUIC and UDP. Pair: peer_receiver_bytes_total.",
};

/// Bytes the sink task took from the link.
pub const RECEIVER_BYTES: CounterSeries = CounterSeries {
    name: "peer_receiver_bytes_total",
    label: "task",
    help: "Bytes of batches received, before decompression. Pair: peer_sender_bytes_total.",
};

/// Transactions the sink task committed.
pub const APPLIER_TRANSACTIONS: CounterSeries = CounterSeries {
    name: "peer_applier_transactions_total",
    label: "task",
    help: "Source transactions whose effect is committed on the target. Moves after the COMMIT. Pair: peer_reader_transactions_total.",
};

/// Target transactions of the sink task.
pub const APPLIER_GROUPS: CounterSeries = CounterSeries {
    name: "peer_applier_groups_total",
    label: "task",
    help: "Transactions committed on the target: groups of source transactions and pieces of the copy. Pair: peer_applier_transactions_total.",
};

/// Rows that did not fit.
pub const APPLIER_CONFLICTS: CounterSeries = CounterSeries {
    name: "peer_applier_conflicts_total",
    label: "task",
    help: "Rows of the target that did not fit a change, whatever was decided; a job that pauses counts a row again each time it is tried. Pair: peer_applier_rows_total.",
};

/// Rows the sink task committed.
pub const APPLIER_ROWS: CounterSeries = CounterSeries {
    name: "peer_applier_rows_total",
    label: "task",
    help: "Rows written and committed on the target, copy included, after merging changes of one key. Pair: peer_copy_rows_total.",
};

/// Row changes the sink task carried out one by one.
pub const APPLIER_ROWS_ONE_BY_ONE: CounterSeries = CounterSeries {
    name: "peer_applier_rows_one_by_one_total",
    label: "task",
    help: "Row changes carried out by a statement of their own, for the reasons that `peer status` gives per table. Pair: peer_applier_rows_total.",
};

/// How far behind the target is.
pub const APPLIER_LAG: GaugeSeries = GaugeSeries {
    name: "peer_applier_lag_seconds",
    label: "task",
    help: "Age of the oldest change of the source that is not committed on the target; 0 when idle, growing when stuck, NaN when unknown. Set each second by the peer that runs the sink.",
};

/// Task restarts.
pub const TASK_RESTARTS: CounterSeries = CounterSeries {
    name: "peer_task_restarts_total",
    label: "reason",
    help: "Restarts of a task on this peer, by class of its newest error. Leaves out moves to another peer.",
};

/// Peers by standing.
pub const MEMBERSHIP_PEERS: GaugeSeries = GaugeSeries {
    name: "peer_membership_peers_count",
    label: "state",
    help: "Peers this peer knows, itself included, by standing (alive, suspect, dead, left, draining). Counted when /metrics is asked for.",
};

/// Jobs by state.
pub const JOB_TABLE_JOBS: GaugeSeries = GaugeSeries {
    name: "peer_table_jobs_count",
    label: "state",
    help: "Jobs of the cluster by what they do, as this peer sees them; purged ones left out. Counted when /metrics is asked for.",
};

/// All counters.
pub const COUNTERS: &[CounterSeries] = &[
    READER_TRANSACTIONS,
    READER_ROWS,
    READER_BYTES,
    COPY_CHUNKS,
    COPY_ROWS,
    SENDER_BATCHES,
    SENDER_RAW_BYTES,
    SENDER_BYTES,
    RECEIVER_BYTES,
    APPLIER_TRANSACTIONS,
    APPLIER_GROUPS,
    APPLIER_ROWS,
    APPLIER_ROWS_ONE_BY_ONE,
    APPLIER_CONFLICTS,
    TASK_RESTARTS,
];

/// All gauges.
pub const GAUGES: &[GaugeSeries] = &[APPLIER_LAG, MEMBERSHIP_PEERS, JOB_TABLE_JOBS];

/// Another recorder is installed in this process; metrics go there, `/metrics` would stay empty.
#[derive(Debug, Error)]
#[error("another metrics recorder is installed in this process")]
pub struct MetricsError;

/// Renders what was recorded. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes this process record; later calls return the same recorder.
    ///
    /// # Errors
    /// Another recorder is there already; nothing was changed.
    pub fn install() -> Result<Self, MetricsError> {
        static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
        let handle = INSTALLED.get_or_init(|| {
            let (recorder, Self(handle)) = Self::detached();
            metrics::set_global_recorder(recorder).ok()?;
            describe();
            Some(handle)
        });
        handle.clone().map(Self).ok_or(MetricsError)
    }

    /// A recorder that is not the process's: for tests, with `metrics::with_local_recorder`.
    #[must_use]
    pub fn detached() -> (PrometheusRecorder, Self) {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        (recorder, Self(handle))
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Gives every series its help text.
pub fn describe() {
    for series in COUNTERS {
        describe_counter!(series.name, series.help);
    }
    for series in GAUGES {
        describe_gauge!(series.name, series.help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_house_rule_and_carry_a_text() {
        let counters = COUNTERS.iter().map(|s| (s.name, s.help));
        let all: Vec<_> = counters.chain(GAUGES.iter().map(|s| (s.name, s.help))).collect();
        for (name, help) in &all {
            assert!(name.starts_with("peer_") && name.split('_').count() >= 3, "{name}");
            assert!(help.ends_with('.'), "{name}");
        }
        assert!(COUNTERS.iter().all(|s| s.name.ends_with("_total")));
        assert!(GAUGES.iter().all(|s| !s.name.ends_with("_total")));
        let mut names: Vec<_> = all.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len(), "a name stands for one series");
    }

    #[test]
    fn what_is_counted_is_rendered_and_a_dropped_gauge_is_unknown() {
        let (recorder, rendered) = Metrics::detached();
        metrics::with_local_recorder(&recorder, || {
            describe();
            APPLIER_ROWS.of("orders").increment(3);
            let lag = APPLIER_LAG.of("orders");
            lag.set(1.5);
            assert!(rendered.render().contains("peer_applier_lag_seconds{task=\"orders\"} 1.5"));
        });
        let text = rendered.render();
        assert!(text.contains("peer_applier_rows_total{task=\"orders\"} 3"), "{text}");
        assert!(text.contains("peer_applier_lag_seconds{task=\"orders\"} NaN"), "{text}");
        assert!(text.contains("# HELP peer_applier_rows_total Rows written"), "{text}");
    }
}
