//! A ranking in a few words: how many peers have which verdict, which would be chosen, and why the running one stays.
//!
//! Pure; made from `core::placement`'s ranking for `peer plan` and `peer status`. Decides nothing: placement has decided.

use crate::core::ids::NodeId;
use crate::core::job_spec::JobSpec;
use crate::core::member::{Member, find, name_of};
use crate::core::placement::{Circumstances, Outcome, Ranking, Task, rank_with};

/// How many peers have each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// May run the task, those avoided for now included.
    pub eligible: u64,
    /// A datacenter or constraint keeps them out.
    pub excluded: u64,
    /// Dead or gone.
    pub dead: u64,
    /// Draining.
    pub draining: u64,
    /// At their capacity.
    pub full: u64,
}

impl Totals {
    /// Counts a ranking.
    #[must_use]
    pub fn of(ranking: &Ranking) -> Self {
        let mut totals = Self::default();
        for verdict in &ranking.verdicts {
            let count = match verdict.verdict {
                Outcome::Eligible | Outcome::Avoided => &mut totals.eligible,
                Outcome::Excluded => &mut totals.excluded,
                Outcome::Dead => &mut totals.dead,
                Outcome::Draining => &mut totals.draining,
                Outcome::Full => &mut totals.full,
            };
            *count += 1;
        }
        totals
    }
}

/// Where both tasks would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The sink, which is placed first.
    pub sink: Ranking,
    /// The source, beside the sink's peer.
    pub source: Ranking,
}

impl Placed {
    /// Ranks both tasks; `owner` and `source` are the peers that run them now.
    #[must_use]
    pub fn of(spec: &JobSpec, roster: &[Member], owner: Option<&NodeId>, source: Option<&NodeId>) -> Self {
        let now = Circumstances {
            running: owner,
            ..Circumstances::default()
        };
        let sink = rank_with(spec, Task::Sink, roster, now);
        let stays = owner.filter(|owner| sink.rank_of(owner).is_some());
        let beside = stays.or_else(|| sink.eligible.first().map(|(id, _)| id));
        let now = Circumstances {
            running: source,
            other: beside.and_then(|id| find(roster, id)),
            ..Circumstances::default()
        };
        let source = rank_with(spec, Task::Source, roster, now);
        Self { sink, source }
    }
}

/// Says in words which peer runs the task, or would, and why.
#[must_use]
pub fn why(ranking: &Ranking, task: Task, roster: &[Member], running: Option<&NodeId>) -> String {
    let best = ranking.eligible.first().map(|(id, _)| name_of(roster, id));
    let Some(best) = best else {
        return ranking.why_nobody(task);
    };
    let Some(running) = running else {
        return match ranking.eligible.len() {
            1 => "the only peer that may".to_owned(),
            many => format!("the best of the {many} that may"),
        };
    };
    let name = name_of(roster, running);
    match ranking.rank_of(running) {
        Some(0) => "runs it, and is the best".to_owned(),
        Some(_) => format!("{name} runs it and stays: a running task does not move for a better score"),
        None => {
            let verdict = ranking.verdicts.iter().find(|verdict| verdict.peer == *running);
            let rule = verdict.map_or("it is not known here", |verdict| verdict.rule.as_str());
            format!("{name} runs it and may no longer ({rule}): it moves to {best}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::member::MemberState;
    use crate::core::placement::rank;
    use crate::core::placement::tests::{member, spec};

    #[test]
    fn every_peer_is_counted_once() {
        let mut roster: Vec<Member> = (0..6).map(|n| member(&format!("p{n}"), "shanghai")).collect();
        roster[1].state = MemberState::Dead;
        roster[2].is_draining = true;
        roster[3].datacenter = "beijing".into();
        roster[4].tasks.sink = 8;
        let totals = Totals::of(&rank(&spec("orders"), Task::Source, &roster));
        let expected = Totals {
            eligible: 2,
            excluded: 1,
            dead: 1,
            draining: 1,
            full: 1,
        };
        assert_eq!(totals, expected);
    }

    #[test]
    fn the_words_say_why_the_running_peer_stays_or_goes() {
        let mut roster = vec![member("a", "shanghai"), member("b", "shanghai"), member("c", "shanghai")];
        let ranking = rank(&spec("orders"), Task::Source, &roster);
        let of = |at: usize| &ranking.eligible[at].0;
        let words = |running| why(&ranking, Task::Source, &roster, running);
        assert_eq!(words(None), "the best of the 3 that may");
        assert_eq!(words(Some(of(0))), "runs it, and is the best");
        assert!(words(Some(of(1))).ends_with("runs it and stays: a running task does not move for a better score"));
        let best = of(0).clone();
        roster
            .iter_mut()
            .find(|member| member.id == best)
            .expect("ranked")
            .is_draining = true;
        let ranking = rank(&spec("orders"), Task::Source, &roster);
        let told = why(&ranking, Task::Source, &roster, Some(&best));
        assert!(told.contains("may no longer (peer is draining): it moves to"), "{told}");
        assert!(why(&Ranking::default(), Task::Sink, &[], None).contains("no peer may run the sink task"));
    }

    #[test]
    fn the_source_is_ranked_beside_the_peer_that_would_get_the_sink() {
        let roster = vec![member("sh-1", "shanghai"), member("bj-1", "beijing")];
        let placed = Placed::of(&spec("orders"), &roster, None, None);
        assert_eq!(placed.source.eligible.len(), 1);
        assert_eq!(placed.source.rank_of(&roster[0].id), Some(0));
    }
}
