//! Rows as people read them in a record of a conflict: column and value, long ones cut.
//!
//! Used by `misfit`. Never read back: what is applied is always the bytes.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::core::change::Row;
use crate::core::conflict::Image;
use crate::core::group::Table;
use crate::core::shape::{Column, ColumnKind};
use crate::core::value::Value;
use crate::mysql::target::literal;

/// Characters of a value, or bytes of a binary one, that are shown: enough to know it again (guess).
const VALUE_CHARS_MAX: usize = 120;
/// Bytes of all values of a row; the columns behind it are left out. With 100 records of five rows each: 8 MB in the target (guess).
const ROW_BYTES_MAX: usize = 16 << 10;
/// Character sets whose bytes are UTF-8.
const UTF8: [&str; 3] = ["utf8mb4", "utf8mb3", "ascii"];

/// The row, or why it cannot be read.
pub(super) fn picture(table: &Table, row: &Row) -> Image {
    let mut values = Vec::with_capacity(table.shape.columns.len());
    if let Err(error) = table.layout.split(&row.0, &mut values) {
        return unreadable(&error.to_string());
    }
    let (mut image, mut bytes) = (Image::default(), 0);
    for (column, raw) in table.shape.columns.iter().zip(values) {
        let shown = raw.map_or(Json::Null, |raw| value(column, raw));
        bytes += column.name.len() + shown.as_str().map_or(20, str::len);
        if bytes > ROW_BYTES_MAX {
            image.0.push(("…".into(), "more columns, not shown".into()));
            break;
        }
        image.0.push((column.name.clone(), shown));
    }
    image
}

/// What stands in the place of a row that cannot be read.
pub(super) fn unreadable(reason: &str) -> Image {
    Image(vec![("…".into(), format!("not readable: {reason}").into())])
}

fn value(column: &Column, raw: &[u8]) -> Json {
    let decoded = match Value::decode(&column.kind, raw) {
        Ok(decoded) => decoded,
        Err(_) => return hex(raw).into(),
    };
    match decoded {
        Value::Int(value) => value.into(),
        Value::UInt(value) | Value::Bit(value) => value.into(),
        Value::Year(value) => value.into(),
        // The shortest text that is this FLOAT and no other; as a number it would be the DOUBLE nearest to that.
        Value::Float(value) => value.to_string().parse::<f64>().unwrap_or_default().into(),
        Value::Double(value) => value.into(),
        Value::Enum(number) => label(column, number).into(),
        Value::Text(bytes) => text(column, bytes).into(),
        Value::Json(text) => cut(&text).into(),
        Value::Bytes(bytes) => hex(&bytes).into(),
        Value::Set(_) | Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::DateTime(_) | Value::Timestamp { .. } => {
            let mut sql = String::new();
            match literal::push(&mut sql, column, Some(raw)) {
                Ok(()) => sql.trim_matches('\'').into(),
                Err(_) => hex(raw).into(),
            }
        }
    }
}

/// The label of an ENUM; its number when there is none.
fn label(column: &Column, number: u16) -> String {
    let members = match &column.kind {
        ColumnKind::Enum { members } => members.as_slice(),
        _ => &[],
    };
    let at = usize::from(number).checked_sub(1);
    let label = at.and_then(|at| members.get(at));
    label.map_or_else(|| format!("#{number}"), Clone::clone)
}

/// Text where its bytes are, or look like, UTF-8; else the bytes with their character set.
fn text(column: &Column, bytes: &[u8]) -> String {
    let charset = column.charset.as_deref().unwrap_or("binary");
    match std::str::from_utf8(bytes) {
        Ok(text) if UTF8.contains(&charset) || (charset == "latin1" && text.is_ascii()) => cut(text),
        _ => format!("_{charset} {}", hex(bytes)),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in bytes.iter().take(VALUE_CHARS_MAX) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > VALUE_CHARS_MAX {
        let _ = write!(text, "… ({} bytes)", bytes.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::net_effect::tests::{row, shape_with_key};

    fn column(kind: ColumnKind, charset: Option<&str>) -> Column {
        Column {
            kind,
            charset: charset.map(Into::into),
            ..shape_with_key().columns[0].clone()
        }
    }

    #[test]
    fn a_row_is_its_columns_in_order() {
        let image = picture(&Table::new(shape_with_key()), &row(7, -1));
        assert_eq!(image.0, [("id".to_owned(), 7.into()), ("v".to_owned(), (-1).into())]);
    }

    #[test]
    fn binary_is_hex_and_text_is_text_where_it_can_be() {
        let char_kind = ColumnKind::VarChar { bytes_max: 40 };
        let shown = |charset: &str, bytes: &[u8]| text(&column(char_kind.clone(), Some(charset)), bytes);
        assert_eq!(shown("utf8mb4", "größe".as_bytes()), "größe");
        assert_eq!(shown("latin1", b"plain"), "plain");
        assert_eq!(shown("latin1", b"gr\xf6\xdfe"), "_latin1 0x6772f6df65");
        assert_eq!(shown("gbk", "é".as_bytes()), "_gbk 0xc3a9", "bytes that are UTF-8 by chance");
        assert_eq!(hex(b"\0A"), "0x0041");
    }

    #[test]
    fn a_long_value_is_cut_and_says_its_length() {
        assert!(cut(&"é".repeat(500)).ends_with("é… (1000 bytes)"));
        assert!(hex(&[0; 5000]).ends_with("00… (5000 bytes)"));
        assert!(hex(&[0; 5000]).len() < 300);
    }

    #[test]
    fn a_float_is_its_shortest_text_and_an_enum_its_label() {
        assert_eq!(
            value(&column(ColumnKind::Float, None), &0.1f32.to_le_bytes()).to_string(),
            "0.1"
        );
        let members = vec!["a".to_owned(), "b".to_owned()];
        let kind = ColumnKind::Enum { members };
        assert_eq!(value(&column(kind.clone(), None), &[2]), Json::from("b"));
        assert_eq!(value(&column(kind, None), &[0]), Json::from("#0"));
    }
}
