//! Every code that the program can print has a page in docs/errors, and every page a code.
//!
//! A person who reads `PEERnnnn` at night looks it up; a page that is missing or speaks of something else is worse than no
//! code. Also holds which folder may make which codes, so that two folders never use one code for two meanings.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use peer::admin::parse::NOT_YET;

/// Codes, and the folders or files of `src/` that may name them.
const GROUPS: &[(RangeInclusive<u16>, &[&str])] = &[
    (1001..=1049, &["config"]),
    (1051..=1069, &["admin", "cli", "node", "node.rs"]),
    (1101..=1199, &["config", "core"]),
    (1201..=1299, &["transport"]),
    (1301..=1399, &["mysql"]),
    (1401..=1499, &["flow"]),
    (1601..=1649, &["store"]),
    (1651..=1699, &["gossip"]),
    (1701..=1799, &["actors", "admin"]),
    (1801..=1849, &["mysql"]),
    (1851..=1869, &["core"]),
];

/// Codes that more than one file names, for one meaning, outside their group too. Every other code stands in one file.
const SHARED: &[(u16, &[&str])] = &[
    (1053, &["admin/refusal.rs", "cli/failure.rs"]),
    (1055, &["admin/http.rs", "admin/shell.rs"]),
    (1059, &["cli/client.rs", "cli/shell.rs"]),
    // What only a job that begins is refused for.
    (1121, &["core/check.rs", "core/table_choice.rs"]),
    (1122, &["core/check.rs", "core/table_merge.rs"]),
    (1123, &["core/check.rs", "core/table_map.rs"]),
    (1124, &["core/check.rs", "core/table_map.rs"]),
    (1211, &["node/parts.rs", "transport/key.rs"]),
    (1314, &["core/job_failure.rs", "mysql/error.rs"]),
    (1362, &["core/check.rs", "mysql/preflight/source_tables.rs"]),
    (1604, &["node/parts.rs", "store/error.rs"]),
    (1807, &["core/check.rs", "mysql/preflight/source_server.rs"]),
    (1822, &["core/check.rs", "mysql/preflight/pair.rs"]),
    (1824, &["core/check.rs", "mysql/preflight/target_tables.rs"]),
    (1826, &["core/check.rs", "core/table_writers.rs"]),
];

/// The parts of a page, in this order.
const SECTIONS: &[&str] = &["## Usual causes", "## What to do", "## What is left"];

/// Longest page. Trades completeness for being read at night.
const PAGE_LINES_MAX: usize = 45;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().ends_with("_tests.rs") {
            into.push(path);
        }
    }
}

/// The numbers behind `PEER` in a line: exactly four digits.
fn codes_in(line: &str) -> impl Iterator<Item = u16> + '_ {
    line.match_indices("PEER").filter_map(|(at, word)| {
        let digits: String = line[at + word.len()..].chars().take_while(char::is_ascii_digit).collect();
        (digits.len() == 4).then(|| digits.parse().expect("four digits"))
    })
}

/// The lines that are compiled into the program: no comments, nothing behind the tests' module.
fn program_lines(text: &str) -> impl Iterator<Item = &str> {
    let is_tests = |(line, next): &(&str, &str)| line.starts_with("#[cfg(test)]") && next.ends_with('{');
    let next = text.lines().skip(1).chain([""]);
    let lines = text.lines().zip(next).take_while(move |pair| !is_tests(pair));
    lines
        .map(|(line, _)| line)
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// Each code of the program, with the files below `src/` that name it.
fn codes_of_the_program() -> BTreeMap<u16, BTreeSet<String>> {
    let src = root().join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    let mut found: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        for code in program_lines(&text).flat_map(codes_in) {
            found.entry(code).or_default().insert(file.clone());
        }
    }
    assert!(
        found.len() > 50,
        "found only {} codes: does this test still read the sources?",
        found.len()
    );
    found
}

/// Each page's code and text.
fn pages() -> BTreeMap<u16, String> {
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(root().join("docs/errors")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let code = codes_in(&name).next().filter(|code| name == format!("PEER{code}.md"));
        let code = code.unwrap_or_else(|| panic!("docs/errors/{name}: expected PEERnnnn.md"));
        pages.insert(code, fs::read_to_string(&path).unwrap());
    }
    pages
}

fn title(code: u16, page: &str) -> Option<&str> {
    page.lines().next()?.strip_prefix(&format!("# PEER{code}: "))
}

fn assert_none(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let (codes, pages) = (codes_of_the_program(), pages());
    let without_page = codes.iter().filter(|(code, _)| !pages.contains_key(code));
    let without_code = pages.keys().filter(|code| !codes.contains_key(code));
    let breaches: Vec<_> = without_page
        .map(|(code, files)| format!("PEER{code} of {files:?} has no docs/errors/PEER{code}.md"))
        .chain(without_code.map(|code| format!("docs/errors/PEER{code}.md: nothing in src/ names this code")))
        .collect();
    assert_none("codes and pages belong together", &breaches);
}

#[test]
fn each_code_is_made_by_the_folders_of_its_group() {
    let mut breaches = Vec::new();
    for (code, files) in codes_of_the_program() {
        let mut groups = GROUPS.iter().filter(|(range, _)| range.contains(&code));
        let (Some((_, folders)), None) = (groups.next(), groups.next()) else {
            breaches.push(format!("PEER{code} of {files:?} is in no group, or in two"));
            continue;
        };
        for file in &files {
            let folder = file.split('/').next().unwrap();
            let is_shared = SHARED
                .iter()
                .any(|(shared, by)| *shared == code && by.contains(&file.as_str()));
            if !is_shared && !folders.contains(&folder) {
                breaches.push(format!("PEER{code} in {file}: a code of {folders:?}"));
            }
        }
    }
    assert_none("a code belongs to one group of folders", &breaches);
}

#[test]
fn a_code_stands_in_one_file_unless_its_meaning_is_shared() {
    let mut breaches = Vec::new();
    for (code, files) in codes_of_the_program() {
        let shared = SHARED.iter().find(|(shared, _)| *shared == code).map(|(_, files)| *files);
        let is_right = match shared {
            None => files.len() == 1,
            Some(expected) => files.iter().map(String::as_str).eq(expected.iter().copied()),
        };
        if !is_right {
            breaches.push(format!("PEER{code}: found in {files:?}, expected {shared:?} or one file"));
        }
    }
    assert_none("one code, one meaning", &breaches);
}

#[test]
fn a_page_has_its_title_and_its_parts_and_is_short() {
    let mut breaches = Vec::new();
    for (code, page) in pages() {
        if title(code, &page).is_none_or(str::is_empty) {
            breaches.push(format!("PEER{code}.md does not open with `# PEER{code}: …`"));
        }
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with("##")).collect();
        if headings != SECTIONS {
            breaches.push(format!("PEER{code}.md has the parts {headings:?}, expected {SECTIONS:?}"));
        }
        let lines = page.lines().count();
        if lines > PAGE_LINES_MAX {
            breaches.push(format!("PEER{code}.md has {lines} lines, expected at most {PAGE_LINES_MAX}"));
        }
    }
    assert_none("the form of a page", &breaches);
}

#[test]
fn pages_name_only_codes_and_commands_that_exist() {
    let pages = pages();
    let mut breaches = Vec::new();
    for (code, page) in &pages {
        let strangers = codes_in(page).filter(|named| !pages.contains_key(named));
        breaches.extend(strangers.map(|named| format!("PEER{code}.md names PEER{named}, which has no page")));
        let words = page.split("`peer ").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
            &rest[..end]
        });
        let later = words.filter(|word| NOT_YET.contains(word));
        breaches.extend(later.map(|word| format!("PEER{code}.md says `peer {word}`, which this version does not have")));
    }
    assert_none("a page must not send people astray", &breaches);
}

#[test]
fn the_index_lists_every_page_once_in_order_with_its_title() {
    let index = fs::read_to_string(root().join("docs/errors/README.md")).unwrap();
    let found: Vec<&str> = index.lines().filter(|line| line.starts_with("| [")).collect();
    let expected: Vec<String> = pages()
        .iter()
        .map(|(code, page)| format!("| [PEER{code}](PEER{code}.md) | {} |", title(*code, page).unwrap_or_default()))
        .collect();
    let missing = expected.iter().filter(|line| !found.contains(&line.as_str()));
    let foreign = found.iter().filter(|line| !expected.iter().any(|known| known == *line));
    let breaches: Vec<_> = missing
        .map(|line| format!("missing: {line}"))
        .chain(foreign.map(|line| format!("no such page: {line}")))
        .collect();
    assert_none("docs/errors/README.md", &breaches);
    assert!(
        found.iter().eq(expected.iter()),
        "docs/errors/README.md: a line twice or out of order"
    );
}

/// Codes of checks that `peer check` makes.
const CHECKS: &[RangeInclusive<u16>] = &[1351..=1369, 1801..=1869];

#[test]
fn the_page_of_all_checks_has_each_of_them_once_in_order() {
    let page = fs::read_to_string(root().join("docs/check.md")).unwrap();
    let of_line = |line: &str| line.strip_prefix("| [").map(|rest| codes_in(rest).next().unwrap_or_default());
    let found: Vec<u16> = page.lines().filter_map(of_line).collect();
    let is_check = |code: &u16| CHECKS.iter().any(|range| range.contains(code));
    let expected: Vec<u16> = pages().into_keys().filter(is_check).collect();
    assert_eq!(found, expected, "docs/check.md");
}
