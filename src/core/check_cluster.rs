//! The part of a check that is about peers: who reaches the databases, who may run the tasks, whose clock is off.
//!
//! Pure; fed by `actors::check` with the roster and the peers' reports.

use crate::core::check::ClockReading;
use crate::core::finding::{Finding, Severity};
use crate::core::ids::NodeId;
use crate::core::placement::{Ranking, Task};

/// How far two clocks may be apart, microseconds: lag and times in logs are as wrong as they.
const SKEW_MAX_US: u64 = 1_000_000;

/// What a peer said about one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The peer.
    pub peer: NodeId,
    /// Its name.
    pub name: String,
    /// Why it does not reach it; None: it does.
    pub fault: Option<String>,
    /// The server answered it, and refused.
    pub is_refused: bool,
}

/// Who looks at a database: the peer that would run the task, of those that reach it; else any that does, or that can say why it
/// is refused.
#[must_use]
pub fn looker(ranking: &Ranking, told: &[Reach]) -> Option<NodeId> {
    let reaches = |peer: &NodeId| told.iter().any(|one| one.peer == *peer && one.fault.is_none());
    let ranked = ranking.eligible.iter().map(|(peer, _)| peer).find(|peer| reaches(peer));
    let first = |is_fit: fn(&Reach) -> bool| told.iter().find(|one| is_fit(one)).map(|one| &one.peer);
    ranked
        .or_else(|| first(|one| one.fault.is_none()))
        .or_else(|| first(|one| one.is_refused))
        .cloned()
}

/// Who reaches a database; `task` is the one that needs it.
#[must_use]
pub fn reached(task: Task, address: &str, told: &[Reach]) -> Finding {
    let (id, side) = match task {
        Task::Source => ("PEER1851", "source"),
        Task::Sink => ("PEER1852", "target"),
    };
    let object = format!("peers that reach the {side} {address}");
    let names: Vec<&str> = told
        .iter()
        .filter(|one| one.fault.is_none())
        .map(|one| one.name.as_str())
        .collect();
    let cut_off: Vec<String> = told
        .iter()
        .filter_map(|one| one.fault.as_ref().map(|fault| format!("{}: {fault}", one.name)))
        .collect();
    if names.is_empty() {
        let found = if cut_off.is_empty() {
            "no peer answered".to_owned()
        } else {
            format!("none; {}", cut_off.join("; "))
        };
        let fix = format!("start a peer in the {side}'s network, or open the way from one of these to {address}");
        return Finding::bad(Severity::Fail, id, object, found, "one peer, better two", fix);
    }
    if names.len() == 1 {
        let rest = if cut_off.is_empty() {
            String::new()
        } else {
            format!("; not {}", cut_off.join("; "))
        };
        return Finding::bad(
            Severity::Warn,
            id,
            object,
            format!("{} only{rest}", names[0]),
            "two peers: when the one ends, the job waits for it",
            format!("start a second peer that reaches {address}"),
        );
    }
    Finding::ok(id, object, names.join(", "))
}

/// Who may run a task and reaches its database.
#[must_use]
pub fn placed(task: Task, ranking: &Ranking, told: &[Reach]) -> Finding {
    let id = match task {
        Task::Source => "PEER1853",
        Task::Sink => "PEER1854",
    };
    let object = format!("place for the {} task", task.as_str());
    let reaches = |peer: &NodeId| told.iter().any(|one| one.peer == *peer && one.fault.is_none());
    let able: Vec<String> = ranking
        .verdicts
        .iter()
        .filter(|verdict| ranking.rank_of(&verdict.peer).is_some() && reaches(&verdict.peer))
        .map(|verdict| verdict.name.clone())
        .collect();
    let expected = "a peer with a free place that the constraints allow and that reaches the database";
    if able.is_empty() {
        let found = if ranking.eligible.is_empty() {
            ranking.why_nobody(task)
        } else {
            "the peers that may run it do not reach the database".to_owned()
        };
        let fix = "see `peer plan FILE`; raise limits.tasks of a peer, end a drain, loosen a constraint, or start a peer";
        return Finding::bad(Severity::Fail, id, object, found, expected, fix);
    }
    if able.len() == 1 {
        return Finding::bad(
            Severity::Warn,
            id,
            object,
            format!("{} only", able[0]),
            "two peers that may run it",
            "start a second one, or loosen a constraint",
        );
    }
    Finding::ok(id, object, able.join(", "))
}

/// The clocks of the two databases and of the peers that looked, each against the asking peer's.
#[must_use]
pub fn clocks(readings: &[(String, ClockReading)]) -> Option<Finding> {
    let object = "clocks of databases and peers";
    let (first, last) = (
        readings.iter().min_by_key(|(_, reading)| reading.ahead_us)?,
        readings.iter().max_by_key(|(_, reading)| reading.ahead_us)?,
    );
    let apart = last.1.ahead_us.abs_diff(first.1.ahead_us);
    let doubt = first.1.within_us.saturating_add(last.1.within_us);
    if apart.saturating_sub(doubt) <= SKEW_MAX_US {
        return Some(Finding::ok("PEER1855", object, format!("{} apart", seconds(apart))));
    }
    let found = format!("{} is {} ahead of {}", last.0, seconds(apart), first.0);
    let fix = "let all machines keep their time by NTP (chronyc tracking, timedatectl)";
    Some(Finding::bad(
        Severity::Warn,
        "PEER1855",
        object,
        found,
        "at most 1 s: lag is told wrong by as much",
        fix,
    ))
}

fn seconds(microseconds: u64) -> String {
    format!("{:.3} s", microseconds as f64 / 1e6)
}

/// A side that its peer did not tell about.
#[must_use]
pub fn unanswered(side: &str, peer: &str, reason: &str) -> Finding {
    Finding::bad(
        Severity::Fail,
        "PEER1856",
        format!("look at the {side} through {peer}"),
        reason,
        "an answer",
        "check again; `peer members` shows who is here",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::placement::rank;
    use crate::core::placement::tests::{member, spec};

    fn told(names: &[(&str, bool)]) -> Vec<Reach> {
        let one = |(name, is_open): &(&str, bool)| Reach {
            peer: NodeId(format!("id-{name}")),
            name: (*name).into(),
            fault: (!is_open).then(|| "refused".into()),
            is_refused: false,
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn a_database_that_one_peer_reaches_is_a_risk_and_that_none_reaches_a_failure() {
        let severity = |names| reached(Task::Source, "db:3306", &told(names)).severity;
        assert_eq!(severity(&[("a", true), ("b", true)]), Severity::Ok);
        assert_eq!(severity(&[("a", true), ("b", false)]), Severity::Warn);
        assert_eq!(severity(&[("a", false), ("b", false)]), Severity::Fail);
        assert_eq!(severity(&[]), Severity::Fail);
        let found = reached(Task::Sink, "db:3306", &told(&[("a", true), ("b", false)])).found;
        assert!(found.contains("a only") && found.contains("b: refused"), "{found}");
    }

    #[test]
    fn a_task_needs_a_peer_that_may_and_can() {
        let roster = vec![member("a", "shanghai"), member("b", "shanghai"), member("c", "paris")];
        let ranking = rank(&spec("orders"), Task::Source, &roster);
        let severity = |names| placed(Task::Source, &ranking, &told(names)).severity;
        assert_eq!(severity(&[("a", true), ("b", true)]), Severity::Ok);
        assert_eq!(severity(&[("a", true), ("c", true)]), Severity::Warn, "c may not");
        assert_eq!(severity(&[("c", true)]), Severity::Fail);
    }

    #[test]
    fn clocks_are_apart_only_beyond_what_the_round_trips_leave_open() {
        let reading = |ahead_us, within_us| ClockReading { ahead_us, within_us };
        let severity = |us, doubt| {
            let both = [("sh-1".to_owned(), reading(0, 0)), ("source".to_owned(), reading(us, doubt))];
            clocks(&both).expect("two clocks").severity
        };
        assert_eq!(severity(900_000, 0), Severity::Ok);
        assert_eq!(severity(1_500_000, 600_000), Severity::Ok);
        assert_eq!(severity(-1_500_000, 100_000), Severity::Warn);
    }
}
