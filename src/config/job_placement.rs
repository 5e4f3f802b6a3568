//! Who may run a task and who should: `[[constraint]]`, `[[affinity]]` and `[[spread]]` of one level of job.toml.
//!
//! Called by `config::job` for the job, its source and its sink. Takes Nomad's short forms (`version = ">= 1"`) beside
//! `operator` and `value`; what the tests mean is `core::constraint`'s.

use toml::de::DeValue;

use crate::config::document::{Found, Section};
use crate::config::fault_list::FaultList;
use crate::core::constraint::{check, check_graded, check_name};
use crate::core::job_spec::{Affinity, Constraint, Preferences, Spread, SpreadTarget};

/// Operators that may be written as a key, with the test as its value.
const SHORT_FORMS: [&str; 10] = [
    "version",
    "semver",
    "regexp",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
    "is_set",
    "is_not_set",
    "distinct_hosts",
    "distinct_property",
];
/// Weight of an affinity or spread that gives none; Nomad's.
const WEIGHT: i32 = 50;

/// Reads the constraints of one level; each that makes no sense is noted.
pub(crate) fn constraints(section: &Section<'_, '_>, faults: &mut FaultList) -> Vec<Constraint> {
    let blocks = section.sections("constraint", &keys(&[]), faults);
    let mut list = Vec::new();
    for block in &blocks {
        let Some(constraint) = test(block, faults) else { continue };
        note(block, check(&constraint), faults);
        list.push(constraint);
    }
    list
}

/// Reads the affinities and spreads of one level.
pub(crate) fn preferences(section: &Section<'_, '_>, faults: &mut FaultList) -> Preferences {
    let mut wishes = Preferences::default();
    for block in section.sections("affinity", &keys(&["weight"]), faults) {
        let weight = affinity_weight(&block, faults);
        let Some(test) = test(&block, faults) else { continue };
        note(&block, check_graded(&test), faults);
        wishes.affinities.push(Affinity { test, weight });
    }
    for block in section.sections("spread", &["attribute", "weight", "target"], faults) {
        wishes.spreads.extend(spread(&block, faults));
    }
    wishes
}

fn keys(more: &[&'static str]) -> Vec<&'static str> {
    ["attribute", "operator", "value"]
        .iter()
        .chain(&SHORT_FORMS)
        .chain(more)
        .copied()
        .collect()
}

fn note(block: &Section<'_, '_>, found: Vec<crate::core::fault::Fault>, faults: &mut FaultList) {
    let (key, at) = block.place();
    for fault in found {
        faults.elsewhere(at.unwrap_or_default(), &key, fault);
    }
}

/// Reads one test in either form; None after a fault.
fn test(block: &Section<'_, '_>, faults: &mut FaultList) -> Option<Constraint> {
    let short: Vec<&'static str> = SHORT_FORMS.into_iter().filter(|key| block.node(key).is_some()).collect();
    match short[..] {
        [] => long_form(block, faults),
        [key] => short_form(block, key, faults),
        [first, second, ..] => {
            let found = format!("`{second}` beside `{first}`");
            crowded(block, second, &found, faults);
            None
        }
    }
}

/// Two operators in one block.
fn crowded(block: &Section<'_, '_>, key: &str, found: &str, faults: &mut FaultList) {
    let place = Found {
        value: (),
        key: block.full(key),
        at: block.key_at(key).unwrap_or_default(),
    };
    faults.value(&place, found, "one operator in each block", "write a second block");
}

fn long_form(block: &Section<'_, '_>, faults: &mut FaultList) -> Option<Constraint> {
    let operator = block.text("operator", "=", faults);
    let has_bad_operator = block.node("operator").is_some() && operator.is_none();
    let operator = operator.map_or_else(|| "=".to_owned(), |found| found.value);
    let attribute = attribute(block, &operator, faults);
    let value = value(block, "value", faults);
    let (attribute, value) = (attribute?, value?);
    (!has_bad_operator).then_some(Constraint {
        attribute,
        operator,
        value,
    })
}

fn short_form(block: &Section<'_, '_>, key: &'static str, faults: &mut FaultList) -> Option<Constraint> {
    let takes_value = key == "distinct_property";
    for crowd in ["operator", "value"].into_iter().filter(|word| block.node(word).is_some()) {
        if !(takes_value && crowd == "value") {
            crowded(block, crowd, &format!("`{crowd}` beside `{key}`"), faults);
        }
    }
    let (attribute, value) = match key {
        "is_set" | "is_not_set" => (attribute(block, key, faults), switched_on(block, key, faults)),
        "distinct_hosts" => (attribute(block, key, faults), value(block, key, faults)),
        "distinct_property" => {
            let name = block.required_text(key, "${meta.rack}", faults).map(|found| found.value);
            if block.node("attribute").is_some() {
                crowded(block, "attribute", "`attribute` beside `distinct_property`", faults);
            }
            (name, value(block, "value", faults))
        }
        _ => (attribute(block, key, faults), value(block, key, faults)),
    };
    Some(Constraint {
        attribute: attribute?,
        operator: key.to_owned(),
        value: value?,
    })
}

/// Every test but `distinct_hosts` has one.
fn attribute(block: &Section<'_, '_>, operator: &str, faults: &mut FaultList) -> Option<String> {
    if operator == "distinct_hosts" && block.node("attribute").is_none() {
        return Some(String::new());
    }
    let found = block.required_text("attribute", "${node.datacenter}", faults);
    found.map(|found| found.value)
}

/// `is_set = true`; its opposite is another operator.
fn switched_on(block: &Section<'_, '_>, key: &str, faults: &mut FaultList) -> Option<String> {
    let found = block.flag(key, faults)?;
    if found.value {
        return Some(String::new());
    }
    let opposite = if key == "is_set" { "is_not_set" } else { "is_set" };
    faults.value(&found, "`false`", "`true`", &format!("{opposite} = true"));
    None
}

/// A value as text: a string, a whole number or true and false as they are written. Absent reads as empty.
fn value(block: &Section<'_, '_>, key: &str, faults: &mut FaultList) -> Option<String> {
    let Some(node) = block.node(key) else {
        return Some(String::new());
    };
    match node.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => {
            faults.wrong_type(&block.full(key), node, "a string", &format!("{key} = \"shanghai\""));
            None
        }
    }
}

fn affinity_weight(block: &Section<'_, '_>, faults: &mut FaultList) -> i32 {
    const EXPECTED: &str = "a whole number from -100 to 100 that is not 0";
    let Some(node) = block.node("weight") else { return WEIGHT };
    let Some(number) = node.get_ref().as_integer() else {
        faults.wrong_type(&block.full("weight"), node, EXPECTED, "weight = 50");
        return WEIGHT;
    };
    match i32::from_str_radix(number.as_str(), number.radix()) {
        Ok(weight) if weight != 0 && (-100..=100).contains(&weight) => weight,
        _ => {
            let place = block.found("weight", node, ());
            faults.value(&place, &format!("`{number}`"), EXPECTED, "weight = 50");
            WEIGHT
        }
    }
}

fn spread(block: &Section<'_, '_>, faults: &mut FaultList) -> Option<Spread> {
    let attribute = block.required_text("attribute", "${meta.rack}", faults);
    let weight = block.number("weight", (1, 100), 50, faults).map_or(50, |found| found.value);
    let targets = targets(block, faults);
    let attribute = attribute?;
    if attribute.value.starts_with("${") && attribute.value.ends_with('}') {
        let shown = Constraint {
            attribute: attribute.value.clone(),
            operator: "spread".into(),
            value: String::new(),
        };
        note(block, check_name(&shown, &attribute.value).into_iter().collect(), faults);
    } else {
        let found = format!("`{}`, a literal", attribute.value);
        faults.value(&attribute, &found, "a variable in `${…}`", "attribute = \"${meta.rack}\"");
    }
    Some(Spread {
        attribute: attribute.value,
        weight: u32::try_from(weight).expect("the bounds were checked"),
        targets,
    })
}

fn targets(block: &Section<'_, '_>, faults: &mut FaultList) -> Vec<SpreadTarget> {
    let mut targets: Vec<SpreadTarget> = Vec::new();
    let mut told = 0;
    for target in block.sections("target", &["value", "percent"], faults) {
        let value = target.required_text("value", "shanghai", faults);
        if target.node("percent").is_none() && target.is_present() {
            let at = target.place().1;
            faults.missing(&target.full("percent"), at, "a whole number from 0 to 100", "percent = 50");
        }
        let percent = target.number("percent", (0, 100), 50, faults);
        let (Some(value), Some(percent)) = (value, percent) else {
            continue;
        };
        if targets.iter().any(|known| known.value == value.value) {
            let found = format!("`{}` a second time", value.value);
            faults.value(&value, &found, "each value once", "remove this target");
        }
        told += percent.value;
        if told > 100 && told - percent.value <= 100 {
            let fix = format!("percent = {}", percent.value - (told - 100));
            faults.value(&percent, &format!("{told} in all"), "at most 100 in all", &fix);
        }
        targets.push(SpreadTarget {
            value: value.value,
            percent: u32::try_from(percent.value).expect("the bounds were checked"),
        });
    }
    targets
}

#[cfg(test)]
#[path = "job_placement_tests.rs"]
mod tests;
