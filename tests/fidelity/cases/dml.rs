//! Every statement that changes rows, and what it leaves in the binlog.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    vec![
        replace(),
        on_duplicate(),
        insert_ignore(),
        many_tables(),
        savepoints(),
        nothing_changes(),
        on_update_now(),
        triggers(),
        temporary_tables(),
        tagged_gtids(),
        load_and_select(),
        xa(),
    ]
}

fn replace() -> Case {
    Case::new("replace")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        .table("CREATE TABLE u (id INT PRIMARY KEY, a INT UNIQUE, b INT UNIQUE, v INT)")
        .table("CREATE TABLE w (a INT UNIQUE, b INT UNIQUE, v INT)")
        .table("INSERT INTO t VALUES (1, 1), (2, 2)")
        .table("INSERT INTO u VALUES (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3), (4, NULL, NULL, 4)")
        .table("INSERT INTO w VALUES (1, 1, 1), (2, 2, 2), (NULL, NULL, 3)")
        .write("REPLACE INTO t VALUES (1, 10), (3, 3)")
        .write("REPLACE INTO t VALUES (1, 10)")
        .write("REPLACE INTO u VALUES (9, 1, 2, 90)")
        .write("REPLACE INTO u VALUES (3, 3, 3, 30)")
        .write("REPLACE INTO u VALUES (9, 3, 5, 91)")
        .write("REPLACE INTO w VALUES (1, 2, 9), (NULL, 7, 7)")
        .transaction(&[
            "REPLACE INTO u VALUES (1, 1, 1, 1)",
            "REPLACE INTO u VALUES (2, 1, 2, 2)",
            "REPLACE INTO u SELECT id + 10, v, v + 1, v FROM u",
        ])
}

fn on_duplicate() -> Case {
    Case::new("on_duplicate_key")
        .table("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, v INT DEFAULT 5)")
        .table("INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)")
        .write("INSERT INTO t (u) VALUES (1), (3) ON DUPLICATE KEY UPDATE v = v + 1")
        .write("INSERT INTO t VALUES (1, 9, 9) AS n ON DUPLICATE KEY UPDATE u = n.u + 10, v = n.v")
        .write("INSERT INTO t VALUES (2, 2, 2) ON DUPLICATE KEY UPDATE v = 2")
        .write("INSERT INTO t VALUES (7, 3, 1) ON DUPLICATE KEY UPDATE id = 70")
        .write("INSERT INTO t (u, v) SELECT u, v FROM t AS o ON DUPLICATE KEY UPDATE v = o.v * 2")
}

fn insert_ignore() -> Case {
    Case::new("insert_ignore")
        .set("sql_mode = ''")
        .table("CREATE TABLE t (id TINYINT PRIMARY KEY, u CHAR(3) UNIQUE)")
        .table("INSERT INTO t VALUES (1, 'one')")
        .write("INSERT IGNORE INTO t VALUES (1, 'two'), (2, 'one'), (3, 'three'), (1000, 'big')")
        .write("INSERT IGNORE INTO t VALUES (1, 'x')")
        .write("UPDATE IGNORE t SET id = id + 2 ORDER BY id")
        .write("DELETE IGNORE FROM t WHERE id = 127")
}

fn many_tables() -> Case {
    Case::new("multi_table")
        .table("CREATE TABLE a (id INT PRIMARY KEY, v INT)")
        .table("CREATE TABLE b (id INT PRIMARY KEY, a INT, v INT)")
        .table("CREATE TABLE c (a INT, v INT)")
        .table("INSERT INTO a VALUES (1, 0), (2, 0), (3, 0), (4, 0)")
        .table("INSERT INTO b VALUES (10, 1, 0), (20, 2, 0), (21, 2, 0), (30, 3, 0)")
        .table("INSERT INTO c VALUES (1, 0), (1, 0), (2, 0)")
        .write("UPDATE a JOIN b ON b.a = a.id SET a.v = a.v + 1, b.v = b.v + a.v + 5")
        .write("UPDATE a, b, c SET a.v = 7, b.v = 8, c.v = 9 WHERE a.id = b.a AND c.a = a.id AND a.id = 1")
        .write("DELETE a, b FROM a LEFT JOIN b ON b.a = a.id WHERE a.id IN (2, 4)")
        .write("DELETE FROM c USING c JOIN a ON a.id = c.a")
        .write("INSERT INTO c SELECT a.id, SUM(b.v) FROM a JOIN b ON b.a = a.id GROUP BY a.id")
        .write("WITH old AS (SELECT id FROM a WHERE v > 0) UPDATE b SET v = -1 WHERE a IN (SELECT id FROM old)")
}

fn savepoints() -> Case {
    Case::new("savepoints")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        .table("INSERT INTO t VALUES (1, 1)")
        .transaction(&[
            "INSERT INTO t VALUES (2, 2)",
            "SAVEPOINT one",
            "UPDATE t SET v = 9",
            "DELETE FROM t WHERE id = 1",
            "SAVEPOINT `tw o`",
            "INSERT INTO t VALUES (3, 3)",
            "ROLLBACK TO one",
            "INSERT INTO t VALUES (4, 4)",
            "SAVEPOINT one",
            "RELEASE SAVEPOINT one",
        ])
        .transaction(&["SAVEPOINT s", "INSERT INTO t VALUES (5, 5)", "ROLLBACK TO SAVEPOINT s"])
        .write("BEGIN; INSERT INTO t VALUES (6, 6); ROLLBACK")
        .write("BEGIN; INSERT INTO t VALUES (7, 7); COMMIT AND CHAIN; INSERT INTO t VALUES (8, 8); COMMIT")
}

fn nothing_changes() -> Case {
    Case::new("no_op_updates")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10), n FLOAT, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)")
        .table("INSERT INTO t (id, v, n) VALUES (1, 'a', 0.1), (2, NULL, NULL)")
        .write("UPDATE t SET v = v")
        .write("UPDATE t SET v = 'a' WHERE id = 1")
        .transaction(&["UPDATE t SET v = 'b' WHERE id = 1", "UPDATE t SET v = 'a' WHERE id = 1", "UPDATE t SET n = n"])
        .transaction(&["INSERT INTO t (id, v) VALUES (3, 'c')", "DELETE FROM t WHERE id = 3"])
        .write("UPDATE t SET v = 'x' WHERE id = 77")
        .write("DELETE FROM t WHERE id = 77")
}

fn on_update_now() -> Case {
    Case::new("on_update_timestamp")
        .set("time_zone = '+05:30'")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v INT, a TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), b DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, c TIMESTAMP NULL)")
        .table("INSERT INTO t (id, v) VALUES (1, 1), (2, 2), (3, 3)")
        .write("UPDATE t SET v = 10 WHERE id = 1")
        .write("UPDATE t SET v = 20, a = '2020-01-01 00:00:00.5', b = b WHERE id = 2")
        .write("UPDATE t SET a = a, b = '2021-01-01', c = '2022-01-01' WHERE id = 3")
        .write("UPDATE t SET id = id + 10 ORDER BY id DESC")
}

/// What triggers of the source do is in the binlog once; the target has no triggers.
fn triggers() -> Case {
    Case::new("source_triggers")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        .table("CREATE TABLE log (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))")
        .table("CREATE TRIGGER t_before BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v * 2")
        .table("CREATE TRIGGER t_after AFTER INSERT ON t FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT('in ', NEW.id, ' ', NEW.v))")
        .table("CREATE TRIGGER t_update AFTER UPDATE ON t FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT(OLD.v, ' to ', NEW.v))")
        .table("CREATE TRIGGER t_delete BEFORE DELETE ON t FOR EACH ROW DELETE FROM log WHERE what LIKE CONCAT('in ', OLD.id, ' %')")
        .write("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
        .write("UPDATE t SET v = v + 1")
        .write("REPLACE INTO t VALUES (2, 50)")
        .write("DELETE FROM t WHERE id = 1")
        .write("INSERT INTO t VALUES (3, 1) ON DUPLICATE KEY UPDATE v = 99")
}

fn temporary_tables() -> Case {
    Case::new("temporary_tables")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        .table("INSERT INTO t VALUES (1, 1), (2, 2)")
        .write_in(1, "CREATE TEMPORARY TABLE t (id INT, v INT)")
        .write_in(1, "INSERT INTO t VALUES (1, 100)")
        .write_in(1, "CREATE TEMPORARY TABLE other SELECT * FROM t")
        .write_in(1, "UPDATE t SET v = 5")
        .write("UPDATE t SET v = v + 1")
        .write_in(1, "DROP TEMPORARY TABLE t")
        .write_in(1, "INSERT INTO t SELECT id + 10, v FROM other")
        .write_in(1, "BEGIN; CREATE TEMPORARY TABLE third (a INT); INSERT INTO third VALUES (1); INSERT INTO t VALUES (50, 1); DROP TEMPORARY TABLE third; COMMIT")
        .write_in(1, "DROP TEMPORARY TABLE other")
}

fn tagged_gtids() -> Case {
    Case::new("tagged_gtids")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        .write_in(1, "SET gtid_next = 'AUTOMATIC:blue'; INSERT INTO t VALUES (1, 1)")
        .write("INSERT INTO t VALUES (2, 2)")
        .write_in(2, "SET gtid_next = 'AUTOMATIC:green_2'; UPDATE t SET v = v + 1")
        .write_in(1, "UPDATE t SET v = 50 WHERE id = 1")
        .write_in(1, "SET gtid_next = 'AUTOMATIC'; DELETE FROM t WHERE id = 2")
}

/// Many rows by one statement.
fn load_and_select() -> Case {
    Case::new("insert_select")
        .table("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(100), KEY (a))")
        .table("CREATE TABLE u LIKE t")
        .table("INSERT INTO t (a) VALUES ('x'), ('y')")
        .write("INSERT INTO t (a) SELECT CONCAT(o.a, t.a) FROM t JOIN t AS o")
        .write("INSERT INTO t (a) SELECT REPEAT(t.a, 5) FROM t JOIN t AS o JOIN t AS p")
        .write("INSERT INTO u SELECT * FROM t WHERE id % 2")
        .write("UPDATE t JOIN u ON u.id = t.id SET t.a = CONCAT('u', u.a), u.a = 'taken'")
        .write("DELETE t FROM t LEFT JOIN u ON u.id = t.id WHERE u.id IS NULL AND t.id % 3 = 0")
        .write("INSERT INTO t VALUES ROW(10000, 'row'), ROW(10001, 'row')")
}

fn xa() -> Case {
    Case::new("xa")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        .table("INSERT INTO t VALUES (1, 1), (2, 2)")
        .write_in(
            1,
            "XA START '{schema}', 'a'; UPDATE t SET v = 10 WHERE id = 1; XA END '{schema}', 'a'; XA PREPARE '{schema}', 'a'",
        )
        .write_in(
            2,
            "XA START '{schema}', 'b'; INSERT INTO t VALUES (3, 3); XA END '{schema}', 'b'; XA PREPARE '{schema}', 'b'",
        )
        .write("INSERT INTO t VALUES (4, 4)")
        .write_in(1, "XA ROLLBACK '{schema}', 'b'")
        .write("INSERT INTO t VALUES (5, 5)")
        .write_in(2, "XA COMMIT '{schema}', 'a'")
        .write_in(
            3,
            "XA START '{schema}', 'c'; DELETE FROM t WHERE id = 2; XA END '{schema}', 'c'; XA COMMIT '{schema}', 'c' ONE PHASE",
        )
}
