//! Misconfigurations that last only while somebody is connected: readers of the source's binlog, sessions of an earlier owner.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use peer::core::finding::{Finding, Severity};
use peer::core::gtid_set::GtidSet;
use peer::core::job_spec::Secret;
use peer::mysql::source::reader::{Reader, ReaderOptions, Scope};

use super::bed::{Bed, On, REPLICA_NUMBER, REPLICA_UUID, Seed, WHOLE_SERVERS, statements};
use super::support::servers::servers;

fn of_id<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.id == id)
        .unwrap_or_else(|| panic!("no {id}: {findings:#?}"))
}

fn tell(name: &str, finding: &Finding) {
    let Finding { id, object, found, .. } = finding;
    println!("{id:<9} {:<5} {name:<46} {object}: {found}", finding.severity.word());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_binlog_that_has_the_jobs_uuid_or_number_is_told() {
    // Every bed has the same numbers.
    let _alone = WHOLE_SERVERS.write().await;
    let bed = Bed::new("replicas").await;
    let other_uuid = "0f0f0f0f-0000-8000-a000-000000000001";
    for (name, uuid, severity, says) in [
        ("a replica with the job's UUID", REPLICA_UUID, Severity::Fail, REPLICA_UUID),
        ("a replica with the job's number", other_uuid, Severity::Warn, "3000000001"),
    ] {
        let options = ReaderOptions {
            server_id: REPLICA_NUMBER,
            replica_uuid: uuid.into(),
            from: GtidSet::default(),
            heartbeat: Duration::from_secs(1),
        };
        let reader = Reader::open(&bed.spec.source.endpoint, options, Scope::new(Vec::new()))
            .await
            .unwrap();
        let findings = bed.check(&Seed::default()).await;
        reader.close().await;
        let found = of_id(&findings, "PEER1832");
        tell(name, found);
        assert_eq!(found.severity, severity, "{found:?}");
        assert!(found.found.contains(says) && !found.fix.is_empty(), "{found:?}");
        // The server forgets a replica when it next writes to it.
        for _ in 0..600 {
            let findings = bed.check(&Seed::default()).await;
            if of_id(&findings, "PEER1832").severity == Severity::Ok {
                break;
            }
            bed.run(On::Source, &["FLUSH BINARY LOGS".to_owned()]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(of_id(&bed.check(&Seed::default()).await, "PEER1832").severity, Severity::Ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_account_is_told_and_can_be_ended_after_the_fix() {
    let _shared = WHOLE_SERVERS.read().await;
    let bed = Bed::new("sessions").await;
    let run = async |statements: &[&str]| {
        let statements: Vec<String> = statements.iter().map(|one| (*one).to_owned()).collect();
        bed.run(On::Target, &statements).await.unwrap();
    };
    run(&[
        "CREATE USER {u} IDENTIFIED BY 'right'",
        "GRANT SELECT ON *.* TO {u}",
        "CREATE USER {u}_old IDENTIFIED BY 'right'",
        "CREATE DATABASE {m}",
        "CREATE TABLE {m}.session (job VARCHAR(64), conn_id BIGINT UNSIGNED, lock_name VARCHAR(64))",
    ])
    .await;
    let as_user = |user: &str| {
        let opts = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(servers().target.port)
            .user(Some(user.to_owned()))
            .pass(Some("right"));
        mysql_async::Conn::new(opts)
    };
    let mut old = as_user(&format!("{}_old", bed.user)).await.unwrap();
    let lock = format!("{}.lock", bed.user);
    let taken: Option<u8> = old.query_first(format!("SELECT GET_LOCK('{lock}', 0)")).await.unwrap();
    assert_eq!(taken, Some(1));
    run(&[&format!(
        "INSERT INTO {{m}}.session VALUES ('orders', {}, '{lock}')",
        old.id()
    )])
    .await;
    let user = bed.user.clone();
    let seed = super::bed::seed("a session of another account", "PEER1831").spec(move |spec| {
        spec.sink.endpoint.user = user.clone();
        spec.sink.endpoint.password = Secret::Text("right".into());
    });
    let findings = bed.check(&seed).await;
    let found = of_id(&findings, "PEER1831");
    tell(seed.name, found);
    let mut new = as_user(&bed.user).await.unwrap();
    let refused = new.query_drop(format!("KILL CONNECTION {}", old.id())).await.is_err();
    run(&statements(&found.fix)).await;
    new.disconnect().await.unwrap();
    let after = bed.check(&seed).await;
    let after = of_id(&after, "PEER1831").clone();
    let mut new = as_user(&bed.user).await.unwrap();
    let killed = new.query_drop(format!("KILL CONNECTION {}", old.id())).await;
    new.disconnect().await.unwrap();
    drop(old);
    run(&["DROP USER {u}", "DROP USER {u}_old", "DROP DATABASE {m}"]).await;
    assert_eq!(found.severity, Severity::Warn, "{found:?}");
    assert!(found.found.contains("of another account than"), "{found:?}");
    assert!(refused, "without the right the session cannot be ended");
    assert_eq!(after.severity, Severity::Ok, "{after:?}");
    killed.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_list_is_read_from_the_server_and_grows_behind_an_open_view() {
    let _shared = WHOLE_SERVERS.read().await;
    let bed = Bed::new("history").await;
    let length = async || {
        let findings = bed.check(&Seed::default()).await;
        let found = of_id(&findings, "PEER1833").found.clone();
        let (number, _) = found.split_once(' ').unwrap();
        number.parse::<u64>().unwrap_or_else(|_| panic!("{found}"))
    };
    let mut view = servers().source.conn().await;
    view.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.unwrap();
    bed.run(On::Source, &["INSERT INTO {s}.a VALUES (0)".to_owned()])
        .await
        .unwrap();
    let updates: Vec<String> = (0..200).map(|n| format!("UPDATE {{s}}.a SET id = {} ", n + 1)).collect();
    bed.run(On::Source, &updates).await.unwrap();
    let grown = length().await;
    view.disconnect().await.unwrap();
    assert!(grown >= 200, "{grown} after 200 transactions behind a view");
}
