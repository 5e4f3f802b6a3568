//! A JSON document as SQL that makes the same document, types within it included.
//!
//! Used by `literal`. The server reads null, booleans, integers, doubles and strings back from text; what it would read as another
//! type is made by an expression that has the type, inside JSON_ARRAY and JSON_OBJECT.

use std::fmt::Write as _;

use crate::core::json_text::letters;
use crate::core::json_tree::JsonTree;
use crate::core::value::ValueError;
use crate::mysql::quote::push_hex;
use crate::mysql::source::canonical::json_types;
use crate::mysql::target::literal::push_text;

/// The column types that occur in JSON (`enum_field_types`).
mod column_type {
    pub const TIMESTAMP: u8 = 7;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const DECIMAL: u8 = 246;
    pub const TINY_BLOB: u8 = 249;
    pub const MEDIUM_BLOB: u8 = 250;
    pub const LONG_BLOB: u8 = 251;
    pub const BLOB: u8 = 252;
    pub const STRING: u8 = 254;
}

/// Appends an expression whose value is this document (JSONB).
pub(super) fn push(sql: &mut String, raw: &[u8]) -> Result<(), ValueError> {
    let tree = JsonTree::decode(raw)?;
    match &tree {
        JsonTree::Array(_) | JsonTree::Object(_) => push_value(sql, &tree),
        _ if is_plain(&tree) => push_value(sql, &tree),
        _ => {
            sql.push_str("JSON_EXTRACT(JSON_ARRAY(");
            push_value(sql, &tree)?;
            sql.push_str("), '$[0]')");
            Ok(())
        }
    }
}

/// Appends a condition that holds for exactly this document. As JSON 1 and 1.0 are equal, as text 1 and UNSIGNED 1 are: it takes
/// text and types. The types cost more, so they are looked at where the text is the same.
pub(super) fn push_exact_match(sql: &mut String, quoted_name: &str, raw: &[u8]) -> Result<(), ValueError> {
    let _ = write!(sql, "(CAST(CAST({quoted_name} AS CHAR) AS BINARY) <=> CAST(CAST(");
    push(sql, raw)?;
    let letters = letters(&JsonTree::decode(raw)?);
    let types = json_types(quoted_name);
    let _ = write!(sql, " AS CHAR) AS BINARY) AND COALESCE(({types}), '') = '{letters}')");
    Ok(())
}

/// The server reads the text as the same types. Numbers up to 32 bits become INTEGER, larger ones UNSIGNED INTEGER.
fn is_plain(tree: &JsonTree) -> bool {
    match tree {
        JsonTree::Null | JsonTree::Bool(_) | JsonTree::Double(_) | JsonTree::Text(_) => true,
        JsonTree::Int(value) => *value <= i64::from(u32::MAX),
        JsonTree::UInt(value) => *value > u64::from(u32::MAX),
        JsonTree::Opaque { .. } => false,
        JsonTree::Array(values) => values.iter().all(is_plain),
        JsonTree::Object(members) => members.iter().all(|(_, value)| is_plain(value)),
    }
}

fn push_value(sql: &mut String, tree: &JsonTree) -> Result<(), ValueError> {
    match tree {
        tree if is_plain(tree) => {
            sql.push_str("CAST(");
            push_text(sql, Some("utf8mb4"), tree.to_text()?.as_bytes());
            sql.push_str(" AS JSON)");
        }
        JsonTree::Array(values) => {
            sql.push_str("JSON_ARRAY(");
            for (at, value) in values.iter().enumerate() {
                sql.push_str(if at > 0 { ", " } else { "" });
                push_value(sql, value)?;
            }
            sql.push(')');
        }
        JsonTree::Object(members) => {
            sql.push_str("JSON_OBJECT(");
            for (at, (key, value)) in members.iter().enumerate() {
                sql.push_str(if at > 0 { ", " } else { "" });
                push_text(sql, Some("utf8mb4"), key.as_bytes());
                sql.push_str(", ");
                push_value(sql, value)?;
            }
            sql.push(')');
        }
        JsonTree::Opaque { kind, bytes } => push_opaque(sql, tree, *kind, bytes)?,
        JsonTree::UInt(value) => {
            let _ = write!(sql, "CAST({value} AS UNSIGNED)");
        }
        JsonTree::Int(value) => {
            let _ = write!(sql, "CAST({value} AS SIGNED)");
        }
        JsonTree::Null | JsonTree::Bool(_) | JsonTree::Double(_) | JsonTree::Text(_) => {
            unreachable!("these are plain")
        }
    }
    Ok(())
}

fn push_opaque(sql: &mut String, tree: &JsonTree, kind: u8, bytes: &[u8]) -> Result<(), ValueError> {
    let text = tree.to_text()?;
    let text = text.trim_matches('"');
    // Writing to a String cannot fail.
    let _ = match kind {
        column_type::DECIMAL => {
            let (precision, scale) = (bytes[0], bytes[1]);
            write!(sql, "CAST('{text}' AS DECIMAL({precision},{scale}))")
        }
        column_type::DATE => write!(sql, "DATE'{text}'"),
        column_type::TIME => write!(sql, "TIME'{text}'"),
        column_type::DATETIME => write!(sql, "TIMESTAMP'{text}'"),
        column_type::TIMESTAMP => write!(sql, "{}", from_column("TIMESTAMP(6)", &format!("JSON_ARRAY('{text}')"))),
        column_type::VARCHAR => {
            push_hex(sql, bytes);
            Ok(())
        }
        column_type::BIT if (1..=8).contains(&bytes.len()) => {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            let column = format!("BIT({})", bytes.len() * 8);
            write!(sql, "{}", from_column(&column, &format!("JSON_ARRAY({number})")))
        }
        column_type::TINY_BLOB => write!(sql, "{}", from_bytes("TINYBLOB", bytes)),
        column_type::BLOB => write!(sql, "{}", from_bytes("BLOB", bytes)),
        column_type::MEDIUM_BLOB => write!(sql, "{}", from_bytes("MEDIUMBLOB", bytes)),
        column_type::LONG_BLOB => write!(sql, "{}", from_bytes("LONGBLOB", bytes)),
        column_type::STRING => write!(sql, "{}", from_bytes(&format!("BINARY({})", bytes.len()), bytes)),
        _ => {
            return Err(ValueError::Content {
                expected: "json with column types that SQL can make",
            });
        }
    };
    Ok(())
}

fn from_bytes(column: &str, bytes: &[u8]) -> String {
    let mut array = String::from("JSON_ARRAY(");
    push_hex(&mut array, bytes);
    array.push(')');
    from_column(column, &array)
}

/// The one value of an array, as that of a column of this type.
fn from_column(column: &str, array: &str) -> String {
    format!("JSON_EXTRACT((SELECT JSON_ARRAY(v) FROM JSON_TABLE({array}, '$[*]' COLUMNS (v {column} PATH '$')) one), '$[0]')")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(tree: &JsonTree) -> String {
        let mut sql = String::new();
        push(&mut sql, &tree.encode()).unwrap();
        sql
    }

    #[test]
    fn plain_documents_are_text() {
        let tree = JsonTree::Array(vec![JsonTree::Int(-5), JsonTree::Double(1.0), JsonTree::UInt(u64::MAX)]);
        assert_eq!(sql(&tree), "CAST('[-5, 1.0, 18446744073709551615]' AS JSON)");
    }

    #[test]
    fn a_type_that_text_loses_is_made_where_it_stands() {
        let date = JsonTree::Opaque {
            kind: column_type::DATE,
            bytes: ((2024_i64 * 13 + 2) << 5 | 29).wrapping_shl(41).to_le_bytes().to_vec(),
        };
        let tree = JsonTree::Object(vec![
            ("a".into(), JsonTree::UInt(5)),
            ("b".into(), JsonTree::Text("x".into())),
        ]);
        assert_eq!(
            sql(&tree),
            "JSON_OBJECT('a', CAST(5 AS UNSIGNED), 'b', CAST('\"x\"' AS JSON))"
        );
        assert_eq!(sql(&date), "JSON_EXTRACT(JSON_ARRAY(DATE'2024-02-29'), '$[0]')");
    }

    #[test]
    fn a_type_nothing_makes_is_an_error_and_not_another_type() {
        let tree = JsonTree::Opaque {
            kind: 242,
            bytes: vec![0; 4],
        };
        assert!(push(&mut String::new(), &tree.encode()).is_err());
    }
}
