//! Affinity before spread before ticket, and an order that others do not disturb.

use proptest::prelude::*;

use super::*;
use crate::core::job_spec::{Affinity, Preferences, SpreadTarget};
use crate::core::member::TaskCounts;
use crate::core::placement::rank;
use crate::core::placement::tests::{member, spec};

fn affinity(attribute: &str, value: &str, weight: i32) -> Affinity {
    let test = Constraint {
        attribute: attribute.into(),
        operator: "=".into(),
        value: value.into(),
    };
    Affinity { test, weight }
}

fn spread(attribute: &str, targets: &[(&str, u32)]) -> Spread {
    let target = |(value, percent): &(&str, u32)| SpreadTarget {
        value: (*value).to_owned(),
        percent: *percent,
    };
    Spread {
        attribute: attribute.into(),
        weight: 50,
        targets: targets.iter().map(target).collect(),
    }
}

/// A job that may run anywhere, with these wishes for its sink.
fn wishing(affinities: Vec<Affinity>, spreads: Vec<Spread>) -> JobSpec {
    let mut spec = spec("orders");
    spec.sink.constraints.clear();
    spec.source.constraints.clear();
    spec.sink.preferences = Preferences { affinities, spreads };
    spec
}

fn peer(name: &str, rack: &str, sinks: u32) -> Member {
    let mut peer = member(name, "beijing");
    if !rack.is_empty() {
        peer.meta.insert("rack".into(), rack.into());
    }
    peer.tasks = TaskCounts { source: 0, sink: sinks };
    peer
}

fn parts(spec: &JobSpec, roster: &[Member]) -> Vec<(Option<i32>, Option<i32>)> {
    let ranking = rank(spec, Task::Sink, roster);
    ranking
        .verdicts
        .iter()
        .map(|verdict| (verdict.affinity, verdict.spread))
        .collect()
}

fn order(spec: &JobSpec, roster: &[Member]) -> Vec<String> {
    let ranking = rank(spec, Task::Sink, roster);
    ranking.eligible.into_iter().map(|(id, _)| id.0.replace("id-", "")).collect()
}

#[test]
fn affinities_are_one_weighted_sum_over_all_levels() {
    let mut spec = wishing(vec![affinity("${meta.rack}", "r1", 50)], vec![]);
    spec.preferences.affinities = vec![affinity("${node.name}", "b", -25), affinity("${meta.none}", "x", 25)];
    spec.source.preferences.affinities = vec![affinity("${node.name}", "c", 100)];
    let roster = [peer("a", "r1", 0), peer("b", "r1", 0), peer("c", "", 0), peer("d", "", 0)];
    let told: Vec<_> = parts(&spec, &roster).into_iter().map(|part| part.0).collect();
    assert_eq!(told, [Some(500), Some(250), Some(0), Some(0)]);
    assert_eq!(order(&spec, &roster)[..2], ["a", "b"]);
    let away = wishing(vec![affinity("${node.name}", "b", -100)], vec![]);
    assert_eq!(
        order(&away, &roster).last().map(String::as_str),
        Some("b"),
        "it stays eligible"
    );
}

#[test]
fn an_affinity_of_a_newer_version_matches_nobody() {
    let mut wish = affinity("${meta.rack}", "r1", 50);
    wish.test.operator = "resembles".into();
    assert_eq!(parts(&wishing(vec![wish], vec![]), &[peer("a", "r1", 0)]), [(Some(0), None)]);
}

#[test]
fn an_even_spread_goes_to_the_value_with_the_fewest_tasks() {
    let spec = wishing(vec![], vec![spread("${meta.rack}", &[])]);
    let roster = [peer("a", "r1", 2), peer("b", "r1", 0), peer("c", "r2", 1), peer("d", "", 0)];
    // Four tasks with the one to be placed: r1 has 2, r2 has 1.
    assert_eq!(
        parts(&spec, &roster).iter().map(|part| part.1).collect::<Vec<_>>(),
        [Some(0), Some(0), Some(500), Some(-1000)]
    );
    let order = order(&spec, &roster);
    assert_eq!((order[0].as_str(), order[3].as_str()), ("c", "d"));
}

#[test]
fn targets_are_shares_and_the_rest_is_shared_by_all_others() {
    let spec = wishing(vec![], vec![spread("${meta.rack}", &[("r1", 50), ("r2", 25), ("r9", 0)])]);
    let racks = [
        ("a", "r1", 1),
        ("b", "r2", 1),
        ("c", "r3", 1),
        ("d", "r4", 0),
        ("e", "", 0),
        ("f", "r9", 0),
    ];
    let roster = racks.map(|(name, rack, sinks)| peer(name, rack, sinks));
    // Four tasks: r1 wants 2 and would have 2, r2 wants 1 and would have 2, the rest the same.
    let told: Vec<_> = parts(&spec, &roster).into_iter().map(|part| part.1).collect();
    assert_eq!(
        told,
        [Some(0), Some(-1000), Some(-1000), Some(-1000), Some(-1000), Some(-1000)]
    );
    assert_eq!(order(&spec, &roster)[0], "a");
}

#[test]
fn affinity_goes_before_spread() {
    let spec = wishing(vec![affinity("${node.name}", "a", 1)], vec![spread("${meta.rack}", &[])]);
    let roster = [peer("a", "r1", 7), peer("b", "r2", 0)];
    assert_eq!(order(&spec, &roster), ["a", "b"]);
    let spread_only = wishing(vec![], vec![spread("${meta.rack}", &[])]);
    assert_eq!(order(&spread_only, &roster), ["b", "a"]);
}

#[test]
fn the_task_that_is_judged_does_not_count_against_its_own_peer() {
    let spec = wishing(vec![], vec![spread("${meta.rack}", &[])]);
    let roster = [peer("a", "r1", 1), peer("b", "r2", 0)];
    let wishes = Wishes::new(&spec, Task::Sink, &roster, Some(&roster[0].id));
    assert_eq!(wishes.of(&roster[0].attributes()), wishes.of(&roster[1].attributes()));
}

#[test]
fn dead_peers_tasks_do_not_count() {
    let spec = wishing(vec![], vec![spread("${meta.rack}", &[])]);
    let mut roster = [peer("a", "r1", 5), peer("b", "r1", 0), peer("c", "r2", 1)];
    roster[0].state = crate::core::member::MemberState::Dead;
    assert_eq!(order(&spec, &roster), ["b", "c"]);
}

fn rosters() -> impl Strategy<Value = Vec<Member>> {
    let one = ("[a-d]?", 0_u32..4, 0_u8..2);
    proptest::collection::vec(one, 1..8).prop_map(|peers| {
        let build = |(at, (rack, sinks, site)): (usize, (String, u32, u8))| {
            let mut peer = peer(&format!("p{at}"), &rack, sinks);
            peer.datacenter = ["beijing", "shanghai"][usize::from(site)].into();
            peer
        };
        peers.into_iter().enumerate().map(build).collect()
    })
}

proptest! {
    #[test]
    fn a_peer_without_tasks_that_comes_or_goes_does_not_reorder_the_others(roster in rosters(), rack in "[a-e]?", share in 0_u32..=100) {
        let wishes = vec![affinity("${node.datacenter}", "beijing", 30), affinity("${meta.rack}", "a", -20)];
        let spreads = vec![spread("${meta.rack}", &[("a", share)]), spread("${node.datacenter}", &[])];
        let spec = wishing(wishes, spreads);
        let before = order(&spec, &roster);
        let mut more = roster;
        more.insert(0, peer("new", &rack, 0));
        let after: Vec<String> = order(&spec, &more).into_iter().filter(|name| name != "new").collect();
        prop_assert_eq!(before, after);
    }

    #[test]
    fn the_parts_stay_within_one_and_the_order_follows_them(roster in rosters(), share in 0_u32..=100) {
        let spec = wishing(vec![affinity("${meta.rack}", "a", -20)], vec![spread("${meta.rack}", &[("b", share)])]);
        let ranking = rank(&spec, Task::Sink, &roster);
        let part = |id: &NodeId| ranking.verdicts.iter().find(|verdict| verdict.peer == *id).map(|verdict| (verdict.affinity, verdict.spread));
        for verdict in &ranking.verdicts {
            for told in [verdict.affinity, verdict.spread] {
                prop_assert!(told.is_some_and(|told| (-1000..=1000).contains(&told)), "{:?}", verdict);
            }
        }
        for pair in ranking.eligible.windows(2) {
            prop_assert!(part(&pair[0].0) >= part(&pair[1].0));
        }
    }
}
