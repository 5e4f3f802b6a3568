//! The `[[tables]]`, `[[exclude]]` and `[filter]` of job.toml: which tables, and what becomes of them.
//!
//! Called by `config::job`. Exact tables that go as they are stay a plain list; everything else becomes a `Selection`. Whether
//! the tables and columns exist is known only at the source.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::document::{Found, Section};
use crate::config::fault_list::FaultList;
use crate::core::ddl_policy::DdlKind;
use crate::core::expr_parse::parse;
use crate::core::row_filter::FILTER_BYTES_MAX;
use crate::core::shape::TableName;
use crate::core::table_choice::{NamePattern, Renaming, RowKind, SYSTEM_SCHEMAS, Selection, TablePattern, TableRule, compile};

/// Most characters of a MySQL identifier.
const IDENTIFIER_CHARS_MAX: usize = 64;

/// What one name of a rule may be.
const NAME_FORM: &str = "a MySQL name of 1 to 64 characters, not ending in a space";

/// Reads which tables the job replicates; nothing written: every table of the source.
pub(crate) fn choice(
    root: &Section<'_, '_>,
    meta_schema: &str,
    skip: Vec<RowKind>,
    faults: &mut FaultList,
) -> (Vec<TableName>, Selection) {
    let blocks = root.sections("tables", &["schema", "table", "where", "columns", "to", "merge"], faults);
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for block in &blocks {
        let Some((rule, place)) = rule(block, meta_schema, faults) else {
            continue;
        };
        if !seen.insert(rule.which.to_string()) {
            let found = format!("`{}` a second time", rule.which);
            faults.value(&place, &found, "each table once", "remove this [[tables]]");
        }
        rules.push(rule);
    }
    let mut selection = Selection {
        rules: Vec::new(),
        excludes: excludes(root, faults),
        skip,
    };
    match rules.iter().map(plain).collect::<Option<Vec<_>>>() {
        Some(tables) => (tables, selection),
        None => {
            selection.rules = rules;
            (Vec::new(), selection)
        }
    }
}

/// The table of a rule that names one exactly and changes nothing.
fn plain(rule: &TableRule) -> Option<TableName> {
    let is_plain = rule.filter.is_none() && rule.columns.is_empty() && rule.to.is_empty() && !rule.merge;
    match (&rule.which.schema, rule.which.table.as_ref()?) {
        (NamePattern::Exact(schema), NamePattern::Exact(table)) if is_plain => Some(TableName {
            schema: schema.clone(),
            table: table.clone(),
        }),
        _ => None,
    }
}

/// One `[[tables]]`, and the place of the name that decides.
fn rule(block: &Section<'_, '_>, meta_schema: &str, faults: &mut FaultList) -> Option<(TableRule, Found<()>)> {
    let which = which(block, faults);
    if let Some(Which { schema, .. }) = &which
        && let NamePattern::Exact(name) = &schema.value
    {
        refuse_reserved(schema, name, meta_schema, faults);
    }
    let filter = filter(block, faults);
    let columns = columns(block, faults);
    let groups = which.as_ref().map_or(usize::MAX, Which::groups);
    let to = renaming(block, groups, meta_schema, faults);
    let which = which?;
    let place = which.place();
    let rule = TableRule {
        which: which.pattern(),
        filter,
        columns,
        to,
        merge: block.flag("merge", faults).is_some_and(|found| found.value),
    };
    Some((rule, place))
}

/// `schema` and `table` of a block.
struct Which {
    schema: Found<NamePattern>,
    table: Option<Found<NamePattern>>,
}

impl Which {
    fn pattern(self) -> TablePattern {
        TablePattern {
            schema: self.schema.value,
            table: self.table.map(|found| found.value),
        }
    }

    fn place(&self) -> Found<()> {
        let Found { key, at, .. } = self.table.as_ref().unwrap_or(&self.schema);
        Found {
            value: (),
            key: key.clone(),
            at: *at,
        }
    }

    /// How many groups its patterns have at most.
    fn groups(&self) -> usize {
        let groups = |found: &Found<NamePattern>| match &found.value {
            NamePattern::Exact(_) => 0,
            NamePattern::Regex(inner) => compile(inner).map_or(0, |regex| regex.captures_len() - 1),
        };
        groups(&self.schema).max(self.table.as_ref().map_or(0, groups))
    }
}

fn which(block: &Section<'_, '_>, faults: &mut FaultList) -> Option<Which> {
    let schema = block.required_text("schema", "shop", faults);
    let has_table = block.node("table").is_some();
    let table = block.filled_text("table", "orders", faults);
    let schema = schema.and_then(|found| pattern(found, faults));
    let table = table.and_then(|found| pattern(found, faults));
    if has_table && table.is_none() {
        return None;
    }
    Some(Which { schema: schema?, table })
}

/// A name, or an expression between slashes.
fn pattern(found: Found<String>, faults: &mut FaultList) -> Option<Found<NamePattern>> {
    let key = found.key.rsplit('.').next().unwrap_or_default();
    let fix = format!("{key} = \"orders\"");
    let pattern = NamePattern::from(found.value.clone());
    let is_valid = match &pattern {
        NamePattern::Exact(_) => check_identifier(&found, &fix, faults),
        NamePattern::Regex(inner) => {
            let compiled = compile(inner);
            if compiled.is_err() {
                let shown = format!("`{}`", found.value);
                faults.value(&found, &shown, "a regular expression between slashes", &fix);
            }
            compiled.is_ok()
        }
    };
    let Found { key, at, .. } = found;
    is_valid.then_some(Found { value: pattern, key, at })
}

/// `where`: whether it can be read. Its columns are looked up at the source.
fn filter(block: &Section<'_, '_>, faults: &mut FaultList) -> Option<String> {
    let filter = block.filled_text("where", "id < 10", faults)?;
    let problem = if filter.value.len() > FILTER_BYTES_MAX {
        Some((
            format!("{} bytes", filter.value.len()),
            format!("at most {FILTER_BYTES_MAX} bytes"),
        ))
    } else {
        parse(&filter.value)
            .err()
            .map(|error| (format!("{} at character {}", error.found, error.at), error.expected))
    };
    if let Some((found, expected)) = problem {
        faults.value(&filter, &found, &expected, "where = \"id < 10 AND status <> 'draft'\"");
    }
    Some(filter.value)
}

fn columns(block: &Section<'_, '_>, faults: &mut FaultList) -> Vec<String> {
    let columns = block.texts("columns", "id", faults);
    if let (Some([]), Some(at)) = (columns.as_deref(), block.key_at("columns")) {
        let place = Found {
            value: (),
            key: block.full("columns"),
            at,
        };
        faults.value(&place, "an empty list", "at least one column", "columns = [\"id\"]");
    }
    columns.unwrap_or_default().into_iter().map(|found| found.value).collect()
}

/// `to`: names of the target. `groups` is how many groups the patterns have at most.
fn renaming(block: &Section<'_, '_>, groups: usize, meta_schema: &str, faults: &mut FaultList) -> Renaming {
    let to = block.section("to", &["schema", "table", "columns"], faults);
    let schema = to.filled_text("schema", "shop_dr", faults);
    let table = to.filled_text("table", "orders", faults);
    for found in [&schema, &table].into_iter().flatten() {
        target_name(found, groups, faults);
    }
    if let Some(found) = &schema {
        refuse_reserved(found, &found.value, meta_schema, faults);
    }
    let columns = to.text_map("columns", "{ total = \"amount\" }", faults).unwrap_or_default();
    for found in columns.values() {
        check_identifier(found, "columns = { total = \"amount\" }", faults);
    }
    Renaming {
        schema: schema.map(|found| found.value),
        table: table.map(|found| found.value),
        columns: columns
            .into_iter()
            .map(|(name, found)| (name, found.value))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A name, in which `$1` stands for a group of a pattern.
fn target_name(found: &Found<String>, groups: usize, faults: &mut FaultList) {
    let mut numbers = found.value.split('$').skip(1).map(|rest| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest[..digits].parse::<usize>().unwrap_or(0)
    });
    if let Some(number) = numbers.find(|number| *number > groups) {
        let shown = format!("`${number}` in `{}`", found.value);
        let expected = format!("groups up to {groups}: so many have the patterns of `schema` and `table`");
        faults.value(
            found,
            &shown,
            &expected,
            "table = \"/orders_(.*)/\" with to = { table = \"o_$1\" }",
        );
    }
    check_identifier(found, "to = { schema = \"shop_dr\" }", faults);
}

fn excludes(root: &Section<'_, '_>, faults: &mut FaultList) -> Vec<TablePattern> {
    let blocks = root.sections("exclude", &["schema", "table"], faults);
    let excludes = blocks.iter().filter_map(|block| which(block, faults));
    excludes.map(Which::pattern).collect()
}

/// `filter.skip`: kinds of row change, and of definitions with their places.
pub(crate) fn skipped(root: &Section<'_, '_>, faults: &mut FaultList) -> (Vec<RowKind>, Vec<(DdlKind, Found<String>)>) {
    let filter = root.section("filter", &["skip"], faults);
    let (mut rows, mut definitions) = (Vec::new(), Vec::new());
    for kind in filter.texts("skip", "dml.delete", faults).unwrap_or_default() {
        let row_kind = match kind.value.as_str() {
            "dml.insert" => Some(RowKind::Insert),
            "dml.update" => Some(RowKind::Update),
            "dml.delete" => Some(RowKind::Delete),
            _ => None,
        };
        let ddl_kind = kind.value.strip_prefix("ddl.").and_then(DdlKind::of_word);
        match (row_kind, ddl_kind) {
            (Some(row_kind), _) if rows.contains(&row_kind) => {}
            (Some(row_kind), _) => rows.push(row_kind),
            (None, Some(ddl_kind)) => definitions.push((ddl_kind, kind)),
            (None, None) => {
                let words = DdlKind::ALL.map(|(word, _)| format!("ddl.{word}")).join(", ");
                let expected = format!("dml.insert, dml.update, dml.delete, {words}");
                faults.value(&kind, &format!("`{}`", kind.value), &expected, "skip = [\"dml.delete\"]");
            }
        }
    }
    (rows, definitions)
}

fn refuse_reserved<T>(place: &Found<T>, schema: &str, meta_schema: &str, faults: &mut FaultList) {
    if SYSTEM_SCHEMAS.contains(&schema.to_ascii_lowercase().as_str()) || schema == meta_schema {
        let expected = "a schema of yours; the server's and peer's own are never replicated";
        faults.value(place, &format!("`{schema}`"), expected, "schema = \"shop\"");
    }
}

/// Notes a name that MySQL would not take.
pub(crate) fn check_identifier(found: &Found<String>, fix: &str, faults: &mut FaultList) -> bool {
    let text = &found.value;
    let is_valid = !text.is_empty()
        && text.chars().count() <= IDENTIFIER_CHARS_MAX
        && !text.ends_with(' ')
        && text.chars().all(|c| c != '\0' && u32::from(c) <= 0xffff);
    if !is_valid {
        faults.value(found, &format!("`{}`", text.escape_debug()), NAME_FORM, fix);
    }
    is_valid
}
