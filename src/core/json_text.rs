//! JSON text of a SELECT, with the type of each scalar, back to the document it was made from.
//!
//! Text alone does not tell DECIMAL from DOUBLE, DATE from STRING or 5 from UNSIGNED 5, so `mysql::source::canonical` also asks
//! for one letter per scalar, in the order of the text. What does not fit them is an error: then the assumption is wrong.

use crate::core::json_order::{PARTS_MARK, in_text_order};
use crate::core::json_tree::{JsonTree, decimal_value};
use crate::core::jsonb::{DEPTH_MAX, TYPE_DATE, TYPE_DATETIME, TYPE_DECIMAL, TYPE_TIME, TYPE_TIMESTAMP};
use crate::core::value::ValueError;

/// `JSON_TYPE` of a scalar and its letter; BLOB, BIT and others are `OPAQUE_LETTER`.
pub const LETTERS: [(&str, char); 11] = [
    ("NULL", '0'),
    ("BOOLEAN", 'b'),
    ("INTEGER", 'i'),
    ("UNSIGNED INTEGER", 'u'),
    ("DOUBLE", 'd'),
    ("DECIMAL", 'm'),
    ("STRING", 's'),
    ("DATE", 'D'),
    ("TIME", 'T'),
    ("DATETIME", 'X'),
    ("TIMESTAMP", 'Z'),
];
/// Text tells their column type: `base64:type15:AP8=`.
pub const OPAQUE_LETTER: char = 'o';

const MISFIT: ValueError = ValueError::Content {
    expected: "json text that fits the types of its values",
};

/// The document; letters in the order of the text, or as `core::json_order` takes them.
///
/// # Errors
/// The text is no JSON as the server prints it, or the letters are not those of its scalars.
pub fn parse(text: &[u8], letters: &[u8]) -> Result<JsonTree, ValueError> {
    let text = std::str::from_utf8(text).map_err(|_| ValueError::Content {
        expected: "json text in utf-8",
    })?;
    let sorted;
    let letters = if letters.contains(&PARTS_MARK) {
        sorted = in_text_order(text.as_bytes(), letters)?;
        &sorted
    } else {
        letters
    };
    let mut reader = Reader { left: text, letters };
    let tree = reader.value(DEPTH_MAX)?;
    if reader.left.is_empty() && reader.letters.is_empty() {
        Ok(tree)
    } else {
        Err(MISFIT)
    }
}

/// The letters of a document's scalars.
#[must_use]
pub fn letters(tree: &JsonTree) -> String {
    let mut letters = String::new();
    push_letters(&mut letters, tree);
    letters
}

fn push_letters(letters: &mut String, tree: &JsonTree) {
    match tree {
        JsonTree::Array(values) => values.iter().for_each(|value| push_letters(letters, value)),
        JsonTree::Object(members) => members.iter().for_each(|(_, value)| push_letters(letters, value)),
        JsonTree::Null => letters.push('0'),
        JsonTree::Bool(_) => letters.push('b'),
        JsonTree::Int(_) => letters.push('i'),
        JsonTree::UInt(_) => letters.push('u'),
        JsonTree::Double(_) => letters.push('d'),
        JsonTree::Text(_) => letters.push('s'),
        JsonTree::Opaque { kind, .. } => letters.push(match *kind {
            TYPE_DECIMAL => 'm',
            TYPE_DATE => 'D',
            TYPE_TIME => 'T',
            TYPE_DATETIME => 'X',
            TYPE_TIMESTAMP => 'Z',
            _ => OPAQUE_LETTER,
        }),
    }
}

struct Reader<'a> {
    left: &'a str,
    letters: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<JsonTree, ValueError> {
        match self.left.as_bytes().first() {
            Some(b'{') => self.object(depth.checked_sub(1).ok_or(MISFIT)?),
            Some(b'[') => self.array(depth.checked_sub(1).ok_or(MISFIT)?),
            Some(b'"') => {
                let letter = self.letter()?;
                let text = self.string()?;
                string_value(letter, text)
            }
            Some(_) => {
                let letter = self.letter()?;
                word_value(letter, self.word())
            }
            None => Err(MISFIT),
        }
    }

    fn letter(&mut self) -> Result<char, ValueError> {
        let (letter, rest) = self.letters.split_first().ok_or(MISFIT)?;
        self.letters = rest;
        Ok(char::from(*letter))
    }

    fn take(&mut self, what: &str) -> bool {
        let rest = self.left.strip_prefix(what);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }

    fn expect(&mut self, what: &str) -> Result<(), ValueError> {
        if self.take(what) { Ok(()) } else { Err(MISFIT) }
    }

    fn array(&mut self, depth: usize) -> Result<JsonTree, ValueError> {
        self.expect("[")?;
        let mut values = Vec::new();
        while !self.take("]") {
            if !values.is_empty() {
                self.expect(", ")?;
            }
            values.push(self.value(depth)?);
        }
        Ok(JsonTree::Array(values))
    }

    fn object(&mut self, depth: usize) -> Result<JsonTree, ValueError> {
        self.expect("{")?;
        let mut members = Vec::new();
        while !self.take("}") {
            if !members.is_empty() {
                self.expect(", ")?;
            }
            let key = self.string()?;
            self.expect(": ")?;
            members.push((key, self.value(depth)?));
        }
        Ok(JsonTree::Object(members))
    }

    /// Up to what ends a number or a literal.
    fn word(&mut self) -> &'a str {
        let end = self.left.find([',', ']', '}']).unwrap_or(self.left.len());
        let (word, rest) = self.left.split_at(end);
        self.left = rest;
        word
    }

    fn string(&mut self) -> Result<String, ValueError> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            let plain = self.left.find(['"', '\\']).ok_or(MISFIT)?;
            text.push_str(&self.left[..plain]);
            self.left = &self.left[plain..];
            if self.take("\"") {
                return Ok(text);
            }
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Result<char, ValueError> {
        let letter = *self.left.as_bytes().get(1).ok_or(MISFIT)?;
        let (character, length) = match letter {
            b'"' | b'\\' | b'/' => (char::from(letter), 2),
            b'b' => ('\u{8}', 2),
            b't' => ('\t', 2),
            b'n' => ('\n', 2),
            b'f' => ('\u{c}', 2),
            b'r' => ('\r', 2),
            b'u' => {
                let code = self.left.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                (code.and_then(char::from_u32).ok_or(MISFIT)?, 6)
            }
            _ => return Err(MISFIT),
        };
        self.left = &self.left[length..];
        Ok(character)
    }
}

fn word_value(letter: char, word: &str) -> Result<JsonTree, ValueError> {
    Ok(match (letter, word) {
        (_, "null") => JsonTree::Null,
        ('b', "true") => JsonTree::Bool(true),
        ('b', "false") => JsonTree::Bool(false),
        ('i', _) => JsonTree::Int(word.parse().map_err(|_| MISFIT)?),
        ('u', _) => JsonTree::UInt(word.parse().map_err(|_| MISFIT)?),
        ('d', _) => JsonTree::Double(word.parse().map_err(|_| MISFIT)?),
        ('m', _) => decimal_value(word)?,
        _ => return Err(MISFIT),
    })
}

fn string_value(letter: char, text: String) -> Result<JsonTree, ValueError> {
    let (kind, packed) = match letter {
        's' => return Ok(JsonTree::Text(text)),
        OPAQUE_LETTER => return opaque(&text).ok_or(MISFIT),
        'D' => (TYPE_DATE, packed_date(&text).map(|date| date << 41)),
        'T' => (TYPE_TIME, packed_time(&text)),
        'X' => (TYPE_DATETIME, packed_date_time(&text)),
        'Z' => (TYPE_TIMESTAMP, packed_date_time(&text)),
        _ => return Err(MISFIT),
    };
    let bytes = packed.ok_or(MISFIT)?.to_le_bytes().to_vec();
    Ok(JsonTree::Opaque { kind, bytes })
}

/// `2024-02-29`.
fn packed_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    Some((year * 13 + month) << 5 | day)
}

/// `01:02:03.400000`.
fn packed_clock(text: &str) -> Option<i64> {
    let (clock, micros) = text.split_once('.')?;
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some((hours << 12 | minutes << 6 | seconds) << 24 | micros.parse::<i64>().ok()?)
}

fn packed_date_time(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(' ')?;
    Some(packed_date(date)? << 41 | packed_clock(clock)?)
}

fn packed_time(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(text) => packed_clock(text).map(|packed| -packed),
        None => packed_clock(text),
    }
}

/// `base64:type15:AP8=`.
fn opaque(text: &str) -> Option<JsonTree> {
    let (kind, text) = text.strip_prefix("base64:type")?.split_once(':')?;
    Some(JsonTree::Opaque {
        kind: kind.parse().ok()?,
        bytes: base64(text)?,
    })
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    // The server breaks long lines.
    for digit in text.bytes().filter(|byte| !matches!(byte, b'=' | b'\n')) {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::jsonb;

    #[test]
    fn text_and_types_are_the_document_the_server_stored() {
        let letters = ["0bbiidddiiuus", "mToXoD"];
        for ((hex, text), letters) in jsonb::tests::FROM_THE_SERVER.iter().zip(letters) {
            let stored = jsonb::tests::bytes(hex);
            let found = parse(text.as_bytes(), letters.as_bytes()).unwrap();
            let expected = crate::core::json_tree::normal(&stored).unwrap();
            assert_eq!(found.encode(), expected, "{text}");
            assert_eq!(super::letters(&found), letters);
        }
    }

    #[test]
    fn types_of_another_document_are_refused() {
        for (text, letters) in [
            ("[1]", "s"),
            ("[1]", ""),
            ("[1]", "ii"),
            ("[1, ]", "i"),
            ("\"a\"", "D"),
            ("{", ""),
            ("[1", "i"),
        ] {
            assert!(parse(text.as_bytes(), letters.as_bytes()).is_err(), "{text} {letters}");
        }
    }

    #[test]
    fn base64_has_any_length() {
        assert_eq!(base64("").unwrap(), b"");
        assert_eq!(base64("AQ==").unwrap(), [1]);
        assert_eq!(base64("AQI=").unwrap(), [1, 2]);
        assert_eq!(base64("AQ\nID").unwrap(), [1, 2, 3]);
    }
}
