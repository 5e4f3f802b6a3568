//! Dates and times: fractions, signs, zero parts, the edges of TIMESTAMP, writers in different zones.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    vec![dates(), times(), stamps(), zones(), keyless()]
}

fn columns(kind: &str) -> String {
    (0..=6)
        .map(|fsp| format!("c{fsp} {kind}({fsp}) NULL"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// One row per value, in all seven columns.
fn rows(mut case: Case, table: &str, values: &[&str]) -> Case {
    for (id, value) in values.iter().enumerate() {
        case = case.write(format!("INSERT INTO {table} VALUES ({id}, {})", [*value; 7].join(", ")));
    }
    case
}

fn dates() -> Case {
    let case = Case::new("dates")
        .set("sql_mode = 'ALLOW_INVALID_DATES,TIME_TRUNCATE_FRACTIONAL'")
        .table("CREATE TABLE d (id INT PRIMARY KEY, d DATE, y YEAR)")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns("DATETIME")))
        .write("INSERT INTO d VALUES (1, '0000-00-00', 0), (2, '2020-00-00', '0000'), (3, '2020-02-00', 1901), (4, '0001-01-01', 2155)")
        .write("INSERT INTO d VALUES (5, '9999-12-31', 1970), (6, '1969-12-31', 2000), (7, '2023-02-31', 69), (8, '0000-01-01', NULL)")
        .write("UPDATE d SET y = 0 WHERE y = 2000")
        .write("UPDATE d SET d = '0000-00-00' WHERE id = 5");
    let values = [
        "'0000-00-00 00:00:00'",
        "'2020-00-00 12:34:56.789'",
        "'1000-01-01 00:00:00.000001'",
        "'9999-12-31 23:59:59.999999'",
        "'1969-12-31 23:59:59.999999'",
        "'1970-01-01 00:00:00'",
        "'2024-02-29 01:02:03.100000'",
        "'0000-00-00 00:00:00.5'",
        "'2023-02-31 10:00:00.25'",
    ];
    rows(case, "t", &values).write("UPDATE t SET c6 = c6 + INTERVAL 1 MICROSECOND, c3 = c0 WHERE id BETWEEN 4 AND 6")
}

fn times() -> Case {
    let case = Case::new("times")
        .set("sql_mode = 'TIME_TRUNCATE_FRACTIONAL'")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns("TIME")));
    let values = [
        "'00:00:00'",
        "'-00:00:00.12'",
        "'-00:00:00.000001'",
        "'-00:00:01'",
        "'-00:00:00.999999'",
        "'00:00:00.999999'",
        "'838:59:59'",
        "'-838:59:59'",
        "'838:59:58.999999'",
        "'-838:59:58.999999'",
        "'-12:34:56.7'",
        "'-255:00:00.01'",
        "NULL",
    ];
    rows(case, "t", &values)
        .write("UPDATE t SET c2 = SUBTIME(c2, '00:00:00.01') WHERE id IN (0, 1, 3, 10)")
        .write("UPDATE t SET c6 = -c6 WHERE id = 2")
}

fn stamps() -> Case {
    let case = Case::new("stamps")
        .set("sql_mode = 'TIME_TRUNCATE_FRACTIONAL', time_zone = '+00:00'")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns("TIMESTAMP")))
        .table(
            "CREATE TABLE auto (id INT PRIMARY KEY, v INT, a TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), \
             b DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), c TIMESTAMP NOT NULL DEFAULT '2000-01-01 00:00:00')",
        );
    let values = [
        "'0000-00-00 00:00:00'",
        "'1970-01-01 00:00:01'",
        "'1970-01-01 00:00:01.999999'",
        "'2038-01-19 03:14:07'",
        "'2038-01-19 03:14:07.999999'",
        "'2001-09-09 01:46:40.000001'",
        "NULL",
    ];
    rows(case, "t", &values)
        .write("INSERT INTO auto (id, v) VALUES (1, 1), (2, 2), (3, 3)")
        .write("UPDATE auto SET v = v + 1 WHERE id = 1")
        .write("UPDATE auto SET v = v + 1, a = a, b = b WHERE id = 2")
        .write("UPDATE t SET c6 = c6 + INTERVAL 1 SECOND WHERE id = 5")
}

/// The zone of a session is of no account to what is stored in a TIMESTAMP, and is part of what is stored in a DATETIME.
fn zones() -> Case {
    let mut case = Case::new("zones").table(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, zone VARCHAR(20), ts TIMESTAMP(3) NULL, dt DATETIME(3), d DATE, t TIME, \
         created TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6))",
    );
    for (session, zone) in ["+00:00", "+08:00", "-13:59", "+14:00", "-03:30", "SYSTEM"]
        .iter()
        .enumerate()
    {
        let session = u8::try_from(session + 1).unwrap();
        case = case.write_in(session, format!("SET time_zone = '{zone}'"));
        for moment in [
            "2024-02-29 12:00:00.125",
            "1970-01-02 00:00:00",
            "2038-01-18 03:14:07",
            "2024-10-27 01:30:00",
        ] {
            case = case.write_in(
                session,
                format!("INSERT INTO t (zone, ts, dt, d, t) VALUES ('{zone}', '{moment}', '{moment}', '{moment}', '{moment}')"),
            );
        }
        case = case.write_in(
            session,
            format!("INSERT INTO t (zone, ts, dt, d, t) VALUES ('{zone}', NOW(3), NOW(3), NOW(), NOW())"),
        );
    }
    case.write_in(2, "UPDATE t SET ts = '2024-06-01 00:00:00', dt = ts WHERE id % 3 = 0")
}

fn keyless() -> Case {
    Case::new("moments_keyless")
        .set("sql_mode = '', time_zone = '+05:30'")
        .table("CREATE TABLE t (a DATE, b TIME(2), c DATETIME(4), d TIMESTAMP(6) NULL, e YEAR)")
        .table("CREATE TABLE k (b TIME(3), c DATETIME(1), d TIMESTAMP(5), v INT, PRIMARY KEY (b, c, d))")
        .write("INSERT INTO t VALUES ('0000-00-00', '-00:00:00.12', '0000-00-00', '0000-00-00', 0), (NULL, NULL, NULL, NULL, NULL)")
        .write("INSERT INTO t VALUES ('2020-00-01', '-838:59:59', '2020-00-00 01:00:00.5', '2024-01-01 00:00:00.5', 2000)")
        .write("INSERT INTO t SELECT * FROM t")
        .write("INSERT INTO k VALUES ('-00:00:00.001', '1000-01-01 00:00:00.1', '1970-01-02 00:00:00.00001', 1)")
        .write("INSERT INTO k VALUES ('00:00:00', '0000-00-00', '0000-00-00', 2), ('838:59:59', '9999-12-31', '2038-01-19 03:14:07', 3)")
        .write("DELETE FROM t WHERE e = 0 LIMIT 1")
        .write("UPDATE t SET b = '-00:00:00.01', c = NOW(4), d = NULL WHERE e = 2000 LIMIT 1")
        .write("UPDATE t SET e = 0 WHERE a IS NULL LIMIT 1")
        .write("UPDATE k SET b = '-00:00:00.002', d = d + INTERVAL 10 MICROSECOND WHERE v = 1")
        .write("DELETE FROM k WHERE v = 2")
}
