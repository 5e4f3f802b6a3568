//! How many rows the next chunk of a table has.
//!
//! Fed by `flow::merger` with what the last chunk took; a chunk is long enough that its round trips vanish in it and short enough
//! that its fold stays small. Pure: the time comes in.

use std::time::Duration;

/// Rows of the first chunk: a few hundred KiB of ordinary rows (guess; the second chunk is measured).
const ROWS_START: u64 = 1000;
/// Rows of the largest chunk: its group is one transaction on the target (guess).
const ROWS_MAX: u64 = 50_000;
/// Time a chunk's read aims at: a view this old costs the source no purge lag (DESIGN 4: 200 ms).
const AIM: Duration = Duration::from_millis(200);
/// Bytes a chunk aims at, a quarter of the frame limit of 16 MiB: rows differ, and a fold may double it.
const BYTES_AIM: u64 = 4 << 20;

/// The size of the next chunk of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSize {
    rows: u64,
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self { rows: ROWS_START }
    }
}

impl ChunkSize {
    /// Rows to read, at least 1.
    #[must_use]
    pub fn rows(self) -> u64 {
        self.rows
    }

    /// The size after a chunk of `rows` and `bytes` that was read in `took`: at most doubled, at most halved by time.
    #[must_use]
    pub fn after(self, rows: u64, bytes: u64, took: Duration) -> Self {
        let by_time = if took.is_zero() {
            self.rows.saturating_mul(2)
        } else {
            let scaled = u128::from(self.rows) * AIM.as_micros() / took.as_micros().max(1);
            u64::try_from(scaled)
                .unwrap_or(u64::MAX)
                .clamp(self.rows / 2, self.rows.saturating_mul(2))
        };
        let row_bytes = bytes.checked_div(rows).unwrap_or(1).max(1);
        Self {
            rows: by_time.min(BYTES_AIM / row_bytes).clamp(1, ROWS_MAX),
        }
    }

    /// The size after a chunk that did not fit into memory.
    #[must_use]
    pub fn halved(self) -> Self {
        Self {
            rows: (self.rows / 2).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_chunk_doubles_and_a_slow_one_halves_the_next() {
        let start = ChunkSize::default();
        assert_eq!(start.after(1000, 100_000, Duration::from_millis(10)).rows(), 2000);
        assert_eq!(start.after(1000, 100_000, Duration::from_secs(5)).rows(), 500);
        assert_eq!(start.after(1000, 100_000, Duration::from_millis(200)).rows(), 1000);
    }

    #[test]
    fn wide_rows_make_small_chunks() {
        let size = ChunkSize::default().after(1000, 1000 << 20, Duration::from_millis(200));
        assert_eq!(size.rows(), 4);
        assert_eq!(size.after(1, 64 << 20, Duration::from_millis(200)).rows(), 1);
        assert_eq!(ChunkSize { rows: 1 }.halved().rows(), 1);
    }
}
