//! The shape of a table: what is needed to read its row images and to write its rows.
//!
//! Made by `mysql::source::inspect` from information_schema, kept in `peer_meta.shape`, sent over the link as JSON.
//! `ColumnKind` is the logical type with all parameters that decide the binlog encoding of a value.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::cascade::Cascade;
use crate::core::table_map::TableMap;

/// `schema.table`, as the server spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The database.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// Number of a shape within one subscription; rows on the link name it instead of their table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShapeId(pub u32);

/// A table's definition at one position of the binlog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableShape {
    /// Its name on the source.
    pub name: TableName,
    /// All columns in ordinal order, generated and invisible ones included: exactly the columns of a FULL row image.
    pub columns: Vec<Column>,
    /// The key that identifies a row: PRIMARY, else the first unique key of whole, NOT NULL columns. None: keyless.
    pub key: Option<RowKey>,
    /// Every other unique key exists: updates must then be DELETE all, INSERT all (PROTOCOLS 10).
    pub has_secondary_unique: bool,
    /// Canonical bytes, in hex, of what a column becomes that an INSERT leaves out, by ordinal; a column without an entry becomes
    /// NULL or cannot be left out. None: not looked up, by an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<BTreeMap<usize, String>>,
    /// Foreign keys by which the engine changes rows of this table when its parents change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cascades: Vec<Cascade>,
    /// `SHOW CREATE TABLE` of the source.
    pub create_sql: String,
    /// What becomes of it on its way to the target; None: nothing. Stands in the stored text only when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Box<TableMap>>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, without quotes.
    pub name: String,
    /// Logical type.
    pub kind: ColumnKind,
    /// NULL is allowed.
    pub is_nullable: bool,
    /// Virtual or stored generated: present in row images, never written.
    pub is_generated: bool,
    /// `utf8mb4` and the like; None for types without one.
    pub charset: Option<String>,
    /// `utf8mb4_0900_ai_ci` and the like; None for types without one.
    pub collation: Option<String>,
}

/// The index whose columns identify a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowKey {
    /// The index name, `PRIMARY` for the primary key (for FORCE INDEX).
    pub index: String,
    /// Ordinals into `TableShape::columns`, in key order.
    pub columns: Vec<usize>,
}

/// Logical type of a column. Lengths of strings are in bytes, as TABLE_MAP has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// TINYINT (1), SMALLINT (2), MEDIUMINT (3), INT (4), BIGINT (8 bytes).
    Int {
        /// 1, 2, 3, 4 or 8.
        bytes: u8,
        /// UNSIGNED.
        unsigned: bool,
    },
    /// DECIMAL(precision, scale).
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// BIT(bits).
    Bit {
        /// 1–64.
        bits: u8,
    },
    /// YEAR.
    Year,
    /// DATE.
    Date,
    /// TIME(fsp).
    Time {
        /// Fraction digits 0–6.
        fsp: u8,
    },
    /// DATETIME(fsp).
    DateTime {
        /// Fraction digits 0–6.
        fsp: u8,
    },
    /// TIMESTAMP(fsp), UTC.
    Timestamp {
        /// Fraction digits 0–6.
        fsp: u8,
    },
    /// CHAR(n): n × bytes per character.
    Char {
        /// Longest value in bytes.
        bytes_max: u32,
    },
    /// VARCHAR(n).
    VarChar {
        /// Longest value in bytes.
        bytes_max: u32,
    },
    /// BINARY(n): trailing zero bytes are cut in the image.
    Binary {
        /// n.
        bytes: u32,
    },
    /// VARBINARY(n).
    VarBinary {
        /// n.
        bytes_max: u32,
    },
    /// TINYBLOB (1), BLOB (2), MEDIUMBLOB (3), LONGBLOB (4).
    Blob {
        /// Bytes of the length prefix.
        length_bytes: u8,
    },
    /// TINYTEXT (1) … LONGTEXT (4).
    Text {
        /// Bytes of the length prefix.
        length_bytes: u8,
    },
    /// JSON: canonical bytes are JSONB.
    Json,
    /// GEOMETRY and its subtypes: SRID + WKB.
    Geometry,
    /// VECTOR: raw f32.
    Vector,
    /// ENUM.
    Enum {
        /// Labels in order; index 1 is the first.
        members: Vec<String>,
    },
    /// SET.
    Set {
        /// Labels in order; bit 0 is the first.
        members: Vec<String>,
    },
}

/// How a value lies in a row image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Always so many bytes.
    Fixed(u8),
    /// A little-endian length of so many bytes (1-4), then the value.
    Prefixed(u8),
}

impl ColumnKind {
    /// How values of this kind lie in a row image.
    #[must_use]
    pub fn storage(&self) -> Storage {
        match self {
            Self::Int { bytes, .. } => Storage::Fixed(*bytes),
            Self::Decimal { precision, scale } => Storage::Fixed(decimal_bytes(*precision, *scale)),
            Self::Float => Storage::Fixed(4),
            Self::Double => Storage::Fixed(8),
            Self::Bit { bits } => Storage::Fixed(bits.div_ceil(8)),
            Self::Year => Storage::Fixed(1),
            Self::Date => Storage::Fixed(3),
            Self::Time { fsp } => Storage::Fixed(3 + fsp.div_ceil(2)),
            Self::DateTime { fsp } => Storage::Fixed(5 + fsp.div_ceil(2)),
            Self::Timestamp { fsp } => Storage::Fixed(4 + fsp.div_ceil(2)),
            Self::Char { bytes_max } | Self::VarChar { bytes_max } | Self::VarBinary { bytes_max } => short_string(*bytes_max),
            Self::Binary { bytes } => short_string(*bytes),
            Self::Blob { length_bytes } | Self::Text { length_bytes } => Storage::Prefixed(*length_bytes),
            Self::Json | Self::Geometry | Self::Vector => Storage::Prefixed(4),
            Self::Enum { members } => Storage::Fixed(if members.len() > 255 { 2 } else { 1 }),
            Self::Set { members } => Storage::Fixed(set_bytes(members.len())),
        }
    }
}

fn short_string(bytes_max: u32) -> Storage {
    Storage::Prefixed(if bytes_max > 255 { 2 } else { 1 })
}

fn set_bytes(members: usize) -> u8 {
    match members {
        0..=8 => 1,
        9..=16 => 2,
        17..=24 => 3,
        25..=32 => 4,
        _ => 8,
    }
}

/// Bytes of a packed decimal: four per nine digits, fewer for the rest, on each side of the point.
fn decimal_bytes(precision: u8, scale: u8) -> u8 {
    let side = |digits: u8| digits / 9 * 4 + (digits % 9).div_ceil(2);
    side(precision.saturating_sub(scale)) + side(scale)
}
