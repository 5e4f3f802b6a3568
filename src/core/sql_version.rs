//! Comments that only servers from some version on execute, `/*!90700 … */`: as the source read them.
//!
//! Used by `mysql::source::assembler_statement` with the source's version, before a statement is read or carried out: the target may be
//! another version, and what the source executed is what is to be done. (A server blanks the `!` of a comment that it does
//! not execute before it writes the statement to its binlog; older ones did not.) What is cut becomes blanks, so that nothing moves.

use crate::core::sql_token::{is_line_comment, quoted};

/// The oldest server that is supported executes versioned comments up to this number.
const VERSION_ALWAYS: u32 = 80_000;

/// The number of a version, `9.7.4-commercial` → 90704; None: it is of another form.
#[must_use]
pub fn number(version: &str) -> Option<u32> {
    let numbers = version.split(|c: char| !c.is_ascii_digit()).take(3);
    let numbers: Vec<u32> = numbers.map_while(|part| part.parse().ok()).collect();
    let [major, minor, patch] = numbers[..] else { return None };
    Some(major * 10_000 + minor * 100 + patch)
}

/// The text holds something that some supported servers read as a comment and others execute.
#[must_use]
pub fn depends_on_version(text: &str, has_backslash_escapes: bool) -> bool {
    text.contains("/*!") && executed_by(text, has_backslash_escapes, VERSION_ALWAYS) != text
}

/// The text as a server of this version executes it, as long as it was: comments for it bare, those for newer ones gone. Comments that
/// every supported server executes stay.
#[must_use]
pub fn executed_by(text: &str, has_backslash_escapes: bool, version: u32) -> String {
    let mut out = text.as_bytes().to_vec();
    // Of each comment that is executed and open: its marks go.
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let next = match c {
            '#' => line_end(text, at),
            '-' if is_line_comment(rest) => line_end(text, at),
            '\'' | '"' | '`' => text.len() - quoted(&rest[1..], c, has_backslash_escapes && c != '`').1.len(),
            '/' if rest.starts_with("/*!") => {
                let digits = digits(&rest[3..]);
                let number: u32 = rest[3..3 + digits].parse().unwrap_or(0);
                if number > version.max(VERSION_ALWAYS) {
                    let end = skipped(text, at + 3);
                    out[at..end].fill(b' ');
                    end
                } else {
                    let goes = number > VERSION_ALWAYS;
                    open.push(goes);
                    if goes {
                        out[at..at + 3 + digits].fill(b' ');
                    }
                    at + 3 + digits
                }
            }
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(text.len(), |end| at + 2 + end + 2),
            '*' if rest.starts_with("*/") => {
                if open.pop() == Some(true) {
                    out[at..at + 2].fill(b' ');
                }
                at + 2
            }
            _ => at + c.len_utf8(),
        };
        at = next;
    }
    // Only whole characters were made blanks.
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Digits of a version's number: five or six; else there is none, and they belong to the content.
fn digits(content: &str) -> usize {
    let digits = content.bytes().take(6).take_while(u8::is_ascii_digit).count();
    if digits < 5 { 0 } else { digits }
}

/// Behind the comment whose content begins here and is not executed; comments may lie in it.
fn skipped(text: &str, from: usize) -> usize {
    let (mut at, mut depth) = (from, 1);
    while depth > 0 {
        let rest = &text[at..];
        let Some(found) = rest.find("*/") else { return text.len() };
        match rest.find("/*").filter(|inner| *inner < found) {
            Some(inner) => {
                depth += 1;
                at += inner + 2;
            }
            None => {
                depth -= 1;
                at += found + 2;
            }
        }
    }
    at
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn squeezed(text: &str, version: u32) -> String {
        let found = executed_by(text, true, version);
        assert_eq!(found.len(), text.len(), "{text}");
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_the_source_executed_is_bare_and_the_rest_is_gone() {
        let text = "ALTER TABLE t /*!80023 ADD c INT /* c */ INVISIBLE*/ /*!90700,ADD d INT*//*!99999 , ADD x /* y */ INT */";
        assert_eq!(squeezed(text, 90_704), "ALTER TABLE t ADD c INT /* c */ INVISIBLE ,ADD d INT");
        assert_eq!(squeezed(text, 80_400), "ALTER TABLE t ADD c INT /* c */ INVISIBLE");
        assert_eq!(squeezed(text, 80_000), "ALTER TABLE t");
        assert_eq!(squeezed("/*!090700 DROP*/ TABLE é /*!100000 x*/", 90_704), "DROP TABLE é");
    }

    #[test]
    fn what_is_no_comment_stays() {
        for text in [
            "ALTER TABLE t COMMENT '/*!90700 x*/', ADD `/*!90700 y*/` INT -- /*!90700\n# /*!90700\n, ADD z INT DEFAULT 'a\\'/*!90700 b*/'",
            "DROP /*!40005 TEMPORARY */ TABLE x /*! CASCADE */ /*!123 x */",
            "SELECT /*+ SET_VAR(x=1) */ 1 /* /*!90700 */",
            "a */ b",
        ] {
            assert!(!depends_on_version(text, true), "{text}");
            assert_eq!(executed_by(text, true, 90_704), text);
        }
        assert!(depends_on_version("ALTER TABLE x /*!80023 ADD c INT INVISIBLE */", true));
        assert!(
            depends_on_version("ALTER TABLE x COMMENT 'a\\' /*!80023 FORCE */", false),
            "no escape there"
        );
    }

    #[test]
    fn a_version_has_a_number() {
        for (version, expected) in [
            ("9.7.4", Some(90_704)),
            ("8.0.40-31.1", Some(80_040)),
            ("8.4", None),
            ("", None),
        ] {
            assert_eq!(number(version), expected, "{version}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends_as_long_as_it_was(text in "[-#/*!'\"`\\\\.a-z9é\n ]{0,60}|\\PC{0,40}", escapes: bool, version in 80_000..99_999u32) {
            let once = executed_by(&text, escapes, version);
            prop_assert_eq!(once.len(), text.len());
            prop_assert!(version > 80_000 || !depends_on_version(&once, escapes) || once == text || once.contains("/*!"));
        }
    }
}
