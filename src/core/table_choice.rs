//! Which tables of the source a job replicates, and what becomes of each on its way.
//!
//! Written by `config::job_tables` into the spec, resolved against the tables a server really has when the task starts
//! (`mysql::source::tables`) and for `peer plan`. Pure: names in, names and faults out. What the mapping does to a table's
//! shape is `core::table_map`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::core::fault::{Fault, Faults};
use crate::core::online_tool::is_of_online_tool;
use crate::core::shape::TableName;
use crate::core::table_matcher::Matcher;
use crate::core::table_merge::clashes;

/// Schemas that belong to the server: never replicated.
pub const SYSTEM_SCHEMAS: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

/// A rule takes no table.
const NO_TABLE: &str = "PEER1121";

/// What a job says about its tables beyond exact names. Without rules, and without exact tables in the spec: every table that
/// is not the system's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// In the order of the file: the first one that fits a table decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TableRule>,
    /// Tables that no rule may take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<TablePattern>,
    /// Kinds of change that are not carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<RowKind>,
}

impl Selection {
    /// Nothing but the exact tables of the spec.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.excludes.is_empty() && self.skip.is_empty()
    }
}

/// A kind of row change, as it would reach the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// A row appears.
    Insert,
    /// A row changes.
    Update,
    /// A row goes.
    Delete,
}

/// One `[[tables]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRule {
    /// Which tables.
    #[serde(flatten)]
    pub which: TablePattern,
    /// Rows that are replicated, as SQL; None: all.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Columns in the order of the target; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Other names on the target.
    #[serde(default, skip_serializing_if = "Renaming::is_empty")]
    pub to: Renaming,
    /// Others write into its table on the target too, and no key is in two of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge: bool,
}

/// A choice of tables by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePattern {
    /// Of the schema.
    pub schema: NamePattern,
    /// Of the table; None: all tables of the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<NamePattern>,
}

/// A name or a regular expression that fits whole names. One string in JSON: a pattern stands between slashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NamePattern {
    /// Exactly this name.
    Exact(String),
    /// Names that the expression fits from end to end.
    Regex(String),
}

impl From<String> for NamePattern {
    fn from(text: String) -> Self {
        let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        match inner {
            Some(inner) if text.len() > 1 => Self::Regex(inner.to_owned()),
            _ => Self::Exact(text),
        }
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        match pattern {
            NamePattern::Exact(name) => name,
            NamePattern::Regex(inner) => format!("/{inner}/"),
        }
    }
}

impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from(self.clone()))
    }
}

impl std::fmt::Display for TablePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.table {
            Some(table) => write!(f, "{}.{table}", self.schema),
            None => write!(f, "{}.*", self.schema),
        }
    }
}

/// Names on the target; `$1` stands for a group of the table's pattern, or of the schema's when the table has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renaming {
    /// Of the schema; None: as on the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Of the table; None: as on the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Of columns, by their name on the source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
}

impl Renaming {
    /// Every name stays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A table of the source that is replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its name there.
    pub name: TableName,
    /// Its name on the target.
    pub to: TableName,
    /// The rule that took it; None: none was needed.
    pub rule: Option<TableRule>,
    /// Columns of the target, in lower case, that keep it apart from another table that becomes the same one there.
    pub apart: Vec<String>,
}

/// Compiles the expression of a pattern, anchored at both ends.
///
/// # Errors
/// The text is no regular expression.
pub fn compile(inner: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{inner})$"))
}

/// Chooses among the tables a server has. Exact tables are taken as they are named, there or not: whoever reads their
/// definitions says what is wrong with them.
///
/// # Errors
/// A pattern that takes no table, an excluded exact table, or two tables of one name on the target.
pub fn choose(exact: &[TableName], selection: &Selection, found: &[TableName]) -> Result<Vec<Chosen>, Faults> {
    let rules = rules_of(exact, selection);
    let excludes: Vec<Matcher> = selection.excludes.iter().map(matcher).collect::<Result<_, _>>()?;
    let is_excluded = |name: &TableName| excludes.iter().any(|exclude| exclude.captures(name).is_some());
    let (mut chosen, mut faults) = (Vec::new(), Vec::new());
    let mut taken = HashSet::new();
    for rule in &rules {
        let matcher = matcher(&rule.which)?;
        let candidates: Vec<TableName> = match matcher.exact() {
            Some(name) => vec![name],
            None => found.to_vec(),
        };
        let mut is_of_use = false;
        for name in candidates {
            let Some(groups) = matcher.captures(&name).filter(|_| takes(rule, &name) && !is_excluded(&name)) else {
                continue;
            };
            is_of_use = true;
            if !taken.insert(name.clone()) {
                continue;
            }
            let to = groups.renamed(&name, &rule.to);
            chosen.push(Chosen {
                to,
                name,
                rule: Some(rule.clone()),
                apart: Vec::new(),
            });
        }
        if !is_of_use {
            faults.push(Fault::new(
                NO_TABLE,
                format!("tables {}", rule.which),
                "no table of the source, or only excluded ones",
                "at least one table",
                "correct the names in [[tables]] and [[exclude]], or GRANT SELECT on the tables to the source account",
            ));
        }
    }
    faults.extend(clashes(&mut chosen));
    Faults(faults).or(chosen)
}

/// What becomes of a table of this name; None: the job does not want it.
#[must_use]
pub fn choose_one(exact: &[TableName], selection: &Selection, name: &TableName) -> Option<Chosen> {
    let is_fit = |pattern: &TablePattern| Matcher::of(pattern).is_ok_and(|matcher| matcher.captures(name).is_some());
    if SYSTEM_SCHEMAS.contains(&name.schema.as_str()) || selection.excludes.iter().any(is_fit) {
        return None;
    }
    let rule = rules_of(exact, selection)
        .into_iter()
        .find(|rule| is_fit(&rule.which) && takes(rule, name))?;
    let to = Matcher::of(&rule.which).ok()?.captures(name)?.renamed(name, &rule.to);
    Some(Chosen {
        name: name.clone(),
        to,
        rule: Some(rule),
        apart: Vec::new(),
    })
}

/// Tables of `found` that a rule would take if they did not look like those of an online schema change.
#[must_use]
pub fn left_to_tools(exact: &[TableName], selection: &Selection, found: &[TableName]) -> Vec<TableName> {
    let rules = rules_of(exact, selection);
    let is_fit =
        |rule: &TableRule, name: &TableName| Matcher::of(&rule.which).is_ok_and(|matcher| matcher.captures(name).is_some());
    let is_left = |name: &&TableName| {
        choose_one(exact, selection, name).is_none() && rules.iter().any(|rule| is_fit(rule, name) && !takes(rule, name))
    };
    found.iter().filter(is_left).cloned().collect()
}

/// Tables of an online schema change are taken only by their names.
fn takes(rule: &TableRule, name: &TableName) -> bool {
    matches!(rule.which.table, Some(NamePattern::Exact(_))) || !is_of_online_tool(&name.table)
}

fn matcher(pattern: &TablePattern) -> Result<Matcher, Faults> {
    Matcher::of(pattern).map_err(|bad| {
        Faults(vec![Fault::new(
            NO_TABLE,
            format!("pattern `/{}/`", bad.pattern),
            bad.reason,
            "a regular expression",
            "correct it in the job",
        )])
    })
}

/// Schemas of the target that are known before the source was looked at.
#[must_use]
pub fn target_schemas(exact: &[TableName], selection: &Selection) -> BTreeSet<String> {
    let of_rule = |rule: &TableRule| match (&rule.to.schema, &rule.which.schema) {
        (Some(name), _) => (!name.contains('$')).then(|| name.clone()),
        (None, NamePattern::Exact(name)) => Some(name.clone()),
        (None, NamePattern::Regex(_)) => None,
    };
    let rules = selection.rules.iter().filter_map(of_rule);
    exact.iter().map(|name| name.schema.clone()).chain(rules).collect()
}

/// The rules as if every table were written as one; every table of the server when there are none.
pub(super) fn rules_of(exact: &[TableName], selection: &Selection) -> Vec<TableRule> {
    let plain = |schema, table| TableRule {
        which: TablePattern { schema, table },
        filter: None,
        columns: Vec::new(),
        to: Renaming::default(),
        merge: false,
    };
    if !selection.rules.is_empty() {
        return selection.rules.clone();
    }
    if exact.is_empty() {
        return vec![plain(NamePattern::Regex(".*".into()), None)];
    }
    let of = |name: &TableName| {
        plain(
            NamePattern::Exact(name.schema.clone()),
            Some(NamePattern::Exact(name.table.clone())),
        )
    };
    exact.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TableName {
        let (schema, table) = text.split_once('.').expect("schema.table");
        TableName {
            schema: schema.into(),
            table: table.into(),
        }
    }

    fn pattern(text: &str) -> TablePattern {
        let (schema, table) = text.split_once(' ').map_or((text, None), |(s, t)| (s, Some(t)));
        TablePattern {
            schema: NamePattern::from(schema.to_owned()),
            table: table.map(|table| NamePattern::from(table.to_owned())),
        }
    }

    fn rule(which: &str, schema: Option<&str>, table: Option<&str>) -> TableRule {
        TableRule {
            which: pattern(which),
            filter: None,
            columns: Vec::new(),
            to: Renaming {
                schema: schema.map(str::to_owned),
                table: table.map(str::to_owned),
                columns: BTreeMap::new(),
            },
            merge: false,
        }
    }

    fn chosen(rules: Vec<TableRule>, excludes: &[&str]) -> Result<Vec<String>, String> {
        let found: Vec<TableName> = ["shop.orders", "shop.orders_2", "shop._tmp_1", "shop_old.orders", "crm.people"]
            .map(name)
            .into();
        let selection = Selection {
            rules,
            excludes: excludes.iter().map(|text| pattern(text)).collect(),
            skip: Vec::new(),
        };
        let chosen = choose(&[], &selection, &found).map_err(|faults| faults.to_string())?;
        Ok(chosen.iter().map(|table| format!("{} -> {}", table.name, table.to)).collect())
    }

    #[test]
    fn without_rules_every_table_is_chosen_but_the_excluded() {
        let all = chosen(vec![], &["shop /_tmp_.*/", "shop_old"]).expect("chooses");
        assert_eq!(
            all,
            [
                "shop.orders -> shop.orders",
                "shop.orders_2 -> shop.orders_2",
                "crm.people -> crm.people"
            ]
        );
    }

    #[test]
    fn a_pattern_fits_whole_names_only() {
        let found = chosen(vec![rule("shop /orders/", None, None)], &[]);
        assert_eq!(found, Ok(vec!["shop.orders -> shop.orders".to_owned()]));
        let found = chosen(vec![rule("/shop/ /a|orders/", None, None)], &[]);
        assert_eq!(found, Ok(vec!["shop.orders -> shop.orders".to_owned()]));
    }

    #[test]
    fn groups_fill_the_names_of_the_target() {
        let rules = vec![
            rule("shop /orders_(\\d+)/", Some("s$1"), Some("o_$1_x$")),
            rule("/(sh)op(.*)/", Some("$1$2"), None),
        ];
        let found = chosen(rules, &["shop /_tmp.*/"]).expect("chooses");
        assert_eq!(
            found,
            [
                "shop.orders_2 -> s2.o_2_x$",
                "shop.orders -> sh.orders",
                "shop_old.orders -> sh_old.orders"
            ]
        );
    }

    #[test]
    fn two_sources_for_one_target_are_refused_by_name() {
        let text = chosen(vec![rule("/shop.*/ orders", Some("shop"), None)], &[]).expect_err("refused");
        assert!(
            text.contains("PEER1122") && text.contains("shop.orders and shop_old.orders"),
            "{text}"
        );
    }

    #[test]
    fn several_sources_become_one_table_when_said_or_when_their_keys_are_apart() {
        let merged = TableRule {
            merge: true,
            ..rule("/shop.*/ orders", Some("shop"), None)
        };
        assert_eq!(chosen(vec![merged], &[]).map(|all| all.len()), Ok(2));
        let part = |which: &str, filter: &str| TableRule {
            filter: Some(filter.to_owned()),
            ..rule(which, Some("shop"), Some("all"))
        };
        let (low, high) = (part("shop orders", "id < 10"), part("shop_old orders", "id >= 10"));
        assert_eq!(chosen(vec![low.clone(), high], &[]).map(|all| all.len()), Ok(2));
        let text = chosen(vec![low, part("shop_old orders", "id >= 9")], &[]).expect_err("refused");
        assert!(text.contains("PEER1122") && text.contains("merge = true"), "{text}");
    }

    #[test]
    fn a_rule_of_no_use_is_refused() {
        let text = chosen(vec![rule("shop /x.*/", None, None)], &[]).expect_err("refused");
        assert!(text.contains("PEER1121") && text.contains("shop./x.*/"), "{text}");
        let text = chosen(vec![rule("shop orders", None, None)], &["shop /o.*/"]).expect_err("refused");
        assert!(text.contains("PEER1121"), "{text}");
    }

    #[test]
    fn a_table_of_an_online_tool_is_taken_by_its_name_only() {
        let found: Vec<TableName> = ["shop.t", "shop._t_gho", "shop._t_old"].map(name).into();
        let of = |rules: Vec<TableRule>| {
            let selection = Selection {
                rules,
                ..Selection::default()
            };
            let chosen = choose(&[], &selection, &found).expect("chooses");
            let chosen: Vec<String> = chosen.iter().map(|table| table.name.to_string()).collect();
            let left: Vec<String> = left_to_tools(&[], &selection, &found)
                .iter()
                .map(ToString::to_string)
                .collect();
            let one_by_one = found.iter().filter(|name| choose_one(&[], &selection, name).is_some());
            assert_eq!(one_by_one.count(), chosen.len(), "a table that comes later is chosen alike");
            (chosen.join(" "), left.join(" "))
        };
        let all = ("shop.t".to_owned(), "shop._t_gho shop._t_old".to_owned());
        assert_eq!(of(vec![]), all);
        assert_eq!(of(vec![rule("shop /.*/", None, None)]), all);
        let named = vec![rule("shop /.*/", None, None), rule("shop _t_old", None, None)];
        assert_eq!(of(named), ("shop.t shop._t_old".to_owned(), "shop._t_gho".to_owned()));
    }

    #[test]
    fn a_choice_is_the_same_after_a_journey_as_json() {
        let selection = Selection {
            rules: vec![rule("shop /a/", Some("b"), None), rule("shop", None, None)],
            excludes: vec![pattern("/x/ y")],
            skip: vec![RowKind::Delete],
        };
        let json = serde_json::to_string(&selection).expect("writes");
        assert!(
            json.contains(r#""schema":"shop","table":"/a/","to":{"schema":"b"}"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Selection>(&json).expect("reads"), selection);
    }
}
