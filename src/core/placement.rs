//! Which peers may run a task, in which order, and why not the others.
//!
//! A pure function of one roster: peers that see the same roster rank alike, peers that do not lose a race at the fence at
//! worst. Asked by `actors::placement` for sinks, by the sink's owner for the source, by `status` for the table of reasons.
//! Knows no time: what failed lately comes in as a list. Constraints exclude, wishes order (affinity, then spread), tickets
//! decide between equals.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::core::constraint::{Rule, compile};
use crate::core::ids::NodeId;
use crate::core::job_spec::{Constraint, JobSpec};
use crate::core::member::{Attributes, Member, MemberState};
use crate::core::preference::Wishes;
use crate::core::stable_hash::hash64;

/// Largest weight of a peer: how many tickets it draws. Trades finer shares for hashing time; a guess.
const WEIGHT_MAX: u32 = 64;
/// Most peers named where no peer may run a task; the rest is counted, and the table has them all. A guess at what is read.
const NAMED_MAX: usize = 20;

/// The two tasks of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Reads.
    Source,
    /// Writes, and owns the job.
    Sink,
}

impl Task {
    /// `source` or `sink`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }
}

/// What a peer's verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// May run the task.
    Eligible,
    /// May run it, but failed at it lately: last in the order.
    Avoided,
    /// Not here: dead or gone.
    Dead,
    /// Draining.
    Draining,
    /// A datacenter or constraint excludes it.
    Excluded,
    /// At its capacity.
    Full,
}

impl Outcome {
    /// Returns the word `status` prints.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::Avoided => "avoided",
            Self::Dead => "dead",
            Self::Draining => "draining",
            Self::Excluded => "excluded",
            Self::Full => "full",
        }
    }
}

/// One peer and the first rule it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Peer.
    pub peer: NodeId,
    /// Its name, for people.
    pub name: String,
    /// What came out.
    pub verdict: Outcome,
    /// The first rule that failed; empty when eligible.
    pub rule: String,
    /// Rendezvous score; larger is better. Decides between peers of equal affinity and spread.
    pub score: u64,
    /// Affinity in thousandths, -1000 to 1000; None without one.
    pub affinity: Option<i32>,
    /// Spread in thousandths, -1000 to 1000; None without one.
    pub spread: Option<i32>,
}

/// Where a task may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// Best first.
    pub eligible: Vec<(NodeId, u64)>,
    /// Every peer of the roster, in its order.
    pub verdicts: Vec<Verdict>,
}

impl Ranking {
    /// Position of a peer, 0 the best; None when it may not run the task.
    #[must_use]
    pub fn rank_of(&self, id: &NodeId) -> Option<u32> {
        let at = self.eligible.iter().position(|(peer, _)| peer == id)?;
        Some(u32::try_from(at).unwrap_or(u32::MAX))
    }
}

impl Ranking {
    /// Why no peer may run the task: each peer with the rule that keeps it out, those that are out for a rule first.
    #[must_use]
    pub fn why_nobody(&self, task: Task) -> String {
        let words = [Outcome::Excluded, Outcome::Full, Outcome::Draining, Outcome::Dead];
        let of_word = |word| self.verdicts.iter().filter(move |verdict| verdict.verdict == word);
        let out = words.into_iter().flat_map(of_word);
        let mut told: Vec<String> = out
            .map(|verdict| format!("{} {} ({})", verdict.name, verdict.verdict.word(), verdict.rule))
            .collect();
        let more = told.len().saturating_sub(NAMED_MAX);
        told.truncate(NAMED_MAX);
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        let told = if told.is_empty() {
            "none is known".to_owned()
        } else {
            told.join(", ")
        };
        format!("no peer may run the {} task: {told}", task.as_str())
    }
}

/// What is known beside the roster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// Peers that failed at this task lately: ranked behind all others.
    pub avoid: &'a [NodeId],
    /// The peer that runs the task now: capacity does not push it out.
    pub running: Option<&'a NodeId>,
    /// For the source: the peer that has the sink. The sink is placed first, so nothing stands beside it.
    pub other: Option<&'a Member>,
}

/// Ranks the roster for a task.
#[must_use]
pub fn rank(spec: &JobSpec, task: Task, roster: &[Member]) -> Ranking {
    rank_with(spec, task, roster, Circumstances::default())
}

/// Ranks the roster for a task under circumstances.
#[must_use]
pub fn rank_with(spec: &JobSpec, task: Task, roster: &[Member], circumstances: Circumstances<'_>) -> Ranking {
    let rules = Rules::of(spec, task);
    let wishes = Wishes::new(spec, task, roster, circumstances.running);
    let facts: Vec<Attributes> = roster.iter().map(Member::attributes).collect();
    let mut judged: Vec<(Outcome, String)> = roster
        .iter()
        .zip(&facts)
        .map(|(member, facts)| judge(spec, &rules, member, facts, circumstances))
        .collect();
    if task == Task::Sink && !rules.both.is_empty() {
        without_a_source(spec, &rules, roster, circumstances, &mut judged);
    }
    let mut ranking = Ranking::default();
    let mut order = Vec::new();
    for ((member, facts), (verdict, rule)) in roster.iter().zip(&facts).zip(judged) {
        let score = score(&spec.name.0, task, member);
        let preference = wishes.of(facts);
        if may_run(verdict) {
            let is_avoided = circumstances.avoid.contains(&member.id);
            order.push((is_avoided, Reverse((preference, score)), member.id.clone()));
        }
        ranking.verdicts.push(Verdict {
            peer: member.id.clone(),
            name: member.name.clone(),
            verdict,
            rule,
            score,
            affinity: preference.affinity,
            spread: preference.spread,
        });
    }
    order.sort();
    ranking.eligible = order.into_iter().map(|(_, Reverse((_, score)), id)| (id, score)).collect();
    ranking
}

fn may_run(verdict: Outcome) -> bool {
    matches!(verdict, Outcome::Eligible | Outcome::Avoided)
}

/// What binds a task. Err: the text of a constraint of a newer version, which nobody satisfies.
struct Rules {
    own: Vec<Result<Rule, String>>,
    /// Those that look at both tasks, of every level: wherever one is written, it binds the pair.
    both: Vec<Rule>,
}

impl Rules {
    fn of(spec: &JobSpec, task: Task) -> Self {
        let (own, others) = match task {
            Task::Source => (&spec.source.constraints, &spec.sink.constraints),
            Task::Sink => (&spec.sink.constraints, &spec.source.constraints),
        };
        let own: Vec<_> = spec.constraints.iter().chain(own).map(compile_or_text).collect();
        let all = spec
            .constraints
            .iter()
            .chain(&spec.source.constraints)
            .chain(&spec.sink.constraints);
        let mut both: Vec<Rule> = all
            .filter_map(|constraint| compile(constraint).ok())
            .filter(Rule::is_about_both)
            .collect();
        // The first `distinct_hosts` decides.
        let mut is_first = true;
        both.retain(|rule| !rule.is_about_hosts() || std::mem::take(&mut is_first));
        let of_other = others
            .iter()
            .filter_map(|constraint| compile(constraint).ok())
            .filter(Rule::is_about_both);
        let own = own.into_iter().chain(of_other.map(Ok)).collect();
        Self { own, both }
    }

    /// The first rule of the pair that fails.
    fn broken_beside(&self, own: &Attributes, other: &Attributes) -> Option<&Rule> {
        self.both.iter().find(|rule| !rule.holds_beside(own, other))
    }
}

/// Excludes the peers beside which no peer could run the source. The peer that runs the sink gives way only to one that can
/// have both: without one, stopping it would help nobody.
fn without_a_source(
    spec: &JobSpec,
    rules: &Rules,
    roster: &[Member],
    circumstances: Circumstances<'_>,
    judged: &mut [(Outcome, String)],
) {
    let of_source = Rules::of(spec, Task::Source);
    // Full and draining peers count: the source may be what fills them, and who drains has not gone yet.
    let is_candidate = |member: &&Member| {
        let member = Member {
            is_draining: false,
            ..(*member).clone()
        };
        let verdict = judge(spec, &of_source, &member, &member.attributes(), Circumstances::default()).0;
        !matches!(verdict, Outcome::Dead | Outcome::Excluded)
    };
    let candidates: Vec<Attributes> = roster.iter().filter(is_candidate).map(Member::attributes).collect();
    let has_source = |member: &Member| {
        let own = member.attributes();
        candidates.iter().any(|other| rules.broken_beside(&own, other).is_none())
    };
    let alone: Vec<usize> = (0..roster.len())
        .filter(|at| may_run(judged[*at].0) && !has_source(&roster[*at]))
        .collect();
    let is_any_better = (0..roster.len()).any(|at| may_run(judged[at].0) && !alone.contains(&at));
    for at in alone {
        let keeps = circumstances.running == Some(&roster[at].id) && !is_any_better;
        if !keeps {
            let text: Vec<&str> = rules.both.iter().map(Rule::text).collect();
            judged[at] = (
                Outcome::Excluded,
                format!("{}: no peer is left for the source", text.join(", ")),
            );
        }
    }
}

/// A constraint of a newer version that this peer cannot read excludes every peer, by its text.
fn compile_or_text(constraint: &Constraint) -> Result<Rule, String> {
    compile(constraint).map_err(|fault| format!("{}: {}", fault.object, fault.found))
}

/// The order of the checks is part of the contract: the first that fails is the one that is told.
fn judge(
    spec: &JobSpec,
    rules: &Rules,
    member: &Member,
    attributes: &Attributes,
    circumstances: Circumstances<'_>,
) -> (Outcome, String) {
    match member.state {
        MemberState::Dead => return (Outcome::Dead, "peer is dead".into()),
        MemberState::Left => return (Outcome::Dead, "peer has left".into()),
        MemberState::Alive | MemberState::Suspect => {}
    }
    if member.is_draining {
        return (Outcome::Draining, "peer is draining".into());
    }
    let is_in = spec.datacenters.is_empty() || spec.datacenters.iter().any(|glob| matches_glob(glob, &member.datacenter));
    if !is_in {
        let rule = format!(
            "datacenter `{}` is not among {}",
            member.datacenter,
            spec.datacenters.join(", ")
        );
        return (Outcome::Excluded, rule);
    }
    if let Some(rule) = first_broken(&rules.own, attributes) {
        return (Outcome::Excluded, rule);
    }
    if let Some(other) = circumstances.other.filter(|_| !rules.both.is_empty())
        && let Some(rule) = rules.broken_beside(attributes, &other.attributes())
    {
        return (
            Outcome::Excluded,
            format!("{}: the other task is on {}", rule.text(), other.name),
        );
    }
    if member.tasks.total() >= member.capacity && circumstances.running != Some(&member.id) {
        return (
            Outcome::Full,
            format!("peer runs {} tasks of {}", member.tasks.total(), member.capacity),
        );
    }
    if circumstances.avoid.contains(&member.id) {
        return (Outcome::Avoided, "task failed here lately".into());
    }
    (Outcome::Eligible, String::new())
}

fn first_broken(rules: &[Result<Rule, String>], attributes: &Attributes) -> Option<String> {
    rules.iter().find_map(|rule| match rule {
        Ok(rule) if rule.holds(attributes) => None,
        Ok(rule) => Some(rule.text().to_owned()),
        Err(text) => Some(text.clone()),
    })
}

/// Weighted rendezvous: a peer draws one ticket per unit of weight and shows its best. Exact in integers, the same in every
/// build, and a peer that comes or goes moves only its own tasks. One SHA-256 seeds splitmix64, which draws the tickets: a
/// digest for each of them was nearly all that a thousand jobs cost when the roster changed.
fn score(job: &str, task: Task, member: &Member) -> u64 {
    let weight = member.capacity.clamp(1, WEIGHT_MAX);
    let seed = hash64(&[job.as_bytes(), task.as_str().as_bytes(), member.id.0.as_bytes()]);
    (1..=u64::from(weight)).map(|n| ticket(seed, n)).max().unwrap_or_default()
}

/// The nth number of splitmix64 (Steele, Lea, Flood 2014) from this seed.
fn ticket(seed: u64, n: u64) -> u64 {
    let z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Matches `*` (any run) and `?` (any one character) against the whole text.
fn matches_glob(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                retry = Some((g + 1, t));
                g += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (g, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
#[path = "placement_tests.rs"]
pub(crate) mod tests;
