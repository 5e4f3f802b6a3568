//! Identifiers, text literals and table names as SQL.
//!
//! Used wherever SQL text is built. Not for column values of rows: `target::literal` writes those.

use crate::core::shape::TableName;

/// A name in backticks: `` a`b `` becomes `` `a``b` ``.
#[must_use]
pub fn identifier(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('`');
    for character in name.chars() {
        if character == '`' {
            quoted.push('`');
        }
        quoted.push(character);
    }
    quoted.push('`');
    quoted
}

/// `` `schema`.`table` ``.
#[must_use]
pub fn table(name: &TableName) -> String {
    qualified(&name.schema, &name.table)
}

/// `` `schema`.`name` ``.
#[must_use]
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// `` `schema`.`table`.`column` ``.
#[must_use]
pub fn column(table_name: &TableName, name: &str) -> String {
    format!("{}.{}", table(table_name), identifier(name))
}

/// Text as a literal that no sql_mode can read differently: `'` doubled, and hex where a backslash or a control
/// character occurs (NO_BACKSLASH_ESCAPES changes what `\` means).
#[must_use]
pub fn text(value: &str) -> String {
    if value.chars().any(|character| character == '\\' || character.is_control()) {
        let mut quoted = String::with_capacity(value.len() * 2 + 12);
        quoted.push_str("_utf8mb4 ");
        push_hex(&mut quoted, value.as_bytes());
        return quoted;
    }
    format!("'{}'", value.replace('\'', "''"))
}

/// Appends `x'…'`.
pub fn push_hex(sql: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    sql.reserve(bytes.len() * 2 + 3);
    sql.push_str("x'");
    for byte in bytes {
        sql.push(char::from(DIGITS[usize::from(byte >> 4)]));
        sql.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    sql.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtick_in_a_name_is_doubled() {
        assert_eq!(identifier("a`b"), "`a``b`");
        assert_eq!(qualified("s", "t"), "`s`.`t`");
    }

    #[test]
    fn a_quote_in_text_is_doubled_and_a_backslash_becomes_hex() {
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(text("a\\"), "_utf8mb4 x'615c'");
    }
}
