//! Laws and stories of the job table's merge.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::core::disposition::Disposition;
use crate::core::ids::{Epoch, Incarnation, Life, NodeId};
use crate::core::job_failure::{Cause, Move, RunId};
use crate::core::job_operations::{self as operations, Actor, Written};
use crate::core::job_state::ErrorReport;

fn actor(id: &str, next: u64) -> Actor {
    Actor {
        id: id.into(),
        next,
        author: format!("person {id}"),
        at: format!("2026-01-01T00:00:{:02}Z", next % 60),
    }
}

fn name() -> JobName {
    JobName("orders".into())
}

fn changed(written: Result<Written, operations::OperationError>) -> JobRecord {
    match written.expect("is accepted") {
        Written::Changed(record) => record,
        Written::Unchanged => panic!("expected a change"),
    }
}

fn spec(target: &str, rate: u64) -> Value {
    json!({"name": "orders", "sink": {"host": target}, "link": {"rate_bytes": rate}})
}

fn submitted() -> JobRecord {
    changed(operations::submit(
        None,
        &name(),
        spec("m1", 0),
        Life("11".into()),
        &mut actor("a", 1),
    ))
}

fn claimed(record: &JobRecord, epoch: u64, owner: &str) -> JobRecord {
    let dot = record.newest_spec().expect("has a spec").0.clone();
    let claim = Claim {
        inc: record.inc,
        epoch: Epoch(epoch),
        owner: NodeId(owner.into()),
        life: record.life().clone(),
        spec: dot,
        ..Claim::default()
    };
    operations::claim(record, claim)
}

fn kind_of(record: &JobRecord) -> String {
    match effective(record) {
        Effective::Absent => "absent".into(),
        Effective::Held(held) => held.kind.as_str().to_owned(),
        Effective::Run(run) => format!(
            "run {}{}",
            run.spec["sink"]["host"],
            if run.is_conflict { " conflict" } else { "" }
        ),
    }
}

#[test]
fn a_stop_is_not_lost_to_five_starts_on_the_other_side() {
    let base = submitted();
    let stopped = operations::hold(&base, HoldKind::Stop, "maintenance", &mut actor("a", 10)).expect("lives");
    let mut other = base;
    let mut b = actor("b", 1);
    for _ in 0..5 {
        other = operations::release(&other, &mut b).expect("lives");
    }
    let healed = merge(&stopped, &other);
    assert_eq!(kind_of(&healed), "stop");
    let resumed = operations::release(&healed, &mut b).expect("lives");
    assert_eq!(
        kind_of(&merge(&resumed, &stopped)),
        "run \"m1\"",
        "a start that saw the stop lifts it"
    );
}

#[test]
fn a_stop_and_a_start_on_one_side_leave_the_job_running() {
    let base = submitted();
    let mut a = actor("a", 10);
    let stopped = operations::hold(&base, HoldKind::Stop, "", &mut a).expect("lives");
    let started = operations::release(&stopped, &mut a).expect("lives");
    assert_eq!(kind_of(&merge(&base, &started)), "run \"m1\"");
}

#[test]
fn a_stop_is_not_lost_to_a_concurrent_edit() {
    let base = submitted();
    let stopped = operations::hold(&base, HoldKind::Stop, "", &mut actor("a", 10)).expect("lives");
    let edited = changed(operations::edit(&base, spec("m1", 5), Some(1), &mut actor("b", 1)));
    assert_eq!(kind_of(&merge(&stopped, &edited)), "stop");
}

#[test]
fn a_failed_job_is_lifted_by_restart_and_not_by_resume() {
    let base = submitted();
    let failed = operations::hold(&base, HoldKind::Failed, "PEER2001", &mut actor("a", 10)).expect("lives");
    assert_eq!(
        kind_of(&operations::release(&failed, &mut actor("b", 1)).expect("lives")),
        "failed"
    );
    assert_eq!(
        kind_of(&operations::restart(&failed, &mut actor("b", 1)).expect("lives")),
        "run \"m1\""
    );
}

/// The failure of the run that the record asks for.
fn cause(record: &JobRecord) -> Cause {
    let error = ErrorReport {
        at: "t".into(),
        class: Disposition::Fatal,
        code: "PEER1304".into(),
        text: "access denied".into(),
        fix: "check the password".into(),
        faults: Vec::new(),
    };
    Cause::new(RunId::of(record).expect("runs"), record.version(), 0, &error)
}

#[test]
fn a_failed_hold_names_the_life_and_the_version_that_failed() {
    let edited = changed(operations::edit(&submitted(), spec("m1", 5), None, &mut actor("a", 10)));
    let failed = changed(operations::fail(&edited, "PEER1304 no", cause(&edited), &mut actor("a", 11)));
    assert_eq!(kind_of(&failed), "failed");
    let hold = failed.holds.values().next().expect("a hold");
    let cause = hold.cause.as_ref().expect("a cause");
    assert_eq!(
        (cause.run.inc, cause.version, hold.reason.as_str()),
        (Incarnation(1), 2, "PEER1304 no")
    );
}

#[test]
fn a_failure_of_what_was_edited_restarted_or_purged_meanwhile_holds_nothing() {
    let base = submitted();
    let old = cause(&base);
    let purged = operations::purge(&base, &mut actor("b", 1)).expect("lives");
    let life = Life("22".into());
    let newer = [
        changed(operations::edit(&base, spec("m2", 0), None, &mut actor("b", 1))),
        operations::restart(&base, &mut actor("b", 1)).expect("lives"),
        changed(operations::submit(
            Some(&purged),
            &name(),
            spec("m1", 0),
            life,
            &mut actor("b", 2),
        )),
    ];
    for record in newer {
        let told = operations::fail(&record, "old", old.clone(), &mut actor("a", 50));
        assert_eq!(told, Ok(Written::Unchanged), "{record:?}");
    }
    assert!(operations::fail(&purged, "old", old, &mut actor("a", 50)).is_err());
}

#[test]
fn concurrent_edits_of_tunables_run_the_newer_and_say_conflict() {
    let base = claimed(&submitted(), 1, "n1");
    let left = changed(operations::edit(&base, spec("m1", 5), None, &mut actor("a", 10)));
    let right = changed(operations::edit(&base, spec("m1", 9), None, &mut actor("b", 11)));
    let healed = merge(&left, &right);
    assert_eq!(healed.spec.len(), 2, "both stay visible");
    let Effective::Run(run) = effective(&healed) else {
        panic!("runs")
    };
    assert!(run.is_conflict);
    assert_eq!(run.spec["link"]["rate_bytes"], 9);
}

#[test]
fn concurrent_edits_of_the_target_keep_the_running_one() {
    let base = claimed(&submitted(), 1, "n1");
    let left = changed(operations::edit(&base, spec("m2", 0), None, &mut actor("a", 10)));
    let left = claimed(&left, 2, "n1");
    let right = changed(operations::edit(&base, spec("m3", 0), None, &mut actor("b", 50)));
    let healed = merge(&left, &right);
    assert_eq!(kind_of(&healed), "run \"m2\" conflict");
    let settled = changed(operations::edit(&healed, spec("m3", 0), None, &mut actor("a", 20)));
    assert_eq!(kind_of(&merge(&settled, &healed)), "run \"m3\"");
    assert_eq!(settled.version(), 3);
}

#[test]
fn two_different_submits_of_one_name_hold_until_a_person_decides() {
    let left = submitted();
    let right = changed(operations::submit(
        None,
        &name(),
        spec("m2", 0),
        Life("00".into()),
        &mut actor("b", 1),
    ));
    let healed = merge(&left, &right);
    assert_eq!(kind_of(&healed), "arb");
    assert_eq!(
        healed.life(),
        &Life("00".into()),
        "the smaller life wins while nobody claimed"
    );
    let owned = merge(&claimed(&left, 1, "n1"), &right);
    assert_eq!(owned.life(), &Life("11".into()), "a claimed life stays");
}

#[test]
fn two_equal_submits_of_one_name_become_one_job() {
    let right = changed(operations::submit(
        None,
        &name(),
        spec("m1", 0),
        Life("00".into()),
        &mut actor("b", 1),
    ));
    assert_eq!(kind_of(&merge(&submitted(), &right)), "run \"m1\"");
}

#[test]
fn a_purge_beats_a_concurrent_edit_and_stop_and_the_next_submit_is_a_new_life() {
    let base = submitted();
    let purged = operations::purge(&base, &mut actor("a", 10)).expect("lives");
    let edited = changed(operations::edit(&base, spec("m2", 0), None, &mut actor("b", 1)));
    let stopped = operations::hold(&edited, HoldKind::Stop, "", &mut actor("b", 5)).expect("lives");
    let healed = merge(&purged, &stopped);
    assert_eq!(kind_of(&healed), "absent");
    let again = changed(operations::submit(
        Some(&healed),
        &name(),
        spec("m1", 0),
        Life("22".into()),
        &mut actor("b", 9),
    ));
    assert_eq!(again.inc, Incarnation(3));
    assert_eq!(kind_of(&merge(&again, &stopped)), "run \"m1\"");
}

#[test]
fn purge_and_resubmit_on_both_sides_is_held_like_two_submits() {
    let base = submitted();
    let resubmit = |id: &str, target: &str, life: &str| {
        let gone = operations::purge(&base, &mut actor(id, 10)).expect("lives");
        changed(operations::submit(
            Some(&gone),
            &name(),
            spec(target, 0),
            Life(life.into()),
            &mut actor(id, 20),
        ))
    };
    let healed = merge(&resubmit("a", "m1", "33"), &resubmit("b", "m2", "22"));
    assert_eq!((healed.inc, kind_of(&healed)), (Incarnation(3), "arb".into()));
}

#[test]
fn the_higher_epoch_owns_and_a_release_stays() {
    let base = submitted();
    let low = claimed(&base, 1, "n1");
    let high = claimed(&base, 2, "n2");
    let owner = |record: &JobRecord| record.claim.as_ref().map(|claim| claim.owner.0.clone());
    assert_eq!(owner(&merge(&low, &high)), Some("n2".into()));
    let mut given_back = high.claim.clone().expect("claimed");
    given_back.is_released = true;
    let released = operations::claim(&high, given_back);
    assert!(merge(&high, &released).claim.is_some_and(|claim| claim.is_released));
}

#[test]
fn an_edit_that_missed_a_version_is_refused() {
    let base = submitted();
    let error = operations::edit(&base, spec("m2", 0), Some(7), &mut actor("b", 1));
    assert_eq!(error, Err(operations::OperationError::VersionMoved { found: 1, expected: 7 }));
    let same = operations::edit(&base, spec("m1", 0), None, &mut actor("b", 1));
    assert_eq!(same, Ok(Written::Unchanged));
}

/// One step of a random history: a replica acts, or hears another's record.
#[derive(Clone, Debug)]
enum Step {
    Submit(usize, u8),
    Edit(usize, u8),
    Hold(usize, u8),
    Release(usize),
    Restart(usize),
    Purge(usize),
    Claim(usize, u64),
    Move(usize, u64),
    Hear(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let replica = 0usize..3;
    let step = prop_oneof![
        (replica.clone(), any::<u8>()).prop_map(|(r, n)| Step::Submit(r, n)),
        (replica.clone(), any::<u8>()).prop_map(|(r, n)| Step::Edit(r, n)),
        (replica.clone(), any::<u8>()).prop_map(|(r, n)| Step::Hold(r, n)),
        replica.clone().prop_map(Step::Release),
        replica.clone().prop_map(Step::Restart),
        replica.clone().prop_map(Step::Purge),
        (replica.clone(), 0u64..5).prop_map(|(r, n)| Step::Claim(r, n)),
        (replica.clone(), 0u64..50).prop_map(|(r, n)| Step::Move(r, n)),
        (replica.clone(), replica).prop_map(|(a, b)| Step::Hear(a, b)),
    ];
    prop::collection::vec(step, 0..40)
}

/// Plays a history. All replicas know the first submit, so that there is something to disagree about.
fn play(history: &[Step]) -> [JobRecord; 3] {
    let mut records = [submitted(), submitted(), submitted()];
    let mut actors = [actor("a", 100), actor("b", 100), actor("c", 100)];
    for step in history {
        let (at, next) = match *step {
            Step::Submit(r, n) => {
                let life = Life(format!("{r}{n}"));
                let made = operations::submit(Some(&records[r]), &name(), spec("m9", n.into()), life, &mut actors[r]);
                (
                    r,
                    made.ok()
                        .and_then(|w| if let Written::Changed(x) = w { Some(x) } else { None }),
                )
            }
            Step::Edit(r, n) => {
                let made = operations::edit(&records[r], spec(&format!("m{}", n % 3), n.into()), None, &mut actors[r]);
                (
                    r,
                    made.ok()
                        .and_then(|w| if let Written::Changed(x) = w { Some(x) } else { None }),
                )
            }
            Step::Hold(r, n) => {
                let kind = [HoldKind::Stop, HoldKind::Pause, HoldKind::Failed][usize::from(n % 3)].clone();
                (r, operations::hold(&records[r], kind, "", &mut actors[r]).ok())
            }
            Step::Release(r) => (r, operations::release(&records[r], &mut actors[r]).ok()),
            Step::Restart(r) => (r, operations::restart(&records[r], &mut actors[r]).ok()),
            Step::Purge(r) => (r, operations::purge(&records[r], &mut actors[r]).ok()),
            Step::Claim(r, n) if records[r].is_alive() => (r, Some(claimed(&records[r], n, &format!("n{r}")))),
            Step::Claim(r, _) => (r, None),
            Step::Move(r, at_ms) => (
                r,
                RunId::of(&records[r]).map(|run| {
                    let made = Move::new(run, NodeId(format!("n{r}")), at_ms, "lost");
                    operations::moved(&records[r], made)
                }),
            ),
            Step::Hear(r, from) => (r, Some(merge(&records[r], &records[from]))),
        };
        if let Some(record) = next {
            records[at] = record;
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(history in steps()) {
        let [a, b, c] = play(&history);
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &a), a.clone());
        let all = merge(&merge(&a, &b), &c);
        prop_assert_eq!(merge(&all, &b), all.clone());
        prop_assert_eq!(hash(&merge(&merge(&c, &a), &b)), hash(&all));
    }

    #[test]
    fn a_stop_survives_whatever_others_did_without_seeing_it(history in steps()) {
        let [a, b, c] = play(&history);
        prop_assume!(a.is_alive());
        let stopped = operations::hold(&a, HoldKind::Stop, "", &mut actor("z", 1)).expect("lives");
        let all = merge(&merge(&b, &stopped), &c);
        prop_assert!(all.inc > a.inc || kind_of(&all) == "stop", "{}", kind_of(&all));
    }

    #[test]
    fn a_record_reads_back_from_json(history in steps()) {
        for record in play(&history) {
            let text = serde_json::to_string(&record).expect("writes");
            prop_assert_eq!(serde_json::from_str::<JobRecord>(&text).expect("reads"), record);
        }
    }
}
