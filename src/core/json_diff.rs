//! What `PARTIAL_JSON` logs instead of a document: a list of changes, each with its path.
//!
//! Read from a value that begins with `image::JSON_CHANGES`; `mysql::target::partial` writes the SQL. Lengths are checked: damaged
//! bytes are an error. Format: `Json_diff_vector` of the server, sql/json_diff.cc.

use crate::core::value::ValueError;

/// What happens at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonOperation {
    /// The value there becomes this one.
    Replace,
    /// A member is added, or an element is put in before the one that is there.
    Insert,
    /// The value there goes.
    Remove,
}

/// One change of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonDiff<'a> {
    /// What happens.
    pub operation: JsonOperation,
    /// Where, as MySQL writes paths: `$.a[0]`.
    pub path: &'a str,
    /// The new value as a binary document; empty for a removal.
    pub value: &'a [u8],
}

impl JsonDiff<'_> {
    /// The path ends with an element of an array, not with a member of an object.
    #[must_use]
    pub fn is_element(&self) -> bool {
        self.path.ends_with(']')
    }
}

/// The changes, in order. `bytes` follow the marker.
///
/// # Errors
/// They are no list of changes.
pub fn read(mut bytes: &[u8]) -> Result<Vec<JsonDiff<'_>>, ValueError> {
    let mut diffs = Vec::new();
    while !bytes.is_empty() {
        diffs.push(next(&mut bytes).ok_or(ValueError::Content {
            expected: "changes of a json document",
        })?);
    }
    Ok(diffs)
}

fn next<'a>(bytes: &mut &'a [u8]) -> Option<JsonDiff<'a>> {
    let operation = match take(bytes, 1)?[0] {
        0 => JsonOperation::Replace,
        1 => JsonOperation::Insert,
        2 => JsonOperation::Remove,
        _ => return None,
    };
    let path = std::str::from_utf8(sized(bytes)?).ok()?;
    let value = if operation == JsonOperation::Remove {
        &[]
    } else {
        sized(bytes)?
    };
    Some(JsonDiff { operation, path, value })
}

/// Bytes behind their length-encoded count.
fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let width = match take(bytes, 1)?[0] {
        0xfb | 0xff => return None,
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        small => return take(bytes, usize::from(small)),
    };
    let length = take(bytes, width)?
        .iter()
        .rev()
        .fold(0, |length: u64, byte| length << 8 | u64::from(*byte));
    take(bytes, usize::try_from(length).ok()?)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_change_has_its_path_and_its_value() {
        let bytes = [&[0, 3][..], b"$.a", &[2, 4, 1], &[2, 4], b"$[0]", &[1, 3], b"$.b", &[1, 4]].concat();
        assert!(read(&bytes[..bytes.len() - 1]).is_err(), "a value is cut");
        let found = read(&bytes).unwrap();
        let diff = |operation, path, value| JsonDiff { operation, path, value };
        assert_eq!(found[0], diff(JsonOperation::Replace, "$.a", &[4, 1][..]));
        assert_eq!(found[1], diff(JsonOperation::Remove, "$[0]", &[][..]));
        assert_eq!(found[2], diff(JsonOperation::Insert, "$.b", &[4][..]));
        assert!(found[1].is_element() && !found[0].is_element());
    }

    proptest! {
        #[test]
        fn any_bytes_are_changes_or_an_error(bytes in proptest::collection::vec(0u8..6, 0..40)) {
            let _ = read(&bytes);
        }
    }
}
