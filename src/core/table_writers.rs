//! Which other jobs go into the tables that a job would write on its target, and whether that may be (PEER1826).
//!
//! What other jobs carry is told by the job table (`of_job`, from their texts) and by the target (`mysql::preflight::other_jobs`, from
//! peer's own tables there); `findings` judges both alike for `peer plan`, `peer check` and a submit, by the rule that also holds
//! when a job starts (`table_merge::may_clash`). Pure.

use serde::{Deserialize, Serialize};

use crate::core::finding::{Finding, Severity};
use crate::core::job_spec::JobSpec;
use crate::core::shape::{TableName, TableShape};
use crate::core::table_choice::{Chosen, TablePattern, choose_one, rules_of};
use crate::core::table_matcher::{Matcher, leads_to};
use crate::core::table_merge::{Rows, may_clash};

/// Number of the check.
pub const OTHER_JOBS: &str = "PEER1826";
const OBJECT: &str = "other jobs on the target";
/// Jobs told of in one finding; of the rest the number.
const SHOWN_MAX: usize = 8;

/// A table of the job that is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// On the source.
    pub source: TableName,
    /// On the target.
    pub target: TableName,
    /// Which of its rows travel.
    pub rows: Rows,
    /// Columns of its key on the target, in lower case; None: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<String>>,
    /// A person says that no key is in another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_merged: bool,
}

impl Own {
    /// A table as the job chooses it.
    #[must_use]
    pub fn of(chosen: &Chosen, key: Option<Vec<String>>) -> Self {
        Self {
            source: chosen.name.clone(),
            target: chosen.to.clone(),
            rows: Rows::of_chosen(chosen),
            key,
            is_merged: chosen.rule.as_ref().is_some_and(|rule| rule.merge),
        }
    }

    /// A table with its way.
    #[must_use]
    pub fn of_shape(shape: &TableShape) -> Self {
        let target = shape.on_target();
        Self {
            source: shape.name.clone(),
            target: target.name.clone(),
            rows: Rows::of_shape(shape),
            key: Some(target.key_names()),
            is_merged: shape.map.as_ref().is_some_and(|map| map.merge),
        }
    }

    /// The tables that the job's text names, for want of a look at the source.
    #[must_use]
    pub fn named(spec: &JobSpec) -> Vec<Self> {
        let rules = rules_of(&spec.tables, &spec.selection);
        let names = rules.iter().filter_map(|rule| exact(&rule.which));
        let chosen = names.filter_map(|name| choose_one(&spec.tables, &spec.selection, &name));
        chosen.map(|chosen| Self::of(&chosen, None)).collect()
    }
}

/// A table of another job, or a pattern of it, that goes into a table of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The job.
    pub job: String,
    /// What it carries there, `schema.table` or a pattern.
    pub source: String,
    /// The table of the target, `schema.table`.
    pub target: String,
    /// Which of its rows travel.
    pub rows: Rows,
    /// How sure that is.
    pub certainty: Certainty,
}

/// How sure it is that a job goes into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It does.
    Writes,
    /// A pattern of it leads there, if its source has such a table.
    May,
    /// It did, and keeps its tables in another schema of peer's, of another cluster perhaps: nobody knows whether it still is.
    Elsewhere,
}

/// Where another job of the cluster goes among these tables, as its text says.
#[must_use]
pub fn of_job(other: &JobSpec, own: &[Own]) -> Vec<Writer> {
    let mut writers: Vec<Writer> = Vec::new();
    for table in own {
        writers.extend(into(other, &table.target));
    }
    writers.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    writers.dedup();
    writers
}

/// Both jobs write on one server, by its address.
#[must_use]
pub fn is_one_target(spec: &JobSpec, other: &JobSpec) -> bool {
    let (one, other) = (&spec.sink.endpoint, &other.sink.endpoint);
    one.host.eq_ignore_ascii_case(&other.host) && one.port == other.port
}

fn into(other: &JobSpec, target: &TableName) -> Vec<Writer> {
    let mut writers = Vec::new();
    for rule in rules_of(&other.tables, &other.selection) {
        let choose = |name: &TableName| choose_one(&other.tables, &other.selection, name);
        let is_there = |chosen: &Chosen| folded(&chosen.to) == folded(target) && chosen.rule.as_ref() == Some(&rule);
        let found = match exact(&rule.which) {
            Some(name) => choose(&name).filter(is_there).map(|chosen| (chosen, Certainty::Writes)),
            None if rule.to.schema.is_none() && rule.to.table.is_none() => {
                choose(target).filter(is_there).map(|chosen| (chosen, Certainty::May))
            }
            None => leads_to(&rule.which, &rule.to, target).then(|| {
                let chosen = Chosen {
                    name: target.clone(),
                    to: target.clone(),
                    rule: Some(rule.clone()),
                    apart: Vec::new(),
                };
                (chosen, Certainty::May)
            }),
        };
        writers.extend(found.map(|(chosen, certainty)| Writer {
            job: other.name.0.clone(),
            source: rule.which.to_string(),
            target: target.to_string(),
            rows: Rows::of_chosen(&chosen),
            certainty,
        }));
    }
    writers
}

/// The one table that a pattern can mean.
fn exact(which: &TablePattern) -> Option<TableName> {
    Matcher::of(which).ok()?.exact()
}

fn folded(name: &TableName) -> String {
    name.to_string().to_lowercase()
}

/// What is to be told of the jobs that go into the job's tables.
#[must_use]
pub fn findings(own: &[Own], writers: &[Writer]) -> Vec<Finding> {
    let (clashes, doubts) = clashes(own, writers);
    let mut findings = Vec::new();
    findings.extend(bad(Severity::Fail, &clashes));
    findings.extend(bad(Severity::Warn, &doubts));
    if findings.is_empty() {
        let found = match writers.is_empty() {
            true => "none in the same tables",
            false => "in the same tables, with keys that cannot clash or merge = true",
        };
        findings.push(Finding::ok(OTHER_JOBS, OBJECT, found));
    }
    findings
}

/// The target could not be asked: only the job table was compared.
#[must_use]
pub fn not_asked(reason: &str) -> Finding {
    Finding::bad(
        Severity::Warn,
        OTHER_JOBS,
        OBJECT,
        format!("peer's tables on the target were not looked at: {reason}"),
        "a look at them: jobs of other clusters are known there only",
        "ask again once a peer reaches the target",
    )
}

/// Writers whose keys could clash with those of the job: those that do write, and those that may.
fn clashes<'a>(own: &[Own], writers: &'a [Writer]) -> (Vec<&'a Writer>, Vec<&'a Writer>) {
    let (mut certain, mut doubtful) = (Vec::new(), Vec::new());
    for table in own {
        let target = folded(&table.target);
        for writer in writers.iter().filter(|writer| writer.target.to_lowercase() == target) {
            // The job table and the target may know of one job: the surer word counts.
            let is_surer = |other: &Writer| {
                other.certainty == Certainty::Writes && other.job == writer.job && other.target.to_lowercase() == target
            };
            let told = match writer.certainty {
                Certainty::Writes => &mut certain,
                _ if writers.iter().any(is_surer) => continue,
                _ => &mut doubtful,
            };
            let is_told = told.iter().any(|other: &&Writer| words(other) == words(writer));
            if !is_told && may_clash(table.is_merged, &table.rows, table.key.as_deref(), &writer.rows) {
                told.push(writer);
            }
        }
    }
    (certain, doubtful)
}

fn bad(severity: Severity, clashes: &[&Writer]) -> Option<Finding> {
    let first = clashes.first()?;
    let mut found: Vec<String> = clashes.iter().take(SHOWN_MAX).map(|writer| words(writer)).collect();
    if clashes.len() > SHOWN_MAX {
        found.push(format!("{} more", clashes.len() - SHOWN_MAX));
    }
    Some(Finding::bad(
        severity,
        OTHER_JOBS,
        OBJECT,
        found.join(", "),
        "one job for each table of the target, or keys that cannot clash",
        format!(
            "give the tables another name with `to`, bound their key by `where` in both jobs, or write merge = true in their [[tables]] \
             when you know that no key is in both; or `peer purge {}` when it is no longer needed",
            first.job
        ),
    ))
}

fn words(writer: &Writer) -> String {
    let Writer { job, source, target, .. } = writer;
    match writer.certainty {
        Certainty::Writes => format!("job {job} writes {target}, from {source}"),
        Certainty::May => format!("job {job} may write {target}, with its tables {source}"),
        Certainty::Elsewhere => format!("job {job} of another schema of peer's wrote {target}, from {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::placement::tests::spec;
    use crate::core::table_choice::{NamePattern, Renaming, TableRule};

    fn pattern(schema: &str, table: &str) -> TablePattern {
        TablePattern {
            schema: NamePattern::from(schema.to_owned()),
            table: (!table.is_empty()).then(|| NamePattern::from(table.to_owned())),
        }
    }

    /// `to` is `schema.table`, either may be empty.
    fn rule(schema: &str, table: &str, to: &str, filter: &str) -> TableRule {
        let (to_schema, to_table) = to.split_once('.').unwrap_or_default();
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TableRule {
            which: pattern(schema, table),
            filter: said(filter),
            columns: Vec::new(),
            to: Renaming {
                schema: said(to_schema),
                table: said(to_table),
                ..Renaming::default()
            },
            merge: false,
        }
    }

    fn job(name: &str, rules: Vec<TableRule>, excludes: Vec<TablePattern>) -> JobSpec {
        let mut job = spec(name);
        job.tables.clear();
        (job.selection.rules, job.selection.excludes) = (rules, excludes);
        job
    }

    /// What a job of `shop.orders` with this filter is told beside another one.
    fn told(filter: &str, other: &JobSpec) -> (Severity, String) {
        let own = vec![rule("shop", "orders", "", filter)];
        told_of(own, other)
    }

    fn told_of(own: Vec<TableRule>, other: &JobSpec) -> (Severity, String) {
        let mut own = Own::named(&job("new", own, vec![]));
        own[0].key = Some(vec!["id".into()]);
        let found = findings(&own, &of_job(other, &own));
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].severity, found[0].found.clone())
    }

    fn old(rule: TableRule) -> JobSpec {
        job("old", vec![rule], vec![])
    }

    #[test]
    fn a_table_that_another_job_writes_is_refused_by_the_name_of_both() {
        for (other, found) in [
            (rule("shop", "orders", "", ""), "job old writes shop.orders, from shop.orders"),
            (rule("crm", "o", "SHOP.Orders", ""), "job old writes shop.orders, from crm.o"),
        ] {
            assert_eq!(told("", &old(other)), (Severity::Fail, found.to_owned()));
        }
        assert_eq!(told("", &old(rule("shop", "people", "", ""))).0, Severity::Ok);
        assert_eq!(told("", &old(rule("shop", "orders", ".o", ""))).0, Severity::Ok);
        let mut exact = spec("old");
        exact.tables = vec![TableName {
            schema: "shop".into(),
            table: "orders".into(),
        }];
        assert_eq!(told("", &exact).0, Severity::Fail);
    }

    #[test]
    fn keys_that_cannot_clash_and_a_persons_word_let_two_jobs_into_one_table() {
        let high = old(rule("shop", "orders", "", "id >= 10"));
        assert_eq!(told("id < 10", &high).0, Severity::Ok);
        assert_eq!(told("id <= 10", &high).0, Severity::Fail);
        let merged = TableRule {
            merge: true,
            ..rule("shop", "orders", "", "")
        };
        assert_eq!(told_of(vec![merged], &high).0, Severity::Ok);
        let by_another = old(rule("shop", "orders", "", "n >= 10"));
        assert_eq!(told("n < 10", &by_another).0, Severity::Fail, "n is no part of the key");
    }

    #[test]
    fn a_pattern_that_may_lead_there_is_a_warning() {
        for other in [
            old(rule("shop", "/o.*/", "", "")),
            old(rule("/s(.*)/", "/.*_(.*)/", "s$1.$1rs", "")),
            old(rule("shop", "/.*/", ".ORDERS", "")),
            old(rule("shop", "", "", "")),
            job("old", vec![], vec![]),
        ] {
            let (severity, found) = told("", &other);
            assert_eq!(severity, Severity::Warn, "{other:?}: {found}");
            assert!(
                found.starts_with("job old may write shop.orders, with its tables "),
                "{found}"
            );
        }
        for other in [
            old(rule("shop", "/p.*/", "", "")),
            old(rule("shop", "/o.*/", ".all_$0", "")),
            job("old", vec![rule("shop", "", "", "")], vec![pattern("shop", "orders")]),
        ] {
            assert_eq!(told("", &other).0, Severity::Ok, "{other:?}");
        }
    }

    #[test]
    fn what_the_target_knows_of_a_job_counts_more_than_its_pattern() {
        let own = Own::named(&job("new", vec![rule("shop", "orders", "", "")], vec![]));
        let mut writers = of_job(&old(rule("shop", "/o.*/", "", "")), &own);
        let known = Writer {
            source: "shop.orders".into(),
            certainty: Certainty::Writes,
            ..writers[0].clone()
        };
        writers.extend([known.clone(), known]);
        let found = findings(&own, &writers);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].found, "job old writes shop.orders, from shop.orders");
    }

    #[test]
    fn two_jobs_have_one_target_by_its_address() {
        let (one, mut other) = (spec("new"), spec("old"));
        assert!(is_one_target(&one, &other));
        other.sink.endpoint.port += 1;
        assert!(!is_one_target(&one, &other));
    }
}
