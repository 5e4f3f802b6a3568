//! A row of a SELECT has exactly the bytes of the same row in the binlog: else keys of chunk and stream would not meet.

mod support;

use peer::core::json_text;
use peer::core::json_tree::{self, JsonTree};
use peer::core::key::{KeyOrder, compare, key_of};
use peer::core::row::RowLayout;
use peer::mysql::session::Session;
use peer::mysql::source::chunk_reader::{Range, ReadOutcome};
use peer::mysql::source::inspect;
use support::copy_bed::CopyBed;

/// Inserts rows, reads them from the stream (the table is told to be copied already) and by a chunk.
async fn images_agree(word: &str, columns: &str, rows: &[&str]) {
    let mut bed = CopyBed::new(word, columns, &[]).await;
    bed.open(1).await;
    bed.read().await;
    bed.follow().await;
    assert!(bed.close(), "an empty table is copied at once");
    for values in rows {
        bed.write(&format!("SET sql_mode = ''; INSERT INTO {{t}} VALUES {values}"))
            .await;
    }
    bed.follow().await;
    let selected = bed.source_rows().await;
    assert_eq!(bed.sink.by_key.len(), rows.len(), "rows in the stream");
    for (key, streamed) in &bed.sink.by_key {
        assert_eq!(selected.by_key.get(key), Some(streamed), "row {key:?}");
    }
}

#[tokio::test]
async fn integers_bits_and_years_agree() {
    let columns = "id INT PRIMARY KEY, a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d MEDIUMINT UNSIGNED, e BIGINT, f BIGINT UNSIGNED, \
                   g BIT(1), h BIT(17), i BIT(64), j YEAR";
    let rows = [
        "(1, -128, 65535, -8388608, 16777215, -9223372036854775808, 18446744073709551615, b'1', b'10000000000000001', ~0, 2155)",
        "(2, 127, 0, -1, 0, 9223372036854775807, 0, b'0', 0, 1, 0)",
        "(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        "(-4, 0, 1, 8388607, 1, -1, 1, 1, 255, 256, 1901)",
    ];
    images_agree("ints", columns, &rows).await;
}

#[tokio::test]
async fn decimals_and_floats_agree() {
    let columns =
        "id DECIMAL(20,4) PRIMARY KEY, a DECIMAL(65,30), b DECIMAL(5,0), c DECIMAL(9,9), d FLOAT, e DOUBLE, f DECIMAL(18,9)";
    let rows = [
        "(1.5, 12345678901234567890123456789012345.123456789012345678901234567890, 99999, 0.123456789, 16777216, 0.1, 1.1)",
        "(-1.5, -0.000000000000000000000000000001, -99999, -0.999999999, 1234567.875, -1e300, -123456789.000000001)",
        "(0, 0, 0, 0, 0, 0, 0)",
        "(-9999999999999999.9999, NULL, NULL, NULL, 1e-38, 5e-324, NULL)",
    ];
    images_agree("decs", columns, &rows).await;
}

#[tokio::test]
async fn moments_agree() {
    let columns = "id DATETIME(3) PRIMARY KEY, a DATE, b TIME, c TIME(1), d TIME(2), e TIME(4), f TIME(6), g DATETIME, h DATETIME(1), \
                   i DATETIME(6), j TIMESTAMP NULL, k TIMESTAMP(2) NULL, l TIMESTAMP(6) NULL";
    let rows = [
        "('2024-02-29 23:59:59.999', '9999-12-31', '-838:59:59', '-00:00:01.5', '-00:00:01.55', '-12:34:56.7891', '-838:59:58.999999', \
         '1000-01-01', '2000-01-01 00:00:00.9', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', '1970-01-02 00:00:00.12', \
         '2001-09-09 01:46:40.000001')",
        "('0000-00-00', '0000-00-00', '00:00:00', 0, 0, 0, 0, '0000-00-00', '2020-00-00', '2020-01-00', '0000-00-00', \
         '0000-00-00', '0000-00-00')",
        "('2000-01-01', '2020-02-00', '838:59:59', '12:00:00.1', '12:00:00.01', '00:00:00.0001', '-00:00:00.000001', NULL, NULL, NULL, \
         NULL, NULL, NULL)",
    ];
    images_agree("times", columns, &rows).await;
}

#[tokio::test]
async fn text_and_bytes_agree() {
    let columns = "id VARCHAR(40) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, a CHAR(10) CHARACTER SET latin1, b CHAR(200) CHARACTER SET utf8mb4, \
                   c BINARY(8), d VARBINARY(300), e VARCHAR(300), f TINYTEXT, g TEXT, h MEDIUMTEXT, i LONGBLOB, j TINYBLOB, \
                   k CHAR(5) CHARACTER SET utf16, l VARCHAR(20) CHARACTER SET gbk, m BINARY(3)";
    let long = "REPEAT('ö', 200)";
    let rows = [
        format!(
            "('Ä', 'abc  ', 'ä  ', x'6100620000000000', x'0000', {long}, 'x', {long}, {long}, REPEAT('y', 70000), x'00', 'ab ', '中文', x'000000')"
        ),
        "('b ', '', '', '', '', '', '', '', '', '', '', '', '', '')".to_owned(),
        "('n', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)".to_owned(),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    images_agree("texts", columns, &rows).await;
}

#[tokio::test]
async fn sets_shapes_and_generated_columns_agree() {
    let many: Vec<String> = (0..300).map(|n| format!("'m{n}'")).collect();
    let wide: Vec<String> = (0..64).map(|n| format!("'s{n}'")).collect();
    let columns = format!(
        "id BINARY(16) PRIMARY KEY, a ENUM('a','b''c','ü'), b ENUM({}), c SET('x','y','z'), d SET({}), e GEOMETRY, f POINT SRID 4326, \
         g VECTOR(3), h INT INVISIBLE, i INT AS (h + 1) VIRTUAL, j VARCHAR(20) AS (CONCAT('v', h)) STORED, k SET('1','2','3','4','5','6','7','8','9')",
        many.join(","),
        wide.join(",")
    );
    let mut bed = CopyBed::new("sets", &columns, &[]).await;
    bed.open(1).await;
    bed.read().await;
    bed.follow().await;
    assert!(bed.close(), "an empty table is copied at once");
    let list = "INSERT INTO {t} (id, a, b, c, d, e, f, g, h, k) VALUES";
    bed.write("SET sql_mode = ''").await;
    bed.write(&format!(
        "{list} (x'01020000000000000000000000000000', 'b''c', 'm299', 'x,z', ~0, ST_GeomFromText('LINESTRING(0 0,1 1)'), \
         ST_GeomFromText('POINT(1 2)', 4326), TO_VECTOR('[1,2,-3.5]'), 7, '9,1')"
    ))
    .await;
    bed.write(&format!(
        "{list} (x'00', 'none', 'm0', '', 1 << 63, NULL, NULL, NULL, NULL, NULL)"
    ))
    .await;
    bed.follow().await;
    let selected = bed.source_rows().await;
    assert_eq!(bed.sink.by_key, selected.by_key);
    assert_eq!(selected.by_key.len(), 2);
}

#[tokio::test]
async fn a_generated_invisible_primary_key_is_a_key() {
    let mut bed = CopyBed::new("gipk", "a INT", &[]).await;
    bed.write("DROP TABLE {t}").await;
    bed.write("SET sql_generate_invisible_primary_key = ON").await;
    bed.write("CREATE TABLE {t} (a INT)").await;
    let mut session = peer::mysql::session::Session::connect(&bed.source).await.expect("connects");
    let shapes = peer::mysql::source::inspect::shapes(&mut session, &[bed.shape.name.clone()])
        .await
        .expect("a shape");
    let names: Vec<_> = shapes[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["my_row_id", "a"]);
    assert_eq!(shapes[0].key.as_ref().map(|key| key.columns.clone()), Some(vec![0]));
}

#[tokio::test]
async fn a_definition_is_written_the_same_way_whatever_the_mode_of_the_server() {
    let bed = CopyBed::new("ansi", "id INT PRIMARY KEY, v TIMESTAMP NULL", &[]).await;
    let mut session = Session::connect(&bed.source).await.expect("connects");
    session
        .execute("SET SESSION sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES', sql_quote_show_create = OFF")
        .await
        .expect("sets");
    let shapes = inspect::shapes(&mut session, std::slice::from_ref(&bed.shape.name)).await;
    assert_eq!(shapes.expect("a shape")[0].create_sql, bed.shape.create_sql);
}

/// The values of a key column come in the order of its index; Rust must find each below the next.
async fn orders_agree(kind: &str, values: &[&str]) {
    let mut bed = CopyBed::new("order", &format!("k {kind} PRIMARY KEY, v INT"), &[]).await;
    bed.write("SET sql_mode = ''").await;
    for value in values {
        bed.write(&format!("INSERT INTO {{t}} VALUES ({value}, 0)")).await;
    }
    assert_eq!(KeyOrder::of(&bed.shape), KeyOrder::Rust, "{kind}");
    let range = Range { low: None, high: None };
    let outcome = bed.chunks.read(&bed.shape, &range, 1 << 20).await.expect("reads");
    let ReadOutcome::Rows(read) = outcome else {
        panic!("expected rows, found {outcome:?}")
    };
    let layout = RowLayout::new(&bed.shape);
    let keys: Vec<_> = read
        .rows
        .iter()
        .map(|row| key_of(&bed.shape, &layout, row).expect("fits").expect("keyed"))
        .collect();
    assert_eq!(keys.len(), values.len(), "{kind}");
    for pair in keys.windows(2) {
        assert!(compare(&bed.shape, &pair[0], &pair[1]).is_lt(), "{kind}: {pair:?}");
    }
}

#[tokio::test]
async fn rust_orders_numbers_as_the_server_does() {
    orders_agree("TINYINT", &["-128", "-1", "0", "1", "127"]).await;
    orders_agree("MEDIUMINT", &["-8388608", "-256", "-1", "0", "255", "256", "8388607"]).await;
    orders_agree("MEDIUMINT UNSIGNED", &["0", "255", "256", "65536", "16777215"]).await;
    orders_agree("BIGINT", &["-9223372036854775808", "-257", "0", "256", "9223372036854775807"]).await;
    orders_agree(
        "BIGINT UNSIGNED",
        &["0", "256", "9223372036854775808", "18446744073709551615"],
    )
    .await;
    orders_agree(
        "DECIMAL(20,10)",
        &[
            "-9999999999.9",
            "-10.5",
            "-10",
            "-1.0000000001",
            "-1",
            "-0.0000000001",
            "0",
            "0.0000000001",
            "0.5",
            "9",
            "10",
            "1000000000",
        ],
    )
    .await;
    orders_agree("DECIMAL(3,3)", &["-0.999", "-0.001", "0", "0.001", "0.01", "0.999"]).await;
    orders_agree("BIT(1)", &["0", "1"]).await;
    orders_agree("BIT(64)", &["0", "1", "256", "9223372036854775808", "18446744073709551615"]).await;
    orders_agree("YEAR", &["0", "1901", "1999", "2000", "2155"]).await;
}

#[tokio::test]
async fn rust_orders_moments_and_bytes_as_the_server_does() {
    for fsp in [0, 2, 4, 6] {
        let times = [
            "'-838:59:59'",
            "'-01:00:00'",
            "'-00:00:02'",
            "'-00:00:01'",
            "'00:00:00'",
            "'00:00:01'",
            "'838:59:59'",
        ];
        let parts = [
            "'-00:00:01.99'",
            "'-00:00:01.5'",
            "'-00:00:01.01'",
            "'-00:00:00.01'",
            "'00:00:00.01'",
            "'00:00:00.99'",
        ];
        let values = if fsp == 0 {
            times.to_vec()
        } else {
            [&times[..], &parts[..]].concat()
        };
        orders_agree(&format!("TIME({fsp})"), &values).await;
        let mut moments = vec![
            "'0000-00-00'",
            "'1000-01-01'",
            "'2020-00-00'",
            "'2020-01-01'",
            "'9999-12-31 23:59:59'",
        ];
        let mut stamps = vec![
            "'0000-00-00'",
            "'1970-01-02'",
            "'2001-09-09 01:46:40'",
            "'2038-01-19 00:00:00'",
        ];
        if fsp > 0 {
            moments.extend(["'2020-01-01 00:00:00.01'", "'2020-01-01 00:00:00.99'"]);
            stamps.extend(["'2001-09-09 01:46:40.01'", "'2001-09-09 01:46:40.99'"]);
        }
        orders_agree(&format!("DATETIME({fsp})"), &moments).await;
        orders_agree(&format!("TIMESTAMP({fsp})"), &stamps).await;
    }
    orders_agree(
        "DATE",
        &[
            "'0000-00-00'",
            "'0001-01-01'",
            "'2020-00-00'",
            "'2020-01-31'",
            "'2020-02-01'",
            "'9999-12-31'",
        ],
    )
    .await;
    orders_agree(
        "BINARY(4)",
        &["x''", "x'00000001'", "x'01'", "x'0100FF'", "x'FF'", "x'FFFFFFFF'"],
    )
    .await;
    orders_agree("VARBINARY(4)", &["x''", "x'00'", "x'0000'", "x'01'", "x'0100'", "x'FF'"]).await;
}

#[tokio::test]
async fn json_agrees_with_the_types_within_it() {
    let rows = [
        r#"(1, '{"b": [1, null, -70000, 5000000000, 18446744073709551615, 1.5, 1e300, 1e15, 0.00001], "a": "ü\\n", "": {}}')"#,
        "(2, JSON_ARRAY(CAST(5 AS UNSIGNED), CAST(70000 AS UNSIGNED), TRUE, FALSE, DATE'2024-02-29', TIME'-12:34:56.7', \
         TIMESTAMP'2024-02-29 01:02:03.4', x'00ff', REPEAT(x'61', 200), '2024-02-29', 'base64:type15:AA=='))",
        "(3, NULL)",
        "(4, 'null')",
        "(5, '[]')",
        "(6, CAST(CAST(7 AS UNSIGNED) AS JSON))",
        "(7, JSON_OBJECT('k', REPEAT('x', 70000), 'l', JSON_ARRAY(CAST(70000 AS UNSIGNED), -70000, 1, REPEAT('y', 65530))))",
        "(8, JSON_ARRAY(JSON_ARRAY(), JSON_ARRAY(JSON_ARRAY(1, 2), 3), JSON_OBJECT('a', JSON_ARRAY(JSON_OBJECT()))))",
        // Large ones, whose types come in another order.
        "(9, CAST(CONCAT('[', REPEAT('{\"a\\\\\"]\": [1, 2.5, {\"b\": [\"x\", null, [[]]]}], \"c\": {\"d\": true, \"e\": {}}, \"k\": -1}, ', 3000), \
         '[[1, [2]], \"3\"], 70000]') AS JSON))",
        "(10, JSON_OBJECT('x', REPEAT('x', 70000), 'y', JSON_OBJECT('d', DATE'2024-02-29', 'a', JSON_ARRAY(1.50, x'00', JSON_OBJECT('t', TIME'01:00:00')))))",
        "(11, JSON_QUOTE(REPEAT('|', 70000)))",
        "(12, JSON_ARRAY(JSON_OBJECT(), REPEAT('|\"', 70000)))",
    ];
    images_agree("json", "id INT PRIMARY KEY, j JSON", &rows).await;
}

#[tokio::test]
async fn decimals_in_json_agree_in_their_normal_form() {
    let mut bed = CopyBed::new(
        "jsondec",
        "id INT PRIMARY KEY, j JSON, d DECIMAL(20,3)",
        &["(1, JSON_ARRAY(1.10, CAST(5 AS DECIMAL(3,0)), -0.5), 12.5)"],
    )
    .await;
    bed.write("UPDATE {t} SET j = JSON_ARRAY_APPEND(j, '$', d)").await;
    let rows = bed.source_rows().await;
    let row = rows.by_key.values().next().expect("a row");
    let layout = RowLayout::new(&bed.shape);
    let mut values = Vec::new();
    layout.split(&row.0, &mut values).expect("fits");
    let document = values[1].expect("a document");
    assert_eq!(json_tree::normal(document).expect("sound"), document);
    let tree = JsonTree::decode(document).expect("sound");
    assert_eq!(tree.to_text().expect("sound"), "[1.10, 5, -0.5, 12.500]");
    assert_eq!(json_text::letters(&tree), "mmmm");
}
