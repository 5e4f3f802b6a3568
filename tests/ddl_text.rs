//! Changes of definitions that only the source's version or the client's character set makes readable.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use support::compare::schema_difference;
use support::job_bed::JobBed;
use support::servers::servers;

/// For what takes seconds on a quiet machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits until the schema has the same tables, definitions and rows on both sides.
fn await_same(bed: &JobBed) {
    let start = Instant::now();
    loop {
        let (source, target) = (&bed.source, &servers().target);
        let found = bed.runtime.block_on(schema_difference(source, target, &bed.schema.base));
        let Some(difference) = found else { return };
        assert!(start.elapsed() < LIMIT, "after {LIMIT:?}: {difference}\n{:#}", bed.status());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Runs statements as bytes of a client's character set; `{}` is the schema.
fn run_as(bed: &JobBed, charset: &str, statements: &[&[u8]]) {
    bed.runtime.block_on(async {
        let mut conn = bed.source.conn().await;
        conn.query_drop(format!("SET NAMES {charset}")).await.unwrap();
        conn.query_drop(format!("USE {}", bed.schema.base)).await.unwrap();
        for statement in statements {
            let ran = conn.query_drop(*statement).await;
            ran.unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(statement)));
        }
        conn.disconnect().await.unwrap();
    });
}

#[test]
fn p1_what_the_source_executed_in_a_comment_for_its_version_is_done() {
    let mut bed = JobBed::new("versions", &["t", "u"]);
    bed.on_source(&["INSERT INTO {}.t VALUES (1, 'one')", "INSERT INTO {}.u VALUES (1, 'one')"]);
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    bed.on_source(&[
        "ALTER TABLE {}.t ADD COLUMN c INT DEFAULT 3 /*!80023 INVISIBLE */",
        "/*!80030 ALTER TABLE {}.t ADD COLUMN d INT DEFAULT 4*/",
        "ALTER TABLE {}.t /*!90500 ADD COLUMN e INT DEFAULT 5, */ ADD COLUMN f INT DEFAULT 6 /*!99999 , ADD COLUMN never INT */",
        "INSERT INTO {}.t (id, v, c, d, e, f) VALUES (2, 'two', 1, 2, 3, 4)",
        "CREATE /*!80011 UNIQUE */ INDEX i ON {}.t (id, d)",
        "DROP TABLE /*!90000 IF EXISTS */ {}.u",
        "ALTER TABLE {}.t COMMENT '/*!90000 no comment */'",
        "INSERT INTO {}.t (id, v) VALUES (3, 'three')",
    ]);
    await_same(&bed);
    let shown =
        "SELECT GROUP_CONCAT(column_name ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = '{}'";
    assert_eq!(bed.text(&servers().target, shown), "id,v,c,d,e,f");
}

#[test]
fn p1_names_of_any_client_are_found() {
    let bed = JobBed::streaming("clients", &["客户", "café", "テーブル", "plain"]);
    bed.on_source(&[
        "INSERT INTO {}.客户 VALUES (1, 'one')",
        "INSERT INTO {}.café VALUES (1, 'one')",
        "INSERT INTO {}.テーブル VALUES (1, 'one')",
    ]);
    // The second byte of a character may be a quote or a backslash of ASCII.
    run_as(
        &bed,
        "gbk",
        &[
            b"ALTER TABLE `\xbf\xcd\xbb\xa7` ADD COLUMN `\xc3\xfb\xd7\xd6` VARCHAR(9) DEFAULT '\xb0\x5c' COMMENT '\xb0\x60'",
            b"CREATE INDEX `\xb0\x60` ON \xbf\xcd\xbb\xa7 (`\xc3\xfb\xd7\xd6`)",
            b"ALTER TABLE plain ADD COLUMN a VARBINARY(9) DEFAULT _binary'\xff\xfe', COMMENT '\xb0\x60'",
            b"INSERT INTO \xbf\xcd\xbb\xa7 VALUES (2, 'two', '\xc3\xfb')",
        ],
    );
    run_as(
        &bed,
        "latin1",
        &[
            b"ALTER TABLE caf\xe9 RENAME COLUMN v TO \xfc, ADD COLUMN e ENUM('\xe4','\x80') DEFAULT '\x80'",
            b"TRUNCATE caf\xe9",
            b"INSERT INTO caf\xe9 VALUES (5, 'f\xfcnf', '\xe4')",
        ],
    );
    run_as(
        &bed,
        "sjis",
        &[
            b"ALTER TABLE \x83\x65\x81\x5b\x83\x75\x83\x8b ADD COLUMN `\x83\x5c` INT DEFAULT 7, DROP COLUMN v",
            b"INSERT INTO \x83\x65\x81\x5b\x83\x75\x83\x8b VALUES (2, 8)",
        ],
    );
    run_as(
        &bed,
        "gb18030",
        &[b"RENAME TABLE \xbf\xcd\xbb\xa7 TO \xc3\xfb, plain TO \xbf\xcd\xbb\xa7, \xc3\xfb TO plain"],
    );
    await_same(&bed);
    assert_eq!(
        bed.await_status("caught up", |status| status["caught_up"] == true)["state"],
        "streaming"
    );
}

#[test]
fn p1_a_mapped_table_changes_as_a_client_of_another_character_set_wrote() {
    let mut bed = JobBed::new("mappedgbk", &[]);
    bed.on_source(&[
        "CREATE TABLE {}.客户 (id INT PRIMARY KEY, 名 VARCHAR(20), x INT)",
        "INSERT INTO {}.客户 VALUES (1, 'one', 1)",
    ]);
    bed.job.extra = bed.filled(
        "[[tables]]\nschema = \"{}\"\ntable = \"客户\"\nto = { table = \"customers\", columns = { \"名\" = \"name\" } }\n",
    );
    bed.cluster.add("one", "dc1", &[]);
    bed.submit();
    bed.await_state("streaming");
    run_as(
        &bed,
        "gbk",
        &[
            b"ALTER TABLE \xbf\xcd\xbb\xa7 ADD COLUMN `\xb0\x60` INT DEFAULT 4 COMMENT '\xb0\x5c', DROP COLUMN x",
            b"ALTER TABLE \xbf\xcd\xbb\xa7 MODIFY \xc3\xfb VARCHAR(40), ADD KEY `\xb0\x5c` (\xc3\xfb)",
            b"INSERT INTO \xbf\xcd\xbb\xa7 VALUES (2, '\xc3\xfb', 5)",
        ],
    );
    let start = Instant::now();
    let found = loop {
        let sql = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = '{}' AND table_name = 'customers' AND column_name = 'x'";
        let rows = "SELECT CONCAT(COUNT(*), '|', MAX(name)) FROM {}.customers";
        let found = (bed.target_number(sql), bed.text(&servers().target, rows));
        if found == (0, "2|名".to_owned()) || start.elapsed() > LIMIT {
            break found;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(found, (0, "2|名".to_owned()), "{:#}", bed.status());
}
