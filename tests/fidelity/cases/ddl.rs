//! Definitions that change between the rows: each statement at its place, whichever way the rows travel.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    let mut cases = columns();
    cases.extend(indexes_and_constraints());
    cases.extend(of_partitions());
    cases.extend(as_written());
    cases.extend(whole_tables());
    cases.extend(databases_and_tools());
    cases
}

/// A case with `t (id INT PRIMARY KEY, v VARCHAR(20))` and a row that is there before.
fn with_t(name: &'static str) -> Case {
    Case::new(name)
        .table("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
        .table("INSERT INTO t VALUES (1, 'first')")
}

fn columns() -> Vec<Case> {
    vec![
        with_t("ddl_columns")
            .write("ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 7 FIRST, ADD COLUMN m JSON AFTER id")
            .write("INSERT INTO t VALUES (1, 2, '[1]', 'two')")
            .write("ALTER TABLE t MODIFY n BIGINT UNSIGNED NULL, RENAME COLUMN v TO w, DROP COLUMN m")
            .write("UPDATE t SET n = 18446744073709551615 WHERE id = 1")
            .write("ALTER TABLE t DROP COLUMN w, ADD COLUMN w VARCHAR(20) DEFAULT 'anew'")
            .write("INSERT INTO t (id) VALUES (3)"),
        with_t("ddl_present")
            .set("time_zone = '+05:30', timestamp = 1000000000.125")
            .write("ALTER TABLE t ADD COLUMN at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)")
            .write("ALTER TABLE t ADD COLUMN day DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)")
            .write("UPDATE t SET v = 'changed'")
            .write("INSERT INTO t (id) VALUES (2)"),
        with_t("ddl_charsets")
            .write("ALTER TABLE t CONVERT TO CHARACTER SET latin1")
            .write("INSERT INTO t VALUES (2, 'é')")
            .write("ALTER TABLE t DEFAULT CHARSET gbk, ADD COLUMN g TEXT, MODIFY v VARCHAR(30) COLLATE utf8mb4_bin")
            .write("UPDATE t SET g = '名', v = 'é€'"),
        with_t("ddl_labels")
            .write("ALTER TABLE t ADD e ENUM('a','b','c') DEFAULT 'b', ADD s SET('x','y') DEFAULT 'x,y'")
            .write("ALTER TABLE t MODIFY e ENUM('c','a','b','d'), MODIFY s SET('y','z','x')")
            .write("INSERT INTO t VALUES (2, 'two', 'd', 'z,x')"),
        with_t("ddl_generated")
            .write("ALTER TABLE t ADD g INT AS (id * 2) STORED, ADD h VARCHAR(40) AS (CONCAT(v, '!')) VIRTUAL, ADD i INT INVISIBLE DEFAULT 4")
            .write("INSERT INTO t (id, v, i) VALUES (2, 'two', 5)")
            .write("ALTER TABLE t DROP COLUMN h, ALTER COLUMN i SET VISIBLE, ALTER COLUMN v SET DEFAULT (UPPER('x'))")
            .write("INSERT INTO t (id, i) VALUES (3, 6)"),
        with_t("ddl_numbered")
            .write("ALTER TABLE t DROP PRIMARY KEY")
            .write("INSERT INTO t VALUES (1, 'first')")
            .write("ALTER TABLE t ADD number INT AUTO_INCREMENT PRIMARY KEY FIRST")
            .write("INSERT INTO t (id, v) VALUES (2, 'two')")
            .write("ALTER TABLE t AUTO_INCREMENT = 500"),
    ]
}

fn indexes_and_constraints() -> Vec<Case> {
    vec![
        with_t("ddl_indexes")
            .write("CREATE UNIQUE INDEX by_v ON t (v(9), id)")
            .write("CREATE FULLTEXT INDEX words ON t (v)")
            .write("ALTER TABLE t ADD INDEX up ((UPPER(v)), id DESC) COMMENT 'x' INVISIBLE, RENAME INDEX by_v TO of_v")
            .write("INSERT INTO t VALUES (2, 'two')")
            .write("DROP INDEX words ON t")
            .write("ALTER TABLE t ALTER INDEX up VISIBLE, DROP KEY of_v"),
        with_t("ddl_rekeyed")
            .write("ALTER TABLE t ADD code CHAR(3) NOT NULL DEFAULT 'x', DROP PRIMARY KEY, ADD PRIMARY KEY (code, id)")
            .write("UPDATE t SET code = 'y'")
            .write("INSERT INTO t VALUES (1, 'again', 'x')")
            .write("ALTER TABLE t DROP PRIMARY KEY, ADD UNIQUE KEY (code, id)")
            .write("DELETE FROM t WHERE code = 'x'"),
        Case::new("ddl_constraints")
            .table("CREATE TABLE p (id INT PRIMARY KEY)")
            .table("CREATE TABLE c (id INT PRIMARY KEY, p INT)")
            .table("INSERT INTO p VALUES (1), (2)")
            .table("INSERT INTO c VALUES (1, 1)")
            .write("ALTER TABLE c ADD CONSTRAINT up FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE, ADD CHECK (id > 0)")
            .write("INSERT INTO c VALUES (2, 2)")
            .write("DELETE FROM p WHERE id = 1")
            .write("ALTER TABLE c ADD w INT, ALTER CHECK c_chk_1 NOT ENFORCED")
            .write("ALTER TABLE c DROP FOREIGN KEY up, DROP CHECK c_chk_1"),
        with_t("ddl_options")
            .write("ALTER TABLE t ROW_FORMAT=COMPRESSED, KEY_BLOCK_SIZE=8, COMMENT='it''s', STATS_PERSISTENT=1")
            .write("ALTER TABLE t ENGINE=InnoDB, FORCE, ROW_FORMAT=DYNAMIC, KEY_BLOCK_SIZE=0")
            .write("INSERT INTO t VALUES (2, 'two')"),
    ]
}

fn of_partitions() -> Vec<Case> {
    let range = "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))";
    vec![
        Case::new("ddl_range")
            .table(format!("CREATE TABLE t (id INT PRIMARY KEY, v INT) {range}"))
            .table("INSERT INTO t VALUES (1, 1), (11, 11), (12, 12)")
            .write("ALTER TABLE t ADD PARTITION (PARTITION p2 VALUES LESS THAN (30), PARTITION p3 VALUES LESS THAN MAXVALUE)")
            .write("INSERT INTO t VALUES (21, 21), (99, 99)")
            .write("ALTER TABLE t TRUNCATE PARTITION p1")
            .write("ALTER TABLE t REORGANIZE PARTITION p2, p3 INTO (PARTITION p9 VALUES LESS THAN MAXVALUE)")
            .write("INSERT INTO t VALUES (13, 13)")
            .write("ALTER TABLE t DROP PARTITION p0"),
        with_t("ddl_hash")
            .write("ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 4")
            .write("INSERT INTO t VALUES (2, 'two'), (3, 'three'), (4, 'four')")
            .write("ALTER TABLE t COALESCE PARTITION 2")
            .write("ALTER TABLE t ADD PARTITION PARTITIONS 1")
            .write("UPDATE t SET v = 'x' WHERE id > 2")
            .write("ALTER TABLE t REMOVE PARTITIONING"),
        Case::new("ddl_exchange")
            .table(format!("CREATE TABLE t (id INT PRIMARY KEY, v INT) {range}"))
            .table("CREATE TABLE x (id INT PRIMARY KEY, v INT)")
            .table("INSERT INTO t VALUES (1, 1), (11, 11)")
            .table("INSERT INTO x VALUES (2, 2)")
            .write("ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x")
            .write("INSERT INTO t VALUES (3, 3)")
            .write("INSERT INTO x VALUES (4, 4)"),
    ]
}

/// What a text is made of besides its meaning.
fn as_written() -> Vec<Case> {
    vec![
        with_t("ddl_hints")
            .write("ALTER /* DROP TABLE t */ TABLE t -- t\n ADD # t\n COLUMN c INT DEFAULT 3")
            .write("CREATE TABLE made AS SELECT /*+ SET_VAR(sort_buffer_size = 1000000) NO_INDEX(t) */ id, v FROM t")
            .write("CREATE TABLE other (id INT PRIMARY KEY) /*!50100 PARTITION BY HASH (id) PARTITIONS 2 */")
            .write("INSERT /*+ SET_VAR(unique_checks = 0) */ INTO other VALUES (1)"),
        with_t("ddl_versions")
            .write("ALTER TABLE t ADD COLUMN c INT DEFAULT 3 /*!80023 INVISIBLE */")
            .write("/*!90000 ALTER TABLE t ADD COLUMN d INT DEFAULT 4 */")
            .write("ALTER TABLE t ADD COLUMN e INT /*!99999 , ADD COLUMN never INT */")
            .write("INSERT INTO t (id, v, c, d, e) VALUES (2, 'two', 1, 2, 3)"),
        with_t("ddl_ansi")
            .set("sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,STRICT_TRANS_TABLES'")
            .write("ALTER TABLE \"t\" ADD COLUMN \"a\"\"b\" VARCHAR(9) DEFAULT 'c\\'")
            .write("ALTER TABLE t ADD COLUMN \"g\" VARCHAR(40) AS (v || \"a\"\"b\") STORED, COMMENT '\\'")
            .write("CREATE TABLE \"o\"\"d\" (\"or\"\"d\" INT PRIMARY KEY, \"select\" VARCHAR(5) DEFAULT '\\')")
            .write("INSERT INTO \"o\"\"d\" VALUES (1, DEFAULT)"),
        with_t("ddl_names")
            .write("ALTER TABLE t ADD COLUMN `a``b.c d` INT, ADD COLUMN `имя 名` INT DEFAULT 2")
            .write("CREATE TABLE `dot.ted` (`a.b` INT PRIMARY KEY)")
            .write("INSERT INTO `dot.ted` VALUES (1)")
            .write("RENAME TABLE `dot.ted` TO `таблица`"),
    ]
}

fn whole_tables() -> Vec<Case> {
    vec![
        with_t("ddl_like")
            .write("CREATE TABLE l LIKE t")
            .write("INSERT INTO l VALUES (5, 'five')")
            .write("CREATE TABLE IF NOT EXISTS l LIKE t")
            .write("ALTER TABLE l ADD n INT DEFAULT 1"),
        with_t("ddl_select")
            .write("CREATE TABLE s AS SELECT id + 1 AS more, v, NOW(3) AS at FROM t")
            .write("CREATE TABLE k (id INT PRIMARY KEY, n INT DEFAULT 2) SELECT id, v FROM t")
            .write("INSERT INTO k (id) VALUES (9)")
            .write("CREATE TABLE IF NOT EXISTS k SELECT 1"),
        with_t("ddl_swapped")
            .table("CREATE TABLE u (id INT PRIMARY KEY, n INT)")
            .table("INSERT INTO u VALUES (7, 8)")
            .write("RENAME TABLE t TO tmp, u TO t, tmp TO u")
            .write("INSERT INTO t VALUES (9, 10)")
            .write("INSERT INTO u VALUES (2, 'two')")
            .write("ALTER TABLE u RENAME TO w, RENAME COLUMN v TO x")
            .write("ALTER TABLE w RENAME AS z"),
        with_t("ddl_dropped")
            .table("CREATE TABLE u (id INT PRIMARY KEY)")
            .write("DROP TABLE IF EXISTS t, nowhere, u")
            .write("CREATE TABLE t (id BIGINT PRIMARY KEY, other DATE)")
            .write("INSERT INTO t VALUES (4, '2020-02-29')"),
        with_t("ddl_partly_outside")
            .write("CREATE DATABASE x_{schema}")
            .write("CREATE TABLE x_{schema}.other (id INT PRIMARY KEY)")
            .write("CREATE TABLE u LIKE t")
            .write("DROP TABLE x_{schema}.other, u")
            .write("RENAME TABLE t TO x_{schema}.t")
            .write("CREATE TABLE t (id INT PRIMARY KEY)")
            .write("INSERT INTO t VALUES (3)")
            .write("DROP DATABASE x_{schema}"),
        with_t("ddl_emptied")
            .write("INSERT INTO t VALUES (2, 'two')")
            .write("TRUNCATE TABLE t")
            .write("INSERT INTO t VALUES (3, 'three')")
            .write("TRUNCATE t")
            .write("INSERT INTO t VALUES (4, 'four')"),
        with_t("ddl_temporary")
            .write("CREATE TEMPORARY TABLE t (id INT)")
            .write("ALTER TABLE t ADD c INT")
            .write("INSERT INTO t VALUES (1, 2)")
            .write("DROP TEMPORARY TABLE t")
            .write("INSERT INTO t VALUES (2, 'two')"),
    ]
}

fn databases_and_tools() -> Vec<Case> {
    vec![
        with_t("ddl_database")
            .write("ALTER DATABASE {schema} DEFAULT CHARACTER SET latin1")
            .write("CREATE TABLE l (id INT PRIMARY KEY, v VARCHAR(9))")
            .write("INSERT INTO l VALUES (1, 'é')")
            .write("ALTER TABLE t CONVERT TO CHARACTER SET DEFAULT")
            .write("CREATE DATABASE {schema}_more CHARACTER SET gbk")
            .write("CREATE TABLE {schema}_more.m (id INT PRIMARY KEY, v TEXT)")
            .write("INSERT INTO {schema}_more.m VALUES (1, '名')")
            .write("RENAME TABLE {schema}_more.m TO m")
            .write("CREATE TABLE {schema}_more.gone (id INT PRIMARY KEY)")
            .write("DROP DATABASE {schema}_more"),
        with_t("ddl_programs")
            .write("CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what INT)")
            .write("CREATE VIEW w AS SELECT * FROM t")
            .write("CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW INSERT INTO log (what) VALUES (NEW.id)")
            .write("CREATE PROCEDURE p() INSERT INTO t VALUES (8, 'called')")
            .write("CALL p()")
            .write("INSERT INTO t VALUES (2, 'two')")
            .write("DROP TRIGGER tr")
            .write("DROP VIEW w"),
        with_t("ddl_ghost")
            .write("CREATE TABLE _t_gho LIKE t")
            .write("ALTER TABLE _t_gho ADD COLUMN more INT DEFAULT 4")
            .write("INSERT INTO _t_gho (id, v) SELECT id, v FROM t")
            .write("CREATE TABLE _t_del (id INT AUTO_INCREMENT PRIMARY KEY) COMMENT='ghost-cut-over-sentry'")
            .write("DROP TABLE IF EXISTS _t_del")
            .write("RENAME TABLE t TO _t_del, _t_gho TO t")
            .write("INSERT INTO t VALUES (4, 'after the swap', 44)")
            .write("DROP TABLE IF EXISTS _t_del"),
    ]
}
