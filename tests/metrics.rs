//! What `/metrics` of real peers says of a job that did something.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::job_bed::JobBed;
use support::peers::TestPeer;
use support::wait::until;

/// Every series of the exposition: name and labels to value.
fn scrape(peer: &TestPeer) -> BTreeMap<String, f64> {
    let url = format!("http://{}/metrics", peer.run_field("http"));
    let mut response = ureq::get(&url).call().expect("an answer");
    let text = response.body_mut().read_to_string().expect("text");
    let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a series: {line}"));
        (
            name.to_owned(),
            value.parse().unwrap_or_else(|_| panic!("not a number: {line}")),
        )
    };
    series.map(pair).collect()
}

#[test]
fn every_stage_of_a_small_job_has_moved_its_series() {
    let bed = JobBed::new("metrics", &["t"]);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one'), (2, 'two'), (3, 'three')"]);
    let mut bed = bed;
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&[
        "INSERT INTO {}.t VALUES (4, 'four'), (5, 'five')",
        "DELETE FROM {}.t WHERE id = 1",
    ]);
    bed.await_equal(Duration::from_secs(20));
    bed.await_status("caught up", |status| status["caught_up"] == true);

    let (source, sink) = (
        format!("task=\"{}/source\"", bed.job.name),
        format!("task=\"{}/sink\"", bed.job.name),
    );
    let least = [
        ("peer_reader_transactions_total", source.as_str(), 2.0),
        ("peer_reader_rows_total", &source, 3.0),
        ("peer_reader_bytes_total", &source, 10.0),
        ("peer_copy_chunks_total", &source, 1.0),
        ("peer_copy_rows_total", &source, 3.0),
        ("peer_sender_batches_total", &source, 3.0),
        ("peer_sender_raw_bytes_total", &source, 100.0),
        ("peer_sender_bytes_total", &source, 100.0),
        ("peer_receiver_bytes_total", &sink, 100.0),
        ("peer_applier_transactions_total", &sink, 2.0),
        ("peer_applier_groups_total", &sink, 3.0),
        ("peer_applier_rows_total", &sink, 6.0),
        ("peer_applier_rows_one_by_one_total", &sink, 0.0),
        ("peer_applier_lag_seconds", &sink, 0.0),
        ("peer_membership_peers_count", "state=\"alive\"", 1.0),
        ("peer_table_jobs_count", "state=\"streaming\"", 1.0),
    ];
    let peer = bed.cluster.any();
    for (name, label, at_least) in least {
        // The sink's are published five times a second.
        until(
            &format!("{name}{{{label}}} is at least {at_least}"),
            Duration::from_secs(5),
            || {
                let found = scrape(peer).get(&format!("{name}{{{label}}}")).copied()?;
                (found >= at_least).then_some(())
            },
        );
    }
    let all = scrape(peer);
    assert_eq!(
        all["peer_table_jobs_count{state=\"failed\"}"], 0.0,
        "a state without jobs reads 0"
    );
    let labels: BTreeSet<&str> = all
        .keys()
        .filter_map(|series| series.split_once('{'))
        .map(|(_, labels)| labels)
        .collect();
    assert!(
        labels.len() <= 2 + 9 + 5 + 4,
        "labels are jobs' tasks, states and reasons only: {labels:?}"
    );
}
