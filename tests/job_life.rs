//! The life of a job across a partition: operations on both sides, then the merge, then what every peer makes of it.
//!
//! One test per row of the table of scenarios that people come with; the laws themselves are in `core::job_merge`.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use peer::admin::job_history::{concurrent_versions, job_history};
use peer::config::job_set::parse_settings;
use peer::core::ids::{Epoch, Incarnation, JobName, Life, NodeId};
use peer::core::job_merge::{Claim, Effective, HoldKind, JobRecord, PAST_MAX, effective, hash, merge};
use peer::core::job_operations::{self as operations, Actor, OperationError, Written};
use peer::core::job_versions::{PAST_SPEC_BYTES_MAX, VersionError};
use serde_json::{Value, json};

/// One side of the partition: its copy of the record, and the operator there.
#[derive(Clone)]
struct Side {
    record: Option<JobRecord>,
    actor: Actor,
}

impl Side {
    fn new(id: &str) -> Self {
        let actor = Actor {
            id: id.into(),
            next: 1,
            author: format!("person at {id}"),
            at: "2026-01-01T00:00:00Z".into(),
        };
        Self { record: None, actor }
    }

    fn record(&self) -> &JobRecord {
        self.record.as_ref().unwrap()
    }

    /// The clock of this side shows this second.
    fn at(&mut self, second: u32) -> &mut Self {
        self.actor.at = format!("2026-01-01T00:00:{second:02}Z");
        self
    }

    fn take(&mut self, written: Result<Written, OperationError>) -> &mut Self {
        if let Written::Changed(record) = written.unwrap() {
            self.record = Some(record);
        }
        self
    }

    fn submit(&mut self, spec: Value, life: &str) -> &mut Self {
        let name = JobName("orders".into());
        let written = operations::submit(self.record.as_ref(), &name, spec, Life(life.into()), &mut self.actor);
        self.take(written)
    }

    fn edit(&mut self, spec: Value) -> &mut Self {
        let written = operations::edit(self.record.as_ref().unwrap(), spec, None, &mut self.actor);
        self.take(written)
    }

    fn set(&mut self, settings: &[&str]) -> Result<&mut Self, OperationError> {
        let words: Vec<String> = settings.iter().map(|word| (*word).to_owned()).collect();
        let settings = parse_settings(&words).unwrap();
        let written = operations::set(self.record.as_ref().unwrap(), &settings, &mut self.actor)?;
        Ok(self.take(Ok(written)))
    }

    fn revert(&mut self, version: u64) -> Result<&mut Self, OperationError> {
        let written = operations::revert(self.record.as_ref().unwrap(), version, &mut self.actor)?;
        Ok(self.take(Ok(written)))
    }

    fn stop(&mut self) -> &mut Self {
        let record = operations::hold(self.record.as_ref().unwrap(), HoldKind::Stop, "", &mut self.actor);
        self.take(record.map(Written::Changed))
    }

    fn start(&mut self) -> &mut Self {
        let record = operations::release(self.record.as_ref().unwrap(), &mut self.actor);
        self.take(record.map(Written::Changed))
    }

    fn purge(&mut self) -> &mut Self {
        let record = operations::purge(self.record.as_ref().unwrap(), &mut self.actor);
        self.take(record.map(Written::Changed))
    }

    /// This side won the fence with `epoch` and runs the spec in force.
    fn own(&mut self, epoch: u64) -> &mut Self {
        let record = self.record();
        let Effective::Run(run) = effective(record) else {
            panic!("nothing to run")
        };
        let claim = Claim {
            inc: record.inc,
            epoch: Epoch(epoch),
            owner: NodeId(self.actor.id.clone()),
            life: record.life().clone(),
            spec: run.dot,
            ..Claim::default()
        };
        self.record = Some(operations::claim(record, claim));
        self
    }
}

/// Two sides that know the same job, version 1, and cannot hear each other any more.
fn parted() -> (Side, Side) {
    let mut a = Side::new("a");
    a.submit(spec("m1", 0), "11");
    let b = Side {
        record: a.record.clone(),
        ..Side::new("b")
    };
    (a, b)
}

fn spec(target: &str, rate: u64) -> Value {
    json!({
        "name": "orders", "sink": {"endpoint": {"host": target}},
        "link": {"rate_bytes": rate}, "apply": {"group_transactions": 1000},
    })
}

/// The partition heals: whoever hears whom first, and however often, both sides hold the same record.
fn heal(a: &mut Side, b: &mut Side) -> Effective {
    let joined = merge(a.record(), b.record());
    let other = merge(b.record(), a.record());
    assert_eq!(hash(&joined), hash(&other), "both sides agree");
    assert_eq!(
        hash(&merge(&joined, b.record())),
        hash(&joined),
        "hearing twice changes nothing"
    );
    a.record = Some(joined);
    b.record = Some(other);
    effective(a.record())
}

fn run_of(effective: Effective) -> (String, u64, bool) {
    match effective {
        Effective::Run(run) => (
            run.spec["sink"]["endpoint"]["host"].as_str().unwrap().to_owned(),
            run.spec["link"]["rate_bytes"].as_u64().unwrap(),
            run.is_conflict,
        ),
        other => panic!("expected a running job, found {other:?}"),
    }
}

fn hold_of(effective: Effective) -> HoldKind {
    match effective {
        Effective::Held(held) => held.kind,
        other => panic!("expected a held job, found {other:?}"),
    }
}

#[test]
fn stop_against_start_five_times_is_stopped_until_someone_who_knows_starts_it() {
    let (mut a, mut b) = parted();
    a.stop();
    for _ in 0..5 {
        b.start();
    }
    assert_eq!(hold_of(heal(&mut a, &mut b)), HoldKind::Stop);
    b.start();
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 0, false));
}

#[test]
fn stop_then_start_against_an_old_run_is_running() {
    let (mut a, mut b) = parted();
    b.own(1);
    a.stop().start();
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 0, false));
}

#[test]
fn stop_against_edit_is_stopped_with_the_edit() {
    let (mut a, mut b) = parted();
    a.stop();
    b.edit(spec("m2", 0));
    assert_eq!(hold_of(heal(&mut a, &mut b)), HoldKind::Stop);
    a.start();
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m2".into(), 0, false));
}

#[test]
fn edited_tunables_on_both_sides_run_the_later_and_the_conflict_is_shown() {
    let (mut a, mut b) = parted();
    a.at(30).set(&["link.rate=9 MB/s"]).unwrap();
    // Two edits here make a larger version there; the later clock still decides, not the busier side.
    b.at(10).set(&["link.rate=4 MB/s"]).unwrap();
    b.at(20).set(&["link.rate=5 MB/s"]).unwrap();
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 9_000_000, true));
    let shown = concurrent_versions(a.record());
    assert_eq!(shown.len(), 2, "both are kept");
    let chosen: Vec<_> = shown.iter().filter(|version| version.in_force).collect();
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[0].by.as_deref(), Some("person at a"));
    let other = shown.iter().find(|version| !version.in_force).unwrap();
    assert_eq!(other.changes, ["link.rate_bytes: 9000000 -> 5000000"]);
    b.at(40).set(&["link.rate=7 MB/s"]).unwrap();
    assert_eq!(
        run_of(heal(&mut a, &mut b)),
        ("m1".into(), 7_000_000, false),
        "one more edit settles it"
    );
    assert!(concurrent_versions(a.record()).is_empty());
}

#[test]
fn tunables_edited_in_the_same_second_are_chosen_by_dot() {
    let (mut a, mut b) = parted();
    a.at(10).set(&["link.rate=1 MB/s"]).unwrap();
    b.at(10).set(&["link.rate=2 MB/s"]).unwrap();
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 2_000_000, true));
}

#[test]
fn an_edited_target_on_both_sides_keeps_the_running_spec_and_flags_the_conflict() {
    let (mut a, mut b) = parted();
    a.at(10).edit(spec("m2", 0)).own(2);
    b.at(20).edit(spec("m3", 0));
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m2".into(), 0, true));
    assert_eq!(concurrent_versions(b.record()).len(), 2);
    let refused = b.set(&["link.rate=1 MB/s"]).err();
    assert_eq!(
        refused,
        Some(OperationError::Undecided { count: 2 }),
        "a rate does not decide the target"
    );
    b.edit(spec("m3", 0));
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m3".into(), 0, false));
}

#[test]
fn an_edited_target_on_both_sides_is_held_when_neither_runs() {
    let (mut a, mut b) = parted();
    a.edit(spec("m2", 0));
    b.edit(spec("m3", 0));
    assert_eq!(hold_of(heal(&mut a, &mut b)), HoldKind::Arbitration);
    assert!(concurrent_versions(a.record()).iter().all(|version| !version.in_force));
    a.edit(spec("m2", 0));
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m2".into(), 0, false));
}

#[test]
fn a_new_rate_here_and_a_new_target_there_keep_the_target_that_runs() {
    let (mut a, mut b) = parted();
    a.own(1);
    // The owner has not started the new version when the sides meet: its claim names the version before.
    a.set(&["link.rate=9 MB/s"]).unwrap();
    b.edit(spec("m2", 0));
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 9_000_000, true));
}

#[test]
fn different_submits_of_one_name_are_held_and_nothing_runs_twice() {
    let (mut a, mut b) = (Side::new("a"), Side::new("b"));
    a.submit(spec("m1", 0), "11");
    b.submit(spec("m2", 0), "22");
    assert_eq!(hold_of(heal(&mut a, &mut b)), HoldKind::Arbitration);
    assert_eq!(a.record().spec.len(), 2);
}

#[test]
fn identical_submits_of_one_name_merge_silently() {
    let (mut a, mut b) = (Side::new("a"), Side::new("b"));
    a.submit(spec("m1", 0), "11");
    b.submit(spec("m1", 0), "22");
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 0, false));
    assert!(concurrent_versions(a.record()).is_empty());
    assert_eq!(a.record().life(), b.record().life());
}

#[test]
fn purge_against_edit_or_stop_is_purged_and_a_resubmit_is_a_fresh_incarnation() {
    for act in [|b: &mut Side| _ = b.edit(spec("m2", 0)), |b: &mut Side| _ = b.stop()] {
        let (mut a, mut b) = parted();
        a.purge();
        act(&mut b);
        assert_eq!(heal(&mut a, &mut b), Effective::Absent);
        b.submit(spec("m1", 0), "33");
        assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 0, false));
        assert_eq!((a.record().inc, a.record().life()), (Incarnation(3), &Life("33".into())));
        assert!(a.record().past.is_empty(), "no text of the old life is left");
    }
}

#[test]
fn purge_and_resubmit_on_both_sides_is_as_two_submits() {
    let (mut a, mut b) = parted();
    a.purge().submit(spec("m1", 0), "33");
    b.purge().submit(spec("m2", 0), "22");
    assert_eq!(hold_of(heal(&mut a, &mut b)), HoldKind::Arbitration);
    assert_eq!(a.record().inc, Incarnation(3));
    let (mut a, mut b) = parted();
    a.purge().submit(spec("m1", 0), "33");
    b.purge().submit(spec("m1", 0), "22");
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 0, false));
}

#[test]
fn a_task_placed_anew_on_the_side_that_reaches_the_target_has_that_sides_epoch() {
    let (mut a, mut b) = parted();
    b.own(1);
    a.record = Some(merge(a.record(), b.record()));
    // B runs on in its own eyes; A wins the next epoch at the target.
    a.own(2);
    heal(&mut a, &mut b);
    let claim = b.record().claim.as_ref().unwrap();
    assert_eq!((claim.epoch, &claim.owner), (Epoch(2), &NodeId("a".into())));
}

#[test]
fn a_task_placed_anew_on_both_sides_is_owned_by_the_higher_epoch() {
    let (mut a, mut b) = parted();
    a.own(4);
    b.own(5);
    heal(&mut a, &mut b);
    let claim = a.record().claim.as_ref().unwrap();
    assert_eq!((claim.epoch, &claim.owner), (Epoch(5), &NodeId("b".into())));
}

#[test]
fn a_claim_written_anew_for_another_text_wins_on_both_sides_and_a_release_still_ends_it() {
    let (mut a, mut b) = parted();
    a.own(2);
    heal(&mut a, &mut b);
    let old = a.record().claim.clone().unwrap();
    assert!(
        !serde_json::to_string(a.record()).unwrap().contains("rewrites"),
        "stored as before"
    );
    let anew = Claim {
        // Smaller as text than the dot before it.
        spec: "A:1".parse().unwrap(),
        rewrites: 1,
        ..old.clone()
    };
    a.record = Some(operations::claim(a.record(), anew.clone()));
    heal(&mut a, &mut b);
    assert_eq!((&a.record().claim, &b.record().claim), (&Some(anew.clone()), &Some(anew)));
    let released = Claim {
        is_released: true,
        ..old
    };
    b.record = Some(operations::claim(b.record(), released));
    heal(&mut a, &mut b);
    assert!(a.record().claim.as_ref().unwrap().is_released);
}

#[test]
fn set_makes_the_next_version_and_history_says_who_changed_what() {
    let (mut a, _) = parted();
    a.set(&["link.rate=10 MB/s", "apply.group_transactions=5"]).unwrap();
    let view = job_history(a.record());
    assert_eq!((view.version, view.events.len()), (Some(2), 2));
    let set = &view.events[0];
    assert_eq!((set.what.as_str(), set.by.as_deref()), ("set", Some("person at a")));
    assert_eq!(set.note.as_deref(), Some("link.rate = 10 MB/s, apply.group_transactions = 5"));
    let changes = ["apply.group_transactions: 1000 -> 5", "link.rate_bytes: 0 -> 10000000"];
    assert_eq!(set.changes.as_deref(), Some(&changes.map(str::to_owned)[..]));
    assert!(set.in_force && set.kept);
    assert!(!view.events[1].in_force && view.events[1].kept);
    let again = a.clone().set(&["link.rate=10 MB/s"]).unwrap().record().version();
    assert_eq!(again, 2, "the same value is no new version");
}

#[test]
fn revert_writes_an_earlier_spec_as_a_new_version() {
    let (mut a, mut b) = parted();
    a.edit(spec("m2", 3));
    a.revert(1).unwrap();
    assert_eq!(a.record().version(), 3);
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 0, false));
    b.revert(2).unwrap();
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m2".into(), 3, false));
    assert_eq!(job_history(a.record()).events[0].note.as_deref(), Some("to version 2"));
}

#[test]
fn revert_to_a_version_with_two_texts_is_refused() {
    let (mut a, mut b) = parted();
    a.edit(spec("m2", 0));
    b.edit(spec("m3", 0));
    heal(&mut a, &mut b);
    let expected = VersionError::Ambiguous { version: 2, count: 2 };
    assert_eq!(a.revert(2).err(), Some(OperationError::Version(expected)));
    a.revert(1).unwrap();
    assert_eq!(run_of(heal(&mut a, &mut b)), ("m1".into(), 0, false));
}

#[test]
fn the_last_six_replaced_versions_are_kept_on_every_side() {
    let (mut a, mut b) = parted();
    for rate in 1..=9 {
        a.edit(spec("m1", rate));
    }
    for rate in 101..=103 {
        b.edit(spec("m1", rate));
    }
    heal(&mut a, &mut b);
    assert_eq!(b.record().past.len(), PAST_MAX);
    let kept: Vec<u64> = b.record().past.iter().map(|past| past.version).collect();
    assert_eq!(kept, [9, 8, 7, 6, 5, 4], "the newest of both, and version 4 of B still lives");
    let error = b.revert(2).err();
    let kept = vec![4, 5, 6, 7, 8, 9, 10];
    assert_eq!(
        error,
        Some(OperationError::Version(VersionError::NotKept { wanted: 2, kept }))
    );
}

#[test]
fn a_huge_text_is_not_kept_so_that_the_record_stays_small() {
    let (mut a, _) = parted();
    let mut huge = spec("m1", 0);
    huge["tables"] = json!("x".repeat(PAST_SPEC_BYTES_MAX));
    a.edit(huge);
    a.edit(spec("m2", 0));
    assert!(a.revert(2).is_err());
    assert!(a.revert(1).is_ok());
}

#[test]
fn a_record_from_before_versions_were_kept_reads_and_hashes_as_it_did() {
    let (a, _) = parted();
    let value = serde_json::to_value(a.record()).unwrap();
    assert!(value.get("past").is_none(), "absent while there is nothing in it");
    let back: JobRecord = serde_json::from_value(value).unwrap();
    assert_eq!(hash(&back), hash(a.record()));
}
