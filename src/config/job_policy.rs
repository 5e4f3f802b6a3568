//! `[restart]` and `[reschedule]` of job.toml: how failures are answered.
//!
//! Called by `config::job`. Beside each value its fit is checked: attempts that take longer than their interval would never
//! all count, so that the task would never move.

use std::time::Duration;

use crate::config::document::{Found, Section};
use crate::config::fault_list::FaultList;
use crate::core::job_failure::MOVES_MAX;
use crate::core::job_policy::{ReschedulePolicy, RestartPolicy};
use crate::core::size::{TIME_FORM, parse_time, show_time};

/// Most `restart.attempts`: each is remembered while it counts. A guess.
const ATTEMPTS_MAX: u64 = 1000;
/// Most `reschedule.attempts`: the job's record remembers twice as many moves, so that those of an earlier version of the
/// job do not push out the ones that count.
const MOVES_ALLOWED_MAX: u64 = MOVES_MAX as u64 / 2;
/// Bounds of both intervals. Below, every failure is forgiven at once; above, nobody remembers. Guesses.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(7 * 86_400));
/// Bounds of both delays: a tenth of a second spares the database, an hour is longer than anybody waits. Guesses.
const DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// Reads `[restart]`.
pub(crate) fn restart(root: &Section<'_, '_>, faults: &mut FaultList) -> RestartPolicy {
    let section = root.section("restart", &["attempts", "interval", "delay", "max_delay"], faults);
    let default = RestartPolicy::default();
    let attempts = section.number("attempts", (0, ATTEMPTS_MAX), 5, faults);
    let interval = time(&section, "interval", INTERVAL, "10 m", faults);
    let delay = time(&section, "delay", DELAY, "1 s", faults);
    let delay_max = time(&section, "max_delay", DELAY, "30 s", faults);
    let policy = RestartPolicy {
        attempts: attempts
            .as_ref()
            .map_or(default.attempts, |found| u32::try_from(found.value).unwrap_or(u32::MAX)),
        interval_ms: ms_or(interval.as_ref(), default.interval_ms),
        delay_ms: ms_or(delay.as_ref(), default.delay_ms),
        delay_max_ms: ms_or(delay_max.as_ref(), default.delay_max_ms),
    };
    if let Some(place) = delay_max.as_ref().or(delay.as_ref())
        && policy.delay_ms > policy.delay_max_ms
    {
        let (delay, most) = (show_ms(policy.delay_ms), show_ms(policy.delay_max_ms));
        faults.value(
            place,
            &format!("`delay` {delay} above `max_delay` {most}"),
            "a first delay that is not longer than the longest",
            &format!("max_delay = \"{delay}\""),
        );
        return policy;
    }
    let place = interval.map(at).or(attempts.map(at)).or(delay_max.map(at)).or(delay.map(at));
    let needed = policy.attempts_take();
    if let Some(place) = place.filter(|_| needed >= policy.interval()) {
        let found = format!(
            "{} attempts, which take at least {}, in an interval of {}",
            policy.attempts,
            show_time(needed),
            show_time(policy.interval())
        );
        let fix = format!("interval = \"{}\"", show_time(needed * 2));
        faults.value(&place, &found, "an interval that is longer than its attempts", &fix);
    }
    policy
}

/// Reads `[reschedule]`.
pub(crate) fn reschedule(root: &Section<'_, '_>, faults: &mut FaultList) -> ReschedulePolicy {
    let section = root.section("reschedule", &["unlimited", "attempts", "interval"], faults);
    let unlimited = section.flag("unlimited", faults);
    let attempts = section.number("attempts", (0, MOVES_ALLOWED_MAX), 1, faults);
    let interval = time(&section, "interval", INTERVAL, "30 m", faults);
    let has_attempts = section.node("attempts").is_some();
    match &unlimited {
        Some(flag) if flag.value && has_attempts => {
            let place = attempts.as_ref().map_or_else(|| at_ref(flag), at_ref);
            faults.value(
                &place,
                "`attempts` beside `unlimited = true`",
                "one of the two",
                "unlimited = true",
            );
        }
        Some(flag) if !flag.value && !has_attempts => {
            let (_, table) = section.place();
            faults.missing(&section.full("attempts"), table, "how many moves are allowed", "attempts = 1");
        }
        _ => {}
    }
    if let Some(interval) = interval
        .as_ref()
        .filter(|_| !has_attempts && unlimited.as_ref().is_none_or(|flag| flag.value))
    {
        faults.value(
            interval,
            "`interval` without `attempts`",
            "both, or neither",
            "attempts = 1, or no `interval`",
        );
    }
    ReschedulePolicy {
        attempts: attempts.map(|found| u32::try_from(found.value).unwrap_or(u32::MAX)),
        interval_ms: ms_or(interval.as_ref(), ReschedulePolicy::default().interval_ms),
    }
}

fn time(
    section: &Section<'_, '_>,
    key: &str,
    (least, most): (Duration, Duration),
    example: &str,
    faults: &mut FaultList,
) -> Option<Found<Duration>> {
    let expected = format!("{TIME_FORM}, from {} to {}", show_time(least), show_time(most));
    let parse = |text: &str| parse_time(text).filter(|time| (least..=most).contains(time));
    section.unit(key, parse, &expected, example, faults)
}

fn ms_or(found: Option<&Found<Duration>>, default: u64) -> u64 {
    found.map_or(default, |found| u64::try_from(found.value.as_millis()).unwrap_or(u64::MAX))
}

fn show_ms(ms: u64) -> String {
    show_time(Duration::from_millis(ms))
}

fn at<T>(found: Found<T>) -> Found<()> {
    at_ref(&found)
}

fn at_ref<T>(found: &Found<T>) -> Found<()> {
    Found {
        value: (),
        key: found.key.clone(),
        at: found.at,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::job::parse_job;
    use crate::core::job_policy::{ReschedulePolicy, RestartPolicy};
    use crate::core::job_spec::JobSpec;

    const SMALL: &str = "name = \"orders\"\n[source]\nhost = \"a\"\nuser = \"u\"\n[[tables]]\nschema = \"s\"\ntable = \"t\"\n\
                         [sink]\nhost = \"b\"\nuser = \"u\"\n";

    fn parsed(tail: &str) -> JobSpec {
        parse_job(&format!("{SMALL}{tail}\n")).unwrap_or_else(|faults| panic!("{tail}: {faults}"))
    }

    fn fault(tail: &str) -> String {
        let faults = parse_job(&format!("{SMALL}{tail}\n")).expect_err(tail);
        assert_eq!(faults.0.len(), 1, "{faults}");
        faults.0[0].to_string()
    }

    #[test]
    fn both_policies_are_taken_as_written() {
        let spec = parsed(
            "[restart]\nattempts = 2\ninterval = \"1 m\"\ndelay = \"500 ms\"\nmax_delay = \"4 s\"\n\
             [reschedule]\nunlimited = false\nattempts = 3\ninterval = \"1 h\"",
        );
        let restart = RestartPolicy {
            attempts: 2,
            interval_ms: 60_000,
            delay_ms: 500,
            delay_max_ms: 4000,
        };
        let reschedule = ReschedulePolicy {
            attempts: Some(3),
            interval_ms: 3_600_000,
        };
        assert_eq!((spec.restart, spec.reschedule), (restart, reschedule));
        assert_eq!(parsed("[reschedule]\nattempts = 0").reschedule.attempts, Some(0));
        let json = serde_json::to_value(&spec).expect("writes");
        assert_eq!(serde_json::from_value::<JobSpec>(json).expect("reads"), spec);
    }

    #[test]
    fn a_job_with_the_default_policies_is_stored_as_before_they_existed() {
        for tail in ["", "[restart]\nattempts = 5\n[reschedule]\nunlimited = true"] {
            let json = serde_json::to_value(parsed(tail)).expect("writes");
            assert!(json.get("restart").is_none() && json.get("reschedule").is_none(), "{json}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_what_would_work() {
        for (tail, words) in [
            ("[restart]\nattempts = 1001", "from 0 to 1000"),
            ("[restart]\ninterval = \"1 s\"", "from 10 s to 7 d"),
            ("[restart]\ndelay = \"0 s\"", "from 100 ms to 1 h"),
            ("[restart]\ndelay = \"1 m\"", "`delay` 1 m above `max_delay` 30 s"),
            ("[restart]\nattempts = 100", "100 attempts, which take at least"),
            ("[restart]\ninterval = \"30 s\"", "interval = \"62 s\""),
            ("[reschedule]\nunlimited = false", "how many moves are allowed"),
            ("[reschedule]\nunlimited = true\nattempts = 1", "one of the two"),
            ("[reschedule]\ninterval = \"1 h\"", "`interval` without `attempts`"),
            ("[reschedule]\nattempts = 1000", "from 0 to 16"),
        ] {
            let found = fault(tail);
            assert!(found.contains(words), "{tail}: {found}");
        }
    }
}
