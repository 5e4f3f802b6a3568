//! What a job's record keeps of failures: each move from peer to peer while moves are limited, and the cause of a `failed`.
//!
//! Written through `core::job_operations`, joined by `core::job_merge`. Every peer sees only its own attempts, so the moves
//! are counted here, where all peers look. The count is near, not exact: peers that give up at the same moment, or on two
//! sides of a partition, do not see each other's move in time, and the window is measured by their wall clocks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::ids::{Incarnation, NodeId};
use crate::core::job_merge::in_force;
use crate::core::job_record::{Extra, JobRecord, canonical_json};
use crate::core::job_state::ErrorReport;
use crate::core::plan::fixed_part;
use crate::core::stable_hash::hash64;

/// Moves kept per job, newest first: about 400 bytes each. `config` allows half as many.
pub const MOVES_MAX: usize = 32;
/// Most characters of a text that a record keeps of an error; `reason` of the hold has all of it.
const TEXT_CHARS_MAX: usize = 1000;
/// Most characters of the reason of one move.
const REASON_CHARS_MAX: usize = 200;

/// One time a peer gave the sink up for others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// The run of the job it counts for.
    #[serde(flatten)]
    pub run: RunId,
    /// Who gave it up.
    pub peer: NodeId,
    /// When, by its wall clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// Code and text of the error.
    pub reason: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a failure is about: counting begins anew with each of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId {
    /// Incarnation of the job.
    pub inc: Incarnation,
    /// How often a person had asked for a restart.
    pub restart: u64,
    /// Hash of the part of the spec in force that restarts the tasks when it changes.
    pub work: String,
}

impl RunId {
    /// What the record asks for, held or not; None: nothing, or its versions are undecided.
    #[must_use]
    pub fn of(record: &JobRecord) -> Option<Self> {
        let (_, entry) = in_force(record).filter(|_| record.is_alive())?;
        Some(Self {
            inc: record.inc,
            restart: record.restart,
            work: format!("{:016x}", hash64(&[canonical_json(&fixed_part(&entry.spec)).as_bytes()])),
        })
    }
}

/// Code of the end of a job that has nothing more to do: the sink reports it like an error, and it is none.
pub const COMPLETED: &str = "PEER1110";

/// Code of a row that does not fit: the job pauses until a person has looked, and has not failed.
pub const CONFLICT: &str = "PEER1314";
/// The reason of the hold it puts.
pub const CONFLICT_REASON: &str = "conflict";

/// Why a job failed, and which one that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What failed.
    #[serde(flatten)]
    pub run: RunId,
    /// Version of that spec, for people.
    pub version: u64,
    /// Moves that had been made, of those that count.
    pub moves: u32,
    /// The last error, its texts cut and without its list of faults.
    pub error: ErrorReport,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Cause {
    /// Returns the cause as a record keeps it.
    #[must_use]
    pub fn new(run: RunId, version: u64, moves: u32, error: &ErrorReport) -> Self {
        let error = ErrorReport {
            text: cut(&error.text, TEXT_CHARS_MAX),
            fix: cut(&error.fix, TEXT_CHARS_MAX),
            faults: Vec::new(),
            ..error.clone()
        };
        Self {
            run,
            version,
            moves,
            error,
            extra: Extra::default(),
        }
    }
}

impl Move {
    /// Returns a move as a record keeps it.
    #[must_use]
    pub fn new(run: RunId, peer: NodeId, at_ms: u64, reason: &str) -> Self {
        Self {
            run,
            peer,
            at_ms,
            reason: cut(reason, REASON_CHARS_MAX),
            extra: Extra::default(),
        }
    }
}

/// Returns how many moves of this run were made within the interval before `now_ms`.
#[must_use]
pub fn moves_of(record: &JobRecord, run: &RunId, now_ms: u64, interval: Duration) -> u32 {
    let since = now_ms.saturating_sub(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX));
    let counts = |made: &&Move| made.run == *run && made.at_ms > since;
    u32::try_from(record.moves.iter().filter(counts).count()).unwrap_or(u32::MAX)
}

/// Returns the newest moves of both, newest first.
pub(crate) fn merge_moves(a: &[Move], b: &[Move]) -> Vec<Move> {
    let text = |made: &Move| canonical_json(&serde_json::to_value(made).expect("a move holds only JSON values"));
    let mut all: Vec<(String, &Move)> = a.iter().chain(b).map(|made| (text(made), made)).collect();
    all.sort_by(|(x_text, x), (y_text, y)| (y.at_ms, y_text).cmp(&(x.at_ms, x_text)));
    all.dedup_by(|(x, _), (y, _)| x == y);
    all.into_iter().take(MOVES_MAX).map(|(_, made)| made.clone()).collect()
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::job_operations as operations;
    use crate::core::job_policy::{Policy, ReschedulePolicy};
    use crate::core::retry::{Next, Retry};

    fn run(restart: u64) -> RunId {
        RunId {
            inc: Incarnation(1),
            restart,
            work: "w".into(),
        }
    }

    fn made(peer: u8, at_ms: u64, restart: u64) -> Move {
        Move::new(run(restart), NodeId(peer.to_string()), at_ms, "no")
    }

    fn some_moves() -> impl Strategy<Value = Vec<Move>> {
        prop::collection::vec(
            (0u8..4, 0u64..60, 0u64..2).prop_map(|(peer, at, restart)| made(peer, at, restart)),
            0..40,
        )
        .prop_map(|moves| merge_moves(&moves, &[]))
    }

    proptest! {
        #[test]
        fn moves_of_several_peers_join_in_any_order_and_none_counts_twice(
            a in some_moves(), b in some_moves(), c in some_moves()
        ) {
            let left = merge_moves(&merge_moves(&a, &b), &c);
            prop_assert_eq!(&left, &merge_moves(&a, &merge_moves(&c, &b)));
            prop_assert_eq!(&left, &merge_moves(&left, &b));
            prop_assert!(left.len() <= MOVES_MAX);
        }
    }

    #[test]
    fn only_moves_of_this_run_within_the_interval_count() {
        let record = JobRecord {
            moves: vec![made(1, 10_000, 0), made(2, 9_000, 0), made(1, 8_000, 1), made(1, 1_000, 0)],
            ..JobRecord::default()
        };
        let count = |now_ms, restart| moves_of(&record, &run(restart), now_ms, Duration::from_secs(5));
        assert_eq!((count(10_000, 0), count(10_000, 1), count(14_500, 0)), (2, 1, 1));
        assert_eq!(count(0, 0), 3, "a clock that is behind counts what it sees");
    }

    /// One failure that another peer might mend: at this peer, which has heard of all moves or only knows its own.
    fn failures() -> impl Strategy<Value = Vec<(usize, bool)>> {
        prop::collection::vec((0usize..4, any::<bool>()), 1..60)
    }

    /// Plays failures until a peer gives up; returns the moves that were made and whether somebody did.
    fn play(failures: &[(usize, bool)], attempts: u32, is_connected: bool) -> (usize, bool) {
        let policy = Policy {
            reschedule: ReschedulePolicy {
                attempts: Some(attempts),
                ..ReschedulePolicy::default()
            },
            ..Policy::default()
        };
        let base = JobRecord {
            inc: Incarnation(1),
            ..JobRecord::default()
        };
        let mut peers = vec![(base, Retry::default()); 4];
        let all_moves = |peers: &[(JobRecord, Retry)]| {
            let all = peers.iter().map(|(record, _)| record.moves.clone());
            all.reduce(|a, b| merge_moves(&a, &b)).unwrap_or_default()
        };
        for (n, (at, hears)) in failures.iter().enumerate() {
            let now_ms = 1_000 + n as u64;
            if is_connected || *hears {
                peers[*at].0.moves = all_moves(&peers);
            }
            let (record, retry) = &mut peers[*at];
            let interval = Duration::from_millis(policy.reschedule.interval_ms);
            retry.judge_by(policy, moves_of(record, &run(0), now_ms, interval));
            match retry.failed(false, Duration::from_millis(now_ms), 0) {
                Next::Move(_) => *record = operations::moved(record, Move::new(run(0), NodeId(at.to_string()), now_ms, "no")),
                Next::Fail => return (all_moves(&peers).len(), true),
                Next::Again(_) => unreachable!("nothing here is tried again on its peer"),
            }
        }
        (all_moves(&peers).len(), false)
    }

    proptest! {
        #[test]
        fn the_job_fails_at_the_move_that_is_one_too_many_whoever_makes_it(list in failures(), attempts in 0u32..8) {
            let (moves, is_failed) = play(&list, attempts, true);
            prop_assert_eq!((moves, is_failed), (list.len().min(attempts as usize), list.len() > attempts as usize));
        }

        #[test]
        fn peers_that_do_not_hear_of_each_other_make_at_most_the_allowed_moves_each(list in failures(), attempts in 0u32..8) {
            let (moves, is_failed) = play(&list, attempts, false);
            prop_assert!(moves <= 4 * attempts as usize);
            prop_assert!(is_failed || list.len() <= 4 * attempts as usize);
            prop_assert!(!is_failed || moves >= attempts as usize, "{moves} moves, {attempts} allowed");
        }
    }

    #[test]
    fn a_move_keeps_what_a_newer_version_adds_to_it() {
        let mut value = serde_json::to_value(made(1, 5, 2)).expect("writes");
        value["later"] = 7.into();
        let back: Move = serde_json::from_value(value.clone()).expect("reads");
        assert_eq!(serde_json::to_value(back).expect("writes"), value);
    }

    fn actor(next: u64) -> operations::Actor {
        operations::Actor {
            id: "a".into(),
            next,
            author: "p".into(),
            at: "t".into(),
        }
    }

    fn changed(written: Result<operations::Written, operations::OperationError>) -> JobRecord {
        match written {
            Ok(operations::Written::Changed(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_conflict_pauses_and_resume_or_restart_lifts_it_while_a_persons_pause_stays_its_own() {
        let name = crate::core::ids::JobName("orders".into());
        let spec = serde_json::json!({"name": "orders"});
        let base = changed(operations::submit(None, &name, spec, Default::default(), &mut actor(1)));
        let error = ErrorReport {
            at: "t".into(),
            class: crate::core::disposition::Disposition::Fatal,
            code: CONFLICT.into(),
            text: "a row".into(),
            fix: String::new(),
            faults: Vec::new(),
        };
        let cause = Cause::new(RunId::of(&base).expect("runs"), 1, 0, &error);
        let kinds = |record: &JobRecord| {
            let holds = record.holds.values();
            holds
                .map(|hold| format!("{} {}", hold.kind.as_str(), hold.reason))
                .collect::<Vec<_>>()
        };
        let paused = changed(operations::fail(&base, "PEER1314 a row", cause.clone(), &mut actor(2)));
        assert_eq!(kinds(&paused), ["pause conflict"]);
        let twice = changed(operations::fail(&paused, "again", cause, &mut actor(3)));
        assert_eq!(kinds(&twice), ["pause conflict"]);
        let both = operations::hold(&twice, crate::core::job_record::HoldKind::Pause, "mine", &mut actor(4)).expect("lives");
        assert_eq!(kinds(&both), ["pause conflict", "pause mine"]);
        let restarted = operations::restart(&both, &mut actor(5)).expect("lives");
        assert_eq!(kinds(&restarted), ["pause mine"]);
        assert!(operations::release(&both, &mut actor(5)).expect("lives").holds.is_empty());
    }

    #[test]
    fn a_long_error_is_cut_in_the_record() {
        assert_eq!(
            Move::new(run(0), NodeId::default(), 0, &"é".repeat(900))
                .reason
                .chars()
                .count(),
            201
        );
    }
}
