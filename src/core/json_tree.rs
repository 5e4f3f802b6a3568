//! A JSON document with the type of every value, and MySQL's binary form of it.
//!
//! Read from the binlog's JSONB by `decode`, from a SELECT by `json_text`; `encode` lays it out byte for byte as the server
//! does. Two documents are one when their normal forms are equal: the server leaves gaps in documents that were updated in
//! place, and gives decimals more digits than they need.

use crate::core::decimal;
use crate::core::jsonb::{self, Container, DEPTH_MAX, TYPE_DECIMAL, kinds};
use crate::core::value::ValueError;

/// The largest container with offsets of two bytes.
const SMALL_MAX: usize = u16::MAX as usize;

/// A document or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTree {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// INTEGER.
    Int(i64),
    /// UNSIGNED INTEGER, also small ones.
    UInt(u64),
    /// DOUBLE.
    Double(f64),
    /// STRING.
    Text(String),
    /// A value of a column type that JSON does not know: DECIMAL, temporals, BIT, BLOB.
    Opaque {
        /// The column type, as in `enum_field_types`.
        kind: u8,
        /// As the server stores it.
        bytes: Vec<u8>,
    },
    /// `[…]`.
    Array(Vec<Self>),
    /// `{…}`: shorter keys first, those of one length by their bytes.
    Object(Vec<(String, Self)>),
}

impl JsonTree {
    /// Reads JSONB. No bytes at all are the JSON null, as for the server.
    ///
    /// # Errors
    /// Damaged bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ValueError> {
        let Some((kind, value)) = bytes.split_first() else {
            return Ok(Self::Null);
        };
        // Each value of a sound document has bytes of its own: a document of references to itself ends here.
        let mut values_left = bytes.len();
        decode(*kind, value, DEPTH_MAX, &mut values_left)
    }

    /// The document as the server prints it.
    ///
    /// # Errors
    /// An opaque value is damaged.
    pub fn to_text(&self) -> Result<String, ValueError> {
        jsonb::to_text(&self.encode())
    }

    /// The document as JSONB.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, mut body) = encode(self);
        body.insert(0, kind);
        body
    }
}

/// The one form that equal documents share.
///
/// # Errors
/// Damaged bytes.
pub fn normal(bytes: &[u8]) -> Result<Vec<u8>, ValueError> {
    let mut tree = JsonTree::decode(bytes)?;
    normalise(&mut tree)?;
    Ok(tree.encode())
}

fn normalise(tree: &mut JsonTree) -> Result<(), ValueError> {
    match tree {
        JsonTree::Opaque {
            kind: TYPE_DECIMAL,
            bytes,
        } => *tree = decimal_value(&jsonb::decimal(bytes)?)?,
        JsonTree::Array(values) => values.iter_mut().try_for_each(normalise)?,
        JsonTree::Object(members) => members.iter_mut().try_for_each(|(_, value)| normalise(value))?,
        _ => {}
    }
    Ok(())
}

/// A decimal of just the digits it has.
pub(super) fn decimal_value(text: &str) -> Result<JsonTree, ValueError> {
    let (precision, scale) = decimal::precision_of(text).ok_or(damaged("a json decimal"))?;
    let mut bytes = vec![precision, scale];
    decimal::push(&mut bytes, text.as_bytes(), precision, scale)?;
    Ok(JsonTree::Opaque {
        kind: TYPE_DECIMAL,
        bytes,
    })
}

const fn damaged(expected: &'static str) -> ValueError {
    ValueError::Content { expected }
}

fn decode(kind: u8, bytes: &[u8], depth: usize, values_left: &mut usize) -> Result<JsonTree, ValueError> {
    *values_left = values_left
        .checked_sub(1)
        .ok_or(damaged("a json document whose parts occur once"))?;
    Ok(match kind {
        kinds::SMALL_OBJECT..=kinds::LARGE_ARRAY => {
            let depth = depth.checked_sub(1).ok_or(damaged("json nested at most 100 deep"))?;
            let container = Container::open(kind, bytes)?;
            let mut value = |at| {
                let (kind, bytes) = container.element(at)?;
                decode(kind, bytes, depth, values_left)
            };
            if container.is_object {
                let member = |at| Ok((utf8(container.key(at)?)?, value(at)?));
                JsonTree::Object((0..container.count).map(member).collect::<Result<_, ValueError>>()?)
            } else {
                JsonTree::Array((0..container.count).map(value).collect::<Result<_, ValueError>>()?)
            }
        }
        kinds::LITERAL => match bytes.first() {
            Some(0) => JsonTree::Null,
            Some(1) => JsonTree::Bool(true),
            Some(2) => JsonTree::Bool(false),
            _ => return Err(damaged("a json literal")),
        },
        kinds::INT16 => JsonTree::Int(i16::from_le_bytes(jsonb::fixed(bytes)?).into()),
        kinds::UINT16 => JsonTree::UInt(u16::from_le_bytes(jsonb::fixed(bytes)?).into()),
        kinds::INT32 => JsonTree::Int(i32::from_le_bytes(jsonb::fixed(bytes)?).into()),
        kinds::UINT32 => JsonTree::UInt(u32::from_le_bytes(jsonb::fixed(bytes)?).into()),
        kinds::INT64 => JsonTree::Int(i64::from_le_bytes(jsonb::fixed(bytes)?)),
        kinds::UINT64 => JsonTree::UInt(u64::from_le_bytes(jsonb::fixed(bytes)?)),
        kinds::DOUBLE => JsonTree::Double(f64::from_le_bytes(jsonb::fixed(bytes)?)),
        kinds::STRING => JsonTree::Text(utf8(jsonb::sized(bytes)?)?),
        kinds::OPAQUE => {
            let (kind, sized) = bytes.split_first().ok_or(damaged("the type of an opaque json value"))?;
            JsonTree::Opaque {
                kind: *kind,
                bytes: jsonb::sized(sized)?.to_vec(),
            }
        }
        _ => return Err(damaged("a json type")),
    })
}

fn utf8(bytes: &[u8]) -> Result<String, ValueError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| damaged("a json string in utf-8"))
}

/// Type and bytes of a value, without what an entry of a container may hold in itself.
fn encode(tree: &JsonTree) -> (u8, Vec<u8>) {
    match tree {
        JsonTree::Null => (kinds::LITERAL, vec![0]),
        JsonTree::Bool(value) => (kinds::LITERAL, vec![if *value { 1 } else { 2 }]),
        JsonTree::Int(value) => {
            if let Ok(short) = i16::try_from(*value) {
                (kinds::INT16, short.to_le_bytes().to_vec())
            } else if let Ok(int) = i32::try_from(*value) {
                (kinds::INT32, int.to_le_bytes().to_vec())
            } else {
                (kinds::INT64, value.to_le_bytes().to_vec())
            }
        }
        JsonTree::UInt(value) => {
            if let Ok(short) = u16::try_from(*value) {
                (kinds::UINT16, short.to_le_bytes().to_vec())
            } else if let Ok(int) = u32::try_from(*value) {
                (kinds::UINT32, int.to_le_bytes().to_vec())
            } else {
                (kinds::UINT64, value.to_le_bytes().to_vec())
            }
        }
        JsonTree::Double(value) => (kinds::DOUBLE, value.to_le_bytes().to_vec()),
        JsonTree::Text(text) => (kinds::STRING, sized(Vec::new(), text.as_bytes())),
        JsonTree::Opaque { kind, bytes } => (kinds::OPAQUE, sized(vec![*kind], bytes)),
        JsonTree::Array(values) => encode_container(None, &values.iter().map(encode).collect::<Vec<_>>()),
        JsonTree::Object(members) => {
            let keys: Vec<&[u8]> = members.iter().map(|(key, _)| key.as_bytes()).collect();
            encode_container(
                Some(&keys),
                &members.iter().map(|(_, value)| encode(value)).collect::<Vec<_>>(),
            )
        }
    }
}

/// Behind `out`: the length with seven bits per byte, least first, then the bytes.
fn sized(mut out: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    out.reserve(length + 5);
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push((length & 0x7f) as u8);
    out.extend_from_slice(bytes);
    out
}

/// Offsets of two bytes when the container fits them, as the server chooses; an array has no keys.
fn encode_container(keys: Option<&[&[u8]]>, values: &[(u8, Vec<u8>)]) -> (u8, Vec<u8>) {
    let (is_object, keys) = (keys.is_some(), keys.unwrap_or_default());
    for width in [2, 4] {
        let entries = 2 * width + keys.len() * (width + 2) + values.len() * (width + 1);
        let kept = values.iter().filter(|(kind, _)| !jsonb::is_inline(*kind, width));
        let size = entries + keys.iter().map(|key| key.len()).sum::<usize>() + kept.map(|(_, body)| body.len()).sum::<usize>();
        if width == 4 || size <= SMALL_MAX {
            let kind = match (is_object, width) {
                (true, 2) => kinds::SMALL_OBJECT,
                (true, _) => kinds::LARGE_OBJECT,
                (false, 2) => kinds::SMALL_ARRAY,
                (false, _) => kinds::LARGE_ARRAY,
            };
            return (kind, laid_out(keys, values, width, entries, size));
        }
    }
    unreachable!("the second width holds every size")
}

/// Count, size, key entries, value entries, keys, values.
fn laid_out(keys: &[&[u8]], values: &[(u8, Vec<u8>)], width: usize, entries: usize, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    let number = |out: &mut Vec<u8>, value: usize| out.extend_from_slice(&value.to_le_bytes()[..width]);
    number(&mut out, values.len());
    number(&mut out, size);
    let mut offset = entries;
    for key in keys {
        number(&mut out, offset);
        out.extend_from_slice(&key.len().to_le_bytes()[..2]);
        offset += key.len();
    }
    for (kind, body) in values {
        out.push(*kind);
        if jsonb::is_inline(*kind, width) {
            let is_negative = matches!(*kind, kinds::INT16 | kinds::INT32) && body.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut inline = body.clone();
            inline.resize(width, if is_negative { 0xff } else { 0 });
            out.extend_from_slice(&inline);
        } else {
            number(&mut out, offset);
            offset += body.len();
        }
    }
    keys.iter().for_each(|key| out.extend_from_slice(key));
    let kept = values.iter().filter(|(kind, _)| !jsonb::is_inline(*kind, width));
    kept.for_each(|(_, body)| out.extend_from_slice(body));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_tree() -> impl Strategy<Value = JsonTree> {
        let text = || prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter);
        let leaf = prop_oneof![
            Just(JsonTree::Null),
            any::<bool>().prop_map(JsonTree::Bool),
            any::<i64>().prop_map(JsonTree::Int),
            (-40_000i64..40_000).prop_map(JsonTree::Int),
            any::<u64>().prop_map(JsonTree::UInt),
            (0u64..70_000).prop_map(JsonTree::UInt),
            any::<f64>()
                .prop_filter("finite", |f| f.is_finite())
                .prop_map(JsonTree::Double),
            text().prop_map(JsonTree::Text),
            (0usize..40_000).prop_map(|length| JsonTree::Text("x".repeat(length))),
            (any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(kind, bytes)| JsonTree::Opaque { kind, bytes }),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let members = prop::collection::vec((text(), inner.clone()), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(JsonTree::Array),
                members.prop_map(JsonTree::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_survives_its_binary_form(tree in any_tree()) {
            prop_assert_eq!(JsonTree::decode(&tree.encode()).unwrap(), tree);
        }

        #[test]
        fn any_bytes_are_a_document_or_an_error(kind in 0u8..=15, bytes in prop::collection::vec(0u8..40, 0..120), raw in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = JsonTree::decode(&[&[kind], &bytes[..]].concat());
            let _ = normal(&raw);
        }
    }

    #[test]
    fn the_layout_is_the_servers() {
        for (hex, _) in jsonb::tests::FROM_THE_SERVER {
            let bytes = jsonb::tests::bytes(hex);
            let tree = JsonTree::decode(&bytes).unwrap();
            assert_eq!(tree.encode(), bytes);
        }
        assert_eq!(JsonTree::Object(vec![]).encode(), [kinds::SMALL_OBJECT, 0, 0, 4, 0]);
    }

    #[test]
    fn a_decimal_is_the_same_whatever_room_it_was_given() {
        // 1.5 as DECIMAL(10,1) and as DECIMAL(2,1).
        let wide = JsonTree::Opaque {
            kind: TYPE_DECIMAL,
            bytes: vec![10, 1, 0x80, 0, 0, 1, 5],
        };
        let narrow = decimal_value("1.5").unwrap();
        assert_ne!(wide, narrow);
        assert_eq!(normal(&wide.encode()).unwrap(), narrow.encode());
    }

    #[test]
    fn a_document_that_contains_itself_is_an_error() {
        let own: &[u8] = &[2, 2, 0, 10, 0, 2, 0, 0, 2, 0, 0];
        assert!(JsonTree::decode(own).is_err());
    }
}
