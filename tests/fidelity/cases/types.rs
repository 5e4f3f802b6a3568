//! Numbers, bits, members, bytes, shapes: every type but text, moments and JSON, to its edges.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    vec![
        integers(),
        decimals(),
        floats(),
        bits(),
        members(),
        many_members(),
        bytes(),
        geometry(),
        vectors(),
    ]
}

fn integers() -> Case {
    let kinds = [
        ("tinyint", 8),
        ("smallint", 16),
        ("mediumint", 24),
        ("int", 32),
        ("bigint", 64),
    ];
    let columns: Vec<String> = kinds
        .iter()
        .map(|(kind, _)| {
            format!("{kind}_s {kind}, {kind}_u {kind} UNSIGNED, {kind}_z {kind} ZEROFILL, {kind}_w {kind}(3) ZEROFILL")
        })
        .collect();
    let row = |id: u32, value: fn(u32) -> (i128, i128)| {
        let values: Vec<String> = kinds
            .iter()
            .map(|(_, bits)| {
                let (signed, unsigned) = value(*bits);
                format!("{signed}, {unsigned}, {unsigned}, {unsigned}")
            })
            .collect();
        format!("INSERT INTO t VALUES ({id}, {})", values.join(", "))
    };
    Case::new("integers")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns.join(", ")))
        .write(row(1, |bits| (-(1 << (bits - 1)), 0)))
        .write(row(2, |bits| ((1 << (bits - 1)) - 1, (1 << bits) - 1)))
        .write(row(3, |bits| (-1, 1 << (bits - 1))))
        .write(row(4, |_| (0, 1)))
        .write("UPDATE t SET bigint_u = bigint_u - 1, int_s = -int_s DIV 2 WHERE id IN (2, 3)")
        .write("DELETE FROM t WHERE id = 4")
}

fn decimals() -> Case {
    let kinds = [
        "1,0", "1,1", "9,0", "9,9", "10,0", "18,9", "20,10", "30,30", "65,0", "65,30", "64,29",
    ];
    let columns: Vec<String> = kinds
        .iter()
        .map(|kind| format!("d{} DECIMAL({kind})", kind.replace(',', "_")))
        .collect();
    let row = |id: u32, sign: &str, digit: char| {
        let values: Vec<String> = kinds
            .iter()
            .map(|kind| {
                let (precision, scale) = kind.split_once(',').unwrap();
                let (precision, scale): (usize, usize) = (precision.parse().unwrap(), scale.parse().unwrap());
                let digits = |count| digit.to_string().repeat(count);
                format!("{sign}0{}.{}", digits(precision - scale), digits(scale))
            })
            .collect();
        format!("INSERT INTO t VALUES ({id}, {})", values.join(", "))
    };
    Case::new("decimals")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns.join(", ")))
        .write(row(1, "", '9'))
        .write(row(2, "-", '9'))
        .write(row(3, "", '0'))
        .write(row(4, "-", '1'))
        .write("UPDATE t SET d65_30 = d65_30 + 0.000000000000000000000000000001 WHERE id >= 3")
}

fn floats() -> Case {
    let rows = [
        "0.1, 0.1, 0.1",
        "16777216, 9007199254740993, 1",
        "1234567.875, 1.7976931348623157e308, 1.5",
        "3.4028234663852886e38, 2.2250738585072014e-308, -1.5",
        "1.401298464324817e-45, 4.9406564584124654e-324, 0",
        "-0e0, -0e0, -0e0",
        "1.10106044e-01, 0.30000000000000004, 7",
        "1.17549421e-38, 5e-320, 3",
    ];
    let mut case = Case::new("floats")
        .set("cte_max_recursion_depth = 10000")
        .table("CREATE TABLE t (id INT PRIMARY KEY, f FLOAT, d DOUBLE, m FLOAT(7,3))")
        .table("CREATE TABLE keyless (f FLOAT, d DOUBLE)")
        .table("CREATE TABLE keyed (d DOUBLE PRIMARY KEY, f FLOAT)")
        .table("CREATE TABLE many (id INT PRIMARY KEY, f FLOAT, d DOUBLE)");
    for (id, row) in rows.iter().enumerate() {
        let (f, rest) = row.split_once(", ").unwrap();
        let d = rest.split_once(", ").unwrap().0;
        case = case
            .write(format!("INSERT INTO t VALUES ({id}, {row})"))
            .write(format!("INSERT INTO keyless VALUES ({f}, {d})"))
            .write(format!("INSERT INTO keyed VALUES ({d}, {f})"));
    }
    case.write("UPDATE keyless SET d = d / 3")
        .write("UPDATE keyed SET d = d / 3, f = f / 3 WHERE d > 1e-300 OR d < 0")
        .write("DELETE FROM keyless WHERE f > 1e6")
        .write(
            "INSERT INTO many WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 5000) \
             SELECT n, RAND() * POW(10, n % 70 - 35), -RAND() * POW(10, n % 600 - 300) FROM s",
        )
        .write("UPDATE many SET f = f / 7, d = d / 7 WHERE id % 2 = 0")
}

fn bits() -> Case {
    let widths = [1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 47, 48, 49, 56, 63, 64];
    let columns: Vec<String> = widths.iter().map(|width| format!("b{width} BIT({width})")).collect();
    let row = |id: u32, value: fn(u32) -> u64| {
        let values: Vec<String> = widths.iter().map(|width| value(*width).to_string()).collect();
        format!("INSERT INTO t VALUES ({id}, {})", values.join(", "))
    };
    Case::new("bits")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns.join(", ")))
        .table("CREATE TABLE keyed (b BIT(64) PRIMARY KEY, c BIT(9))")
        .table("CREATE TABLE keyless (b BIT(64), c BIT(1))")
        .write(row(1, |width| u64::MAX >> (64 - width)))
        .write(row(2, |_| 0))
        .write(row(3, |width| 1 << (width - 1)))
        .write("INSERT INTO keyed VALUES (~0, 511), (0, 0), (1 << 63, 256), (39, 92)")
        .write("INSERT INTO keyless VALUES (~0, 1), (0, 0), (0, 0), (NULL, NULL)")
        .write("UPDATE keyed SET b = b ^ 1, c = c >> 1")
        .write("UPDATE keyless SET c = NULL WHERE b = 0 LIMIT 1")
        .write("UPDATE t SET b64 = b64 - 1, b17 = 39 WHERE id = 1")
}

fn members() -> Case {
    let labels = r#"'', 'a', 'A b', 'it''s', 'back\\slash', 'ü', '漢', '%_', 'x;y'"#;
    let set = r#"'a', 'A b', 'it''s', 'back\\slash', 'ü', '漢', '%_', 'x;y'"#;
    let mut case = Case::new("members")
        .set("sql_mode = ''")
        .table(format!(
            "CREATE TABLE t (id INT PRIMARY KEY, e ENUM({labels}) COLLATE utf8mb4_bin, s SET({set}) COLLATE utf8mb4_bin, \
             g ENUM('中','文') CHARACTER SET gbk, k SET('日','本') CHARACTER SET sjis, d ENUM('x','y') NOT NULL DEFAULT 'y')"
        ))
        .table("CREATE TABLE keyed (e ENUM('z','y','x'), s SET('p','q'), v INT, PRIMARY KEY (e, s))")
        .table("CREATE TABLE keyless (e ENUM('z','','x'), s SET('p','q'))");
    for id in 0..10 {
        case = case.write(format!(
            "INSERT INTO t (id, e, s, g, k) VALUES ({id}, {id}, {}, {}, {})",
            id * 28 % 256,
            id % 3,
            id % 4
        ));
    }
    case.write("INSERT INTO t (id, e, s) VALUES (20, 'none of them', 'a,none,ü'), (21, NULL, NULL), (22, '', '')")
        .write("UPDATE t SET e = 'back\\\\slash', s = 'x;y,a' WHERE id < 3")
        .write("INSERT INTO keyed VALUES ('x', 'q,p', 1), ('z', '', 2), ('y', 'p', 3), ('none', '', 4)")
        .write("UPDATE keyed SET e = 'y', s = 'q' WHERE v = 1")
        .write("INSERT INTO keyless VALUES ('', ''), ('none', ''), ('x', 'p,q'), (NULL, NULL), ('', '')")
        .write("DELETE FROM keyless WHERE e = 0")
        .write("UPDATE keyless SET e = 'z' WHERE e = 2 LIMIT 1")
}

fn many_members() -> Case {
    let labels = |count: u32| (0..count).map(|n| format!("'m{n}'")).collect::<Vec<_>>().join(",");
    Case::new("many_members")
        .table(format!(
            "CREATE TABLE t (id INT PRIMARY KEY, a ENUM({}), b ENUM({}), c SET({}), d SET({}))",
            labels(255),
            labels(3000),
            labels(63),
            labels(64)
        ))
        .table(format!("CREATE TABLE keyless (s SET({}))", labels(64)))
        .table(format!("CREATE TABLE keyed (s SET({}) PRIMARY KEY, v INT)", labels(64)))
        .write("INSERT INTO keyless VALUES (~0), (1 << 63), (1), (NULL), (~0)")
        .write("INSERT INTO keyed VALUES (~0, 1), (1 << 63, 2), (1, 3), (0, 4)")
        .write("DELETE FROM keyless WHERE s = 'm63' LIMIT 1")
        .write("UPDATE keyless SET s = 2 WHERE FIND_IN_SET('m5', s) LIMIT 1")
        .write("UPDATE keyed SET v = 7 WHERE v < 4")
        .write("DELETE FROM keyed WHERE v = 7 AND FIND_IN_SET('m63', s) LIMIT 1")
        .write("INSERT INTO t VALUES (1, 'm254', 'm255', 'm62', 'm63'), (2, 'm0', 'm2999', 'm0', ~0), (3, 255, 256, ~0 >> 1, 1 << 63)")
        .write("UPDATE t SET b = b + 1, d = d - 1 WHERE id = 1")
}

fn bytes() -> Case {
    let columns = "b BINARY(255), v VARBINARY(3000), t TINYBLOB, l BLOB, m MEDIUMBLOB, g LONGBLOB";
    let values = [
        "x'00', x'00', x'00', x'00', x'00', x'00'",
        "x'', x'', x'', x'', x'', x''",
        "x'610000', x'610000', x'610000', x'610000', x'610000', x'610000'",
        "'a  ', 'a  ', 'a  ', 'a  ', 'a  ', 'a  '",
        "'a', 'a', 'a', 'a', 'a', 'a'",
        "REPEAT(x'FF', 255), REPEAT(x'FF', 3000), REPEAT(x'27', 255), REPEAT(x'5C00', 30000), REPEAT('x', 100000), REPEAT(x'0A', 70000)",
        "RANDOM_BYTES(255), RANDOM_BYTES(1000), RANDOM_BYTES(255), RANDOM_BYTES(1024), RANDOM_BYTES(1024), RANDOM_BYTES(1024)",
    ];
    let mut case = Case::new("bytes")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {columns})"))
        .table(format!("CREATE TABLE keyless ({columns})"))
        .table("CREATE TABLE keyed (b BINARY(4), v VARBINARY(8), n INT, PRIMARY KEY (b, v))");
    for (id, row) in values.iter().enumerate() {
        case = case
            .write(format!("INSERT INTO t VALUES ({id}, {row})"))
            .write(format!("INSERT INTO keyless VALUES ({row})"));
    }
    case.write("INSERT INTO keyed VALUES ('a', 'a', 1), ('a', 'a ', 2), ('a', x'6100', 3), ('a ', 'a', 4), (x'', x'', 5), (x'', x'00', 6)")
        .write("UPDATE keyed SET v = CONCAT(v, x'00') WHERE n IN (2, 5, 6) ORDER BY n DESC")
        .write("UPDATE t SET v = CONCAT(SUBSTR(v, 1, 2990), x'0000'), b = CONCAT(x'00', SUBSTR(b, 1, 250))")
        .write("DELETE FROM keyless WHERE v = 'a'")
        .write("UPDATE keyless SET l = x'0000' WHERE v = x'00'")
        .write("DELETE FROM keyed WHERE n = 3")
}

fn geometry() -> Case {
    let shapes = [
        "POINT(1 -2)",
        "POINT(1.7976931348623157e300 5e-324)",
        "LINESTRING(0 0, 1 1, 2 0)",
        "POLYGON((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))",
        "MULTIPOINT((1 1), (2 2))",
        "MULTILINESTRING((0 0, 1 1), (2 2, 3 3))",
        "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))",
        "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))",
        "GEOMETRYCOLLECTION EMPTY",
    ];
    let mut case = Case::new("geometry")
        .table("CREATE TABLE t (id INT PRIMARY KEY, g GEOMETRY, p POINT SRID 4326, l GEOMETRY NOT NULL SRID 0, SPATIAL INDEX (l))")
        .table("CREATE TABLE keyless (g GEOMETRY)")
        .table("CREATE TABLE kinds (id INT PRIMARY KEY, a POINT, b LINESTRING, c POLYGON, d MULTIPOINT, e MULTILINESTRING, f MULTIPOLYGON, g GEOMETRYCOLLECTION)");
    for (id, shape) in shapes.iter().enumerate() {
        case = case
            .write(format!(
                "INSERT INTO t VALUES ({id}, ST_GeomFromText('{shape}', 0), ST_GeomFromText('POINT({id} 100)', 4326), POINT({id}, 1))"
            ))
            .write(format!("INSERT INTO keyless VALUES (ST_GeomFromText('{shape}', {}))", [0, 3857][id % 2]));
    }
    case.write("INSERT INTO t VALUES (90, ST_GeomFromText('POINT(10 20)', 4326), NULL, POINT(0, 0))")
        .write(
            "INSERT INTO kinds VALUES (1, POINT(1, 2), ST_GeomFromText('LINESTRING(0 0, 1 1)'), ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))'), \
             ST_GeomFromText('MULTIPOINT((1 1))'), ST_GeomFromText('MULTILINESTRING((0 0, 1 1))'), \
             ST_GeomFromText('MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))'), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2))'))",
        )
        .write("UPDATE t SET p = ST_GeomFromText('POINT(-89.5 179.5)', 4326), g = ST_SRID(g, 4326) WHERE id IN (0, 4)")
        .write("DELETE FROM keyless WHERE ST_GeometryType(g) = 'POINT'")
        .write("UPDATE keyless SET g = NULL WHERE ST_GeometryType(g) = 'POLYGON'")
}

fn vectors() -> Case {
    Case::new("vectors")
        .table("CREATE TABLE t (id INT PRIMARY KEY, v VECTOR(3), w VECTOR(2048), x VECTOR)")
        .table("CREATE TABLE keyless (v VECTOR(4))")
        .write("INSERT INTO t VALUES (1, TO_VECTOR('[1, 2.5, -3e-8]'), TO_VECTOR(CONCAT('[0.1', REPEAT(',0.1', 2047), ']')), TO_VECTOR('[0.3]'))")
        .write("INSERT INTO t VALUES (2, NULL, NULL, NULL), (3, TO_VECTOR('[0]'), TO_VECTOR('[3.4028234e38, 1e-37]'), NULL)")
        .write("INSERT INTO keyless VALUES (TO_VECTOR('[1,2,3,4]')), (TO_VECTOR('[1,2,3,4]')), (NULL)")
        .write("UPDATE t SET v = TO_VECTOR('[0.1, 0.2]') WHERE id <> 2")
        .write("DELETE FROM keyless WHERE VECTOR_DIM(v) = 4 LIMIT 1")
}
