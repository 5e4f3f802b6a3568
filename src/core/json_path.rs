//! A path into a JSON document, as `->>` of MySQL takes it, and the text of what stands there.
//!
//! Used by row filters (`core::row_filter`). Names and numbers only: wildcards, ranges and `last` are not read.

use crate::core::jsonb::{self, Container, DEPTH_MAX, kinds};
use crate::core::value::ValueError;

/// Longest number in a document, in bytes.
const NUMBER_BYTES_MAX: usize = 8;

/// `$.a."b c"[0]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    legs: Vec<Leg>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Leg {
    Member(String),
    Cell(usize),
}

impl JsonPath {
    /// None: not a path of names and numbers.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut legs = Vec::new();
        while !rest.is_empty() {
            let leg;
            (leg, rest) = match rest.strip_prefix('[') {
                Some(cell) => {
                    let (number, behind) = cell.split_once(']')?;
                    let is_plain = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
                    (Leg::Cell(number.parse().ok().filter(|_| is_plain)?), behind)
                }
                None => member(rest.strip_prefix('.')?)?,
            };
            legs.push(leg);
        }
        (legs.len() <= DEPTH_MAX).then(|| Self {
            text: text.to_owned(),
            legs,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of what stands there in a document: of a string its characters, of all else its JSON. None: nothing does.
    ///
    /// # Errors
    /// The bytes are no document.
    pub fn text_in(&self, document: &[u8]) -> Result<Option<Vec<u8>>, ValueError> {
        // No bytes at all are the JSON null, as for the server.
        let (mut kind, mut value) = document
            .split_first()
            .map_or((kinds::LITERAL, &[0][..]), |(kind, value)| (*kind, value));
        for leg in &self.legs {
            let found = match leg {
                Leg::Member(name) => of_name(kind, value, name.as_bytes())?,
                Leg::Cell(at) => of_place(kind, value, *at)?,
            };
            let Some(next) = found else { return Ok(None) };
            (kind, value) = next;
        }
        if kind == kinds::STRING {
            return Ok(Some(jsonb::sized(value)?.to_vec()));
        }
        // A number's bytes are followed by the rest of the document.
        let is_number = (kinds::LITERAL..=kinds::DOUBLE).contains(&kind);
        let value = if is_number {
            &value[..value.len().min(NUMBER_BYTES_MAX)]
        } else {
            value
        };
        let text = jsonb::to_text(&[&[kind], value].concat())?;
        // Dates and bytes have quotes as JSON, and nothing that is escaped.
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Ok(Some(bare.unwrap_or(&text).as_bytes().to_vec()))
    }
}

/// A name behind its point: letters and digits, or anything in quotes.
fn member(rest: &str) -> Option<(Leg, &str)> {
    if let Some(quoted) = rest.strip_prefix('"') {
        let (name, behind) = quoted.split_once('"')?;
        return (!name.contains('\\')).then(|| (Leg::Member(name.to_owned()), behind));
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(length);
    let is_name = name.starts_with(|c: char| !c.is_ascii_digit());
    is_name.then(|| (Leg::Member(name.to_owned()), behind))
}

const fn is_container(kind: u8) -> bool {
    matches!(
        kind,
        kinds::SMALL_OBJECT | kinds::LARGE_OBJECT | kinds::SMALL_ARRAY | kinds::LARGE_ARRAY
    )
}

type Found<'a> = Result<Option<(u8, &'a [u8])>, ValueError>;

fn of_name<'a>(kind: u8, value: &'a [u8], name: &[u8]) -> Found<'a> {
    if !is_container(kind) {
        return Ok(None);
    }
    let object = Container::open(kind, value)?;
    if !object.is_object {
        return Ok(None);
    }
    for at in 0..object.count {
        if object.key(at)? == name {
            return object.element(at).map(Some);
        }
    }
    Ok(None)
}

/// What is no array is one of itself alone.
fn of_place(kind: u8, value: &[u8], at: usize) -> Found<'_> {
    if is_container(kind) {
        let array = Container::open(kind, value)?;
        if !array.is_object {
            return if at < array.count {
                array.element(at).map(Some)
            } else {
                Ok(None)
            };
        }
    }
    Ok((at == 0).then_some((kind, value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::json_text;

    #[test]
    fn a_path_finds_what_the_server_finds() {
        let text = br#"{"a": {"b c": [1, "x\"y", null, true, {"k": 2}]}, "s": "", "n": 1.5}"#;
        let document = json_text::parse(text, b"is0bisd").unwrap().encode();
        let at = |path: &str| {
            let found = JsonPath::parse(path).unwrap().text_in(&document).unwrap();
            found.map(|text| String::from_utf8(text).unwrap())
        };
        for (path, found) in [
            ("$.a.\"b c\"[0]", Some("1")),
            ("$.a.\"b c\"[1]", Some("x\"y")),
            ("$.a.\"b c\"[2]", Some("null")),
            ("$.a.\"b c\"[3]", Some("true")),
            ("$.a.\"b c\"[4]", Some("{\"k\": 2}")),
            ("$.a.\"b c\"[4][0].k[0]", Some("2")),
            ("$.a.\"b c\"[5]", None),
            ("$.a.\"b c\".k", None),
            ("$.n[1]", None),
            ("$.n.x", None),
            ("$.s", Some("")),
            ("$.S", None),
            ("$.n", Some("1.5")),
        ] {
            assert_eq!(at(path).as_deref(), found, "{path}");
        }
        for text in [
            "",
            "a",
            "$.",
            "$.*",
            "$**.a",
            "$[*]",
            "$[last]",
            "$[0 to 1]",
            "$.1a",
            "$ .a",
            "$.\"a",
            "$[]",
            "$.a\\",
        ] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn damaged_documents_are_errors() {
        let document = json_text::parse(b"{\"a\": [1, 2]}", b"ii").unwrap().encode();
        let path = JsonPath::parse("$.a[1]").unwrap();
        for length in 1..document.len() {
            let _ = path.text_in(&document[..length]);
        }
        assert!(path.text_in(&document[..4]).is_err());
    }
}
