//! Every type, to its edges.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    vec![integers(), decimals(), floats()]
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
        .table("CREATE TABLE t (id INT PRIMARY KEY, f FLOAT, d DOUBLE, m FLOAT(7,3))")
        .table("CREATE TABLE keyless (f FLOAT, d DOUBLE)")
        .table("CREATE TABLE keyed (d DOUBLE PRIMARY KEY, f FLOAT)");
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
}
