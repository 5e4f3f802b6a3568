//! Columns of random types, and random values for them.

use rand::Rng;
use rand::rngs::StdRng;

/// What a column holds: decides its values and how it may be in a key.
#[derive(Clone, Debug)]
pub enum Kind {
    Int { bits: u32, is_unsigned: bool },
    Decimal { precision: u32, scale: u32 },
    Float,
    Double,
    Bit(u32),
    Year,
    Date,
    Time,
    DateTime,
    Timestamp,
    Text { chars_max: usize, is_short: bool },
    Bytes { bytes_max: usize, is_short: bool },
    Enum(u32),
    Set(u32),
    Json,
    Geometry,
    Vector,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// Type with its attributes, without NULL and DEFAULT.
    pub sql: String,
    pub kind: Kind,
}

const CHARSETS: [&str; 10] = [
    "utf8mb4", "utf8mb4", "latin1", "gbk", "gb18030", "sjis", "utf16", "ucs2", "utf32", "cp932",
];
const COLLATIONS: [&str; 5] = [
    "utf8mb4_0900_ai_ci",
    "utf8mb4_general_ci",
    "utf8mb4_bin",
    "utf8mb4_0900_as_cs",
    "utf8mb4_unicode_ci",
];
const CHARACTERS: [char; 24] = [
    'a', 'A', 'b', 'ß', 'ä', 'Ä', 'é', 'z', ' ', ' ', '\'', '"', '\\', '%', '_', '`', '\n', '\0', '漢', '字', 'ア', '😀', '0',
    ';',
];

pub fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}

impl Column {
    pub fn draw(name: String, random: &mut StdRng) -> Self {
        let (sql, kind) = draw(random);
        Self { name, sql, kind }
    }

    /// As part of a key: `name` or `name(n)`; None when it cannot be.
    pub fn key_part(&self, random: &mut StdRng) -> Option<String> {
        match self.kind {
            Kind::Json | Kind::Geometry | Kind::Vector => None,
            Kind::Text { is_short: false, .. } | Kind::Bytes { is_short: false, .. } => {
                Some(format!("`{}`({})", self.name, random.random_range(1..20)))
            }
            Kind::Text { chars_max, .. } if chars_max > 4 && random.random_bool(0.2) => {
                Some(format!("`{}`({})", self.name, random.random_range(1..4)))
            }
            _ => Some(format!("`{}`", self.name)),
        }
    }

    /// A literal.
    pub fn value(&self, random: &mut StdRng) -> String {
        if random.random_bool(0.1) {
            return "NULL".into();
        }
        value(&self.kind, random)
    }
}

fn draw(random: &mut StdRng) -> (String, Kind) {
    let fsp = random.random_range(0..=6);
    match random.random_range(0..24) {
        0..=3 => {
            let (name, bits) = *pick(
                random,
                &[
                    ("TINYINT", 8),
                    ("SMALLINT", 16),
                    ("MEDIUMINT", 24),
                    ("INT", 32),
                    ("BIGINT", 64),
                ],
            );
            let is_unsigned = random.random_bool(0.4);
            let sign = if is_unsigned { " UNSIGNED" } else { "" };
            (format!("{name}{sign}"), Kind::Int { bits, is_unsigned })
        }
        4 => {
            let precision = random.random_range(1..=65);
            let scale = random.random_range(0..=precision.min(30));
            (format!("DECIMAL({precision},{scale})"), Kind::Decimal { precision, scale })
        }
        5 => ("FLOAT".into(), Kind::Float),
        6 => ("DOUBLE".into(), Kind::Double),
        7 => {
            let bits = random.random_range(1..=64);
            (format!("BIT({bits})"), Kind::Bit(bits))
        }
        8 => ("YEAR".into(), Kind::Year),
        9 => ("DATE".into(), Kind::Date),
        10 => (format!("TIME({fsp})"), Kind::Time),
        11 => (format!("DATETIME({fsp})"), Kind::DateTime),
        12 => (format!("TIMESTAMP({fsp})"), Kind::Timestamp),
        13..=16 => text(random),
        17 | 18 => {
            let bytes_max = random.random_range(1..=60);
            match random.random_range(0..4) {
                0 => (
                    format!("BINARY({bytes_max})"),
                    Kind::Bytes {
                        bytes_max,
                        is_short: true,
                    },
                ),
                1 => (
                    format!("VARBINARY({bytes_max})"),
                    Kind::Bytes {
                        bytes_max,
                        is_short: true,
                    },
                ),
                2 => (
                    "TINYBLOB".into(),
                    Kind::Bytes {
                        bytes_max: 255,
                        is_short: false,
                    },
                ),
                _ => (
                    "LONGBLOB".into(),
                    Kind::Bytes {
                        bytes_max: 3000,
                        is_short: false,
                    },
                ),
            }
        }
        19 => {
            let members = *pick(random, &[1, 3, 255, 300]);
            (format!("ENUM({})", labels(members)), Kind::Enum(members))
        }
        20 => {
            let members = *pick(random, &[1, 7, 9, 33, 64]);
            (format!("SET({})", labels(members)), Kind::Set(members))
        }
        21 => ("JSON".into(), Kind::Json),
        22 => ("GEOMETRY".into(), Kind::Geometry),
        _ => ("VECTOR(4)".into(), Kind::Vector),
    }
}

fn text(random: &mut StdRng) -> (String, Kind) {
    let chars_max = random.random_range(1..=40);
    let charset = *pick(random, &CHARSETS);
    let set = match charset {
        "utf8mb4" => format!("CHARACTER SET utf8mb4 COLLATE {}", pick(random, &COLLATIONS)),
        other if random.random_bool(0.3) => format!("CHARACTER SET {other} COLLATE {other}_bin"),
        other => format!("CHARACTER SET {other}"),
    };
    match random.random_range(0..5) {
        0 => (
            format!("CHAR({chars_max}) {set}"),
            Kind::Text {
                chars_max,
                is_short: true,
            },
        ),
        1..=3 => (
            format!("VARCHAR({chars_max}) {set}"),
            Kind::Text {
                chars_max,
                is_short: true,
            },
        ),
        _ => (
            format!("TEXT {set}"),
            Kind::Text {
                chars_max: 500,
                is_short: false,
            },
        ),
    }
}

fn labels(count: u32) -> String {
    (0..count).map(|n| format!("'m{n}'")).collect::<Vec<_>>().join(",")
}

/// Small numbers often, so that keys meet; edges often; anything sometimes.
fn integer(bits: u32, is_unsigned: bool, random: &mut StdRng) -> i128 {
    let low = if is_unsigned { 0 } else { -(1 << (bits - 1)) };
    let high: i128 = if is_unsigned { (1 << bits) - 1 } else { (1 << (bits - 1)) - 1 };
    match random.random_range(0..10) {
        0 => low,
        1 => high,
        2 => low + (random.random::<u64>() as i128) % (high - low + 1),
        _ => random.random_range(0..12),
    }
}

fn number(random: &mut StdRng) -> String {
    match random.random_range(0..5) {
        0 => format!("{}e{}", random.random::<f64>(), random.random_range(-45..38)),
        1 => format!("{}", random.random_range(-1000..1000)),
        2 => format!("{:.3}", random.random::<f64>() * 100.0),
        3 => "-0e0".into(),
        _ => format!("{}e0", random.random::<f64>()),
    }
}

fn moment(random: &mut StdRng) -> String {
    let (year, month, day) = match random.random_range(0..8) {
        0 => (0, 0, 0),
        1 => (2020, 0, 0),
        2 => (9999, 12, 31),
        3 => (1970, 1, 2),
        _ => (
            random.random_range(1971..2037),
            random.random_range(1..=12),
            random.random_range(1..=31),
        ),
    };
    let (hours, minutes, seconds, micros) = clock(random, 24);
    format!("'{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{micros:06}'")
}

fn clock(random: &mut StdRng, hours: u32) -> (u32, u32, u32, u32) {
    let micros = *pick(random, &[0, 1, 500_000, 999_999, 120_000]);
    if random.random_bool(0.3) {
        return (0, 0, 0, micros);
    }
    (
        random.random_range(0..hours),
        random.random_range(0..60),
        random.random_range(0..60),
        micros,
    )
}

fn characters(chars_max: usize, random: &mut StdRng) -> String {
    let limit = if random.random_bool(0.7) {
        chars_max.min(2)
    } else {
        chars_max
    };
    let length = random.random_range(0..=limit);
    (0..length).map(|_| *pick(random, &CHARACTERS)).collect()
}

fn hex(bytes: &[u8]) -> String {
    format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn value(kind: &Kind, random: &mut StdRng) -> String {
    match kind {
        Kind::Int { bits, is_unsigned } => integer(*bits, *is_unsigned, random).to_string(),
        Kind::Decimal { precision, scale } => {
            let digits = random.random_range(1..=*precision);
            let digits: String = (0..digits).map(|_| char::from(b'0' + random.random_range(0..10u8))).collect();
            let sign = if random.random_bool(0.5) { "-" } else { "" };
            if random.random_bool(0.5) {
                format!("{sign}{digits}e-{scale}").replace("e-0", "")
            } else {
                random.random_range(-9..9).to_string()
            }
        }
        Kind::Float | Kind::Double => number(random),
        Kind::Bit(bits) => (integer(*bits, true, random)).to_string(),
        Kind::Year => pick(random, &["0", "1901", "2155", "2000", "1999", "1970"]).to_string(),
        Kind::Date | Kind::DateTime | Kind::Timestamp => moment(random),
        Kind::Time => {
            let (hours, minutes, seconds, micros) = clock(random, 839);
            format!(
                "'{}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}'",
                pick(random, &["", "-"])
            )
        }
        Kind::Text { chars_max, .. } => {
            let bytes = characters(*chars_max, random).into_bytes();
            format!("_utf8mb4 {}", hex(&bytes))
        }
        Kind::Bytes { bytes_max, .. } => {
            let limit = if random.random_bool(0.7) { 2 } else { *bytes_max };
            let length = random.random_range(0..=limit.min(*bytes_max));
            hex(&(0..length)
                .map(|_| *pick(random, &[0, 0, 0x20, 0x27, 0x5c, 0x61, 0xff]))
                .collect::<Vec<u8>>())
        }
        Kind::Enum(members) => random.random_range(0..=*members).to_string(),
        Kind::Set(members) => integer(*members, true, random).to_string(),
        Kind::Json => json(3, random),
        Kind::Geometry => match random.random_range(0..3) {
            0 => format!("ST_GeomFromText('POINT({} 2)', 4326)", random.random_range(-80..80)),
            1 => format!("POINT({}, 1e-5)", random.random_range(0..5)),
            _ => "ST_GeomFromText('LINESTRING(0 0, 1 1, 2 0)')".into(),
        },
        Kind::Vector => format!("TO_VECTOR('[{}, {}]')", random.random_range(0..5), random.random::<f32>()),
    }
}

/// An expression that makes a document with types of all kinds in it.
fn json(depth: u32, random: &mut StdRng) -> String {
    let parts = random.random_range(0..4);
    match random.random_range(0..if depth > 0 { 16 } else { 13 }) {
        0 => "CAST('null' AS JSON)".into(),
        1 => "CAST('true' AS JSON)".into(),
        2 => format!("CAST({} AS JSON)", random.random::<i64>() >> random.random_range(0..63)),
        3 => format!(
            "CAST(CAST({} AS UNSIGNED) AS JSON)",
            random.random::<u64>() >> random.random_range(0..63)
        ),
        4 => format!("CAST({}e0 AS JSON)", random.random::<f64>() * 1000.0),
        5 => format!("CAST({:.3} AS JSON)", random.random::<f64>() * 1000.0),
        6 => format!("CAST(CAST({} AS DECIMAL(30,0)) AS JSON)", random.random::<i64>()),
        7 => format!("CAST(CAST({} AS DATE) AS JSON)", moment(random)),
        8 => format!("CAST(CAST({} AS DATETIME(6)) AS JSON)", moment(random)),
        9 => format!("CAST(CAST({} AS TIME(6)) AS JSON)", value(&Kind::Time, random)),
        10 => {
            let bytes = value(
                &Kind::Bytes {
                    bytes_max: 100,
                    is_short: true,
                },
                random,
            );
            format!("JSON_EXTRACT(JSON_ARRAY({bytes}), '$[0]')")
        }
        11 | 12 => format!(
            "CAST(JSON_QUOTE(_utf8mb4 {}) AS JSON)",
            hex(characters(20, random).as_bytes())
        ),
        13 | 14 => {
            let values: Vec<String> = (0..parts).map(|_| json(depth - 1, random)).collect();
            format!("JSON_ARRAY({})", values.join(", "))
        }
        _ => {
            let members: Vec<String> = (0..parts)
                .map(|_| {
                    format!(
                        "_utf8mb4 {}, {}",
                        hex(characters(5, random).as_bytes()),
                        json(depth - 1, random)
                    )
                })
                .collect();
            format!("JSON_OBJECT({})", members.join(", "))
        }
    }
}
