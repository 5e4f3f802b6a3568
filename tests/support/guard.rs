//! Ends what a test started when the test process is gone, however it went.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The folder of this test process. The guard ends every process whose id stands in a `*.pid` file below it, stops the
/// servers (`*/socket`) and removes it.
pub fn folder() -> &'static Path {
    static GUARD: OnceLock<(PathBuf, Child)> = OnceLock::new();
    &GUARD.get_or_init(start).0
}

fn start() -> (PathBuf, Child) {
    let folder = tempfile::Builder::new()
        .prefix("peer-t")
        .tempdir()
        .expect("temporary folder")
        .keep();
    let script = r#"
        cat >/dev/null
        for f in "$1"/*.pid; do [ -f "$f" ] && kill -9 "$(cat "$f")" 2>/dev/null; done
        for d in "$1"/mysql-*; do [ -d "$d" ] && "$2" remove "$d" 2>/dev/null; done
        rm -rf "$1"
    "#;
    let child = Command::new("setsid")
        .args(["sh", "-c", script, "guard"])
        .arg(&folder)
        .arg(mysql_script())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the guard starts");
    (folder, child)
}

pub fn mysql_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mysql")
}
