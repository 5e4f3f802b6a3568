//! The values of keys as SQL constants that compare exactly as their columns do.
//!
//! Used by `key_range` (against columns, through the index) and by `key_oracle` (constants against each other). Expects a session with
//! `canonical::SESSION_SETTINGS`: UTC, and a sql_mode that allows zero dates. Not for writing rows: `target::literal`.

use crate::core::shape::{Column, TableName};
use crate::core::value::{DateTimeValue, Value};
use crate::mysql::error::Error;
use crate::mysql::quote;

/// One value of a key as a constant.
///
/// # Errors
/// The bytes are no value of the column, or its type cannot be part of a key.
pub fn literal(table: &TableName, column: &Column, bytes: &[u8]) -> Result<String, Error> {
    let bad = |reason: String| Error::BadRow {
        table: table.to_string(),
        reason: format!("key column `{}`: {reason}", column.name),
    };
    let value = Value::decode(&column.kind, bytes).map_err(|error| bad(error.to_string()))?;
    Ok(match value {
        Value::Int(value) => value.to_string(),
        Value::UInt(value) | Value::Bit(value) | Value::Set(value) => value.to_string(),
        Value::Enum(index) => index.to_string(),
        Value::Decimal(text) => text,
        // The shortest text that reads back as the same double; a FLOAT is compared as the double it widens to.
        Value::Float(value) => format!("{:e}", f64::from(value)),
        Value::Double(value) => format!("{value:e}"),
        // As four digits: a number below 100 would be read as a year of the last or this century.
        Value::Year(year) => format!("'{year:04}'"),
        Value::Date(date) => format!("'{}'", date_text(&date)),
        Value::DateTime(at) => format!(
            "'{} {:02}:{:02}:{:02}.{:06}'",
            date_text(&at),
            at.hours,
            at.minutes,
            at.seconds,
            at.micros
        ),
        // Zero is the zero date, not 1970.
        Value::Timestamp { seconds: 0, .. } => "'0000-00-00 00:00:00'".into(),
        Value::Timestamp { seconds, micros } => format!("FROM_UNIXTIME({seconds}.{micros:06})"),
        Value::Time(time) => {
            let sign = if time.is_negative { "-" } else { "" };
            format!(
                "TIME'{sign}{:02}:{:02}:{:02}.{:06}'",
                time.hours, time.minutes, time.seconds, time.micros
            )
        }
        Value::Text(bytes) => text(column, bytes),
        Value::Bytes(bytes) => hex(&bytes),
        Value::Json(_) => return Err(bad("JSON cannot be part of a key".into())),
    })
}

fn date_text(date: &DateTimeValue) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

fn hex(bytes: &[u8]) -> String {
    let mut sql = String::new();
    quote::push_hex(&mut sql, bytes);
    sql
}

/// The bytes themselves under the column's own character set and collation, whatever those of the connection are.
fn text(column: &Column, bytes: &[u8]) -> String {
    match (&column.charset, &column.collation) {
        (Some(charset), Some(collation)) => format!("_{charset} {} COLLATE {collation}", hex(bytes)),
        _ => hex(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shape::ColumnKind;

    fn of(kind: ColumnKind, bytes: &[u8]) -> String {
        let is_text = matches!(kind, ColumnKind::VarChar { .. });
        let column = Column {
            name: "c".into(),
            kind,
            is_nullable: false,
            is_generated: false,
            charset: is_text.then(|| "latin1".into()),
            collation: is_text.then(|| "latin1_swedish_ci".into()),
        };
        let table = TableName {
            schema: "s".into(),
            table: "t".into(),
        };
        literal(&table, &column, bytes).expect("a literal")
    }

    #[test]
    fn text_keeps_its_bytes_and_its_collation() {
        assert_eq!(
            of(ColumnKind::VarChar { bytes_max: 9 }, b"\xe4b"),
            "_latin1 x'e462' COLLATE latin1_swedish_ci"
        );
    }

    #[test]
    fn binary_is_padded_to_its_length() {
        assert_eq!(of(ColumnKind::Binary { bytes: 3 }, b"a"), "x'610000'");
    }

    #[test]
    fn numbers_and_moments_are_exact() {
        assert_eq!(
            of(
                ColumnKind::Int {
                    bytes: 3,
                    unsigned: false
                },
                &[0xFF, 0xFF, 0xFF]
            ),
            "-1"
        );
        assert_eq!(of(ColumnKind::Double, &0.1_f64.to_le_bytes()), "1e-1");
        assert_eq!(of(ColumnKind::Year, &[0]), "'0000'");
        assert_eq!(of(ColumnKind::Timestamp { fsp: 0 }, &[0, 0, 0, 0]), "'0000-00-00 00:00:00'");
        assert_eq!(
            of(ColumnKind::Timestamp { fsp: 0 }, &[0, 0, 1, 0]),
            "FROM_UNIXTIME(256.000000)"
        );
    }
}
