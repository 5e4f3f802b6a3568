//! The last times a job's table *peer × first failing rule* changed, in words.
//!
//! Pure; kept per job by `actors::placement`, which gives the time, and shown by `status`. Says what changed, not all there
//! is: the whole table of the moment is beside it. Forgotten when the process ends.

use std::collections::{BTreeMap, VecDeque};

use crate::core::ids::NodeId;
use crate::core::placement::{Outcome, Ranking, Task, Verdict};
use crate::core::placement_summary::{Placed, Totals};

/// Explanations kept per job.
pub const EXPLANATIONS_MAX: usize = 5;
/// Peers named in one of them; the rest is counted. A guess at what is read.
const NAMED_MAX: usize = 6;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Wall time as text, for people.
    pub at: String,
    /// What changed.
    pub text: String,
}

/// A peer's name, and its verdict as it is compared.
type Line = (String, Outcome, String);

/// What is known of one job, and what changed lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanations {
    known: Option<BTreeMap<(Task, NodeId), Line>>,
    kept: VecDeque<Explanation>,
}

impl Explanations {
    /// Looks at the tables of the moment; `at` is asked only when they changed.
    pub fn look(&mut self, placed: &Placed, at: impl FnOnce() -> String) {
        let now = lines(placed);
        let text = match &self.known {
            None => first(placed),
            Some(known) if *known == now => return,
            Some(known) => changes(known, &now),
        };
        self.known = Some(now);
        self.kept.truncate(EXPLANATIONS_MAX - 1);
        self.kept.push_front(Explanation { at: at(), text });
    }

    /// The last ones, newest first.
    #[must_use]
    pub fn latest(&self) -> Vec<Explanation> {
        self.kept.iter().cloned().collect()
    }
}

fn lines(placed: &Placed) -> BTreeMap<(Task, NodeId), Line> {
    let of = |task: Task, ranking: &Ranking| {
        let line = |verdict: &Verdict| {
            // How full a peer is changes all the time; that it is full does not.
            let rule = if verdict.verdict == Outcome::Full { "" } else { &verdict.rule };
            (
                (task, verdict.peer.clone()),
                (verdict.name.clone(), verdict.verdict, rule.to_owned()),
            )
        };
        ranking.verdicts.iter().map(line).collect::<Vec<_>>()
    };
    of(Task::Source, &placed.source)
        .into_iter()
        .chain(of(Task::Sink, &placed.sink))
        .collect()
}

fn first(placed: &Placed) -> String {
    let part = |task: Task, ranking: &Ranking| {
        let known = ranking.verdicts.len();
        format!("{}: {} of {known} peers may", task.as_str(), Totals::of(ranking).eligible)
    };
    format!("{}, {}", part(Task::Source, &placed.source), part(Task::Sink, &placed.sink))
}

fn changes(old: &BTreeMap<(Task, NodeId), Line>, new: &BTreeMap<(Task, NodeId), Line>) -> String {
    let came = new.iter().filter_map(|(key, (name, outcome, rule))| {
        let before = old.get(key);
        if before.is_some_and(|before| (before.1, &before.2) == (*outcome, rule)) {
            return None;
        }
        let why = if rule.is_empty() {
            String::new()
        } else {
            format!(" ({rule})")
        };
        let was = before.map_or("new", |(_, outcome, _)| outcome.word());
        Some(format!("{} {name}: {was} -> {}{why}", key.0.as_str(), outcome.word()))
    });
    let gone = old
        .iter()
        .filter(|(key, _)| !new.contains_key(key))
        .map(|(key, (name, ..))| format!("{} {name}: forgotten", key.0.as_str()));
    let mut told: Vec<String> = came.chain(gone).collect();
    if told.is_empty() {
        return "a peer has another name".to_owned();
    }
    let more = told.len().saturating_sub(NAMED_MAX);
    told.truncate(NAMED_MAX);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::member::{Member, MemberState};
    use crate::core::placement::tests::{member, spec};

    fn look(explanations: &mut Explanations, roster: &[Member], at: &str) {
        explanations.look(&Placed::of(&spec("orders"), roster, None, None), || at.to_owned());
    }

    #[test]
    fn only_a_changed_table_is_explained_and_by_what_changed() {
        let mut roster = vec![member("sh-1", "shanghai"), member("bj-1", "beijing")];
        let mut explanations = Explanations::default();
        look(&mut explanations, &roster, "t1");
        look(&mut explanations, &roster, "t2");
        roster[0].state = MemberState::Dead;
        look(&mut explanations, &roster, "t3");
        roster.pop();
        look(&mut explanations, &roster, "t4");
        let told: Vec<(String, String)> = explanations.latest().into_iter().map(|told| (told.at, told.text)).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0].0, "t4");
        assert!(told[0].1.contains("source bj-1: forgotten"), "{told:?}");
        assert!(told[1].1.contains("source sh-1: eligible -> dead (peer is dead)"), "{told:?}");
        assert_eq!(told[2].0, "t1");
        assert!(told[2].1.starts_with("source: 1 of 2 peers may"), "{told:?}");
    }

    #[test]
    fn five_are_kept_and_a_crowd_is_counted() {
        let mut roster: Vec<Member> = (0..9).map(|n| member(&format!("p{n}"), "shanghai")).collect();
        let mut explanations = Explanations::default();
        for n in 0..9 {
            look(&mut explanations, &roster, &n.to_string());
            for member in &mut roster {
                member.is_draining = !member.is_draining;
            }
        }
        let told = explanations.latest();
        assert_eq!((told.len(), told[0].at.as_str()), (EXPLANATIONS_MAX, "8"));
        assert!(
            told[0].text.ends_with("more") && told[0].text.matches("->").count() == NAMED_MAX,
            "{}",
            told[0].text
        );
    }
}
