//! The answer of `plan` as one screen: what a submit would do, what each difference costs, and where the tasks would run.

use crate::admin::render::placement;
use crate::admin::render::status::{put, put_wrapped};
use crate::admin::views::{PlanResult, PlanView};
use crate::core::finding::Finding;
use crate::core::plan::Impact;
use crate::core::table_plan::{ColumnPlan, TablePlan};

/// Differences shown; the rest is in the JSON.
const DIFFERENCES_MAX: usize = 20;
/// Tables shown; the rest is in the JSON.
const TABLES_MAX: usize = 40;
/// Digits of the table's digest shown: enough to compare by eye.
const DIGEST_DIGITS: usize = 12;

/// One readable screen.
#[must_use]
pub fn plan(view: &PlanView, width: u16) -> String {
    let mut text = String::new();
    put(&mut text, "plan", &format!("{}, as seen by {}", view.name, view.as_seen_by));
    put_wrapped(&mut text, "result", &result(view), width);
    for difference in view.differences.iter().take(DIFFERENCES_MAX) {
        let words = format!("{}: {}", impact(&difference.impact), difference.text);
        put_wrapped(&mut text, "change", &words, width);
        put_wrapped(&mut text, "", &difference.note, width);
    }
    let more = view.differences.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        put(&mut text, "", &format!("and {more} more"));
    }
    let digest: String = view.table.digest.chars().take(DIGEST_DIGITS).collect();
    let (agree, peers) = (view.table.agree, view.table.peers);
    put_wrapped(
        &mut text,
        "table",
        &format!("job table {digest}; {agree} of {peers} live peers have the same"),
        width,
    );
    tables(&mut text, view, width);
    text.push('\n');
    text.push_str(&placement(&view.placement, &view.placement_summary, width));
    text
}

/// The tables of the source with their way, or why they are not known.
fn tables(text: &mut String, view: &PlanView, width: u16) {
    for fault in &view.tables_faults {
        let words = format!("{} {}: {}; {}", fault.code, fault.object, fault.found, fault.fix);
        put_wrapped(text, "tables", &words, width);
    }
    let all = view.tables.as_deref().unwrap_or_default();
    let mut label = "tables";
    for table in all.iter().take(TABLES_MAX) {
        put_wrapped(text, std::mem::take(&mut label), &way(table), width);
    }
    let more = all.len().saturating_sub(TABLES_MAX);
    if more > 0 {
        put(text, "", &format!("and {more} more"));
    }
    for finding in &view.other_jobs {
        let Finding {
            id,
            severity,
            found,
            expected,
            fix,
            ..
        } = finding;
        put_wrapped(text, "others", &format!("{} {id}: {found}", severity.word()), width);
        put_wrapped(text, "", &format!("expected {expected}; {fix}"), width);
    }
}

/// `shop.orders -> shop_dr.orders (id, total as amount) where id < 10`.
fn way(table: &TablePlan) -> String {
    let mut words = format!("{} -> {}", table.source, table.target);
    let column = |column: &ColumnPlan| match column.source == column.target {
        true => column.source.clone(),
        false => format!("{} as {}", column.source, column.target),
    };
    if !table.columns.is_empty() {
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        words.push_str(&format!(" ({})", columns.join(", ")));
    }
    if let Some(filter) = &table.filter {
        words.push_str(&format!(" where {filter}"));
    }
    words
}

fn result(view: &PlanView) -> String {
    let version = view.version.unwrap_or(0);
    let runs = if view.running { ", which runs," } else { "" };
    match view.result {
        PlanResult::Create => "a new job; `peer submit` takes it".to_owned(),
        PlanResult::Unchanged => format!("nothing would change: version {version} has this content"),
        PlanResult::Update => {
            let count = view.differences.len();
            let s = if count == 1 { "" } else { "s" };
            format!("version {version}{runs} would change in {count} place{s}; `peer submit --update` does it")
        }
        PlanResult::Refused if view.version.is_none() => "the job would not be taken: `peer submit` refuses it".to_owned(),
        PlanResult::Refused => format!("version {version}{runs} would not be changed: the update is refused"),
    }
}

/// The words for a class; a newer peer's word stays as it is.
fn impact(word: &str) -> &str {
    let known = Impact::ALL.into_iter().find(|impact| impact.word() == word);
    known.map_or(word, |impact| impact.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::views::{DifferenceView, PlacementSummaryView, PlacementTotalsView, PlacementView, TableDigestView};
    use crate::core::finding::Severity;

    fn view() -> PlanView {
        PlanView {
            name: "orders".into(),
            as_seen_by: "bj-1".into(),
            result: PlanResult::Update,
            version: Some(3),
            running: true,
            differences: vec![DifferenceView {
                path: "tables".into(),
                text: "tables: added s.t".into(),
                impact: "new_copy".into(),
                note: "a note".into(),
            }],
            placement: ["bj-1", "bj-2"]
                .map(|peer| PlacementView {
                    task: "sink".into(),
                    peer: peer.into(),
                    verdict: "eligible".into(),
                    rule: None,
                    score: Some(0.5),
                    affinity: None,
                    spread: None,
                })
                .to_vec(),
            placement_summary: vec![PlacementSummaryView {
                task: "sink".into(),
                chosen: Some("bj-1".into()),
                score: Some(0.5),
                running: None,
                why: "the best of the 2 that may".into(),
                totals: PlacementTotalsView {
                    eligible: 2,
                    dead: 1,
                    ..PlacementTotalsView::default()
                },
            }],
            table: TableDigestView {
                digest: "0123456789abcdef".into(),
                agree: 2,
                peers: 3,
            },
            tables: Some(vec![TablePlan {
                source: "shop.orders".into(),
                target: "dr.orders".into(),
                columns: vec![
                    ColumnPlan {
                        source: "id".into(),
                        target: "id".into(),
                    },
                    ColumnPlan {
                        source: "total".into(),
                        target: "amount".into(),
                    },
                ],
                filter: Some("id < 10".into()),
            }]),
            tables_faults: Vec::new(),
            other_jobs: vec![Finding::bad(
                Severity::Fail,
                "PEER1826",
                "other jobs",
                "job old writes s.t",
                "one job",
                "purge it",
            )],
            faults: Vec::new(),
        }
    }

    #[test]
    fn the_screen_says_result_cost_table_place_and_totals() {
        let text = plan(&view(), 80);
        for expected in [
            "orders, as seen by bj-1",
            "version 3, which runs, would change in 1 place; `peer submit --update` does it",
            "needs a new copy: tables: added s.t",
            "job table 0123456789ab; 2 of 3 live peers have the same",
            "tables shop.orders -> dr.orders (id, total as amount) where id < 10",
            "others FAIL PEER1826: job old writes s.t expected one job; purge it",
            "bj-1*",
            "2 eligible, 1 dead; *bj-1 (score 0.500): the best of the 2 that may",
        ] {
            assert!(
                text.split_whitespace().collect::<Vec<_>>().join(" ").contains(expected),
                "{expected}: {text}"
            );
        }
        assert!(!text.contains("bj-2*"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn each_result_has_its_words() {
        let words = |result| {
            let mut view = view();
            view.result = result;
            super::result(&view)
        };
        assert!(words(PlanResult::Create).contains("a new job"));
        assert!(words(PlanResult::Unchanged).contains("nothing would change"));
        assert!(words(PlanResult::Refused).contains("refused"));
        let mut new = view();
        (new.result, new.version) = (PlanResult::Refused, None);
        assert!(super::result(&new).contains("would not be taken"));
    }
}
