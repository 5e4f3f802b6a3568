//! The answer of `conflicts`: each row that did not fit, what came beside what was found.

use std::fmt::Write;

use serde_json::Value;

use crate::admin::render::status::put_wrapped;
use crate::admin::render::table::table;
use crate::admin::views::ConflictsView;
use crate::core::conflict::{Conflict, Image};

/// Longest value that is shown beside another one.
const VALUE_CHARS_MAX: usize = 40;

/// All that is kept, newest first.
#[must_use]
pub fn conflicts(view: &ConflictsView, width: u16) -> String {
    let mut text = String::new();
    for conflict in &view.list.conflicts {
        one(&mut text, conflict, width);
        text.push('\n');
    }
    let _ = match (view.list.total, view.list.pruned) {
        (0, _) => writeln!(text, "{}: no row that did not fit", view.name),
        (total, 0) => writeln!(text, "{}: {total} in all, newest first", view.name),
        (total, pruned) => writeln!(
            text,
            "{}: {total} in all, newest first; the oldest {pruned} are only counted",
            view.name
        ),
    };
    text
}

fn one(text: &mut String, conflict: &Conflict, width: u16) {
    let what = match conflict.table.as_str() {
        "" => "a transaction passed over".to_owned(),
        table => format!(
            "{} of {}.{table} {}: {}",
            conflict.incoming.operation, conflict.schema, conflict.key, conflict.kind
        ),
    };
    put_wrapped(text, &format!("#{}", conflict.number), &what, width);
    let by = match conflict.author.as_str() {
        "" => String::new(),
        author => format!(" through {author}: {}", conflict.reason),
    };
    put_wrapped(
        text,
        "decided",
        &format!("{} at {}{by}", conflict.decision, conflict.at),
        width,
    );
    let origin = match conflict.gtid.as_str() {
        "" => "the copy".to_owned(),
        gtid if conflict.binlog_file.is_empty() => gtid.to_owned(),
        gtid => format!("{gtid}, up to {}:{}", conflict.binlog_file, conflict.binlog_pos),
    };
    put_wrapped(text, "from", &origin, width);
    if conflict.table.is_empty() {
        return;
    }
    let rows = side_by_side(conflict);
    let found = match conflict.found.len() {
        0 => "FOUND: NO ROW".to_owned(),
        1 => "FOUND".to_owned(),
        rows => format!("FOUND, 1 OF {rows}"),
    };
    text.push_str(&table(&["COLUMN", "SOURCE BEFORE", "SOURCE AFTER", &found], rows, width));
}

fn side_by_side(conflict: &Conflict) -> Vec<Vec<String>> {
    let images = [
        conflict.incoming.before.as_ref(),
        conflict.incoming.after.as_ref(),
        conflict.found.first(),
    ];
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in images.iter().flatten().flat_map(|image| &image.0) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let row = |name: &String| {
        let values = images
            .iter()
            .map(|image| image.map_or_else(String::new, |image| value(image, name)));
        [name.clone()].into_iter().chain(values).collect()
    };
    names.into_iter().map(row).collect()
}

fn value(image: &Image, name: &str) -> String {
    let found = image.0.iter().find(|(column, _)| column == name);
    match found.map(|(_, value)| value) {
        None => String::new(),
        Some(Value::Null) => "NULL".to_owned(),
        Some(Value::String(text)) => match text.char_indices().nth(VALUE_CHARS_MAX) {
            Some((end, _)) => format!("'{}…'", &text[..end]),
            None => format!("'{text}'"),
        },
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::conflict::{ConflictList, Incoming};

    fn image(value: Value) -> Image {
        Image(vec![("id".into(), 7.into()), ("name".into(), value)])
    }

    #[test]
    fn what_came_stands_beside_what_was_found_and_null_is_not_a_text() {
        let conflict = Conflict {
            number: 12,
            at: "2026-01-01T00:00:00.000000Z".into(),
            schema: "shop".into(),
            table: "orders".into(),
            kind: "different".into(),
            key: "(7)".into(),
            gtid: "3e11fa47-71ca-11e1-9e33-c80aa9429562:7".into(),
            incoming: Incoming {
                operation: "update".into(),
                before: Some(image(Value::Null)),
                after: Some(image("NULL".into())),
            },
            found: vec![image("somebody's".into())],
            decision: "paused".into(),
            ..Conflict::default()
        };
        let view = ConflictsView {
            name: "orders".into(),
            incarnation: 1,
            list: ConflictList {
                total: 112,
                pruned: 12,
                conflicts: vec![conflict],
            },
        };
        let text = conflicts(&view, 80);
        assert!(text.contains("update of shop.orders (7): different"), "{text}");
        let row = text.lines().find(|line| line.starts_with("name")).expect("a line per column");
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words, ["name", "NULL", "'NULL'", "'somebody's'"]);
        assert!(text.contains("the oldest 12 are only counted"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
