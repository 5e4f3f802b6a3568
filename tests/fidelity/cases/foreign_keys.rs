//! Foreign keys. Where the source logs their effects (from 9.6 on) each row event is applied as it is, and nothing happens twice; where
//! it does not (`innodb_native_foreign_keys`, as every server before 9.6) the engine of the target does the same.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    vec![
        cascades(),
        chain(),
        cycle_and_self(),
        parent_later(),
        unchecked(),
        minimal_cascades(),
        copied_out_of_order(),
    ]
}

fn cascades() -> Case {
    Case::new("fk_cascades")
        .table("CREATE TABLE parent (id INT PRIMARY KEY, v INT)")
        .table("CREATE TABLE on_cascade (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)")
        .table("CREATE TABLE on_null (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE SET NULL)")
        .table("CREATE TABLE on_nothing (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id))")
        .table("CREATE TABLE keyless (p INT, w INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)")
        .write("INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)")
        .write("INSERT INTO on_cascade VALUES (1, 1), (2, 1), (3, 2), (4, 3)")
        .write("INSERT INTO on_null VALUES (1, 1), (2, 2), (3, 3), (4, NULL)")
        .write("INSERT INTO on_nothing VALUES (1, 5)")
        .write("INSERT INTO keyless VALUES (1, 1), (1, 1), (2, 1), (3, 1)")
        .write("DELETE FROM parent WHERE id = 1")
        .write("UPDATE parent SET id = 20 WHERE id = 2")
        .transaction(&[
            "UPDATE parent SET id = id + 100 WHERE id IN (3, 20)",
            "INSERT INTO on_cascade VALUES (10, 103)",
            "DELETE FROM parent WHERE id = 103",
            "UPDATE on_nothing SET p = 4",
            "DELETE FROM parent WHERE id = 5",
        ])
        .write("REPLACE INTO parent VALUES (120, 9)")
}

fn chain() -> Case {
    Case::new("fk_chain")
        .table("CREATE TABLE a (id INT PRIMARY KEY)")
        .table("CREATE TABLE b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE ON UPDATE CASCADE)")
        .table("CREATE TABLE c (b INT, n INT, PRIMARY KEY (b, n), FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE ON UPDATE CASCADE)")
        .table("CREATE TABLE d (id INT PRIMARY KEY, b INT, n INT, FOREIGN KEY (b, n) REFERENCES c (b, n) ON DELETE SET NULL ON UPDATE CASCADE)")
        .write("INSERT INTO a VALUES (1), (2)")
        .write("INSERT INTO b VALUES (1, 1), (2, 1), (3, 2)")
        .write("INSERT INTO c VALUES (1, 1), (1, 2), (2, 1), (3, 1)")
        .write("INSERT INTO d VALUES (1, 1, 1), (2, 2, 1), (3, 3, 1)")
        .write("UPDATE a SET id = 9 WHERE id = 2")
        .write("DELETE FROM a WHERE id = 1")
}

fn cycle_and_self() -> Case {
    Case::new("fk_cycle_and_self")
        .table("CREATE TABLE tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)")
        .table("CREATE TABLE x (id INT PRIMARY KEY, y INT)")
        .table("CREATE TABLE y (id INT PRIMARY KEY, x INT, FOREIGN KEY (x) REFERENCES x (id) ON DELETE CASCADE)")
        .table("ALTER TABLE x ADD CONSTRAINT back FOREIGN KEY (y) REFERENCES y (id) ON DELETE SET NULL")
        .write("INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 1), (6, NULL), (7, 7)")
        .write("DELETE FROM tree WHERE id = 2")
        .write("DELETE FROM tree WHERE id = 7")
        .transaction(&[
            "INSERT INTO x VALUES (1, NULL), (2, NULL)",
            "INSERT INTO y VALUES (1, 1), (2, 2)",
            "UPDATE x SET y = id",
        ])
        .write("DELETE FROM x WHERE id = 1")
        .write("DELETE FROM y WHERE id = 2")
}

/// Within one transaction the child comes before its parent in the names' order, the copy and a group.
fn parent_later() -> Case {
    Case::new("fk_parent_later")
        .table("CREATE TABLE zz_parent (id INT PRIMARY KEY)")
        .table("CREATE TABLE aa_child (id INT PRIMARY KEY, p INT NOT NULL, FOREIGN KEY (p) REFERENCES zz_parent (id))")
        .transaction(&[
            "INSERT INTO zz_parent VALUES (1), (2)",
            "INSERT INTO aa_child VALUES (1, 1), (2, 2)",
        ])
        .transaction(&[
            "DELETE FROM aa_child WHERE id = 1",
            "DELETE FROM zz_parent WHERE id = 1",
            "INSERT INTO zz_parent VALUES (1), (3)",
            "INSERT INTO aa_child VALUES (1, 3)",
        ])
}

/// Rows that break the key are what the source has.
fn unchecked() -> Case {
    Case::new("fk_unchecked")
        .set("foreign_key_checks = 0")
        .table("CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)")
        .table("CREATE TABLE parent (id INT PRIMARY KEY)")
        .write("INSERT INTO child VALUES (1, 1), (2, 2)")
        .write("INSERT INTO parent VALUES (1)")
        .write("DELETE FROM parent WHERE id = 1")
        .write("UPDATE child SET p = 77 WHERE id = 2")
}

fn minimal_cascades() -> Case {
    Case::new("fk_minimal")
        .set("binlog_row_image = MINIMAL")
        .table("CREATE TABLE parent (id INT PRIMARY KEY, v TEXT)")
        .table("CREATE TABLE child (id INT PRIMARY KEY, p INT, n INT DEFAULT 3, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)")
        .write("INSERT INTO parent (id) VALUES (1), (2), (3)")
        .write("INSERT INTO child (id, p) VALUES (1, 1), (2, 2), (3, 3)")
        .write("UPDATE parent SET id = id + 10 ORDER BY id DESC")
        .write("DELETE FROM parent WHERE id = 12")
}

/// More rows than the first piece of a copy has, children before parents.
fn copied_out_of_order() -> Case {
    let numbers = "JSON_TABLE(CONCAT('[0', REPEAT(',0', 2999), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j";
    Case::new("fk_many_rows")
        .table("CREATE TABLE m_parent (id INT PRIMARY KEY)")
        .table("CREATE TABLE a_child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES m_parent (id) ON DELETE CASCADE)")
        .table("CREATE TABLE z_child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES m_parent (id) ON DELETE SET NULL)")
        .write(format!("INSERT INTO m_parent SELECT n FROM {numbers}"))
        .write(format!("INSERT INTO a_child SELECT n, n FROM {numbers}"))
        .write(format!("INSERT INTO z_child SELECT n, n FROM {numbers}"))
        .write("DELETE FROM m_parent WHERE id % 5 = 0")
}
