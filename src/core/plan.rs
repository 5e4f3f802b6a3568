//! What an update would do to a job: each difference and what it costs.
//!
//! Pure; asked by `peer plan` before anything is changed, by `submit --update` and `revert` whether the change is taken, and by
//! placement whether a running sink must start anew. Describes what this version does, not what would be possible.

use serde_json::Value;

use crate::core::spec_diff::{FieldDifference, field_differences};

/// What the progress in the target was made with, each with everything below it.
const NEW_COPY: [&str; 4] = ["selection", "sink.meta_schema", "source.start", "tables"];

/// What a running job takes up without ending its tasks, each with everything below it. Placement reads the wishes and
/// policies at every look, the sink passes the rate on, the applier asks for its limits before each group.
const LIVE: [&str; 12] = [
    "apply",
    "constraints",
    "datacenters",
    "link.rate_bytes",
    "preferences",
    "reschedule",
    "restart",
    "sink.constraints",
    "sink.on_conflict",
    "sink.preferences",
    "source.constraints",
    "source.preferences",
];

/// What decides whether the two databases can carry the job, each with everything below it.
const OF_DATABASES: [&str; 7] = [
    "selection",
    "sink.drop_triggers",
    "sink.endpoint",
    "sink.meta_schema",
    "source.endpoint",
    "source.start",
    "tables",
];

/// Where the job stands that would be updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody ever owned it: the target holds nothing of it.
    Fresh,
    /// The target holds progress of it, and nobody runs it now.
    Idle,
    /// A live peer runs it.
    Running,
}

/// What a difference costs. The worst one comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// Nothing is stopped for it.
    Live,
    /// Both tasks end and start again where they were.
    Restart,
    /// What the target holds does not fit it: turned down, since a new copy begins with a purge.
    NewCopy,
    /// The update is turned down.
    Refused,
}

impl Impact {
    /// Every class, the mildest first.
    pub const ALL: [Self; 4] = [Self::Live, Self::Restart, Self::NewCopy, Self::Refused];

    /// The word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
            Self::NewCopy => "new_copy",
            Self::Refused => "refused",
        }
    }

    /// An update with such a difference is turned down.
    #[must_use]
    pub fn is_refused(self) -> bool {
        self >= Self::NewCopy
    }

    /// The words for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restarts the tasks",
            Self::NewCopy => "needs a new copy",
            Self::Refused => "refused while running",
        }
    }
}

/// One difference between the job as it is and as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, in the stored form: `link.rate_bytes`.
    pub path: String,
    /// `link.rate_bytes: 0 -> 3000000`; a password is only said to differ.
    pub text: String,
    /// What it costs.
    pub impact: Impact,
    /// What that means here, in words.
    pub note: &'static str,
}

/// Longest text of one difference: a job may have thousands of tables, a screen has not.
const TEXT_CHARS_MAX: usize = 400;

/// Returns every difference, the costliest first and within a class in the order of paths.
#[must_use]
pub fn differences(old: &Value, new: &Value, standing: Standing) -> Vec<Difference> {
    let classed = |field: FieldDifference| {
        let (impact, note) = impact(&field.path, standing);
        let text = match field.path.as_str() {
            "tables" => tables_text(&old["tables"], &new["tables"]),
            _ => field.text,
        };
        Difference {
            text: cut(&text),
            path: field.path,
            impact,
            note,
        }
    };
    let mut all: Vec<Difference> = field_differences(old, new).into_iter().map(classed).collect();
    all.sort_by(|a, b| b.impact.cmp(&a.impact).then_with(|| a.path.cmp(&b.path)));
    all
}

/// The part of a spec that tasks take when they start: two specs with the same one differ live only.
#[must_use]
pub fn fixed_part(spec: &Value) -> Value {
    fn kept(path: &str, value: &Value) -> Value {
        let Value::Object(fields) = value else { return value.clone() };
        let below = |key: &String| {
            if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            }
        };
        let fixed = fields.iter().filter(|(key, _)| !is_live(&below(key)));
        Value::Object(fixed.map(|(key, value)| (key.clone(), kept(&below(key), value))).collect())
    }
    kept("", spec)
}

/// What has to be looked at again before an update with these differences is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing that the databases decide.
    None,
    /// The databases: the job goes on from its progress there.
    GoesOn,
    /// The databases and the tables, as for a new job: it begins, or may begin.
    Begins,
}

/// See `Look`.
#[must_use]
pub fn look(differences: &[Difference], standing: Standing) -> Look {
    let mut paths = differences.iter().map(|difference| difference.path.as_str());
    if !paths.clone().any(is_of_databases) {
        return Look::None;
    }
    let is_other_target = paths.any(|path| ["sink.endpoint.host", "sink.endpoint.port"].contains(&path));
    if standing == Standing::Fresh || is_other_target {
        Look::Begins
    } else {
        Look::GoesOn
    }
}

/// A difference after which the databases must be looked at again.
fn is_of_databases(path: &str) -> bool {
    OF_DATABASES.into_iter().any(|above| is_below(path, above))
}

fn is_live(path: &str) -> bool {
    LIVE.into_iter().any(|above| is_below(path, above))
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The class of one field. Fields that say what is replicated bind the progress in the target; all others only the tasks.
fn impact(path: &str, standing: Standing) -> (Impact, &'static str) {
    if standing == Standing::Fresh {
        return (Impact::Live, "nothing of the job is on the target yet");
    }
    match path {
        "source.endpoint.host" | "source.endpoint.port" => (
            Impact::Refused,
            "rows of the old source may have been applied: purge the job first, or give it another name",
        ),
        "sink.endpoint.host" | "sink.endpoint.port" if standing == Standing::Running => (
            Impact::Refused,
            "stop the job first: it goes on from the progress at the new address, or begins anew there",
        ),
        "sink.endpoint.host" | "sink.endpoint.port" => (
            Impact::Live,
            "the job goes on from the progress it finds there, or begins anew; what is on the old target stays",
        ),
        _ if NEW_COPY.iter().any(|fixed| path.starts_with(fixed)) => (
            Impact::NewCopy,
            "what is in the target was made with the old one: purge the job and submit it again",
        ),
        _ if standing == Standing::Idle => (Impact::Live, "nobody runs the job: in force when it starts"),
        "link.rate_bytes" => (Impact::Live, "in force at once"),
        "sink.on_conflict" => (Impact::Live, "in force with the next group"),
        _ if path.starts_with("apply") && is_live(path) => (Impact::Live, "in force with the next group"),
        _ if is_live(path) => (
            Impact::Live,
            "looked at anew at once: a task whose peer may no longer run it moves",
        ),
        _ => (Impact::Restart, "both tasks go on where they were, after about a second"),
    }
}

/// Which tables come and go; the order alone is told as such.
fn tables_text(old: &Value, new: &Value) -> String {
    let missing_in = |these: &Value, others: &Value| {
        let others = others.as_array().map(Vec::as_slice).unwrap_or_default();
        let these = these.as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> = these.iter().filter(|table| !others.contains(table)).map(table_name).collect();
        names
    };
    let (added, removed) = (missing_in(new, old), missing_in(old, new));
    let part = |word: &str, names: &[String]| (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")));
    let parts: Vec<String> = [part("added", &added), part("removed", &removed)]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() {
        return "tables: another order".to_owned();
    }
    format!("tables: {}", parts.join("; "))
}

fn table_name(table: &Value) -> String {
    match (table["schema"].as_str(), table["table"].as_str()) {
        (Some(schema), Some(name)) => format!("{schema}.{name}"),
        _ => table.to_string(),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT_CHARS_MAX {
        return text.to_owned();
    }
    let kept: String = text.chars().take(TEXT_CHARS_MAX - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Value {
        let endpoint =
            |host: &str| json!({"host": host, "port": 3306, "user": "u", "password": {"text": "old"}, "tls": "preferred"});
        json!({
            "name": "orders", "datacenters": [], "constraints": [],
            "source": {"endpoint": endpoint("a"), "start": "now", "constraints": []},
            "sink": {"endpoint": endpoint("b"), "meta_schema": "peer_meta", "constraints": []},
            "tables": [{"schema": "s", "table": "t"}],
            "link": {"rate_bytes": 0, "batch_bytes": 1}, "apply": {"group_transactions": 1000}, "preferences": {"spreads": []},
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut job = job();
        *job.pointer_mut(pointer).expect("a field of the job") = value;
        job
    }

    fn impact_of(pointer: &str, value: Value, standing: Standing) -> (String, Impact) {
        let found = differences(&job(), &with(pointer, value), standing);
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].path.clone(), found[0].impact)
    }

    #[test]
    fn each_field_has_its_class_while_the_job_runs_while_it_is_idle_and_before_it_ever_ran() {
        use Impact::{Live, NewCopy, Refused, Restart};
        let cases = [
            ("/source/endpoint/host", json!("c"), Refused, Refused),
            ("/source/endpoint/port", json!(3307), Refused, Refused),
            ("/source/endpoint/user", json!("v"), Restart, Live),
            ("/source/endpoint/password", json!({"env": "P"}), Restart, Live),
            ("/source/endpoint/tls", json!("required"), Restart, Live),
            ("/source/start", json!("snapshot"), NewCopy, NewCopy),
            ("/source/constraints", json!([1]), Live, Live),
            ("/sink/endpoint/host", json!("c"), Refused, Live),
            ("/sink/endpoint/port", json!(3307), Refused, Live),
            ("/sink/endpoint/user", json!("v"), Restart, Live),
            ("/sink/meta_schema", json!("m"), NewCopy, NewCopy),
            ("/sink/constraints", json!([1]), Live, Live),
            ("/tables", json!([]), NewCopy, NewCopy),
            ("/datacenters", json!(["beijing"]), Live, Live),
            ("/constraints", json!([1]), Live, Live),
            ("/preferences/spreads", json!([1]), Live, Live),
            ("/link/rate_bytes", json!(9), Live, Live),
            ("/link/batch_bytes", json!(9), Restart, Live),
            ("/apply/group_transactions", json!(9), Live, Live),
        ];
        for (pointer, value, running, idle) in cases {
            let path = pointer[1..].replace('/', ".");
            let is_fixed = fixed_part(&job()) != fixed_part(&with(pointer, value.clone()));
            assert_eq!(
                is_fixed,
                running != Live,
                "{path}: tasks restart for what is not live, and for nothing else"
            );
            assert_eq!(impact_of(pointer, value.clone(), Standing::Running), (path.clone(), running));
            assert_eq!(impact_of(pointer, value.clone(), Standing::Idle), (path.clone(), idle));
            assert_eq!(impact_of(pointer, value, Standing::Fresh), (path, Live));
        }
    }

    #[test]
    fn the_databases_are_looked_at_again_when_they_decide() {
        let of = |pointer: &str, value: Value, standing| look(&differences(&job(), &with(pointer, value), standing), standing);
        for standing in [Standing::Running, Standing::Idle, Standing::Fresh] {
            assert_eq!(of("/link/rate_bytes", json!(9), standing), Look::None);
            assert_eq!(of("/sink/constraints", json!([1]), standing), Look::None);
            assert_eq!(of("/sink/endpoint/port", json!(9), standing), Look::Begins);
        }
        assert_eq!(of("/source/endpoint/user", json!("v"), Standing::Running), Look::GoesOn);
        assert_eq!(
            of("/sink/endpoint/password", json!({"env": "P"}), Standing::Idle),
            Look::GoesOn
        );
        assert_eq!(of("/tables", json!([]), Standing::Fresh), Look::Begins);
        assert_eq!(of("/source/endpoint/user", json!("v"), Standing::Fresh), Look::Begins);
    }

    #[test]
    fn the_costliest_difference_is_told_first() {
        let mut new = with("/link/batch_bytes", json!(9));
        new["link"]["rate_bytes"] = json!(9);
        new["source"]["endpoint"]["host"] = json!("c");
        new["tables"] = json!([]);
        let found = differences(&job(), &new, Standing::Running);
        let impacts: Vec<Impact> = found.iter().map(|found| found.impact).collect();
        assert_eq!(impacts, [Impact::Refused, Impact::NewCopy, Impact::Restart, Impact::Live]);
        assert!(differences(&job(), &job(), Standing::Running).is_empty());
    }

    #[test]
    fn sections_that_a_job_does_not_have_yet_are_live_too() {
        let mut new = job();
        new["restart"] = json!({"attempts": 3});
        new["sink"]["preferences"] = json!({"affinities": [1]});
        let found = differences(&job(), &new, Standing::Running);
        assert!(found.iter().all(|found| found.impact == Impact::Live), "{found:?}");
        assert_eq!(fixed_part(&job()), fixed_part(&new));
        new["restarts"] = json!(1);
        assert_ne!(
            fixed_part(&job()),
            fixed_part(&new),
            "a name that only begins alike is another field"
        );
    }

    #[test]
    fn tables_are_told_by_name_and_a_long_list_is_cut() {
        let text = |tables: Value| {
            differences(&job(), &with("/tables", tables), Standing::Running)[0]
                .text
                .clone()
        };
        assert_eq!(text(json!([{"schema": "s", "table": "u"}])), "tables: added s.u; removed s.t");
        let many: Vec<Value> = (0..900).map(|n| json!({"schema": "s", "table": format!("t{n}")})).collect();
        assert_eq!(text(json!(many)).chars().count(), TEXT_CHARS_MAX);
        let (two, turned) = (json!([{"table": 1}, {"table": 2}]), json!([{"table": 2}, {"table": 1}]));
        assert_eq!(tables_text(&two, &turned), "tables: another order");
    }

    #[test]
    fn a_password_is_never_told() {
        let found = differences(
            &job(),
            &with("/sink/endpoint/password", json!({"text": "secret"})),
            Standing::Running,
        );
        assert_eq!(found[0].text, "sink.endpoint.password differs");
    }
}
