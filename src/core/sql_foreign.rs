//! Whether a statement in a client's character set says the same once it is written in UTF-8.
//!
//! Used by `mysql::source::assembler_statement` for statements that define tables: names in them must be read, and which characters their
//! bytes are only the server knows.

use crate::core::sql_token::{FOREIGN, Reading, Token, characters, spanned};

/// Verbs of statements that define tables.
const VERBS: [&str; 5] = ["create", "alter", "drop", "rename", "truncate"];
/// The statement may define tables, has characters that are not known here, and means the same once the server has written it in UTF-8:
/// none of them stands in a text whose character set is named before it, `_latin1'…'`, and which is taken byte by byte.
#[must_use]
pub fn is_to_be_written_anew(text: &[u8], reading: Reading) -> bool {
    let Some(read) = characters(text, reading.client_collation) else {
        return false;
    };
    // ASCII, or UTF-8 already.
    if read.as_bytes() == text {
        return false;
    }
    let tokens = spanned(&read, reading.has_backslash_escapes());
    let is_definition = tokens
        .first()
        .is_some_and(|(token, _)| VERBS.iter().any(|verb| token.is_word(verb)));
    let names_set = |token: &Token| match token {
        Token::Word(word) => word.starts_with('_') || word.eq_ignore_ascii_case("n"),
        _ => false,
    };
    let is_bytes = tokens
        .windows(2)
        .any(|pair| names_set(&pair[0].0) && is_text(&pair[1].0) && read[pair[1].1.clone()].contains(FOREIGN));
    is_definition && !is_bytes
}

fn is_text(token: &Token) -> bool {
    matches!(token, Token::Text | Token::DoubleQuoted(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_anew(text: &[u8], client_collation: u16) -> bool {
        let sql_mode = 0;
        is_to_be_written_anew(
            text,
            Reading {
                sql_mode,
                client_collation,
            },
        )
    }

    #[test]
    fn only_definitions_whose_characters_are_not_known_are_written_anew() {
        assert!(is_anew(b"ALTER TABLE `\xb0\x60` COMMENT '\xb0\x5c'", 28));
        assert!(is_anew(b"/* x */ drop table caf\xe9", 8));
        assert!(!is_anew(b"ALTER TABLE t ADD c INT", 28), "all of it is known");
        assert!(!is_anew("ALTER TABLE é ADD c INT".as_bytes(), 255), "it is UTF-8");
        assert!(!is_anew("ALTER TABLE é ADD c INT".as_bytes(), 45));
        assert!(!is_anew(b"INSERT INTO t VALUES ('\xb0\x60')", 28), "rows");
        assert!(!is_anew(b"ALTER TABLE t FORCE /* \xb0", 28), "half a character");
    }

    #[test]
    fn bytes_of_a_named_character_set_stay_what_they_are() {
        assert!(!is_anew(b"ALTER TABLE `\xb0\x60` ALTER c SET DEFAULT _latin1'\xe9\xe9'", 28));
        assert!(!is_anew(b"ALTER TABLE t ALTER `\xb0\x60` SET DEFAULT N'\xe9\xe9'", 28));
        assert!(is_anew(b"ALTER TABLE `\xb0\x60` ALTER c SET DEFAULT _latin1'e'", 28));
    }
}
