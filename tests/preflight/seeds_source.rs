//! What can be wrong on the source.

use peer::core::change::BinlogPosition;
use peer::core::gtid_set::GtidSet;
use peer::core::job_spec::{JobSpec, Secret, StartPoint, TlsMode};
use peer::core::shape::TableName;
use peer::core::table_choice::{NamePattern, Renaming, TablePattern, TableRule};

use super::bed::{Bed, On, Seed, seed};
use super::support::servers::servers;

const GRANTED: [&str; 2] = ["CREATE USER {u} IDENTIFIED BY 'right'", "GRANT SELECT ON {s}.* TO {u}"];
const GONE: [&str; 1] = ["DROP USER IF EXISTS {u}"];

/// Takes another table of the job's schema instead of `a`.
fn table(bed: &Bed, name: &'static str) -> impl Fn(&mut JobSpec) + Send + Sync + 'static {
    let schema = bed.schema.base.clone();
    move |spec| {
        spec.tables = vec![TableName {
            schema: schema.clone(),
            table: name.into(),
        }];
    }
}

/// Logs in to the source as the bed's own account.
fn as_user(bed: &Bed, password: &'static str) -> impl Fn(&mut JobSpec) + Send + Sync + 'static {
    let user = bed.user.clone();
    move |spec| {
        spec.source.endpoint.user = user.clone();
        spec.source.endpoint.password = Secret::Text(password.into());
    }
}

pub fn seeds(bed: &Bed) -> Vec<Seed> {
    let mut seeds = access(bed);
    seeds.extend(settings());
    seeds.extend(starts());
    seeds.extend(tables(bed));
    seeds
}

fn access(bed: &Bed) -> Vec<Seed> {
    vec![
        seed("a wrong password", "PEER1351")
            .does(On::Source, &GRANTED)
            .undone(On::Source, &GONE)
            .spec(as_user(bed, "wrong"))
            .fails("{u}"),
        seed("an account that may not replicate", "PEER1360")
            .does(On::Source, &GRANTED)
            .undone(On::Source, &GONE)
            .spec(as_user(bed, "right"))
            .fails("no REPLICATION SLAVE, REPLICATION CLIENT, XA_RECOVER_ADMIN")
            .mended(On::Source),
        seed("an account that may not ask for the position", "PEER1361")
            .does(On::Source, &GRANTED)
            .undone(On::Source, &GONE)
            .spec(as_user(bed, "right"))
            .fails("1227")
            .mended(On::Source),
        seed("a table that the account may not read", "PEER1362")
            .does(
                On::Source,
                &[
                    "CREATE USER {u} IDENTIFIED BY 'right'",
                    "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {u}",
                ],
            )
            .undone(On::Source, &GONE)
            .spec(as_user(bed, "right"))
            .fails("no such table on the source, or no privilege"),
        seed("a role that is granted and not active", "PEER1360")
            .does(On::Source, &GRANTED)
            .does(
                On::Source,
                &[
                    "CREATE ROLE {u}_role",
                    "GRANT REPLICATION SLAVE, REPLICATION CLIENT, XA_RECOVER_ADMIN ON *.* TO {u}_role",
                    "GRANT {u}_role TO {u}",
                ],
            )
            .undone(On::Source, &GONE)
            .undone(On::Source, &["DROP ROLE IF EXISTS {u}_role"])
            .spec(as_user(bed, "right"))
            .fails("no REPLICATION SLAVE"),
        seed("a table without a key that is too large", "PEER1834")
            .does(
                On::Source,
                &[
                    "CREATE TABLE {s}.large (v LONGBLOB)",
                    "INSERT INTO {s}.large SELECT REPEAT('x', 10485760) FROM (VALUES ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7)) v",
                    "ANALYZE TABLE {s}.large",
                ],
            )
            .undone(On::Source, &["DROP TABLE {s}.large"])
            .spec(table(bed, "large"))
            .warns("{s}.large of some")
            .mended(On::Source),
        seed("an account that may not lock", "PEER1829")
            .does(On::Source, &GRANTED)
            .does(On::Source, &["CREATE TABLE {s}.k (v INT)"])
            .undone(On::Source, &GONE)
            .undone(On::Source, &["DROP TABLE {s}.k"])
            .spec({
                let (user, keyless) = (as_user(bed, "right"), table(bed, "k"));
                move |spec| {
                    user(spec);
                    keyless(spec);
                }
            })
            .warns("not granted for {s}.k")
            .mended(On::Source),
        // An address that is this machine's own, written so that it does not look it.
        seed("a connection without TLS", "PEER1801")
            .spec(|spec| {
                spec.source.endpoint.host = "127.1".into();
                spec.source.endpoint.tls = TlsMode::Disabled;
            })
            .warns("not encrypted"),
        seed("a password in the job's text", "PEER1802")
            .does(On::Source, &GRANTED)
            .undone(On::Source, &GONE)
            .spec(as_user(bed, "right"))
            .warns("it stands in the job's text"),
    ]
}

fn settings() -> Vec<Seed> {
    let sets = |name, id, variable: &str, value: &str, old: &str| seed(name, id).sets(On::Source, variable, value, old);
    vec![
        sets(
            "statements in the binlog",
            "PEER1356",
            "binlog_format",
            "'STATEMENT'",
            "'ROW'",
        )
        .fails("STATEMENT")
        .mended(On::Source),
        sets(
            "parts of rows in the binlog",
            "PEER1357",
            "binlog_row_image",
            "'MINIMAL'",
            "'FULL'",
        )
        .warns("MINIMAL")
        .mended(On::Source),
        sets(
            "changes of JSON documents in the binlog",
            "PEER1358",
            "binlog_row_value_options",
            "'PARTIAL_JSON'",
            "''",
        )
        .warns("PARTIAL_JSON")
        .mended(On::Source),
        sets("binlog_order_commits off", "PEER1359", "binlog_order_commits", "OFF", "ON")
            .fails("OFF")
            .mended(On::Source),
        sets("a binlog without checksums", "PEER1803", "binlog_checksum", "NONE", "CRC32")
            .warns("NONE")
            .mended(On::Source),
        seed("server_id 0", "PEER1804")
            .does(On::Source, &["SET @@GLOBAL.server_id = 0"])
            .undone(
                On::Source,
                &["SET GLOBAL server_id = 4000000001", "RESET PERSIST IF EXISTS server_id"],
            )
            .fails("0")
            .mended(On::Source),
        sets(
            "a binlog that is kept for a minute",
            "PEER1806",
            "binlog_expire_logs_seconds",
            "60",
            "86400",
        )
        .warns("60 s")
        .mended(On::Source),
    ]
}

fn starts() -> Vec<Seed> {
    let gtid = |text: &str| {
        let set = GtidSet::parse(text).expect("a set");
        move |spec: &mut JobSpec| spec.source.start = StartPoint::Gtid(set.clone())
    };
    vec![
        seed("a set that the source never executed", "PEER1807")
            .spec(gtid("11111111-1111-1111-1111-111111111111:1-7"))
            .fails("has not executed 11111111-1111-1111-1111-111111111111:1-7"),
        seed("a binlog file that is not there", "PEER1807")
            .spec(|spec| {
                spec.source.start = StartPoint::File(BinlogPosition {
                    file: "binlog.999999".into(),
                    offset: 4,
                });
            })
            .fails("no file binlog.999999"),
        // The other way round: purging the target's binlog hurts nobody.
        seed("a start whose binlog is purged", "PEER1807")
            .does(
                On::Target,
                &[
                    "CREATE DATABASE {s}",
                    "CREATE TABLE {s}.a (id INT PRIMARY KEY)",
                    "FLUSH BINARY LOGS",
                    "SET @sql = (SELECT 1)",
                    "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY",
                ],
            )
            .undone(On::Target, &["DROP DATABASE IF EXISTS {s}"])
            .spec(move |spec| {
                gtid("")(spec);
                std::mem::swap(&mut spec.source.endpoint, &mut spec.sink.endpoint);
            })
            .fails("is purged"),
        seed("a prepared transaction", "PEER1808")
            .does(
                On::Source,
                &["XA START 'left'; INSERT INTO {s}.a VALUES (77); XA END 'left'; XA PREPARE 'left'"],
            )
            .warns("X'6C656674',X'',1")
            .mended(On::Source),
    ]
}

fn tables(bed: &Bed) -> Vec<Seed> {
    vec![
        seed("a table that is not there", "PEER1362")
            .spec(table(bed, "nowhere"))
            .fails("no such table"),
        seed("what was not looked at", "PEER1828")
            .spec(table(bed, "nowhere"))
            .warns("1 of the job's tables"),
        seed("an engine without transactions", "PEER1362")
            .does(On::Source, &["CREATE TABLE {s}.old (id INT PRIMARY KEY) ENGINE=MyISAM"])
            .undone(On::Source, &["DROP TABLE {s}.old"])
            .spec(table(bed, "old"))
            .fails("MyISAM")
            .mended(On::Source),
        seed("a table without a key", "PEER1362")
            .does(On::Source, &["CREATE TABLE {s}.k (v INT)"])
            .undone(On::Source, &["DROP TABLE {s}.k"])
            .spec(table(bed, "k"))
            .warns("no key")
            .mended(On::Source),
        seed("a trigger on the source", "PEER1809")
            .does(
                On::Source,
                &["CREATE TRIGGER {s}.before_a BEFORE INSERT ON {s}.a FOR EACH ROW SET NEW.id = NEW.id"],
            )
            .undone(On::Source, &["DROP TRIGGER {s}.before_a"])
            .warns("trigger {s}.before_a"),
        seed("an event on the source", "PEER1809")
            .does(
                On::Source,
                &["CREATE EVENT {s}.nightly ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' DISABLE DO DELETE FROM {s}.a"],
            )
            .undone(On::Source, &["DROP EVENT {s}.nightly"])
            .warns("event {s}.nightly"),
        seed("a parent outside of the job", "PEER1810")
            .does(
                On::Source,
                &["CREATE TABLE {s}.child (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES {s}.a (id))"],
            )
            .undone(On::Source, &["DROP TABLE {s}.child"])
            .spec(table(bed, "child"))
            .warns("{s}.child refers to {s}.a")
            .mended(On::Source),
        seed("what an online schema change left behind", "PEER1830")
            .does(On::Source, &["CREATE TABLE {s}._a_old (id INT PRIMARY KEY)"])
            .undone(On::Source, &["DROP TABLE {s}._a_old"])
            .spec({
                let schema = bed.schema.base.clone();
                move |spec| {
                    spec.tables.clear();
                    spec.selection.rules = vec![TableRule {
                        which: TablePattern {
                            schema: NamePattern::Exact(schema.clone()),
                            table: None,
                        },
                        filter: None,
                        columns: Vec::new(),
                        to: Renaming::default(),
                        merge: false,
                    }];
                }
            })
            .warns("{s}._a_old"),
        seed("a source that is a target itself", "PEER1811")
            .does(
                On::Source,
                &[
                    "CREATE DATABASE {m}",
                    "CREATE TABLE {m}.fence (job INT) COMMENT = 'peer-meta v1'",
                ],
            )
            .undone(On::Source, &["DROP DATABASE IF EXISTS {m}"])
            .warns("{m}"),
        seed("one address on both sides", "PEER1364")
            .spec(|spec| spec.sink.endpoint.port = servers().source.port)
            .fails("both 127.0.0.1"),
        seed("one server under two names", "PEER1365")
            .spec(|spec| {
                spec.sink.endpoint.port = servers().source.port;
                spec.sink.endpoint.host = "127.1".into();
            })
            .fails("one server"),
    ]
}
