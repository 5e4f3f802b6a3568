//! The local store keeps what it was given, and refuses what it cannot trust.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::Path;

use peer::core::ids::{Boot, JobName, NodeId};
use peer::store::database::FILE_NAME;
use peer::store::{RunFile, Store, StoreError};
use serde_json::{Value, json};

fn node() -> NodeId {
    NodeId("0123456789abcdef".into())
}

fn open(dir: &Path) -> Store {
    Store::open(dir, node).unwrap()
}

fn refused(dir: &Path) -> StoreError {
    match Store::open(dir, node) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

#[test]
fn reopening_keeps_records_and_identity_and_the_boot_grows() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    first
        .put_job(&JobName("orders".into()), &json!({"name": "orders", "new_field": [1]}))
        .unwrap();
    first.put_job(&JobName("users".into()), &json!({"name": "users"})).unwrap();
    assert_eq!(first.identity(), (node(), Boot(1)));
    drop(first);

    let again = Store::open(dir.path(), || panic!("a known store needs no new id")).unwrap();
    assert_eq!(again.identity(), (node(), Boot(2)));
    let loaded = again.load_jobs::<Value>().unwrap();
    assert_eq!(
        loaded.records,
        [json!({"name": "orders", "new_field": [1]}), json!({"name": "users"})]
    );
    assert!(loaded.quarantined.is_empty());
}

#[test]
fn a_draining_peer_still_drains_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(!store.is_draining().unwrap());
    assert!(!store.set_draining(false).unwrap(), "it did not drain");
    assert!(store.set_draining(true).unwrap());
    assert!(!store.set_draining(true).unwrap(), "it did already");
    drop(store);
    let store = open(dir.path());
    assert!(store.is_draining().unwrap());
    assert!(store.set_draining(false).unwrap());
    assert!(!store.is_draining().unwrap());
}

#[test]
fn no_dot_is_given_out_twice_even_across_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let store = open(dir.path());
        for _ in 0..150 {
            let dot = store.next_dot().unwrap();
            assert!(dot > last, "found {dot} after {last}");
            last = dot;
        }
    }
}

#[test]
fn a_record_that_does_not_decode_is_set_aside_and_kept() {
    #[derive(Debug, serde::Deserialize)]
    struct Strict {
        #[serde(rename = "name")]
        _name: String,
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.put_job(&JobName("bad".into()), &json!({"nam": 1})).unwrap();
    store.put_job(&JobName("good".into()), &json!({"name": "good"})).unwrap();
    for _ in 0..2 {
        let loaded = store.load_jobs::<Strict>().unwrap();
        assert_eq!(loaded.records.len(), 1);
        assert_eq!(loaded.quarantined.len(), 1);
        assert_eq!(loaded.quarantined[0].name, JobName("bad".into()));
        assert_eq!(loaded.quarantined[0].bytes, br#"{"nam":1}"#);
        assert!(
            loaded.quarantined[0].reason.contains("name"),
            "{}",
            loaded.quarantined[0].reason
        );
    }
}

#[test]
fn a_second_open_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.fault().to_string().contains("another peer uses this data_dir"));
    first.put_job(&JobName("orders".into()), &json!({})).unwrap();
    drop(first);
    assert_eq!(
        open(dir.path()).identity().1,
        Boot(2),
        "the refused open did not count as a start"
    );
}

fn flipped(bytes: &[u8], at: usize, count: usize) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for byte in &mut damaged[at..at + count] {
        *byte ^= 0xa5;
    }
    damaged
}

#[test]
fn a_damaged_file_is_refused_with_its_name_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    let store = open(dir.path());
    for n in 0..50 {
        let name = JobName(format!("job-{n}"));
        store
            .put_job(&name, &json!({"name": name, "text": "x".repeat(2000)}))
            .unwrap();
    }
    drop(store);
    let good = fs::read(&file).unwrap();
    let page_of_a_record = good.windows(64).position(|window| window == [b'x'; 64]).unwrap();
    let damages = [
        ("not a database", b"hello, this is not a database".repeat(300)),
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("magic number", flipped(&good, 0, 8)),
        ("record bytes", flipped(&good, page_of_a_record, 64)),
    ];
    for (what, bytes) in damages {
        fs::write(&file, &bytes).unwrap();
        let error = refused(dir.path());
        assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error}");
        let text = error.fault().to_string();
        assert!(
            text.contains("peer.redb") && text.contains("move the file away"),
            "{what}: {text}"
        );
        assert!(fs::read(&file).unwrap() == bytes, "{what}: the file was changed");
    }
    fs::write(&file, good).unwrap();
    assert_eq!(open(dir.path()).load_jobs::<Value>().unwrap().records.len(), 50);
}

#[test]
fn the_run_file_is_written_whole_read_back_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(RunFile::read(dir.path()).unwrap(), None);
    let run = RunFile {
        pid: 42,
        name: "sh-1".into(),
        peer: "127.0.0.1:7700".into(),
        admin: "127.0.0.1:7701".into(),
        http: "127.0.0.1:7702".into(),
    };
    run.write(dir.path()).unwrap();
    assert_eq!(RunFile::read(dir.path()).unwrap(), Some(run));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    RunFile::remove(dir.path()).unwrap();
    RunFile::remove(dir.path()).unwrap();
    assert_eq!(RunFile::read(dir.path()).unwrap(), None);
}
