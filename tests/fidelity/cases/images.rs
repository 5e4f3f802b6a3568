//! Row images without all columns, changes of JSON documents instead of documents, and how events are cut and packed.

use crate::case::{Case, Way};

pub fn cases() -> Vec<Case> {
    let images = ["MINIMAL", "NOBLOB"];
    let mut cases: Vec<Case> = images.into_iter().flat_map(of_image).collect();
    cases.extend([
        partial_json("json_diffs", "FULL"),
        partial_json("json_diffs_minimal", "MINIMAL"),
        json_diffs_without_key(),
        mixed_images(),
        small_events(),
        compressed(),
        compressed_large(),
        many_columns(),
    ]);
    cases
}

/// `minimal_key` out of `key` for MINIMAL.
fn named(word: &str, image: &str) -> &'static str {
    format!("{}_{word}", image.to_lowercase()).leak()
}

fn of_image(image: &str) -> Vec<Case> {
    vec![
        defaults(image),
        keys(image),
        blobs(image),
        without_key(image),
        replaced(image),
        unstrict(image),
    ]
}

/// What an INSERT leaves out has the value of its default, whatever kind that is.
fn defaults(image: &str) -> Case {
    Case::new(named("defaults", image))
        .set(format!("binlog_row_image = {image}, time_zone = '+05:00'"))
        .table(
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, i INT DEFAULT -7, u BIGINT UNSIGNED DEFAULT 18446744073709551615, \
             s VARCHAR(20) DEFAULT 'ä''\\\\x', g VARCHAR(20) CHARACTER SET gbk DEFAULT '中', c CHAR(5) DEFAULT 'c', b BINARY(4) DEFAULT 'ab', \
             vb VARBINARY(9) DEFAULT x'00ff00', bt BIT(11) DEFAULT b'10110101', e ENUM('x','y','z') DEFAULT 'y', \
             st SET('p','q','r') DEFAULT 'p,r', f FLOAT DEFAULT 16777216, d DOUBLE DEFAULT 0.1, dc DECIMAL(9,3) DEFAULT -1.5, y YEAR DEFAULT 1999, \
             da DATE DEFAULT '2020-02-29', ti TIME(2) DEFAULT '-838:59:58.5', dt DATETIME(6) DEFAULT '2001-02-03 04:05:06.123456', \
             ts TIMESTAMP(3) DEFAULT '2020-01-01 00:00:00.5', now TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, \
             ex INT DEFAULT (i * 2), uu VARCHAR(40) DEFAULT (UUID()), js JSON DEFAULT (JSON_OBJECT('a', 1)), tx TEXT DEFAULT ('text'), \
             bl BLOB, nn INT NOT NULL DEFAULT 5, gv INT AS (i + 1) VIRTUAL, gs VARCHAR(50) AS (CONCAT(s, c)) STORED, nothing VARCHAR(3))",
        )
        .write("INSERT INTO t () VALUES ()")
        .write("INSERT INTO t (i) VALUES (1), (2), (3)")
        .write("INSERT INTO t (s, bl, js) VALUES ('given', 'blob', '[1]')")
        .write("UPDATE t SET i = 9 WHERE id = 1")
        .write("UPDATE t SET now = now, tx = 'other' WHERE id = 2")
        .write("INSERT INTO t (id, i) VALUES (2, 5) ON DUPLICATE KEY UPDATE s = 'was there', dt = DEFAULT")
        .write("DELETE FROM t WHERE id = 3")
        .write("INSERT INTO t (id) VALUES (3)")
}

/// Keys of all kinds, changed and shifted.
fn keys(image: &str) -> Case {
    Case::new(named("keys", image))
        .set(format!("binlog_row_image = {image}"))
        .table("CREATE TABLE pk (id INT PRIMARY KEY, a INT, u INT UNIQUE, v VARCHAR(9) DEFAULT 'v')")
        .table("CREATE TABLE two (a ENUM('x','y'), b VARBINARY(9), c INT, d TEXT, PRIMARY KEY (b, a))")
        .table("CREATE TABLE uk (x INT, a INT NOT NULL, b CHAR(5) NOT NULL, c TEXT, UNIQUE KEY k (b, a))")
        .table("CREATE TABLE ci (s VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT)")
        .write("INSERT INTO pk (id, a, u) VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (0, 0, 0)")
        .write("UPDATE pk SET id = id + 10, a = a + 1 ORDER BY id DESC")
        .write("UPDATE pk SET id = id + 1 ORDER BY id DESC")
        .transaction(&[
            "UPDATE pk SET u = 99 WHERE id = 12",
            "UPDATE pk SET u = 1 WHERE id = 13",
            "UPDATE pk SET u = 2 WHERE id = 12",
        ])
        .transaction(&[
            "INSERT INTO pk (id, u) VALUES (50, 50)",
            "UPDATE pk SET a = 7 WHERE id = 50",
            "DELETE FROM pk WHERE id = 50",
            "INSERT INTO pk (id, v) VALUES (50, 'again')",
            "UPDATE pk SET id = 51, v = DEFAULT WHERE id = 50",
        ])
        .write("INSERT INTO two VALUES ('x', x'0100', 1, 't'), ('y', x'01', 2, NULL)")
        .write("UPDATE two SET a = 'y', d = 'new' WHERE a = 'x'")
        .write("UPDATE two SET c = c + 1")
        .write("DELETE FROM two WHERE b = x'01'")
        .write("INSERT INTO uk (a, b) VALUES (1, 'one'), (2, 'two')")
        .write("UPDATE uk SET x = a")
        .write("UPDATE uk SET b = 'three', c = REPEAT('c', 1000) WHERE a = 2")
        .write("DELETE FROM uk WHERE a = 1")
        .write("INSERT INTO ci VALUES ('Abc', 1)")
        .write("UPDATE ci SET s = 'aBC'")
        .write("UPDATE ci SET n = 2 WHERE s = 'abc'")
}

fn blobs(image: &str) -> Case {
    Case::new(named("blobs", image))
        .set(format!("binlog_row_image = {image}"))
        .table("CREATE TABLE t (id INT PRIMARY KEY, a INT, b LONGBLOB, x MEDIUMTEXT, j JSON, g GEOMETRY, n INT DEFAULT 4)")
        .write("INSERT INTO t VALUES (1, 1, REPEAT('b', 100000), 'x', '{\"a\": 1.50}', ST_GeomFromText('POINT(1 2)'), 1)")
        .write("INSERT INTO t (id, x) VALUES (2, 'only x')")
        .write("UPDATE t SET a = 2")
        .write("UPDATE t SET b = 'short', j = '[null]' WHERE id = 1")
        .write("UPDATE t SET x = NULL, g = ST_GeomFromText('POINT(3 4)', 4326)")
        .write("DELETE FROM t WHERE id = 2")
}

/// The image before is whole there; the one after is not.
fn without_key(image: &str) -> Case {
    Case::new(named("keyless", image))
        .set(format!("binlog_row_image = {image}"))
        .table("CREATE TABLE t (a INT, b INT DEFAULT 3, c TEXT, f FLOAT)")
        .write("INSERT INTO t (a) VALUES (1), (1), (2)")
        .write("INSERT INTO t VALUES (1, 3, 'text', 0.1), (NULL, NULL, NULL, NULL)")
        .write("UPDATE t SET b = 9 WHERE a = 1 LIMIT 1")
        .write("UPDATE t SET c = 'c', f = 0.2 WHERE c IS NOT NULL")
        .write("DELETE FROM t WHERE a = 1 LIMIT 1")
}

fn replaced(image: &str) -> Case {
    Case::new(named("replaced", image))
        .set(format!("binlog_row_image = {image}"))
        .table("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, a INT DEFAULT 5, b INT DEFAULT 6, c TEXT)")
        .table("CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20), at INT DEFAULT 1)")
        .table("CREATE TRIGGER added BEFORE INSERT ON t FOR EACH ROW SET NEW.b = NEW.a + 1")
        .table("CREATE TRIGGER changed AFTER UPDATE ON t FOR EACH ROW INSERT INTO log (what) VALUES ('changed')")
        .write("INSERT INTO t (id, u, c) VALUES (1, 1, 'c'), (2, 2, 'c')")
        .write("REPLACE INTO t (id, a) VALUES (1, 9)")
        .write("REPLACE INTO t (id, u) VALUES (3, 2)")
        .write("REPLACE INTO t (id, u) VALUES (1, 2)")
        .write("INSERT INTO t (id, a) VALUES (1, 2) ON DUPLICATE KEY UPDATE c = 'dup'")
        .write("INSERT IGNORE INTO t (id, a) VALUES (1, 2), (7, 7)")
}

/// NOT NULL columns without a default, which a session that is not strict may leave out.
fn unstrict(image: &str) -> Case {
    Case::new(named("unstrict", image))
        .set(format!("binlog_row_image = {image}, sql_mode = ''"))
        .table(
            "CREATE TABLE t (id INT PRIMARY KEY, i INT NOT NULL, s VARCHAR(9) NOT NULL, c CHAR(3) NOT NULL, b BINARY(3) NOT NULL, \
             e ENUM('one','two') NOT NULL, st SET('a') NOT NULL, f FLOAT NOT NULL, d DOUBLE NOT NULL, dc DECIMAL(12,5) NOT NULL, \
             bt BIT(9) NOT NULL, y YEAR NOT NULL, da DATE NOT NULL, ti TIME(3) NOT NULL, dt DATETIME(1) NOT NULL, tx TEXT NOT NULL, \
             ts TIMESTAMP NOT NULL, js JSON NOT NULL, bl BLOB NOT NULL)",
        )
        .write("INSERT INTO t (id) VALUES (1), (2)")
        .write("INSERT INTO t (id, tx) VALUES (3, 'given')")
        .write("UPDATE t SET i = 1 WHERE id = 2")
}

fn partial_json(name: &'static str, image: &str) -> Case {
    Case::new(name)
        .set(format!("binlog_row_image = {image}, binlog_row_value_options = 'PARTIAL_JSON'"))
        .table("CREATE TABLE t (id INT PRIMARY KEY, j JSON, k JSON, n INT, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)")
        .table("INSERT INTO t (id, j, k) VALUES (1, JSON_OBJECT('a', 1, 'b', JSON_ARRAY(1, 2, 3), 'pad', REPEAT('x', 500)), '[1, 2, 3]')")
        .table("INSERT INTO t (id, j, k) VALUES (2, JSON_OBJECT('a', JSON_OBJECT('x y', 1), 'pad', REPEAT('y', 500)), NULL)")
        .write("UPDATE t SET j = JSON_SET(j, '$.a', 2, '$.new', 'ä\\n')")
        .write("UPDATE t SET j = JSON_REMOVE(j, '$.b[1]'), n = 4 WHERE id = 1")
        .write("UPDATE t SET j = JSON_SET(j, '$.b[7]', 9), k = JSON_SET(k, '$[0]', NULL) WHERE id = 1")
        .write("UPDATE t SET j = JSON_REPLACE(JSON_SET(j, '$.\"x y\"', 9), '$.b[0]', JSON_ARRAY()) WHERE id = 1")
        .write("UPDATE t SET j = JSON_SET(j, '$.\"q\\\\\"''`\"', TRUE, '$.t', CAST('[1, {\"a\": null}]' AS JSON)) WHERE id = 2")
        .write("UPDATE t SET j = JSON_SET(j, '$.dec', CAST('1.10' AS DECIMAL(3,2)), '$.date', CAST('2020-01-02' AS DATE)) WHERE id = 2")
        .write("UPDATE t SET j = JSON_SET(j, '$.a', 2.0) WHERE id = 1")
        .write("UPDATE t SET j = JSON_SET(j, '$.bin', x'00ff', '$.u', 18446744073709551615, '$.f', 1e0) WHERE id = 1")
        .write("UPDATE t SET k = '{\"whole\": 1}', j = JSON_REMOVE(j, '$.pad') WHERE id = 1")
        .write("UPDATE t SET id = 3, j = JSON_SET(j, '$.new', 'moved') WHERE id = 2")
        .transaction(&[
            "INSERT INTO t (id, j) VALUES (9, JSON_OBJECT('pad', REPEAT('z', 300), 'a', 1))",
            "UPDATE t SET j = JSON_SET(j, '$.a', 2) WHERE id = 9",
            "UPDATE t SET j = JSON_SET(j, '$.a', 3) WHERE id = 9",
        ])
}

fn json_diffs_without_key() -> Case {
    Case::new("json_diffs_keyless")
        .set("binlog_row_value_options = 'PARTIAL_JSON'")
        .table("CREATE TABLE t (a INT, j JSON)")
        .table("INSERT INTO t VALUES (1, JSON_OBJECT('a', 1, 'pad', REPEAT('x', 500))), (1, JSON_OBJECT('a', 1, 'pad', REPEAT('x', 500)))")
        .write("UPDATE t SET j = JSON_SET(j, '$.a', 2) LIMIT 1")
        .write("UPDATE t SET j = JSON_SET(j, '$.b', 'b'), a = 2 LIMIT 1")
        .not(Way::Copy, "a table without a key is copied before its documents change")
}

/// Sessions with other images write the same rows.
fn mixed_images() -> Case {
    Case::new("mixed_images")
        .table("CREATE TABLE t (id INT PRIMARY KEY, a INT DEFAULT 1, b TEXT, u INT UNIQUE)")
        .write("INSERT INTO t (id, u) VALUES (1, 1), (2, 2), (3, 3)")
        .write_in(1, "SET binlog_row_image = MINIMAL")
        .write_in(1, "UPDATE t SET a = 2 WHERE id = 1")
        .write("UPDATE t SET b = 'b', u = u + 10 ORDER BY u DESC")
        .write_in(1, "UPDATE t SET id = 7 WHERE id = 1")
        .write("UPDATE t SET a = a + 1 WHERE id = 7")
        .write_in(1, "DELETE FROM t WHERE id = 2")
        .write("INSERT INTO t VALUES (2, 5, NULL, 12)")
        .write_in(2, "SET binlog_row_image = NOBLOB")
        .write_in(2, "UPDATE t SET a = 0")
}

/// Rows events are cut at 8 KiB.
fn small_events() -> Case {
    let rows: Vec<String> = (0..200).map(|id| format!("({id}, REPEAT('v', {id}))")).collect();
    Case::new("small_events")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
        .write(format!("INSERT INTO t VALUES {}", rows.join(", ")))
        .write("UPDATE t SET v = CONCAT(v, v)")
        .write("DELETE FROM t WHERE id % 3 = 0")
}

fn compressed() -> Case {
    Case::new("compressed")
        .set("binlog_transaction_compression = ON, binlog_transaction_compression_level_zstd = 1")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
        .table("CREATE TABLE keyless (v TEXT)")
        .transaction(&[
            "INSERT INTO t SELECT n, REPEAT('v', 300) FROM JSON_TABLE(CONCAT('[0', REPEAT(',0', 999), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j",
            "INSERT INTO keyless SELECT v FROM t LIMIT 10",
            "UPDATE t SET v = CONCAT(v, id)",
            "DELETE FROM t WHERE id % 2 = 0",
        ])
        .write("INSERT INTO t VALUES (5000, 'small')")
}

/// Some 30 MB in one transaction once inflated.
fn compressed_large() -> Case {
    Case::new("compressed_large")
        .set("binlog_transaction_compression = ON")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
        .write(
            "INSERT INTO t SELECT n, REPEAT('v', 3000) FROM \
             JSON_TABLE(CONCAT('[0', REPEAT(',0', 9999), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j",
        )
}

/// As many columns as InnoDB takes.
fn many_columns() -> Case {
    let columns: Vec<String> = (0..1016).map(|at| format!("c{at} TINYINT DEFAULT {}", at % 100)).collect();
    let set: Vec<String> = (0..1016).step_by(7).map(|at| format!("c{at} = NULL")).collect();
    Case::new("many_columns")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns.join(", ")))
        .write("INSERT INTO t (id) VALUES (1), (2), (3)")
        .write(format!("UPDATE t SET {} WHERE id = 2", set.join(", ")))
        .write_in(1, "SET binlog_row_image = MINIMAL")
        .write_in(1, "INSERT INTO t (id, c5) VALUES (4, NULL)")
        .write_in(1, format!("UPDATE t SET {} WHERE id = 3", set.join(", ")))
        .write("DELETE FROM t WHERE id = 1")
}
