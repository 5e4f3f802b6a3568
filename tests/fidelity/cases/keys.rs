//! Keys of every kind and what statements do to them.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    let mut cases = without_key();
    cases.extend(of_kind());
    cases.extend([
        composite(),
        unique_only(),
        nullable_unique(),
        functional_unique(),
        prefix_unique(),
    ]);
    cases.extend([
        shifts(),
        swaps(),
        swaps_between(),
        reborn(),
        id_zero(),
        partitions(),
        case_of_key(),
    ]);
    cases
}

/// Tables without a key: the same statements on rows of which each has a twin.
fn without_key() -> Vec<Case> {
    let of = |name, columns: &str, rows: &str, more: &str, change: &str, remove: &str| {
        Case::new(name)
            .table(format!("CREATE TABLE t ({columns})"))
            .table(format!("INSERT INTO t VALUES {rows}, {rows}"))
            .write(format!("INSERT INTO t VALUES {more}"))
            .write(change)
            .write(remove)
            .write(format!("INSERT INTO t VALUES {more}, {more}"))
            .transaction(&[
                &format!("INSERT INTO t VALUES {more}"),
                change,
                &format!("{remove} LIMIT 1"),
                &format!("INSERT INTO t VALUES {rows}"),
            ])
    };
    vec![
        of(
            "keyless_ints",
            "a INT, b VARCHAR(20)",
            "(1, 'x'), (1, 'y'), (NULL, NULL), (2, NULL)",
            "(3, 'z'), (NULL, 'n')",
            "UPDATE t SET b = 'changed' WHERE a = 1 OR a IS NULL LIMIT 3",
            "DELETE FROM t WHERE a = 2",
        ),
        of(
            "keyless_floats",
            "f FLOAT, d DOUBLE, n DECIMAL(20, 5)",
            "(0.1, 0.1, 0.1), (16777216, 1e300, -1.00001), (NULL, -0.0, 0), (1234567.875, 3.3333333333333335, NULL)",
            "(1.1754944e-38, 5e-324, 7), (3.402823466e38, NULL, 8)",
            "UPDATE t SET d = d / 3 WHERE f > 1 OR f IS NULL",
            "DELETE FROM t WHERE f < 0.2 AND f > 0.05",
        ),
        // Zeros are equal to each other and not the same: an update of one of these rows must not find another.
        of(
            "keyless_zeros",
            "f FLOAT, d DOUBLE",
            "(0e0, 0e0), (0e0, 0e0), (-0e0, 0e0), (0e0, -0e0)",
            "(-0e0, -0e0), (0e0, -0e0), (0e0, 0e0)",
            "UPDATE t SET f = -0e0 LIMIT 3",
            "DELETE FROM t WHERE d = 0 AND LEFT(CAST(d AS CHAR), 1) = '-'",
        ),
        of(
            "keyless_json",
            "j JSON, k INT",
            r#"('{"a": 1, "b": [1.10, null, "ü"]}', 1), ('null', 2), (NULL, 3), ('[]', 1)"#,
            r#"(JSON_OBJECT('d', CAST('2026-01-02' AS DATE), 'n', CAST('1.10' AS DECIMAL(5, 2))), 4), ('{"n": 18446744073709551615}', 5)"#,
            "UPDATE t SET j = JSON_SET(j, '$.c', k) WHERE k IN (1, 4)",
            "DELETE FROM t WHERE k = 2",
        ),
        of(
            "keyless_blobs",
            "b LONGBLOB, c BINARY(6), s TEXT, t TIMESTAMP(3) NULL",
            "(REPEAT(x'00ff', 6000), x'6100', 'a ', NULL), (x'', x'000000000000', '', '2026-01-01 00:00:00.123'), (NULL, NULL, NULL, NULL)",
            "(REPEAT('long', 30000), 'c', 'ü', '1970-01-01 12:00:01'), (x'00', x'00', ' ', NULL)",
            "UPDATE t SET b = CONCAT(b, x'0000'), c = REVERSE(c) WHERE s IN ('a', '', 'ü')",
            "DELETE FROM t WHERE s IS NULL",
        ),
    ]
}

/// One key column of each kind: insert, change another column, change the key, remove, insert again.
fn of_kind() -> Vec<Case> {
    let of = |name, kind: &str, [first, second, third, fourth]: [&str; 4]| {
        Case::new(name)
            .table(format!("CREATE TABLE t (k {kind} NOT NULL, v VARCHAR(20), PRIMARY KEY (k))"))
            .table(format!("INSERT INTO t VALUES ({first}, 'first')"))
            .write(format!("INSERT INTO t VALUES ({second}, 'second'), ({third}, 'third')"))
            .write(format!("UPDATE t SET v = 'changed' WHERE k IN ({first}, {third})"))
            .write(format!("UPDATE t SET k = {fourth} WHERE k = {second}"))
            .write(format!("DELETE FROM t WHERE k = {third}"))
            .transaction(&[
                &format!("INSERT INTO t VALUES ({third}, 'again')"),
                &format!("DELETE FROM t WHERE k = {first}"),
                &format!("INSERT INTO t VALUES ({first}, 'reborn')"),
                &format!("UPDATE t SET v = 'in one' WHERE k = {third}"),
            ])
    };
    let accents = "VARCHAR(20) COLLATE utf8mb4_0900_ai_ci";
    vec![
        of("key_int", "INT", ["-2147483648", "0", "2147483647", "-1"]),
        of(
            "key_bigint_unsigned",
            "BIGINT UNSIGNED",
            ["0", "9223372036854775808", "18446744073709551615", "1"],
        ),
        of(
            "key_decimal",
            "DECIMAL(30, 10)",
            ["-0.0000000001", "12345678901234567890.0000000001", "0", "1.1"],
        ),
        of("key_double", "DOUBLE", ["-1e300", "0.1", "5e-324", "3.3333333333333335"]),
        of(
            "key_date",
            "DATE",
            ["'0000-00-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'"],
        ),
        of(
            "key_datetime",
            "DATETIME(6)",
            [
                "'1000-01-01 00:00:00.000001'",
                "'0000-00-00 00:00:00'",
                "'9999-12-31 23:59:59.999999'",
                "'2024-02-29 12:00:00.1'",
            ],
        ),
        of(
            "key_timestamp",
            "TIMESTAMP(3)",
            [
                "'1970-01-02 00:00:01.001'",
                "'2038-01-18 03:14:07'",
                "'2026-03-29 02:30:00.5'",
                "'2000-01-01'",
            ],
        ),
        of(
            "key_time",
            "TIME(2)",
            ["'-838:59:59'", "'-00:00:00.12'", "'00:00:00'", "'838:59:59'"],
        ),
        of("key_year", "YEAR", ["0", "1901", "2155", "2000"]),
        of(
            "key_bit",
            "BIT(40)",
            ["b'0'", "b'1'", "b'1111111111111111111111111111111111111111'", "b'101'"],
        ),
        of(
            "key_enum",
            "ENUM('zulu', 'alpha', 'ümlaut', 'bravo')",
            ["'zulu'", "'alpha'", "'ümlaut'", "'bravo'"],
        ),
        of("key_set", "SET('c', 'b', 'a')", ["'c'", "'a,b'", "''", "'a,b,c'"]),
        of("key_accents", accents, ["'Ärger'", "'z'", "'straße'", "'Zoë'"]),
        of(
            "key_pad_space",
            "VARCHAR(20) COLLATE utf8mb4_general_ci",
            ["'a'", "'b '", "' '", "'B  c '"],
        ),
        of(
            "key_no_pad",
            "VARCHAR(20) COLLATE utf8mb4_0900_as_cs",
            ["'a'", "'a '", "' a'", "'A'"],
        ),
        of("key_char", "CHAR(10) COLLATE latin1_german1_ci", ["'ä'", "'b'", "''", "'Z'"]),
        of(
            "key_text_bin",
            "VARCHAR(40) COLLATE utf8mb4_bin",
            ["'a'", "'A'", "'ä'", "'👍'"],
        ),
        of(
            "key_binary",
            "BINARY(4)",
            ["x'00000000'", "x'61000000'", "x'ffffffff'", "x'61006100'"],
        ),
        of("key_varbinary", "VARBINARY(20)", ["x''", "x'00'", "x'0000'", "x'ff'"]),
        of("key_sjis", "VARCHAR(20) CHARACTER SET sjis", ["'表'", "'ソ'", "'a'", "'能'"]),
    ]
}

fn composite() -> Case {
    Case::new("key_composite")
        .table("CREATE TABLE t (a VARCHAR(10) COLLATE utf8mb4_0900_ai_ci, b DATETIME(3), c INT UNSIGNED, v INT, PRIMARY KEY (a, c, b), KEY (v))")
        .table("INSERT INTO t VALUES ('x', '2026-01-01', 1, 0), ('X', '2026-01-01', 2, 0), ('x', '2026-01-02', 1, 0)")
        .write("INSERT INTO t VALUES ('É', '2026-01-01 00:00:00.5', 4294967295, 1)")
        .write("UPDATE t SET c = c + 10 WHERE a = 'x'")
        .write("UPDATE t SET a = 'e', v = 9 WHERE c = 4294967295")
        .write("UPDATE t SET b = b + INTERVAL 1 SECOND ORDER BY b DESC")
        .write("DELETE FROM t WHERE c = 12")
}

fn unique_only() -> Case {
    Case::new("unique_only")
        .table("CREATE TABLE t (a INT NOT NULL, b VARCHAR(10) NOT NULL, v TEXT, UNIQUE (b), UNIQUE (a))")
        .table("INSERT INTO t VALUES (1, 'one', 'x'), (2, 'two', 'y'), (3, 'three', NULL)")
        .write("UPDATE t SET a = a + 10 ORDER BY a DESC")
        .write("UPDATE t SET b = UPPER(b)")
        .transaction(&[
            "UPDATE t SET b = 'tmp' WHERE a = 11",
            "UPDATE t SET b = 'ONE' WHERE a = 12",
            "UPDATE t SET b = 'TWO' WHERE a = 11",
        ])
        .write("DELETE FROM t WHERE b = 'three'")
        .write("INSERT INTO t VALUES (13, 'three', 'again')")
}

/// NULL is not a value: such a key names no row.
fn nullable_unique() -> Case {
    Case::new("unique_nullable")
        .table("CREATE TABLE t (a INT, b INT, v INT, UNIQUE (a, b))")
        .table("INSERT INTO t VALUES (1, NULL, 1), (1, NULL, 1), (NULL, NULL, 2), (1, 1, 3)")
        .write("INSERT INTO t VALUES (1, NULL, 1), (NULL, 1, 4), (2, 2, 5)")
        .write("UPDATE t SET v = v + 1 WHERE b IS NULL LIMIT 2")
        .write("UPDATE t SET b = 5 WHERE a = 1 AND b = 1")
        .write("DELETE FROM t WHERE a = 1 AND b IS NULL LIMIT 1")
        .write("UPDATE t SET a = NULL WHERE a = 2")
}

fn functional_unique() -> Case {
    Case::new("unique_functional")
        .table("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL, j JSON, UNIQUE ((LOWER(name))), UNIQUE ((CAST(j->'$.n' AS UNSIGNED))))")
        .table(r#"INSERT INTO t VALUES (1, 'One', '{"n": 1}'), (2, 'Two', '{"n": 2}'), (3, 'Three', NULL)"#)
        .transaction(&[
            "UPDATE t SET name = 'tmp' WHERE id = 1",
            "UPDATE t SET name = 'ONE' WHERE id = 2",
            "UPDATE t SET name = 'two' WHERE id = 1",
        ])
        .transaction(&[
            "DELETE FROM t WHERE id = 2",
            r#"INSERT INTO t VALUES (4, 'one', '{"n": 2}')"#,
            r#"UPDATE t SET j = '{"n": 7}' WHERE id = 1"#,
            r#"INSERT INTO t VALUES (5, 'five', '{"n": 1}')"#,
        ])
        .write("UPDATE t SET name = CONCAT(name, '!')")
}

fn prefix_unique() -> Case {
    Case::new("unique_prefix")
        .table("CREATE TABLE t (id INT PRIMARY KEY, b TEXT, c VARBINARY(100), UNIQUE (b(3)), UNIQUE (c(2)))")
        .table("INSERT INTO t VALUES (1, 'abcdef', x'000001'), (2, 'xyz', x'010000'), (3, NULL, NULL)")
        .transaction(&[
            "UPDATE t SET b = 'tmp' WHERE id = 1",
            "UPDATE t SET b = 'ABC other' WHERE id = 2",
            "UPDATE t SET b = 'xyz and more' WHERE id = 1",
        ])
        .transaction(&["DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (4, 'XYZ', x'0000ff')"])
        .write("UPDATE t SET c = REVERSE(c) WHERE c IS NOT NULL ORDER BY id DESC")
}

fn shifts() -> Case {
    Case::new("key_shifts")
        .table("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v INT)")
        .table("INSERT INTO t WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i, i, i FROM n")
        .write("UPDATE t SET id = id + 1 ORDER BY id DESC")
        .write("UPDATE t SET id = id - 1, u = u - 1 ORDER BY id")
        .transaction(&[
            "UPDATE t SET id = -id",
            "UPDATE t SET id = 101 + id ORDER BY id DESC",
            "UPDATE t SET u = u + 1000",
            "DELETE FROM t WHERE id % 10 = 0",
            "UPDATE t SET id = id + 1 ORDER BY id DESC",
        ])
        .write("UPDATE t SET id = v * 3 WHERE v % 7 = 0 AND v * 3 > 101")
}

/// Values of a unique key change places inside one transaction.
fn swaps() -> Case {
    Case::new("unique_swaps")
        .table("CREATE TABLE t (id INT PRIMARY KEY, u VARCHAR(10) COLLATE utf8mb4_0900_ai_ci UNIQUE, w INT, UNIQUE (w))")
        .table("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, NULL, NULL)")
        .transaction(&[
            "UPDATE t SET u = 'tmp' WHERE id = 1",
            "UPDATE t SET u = 'A' WHERE id = 2",
            "UPDATE t SET u = 'B' WHERE id = 1",
        ])
        .transaction(&[
            "UPDATE t SET w = NULL WHERE id = 1",
            "UPDATE t SET w = 1 WHERE id = 2",
            "UPDATE t SET w = 2 WHERE id = 3",
            "UPDATE t SET w = 3 WHERE id = 1",
        ])
        .transaction(&[
            "DELETE FROM t WHERE id = 3",
            "UPDATE t SET u = 'c', w = 2 WHERE id = 4",
            "INSERT INTO t VALUES (3, 'tmp', NULL)",
            "UPDATE t SET id = 5 WHERE id = 1",
            "UPDATE t SET id = 1 WHERE id = 2",
            "UPDATE t SET id = 2 WHERE id = 5",
        ])
}

/// The same over several transactions, which one group on the target may join.
fn swaps_between() -> Case {
    let mut case = Case::new("unique_swaps_between")
        .table("CREATE TABLE t (id INT PRIMARY KEY, u INT NOT NULL UNIQUE, v INT)")
        .table("INSERT INTO t VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0)");
    for round in 0..30 {
        let (one, other) = (1 + round % 3, 1 + (round + 1) % 3);
        case = case
            .write(format!("UPDATE t SET u = 100 + {round}, v = v + 1 WHERE id = {one}"))
            .write(format!("UPDATE t SET u = 1000 + {round} WHERE id = {other}"))
            .write(format!("UPDATE t SET u = {other} * 10000 + {round} WHERE id = {one}"))
            .write(format!("UPDATE t SET u = 100 + {round} WHERE id = {other}"));
    }
    case
}

fn reborn() -> Case {
    let mut case = Case::new("key_reborn").table("CREATE TABLE t (id INT PRIMARY KEY, v INT, b BLOB)");
    for round in 0..20 {
        case = case
            .write(format!(
                "INSERT INTO t VALUES (1, {round}, REPEAT('x', {round})), ({round} + 10, 1, NULL)"
            ))
            .write("DELETE FROM t WHERE id = 1")
            .transaction(&[
                &format!("INSERT INTO t VALUES (2, {round}, NULL)"),
                "DELETE FROM t WHERE id = 2",
                &format!("INSERT INTO t VALUES (2, {round} + 1, 'kept for a while')"),
            ])
            .write("DELETE FROM t WHERE id = 2");
    }
    case.write("INSERT INTO t VALUES (1, -1, 'last')")
}

fn id_zero() -> Case {
    Case::new("key_zero")
        .set("sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
        .table("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))")
        .table("CREATE TABLE u (id BIGINT UNSIGNED AUTO_INCREMENT UNIQUE, v INT)")
        .table("INSERT INTO t VALUES (0, 'zero'), (NULL, 'given')")
        .write("INSERT INTO u VALUES (0, 1), (NULL, 2), (18446744073709551614, 3)")
        .write("UPDATE t SET v = 'changed' WHERE id = 0")
        .write("DELETE FROM t WHERE id = 0")
        .write("INSERT INTO t VALUES (0, 'again'), (-5, 'below')")
        .write("UPDATE t SET id = 7 WHERE id = 0")
        .write("UPDATE t SET id = 0 WHERE id = 7")
}

/// Rows that move from one partition to another.
fn partitions() -> Case {
    Case::new("key_partitions")
        .table("CREATE TABLE t (id INT, d INT, v INT, PRIMARY KEY (id, d)) PARTITION BY RANGE (d) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN MAXVALUE)")
        .table("CREATE TABLE u (a INT, b VARCHAR(10)) PARTITION BY HASH (a) PARTITIONS 4")
        .table("INSERT INTO t VALUES (1, 5, 0), (2, 15, 0), (3, 25, 0)")
        .table("INSERT INTO u VALUES (1, 'x'), (1, 'x'), (2, 'y'), (NULL, 'z')")
        .write("UPDATE t SET d = d + 10")
        .write("UPDATE t SET v = v + 1 WHERE d > 20")
        .write("UPDATE u SET a = a + 1")
        .write("INSERT INTO t VALUES (1, 5, 9)")
        .write("DELETE FROM t PARTITION (p1)")
        .write("UPDATE u SET b = 'moved', a = 7 WHERE b = 'x' LIMIT 1")
}

fn case_of_key() -> Case {
    Case::new("key_case_changes")
        .table("CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT)")
        .table("CREATE TABLE p (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)")
        .table("INSERT INTO t VALUES ('straße', 1), ('éa', 2)")
        .table("INSERT INTO p VALUES ('abc', 1)")
        .write("UPDATE t SET k = 'STRASSE' WHERE v = 1")
        .write("UPDATE t SET k = 'ÉA' WHERE v = 2")
        .write("UPDATE p SET k = 'ABC  ' WHERE v = 1")
        .transaction(&[
            "UPDATE t SET k = 'Ea' WHERE v = 2",
            "UPDATE t SET v = 3 WHERE k = 'ea'",
            "UPDATE p SET k = 'Abc'",
        ])
        .transaction(&[
            "DELETE FROM t WHERE v = 3",
            "INSERT INTO t VALUES ('eA', 4)",
            "DELETE FROM p",
            "INSERT INTO p VALUES ('aBC ', 5)",
        ])
}
