//! A TOML text as a tree whose every key and value knows where it stands, and the list of what is wrong with it.
//!
//! `config::cluster` and `config::job` read their keys through `Section`; each getter notes a fault instead of failing, so one
//! pass finds them all. Knows nothing of what the keys mean. Values of secret keys are never repeated in a fault.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::config::fault_list::{Codes, FaultList};

/// The node of the tree that the toml crate parses.
pub(crate) type Node<'a> = toml::Spanned<DeValue<'a>>;

/// Parses a text. Syntax faults are noted; what could be read is returned all the same.
pub(crate) fn parse<'a>(text: &'a str, codes: Codes) -> (DeTable<'a>, FaultList) {
    let mut faults = FaultList::new(text, codes);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        faults.syntax(at, error.message());
    }
    (table.into_inner(), faults)
}

/// A value with the place it was written at.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub value: T,
    /// Full key, `source.port`.
    pub key: String,
    /// Byte offset in the text.
    pub at: usize,
}

/// One table of the document, being read.
pub(crate) struct Section<'t, 'a> {
    path: String,
    at: Option<usize>,
    table: Option<&'t DeTable<'a>>,
}

impl<'t, 'a> Section<'t, 'a> {
    /// Opens the document itself and notes keys that are not in `known`.
    pub(crate) fn root(table: &'t DeTable<'a>, known: &[&str], faults: &mut FaultList) -> Self {
        Self::open(String::new(), None, Some(table), known, faults)
    }

    fn open(path: String, at: Option<usize>, table: Option<&'t DeTable<'a>>, known: &[&str], faults: &mut FaultList) -> Self {
        let section = Self { path, at, table };
        for (key, _) in section.table.into_iter().flat_map(DeTable::iter) {
            if !known.contains(&key.get_ref().as_ref()) {
                faults.unknown(&section.full(key.get_ref()), key.span().start, known);
            }
        }
        section
    }

    /// Opens a table under this one; one that is not written reads as empty.
    pub(crate) fn section(&self, key: &str, known: &[&str], faults: &mut FaultList) -> Self {
        let path = self.full(key);
        match self.node(key) {
            None => Self::open(path, None, None, known, faults),
            Some(node) => Self::of(path, node, known, faults),
        }
    }

    /// Opens each table of an array of tables.
    pub(crate) fn sections(&self, key: &str, known: &[&str], faults: &mut FaultList) -> Vec<Self> {
        let path = self.full(key);
        let Some(node) = self.node(key) else { return Vec::new() };
        let Some(items) = node.get_ref().as_array() else {
            faults.wrong_type(
                &path,
                node,
                &format!("an array of tables, `[[{path}]]`"),
                &format!("[[{path}]]"),
            );
            return Vec::new();
        };
        let open = |(at, item): (usize, &'t Node<'a>)| Self::of(format!("{path}[{}]", at + 1), item, known, faults);
        items.iter().enumerate().map(open).collect()
    }

    /// Opens a node that must be a table.
    pub(crate) fn of(path: String, node: &'t Node<'a>, known: &[&str], faults: &mut FaultList) -> Self {
        let table = node.get_ref().as_table();
        if table.is_none() {
            faults.wrong_type(&path, node, "a table", &format!("[{path}]"));
        }
        Self::open(path, Some(node.span().start), table, known, faults)
    }

    /// True when the table is written.
    pub(crate) fn is_present(&self) -> bool {
        self.at.is_some()
    }

    /// The table's own place.
    pub(crate) fn place(&self) -> (String, Option<usize>) {
        (self.path.clone(), self.at)
    }

    /// Full name of a key of this table.
    pub(crate) fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The node of a key.
    pub(crate) fn node(&self, key: &str) -> Option<&'t Node<'a>> {
        self.table?.get(key)
    }

    /// Where the key itself is written.
    pub(crate) fn key_at(&self, key: &str) -> Option<usize> {
        self.table?.get_key_value(key).map(|(key, _)| key.span().start)
    }

    /// Reads a text; `example` shows one that works.
    pub(crate) fn text(&self, key: &str, example: &str, faults: &mut FaultList) -> Option<Found<String>> {
        let node = self.node(key)?;
        match node.get_ref().as_str() {
            Some(text) => Some(self.found(key, node, text.to_owned())),
            None => {
                faults.wrong_type(&self.full(key), node, "a string", &format!("{key} = \"{example}\""));
                None
            }
        }
    }

    /// Reads a text that may be absent but not empty.
    pub(crate) fn filled_text(&self, key: &str, example: &str, faults: &mut FaultList) -> Option<Found<String>> {
        self.node(key)?;
        self.required_text(key, example, faults)
    }

    /// Reads a text that must be there and must not be empty.
    pub(crate) fn required_text(&self, key: &str, example: &str, faults: &mut FaultList) -> Option<Found<String>> {
        if self.node(key).is_none() {
            faults.missing(&self.full(key), self.at, "a string", &format!("{key} = \"{example}\""));
            return None;
        }
        let found = self.text(key, example, faults)?;
        if found.value.is_empty() {
            faults.value(
                &found,
                "an empty string",
                "a string that is not empty",
                &format!("{key} = \"{example}\""),
            );
            return None;
        }
        Some(found)
    }

    /// Reads a whole number between two bounds.
    pub(crate) fn number(&self, key: &str, bounds: (u64, u64), example: u64, faults: &mut FaultList) -> Option<Found<u64>> {
        let node = self.node(key)?;
        let fix = format!("{key} = {example}");
        let expected = format!("a whole number from {} to {}", bounds.0, bounds.1);
        let Some(number) = node.get_ref().as_integer() else {
            faults.wrong_type(&self.full(key), node, &expected, &fix);
            return None;
        };
        match i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|n| u64::try_from(n).ok())
        {
            Some(value) if (bounds.0..=bounds.1).contains(&value) => Some(self.found(key, node, value)),
            _ => {
                faults.value(&self.found(key, node, ()), &format!("`{number}`"), &expected, &fix);
                None
            }
        }
    }

    /// Reads a size, rate or time through `parse`. A bare number is handed to it as text.
    pub(crate) fn unit<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
        example: &str,
        faults: &mut FaultList,
    ) -> Option<Found<T>> {
        let node = self.node(key)?;
        let fix = format!("{key} = \"{example}\"");
        let text = match node.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            _ => {
                faults.wrong_type(&self.full(key), node, expected, &fix);
                return None;
            }
        };
        let value = parse(&text);
        if value.is_none() {
            faults.value(&self.found(key, node, ()), &format!("`{text}`"), expected, &fix);
        }
        value.map(|value| self.found(key, node, value))
    }

    /// Reads one word of a list.
    pub(crate) fn word(&self, key: &str, words: &[&str], faults: &mut FaultList) -> Option<Found<String>> {
        let found = self.text(key, words[0], faults)?;
        if words.contains(&found.value.as_str()) {
            return Some(found);
        }
        let expected = format!("one of {}", words.join(", "));
        faults.value(
            &found,
            &format!("`{}`", found.value),
            &expected,
            &format!("{key} = \"{}\"", words[0]),
        );
        None
    }

    /// Reads true or false.
    pub(crate) fn flag(&self, key: &str, faults: &mut FaultList) -> Option<Found<bool>> {
        let node = self.node(key)?;
        match node.get_ref().as_bool() {
            Some(value) => Some(self.found(key, node, value)),
            None => {
                faults.wrong_type(&self.full(key), node, "true or false", &format!("{key} = true"));
                None
            }
        }
    }

    /// Reads a list of texts; elements of another type are noted one by one.
    pub(crate) fn texts(&self, key: &str, example: &str, faults: &mut FaultList) -> Option<Vec<Found<String>>> {
        let node = self.node(key)?;
        let fix = format!("{key} = [\"{example}\"]");
        let Some(items) = node.get_ref().as_array() else {
            faults.wrong_type(&self.full(key), node, "an array of strings", &fix);
            return None;
        };
        let mut texts = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let name = format!("{key}[{}]", at + 1);
            match item.get_ref().as_str() {
                Some(text) => texts.push(self.found(&name, item, text.to_owned())),
                None => faults.wrong_type(&self.full(&name), item, "a string", &fix),
            }
        }
        Some(texts)
    }

    /// Reads a table of texts.
    pub(crate) fn text_map(&self, key: &str, example: &str, faults: &mut FaultList) -> Option<BTreeMap<String, Found<String>>> {
        let node = self.node(key)?;
        let fix = format!("{key} = {example}");
        let Some(table) = node.get_ref().as_table() else {
            faults.wrong_type(&self.full(key), node, "a table of strings", &fix);
            return None;
        };
        let mut map = BTreeMap::new();
        for (name, item) in table.iter() {
            let full = format!("{key}.{}", name.get_ref());
            match item.get_ref().as_str() {
                Some(text) => drop(map.insert(name.get_ref().to_string(), self.found(&full, item, text.to_owned()))),
                None => faults.wrong_type(&self.full(&full), item, "a string", &fix),
            }
        }
        Some(map)
    }

    /// Puts a value at the place of a node.
    pub(crate) fn found<T>(&self, key: &str, node: &Node<'_>, value: T) -> Found<T> {
        Found {
            value,
            key: self.full(key),
            at: node.span().start,
        }
    }
}
