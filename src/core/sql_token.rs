//! The text of a statement as tokens: quotes, comments, versioned comments and client character sets, nothing of grammar.
//!
//! Used by `ddl_scope` and `ddl_statement`, fed with what the binlog holds. Whatever the bytes are, it ends and never panics.

use std::ops::Range;

/// `sql_mode` bit: `"` quotes names.
const ANSI_QUOTES: u64 = 1 << 2;
/// `sql_mode` bit: `\` in a string is a character like any other.
const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
/// Stands for a character outside of ASCII whose code is not known here.
pub const FOREIGN: char = '\u{fffd}';

/// How the source read the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The session's `sql_mode` as the binlog has it.
    pub sql_mode: u64,
    /// Number of the collation of `character_set_client`.
    pub client_collation: u16,
}

impl Reading {
    /// `"` quotes names.
    #[must_use]
    pub fn has_ansi_quotes(self) -> bool {
        self.sql_mode & ANSI_QUOTES != 0
    }

    /// `\` escapes in strings.
    #[must_use]
    pub fn has_backslash_escapes(self) -> bool {
        self.sql_mode & NO_BACKSLASH_ESCAPES == 0
    }
}

/// A piece of a statement; comments and blanks are gone. Texts are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Bare word.
    Word(String),
    /// Between backquotes.
    Quoted(String),
    /// Between `"`: a string, or under ANSI_QUOTES a name.
    DoubleQuoted(String),
    /// Between `'`.
    Text,
    /// Any other character.
    Other(char),
}

impl Token {
    /// The content when it can be a name in some `sql_mode`.
    #[must_use]
    pub fn any_name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) | Self::DoubleQuoted(name) => Some(name),
            Self::Text | Self::Other(_) => None,
        }
    }

    /// This keyword, in any case, not quoted.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found.eq_ignore_ascii_case(word))
    }
}

/// How the bytes above 0x7f of a character set stand together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Utf8,
    /// Each is a character.
    Single,
    /// From the first number on each begins a character of two bytes, the second of which may be an ASCII code.
    Double(u8),
    /// As Double, but these ranges stand alone or not at all.
    ShiftJis,
    /// As Double(0x81); four bytes when the second is a digit.
    Gb18030,
    /// Two bytes, three after 0x8f; none of them ASCII.
    Ujis,
}

/// Numbers of collations (information_schema.COLLATIONS). None: a set nobody may be a client with, or an unknown one.
fn bytes_of(collation: u16) -> Option<Bytes> {
    Some(match collation {
        33 | 45 | 46 | 76 | 83 | 192..=247 | 255..=323 => Bytes::Utf8,
        28 | 87 => Bytes::Double(0x81),
        1 | 84 | 24 | 86 | 19 | 85 => Bytes::Double(0xa1),
        13 | 88 | 95 | 96 => Bytes::ShiftJis,
        248..=250 => Bytes::Gb18030,
        12 | 91 | 97 | 98 => Bytes::Ujis,
        35 | 54..=56 | 60..=62 | 90 | 101..=191 => return None,
        2..=99 => Bytes::Single,
        _ => return None,
    })
}

/// The statement as characters; those outside of ASCII are `FOREIGN` unless the client spoke UTF-8. None: the character set is
/// not known, or the text is not of it.
#[must_use]
pub fn characters(text: &[u8], client_collation: u16) -> Option<String> {
    if text.is_ascii() {
        return std::str::from_utf8(text).ok().map(str::to_owned);
    }
    let bytes = bytes_of(client_collation)?;
    if bytes == Bytes::Utf8 {
        return std::str::from_utf8(text).ok().map(str::to_owned);
    }
    let mut found = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let length = length(bytes, *byte, text.get(at + 1).copied());
        if byte.is_ascii() {
            found.push(char::from(*byte));
        } else {
            found.push(FOREIGN);
        }
        at += length;
    }
    (at == text.len()).then_some(found)
}

/// Bytes of the character that begins with `first`.
fn length(bytes: Bytes, first: u8, second: Option<u8>) -> usize {
    match bytes {
        _ if first.is_ascii() => 1,
        Bytes::Utf8 | Bytes::Single => 1,
        Bytes::Double(from) => 1 + usize::from(first >= from),
        Bytes::ShiftJis => 1 + usize::from(matches!(first, 0x81..=0x9f | 0xe0..=0xfc)),
        Bytes::Gb18030 if second.is_some_and(|second| second.is_ascii_digit()) => 4,
        Bytes::Gb18030 => 1 + usize::from(first >= 0x81),
        Bytes::Ujis => 2 + usize::from(first == 0x8f),
    }
}

/// The tokens of a statement.
#[must_use]
pub fn tokens(text: &str, has_backslash_escapes: bool) -> Vec<Token> {
    spanned(text, has_backslash_escapes)
        .into_iter()
        .map(|(token, _)| token)
        .collect()
}

/// The tokens of a statement, each with the bytes of `text` it stands in, quotes included.
#[must_use]
pub fn spanned(text: &str, has_backslash_escapes: bool) -> Vec<(Token, Range<usize>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let from = text.len() - rest.len();
        let after = &rest[c.len_utf8()..];
        let mut push = |token, after: &str| found.push((token, from..text.len() - after.len()));
        rest = match c {
            _ if c.is_whitespace() => after,
            '#' => skip_line(after),
            '-' if is_line_comment(rest) => skip_line(after),
            '/' if rest.starts_with("/*") => match versioned(rest) {
                Some((_, content)) => content,
                None => rest[2..].split_once("*/").map_or("", |parts| parts.1),
            },
            // The end of a versioned comment, whose content was read as part of the statement.
            '*' if rest.starts_with("*/") => &rest[2..],
            '\'' | '"' | '`' => {
                let (content, after) = quoted(after, c, has_backslash_escapes && c != '`');
                let token = match c {
                    '\'' => Token::Text,
                    '"' => Token::DoubleQuoted(content),
                    _ => Token::Quoted(content),
                };
                push(token, after);
                after
            }
            _ if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                push(Token::Word(rest[..end].to_owned()), &rest[end..]);
                &rest[end..]
            }
            _ => {
                push(Token::Other(c), after);
                after
            }
        };
    }
    found
}

/// The bytes of the statement that hold these bytes of its `characters`.
#[must_use]
pub fn bytes_of_characters(text: &[u8], client_collation: u16, read: &str, span: Range<usize>) -> Range<usize> {
    if text == read.as_bytes() {
        return span;
    }
    let bytes = bytes_of(client_collation).unwrap_or(Bytes::Single);
    let offset = |end: usize| {
        read[..end].chars().fold(0, |at, _| match text.get(at) {
            Some(first) => at + length(bytes, *first, text.get(at + 1).copied()),
            None => at,
        })
    };
    offset(span.start)..offset(span.end)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || c > '\u{7f}'
}

pub(super) fn is_line_comment(rest: &str) -> bool {
    rest.strip_prefix("--")
        .is_some_and(|after| after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || c.is_control()))
}

fn skip_line(rest: &str) -> &str {
    rest.split_once('\n').map_or("", |parts| parts.1)
}

/// Number and content of a comment that the server executes, `/*!50100 … */`: read on without its opening.
fn versioned(rest: &str) -> Option<(&str, &str)> {
    let content = rest.strip_prefix("/*!")?;
    let digits = content.find(|c: char| !c.is_ascii_digit()).unwrap_or(content.len());
    Some(content.split_at(digits))
}

/// Content up to the closing quote, doubled quotes made one, and what follows it.
pub(super) fn quoted(rest: &str, quote: char, has_backslash_escapes: bool) -> (String, &str) {
    let mut content = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && has_backslash_escapes {
            content.extend(chars.next().map(|escaped| escaped.1));
        } else if c == quote {
            if rest[at + 1..].starts_with(quote) {
                chars.next();
                content.push(quote);
            } else {
                return (content, &rest[at + 1..]);
            }
        } else {
            content.push(c);
        }
    }
    (content, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_byte_that_is_an_ascii_quote_quotes_nothing() {
        // 0xb0 0x60 is one character of GBK; 0x83 0x5c ("ソ") one of Shift-JIS.
        let gbk = characters(b"ALTER TABLE `\xb0\x60x` COMMENT '\xb0\x5c'", 28).unwrap();
        assert_eq!(gbk, format!("ALTER TABLE `{FOREIGN}x` COMMENT '{FOREIGN}'"));
        assert_eq!(characters(b"'\x83\x5c'", 13).unwrap(), format!("'{FOREIGN}'"));
        assert_eq!(characters(b"'\x81\x30\x89\x37'", 248).unwrap(), format!("'{FOREIGN}'"));
        assert_eq!(characters(b"caf\xe9 `x`", 8).unwrap(), format!("caf{FOREIGN} `x`"));
    }

    #[test]
    fn text_of_an_unknown_or_broken_character_set_is_no_text() {
        assert_eq!(characters(b"x\xb0", 28), None, "half a character");
        assert_eq!(characters(b"\xff", 255), None, "not UTF-8");
        assert_eq!(characters(b"\xff", 4000), None, "unknown");
        assert_eq!(characters(b"plain", 4000).as_deref(), Some("plain"));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_character_set_end(text in prop::collection::vec(any::<u8>(), 0..60), collation in 0..400u16) {
            if let Some(text) = characters(&text, collation) {
                let _ = (tokens(&text, true), tokens(&text, false));
            }
        }

        #[test]
        fn a_name_in_backquotes_comes_back(name in "[^\\x00]{1,12}") {
            let text = format!("`{}`", name.replace('`', "``"));
            prop_assert_eq!(tokens(&text, true), vec![Token::Quoted(name)]);
        }
    }
}
