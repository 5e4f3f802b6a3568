//! What docs/filters.md says a `where` may say: each example there is taken or refused as it says, and each function is named there.

#![allow(clippy::unwrap_used)]

use peer::core::expr_check::FUNCTIONS;
use peer::core::row_filter::RowFilter;
use peer::core::shape::{Column, ColumnKind, TableName, TableShape};

const PAGE: &str = include_str!("../docs/filters.md");

/// The table of the examples, as the page describes it.
fn table() -> TableShape {
    let text = ColumnKind::VarChar { bytes_max: 80 };
    let members = vec!["new".to_owned(), "paid".to_owned()];
    let (wide, none) = (Some("utf8mb4_0900_ai_ci"), None);
    let columns = [
        (
            "id",
            ColumnKind::Int {
                bytes: 4,
                unsigned: false,
            },
            none,
        ),
        ("total", ColumnKind::Decimal { precision: 10, scale: 2 }, none),
        ("price", ColumnKind::Double, none),
        ("flags", ColumnKind::Bit { bits: 8 }, none),
        ("name", text, wide),
        ("code", ColumnKind::VarBinary { bytes_max: 8 }, none),
        ("day", ColumnKind::Date, none),
        ("at", ColumnKind::DateTime { fsp: 3 }, none),
        ("seen", ColumnKind::Timestamp { fsp: 0 }, none),
        ("lasts", ColumnKind::Time { fsp: 0 }, none),
        ("made", ColumnKind::Year, none),
        (
            "status",
            ColumnKind::Enum {
                members: members.clone(),
            },
            wide,
        ),
        ("tags", ColumnKind::Set { members }, wide),
        ("doc", ColumnKind::Json, none),
        ("place", ColumnKind::Geometry, none),
    ];
    let column = |(name, kind, collation): (&str, ColumnKind, Option<&str>)| Column {
        name: name.into(),
        kind,
        is_nullable: true,
        is_generated: false,
        charset: collation.map(|_| "utf8mb4".into()),
        collation: collation.map(str::to_owned),
    };
    TableShape {
        name: TableName {
            schema: "shop".into(),
            table: "orders".into(),
        },
        columns: columns.map(column).into(),
        key: None,
        has_secondary_unique: false,
        defaults: None,
        cascades: Vec::new(),
        create_sql: String::new(),
        map: None,
    }
}

/// The lines of the block under a heading: a filter, and after two blanks and `--` a remark.
fn examples(heading: &str) -> Vec<(&'static str, &'static str)> {
    let (_, rest) = PAGE.split_once(heading).unwrap_or_else(|| panic!("no `{heading}`"));
    let block = rest.split("```").nth(1).unwrap();
    let lines = block.lines().skip(1).filter(|line| !line.trim().is_empty());
    let found: Vec<_> = lines
        .map(|line| {
            let (filter, remark) = line.split_once("  -- ").unwrap_or((line, ""));
            (filter.trim(), remark.trim())
        })
        .collect();
    assert!(found.len() >= 10, "only {} under `{heading}`", found.len());
    found
}

#[test]
fn each_filter_that_the_page_says_is_taken_is_taken() {
    let table = table();
    let bad = examples("### Taken").into_iter().filter_map(|(filter, _)| {
        let refused = RowFilter::of(filter, &table).err()?;
        Some(format!("{filter}: {refused}"))
    });
    let bad: Vec<String> = bad.collect();
    assert!(bad.is_empty(), "refused:\n  {}", bad.join("\n  "));
}

#[test]
fn each_filter_that_the_page_says_is_refused_is_refused_and_the_page_says_why() {
    let table = table();
    let mut bad = Vec::new();
    for (filter, why) in examples("### Refused") {
        match RowFilter::of(filter, &table) {
            Ok(_) => bad.push(format!("{filter} is taken")),
            Err(_) if why.is_empty() => bad.push(format!("{filter} without a reason")),
            Err(told) => println!("{filter:<60} {told}"),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn the_page_names_each_function_and_a_word_that_looks_like_one_is_one() {
    let (_, rest) = PAGE.split_once("## What it may say").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let words: Vec<&str> = section
        .split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        .collect();
    let missing: Vec<&str> = FUNCTIONS
        .iter()
        .map(|function| function.name)
        .filter(|name| !words.contains(name))
        .collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    // Lists of functions stand between backquotes, in capitals; what is none of them is an operator or a type.
    let known = [
        "AND", "OR", "NOT", "NULL", "TRUE", "FALSE", "IN", "BETWEEN", "LIKE", "IS", "DIV", "MOD", "XOR", "IF", "CASE", "WHEN",
        "THEN", "ELSE", "END", "NOW", "CONCAT", "JSON", "SET", "YEAR", "ENUM",
    ];
    let table = table();
    for list in section.split('`').skip(1).step_by(2) {
        for word in list
            .split(' ')
            .filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()))
        {
            // Taken with one, two or three arguments of some class.
            let arguments = [
                "id",
                "name",
                "at",
                "id, id",
                "name, name",
                "name, 1",
                "'a', tags",
                "name, 'a', 'b'",
                "id > 1, 2, 3",
            ];
            let is_call = arguments
                .iter()
                .any(|arguments| RowFilter::of(&format!("{word}({arguments}) IS NULL"), &table).is_ok());
            assert!(
                is_call || known.contains(&word),
                "the page names `{word}`, which is not taken"
            );
        }
    }
}
