//! What `peer set` may change: `link.rate=10 MB/s` to a typed setting, with the bounds of job.toml.
//!
//! Fed by the command layer; the spec is changed by `core::job_operations::set`.

use crate::config::document::Found;
use crate::config::fault_list::{FaultList, JOB};
use crate::config::job::{BATCH_BYTES, BATCH_DELAY_MS_MAX, GROUP_BYTES, GROUP_TRANSACTIONS};
use crate::core::conflict::{Check, OnConflict};
use crate::core::fault::Faults;
use crate::core::setting::Setting;
use crate::core::size::{RATE_FORM, SIZE_FORM, TIME_FORM, parse_rate, parse_size, parse_time, show_size};

/// The keys, as job.toml has them.
const KEYS: [&str; 7] = [
    "link.rate",
    "link.batch_bytes",
    "link.batch_delay",
    "apply.group_transactions",
    "apply.group_bytes",
    "apply.check",
    "sink.on_conflict",
];

/// Reads settings, each `KEY=VALUE`, or says everything that is wrong with them.
pub fn parse_settings(words: &[String]) -> Result<Vec<Setting>, Faults> {
    let mut faults = FaultList::new("", JOB);
    let mut settings = Vec::new();
    let mut seen = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if seen.contains(&key) {
            refuse(&mut faults, key, "a second time", "each key once", "remove one");
            continue;
        }
        seen.push(key);
        settings.extend(setting(key, value, &mut faults));
    }
    if words.is_empty() {
        refuse(&mut faults, "set", "nothing", "KEY=VALUE", "link.rate=\"10 MB/s\"");
    }
    faults.finish(Some(settings))
}

fn setting(key: &str, value: &str, faults: &mut FaultList) -> Option<Setting> {
    let within = |bounds: (u64, u64)| move |n: &u64| (bounds.0..=bounds.1).contains(n);
    let sizes = |bounds: (u64, u64)| format!("{SIZE_FORM}, from {} to {}", show_size(bounds.0), show_size(bounds.1));
    let (found, expected, example) = match key {
        "link.rate" => (parse_rate(value).map(Setting::Rate), RATE_FORM.to_owned(), "20 MB/s"),
        "link.batch_bytes" => {
            let bytes = parse_size(value).filter(within(BATCH_BYTES));
            (bytes.map(Setting::BatchBytes), sizes(BATCH_BYTES), "256 KiB")
        }
        "link.batch_delay" => {
            let ms = parse_time(value).and_then(|time| u64::try_from(time.as_millis()).ok());
            let ms = ms.filter(|ms| *ms <= BATCH_DELAY_MS_MAX);
            (ms.map(Setting::BatchDelayMs), format!("{TIME_FORM}, at most 10 s"), "0 ms")
        }
        "apply.group_transactions" => {
            let count = value.parse().ok().filter(within(GROUP_TRANSACTIONS));
            let (least, most) = GROUP_TRANSACTIONS;
            let expected = format!("a number from {least} to {most}");
            (count.map(Setting::GroupTransactions), expected, "1000")
        }
        "apply.group_bytes" => {
            let bytes = parse_size(value).filter(within(GROUP_BYTES));
            (bytes.map(Setting::GroupBytes), sizes(GROUP_BYTES), "8 MiB")
        }
        "apply.check" => {
            let checks = [("key", Check::Key), ("image", Check::Image)];
            (one_of(value, &checks).map(Setting::Check), "key or image".to_owned(), "image")
        }
        "sink.on_conflict" => {
            let expected = "pause, source-wins or target-wins".to_owned();
            (one_of(value, &ON_CONFLICT).map(Setting::OnConflict), expected, "pause")
        }
        _ => {
            let expected = format!("one of {}", KEYS.join(", "));
            let fix = "change job.toml and `peer submit --update` it";
            refuse(faults, key, "not a key that changes while the job runs", &expected, fix);
            return None;
        }
    };
    if found.is_none() {
        refuse(faults, key, &format!("`{value}`"), &expected, &format!("{key}=\"{example}\""));
    }
    found
}

const ON_CONFLICT: [(&str, OnConflict); 3] = [
    ("pause", OnConflict::Pause),
    ("source-wins", OnConflict::SourceWins),
    ("target-wins", OnConflict::TargetWins),
];

fn one_of<T: Copy>(value: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning)
}

fn refuse(faults: &mut FaultList, key: &str, found: &str, expected: &str, fix: &str) {
    let place = Found {
        value: (),
        key: key.into(),
        at: FaultList::OUTSIDE,
    };
    faults.value(&place, found, expected, fix);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn what_changes_while_a_job_runs_is_read_with_its_unit() {
        let all = words(&[
            "link.rate=10 MB/s",
            "link.batch_bytes=\"64 KiB\"",
            "link.batch_delay = 20 ms",
            "apply.group_transactions=5",
            "apply.group_bytes=1 MiB",
            "apply.check=image",
            "sink.on_conflict=target-wins",
        ]);
        let expected = vec![
            Setting::Rate(10_000_000),
            Setting::BatchBytes(64 << 10),
            Setting::BatchDelayMs(20),
            Setting::GroupTransactions(5),
            Setting::GroupBytes(1 << 20),
            Setting::Check(Check::Image),
            Setting::OnConflict(OnConflict::TargetWins),
        ];
        assert_eq!(parse_settings(&all), Ok(expected));
    }

    #[test]
    fn every_wrong_setting_is_told_at_once() {
        let bad = words(&[
            "sink.host=h",
            "link.rate=fast",
            "link.batch_bytes=1",
            "link.batch_delay=1 h",
            "apply.group_transactions=0",
            "link.rate=0",
            "link.compression=none",
            "apply.check=all",
            "sink.on_conflict=",
            "nonsense",
        ]);
        let faults = parse_settings(&bad).expect_err("all are wrong");
        assert_eq!(faults.0.len(), bad.len());
        assert!(faults.0.iter().all(|fault| !fault.fix.is_empty()));
        assert!(parse_settings(&[]).is_err());
    }
}
