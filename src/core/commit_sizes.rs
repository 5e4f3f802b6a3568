//! How large the target transactions of the last minute were: source transactions and row changes in each.
//!
//! Pure: the caller passes a monotonic time. Fed by `flow::sink_meter` with each group that was committed, read as the `commits` of a
//! job's status. The copy's pieces are not among them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Span of the past that is told: long enough for a person to read it, short enough that a backlog which is gone is soon gone from
/// here too (guess). One entry a second.
const SPAN: Duration = Duration::from_secs(60);

/// Mean and largest of a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// The sum divided by the commits.
    pub mean: f64,
    /// The largest of one commit.
    pub largest: u64,
}

/// The target transactions of the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecentCommits {
    /// How far back they go at most.
    pub span_ms: u64,
    /// How many they were, at least 1.
    pub commits: u64,
    /// Source transactions in each.
    pub transactions: Sizes,
    /// Row changes in each, before changes of one key were merged.
    pub rows: Sizes,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    total: u64,
    largest: u64,
}

impl Counted {
    fn add(&mut self, total: u64, largest: u64) {
        self.total += total;
        self.largest = self.largest.max(largest);
    }

    fn sizes(self, commits: u64) -> Sizes {
        Sizes {
            mean: self.total as f64 / commits as f64,
            largest: self.largest,
        }
    }
}

/// What was committed in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    commits: u64,
    transactions: Counted,
    rows: Counted,
}

/// Follows the commits of one sink task. Holds an entry for each second of the span.
#[derive(Debug, Default)]
pub struct CommitSizes(VecDeque<Second>);

impl CommitSizes {
    /// One target transaction with so much in it was committed now.
    pub fn note(&mut self, now: Duration, transactions: u64, rows: u64) {
        self.forget(now);
        let number = now.as_secs();
        if self.0.back().is_none_or(|last| last.number != number) {
            self.0.push_back(Second {
                number,
                ..Second::default()
            });
        }
        let last = self.0.back_mut().expect("it was just put there");
        last.commits += 1;
        last.transactions.add(transactions, transactions);
        last.rows.add(rows, rows);
    }

    /// Those of the span before now; None: there were none.
    pub fn recent(&mut self, now: Duration) -> Option<RecentCommits> {
        self.forget(now);
        let (mut commits, mut transactions, mut rows) = (0, Counted::default(), Counted::default());
        for second in &self.0 {
            commits += second.commits;
            transactions.add(second.transactions.total, second.transactions.largest);
            rows.add(second.rows.total, second.rows.largest);
        }
        (commits > 0).then(|| RecentCommits {
            span_ms: SPAN.as_millis() as u64,
            commits,
            transactions: transactions.sizes(commits),
            rows: rows.sizes(commits),
        })
    }

    fn forget(&mut self, now: Duration) {
        let oldest = (now.as_secs() + 1).saturating_sub(SPAN.as_secs());
        while self.0.front().is_some_and(|second| second.number < oldest) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_told_before_the_first_commit_and_a_minute_after_the_last() {
        let mut sizes = CommitSizes::default();
        assert_eq!(sizes.recent(s(5)), None);
        sizes.note(s(5), 10, 20);
        assert!(sizes.recent(s(64)).is_some());
        assert_eq!(sizes.recent(s(65)), None);
    }

    #[test]
    fn mean_and_largest_are_of_the_commits_of_the_last_minute() {
        let mut sizes = CommitSizes::default();
        sizes.note(s(1), 5_000, 50_000);
        for (second, transactions) in [(30, 1), (30, 2), (70, 9)] {
            sizes.note(s(second), transactions, transactions * 10);
        }
        let found = sizes.recent(s(80)).unwrap();
        assert_eq!((found.span_ms, found.commits), (60_000, 3));
        assert_eq!((found.transactions.mean, found.transactions.largest), (4.0, 9));
        assert_eq!((found.rows.mean, found.rows.largest), (40.0, 90));
    }

    #[test]
    fn what_is_kept_does_not_grow_with_the_commits() {
        let mut sizes = CommitSizes::default();
        for at in 0..100_000_u64 {
            sizes.note(Duration::from_millis(at * 10), 1, 1);
        }
        assert!(sizes.0.len() <= 60, "{}", sizes.0.len());
    }
}
