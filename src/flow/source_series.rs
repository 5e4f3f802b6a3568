//! What the stages of a source task count for `/metrics`.
//!
//! Handles are taken once per task; the reader's pump, the merge stage and the sender move theirs as they work. Counters
//! only: they outlive the task, so that their rates survive a restart. Pair of the sink's in `sink_meter`.

use metrics::Counter;

use crate::core::change::Chunk;
use crate::core::row_bag::change_bytes;
use crate::mysql::source::reader::ReaderEvent;
use crate::telemetry::metrics::{
    COPY_CHUNKS, COPY_ROWS, READER_BYTES, READER_ROWS, READER_TRANSACTIONS, SENDER_BATCHES, SENDER_BYTES, SENDER_RAW_BYTES,
};

/// The reader's.
pub struct ReaderSeries {
    transactions: Counter,
    rows: Counter,
    bytes: Counter,
}

impl ReaderSeries {
    /// Those of this task.
    #[must_use]
    pub fn of(task: &str) -> Self {
        Self {
            transactions: READER_TRANSACTIONS.of(task),
            rows: READER_ROWS.of(task),
            bytes: READER_BYTES.of(task),
        }
    }

    /// These events were read.
    pub fn read(&self, events: &[ReaderEvent]) {
        let (mut transactions, mut rows, mut bytes) = (0, 0, 0);
        for event in events {
            match event {
                ReaderEvent::Changes(changes) => {
                    rows += changes.len() as u64;
                    bytes += changes.iter().map(change_bytes).sum::<u64>();
                }
                ReaderEvent::Commit { .. } | ReaderEvent::Resolved { .. } | ReaderEvent::Ddl(_) => transactions += 1,
                ReaderEvent::Begin { .. }
                | ReaderEvent::Held { .. }
                | ReaderEvent::Release { .. }
                | ReaderEvent::Prepared { .. }
                | ReaderEvent::Position { .. } => {}
            }
        }
        self.transactions.increment(transactions);
        self.rows.increment(rows);
        self.bytes.increment(bytes);
    }
}

/// The copy's.
pub struct CopySeries {
    chunks: Counter,
    rows: Counter,
}

impl CopySeries {
    /// Those of this task.
    #[must_use]
    pub fn of(task: &str) -> Self {
        Self {
            chunks: COPY_CHUNKS.of(task),
            rows: COPY_ROWS.of(task),
        }
    }

    /// This chunk is on its way.
    pub fn closed(&self, chunk: &Chunk) {
        self.chunks.increment(1);
        self.rows.increment(chunk.rows.len() as u64);
    }
}

/// The sender's.
pub struct SenderSeries {
    batches: Counter,
    bytes_raw: Counter,
    bytes_wire: Counter,
}

impl SenderSeries {
    /// Those of this task.
    #[must_use]
    pub fn of(task: &str) -> Self {
        Self {
            batches: SENDER_BATCHES.of(task),
            bytes_raw: SENDER_RAW_BYTES.of(task),
            bytes_wire: SENDER_BYTES.of(task),
        }
    }

    /// A batch was sent: its bytes before and after compression.
    pub fn sent(&self, bytes_raw: u64, bytes_wire: u64) {
        self.batches.increment(1);
        self.bytes_raw.increment(bytes_raw);
        self.bytes_wire.increment(bytes_wire);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::core::change::{BinlogPosition, Change, Row};
    use crate::core::shape::ShapeId;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn each_stage_counts_what_it_did() {
        let row = || Row(Bytes::from_static(b"row"));
        let shape = ShapeId(0);
        let changes = vec![
            Change::Insert { shape, after: row() },
            Change::Delete { shape, before: row() },
        ];
        let events = [
            ReaderEvent::Changes(changes),
            ReaderEvent::Commit {
                position: BinlogPosition::default(),
            },
        ];
        let chunk = Chunk {
            shape,
            low: None,
            high: None,
            rows: vec![row(); 3],
            is_last: true,
        };
        let (recorder, rendered) = Metrics::detached();
        metrics::with_local_recorder(&recorder, || {
            ReaderSeries::of("t").read(&events);
            CopySeries::of("t").closed(&chunk);
            SenderSeries::of("t").sent(100, 40);
        });
        let text = rendered.render();
        for line in [
            "peer_reader_transactions_total{task=\"t\"} 1",
            "peer_reader_rows_total{task=\"t\"} 2",
            "peer_copy_chunks_total{task=\"t\"} 1",
            "peer_copy_rows_total{task=\"t\"} 3",
            "peer_sender_batches_total{task=\"t\"} 1",
            "peer_sender_raw_bytes_total{task=\"t\"} 100",
            "peer_sender_bytes_total{task=\"t\"} 40",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
