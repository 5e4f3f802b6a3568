//! LZ4 blocks with exact, bounded sizes: the packed form of a batch body.
//!
//! Fed by `batch`. Layout: codec byte, then the bytes themselves (none) or the original length u32 and an LZ4 block
//! (lz4). Compression is skipped when it does not pay. The original length is checked against the frame limit and
//! against LZ4's largest possible ratio before anything is allocated; the block must give exactly that many bytes.

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use crate::wire::error::WireError;
use crate::wire::frame::DATA_BYTES_MAX;

/// Codec byte: the bytes as they are.
const NONE: u8 = 0;
/// Codec byte: original length u32 little endian, then one LZ4 block.
const LZ4: u8 = 1;

/// Bytes before an LZ4 block.
const LZ4_HEADER_BYTES: usize = 5;

/// Below this many bytes nothing is tried: a transaction of 578 bytes alone shrinks by 10 % at best (measured,
/// November 2026), while each try costs a clear of the table.
const WORTH_BYTES_MIN: usize = 1024;

/// LZ4 packs at most 255 bytes into one (format: a length byte stands for up to 255).
const RATIO_MAX: usize = 255;

/// What a link does with its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Sends the bytes as they are.
    None,
    /// Sends an LZ4 block where it saves at least one byte in eight.
    #[default]
    Lz4,
}

/// Compresses one body after the other with the same table and scratch space. One per stream: 16 KiB and the scratch
/// space of the largest body, at most [`DATA_BYTES_MAX`] and its overhead.
pub struct Compressor {
    table: CompressTable,
    scratch: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor")
            .field("scratch_bytes", &self.scratch.len())
            .finish()
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self {
            table: CompressTable::large(),
            scratch: Vec::new(),
        }
    }
}

impl Compressor {
    /// Packs a body. Bodies above [`DATA_BYTES_MAX`] pass uncompressed; the frame then refuses them.
    pub fn pack(&mut self, body: &[u8], compression: Compression) -> Bytes {
        let packed = match compression {
            Compression::None => None,
            Compression::Lz4 => self.lz4(body),
        };
        packed.unwrap_or_else(|| [&[NONE], body].concat()).into()
    }

    fn lz4(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        if body.len() < WORTH_BYTES_MIN || body.len() > DATA_BYTES_MAX {
            return None;
        }
        let original = u32::try_from(body.len()).ok()?.to_le_bytes();
        let bound = get_maximum_output_size(body.len());
        if self.scratch.len() < bound {
            self.scratch.resize(bound, 0);
        }
        let len = compress_into_with_table(body, &mut self.scratch, &mut self.table).ok()?;
        let saves = len + LZ4_HEADER_BYTES <= body.len() - body.len() / 8;
        saves.then(|| [&[LZ4], &original[..], &self.scratch[..len]].concat())
    }
}

/// Unpacks what [`Compressor::pack`] made. Uncompressed bytes are a slice of the input.
///
/// # Errors
/// [`WireError`] for an unknown codec, an original above the frame limit, or a damaged block; no input panics.
pub fn unpack(mut packed: Bytes) -> Result<Bytes, WireError> {
    match packed.first() {
        None => Err(WireError::Truncated {
            what: "a packed body",
            found: 0,
            expected: 1,
        }),
        Some(&NONE) => Ok(packed.split_off(1)),
        Some(&LZ4) => unpack_lz4(&packed).map(Bytes::from),
        Some(&found) => Err(WireError::Version {
            what: "compression",
            found,
            expected: LZ4,
        }),
    }
}

fn unpack_lz4(packed: &[u8]) -> Result<Vec<u8>, WireError> {
    let [_, l0, l1, l2, l3, block @ ..] = packed else {
        return Err(WireError::Truncated {
            what: "a packed body",
            found: packed.len(),
            expected: LZ4_HEADER_BYTES,
        });
    };
    let original = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    if original > DATA_BYTES_MAX {
        return Err(WireError::TooLong {
            what: "an unpacked body",
            found: original,
            max: DATA_BYTES_MAX,
        });
    }
    if original > block.len().saturating_mul(RATIO_MAX) {
        let reason = format!("{} bytes cannot hold {original}", block.len());
        return Err(WireError::Compressed { reason });
    }
    let mut body = vec![0; original];
    let found = decompress_into(block, &mut body).map_err(|error| WireError::Compressed {
        reason: error.to_string(),
    })?;
    if found != original {
        return Err(WireError::Truncated {
            what: "an unpacked body",
            found,
            expected: original,
        });
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lz4_of(body: &[u8]) -> Bytes {
        Compressor::default().pack(body, Compression::Lz4)
    }

    #[test]
    fn repeated_rows_get_small_and_come_back() {
        let body = b"a row of some table,".repeat(1000);
        let packed = lz4_of(&body);
        assert!(packed[0] == LZ4 && packed.len() < body.len() / 10, "{} bytes", packed.len());
        assert_eq!(unpack(packed), Ok(body.into()));
    }

    #[test]
    fn one_compressor_serves_bodies_of_all_sizes() {
        let mut compressor = Compressor::default();
        for rows in [1, 100_000, 100, 10_000, 0] {
            let body = b"0123456789abcdef-".repeat(rows);
            assert_eq!(unpack(compressor.pack(&body, Compression::Lz4)), Ok(body.into()));
        }
    }

    #[test]
    fn what_does_not_pay_stays_as_it_is_and_is_not_copied_back() {
        let short = lz4_of(b"short");
        assert_eq!(short[0], NONE);
        assert_eq!(unpack(short.clone()).expect("whole").as_ptr(), short[1..].as_ptr());
        let noise: Vec<u8> = (0..2000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        assert_eq!(lz4_of(&noise)[0], NONE);
        assert_eq!(Compressor::default().pack(&[0; 5000], Compression::None)[0], NONE);
    }

    #[test]
    fn a_claimed_size_over_the_limit_or_the_ratio_is_refused_before_allocation() {
        let mut claim = vec![LZ4];
        claim.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(unpack(claim.into()), Err(WireError::TooLong { .. })));
        let mut claim = vec![LZ4];
        claim.extend_from_slice(&10_000_000_u32.to_le_bytes());
        claim.extend_from_slice(&[0; 100]);
        assert!(matches!(unpack(claim.into()), Err(WireError::Compressed { .. })));
    }

    #[test]
    fn the_largest_ratio_of_lz4_is_accepted() {
        let body = vec![7; DATA_BYTES_MAX];
        assert_eq!(unpack(lz4_of(&body)), Ok(body.into()));
    }

    #[test]
    fn no_flipped_or_missing_byte_panics() {
        let packed = lz4_of(&b"some bytes that repeat, ".repeat(60));
        for at in 0..packed.len() {
            for bit in 0..8 {
                let mut damaged = packed.to_vec();
                damaged[at] ^= 1 << bit;
                let _ = unpack(damaged.into());
            }
            let _ = unpack(packed.slice(..at));
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(body in proptest::collection::vec(0..4_u8, 0..5000)) {
            prop_assert_eq!(unpack(lz4_of(&body)), Ok(body.into()));
        }

        #[test]
        fn random_bytes_never_panic(mut bytes: Vec<u8>, original in 0..10_000_u32) {
            let _ = unpack(bytes.clone().into());
            bytes.splice(0..0, original.to_le_bytes());
            bytes.insert(0, LZ4);
            let _ = unpack(bytes.into());
        }
    }
}
