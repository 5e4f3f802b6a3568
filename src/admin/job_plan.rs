//! The answer of `plan`: what a submit would do, put together from the job table, the roster and the text as parsed.
//!
//! Fed by `live`; the classes come from `core::plan`, the choice from `core::placement_summary`. Changes nothing and asks
//! no other peer, so it is what one peer sees; the tables, which a peer near the source tells, are added by `live`.

use serde_json::Value;

use crate::actors::cluster_view::ClusterView;
use crate::admin::job_lines::Seen;
use crate::admin::job_status::{placement_rows, placement_summary};
use crate::admin::views::{DifferenceView, PlanResult, PlanView, TableDigestView};
use crate::core::fault::Fault;
use crate::core::job_merge::Effective;
use crate::core::job_record::JobRecord;
use crate::core::job_spec::JobSpec;
use crate::core::placement_summary::Placed;
use crate::core::plan::{Difference, Look, Standing, differences, look};

/// What a submit of `spec` would do to `old`; `root` is the digest of this peer's job table.
#[must_use]
pub fn plan_view(spec: &JobSpec, old: Option<&JobRecord>, view: &ClusterView, root: &str, as_seen_by: &str) -> PlanView {
    let seen = old.map(|record| Seen::new(record, view));
    let standing = seen.as_ref().map_or(Standing::Fresh, standing);
    let json = serde_json::to_value(spec).expect("a spec has only text keys");
    let found = old.map_or_else(Vec::new, |old| update_of(old, &json, standing));
    let faults = refusals(&spec.name.0, &found);
    let claim = seen.as_ref().and_then(|seen| seen.claim);
    let (owner, source) = (claim.map(|claim| &claim.owner), claim.and_then(|claim| claim.source.as_ref()));
    let placed = Placed::of(spec, &view.roster, owner, source);
    PlanView {
        name: spec.name.0.clone(),
        as_seen_by: as_seen_by.to_owned(),
        result: match (old, found.is_empty(), faults.is_empty()) {
            (None, ..) => PlanResult::Create,
            (Some(_), _, false) => PlanResult::Refused,
            (Some(_), true, true) => PlanResult::Unchanged,
            (Some(_), false, true) => PlanResult::Update,
        },
        version: old.map(JobRecord::version),
        running: standing == Standing::Running,
        differences: found.into_iter().map(difference).collect(),
        placement: placement_rows(&placed),
        placement_summary: placement_summary(&placed, &view.roster, owner, source),
        table: digest(view, root),
        tables: None,
        tables_faults: Vec::new(),
        other_jobs: Vec::new(),
        faults,
    }
}

fn standing(seen: &Seen<'_>) -> Standing {
    match (&seen.record.claim, &seen.claim, &seen.effective) {
        (None, ..) => Standing::Fresh,
        (Some(_), Some(_), Effective::Run(_)) => Standing::Running,
        _ => Standing::Idle,
    }
}

/// What keeps an update with these differences from being taken, one fault for each; empty: it is taken.
fn refusals(job: &str, differences: &[Difference]) -> Vec<Fault> {
    let costly = differences.iter().filter(|found| found.impact.is_refused());
    let fault = |found: &Difference| {
        let new_job = format!("`peer purge {job}`, then submit it again, or give it another name");
        let (code, expected, fix) = match found.path.as_str() {
            "source.endpoint.host" | "source.endpoint.port" => ("PEER1705", "the source whose rows it has applied", new_job),
            "sink.endpoint.host" | "sink.endpoint.port" => {
                let fix = format!("`peer stop {job}`, then submit the update, then `peer resume {job}`");
                ("PEER1711", "a job that does not run", fix)
            }
            _ => ("PEER1711", "what its progress in the target was made with", new_job),
        };
        Fault::new(code, format!("job {job}"), found.text.clone(), expected, fix)
    };
    costly.map(fault).collect()
}

fn difference(found: Difference) -> DifferenceView {
    DifferenceView {
        path: found.path,
        text: found.text,
        impact: found.impact.word().to_owned(),
        note: found.note.to_owned(),
    }
}

fn digest(view: &ClusterView, root: &str) -> TableDigestView {
    let live: Vec<_> = view.facts.iter().filter(|peer| peer.is_live()).collect();
    // What this peer tells of itself may be half a second old; it agrees with itself all the same.
    let agree = live
        .iter()
        .filter(|peer| peer.is_self || peer.table_root.as_deref() == Some(root));
    TableDigestView {
        digest: root.to_owned(),
        agree: agree.count() as u64,
        peers: live.len() as u64,
    }
}

/// What has to be looked at before `old` gets the text `new`.
#[must_use]
pub fn update_look(old: &JobRecord, new: &Value, view: &ClusterView) -> Look {
    let standing = standing(&Seen::new(old, view));
    look(&update_of(old, new, standing), standing)
}

/// What keeps `old` from getting the text `new`, as far as this peer sees; empty: nothing.
#[must_use]
pub fn update_faults(old: &JobRecord, new: &Value, view: &ClusterView) -> Vec<Fault> {
    let standing = standing(&Seen::new(old, view));
    refusals(&old.name.0, &update_of(old, new, standing))
}

fn update_of(old: &JobRecord, new: &Value, standing: Standing) -> Vec<Difference> {
    let entry = old.newest_spec().map(|(_, entry)| entry);
    entry.map_or_else(Vec::new, |entry| differences(&entry.spec, new, standing))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::job::parse_job;
    use crate::core::ids::{Epoch, JobName, Life, NodeId};
    use crate::core::job_operations::{self as operations, Actor, Written};
    use crate::core::job_record::Claim;
    use crate::core::member::{Member, MemberState};
    use crate::gossip::view::PeerFacts;

    fn spec(source: &str, rate: &str) -> JobSpec {
        let text = format!(
            "name = \"orders\"\n[source]\nhost = \"{source}\"\nuser = \"u\"\npassword = \"\"\n[sink]\nhost = \"b\"\nuser = \"u\"\n\
             password = \"\"\n[[sink.constraint]]\nattribute = \"${{node.datacenter}}\"\nvalue = \"beijing\"\n\
             [link]\nrate = \"{rate}\"\n[[tables]]\nschema = \"s\"\ntable = \"t\"\n"
        );
        parse_job(&text).expect("a valid job")
    }

    fn submitted(spec: &JobSpec) -> JobRecord {
        let mut actor = Actor {
            id: "a".into(),
            next: 1,
            author: "a person".into(),
            at: "t".into(),
        };
        let json = serde_json::to_value(spec).expect("json");
        match operations::submit(None, &JobName("orders".into()), json, Life("1".into()), &mut actor) {
            Ok(Written::Changed(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    fn claimed(record: &JobRecord, owner: &str) -> JobRecord {
        let claim = Claim {
            inc: record.inc,
            owner: NodeId(owner.into()),
            epoch: Epoch(1),
            ..Claim::default()
        };
        operations::claim(record, claim)
    }

    /// bj-1 is this peer, bj-2 has another table, sh-1 is dead.
    fn view() -> ClusterView {
        let peers = [
            ("bj-1", "beijing", "root", MemberState::Alive),
            ("bj-2", "beijing", "other", MemberState::Alive),
            ("sh-1", "shanghai", "root", MemberState::Dead),
        ];
        let member = |(name, datacenter, _, state): (&str, &str, &str, MemberState)| Member {
            id: NodeId(name.into()),
            name: name.into(),
            datacenter: datacenter.into(),
            capacity: 8,
            is_self: name == "bj-1",
            state,
            ..Member::default()
        };
        let facts = |(name, _, root, state): (&str, &str, &str, MemberState)| PeerFacts {
            id: NodeId(name.into()),
            address: "127.0.0.1:1".parse().expect("an address"),
            state,
            leaving: None,
            table_root: Some(root.into()),
            tasks: Vec::new(),
            is_self: name == "bj-1",
        };
        ClusterView {
            roster: Arc::new(peers.map(member).to_vec()),
            facts: Arc::new(peers.map(facts).to_vec()),
        }
    }

    fn plan(spec: &JobSpec, old: Option<&JobRecord>) -> PlanView {
        plan_view(spec, old, &view(), "root", "bj-1")
    }

    #[test]
    fn a_new_job_has_a_place_and_no_differences() {
        let plan = plan(&spec("a", "0"), None);
        assert_eq!((plan.result, plan.version, plan.running), (PlanResult::Create, None, false));
        assert!(plan.differences.is_empty() && plan.faults.is_empty());
        assert_eq!((plan.table.agree, plan.table.peers), (1, 2), "a dead peer does not count");
        let sink = plan
            .placement_summary
            .iter()
            .find(|task| task.task == "sink")
            .expect("the sink");
        assert_eq!((sink.totals.eligible, sink.totals.dead), (2, 1));
        assert_eq!(sink.why, "the best of the 2 that may");
        assert!(sink.chosen.is_some() && sink.score.is_some() && sink.running.is_none());
        assert_eq!(plan.placement.len(), 6, "every peer for both tasks");
    }

    #[test]
    fn the_same_content_changes_nothing_and_another_says_what_it_costs() {
        let old = claimed(&submitted(&spec("a", "0")), "bj-2");
        assert_eq!(plan(&spec("a", "0"), Some(&old)).result, PlanResult::Unchanged);
        let plan = plan(&spec("a", "3 MB/s"), Some(&old));
        assert_eq!((plan.result, plan.version, plan.running), (PlanResult::Update, Some(1), true));
        assert_eq!(plan.differences.len(), 1);
        assert_eq!(
            (plan.differences[0].path.as_str(), plan.differences[0].impact.as_str()),
            ("link.rate_bytes", "live")
        );
        let sink = plan
            .placement_summary
            .iter()
            .find(|task| task.task == "sink")
            .expect("the sink");
        assert_eq!(sink.running.as_deref(), Some("bj-2"));
    }

    #[test]
    fn a_plan_and_a_submit_refuse_the_same() {
        let old = claimed(&submitted(&spec("a", "0")), "bj-2");
        let mut other_tables = spec("a", "0");
        other_tables.tables[0].table = "u".into();
        let mut other_target = spec("a", "0");
        other_target.sink.endpoint.port = 1;
        let cases = [
            (spec("a", "3 MB/s"), None),
            (spec("c", "0"), Some("PEER1705")),
            (other_tables, Some("PEER1711")),
            (other_target, Some("PEER1711")),
        ];
        for (spec, code) in cases {
            let plan = plan(&spec, Some(&old));
            let json = serde_json::to_value(&spec).expect("json");
            assert_eq!(plan.faults, update_faults(&old, &json, &view()));
            assert_eq!(plan.faults.first().map(|fault| fault.code.as_str()), code);
            assert_eq!(plan.result == PlanResult::Refused, code.is_some());
        }
    }

    #[test]
    fn each_refused_field_is_told_with_what_to_do() {
        let spec = serde_json::to_value(spec("a", "0")).expect("json");
        let faults = |new: &Value, standing| refusals("orders", &differences(&spec, new, standing));
        let mut new = spec.clone();
        new["tables"] = serde_json::json!([{"schema": "s", "table": "u"}]);
        new["source"]["start"] = "now".into();
        new["link"]["batch_bytes"] = 9.into();
        for standing in [Standing::Running, Standing::Idle] {
            let told = faults(&new, standing);
            let codes: Vec<&str> = told.iter().map(|fault| fault.code.as_str()).collect();
            assert_eq!(codes, ["PEER1711", "PEER1711"]);
            assert!(
                told[1].found.contains("added s.u") && told[1].fix.contains("peer purge orders"),
                "{}",
                told[1]
            );
        }
        assert!(faults(&new, Standing::Fresh).is_empty());
        let mut moved = spec.clone();
        moved["sink"]["endpoint"]["host"] = "c".into();
        assert!(faults(&moved, Standing::Running)[0].fix.contains("peer stop orders"));
        assert!(faults(&moved, Standing::Idle).is_empty());
    }

    #[test]
    fn another_source_is_refused_once_the_job_was_owned() {
        let old = submitted(&spec("a", "0"));
        assert_eq!(plan(&spec("c", "0"), Some(&old)).result, PlanResult::Update);
        let plan = plan(&spec("c", "0"), Some(&claimed(&old, "sh-1")));
        assert_eq!((plan.result, plan.running), (PlanResult::Refused, false), "its owner is dead");
        assert_eq!(plan.faults[0].code, "PEER1705");
        assert_eq!(plan.differences[0].impact, "refused");
    }
}
