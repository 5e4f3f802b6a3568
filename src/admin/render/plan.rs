//! The answer of `plan` as one screen: what a submit would do, what each difference costs, and where the tasks would run.

use crate::admin::render::placement;
use crate::admin::render::status::{put, put_wrapped};
use crate::admin::views::{PlanResult, PlanView};
use crate::core::plan::Impact;

/// Differences shown; the rest is in the JSON.
const DIFFERENCES_MAX: usize = 20;
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
    text.push('\n');
    text.push_str(&placement(&view.placement, &view.placement_summary, width));
    text
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
    }
}
