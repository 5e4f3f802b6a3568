//! How well a peer suits the wishes of a job: affinities first, then spreads.
//!
//! Asked by `core::placement`, which orders peers of equal preference by their tickets. Wishes never exclude. Exact in whole
//! numbers, and a peer's place beside another does not depend on a third that runs nothing: no membership change reorders
//! the rest by itself.

use std::collections::BTreeMap;

use crate::core::constraint::{Rule, compile};
use crate::core::ids::NodeId;
use crate::core::job_spec::{Constraint, JobSpec, Spread};
use crate::core::member::{Attributes, Member};
use crate::core::placement::Task;

/// Parts that a whole score is told in.
const THOUSAND: i64 = 1000;

/// How well one peer suits; larger is better. The parts behind it are for people, in thousandths from -1000 to 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Preference {
    /// Sum of the weights that match.
    affinity_points: i64,
    /// Weighted room in each spread, times all tasks of the cluster.
    spread_points: i64,
    /// Sum of matching weights by the sum of all; None without affinities.
    pub affinity: Option<i32>,
    /// Weighted mean of the spreads; None without.
    pub spread: Option<i32>,
}

/// The wishes for one task, with what the roster of the moment runs.
#[derive(Debug)]
pub struct Wishes {
    /// None: a test of a newer version, which matches nobody.
    affinities: Vec<(Option<Rule>, i64)>,
    spreads: Vec<Shares>,
    /// Tasks of all living peers, the one to be placed included.
    tasks: i64,
}

/// One spread and how many tasks run at each of its values.
#[derive(Debug)]
struct Shares {
    value: Option<Rule>,
    spread: Spread,
    used: BTreeMap<String, i64>,
}

impl Wishes {
    /// Reads the wishes for a task: the job's and its own. `running` has the task now, and it does not count against it.
    #[must_use]
    pub fn new(spec: &JobSpec, task: Task, roster: &[Member], running: Option<&NodeId>) -> Self {
        let own = match task {
            Task::Source => &spec.source.preferences,
            Task::Sink => &spec.sink.preferences,
        };
        let affinities = spec.preferences.affinities.iter().chain(&own.affinities);
        let spreads: Vec<&Spread> = spec.preferences.spreads.iter().chain(&own.spreads).collect();
        let counted: Vec<(Attributes, i64)> = if spreads.is_empty() {
            Vec::new()
        } else {
            roster
                .iter()
                .filter(|member| member.is_live())
                .map(|member| (member.attributes(), tasks_beside(member, running)))
                .collect()
        };
        Self {
            affinities: affinities
                .map(|wish| (compile(&wish.test).ok(), i64::from(wish.weight)))
                .collect(),
            tasks: counted.iter().map(|(_, tasks)| tasks).sum::<i64>() + 1,
            spreads: spreads.into_iter().map(|spread| Shares::new(spread, &counted)).collect(),
        }
    }

    /// How well a peer with these attributes suits.
    #[must_use]
    pub fn of(&self, attributes: &Attributes) -> Preference {
        let matches = |rule: &Option<Rule>| rule.as_ref().is_some_and(|rule| rule.holds(attributes));
        let matching = self.affinities.iter().filter(|(rule, _)| matches(rule));
        let affinity_points = matching.map(|(_, weight)| weight).sum();
        let weights: i64 = self.affinities.iter().map(|(_, weight)| weight.abs()).sum();
        let spread_points = self
            .spreads
            .iter()
            .map(|shares| i64::from(shares.spread.weight) * shares.room(attributes, self.tasks))
            .sum();
        let shares: i64 = self.spreads.iter().map(|shares| i64::from(shares.spread.weight)).sum();
        Preference {
            affinity_points,
            spread_points,
            affinity: thousandths(affinity_points.saturating_mul(THOUSAND), weights),
            spread: thousandths(spread_points, shares.saturating_mul(self.tasks)),
        }
    }
}

fn tasks_beside(member: &Member, running: Option<&NodeId>) -> i64 {
    let tasks = i64::from(member.tasks.total());
    if running == Some(&member.id) {
        (tasks - 1).max(0)
    } else {
        tasks
    }
}

/// None when there is nothing to be part of.
fn thousandths(points: i64, whole: i64) -> Option<i32> {
    let part = points.checked_div(whole)?.clamp(-THOUSAND, THOUSAND);
    i32::try_from(part).ok()
}

impl Shares {
    fn new(spread: &Spread, counted: &[(Attributes, i64)]) -> Self {
        // A value is read as a constraint reads its left side.
        let left = Constraint {
            attribute: spread.attribute.clone(),
            operator: "is_set".into(),
            value: String::new(),
        };
        let mut shares = Self {
            value: compile(&left).ok(),
            spread: spread.clone(),
            used: BTreeMap::new(),
        };
        for (attributes, tasks) in counted {
            if let Some(value) = shares.value_of(attributes) {
                *shares.used.entry(value).or_default() += tasks;
            }
        }
        shares
    }

    /// The value of a peer. Values without a target of their own share one: the rest.
    fn value_of(&self, attributes: &Attributes) -> Option<String> {
        let value = self.value.as_ref()?.left_of(attributes)?;
        let targets = &self.spread.targets;
        let is_rest = !targets.is_empty() && targets.iter().all(|target| target.value != value);
        Some(if is_rest { String::new() } else { value.to_owned() })
    }

    /// Room at the value of a peer, from -1 (as full as can be, or no value) to 1 (empty), in thousandths times `tasks`.
    fn room(&self, attributes: &Attributes, tasks: i64) -> i64 {
        let least = -tasks * THOUSAND;
        let Some(value) = self.value_of(attributes) else {
            return least;
        };
        let used = self.used.get(&value).copied().unwrap_or_default();
        if self.spread.targets.is_empty() {
            return (tasks - 2 * used) * THOUSAND;
        }
        match self.percent_of(&value) {
            0 => least,
            // (desired - (used + 1)) / desired, with desired = percent of all tasks.
            percent => (tasks * THOUSAND - (used + 1) * 100 * THOUSAND / percent).max(least),
        }
    }

    fn percent_of(&self, value: &str) -> i64 {
        let targets = &self.spread.targets;
        let told: i64 = targets.iter().map(|target| i64::from(target.percent)).sum();
        match targets.iter().find(|target| target.value == value) {
            Some(target) => i64::from(target.percent),
            None => (100 - told).max(0),
        }
    }
}

#[cfg(test)]
#[path = "preference_tests.rs"]
mod tests;
