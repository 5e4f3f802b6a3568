//! Part of the screen of `status`: what the target is made to do. The large transaction under way, the sizes of the commits, and the
//! tables whose rows go one by one.

use crate::admin::render::status::{LIST_MAX, put, put_wrapped};
use crate::admin::render::{bytes, count, duration_ms};
use crate::admin::views::StatusView;
use crate::core::commit_sizes::Sizes;

/// How much of a large transaction is on the target.
pub(super) fn applying(line: &mut String, view: &StatusView, width: u16) {
    if let Some(large) = &view.transaction {
        let size = if large.bytes > 0 {
            format!(" ({})", bytes(large.bytes))
        } else {
            String::new()
        };
        let text = format!(
            "{} rows{size} of {}, none of them visible before its end",
            count(large.rows),
            large.gtid
        );
        put_wrapped(line, "applying", &text, width);
    }
}

/// How large the commits of the last minute were, and what did not go into a statement with others.
pub(super) fn commits(line: &mut String, view: &StatusView, width: u16) {
    if let Some(recent) = &view.commits {
        let text = format!(
            "{} in the last {}, {} transactions and {} row changes in each, at most {} and {}",
            count(recent.commits),
            duration_ms(recent.span_ms),
            mean(recent.transactions),
            mean(recent.rows),
            count(recent.transactions.largest),
            count(recent.rows.largest)
        );
        put_wrapped(line, "commits", &text, width);
    }
    for table in view.row_by_row.iter().take(LIST_MAX) {
        let text = format!(
            "{} changes of {}.{} one by one, the last {} ago: {}",
            count(table.rows),
            table.schema,
            table.table,
            duration_ms(table.last_ago_ms),
            table.why
        );
        put_wrapped(line, "row-wise", &text, width);
    }
    if view.row_by_row.len() > LIST_MAX {
        put(line, "", &format!("and {} more tables", view.row_by_row.len() - LIST_MAX));
    }
}

/// One decimal where it matters.
fn mean(sizes: Sizes) -> String {
    if sizes.mean < 100.0 {
        format!("{:.1}", sizes.mean)
    } else {
        count(sizes.mean.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::views::Desired;
    use crate::core::commit_sizes::RecentCommits;
    use crate::core::job_state::{LargeTransaction, SinkStatus};
    use crate::core::row_by_row::{Reason, RowByRow};

    fn shown(sink: &SinkStatus) -> String {
        let mut view = StatusView::unmeasured("orders", 1, 1, Desired::Run);
        view.absorb(sink);
        let mut text = String::new();
        applying(&mut text, &view, 200);
        commits(&mut text, &view, 200);
        text
    }

    #[test]
    fn commits_are_told_by_mean_and_largest() {
        let sizes = |mean, largest| Sizes { mean, largest };
        let recent = RecentCommits {
            span_ms: 60_000,
            commits: 1240,
            transactions: sizes(31.25, 1000),
            rows: sizes(312.5, 4000),
        };
        let text = shown(&SinkStatus {
            commits: Some(recent),
            ..SinkStatus::default()
        });
        let (span, commits, largest) = (duration_ms(60_000), count(1240), count(4000));
        assert_eq!(
            text,
            format!(
                "commits   {commits} in the last {span}, 31.2 transactions and 313 row changes in each, at most {} and {largest}\n",
                count(1000)
            )
        );
    }

    #[test]
    fn a_table_whose_rows_go_one_by_one_is_named_with_the_reason_in_words() {
        let text = shown(&SinkStatus {
            row_by_row: vec![RowByRow {
                schema: "shop".into(),
                table: "log".into(),
                reason: Reason::NoKey,
                rows: 12,
                last_ago_ms: 3000,
            }],
            ..SinkStatus::default()
        });
        assert!(
            text.starts_with("row-wise  12 changes of shop.log one by one, the last 3"),
            "{text}"
        );
        assert!(text.contains("it has no primary key"), "{text}");
    }

    #[test]
    fn a_large_transaction_is_told_with_its_rows_and_bytes() {
        let text = shown(&SinkStatus {
            transaction: Some(LargeTransaction {
                gtid: "u:7".into(),
                rows: 9,
                bytes: 2048,
            }),
            ..SinkStatus::default()
        });
        let expected = format!(
            "applying  9 rows ({}) of u:7, none of them visible before its end\n",
            bytes(2048)
        );
        assert_eq!(text, expected);
    }
}
