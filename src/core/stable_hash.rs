//! The one hash whose value means the same in every build, on every peer, for ever: SHA-256.
//!
//! Ranking, digests of the job table and stable ids go through here; never through `std::hash`, whose values may change
//! with the compiler. Not for per-row work: it is slow there.

use sha2::{Digest, Sha256};

/// Returns 64 bits of SHA-256 over the parts. Each part is preceded by its length, so ("ab","c") and ("a","bc") differ.
#[must_use]
pub fn hash64(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let first: [u8; 8] = digest[..8].try_into().expect("a SHA-256 digest has 32 bytes");
    u64::from_be_bytes(first)
}

/// Returns SHA-256 of the bytes as 64 lower-case hex digits.
#[must_use]
pub fn hex256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_text_has_the_published_digest() {
        assert_eq!(
            hex256(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash64(&[b"ab", b"c"]), hash64(&[b"a", b"bc"]));
    }

    #[test]
    fn the_value_is_the_same_in_every_build() {
        assert_eq!(hash64(&[b"orders", b"sink", b"bj-1"]), GOLDEN);
    }

    /// Computed once with another SHA-256 implementation: three length-prefixed parts, first eight bytes, big endian.
    const GOLDEN: u64 = 0x4ea5_d8ba_f2f4_47e3;
}
