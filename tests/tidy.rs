//! The code checks itself: layers, headers, sizes and banned calls, held as data.
//!
//! A rule that only stands in a document rots. A line that breaks one fails here with file, line and rule.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folder under `src/` and the folders it may import from the crate (docs/ARCHITECTURE.md).
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &["core"]),
    ("wire", &["core", "wire"]),
    ("config", &["core", "config"]),
    ("telemetry", &["core", "telemetry"]),
    ("mysql", &["core", "config", "telemetry", "mysql"]),
    ("transport", &["core", "wire", "config", "telemetry", "transport"]),
    ("store", &["core", "wire", "config", "telemetry", "store"]),
    ("gossip", &["core", "wire", "config", "telemetry", "transport", "gossip"]),
    (
        "flow",
        &[
            "core",
            "wire",
            "config",
            "telemetry",
            "mysql",
            "transport",
            "store",
            "gossip",
            "flow",
        ],
    ),
    (
        "actors",
        &[
            "core",
            "wire",
            "config",
            "telemetry",
            "mysql",
            "transport",
            "store",
            "gossip",
            "flow",
            "actors",
        ],
    ),
    ("admin", &["core", "config", "telemetry", "actors", "admin"]),
];

/// What pure code must not name: IO, clocks, randomness, logs, async (DESIGN 2.2).
const BANNED_IN_CORE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::time::Instant",
    "Instant::now",
    "SystemTime",
    "rand::",
    "tracing::",
    "tokio",
    "async fn",
    ".await",
    "Mutex",
    "println!",
    "mysql_async",
    "quinn",
    "ractor",
];

/// What no file may name.
const BANNED_EVERYWHERE: &[&str] = &[
    "todo!(",
    "unimplemented!(",
    "dbg!(",
    "FIXME",
    "TODO",
    "#[ignore",
    "mem::forget",
    "unbounded_channel",
];

/// Crates that one folder alone may name (STYLE 53).
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("chitchat::", &["gossip"]),
    ("redb::", &["store"]),
    ("quinn::", &["transport"]),
    ("axum::", &["admin"]),
    ("mysql_common::", &["mysql"]),
    ("mysql_async::", &["mysql"]),
    ("lz4_flex::", &["wire"]),
    ("bincode::", &["wire"]),
    ("ractor::", &["actors", "node"]),
    ("clap::", &["cli"]),
    ("ureq::", &["cli"]),
];

/// Most lines of code before `#[cfg(test)]`.
const CODE_LINES_MAX: usize = 400;

struct Source {
    /// Path below `src/`, with `/`.
    path: String,
    text: String,
    /// Lines before the tests.
    code: Vec<String>,
}

impl Source {
    fn folder(&self) -> &str {
        self.path.split('/').next().unwrap()
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .map(str::to_owned)
            .collect();
        let path = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        Source { path, text, code }
    };
    paths.into_iter().map(read).collect()
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap()
}

fn assert_clean(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

/// One breach per code line on which `find` names something.
fn breaches_in(sources: &[Source], find: impl Fn(&Source, &str) -> Vec<String>) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (at, line) in source.code.iter().enumerate() {
            for breach in find(source, without_comment(line)) {
                breaches.push(format!("src/{}:{}: {breach}", source.path, at + 1));
            }
        }
    }
    breaches
}

/// Folders named as `crate::folder` in one line.
fn imports(line: &str) -> Vec<&str> {
    let name = |at: usize| {
        let rest = &line[at + "crate::".len()..];
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    };
    line.match_indices("crate::").map(|(at, _)| name(at)).collect()
}

fn names_crate(line: &str, krate: &str) -> bool {
    let is_boundary = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'_';
    line.match_indices(krate)
        .any(|(at, _)| at == 0 || is_boundary(line.as_bytes()[at - 1]))
}

#[test]
fn no_layer_reaches_up() {
    let breaches = breaches_in(&sources(), |source, line| {
        let Some((_, allowed)) = LAYERS.iter().find(|(folder, _)| *folder == source.folder()) else {
            return vec![];
        };
        imports(line)
            .into_iter()
            .filter(|import| !allowed.contains(import))
            .map(|import| format!("imports `{import}`"))
            .collect()
    });
    assert_clean("a layer imports only itself and the layers below it", &breaches);
}

#[test]
fn core_is_pure() {
    let breaches = breaches_in(&sources(), |source, line| {
        let banned = BANNED_IN_CORE
            .iter()
            .filter(|banned| source.folder() == "core" && line.contains(**banned));
        banned.map(|banned| format!("`{banned}`")).collect()
    });
    assert_clean(
        "core does no IO, reads no clock, draws no random number, logs nothing, awaits nothing",
        &breaches,
    );
}

#[test]
fn one_folder_names_a_crate() {
    let breaches = breaches_in(&sources(), |source, line| {
        let foreign = OWNED_CRATES
            .iter()
            .filter(|(krate, folders)| names_crate(line, krate) && !folders.contains(&source.folder()));
        foreign
            .map(|(krate, folders)| format!("`{krate}` belongs to {folders:?}"))
            .collect()
    });
    assert_clean("an outside crate is named in its own folder only", &breaches);
}

#[test]
fn nothing_is_left_open() {
    let mut breaches = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            for banned in BANNED_EVERYWHERE.iter().filter(|banned| line.contains(**banned)) {
                breaches.push(format!("src/{}:{}: `{banned}`", source.path, at + 1));
            }
        }
    }
    assert_clean("nothing is left open and no queue is without a bound", &breaches);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let sources = sources();
    let breaches: Vec<String> = sources
        .iter()
        .filter(|s| !s.text.starts_with("//! "))
        .map(|s| format!("src/{}", s.path))
        .collect();
    assert_clean("each file opens with a //! header", &breaches);
}

#[test]
fn no_file_holds_a_second_concept() {
    let sources = sources();
    let long = sources.iter().filter(|source| source.code.len() > CODE_LINES_MAX);
    let breaches: Vec<String> = long
        .map(|source| format!("src/{}: {} lines of code", source.path, source.code.len()))
        .collect();
    assert_clean("a file has at most 400 lines of code before its tests", &breaches);
}

#[test]
fn the_median_file_is_small() {
    let mut sizes: Vec<usize> = sources().iter().map(|source| source.code.len()).collect();
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    assert!(median < 250, "the median file has {median} lines of code, expected below 250");
}

#[test]
fn no_file_is_a_drawer_for_odds_and_ends() {
    let drawers = ["util.rs", "utils.rs", "helper.rs", "helpers.rs", "common.rs", "misc.rs"];
    let sources = sources();
    let odd = sources
        .iter()
        .filter(|source| drawers.contains(&source.path.rsplit('/').next().unwrap()));
    let breaches: Vec<String> = odd.map(|source| format!("src/{}", source.path)).collect();
    assert_clean("a file is named after its concept", &breaches);
}

#[test]
fn an_import_that_reaches_up_is_seen() {
    assert_eq!(imports("use crate::flow::merger;"), ["flow"]);
    assert_eq!(imports("fn f(a: crate::actors::X, b: crate::core::Y)"), ["actors", "core"]);
    assert!(names_crate("use redb::Database;", "redb::"));
    assert!(!names_crate("use xredb::Database;", "redb::"));
}
