//! Who may run a task, who comes first, and what is said to the others.

use super::*;
use crate::core::job_spec::{
    ApplySpec, Compression, DatabaseSpec, LinkSpec, Preferences, Secret, SinkSpec, SourceSpec, StartPoint, TlsMode,
};
use crate::core::member::TaskCounts;
use crate::core::table_choice::Selection;

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

pub(crate) fn spec(name: &str) -> JobSpec {
    JobSpec {
        name: crate::core::ids::JobName(name.into()),
        datacenters: vec![],
        constraints: vec![],
        source: SourceSpec {
            endpoint: database(),
            start: StartPoint::Now,
            constraints: vec![constraint("${node.datacenter}", "shanghai")],
            preferences: Preferences::default(),
        },
        sink: SinkSpec {
            endpoint: database(),
            meta_schema: "m".into(),
            constraints: vec![constraint("${node.datacenter}", "beijing")],
            preferences: Preferences::default(),
            on_ddl: Default::default(),
            on_conflict: Default::default(),
            drop_triggers: false,
        },
        selection: Selection::default(),
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
            check: Default::default(),
        },
        preferences: Preferences::default(),
        restart: Default::default(),
        reschedule: Default::default(),
    }
}

pub(crate) fn member(name: &str, datacenter: &str) -> Member {
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
fn nobody_is_explained_by_the_first_rule_of_each_peer() {
    let mut roster = vec![member("a", "beijing"), member("b", "beijing"), member("c", "shanghai")];
    roster[2].state = MemberState::Dead;
    assert_eq!(
        rank(&spec("orders"), Task::Source, &roster).why_nobody(Task::Source),
        "no peer may run the source task: a excluded (${node.datacenter} = shanghai), \
         b excluded (${node.datacenter} = shanghai), c dead (peer is dead)"
    );
    let crowd: Vec<Member> = (0..30).map(|n| member(&format!("p{n}"), "beijing")).collect();
    let told = rank(&spec("orders"), Task::Source, &crowd).why_nobody(Task::Source);
    assert!(told.ends_with(", and 10 more"), "{told}");
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
            ..Circumstances::default()
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
        other: None,
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

fn distinct(operator: &str, attribute: &str) -> Constraint {
    Constraint {
        attribute: attribute.into(),
        operator: operator.into(),
        value: String::new(),
    }
}

/// A job that may run anywhere but under this rule.
fn apart(rule: Constraint) -> JobSpec {
    let mut spec = spec("orders");
    spec.source.constraints.clear();
    spec.sink.constraints.clear();
    spec.constraints = vec![rule];
    spec
}

#[test]
fn the_source_keeps_off_the_peer_of_the_sink() {
    let roster = [member("a", "beijing"), member("b", "beijing")];
    let beside = |other| Circumstances {
        other,
        ..Circumstances::default()
    };
    let spec = apart(distinct("distinct_hosts", ""));
    let ranking = rank_with(&spec, Task::Source, &roster, beside(Some(&roster[0])));
    let expected = [
        ("a", Outcome::Excluded, "distinct_hosts: the other task is on a"),
        ("b", Outcome::Eligible, ""),
    ];
    assert_eq!(rules(&ranking), expected);
    assert_eq!(rank_with(&spec, Task::Source, &roster, beside(None)).eligible.len(), 2);
}

#[test]
fn tasks_keep_to_different_values_and_a_peer_without_one_has_no_part() {
    let mut roster = [
        member("a", "beijing"),
        member("b", "beijing"),
        member("c", "beijing"),
        member("d", "beijing"),
    ];
    for (at, rack) in [(0, "r1"), (1, "r1"), (2, "r2")] {
        roster[at].meta.insert("rack".into(), rack.into());
    }
    // Written for the sink, it binds the pair.
    let mut spec = apart(distinct("distinct_property", "${meta.rack}"));
    std::mem::swap(&mut spec.constraints, &mut spec.sink.constraints);
    let other = Circumstances {
        other: Some(&roster[0]),
        ..Circumstances::default()
    };
    let source = rank_with(&spec, Task::Source, &roster, other);
    let beside = "${meta.rack} distinct_property: the other task is on a";
    let expected = [
        ("a", Outcome::Excluded, beside),
        ("b", Outcome::Excluded, beside),
        ("c", Outcome::Eligible, ""),
        ("d", Outcome::Excluded, "${meta.rack} distinct_property"),
    ];
    assert_eq!(rules(&source), expected);
    assert_eq!(rank(&spec, Task::Sink, &roster).eligible.len(), 3);
    assert!(
        rank(&spec, Task::Sink, &roster[..2]).eligible.is_empty(),
        "one rack is not enough"
    );
    spec.sink.constraints[0].value = "2".into();
    assert_eq!(rank(&spec, Task::Sink, &roster[..2]).eligible.len(), 2, "two may share");
}

#[test]
fn the_sink_goes_where_a_source_is_left() {
    let roster = [member("sh", "shanghai"), member("bj", "beijing")];
    let mut spec = apart(distinct("distinct_hosts", ""));
    spec.source.constraints = vec![constraint("${node.datacenter}", "shanghai")];
    let ranking = rank(&spec, Task::Sink, &roster);
    let expected = [
        ("sh", Outcome::Excluded, "distinct_hosts: no peer is left for the source"),
        ("bj", Outcome::Eligible, ""),
    ];
    assert_eq!(rules(&ranking), expected);
    assert!(rank(&spec, Task::Sink, &roster[..1]).eligible.is_empty());
    let mut elsewhere = [member("bj", "beijing"), member("drains", "beijing")];
    elsewhere[1].is_draining = true;
    assert!(
        rank(&spec, Task::Sink, &elsewhere).eligible.is_empty(),
        "who drains is bound too"
    );
    elsewhere[1].datacenter = "shanghai".into();
    assert_eq!(rank(&spec, Task::Sink, &elsewhere).rank_of(&elsewhere[0].id), Some(0));
}

#[test]
fn a_sink_without_a_source_gives_way_only_to_one_that_can_have_both() {
    let mut roster = [member("a", "shanghai"), member("b", "shanghai"), member("c", "beijing")];
    let mut spec = apart(distinct("distinct_hosts", ""));
    spec.source.constraints = vec![constraint("${node.datacenter}", "shanghai")];
    roster[1].state = MemberState::Dead;
    let running = roster[0].id.clone();
    let now = Circumstances {
        running: Some(&running),
        ..Circumstances::default()
    };
    assert_eq!(
        rank_with(&spec, Task::Sink, &roster[..2], now).rank_of(&running),
        Some(0),
        "nobody else can"
    );
    let all = rank_with(&spec, Task::Sink, &roster, now);
    assert_eq!((all.rank_of(&running), all.rank_of(&roster[2].id)), (None, Some(0)));
}

#[test]
fn the_first_word_about_hosts_decides() {
    let roster = [member("a", "beijing")];
    let off = Constraint {
        value: "false".into(),
        ..distinct("distinct_hosts", "")
    };
    let mut spec = apart(off);
    spec.sink.constraints.push(distinct("distinct_hosts", ""));
    assert_eq!(rank(&spec, Task::Sink, &roster).eligible.len(), 1);
}

#[test]
fn a_job_from_before_wishes_reads_and_is_written_as_it_was() {
    let old = serde_json::to_value(spec("orders")).expect("writes");
    assert!(!old.to_string().contains("preferences"), "{old}");
    let read: JobSpec = serde_json::from_value(old.clone()).expect("reads");
    assert_eq!(serde_json::to_value(read).expect("writes"), old);
}

#[test]
fn tickets_are_the_published_numbers() {
    let drawn: Vec<u64> = (1..=3).map(|n| ticket(1_234_567, n)).collect();
    assert_eq!(
        drawn,
        [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423
        ]
    );
}
