//! Text in every character set of the server, and the names of things.

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        every_byte(),
        connections(),
        pads(),
        names(),
        generated(),
        invisible(),
        gipk(),
        hidden_gipk(),
        defaults(),
        indexes(),
    ];
    cases.extend(CHARSETS.iter().map(|charset| every_character(charset)));
    cases
}

/// `SHOW CHARACTER SET` of MySQL 9.7, without `binary`.
const CHARSETS: [&str; 40] = [
    "armscii8", "ascii", "big5", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932", "dec8", "eucjpms",
    "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2",
    "latin5", "latin7", "macce", "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis", "utf16", "utf16le", "utf32", "utf8mb3",
    "utf8mb4",
];

/// Characters of all planes, as far as the set has them: 256 of them in a row.
fn every_character(charset: &'static str) -> Case {
    let is_wide = ["gb18030", "utf16", "utf16le", "utf32", "utf8mb4"].contains(&charset);
    let last = if is_wide { 0x110000 } else { 0x10000 };
    // Four bytes of UTF-32 per code point, without surrogates; what the set lacks becomes `?`.
    let fill = format!(
        "INSERT IGNORE INTO t (id, v, c, x) \
         WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 255), \
         b (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM b WHERE n < {} ) \
         SELECT b.n, GROUP_CONCAT(CONVERT(UNHEX(LPAD(HEX(b.n * 256 + s.n), 8, '0')) USING utf32) ORDER BY s.n SEPARATOR ''), \
         CONVERT(UNHEX(LPAD(HEX(b.n * 256 + 37), 8, '0')) USING utf32), \
         GROUP_CONCAT(CONVERT(UNHEX(LPAD(HEX(b.n * 256 + s.n), 8, '0')) USING utf32) ORDER BY s.n DESC SEPARATOR '') \
         FROM b JOIN s WHERE (b.n * 256 < 55296 OR b.n * 256 > 57343) {} GROUP BY b.n",
        last / 256 - 1,
        // All of the first plane, then every 20th row of the others.
        "AND (b.n < 256 OR b.n % 20 = 0)"
    );
    Case::new(charset)
        .set("cte_max_recursion_depth = 100000, group_concat_max_len = 1000000, sql_mode = ''")
        .table(format!(
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300) CHARACTER SET {charset}, c CHAR(5) CHARACTER SET {charset}, \
             x TEXT CHARACTER SET {charset})"
        ))
        .table(format!(
            "CREATE TABLE keyed (k VARCHAR(10) CHARACTER SET {charset} PRIMARY KEY, v INT)"
        ))
        .table(format!(
            "CREATE TABLE keyless (v VARCHAR(300) CHARACTER SET {charset}, c CHAR(5) CHARACTER SET {charset})"
        ))
        .write(fill)
        .write("INSERT IGNORE INTO keyed SELECT c, id FROM t WHERE id % 3 = 0")
        .write("INSERT INTO keyless SELECT v, c FROM t WHERE id BETWEEN 0 AND 3 OR id % 41 = 0")
        .write("UPDATE t SET v = CONCAT(c, v, '''', ' ') WHERE id % 2 = 0")
        .write("UPDATE keyed SET v = v + 1 WHERE v % 5 = 0")
        .write("DELETE FROM keyed WHERE v % 7 = 0")
        .write("DELETE FROM keyless WHERE c = '%' LIMIT 1")
        .write("UPDATE keyless SET c = '' LIMIT 3")
}

/// All 256 bytes in the sets of one byte, among them the five of latin1 that are no character of cp1252.
fn every_byte() -> Case {
    let sets = [
        "latin1", "cp1251", "koi8r", "greek", "hebrew", "latin2", "cp850", "macroman", "dec8", "hp8",
    ];
    let columns: Vec<String> = sets
        .iter()
        .map(|set| format!("{set}_c VARCHAR(20) CHARACTER SET {set}"))
        .collect();
    let mut case = Case::new("every_byte")
        .set("sql_mode = ''")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {})", columns.join(", ")))
        .table("CREATE TABLE keyed (k CHAR(3) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY, v INT)")
        .table("CREATE TABLE keyless (v TEXT CHARACTER SET latin1)");
    for first in (0..256).step_by(16) {
        let bytes: String = (first..first + 16).map(|byte| format!("{byte:02x}")).collect();
        let values: Vec<String> = sets.iter().map(|set| format!("_{set} x'{bytes}'")).collect();
        case = case
            .write(format!("INSERT INTO t VALUES ({first}, {})", values.join(", ")))
            .write(format!(
                "INSERT INTO keyless VALUES (_latin1 x'{bytes}'), (_latin1 x'{bytes}')"
            ));
    }
    case.write("INSERT INTO keyed VALUES (_latin1 x'81', 1), (_latin1 x'8D', 2), (_latin1 x'8F', 3), (_latin1 x'90', 4), (_latin1 x'9D', 5)")
        .write("UPDATE keyed SET k = CONCAT(k, _latin1 x'81')")
        .write("DELETE FROM keyed WHERE k = _latin1 x'9081'")
        .write("DELETE FROM keyless WHERE v LIKE CONCAT('%', _latin1 x'9D', '%') LIMIT 1")
}

/// What the client speaks is of no account to what is stored.
fn connections() -> Case {
    let mut case = Case::new("connections").table(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(50) CHARACTER SET utf8mb4, b VARCHAR(50) CHARACTER SET gbk, \
         c VARCHAR(50) CHARACTER SET latin1, d VARBINARY(50))",
    );
    for (session, set) in ["utf8mb4", "gbk", "latin1", "sjis", "big5", "cp932", "gb18030", "binary"]
        .iter()
        .enumerate()
    {
        let session = u8::try_from(session + 1).unwrap();
        case = case
            .write_in(session, format!("SET NAMES {set}, sql_mode = ''"))
            .write_in(
                session,
                "INSERT INTO t (a, b, c, d) VALUES ('plain', 'it''s', 'back\\\\slash', 'x')",
            )
            .write_in(
                session,
                "INSERT INTO t (a, b, c, d) VALUES (_utf8mb4 x'E4B8ADF09F9880', _gbk x'D6D0955C', _latin1 x'E95C27', x'955C')",
            )
            .write_in(session, "UPDATE t SET a = CONCAT(a, '\\\\') ORDER BY id DESC LIMIT 1");
    }
    case
}

fn pads() -> Case {
    let columns = "a CHAR(5) COLLATE utf8mb4_general_ci, b CHAR(5) COLLATE utf8mb4_0900_ai_ci, c VARCHAR(5) COLLATE utf8mb4_general_ci, \
                   d VARCHAR(5) COLLATE utf8mb4_0900_ai_ci, e TEXT";
    let mut case = Case::new("pads")
        .set("sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'")
        .table(format!("CREATE TABLE t (id INT PRIMARY KEY, {columns})"))
        .table(format!("CREATE TABLE keyless ({columns})"));
    for (id, text) in ["''", "' '", "'a'", "'a '", "'a  '", "' a'", "'A'", "'ä'"].iter().enumerate() {
        let row = [*text; 5].join(", ");
        case = case
            .write(format!("INSERT INTO t VALUES ({id}, {row})"))
            .write(format!("INSERT INTO keyless VALUES ({row})"));
    }
    case.write("UPDATE keyless SET e = 'changed' WHERE d = BINARY 'a '")
        .write("DELETE FROM keyless WHERE d = BINARY 'a  '")
        .write("UPDATE t SET c = CONCAT(c, ' ') WHERE id = 2")
}

fn names() -> Case {
    let mut case = Case::new("names");
    let odd = [
        "back`tick",
        "dot.ted",
        "with space",
        "dollar$",
        "ünïcödé",
        "漢字",
        "quote'",
        "double\"",
        "semi;colon",
        "-dash",
        "1",
        "select",
        "%",
        "a#b",
        "a/*b*/",
        "back\\slash",
        "@at",
        "{brace}",
        "?",
        "-- x",
    ];
    for name in odd {
        let quoted = name.replace('`', "``");
        case = case
            .table(format!(
                "CREATE TABLE `t {quoted}` (`{quoted}` INT PRIMARY KEY, `v{quoted}` VARCHAR(20) COMMENT 'it''s `x`', KEY `i{quoted}` (`v{quoted}`))"
            ))
            .table(format!("CREATE TABLE `k {quoted}` (`{quoted}` INT, `j{quoted}` JSON)"))
            .write(format!("INSERT INTO `t {quoted}` VALUES (1, 'a'), (2, 'b'), (3, 'c')"))
            .write(format!("INSERT INTO `k {quoted}` VALUES (1, '[1]'), (1, '[1]'), (2, '[1.5]')"))
            .write(format!("UPDATE `t {quoted}` SET `v{quoted}` = 'changed' WHERE `{quoted}` = 2"))
            .write(format!("DELETE FROM `k {quoted}` WHERE `{quoted}` = 1 LIMIT 1"));
    }
    case
}

fn generated() -> Case {
    Case::new("generated")
        .table(
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, v INT AS (a * 2) VIRTUAL, s INT AS (a * 3) STORED NOT NULL, \
             t VARCHAR(40) AS (CONCAT('a', a, 'v', v)) VIRTUAL, f FLOAT AS (a / 3) STORED, j JSON AS (JSON_ARRAY(a, a / 4)) VIRTUAL, \
             KEY (v), UNIQUE KEY (s))",
        )
        .table("CREATE TABLE keyed (a INT, k INT AS (a + 1) STORED PRIMARY KEY, b INT)")
        .table("CREATE TABLE keyless (a INT, v INT AS (a + 1) VIRTUAL, s VARCHAR(20) AS (HEX(a)) STORED)")
        .table("CREATE TABLE `order` (v INT AS (b + 1), b INT, w INT AS (v + 1) STORED, id INT PRIMARY KEY)")
        .write("INSERT INTO t (id, a) VALUES (1, 1), (2, 2), (3, -3)")
        .write("INSERT INTO keyed (a, b) VALUES (1, 1), (2, 2), (3, 3)")
        .write("INSERT INTO keyless (a) VALUES (1), (1), (NULL)")
        .write("INSERT INTO `order` (b, id) VALUES (1, 1), (2, 2)")
        .write("UPDATE t SET a = a + 10 ORDER BY a DESC")
        .write("UPDATE keyed SET a = a + 1 ORDER BY a DESC")
        .write("UPDATE keyless SET a = 5 WHERE a = 1 LIMIT 1")
        .write("DELETE FROM keyless WHERE a IS NULL")
        .write("UPDATE `order` SET b = NULL WHERE id = 1")
        .write("DELETE FROM t WHERE id = 2")
}

fn invisible() -> Case {
    Case::new("invisible")
        .table("CREATE TABLE t (id INT PRIMARY KEY, a INT INVISIBLE DEFAULT 5, b INT, c INT AS (a + b) VIRTUAL INVISIBLE)")
        .table("CREATE TABLE hidden_key (id INT AUTO_INCREMENT PRIMARY KEY INVISIBLE, a INT)")
        .table("CREATE TABLE keyless (a INT, b INT INVISIBLE)")
        .write("INSERT INTO t (id, b) VALUES (1, 1), (2, 2)")
        .write("INSERT INTO t (id, a, b) VALUES (3, NULL, 3)")
        .write("INSERT INTO hidden_key (a) VALUES (1), (2), (2)")
        .write("INSERT INTO keyless (a, b) VALUES (1, 1), (1, 2), (1, NULL)")
        .write("UPDATE t SET a = a + 1")
        .write("DELETE FROM hidden_key WHERE a = 2 ORDER BY id LIMIT 1")
        .write("DELETE FROM keyless WHERE b = 2")
        .write("UPDATE keyless SET b = 7 WHERE b IS NULL")
}

fn gipk() -> Case {
    Case::new("gipk")
        .set("sql_generate_invisible_primary_key = ON")
        .table("CREATE TABLE t (a INT, b TEXT)")
        .write("INSERT INTO t VALUES (1, 'one'), (1, 'one'), (2, 'two')")
        .write("UPDATE t SET b = 'changed' WHERE a = 1 LIMIT 1")
        .write("DELETE FROM t WHERE a = 2")
        .write("INSERT INTO t (my_row_id, a) VALUES (100, 5)")
}

fn hidden_gipk() -> Case {
    Case::new("gipk_hidden")
        .set("sql_generate_invisible_primary_key = ON, show_gipk_in_create_table_and_information_schema = OFF")
        .table("CREATE TABLE t (a INT UNIQUE, b JSON)")
        .write("INSERT INTO t VALUES (1, '[1]'), (NULL, NULL), (NULL, '1.5')")
        .write("UPDATE t SET b = JSON_ARRAY(1.50) WHERE a IS NULL")
}

fn defaults() -> Case {
    Case::new("defaults")
        .table(
            "CREATE TABLE t (id INT PRIMARY KEY, a INT DEFAULT (1 + 2), b VARCHAR(36) DEFAULT (UUID()), c JSON DEFAULT (JSON_ARRAY(1, 2.50)), \
             d DATETIME DEFAULT (NOW() + INTERVAL 1 DAY), e TEXT DEFAULT ('it''s'), f POINT DEFAULT (POINT(1, 2)), g FLOAT DEFAULT (RAND()), \
             h INT DEFAULT 7, i BINARY(3) DEFAULT 'a', j VARCHAR(10) DEFAULT 'é', k BIT(5) DEFAULT b'101', l DECIMAL(5,2) DEFAULT -1.50, \
             CONSTRAINT `odd check` CHECK (h > 0))",
        )
        .write("INSERT INTO t (id) VALUES (1), (2), (3)")
        .write("UPDATE t SET a = DEFAULT, h = DEFAULT WHERE id = 2")
        .write("REPLACE INTO t (id, e) VALUES (3, DEFAULT)")
}

fn indexes() -> Case {
    Case::new("indexes")
        .table(
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, s VARCHAR(200), doc JSON, p POINT NOT NULL SRID 4326, \
             KEY functional ((a * 2)), UNIQUE KEY lowered ((LOWER(s))), KEY descending (a DESC, s(10)), \
             KEY multi ((CAST(doc->'$.tags' AS UNSIGNED ARRAY))), KEY mixed (a, (CAST(doc->'$.words' AS CHAR(20) ARRAY))), \
             FULLTEXT KEY words (s), SPATIAL KEY place (p), KEY hidden (s(5)) INVISIBLE)",
        )
        .table("CREATE TABLE prefixes (a TEXT, b BLOB, v INT, UNIQUE KEY (a(4)), KEY (b(3)))")
        .table("CREATE TABLE parts (id INT, at DATE, v INT, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2000), PARTITION p1 VALUES LESS THAN MAXVALUE)")
        .write("INSERT INTO t VALUES (1, 1, 'One word', '{\"tags\": [1, 2], \"words\": [\"x\", \"y\"]}', ST_GeomFromText('POINT(1 2)', 4326))")
        .write("INSERT INTO t VALUES (2, NULL, NULL, NULL, ST_GeomFromText('POINT(3 4)', 4326))")
        .write("INSERT INTO prefixes VALUES ('abcdX', 'abcX', 1), ('abceX', 'abcY', 2), (NULL, NULL, 3)")
        .write("INSERT INTO parts VALUES (1, '1999-12-31', 1), (1, '2024-01-01', 2), (2, '2024-01-01', 3)")
        .write("UPDATE t SET doc = JSON_SET(doc, '$.tags[0]', 9), s = 'two words' WHERE id = 1")
        .write("UPDATE prefixes SET a = 'abcfX' WHERE v = 1")
        .write("UPDATE parts SET at = '1998-01-01' WHERE v = 3")
        .write("DELETE FROM parts WHERE v = 1")
}
