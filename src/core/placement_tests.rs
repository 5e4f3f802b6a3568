//! Who may run a task, who comes first, and what is said to the others.

use super::*;
use crate::core::job_spec::{ApplySpec, Compression, DatabaseSpec, LinkSpec, Secret, SinkSpec, SourceSpec, StartPoint, TlsMode};
use crate::core::member::TaskCounts;

fn database() -> DatabaseSpec {
    DatabaseSpec {
        host: "h".into(),
        port: 3306,
        user: "u".into(),
        password: Secret::Text(String::new()),
        tls: TlsMode::Preferred,
        tls_ca: None,
    }
}

fn constraint(attribute: &str, value: &str) -> Constraint {
    Constraint {
        attribute: attribute.into(),
        operator: "=".into(),
        value: value.into(),
    }
}

fn spec(name: &str) -> JobSpec {
    JobSpec {
        name: crate::core::ids::JobName(name.into()),
        datacenters: vec![],
        constraints: vec![],
        source: SourceSpec {
            endpoint: database(),
            start: StartPoint::Now,
            constraints: vec![constraint("${node.datacenter}", "shanghai")],
        },
        sink: SinkSpec {
            endpoint: database(),
            meta_schema: "m".into(),
            constraints: vec![constraint("${node.datacenter}", "beijing")],
        },
        tables: vec![],
        link: LinkSpec {
            compression: Compression::None,
            rate_bytes: 0,
            batch_bytes: 1,
            batch_delay_ms: 0,
        },
        apply: ApplySpec {
            group_transactions: 1,
            group_bytes: 1,
        },
    }
}

fn member(name: &str, datacenter: &str) -> Member {
    let id = NodeId(format!("id-{name}"));
    Member {
        id,
        name: name.into(),
        datacenter: datacenter.into(),
        capacity: 8,
        ..Member::default()
    }
}

fn rules(ranking: &Ranking) -> Vec<(&str, Outcome, &str)> {
    ranking
        .verdicts
        .iter()
        .map(|v| (v.name.as_str(), v.verdict, v.rule.as_str()))
        .collect()
}

#[test]
fn the_first_failing_rule_is_told_for_each_peer() {
    let mut roster = vec![
        member("ok", "beijing"),
        member("dead", "beijing"),
        member("gone", "beijing"),
        member("drains", "x"),
    ];
    roster.extend([member("far", "paris"), member("other", "shanghai"), member("full", "beijing")]);
    roster[1].state = MemberState::Dead;
    roster[2].state = MemberState::Left;
    roster[3].is_draining = true;
    roster[6].tasks = TaskCounts { source: 4, sink: 4 };
    let mut spec = spec("orders");
    spec.datacenters = vec!["bei*".into(), "shang?ai".into()];
    let ranking = rank(&spec, Task::Sink, &roster);
    let expected = [
        ("ok", Outcome::Eligible, ""),
        ("dead", Outcome::Dead, "peer is dead"),
        ("gone", Outcome::Dead, "peer has left"),
        ("drains", Outcome::Draining, "peer is draining"),
        ("far", Outcome::Excluded, "datacenter `paris` is not among bei*, shang?ai"),
        ("other", Outcome::Excluded, "${node.datacenter} = beijing"),
        ("full", Outcome::Full, "peer runs 8 tasks of 8"),
    ];
    assert_eq!(rules(&ranking), expected);
    assert_eq!(ranking.rank_of(&NodeId("id-ok".into())), Some(0));
    assert_eq!(ranking.rank_of(&NodeId("id-far".into())), None);
}

#[test]
fn nobody_is_explained_by_kinds_with_the_first_rule_of_each() {
    let mut roster = vec![member("a", "beijing"), member("b", "beijing"), member("c", "shanghai")];
    roster[2].state = MemberState::Dead;
    assert_eq!(
        rank(&spec("orders"), Task::Source, &roster).why_nobody(Task::Source),
        "no peer may run the source task: 2 excluded (${node.datacenter} = shanghai), 1 dead (peer is dead)"
    );
    let nobody = Ranking::default().why_nobody(Task::Sink);
    assert_eq!(nobody, "no peer may run the sink task: none is known");
}

#[test]
fn a_constraint_binds_its_own_task_only() {
    let roster = [member("sh", "shanghai"), member("bj", "beijing")];
    let names = |task| {
        rank(&spec("orders"), task, &roster)
            .eligible
            .into_iter()
            .map(|(id, _)| id.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(Task::Source), ["id-sh"]);
    assert_eq!(names(Task::Sink), ["id-bj"]);
}

#[test]
fn the_order_of_the_roster_does_not_matter() {
    let mut roster: Vec<Member> = (0..9).map(|n| member(&format!("p{n}"), "beijing")).collect();
    let one = rank(&spec("orders"), Task::Sink, &roster).eligible;
    roster.reverse();
    assert_eq!(rank(&spec("orders"), Task::Sink, &roster).eligible, one);
}

#[test]
fn a_peer_that_goes_moves_only_its_own_tasks() {
    let all: Vec<Member> = (0..5).map(|n| member(&format!("p{n}"), "beijing")).collect();
    for job in 0..200 {
        let spec = spec(&format!("job{job}"));
        let before = rank(&spec, Task::Sink, &all).eligible[0].0.clone();
        let after = rank(&spec, Task::Sink, &all[1..]).eligible[0].0.clone();
        assert!(
            before == all[0].id || before == after,
            "job{job} moved from {before} to {after}"
        );
    }
}

#[test]
fn tasks_spread_by_capacity() {
    let mut roster = vec![member("small", "beijing"), member("large", "beijing")];
    roster[1].capacity = 24;
    let first = |job: u32| rank(&spec(&format!("job{job}")), Task::Sink, &roster).eligible[0].0.clone();
    let large = (0..400).filter(|job| first(*job).0 == "id-large").count();
    assert!((250..350).contains(&large), "expected about 300 of 400, found {large}");
}

#[test]
fn what_failed_lately_comes_last_but_stays_possible() {
    let roster: Vec<Member> = (0..3).map(|n| member(&format!("p{n}"), "beijing")).collect();
    let best = rank(&spec("orders"), Task::Sink, &roster).eligible[0].0.clone();
    let avoid = [best.clone()];
    let ranking = rank_with(
        &spec("orders"),
        Task::Sink,
        &roster,
        Circumstances {
            avoid: &avoid,
            running: None,
        },
    );
    assert_eq!(ranking.rank_of(&best), Some(2));
}

#[test]
fn the_peer_that_runs_a_task_is_not_pushed_out_by_its_own_capacity() {
    let mut full = member("bj", "beijing");
    full.tasks = TaskCounts { source: 0, sink: 8 };
    let running = full.id.clone();
    let circumstances = Circumstances {
        avoid: &[],
        running: Some(&running),
    };
    assert_eq!(
        rank_with(&spec("orders"), Task::Sink, &[full.clone()], circumstances).rank_of(&running),
        Some(0)
    );
    assert_eq!(rank(&spec("orders"), Task::Sink, &[full]).rank_of(&running), None);
}

#[test]
fn globs_match_the_whole_name() {
    let cases = [
        ("*", "", true),
        ("bei*", "beijing", true),
        ("*jing", "beijing", true),
        ("b?i*g", "beijing", true),
    ];
    for (glob, text, expected) in cases {
        assert_eq!(matches_glob(glob, text), expected, "{glob} {text}");
    }
    for (glob, text) in [("bei", "beijing"), ("?", ""), ("*x", "beijing"), ("Bei*", "beijing")] {
        assert!(!matches_glob(glob, text), "{glob} {text}");
    }
}
