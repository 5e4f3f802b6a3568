//! The one module that calls bincode: bounded encode and decode of small values, with a two byte prefix.
//!
//! Fed by `message` and `batch` (headers only; rows travel raw). Layout: codec id, schema version, then the value in
//! bincode's standard form. Another encoder is another codec id. Enum variants are numbered by their place, so enums on
//! the wire are append-only. What it does not do: framing and checksums (`frame`), compression (`compress`).

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use crate::core::disposition::Disposition;
use crate::core::ids::{Epoch, Incarnation, JobName, NodeId, Seq, SourceEpoch};
use crate::wire::error::WireError;

/// Bytes of memory a decoded value may claim. Four times the largest frame, for element sizes above their wire size.
/// Without a limit one hostile frame of 28 bytes aborts the process (measured, November 2026).
const MEMORY_MAX: usize = 64 * 1024 * 1024;

/// bincode 2, standard configuration.
const CODEC_ID: u8 = 1;

/// Grows when a value changes its layout other than by an appended enum variant.
const SCHEMA_VERSION: u8 = 1;

/// Length of the prefix in bytes.
pub const PREFIX_BYTES: usize = 2;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MEMORY_MAX>> = bincode::config::standard().with_limit::<MEMORY_MAX>();

/// Encodes a value behind the two byte prefix.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = vec![CODEC_ID, SCHEMA_VERSION];
    bincode::encode_into_std_write(value, &mut bytes, CONFIG)
        .expect("a Vec takes every byte and wire types hold no locks or clocks");
    bytes
}

/// Decodes what [`encode`] made. Refuses more than `limit` bytes, another prefix, and bytes that are left over.
///
/// # Errors
/// [`WireError`] says which of these it was; no input panics.
pub fn decode<T: Decode<()>>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    let (value, consumed) = decode_front(bytes, limit)?;
    if consumed != bytes.len() {
        return Err(WireError::Trailing {
            what: "a message",
            consumed,
            found: bytes.len(),
        });
    }
    Ok(value)
}

/// Decodes a value at the front of `bytes` and says how many bytes it took: a header before a raw body. Only the whole
/// input is measured against `limit`.
///
/// # Errors
/// As [`decode`], except for bytes that are left over.
pub fn decode_front<T: Decode<()>>(bytes: &[u8], limit: usize) -> Result<(T, usize), WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong {
            what: "a message",
            found: bytes.len(),
            max: limit,
        });
    }
    let [codec, schema, rest @ ..] = bytes else {
        return Err(WireError::Truncated {
            what: "a message",
            found: bytes.len(),
            expected: PREFIX_BYTES,
        });
    };
    expect_version("codec", *codec, CODEC_ID)?;
    expect_version("schema", *schema, SCHEMA_VERSION)?;
    let (value, consumed) = bincode::decode_from_slice(rest, CONFIG).map_err(|error| WireError::Malformed {
        what: "a message",
        reason: error.to_string(),
    })?;
    Ok((value, consumed + PREFIX_BYTES))
}

fn expect_version(what: &'static str, found: u8, expected: u8) -> Result<(), WireError> {
    if found == expected {
        Ok(())
    } else {
        Err(WireError::Version { what, found, expected })
    }
}

/// The newtypes of `core::ids` travel as what they hold; `core` itself does not know bincode.
macro_rules! encode_inner {
    ($($name:ident),*) => {$(
        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                self.0.encode(encoder)
            }
        }
        impl<Context> Decode<Context> for $name {
            fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
                Ok(Self(Decode::decode(decoder)?))
            }
        }
        bincode::impl_borrow_decode!($name);
    )*};
}

encode_inner!(NodeId, JobName, Incarnation, Epoch, SourceEpoch, Seq);

/// Append-only: the numbers are on the wire.
const DISPOSITIONS: [Disposition; 4] = [
    Disposition::Retry,
    Disposition::Replace,
    Disposition::Fatal,
    Disposition::Superseded,
];

impl Encode for Disposition {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let number: u8 = match self {
            Self::Retry => 0,
            Self::Replace => 1,
            Self::Fatal => 2,
            Self::Superseded => 3,
        };
        number.encode(encoder)
    }
}

impl<Context> Decode<Context> for Disposition {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let number = u8::decode(decoder)?;
        let known = DISPOSITIONS.get(usize::from(number)).copied();
        known.ok_or_else(|| DecodeError::OtherString(format!("disposition is {number}, expected 0 to 3")))
    }
}
bincode::impl_borrow_decode!(Disposition);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1024;

    #[test]
    fn the_prefix_and_the_value_are_these_bytes() {
        assert_eq!(encode(&(7_u64, "ab".to_owned())), [1, 1, 7, 2, b'a', b'b']);
        assert_eq!(encode(&JobName("j".to_owned())), [1, 1, 1, b'j']);
        assert_eq!(encode(&Disposition::Superseded), [1, 1, 3]);
    }

    #[test]
    fn bytes_left_over_are_refused() {
        let mut bytes = encode(&5_u32);
        bytes.push(0);
        assert_eq!(
            decode::<u32>(&bytes, LIMIT),
            Err(WireError::Trailing {
                what: "a message",
                consumed: 3,
                found: 4
            })
        );
        assert_eq!(decode_front::<u32>(&bytes, LIMIT), Ok((5, 3)));
    }

    #[test]
    fn a_length_that_would_take_all_memory_is_refused() {
        let mut bytes = vec![CODEC_ID, SCHEMA_VERSION, 253];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decode::<Vec<u64>>(&bytes, LIMIT), Err(WireError::Malformed { .. })));
    }

    #[test]
    fn more_bytes_than_the_limit_are_refused_before_decoding() {
        let bytes = encode(&vec![0_u8; 100]);
        assert!(matches!(
            decode::<Vec<u8>>(&bytes, 50),
            Err(WireError::TooLong { max: 50, .. })
        ));
    }

    #[test]
    fn another_codec_or_schema_is_named() {
        assert!(matches!(
            decode::<u8>(&[2, 1, 0], LIMIT),
            Err(WireError::Version {
                what: "codec",
                found: 2,
                ..
            })
        ));
        assert!(matches!(
            decode::<u8>(&[1, 9, 0], LIMIT),
            Err(WireError::Version {
                what: "schema",
                found: 9,
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value: (u64, String, Vec<Option<i32>>, bool)) {
            prop_assert_eq!(decode::<(u64, String, Vec<Option<i32>>, bool)>(&encode(&value), usize::MAX), Ok(value));
        }

        #[test]
        fn random_bytes_never_panic(mut bytes: Vec<u8>) {
            let _ = decode::<Vec<(String, Vec<u8>)>>(&bytes, LIMIT);
            bytes.splice(0..0, [CODEC_ID, SCHEMA_VERSION]);
            let _ = decode::<Vec<(String, Vec<u8>)>>(&bytes, LIMIT);
            let _ = decode::<Disposition>(&bytes, LIMIT);
        }
    }
}
