//! JSON: the types within documents, odd texts, sizes.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    vec![scalars(), from_columns(), texts(), sizes(), keyless(), random_doubles()]
}

/// Roots of every type, and one document with all of them.
fn scalars() -> Case {
    let roots = [
        "NULL",
        "'null'",
        "'true'",
        "'[]'",
        "'{}'",
        "'\"\"'",
        "'5'",
        "'-5'",
        "'1.0'",
        "'-0.0'",
        "CAST(CAST(5 AS UNSIGNED) AS JSON)",
        "CAST(CAST(18446744073709551615 AS UNSIGNED) AS JSON)",
        "CAST(1.10 AS JSON)",
        "CAST(CAST(5 AS DECIMAL(65,30)) AS JSON)",
        "CAST(CAST(-99999999999999999999999999999999999 AS DECIMAL(35,0)) AS JSON)",
        "CAST(CAST(0.5 AS DECIMAL(1,1)) AS JSON)",
        "CAST(DATE'2024-02-29' AS JSON)",
        "CAST(DATE'0000-00-00' AS JSON)",
        "CAST(TIME'-838:59:59' AS JSON)",
        "CAST(TIME'-00:00:00.000001' AS JSON)",
        "CAST(TIMESTAMP'9999-12-31 23:59:59.999999' AS JSON)",
        "CAST(TIMESTAMP'2020-00-00 00:00:00' AS JSON)",
        "JSON_EXTRACT(JSON_ARRAY(x'00FF'), '$[0]')",
        "JSON_EXTRACT(JSON_ARRAY(x''), '$[0]')",
        "JSON_EXTRACT(JSON_ARRAY(REPEAT(x'FF', 1000)), '$[0]')",
        "'\"2024-02-29\"'",
        "'\"base64:type15:AP8=\"'",
        "'4294967295'",
        "'4294967296'",
        "'-4294967296'",
        "CAST(4294967295 AS JSON)",
        "CAST(4294967296 AS JSON)",
        "CAST(9223372036854775807 AS JSON)",
        "CAST(CAST(4294967295 AS UNSIGNED) AS JSON)",
        "CAST(CAST(4294967296 AS UNSIGNED) AS JSON)",
        "'9223372036854775807'",
        "'-9223372036854775808'",
        "'9223372036854775808'",
        "'1e308'",
        "'1e15'",
        "'123456789012345.0'",
        "'0.00001'",
        "'1e-320'",
    ];
    let mut case = Case::new("json_scalars").table("CREATE TABLE t (id INT PRIMARY KEY, j JSON, k JSON)");
    for (id, root) in roots.iter().enumerate() {
        case = case.write(format!(
            "INSERT INTO t VALUES ({id}, {root}, JSON_OBJECT('a', {root}, 'b', JSON_ARRAY(1, {root})))"
        ));
    }
    case.write("UPDATE t SET k = j, j = k WHERE id % 3 = 0")
        .write("UPDATE t SET j = JSON_SET(j, '$.b[0]', 1.50) WHERE id % 3 = 0")
        .write("DELETE FROM t WHERE id % 5 = 1")
}

/// Documents made from columns of every type.
fn from_columns() -> Case {
    let columns = [
        ("a", "BLOB", "x'0001'"),
        ("b", "BINARY(5)", "'b'"),
        ("c", "VARBINARY(5)", "'c'"),
        ("d", "BIT(7)", "5"),
        ("e", "TINYBLOB", "'e'"),
        ("f", "LONGBLOB", "REPEAT('f', 70000)"),
        ("g", "YEAR", "2024"),
        ("h", "TIMESTAMP(3)", "'2024-01-01 00:00:00.125'"),
        ("i", "GEOMETRY", "POINT(1, 2)"),
        ("j", "ENUM('x','y')", "'y'"),
        ("k", "SET('x','y')", "'x,y'"),
        ("l", "FLOAT", "0.1"),
        ("m", "MEDIUMBLOB", "'m'"),
        ("n", "BIGINT UNSIGNED", "5"),
        ("o", "DECIMAL(20,2)", "5"),
        ("p", "TIME", "'-838:59:59'"),
        ("q", "DATETIME(2)", "'0000-00-00'"),
        ("r", "DATE", "'0000-00-00'"),
        ("s", "BIT(64)", "~0"),
        ("u", "VARCHAR(20) CHARACTER SET gbk", "'中'"),
        ("v", "TINYINT", "-1"),
        ("w", "JSON", "'[1.5]'"),
        ("x", "BIT(1)", "1"),
    ];
    let definitions: Vec<String> = columns.iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
    let values: Vec<&str> = columns.iter().map(|(_, _, value)| *value).collect();
    let names: Vec<&str> = columns.iter().map(|(name, ..)| *name).collect();
    let members: Vec<String> = names.iter().map(|name| format!("'{name}', {name}")).collect();
    let mut case = Case::new("json_from_columns")
        .table(format!("CREATE TABLE s ({})", definitions.join(", ")))
        .table("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, doc JSON)")
        .write(format!("INSERT INTO s VALUES ({})", values.join(", ")))
        .write(format!("INSERT INTO t (doc) SELECT JSON_ARRAY({}) FROM s", names.join(", ")))
        .write(format!(
            "INSERT INTO t (doc) SELECT JSON_OBJECT({}) FROM s",
            members.join(", ")
        ));
    for name in names {
        case = case.write(format!(
            "INSERT INTO t (doc) SELECT JSON_EXTRACT(JSON_ARRAY({name}), '$[0]') FROM s"
        ));
    }
    case.write("UPDATE t SET doc = JSON_OBJECT('was', doc)")
}

/// Keys and strings with all that must be escaped.
fn texts() -> Case {
    let strange = r#"CONCAT('"', '\\', '/', CHAR(0, 1, 8, 9, 10, 12, 13, 31, 127 USING utf8mb4), 'é漢😀', _utf8mb4 x'EFBFBF')"#;
    Case::new("json_texts")
        .table("CREATE TABLE t (id INT PRIMARY KEY, j JSON)")
        .write(format!(
            "INSERT INTO t VALUES (1, JSON_OBJECT({strange}, {strange}, '', '', 'a.b', '$', 'ba', 1.0))"
        ))
        .write(
            "INSERT INTO t VALUES (2, JSON_OBJECT('bb', 1, 'a', 2, 'ccc', 3, 'ba', 4, 'é', 5, 'A', 6, '1', 7, '10', 8, '9', 9))",
        )
        .write(format!("INSERT INTO t VALUES (3, JSON_QUOTE({strange}))"))
        .write(r#"INSERT INTO t VALUES (4, '{"a": 1, "a": 2, "\u00e9": "\ud83d\ude00"}')"#)
        .write(format!(
            "UPDATE t SET j = JSON_INSERT(j, '$.new', {strange}, '$.dec', 0.10) WHERE id < 3"
        ))
}

fn sizes() -> Case {
    let nested = |open: &str, close: &str, depth| format!("CONCAT(REPEAT('{open}', {depth}), '1', REPEAT('{close}', {depth}))");
    Case::new("json_sizes")
        .set("cte_max_recursion_depth = 100000")
        .table("CREATE TABLE t (id INT PRIMARY KEY, j JSON)")
        .write(format!("INSERT INTO t VALUES (1, {})", nested("[", "]", 100)))
        .write(format!("INSERT INTO t VALUES (2, {})", nested(r#"{"a": "#, "}", 100)))
        .write("INSERT INTO t VALUES (3, JSON_OBJECT('k', REPEAT('x', 65520))), (4, JSON_OBJECT('k', REPEAT('x', 65521)))")
        .write("INSERT INTO t VALUES (5, JSON_ARRAY(1.5, REPEAT('x', 65530), 70000, -70000, CAST(70000 AS UNSIGNED), TRUE, -1))")
        .write(
            "INSERT INTO t WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) \
             SELECT 6, JSON_OBJECTAGG(CONCAT('key', n), JSON_ARRAY(n, n / 3, CAST(n AS UNSIGNED), 'x')) FROM s",
        )
        .write("INSERT INTO t VALUES (7, JSON_ARRAY(REPEAT('0123456789', 600000), 1.5))")
        .write("UPDATE t SET j = JSON_SET(j, '$.k', 'short') WHERE id IN (3, 4)")
        .write("UPDATE t SET j = JSON_SET(j, '$[0]', 'shorter') WHERE id IN (5, 7)")
}

/// Rows without a key are found by their documents: 1, UNSIGNED 1, 1.0 and DECIMAL 1.0 are not one.
fn keyless() -> Case {
    let documents = [
        "'[1]'",
        "JSON_ARRAY(CAST(1 AS UNSIGNED))",
        "'[1.0]'",
        "JSON_ARRAY(1.0)",
        "JSON_ARRAY(CAST(1 AS DECIMAL(3,0)))",
        "JSON_ARRAY(DATE'2024-01-01')",
        "'[\"2024-01-01\"]'",
        "NULL",
        "'null'",
        "'[]'",
    ];
    let mut case = Case::new("json_keyless").table("CREATE TABLE t (v INT, j JSON)");
    for round in 0..2 {
        for document in documents {
            case = case.write(format!("INSERT INTO t VALUES ({round}, {document})"));
        }
    }
    for kind in ["INTEGER", "UNSIGNED INTEGER", "DECIMAL", "STRING"] {
        case = case
            .write(format!(
                "DELETE FROM t WHERE JSON_TYPE(j->'$[0]') = '{kind}' AND v = 0 LIMIT 1"
            ))
            .write(format!(
                "UPDATE t SET v = 7, j = JSON_ARRAY(j) WHERE JSON_TYPE(j->'$[0]') = '{kind}' AND v = 1 LIMIT 1"
            ));
    }
    case.write("UPDATE t SET j = JSON_ARRAY(0.50) WHERE j IS NULL")
        .write("DELETE FROM t WHERE JSON_TYPE(j) = 'NULL' LIMIT 1")
}

fn random_doubles() -> Case {
    Case::new("json_doubles")
        .set("cte_max_recursion_depth = 100000")
        .table("CREATE TABLE t (id INT PRIMARY KEY, j JSON)")
        .write(
            "INSERT INTO t WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3000) \
             SELECT n, JSON_ARRAY(RAND(), RAND() * POW(10, FLOOR(RAND() * 600) - 300), ROUND(RAND() * 1e6), -RAND() * POW(10, n % 30)) FROM s",
        )
        .write("UPDATE t SET j = JSON_ARRAY_APPEND(j, '$', 1e0 / id) WHERE id % 2 = 0")
}
