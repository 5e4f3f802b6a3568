//! `docs/refusals.md`: everything that is refused for what it is, with the texts that are printed, taken from the program itself.
//!
//! The page is generated: job texts and filters are given to the parser, the rest is read from the places in `src/` that refuse. It
//! fails when the page is not what it would write; `REFUSALS=write cargo test --test refusals` writes it.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use peer::config::job::parse_job;
use peer::core::row_filter::RowFilter;
use peer::core::shape::{Column, ColumnKind, RowKey, TableName, TableShape};

const PAGE: &str = "docs/refusals.md";

const HEAD: &str = "# What is refused

Peer carries a change exactly or stops and names it; nothing is left out in silence. This page lists what is refused, with the
texts; `…` stands for a value: a name, a statement, a transaction. What `peer check` looks at before a job begins is in
[check.md](check.md), each code has a page in [errors/](errors/README.md). The page is made from the program by `tests/refusals.rs`.
";

/// Parts of the page that are read from the program: title, what it means, files or folders below `src/`.
const AREAS: &[(&str, &str, &[&str])] = &[
    (
        "Tables, and where a job begins",
        "Told when a job starts, and most of it by `peer check` before. Nothing is on the target yet.",
        &[
            "mysql/source/cascades.rs",
            "mysql/source/inspect.rs",
            "mysql/source/start_position.rs",
            "mysql/source/chunk_reader.rs",
            "flow/source_start.rs",
            "flow/prepared_start.rs",
            "flow/prepared_start.rs",
            "flow/chunk_tasks.rs",
        ],
    ),
    (
        "In the stream",
        "The job stops before the transaction, names it (`transaction UUID:N on the source`) with the statement, and goes on there \
         after `peer restart`.",
        &["mysql/source/", "flow/ddl_item.rs"],
    ),
    (
        "On the target",
        "The job stops; nothing of the group or statement is committed.",
        &["mysql/target/"],
    ),
    (
        "The choice of tables",
        "Told by `peer plan`, `peer check` and a submit.",
        &["core/table_choice.rs", "core/table_map.rs"],
    ),
];

/// Job texts that are refused: what is written, below which section.
const JOB_TEXTS: &[(&str, &str)] = &[
    ("", "name = \"Orders\""),
    ("", "colour = \"red\""),
    ("source", "start = \"yesterday\""),
    ("source", "start = { gtid = \"1-2-3\" }"),
    ("source", "start = { file = \"binlog.1\" }"),
    ("source", "tls = \"verify-ca\""),
    ("source", "password = { file = \"secret\" }"),
    ("source", "kind = \"oracle\""),
    ("sink", "meta_schema = \"mysql\""),
    ("sink", "on_ddl = { add-column = \"skip\" }"),
    ("sink", "on_ddl = { truncate = \"ask\" }"),
    ("sink", "host = \"a\""),
    ("link", "rate = \"fast\""),
    ("link", "compression = \"zip\""),
    ("tables", "table = \"/a(/\""),
    ("tables", "columns = []"),
    ("tables", "where = \"id = (SELECT 1)\""),
    ("tables", "where = \"id = NOW()\""),
    ("tables", "where = \"id = 'a\""),
];

/// Filters that parse and do not fit a table `(id INT PRIMARY KEY, v VARCHAR, f FLOAT)`.
const FILTERS: &[&str] = &[
    "w = 1",
    "id = '5'",
    "v AND id = 1",
    "id LIKE 'a%'",
    "v + 1 = 2",
    "CONCAT(id) = 'a'",
    "LENGTH(v, v) = 1",
    "v LIKE id",
    "id = 'x'",
    "v->>'$.a' = '1'",
    "IF(id, v, id) = 1",
    "CASE id WHEN 'a' THEN 1 END = 1",
    "CRC32(f) = 1",
];

#[test]
fn the_page_of_refusals_is_what_the_program_says() {
    let page = generated();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var("REFUSALS").as_deref() == Ok("write") {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(found.lines()).find(|(new, old)| new != old);
    assert!(
        found == page,
        "{PAGE} is not what the program says: `REFUSALS=write cargo test --test refusals` writes it; first {differs:?}"
    );
}

#[test]
fn a_refusal_is_read_with_its_values_left_out() {
    let source = "x(Error::Unsuitable {\n object: a,\n found: format!(\"engine {engine}\"),\n expected: \"engine \\\n   InnoDB\".into(),\n \
                  fix: format!(\"ALTER TABLE {} ENGINE\", quote(t)),\n}); self.refused(\"an \\\"x\\\"\", e, \"do\")";
    assert_eq!(
        refusals(source),
        [["engine …", "engine InnoDB", "ALTER TABLE … ENGINE"], ["an \"x\"", "", "do"]]
    );
}

fn generated() -> String {
    let mut page = HEAD.to_owned();
    job_texts(&mut page);
    filters(&mut page);
    let mut told = 0;
    let mut done: Vec<String> = Vec::new();
    for (title, meaning, places) in AREAS {
        let mut rows = Vec::new();
        for file in files(places) {
            if !done.contains(&file) {
                rows.extend(refusals(&program(&file)));
                done.push(file);
            }
        }
        rows.retain(|row| row.iter().any(|cell| !cell.is_empty()));
        rows.sort();
        rows.dedup();
        told += rows.len();
        let _ = write!(
            page,
            "\n## {title}\n\n{meaning}\n\n| Found | Expected | Fix |\n|---|---|---|\n"
        );
        for row in rows {
            let _ = writeln!(page, "| {} |", row.map(|cell| cell_text(&cell)).join(" | "));
        }
    }
    assert!(told >= 40, "only {told} refusals: does this test still read the sources?");
    page
}

fn job_texts(page: &mut String) {
    page.push_str("\n## The text of a job\n\nRefused when it is submitted, planned or checked, every fault at once.\n\n");
    page.push_str("| Section | Written | Code | Found | Expected |\n|---|---|---|---|---|\n");
    for (section, line) in JOB_TEXTS {
        let faults = parse_job(&job(section, line)).expect_err(line);
        for fault in &faults.0 {
            let section = if section.is_empty() { "top" } else { section };
            let cells = [section, line, &fault.code, &fault.found, &fault.expected].map(cell_text);
            let _ = writeln!(page, "| {} |", cells.join(" | "));
        }
    }
}

/// A good job but for one line.
fn job(section: &str, line: &str) -> String {
    let key = line.split(' ').next().unwrap();
    let mut text = String::new();
    for (name, lines) in [
        ("", vec!["name = \"orders\""]),
        ("source", vec!["host = \"a\"", "user = \"u\"", "password = { env = \"P\" }"]),
        ("sink", vec!["host = \"b\"", "user = \"u\"", "password = { env = \"P\" }"]),
        ("tables", vec!["schema = \"shop\"", "table = \"orders\""]),
        ("link", Vec::new()),
    ] {
        match name {
            "" => {}
            "tables" => text.push_str("[[tables]]\n"),
            _ => text.push_str(&format!("[{name}]\n")),
        }
        let kept = lines.into_iter().filter(|old| name != section || !old.starts_with(key));
        kept.for_each(|kept| text.push_str(&format!("{kept}\n")));
        if name == section {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

fn filters(page: &mut String) {
    page.push_str(
        "\n## A filter that does not fit its table\n\nFor `t (id INT PRIMARY KEY, v VARCHAR(20), f FLOAT)`, code PEER1124; ",
    );
    page.push_str("what a filter may be is in [filters.md](filters.md).\n\n| where | Found |\n|---|---|\n");
    for filter in FILTERS {
        let Err(found) = RowFilter::of(filter, &table()) else {
            panic!("`{filter}` fits");
        };
        let _ = writeln!(page, "| {} | {} |", cell_text(filter), cell_text(&found));
    }
}

fn table() -> TableShape {
    let column = |name: &str, kind, charset: Option<&str>| Column {
        name: name.into(),
        kind,
        is_nullable: true,
        charset: charset.map(Into::into),
        collation: charset.map(|_| "utf8mb4_0900_ai_ci".into()),
        ..blank()
    };
    let int = ColumnKind::Int {
        bytes: 4,
        unsigned: false,
    };
    TableShape {
        name: TableName {
            schema: "s".into(),
            table: "t".into(),
        },
        columns: vec![
            column("id", int, None),
            column("v", ColumnKind::VarChar { bytes_max: 80 }, Some("utf8mb4")),
            column("f", ColumnKind::Float, None),
        ],
        key: Some(RowKey {
            index: "PRIMARY".into(),
            columns: vec![0],
        }),
        map: None,
        has_secondary_unique: false,
        create_sql: String::new(),
        defaults: None,
        cascades: Vec::new(),
    }
}

/// A column as stored text of an earlier version gives it: later fields have their defaults.
fn blank() -> Column {
    let json = serde_json::json!({"name": "", "kind": "float", "is_nullable": false, "is_generated": false, "charset": null, "collation": null});
    serde_json::from_value(json).unwrap()
}

// --- reading the program

/// Files of these places below `src/`, in order.
fn files(places: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for place in places {
        if place.ends_with(".rs") {
            found.push((*place).to_owned());
            continue;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(place);
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".rs") && !name.ends_with("_tests.rs"))
            .map(|name| format!("{place}{name}"))
            .collect();
        names.sort();
        found.extend(names);
    }
    found
}

/// A file without its tests.
fn program(file: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    match text.find("#[cfg(test)]\nmod ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Found, expected and fix of each refusal, as far as they are written there.
fn refusals(text: &str) -> Vec<[String; 3]> {
    const OPENINGS: [&str; 5] = [
        "Error::Unsuitable {",
        "Error::NotReplicable {",
        ".refused(",
        "Fault::new(",
        "match touch {",
    ];
    let mut all = Vec::new();
    for opening in OPENINGS {
        for (at, _) in text.match_indices(opening) {
            let parts = parts(&text[at + opening.len()..]);
            match opening {
                "match touch {" => all.extend(parts.iter().map(|arm| {
                    let literals = literals(arm);
                    let of = |at: usize| literals.get(at).cloned().unwrap_or_default();
                    [of(0), String::new(), of(1)]
                })),
                ".refused(" => all.push([0, 1, 2].map(|at| parts.get(at).map_or_else(String::new, |part| words(part)))),
                "Fault::new(" => all.push([2, 3, 4].map(|at| parts.get(at).map_or_else(String::new, |part| words(part)))),
                _ => {
                    let field = |name: &str| {
                        let part = parts.iter().find(|part| part.trim_start().starts_with(&format!("{name}:")));
                        part.map_or_else(String::new, |part| words(part))
                    };
                    all.push([field("found"), field("expected"), field("fix")]);
                }
            }
        }
    }
    all
}

/// What stands between the commas up to the closing bracket.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                part.push(c);
                let mut is_escaped = false;
                for c in rest.by_ref() {
                    part.push(c);
                    if c == '"' && !is_escaped {
                        break;
                    }
                    is_escaped = c == '\\' && !is_escaped;
                }
                continue;
            }
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' if depth == 0 => break,
            ')' | '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    parts
}

/// The texts in an expression, values as `…`.
fn literals(part: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = part;
    while let Some(begin) = rest.find('"') {
        let mut end = begin + 1;
        let bytes = rest.as_bytes();
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let text = unescaped(&rest[begin + 1..end.min(rest.len())]);
        // Separators of lists say nothing.
        if text.chars().any(char::is_alphanumeric) || text.contains('…') {
            found.push(text);
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    found
}

fn words(part: &str) -> String {
    literals(part).join(" / ")
}

fn unescaped(literal: &str) -> String {
    let mut text = String::new();
    let mut rest = literal.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some('\n')) => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            ('\\', Some(_)) => text.extend(rest.next()),
            ('{' | '}', Some(next)) if *next == c => text.extend(rest.next()),
            ('{', _) => {
                while rest.next().is_some_and(|c| c != '}') {}
                text.push('…');
            }
            _ => text.push(c),
        }
    }
    text
}

/// As a cell of a table; what the program puts together from values alone is `…`.
fn cell_text(text: &str) -> String {
    if text.is_empty() {
        return "…".to_owned();
    }
    text.replace('|', "\\|").replace('\n', " ")
}
