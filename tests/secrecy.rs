//! P8: nothing on the link is readable without the key. A relay between two peers records every datagram.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::UdpSocket;
use std::time::Duration;

use support::compare::assert_equal;
use support::job::JobFile;
use support::peers::TestCluster;
use support::relay::Relay;
use support::schema::TestSchema;
use support::servers::servers;
use support::wait::{has_all, until};

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_capture_of_the_peers_port_shows_no_row_text_in_plain() {
    const WORD: &str = "SECRETROWTEXTSECRETROWTEXT";
    let schema = TestSchema::new("secrecy").await;
    let base = &schema.base;
    let create = format!("CREATE TABLE {base}.t (id INT PRIMARY KEY, v VARCHAR(200))");
    let insert = |from: u32| {
        let rows: Vec<String> = (from..from + 500).map(|id| format!("({id}, '{WORD} {id}')")).collect();
        format!("INSERT INTO {base}.t VALUES {}", rows.join(","))
    };
    servers().source.run(&[&create, &insert(0)]).await;

    // The source peer is only known by the address of the relay, so all row traffic passes there.
    let mut cluster = TestCluster::new("secrecy");
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = Relay::start(&port.to_string(), true);
    cluster.add(
        "sh-1",
        "shanghai",
        &["--listen", &port.to_string(), "--advertise", &relay.front],
    );
    cluster.add("bj-1", "beijing", &[]);
    cluster.await_members(2);
    let mut job = JobFile::new("secrecy");
    job.extra = "[link]\ncompression = \"none\"\n".into();
    let file = support::guard::folder().join("secrecy.toml");
    std::fs::write(&file, job.text(&schema, &["t"])).unwrap();
    let done = cluster
        .any()
        .cli(&["submit", &file.display().to_string(), "--wait", "--timeout", "30s"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    servers().source.run(&[&insert(1000)]).await;
    let executed = servers().source.executed().await;
    tokio::task::block_in_place(|| {
        until("the target has everything", Duration::from_secs(20), || {
            has_all(&cluster.any().json(&["status", "secrecy"]).ok()?, &executed).then_some(())
        });
    });
    assert_equal(&servers().source, &servers().target, base, &["t"]).await;

    let capture = relay.captured();
    let has = |needle: &[u8]| capture.windows(needle.len()).any(|window| window == needle);
    assert!(
        capture.len() > 1000 * WORD.len(),
        "the rows did not pass the relay: {} bytes",
        capture.len()
    );
    assert!(!has(WORD.as_bytes()), "row text crossed the link in plain");
    assert!(!has(base.as_bytes()), "a schema name crossed the link in plain");
    assert!(!has(b"shanghai"), "gossip crossed the link in plain");
}
