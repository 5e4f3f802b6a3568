//! Frames: the unit of every stream between peers. Length, kind, version, checksum, body.
//!
//! Made and taken apart by `transport::stream`; bodies come from `message` (control) and `batch` (changes). The order of
//! checks on receipt: version and length from the header alone, before anything is allocated, then the checksum over
//! header and body. What it does not do: read sockets, look into bodies. Compression is the batch's own affair: its
//! body starts with the codec byte (`compress`).

use bytes::Bytes;

use crate::wire::error::WireError;

/// Bytes before the body: length u32, kind u8, version u8, crc32c u32, little endian.
pub const HEADER_BYTES: usize = 10;

/// Most bytes in the body of a control frame. Bounds what a peer makes another allocate; far above every message.
pub const CONTROL_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes in the body of a data frame. A batch closes at a few MiB; one that holds a huge row travels in pieces.
pub const DATA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Kind of a frame that carries a batch of changes. Kinds with this bit may be as long as [`DATA_BYTES_MAX`].
pub const DATA: u8 = 0x80;

/// Kind of a frame that carries a piece of a batch that is longer than a frame; the last piece is a [`DATA`] frame.
pub const DATA_PIECE: u8 = 0x81;

/// Layout of the header. `Hello` travels in it too, so it changes only with a new handshake.
const FRAME_VERSION: u8 = 1;

/// Bytes that the checksum covers in the header: everything before itself.
const CHECKED_BYTES: usize = 6;

const _: () = assert!(CONTROL_BYTES_MAX < DATA_BYTES_MAX && DATA_BYTES_MAX < u32::MAX as usize);

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the body is: [`DATA`] or the `KIND` of a message.
    pub kind: u8,
    /// The body, without copies from the receive buffer to the decoder.
    pub body: Bytes,
}

/// A header that was checked: known version, length within its kind's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    kind: u8,
    body_bytes: usize,
    checksum: u32,
    checked: [u8; CHECKED_BYTES],
}

/// Most bytes a body of this kind may have.
#[must_use]
pub fn body_bytes_max(kind: u8) -> usize {
    if kind & DATA == 0 { CONTROL_BYTES_MAX } else { DATA_BYTES_MAX }
}

impl Frame {
    /// The header to send before the body.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when the body exceeds the limit of its kind: the receiver would refuse it.
    pub fn header(&self) -> Result<[u8; HEADER_BYTES], WireError> {
        check_length(self.kind, self.body.len())?;
        let length = u32::try_from(self.body.len()).expect("the limit is far below u32::MAX");
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4] = self.kind;
        header[5] = FRAME_VERSION;
        let checksum = checksum(&header[..CHECKED_BYTES], &self.body);
        header[CHECKED_BYTES..].copy_from_slice(&checksum.to_le_bytes());
        Ok(header)
    }

    /// Header and body in one buffer; for small frames and files.
    ///
    /// # Errors
    /// As [`Frame::header`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let header = self.header()?;
        Ok([&header[..], &self.body[..]].concat())
    }

    /// Takes one whole frame, the body a slice of `bytes`.
    ///
    /// # Errors
    /// Any [`WireError`]; also for bytes behind the frame.
    pub fn parse(mut bytes: Bytes) -> Result<Self, WireError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(WireError::Truncated {
                what: "a frame header",
                found: bytes.len(),
                expected: HEADER_BYTES,
            });
        };
        let header = Header::parse(header)?;
        header.frame(bytes.split_off(HEADER_BYTES))
    }
}

impl Header {
    /// Reads a header and checks version and length.
    ///
    /// # Errors
    /// [`WireError::Version`] or [`WireError::TooLong`].
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let [l0, l1, l2, l3, kind, version, c0, c1, c2, c3] = *bytes;
        if version != FRAME_VERSION {
            return Err(WireError::Version {
                what: "frame",
                found: version,
                expected: FRAME_VERSION,
            });
        }
        let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        check_length(kind, body_bytes)?;
        let checked = [l0, l1, l2, l3, kind, version];
        Ok(Self {
            kind,
            body_bytes,
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
            checked,
        })
    }

    /// Length of the body that follows; may be allocated.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Joins header and body.
    ///
    /// # Errors
    /// Another length than announced, or another checksum.
    pub fn frame(&self, body: Bytes) -> Result<Frame, WireError> {
        let found = body.len();
        if found < self.body_bytes {
            return Err(WireError::Truncated {
                what: "a frame body",
                found,
                expected: self.body_bytes,
            });
        }
        if found > self.body_bytes {
            return Err(WireError::Trailing {
                what: "a frame body",
                consumed: self.body_bytes,
                found,
            });
        }
        let found = checksum(&self.checked, &body);
        if found != self.checksum {
            return Err(WireError::Checksum {
                found,
                expected: self.checksum,
            });
        }
        Ok(Frame { kind: self.kind, body })
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), body)
}

fn check_length(kind: u8, found: usize) -> Result<(), WireError> {
    let max = body_bytes_max(kind);
    if found > max {
        Err(WireError::TooLong {
            what: "a frame body",
            found,
            max,
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Frame {
        Frame {
            kind,
            body: Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn a_frame_is_these_bytes() {
        let bytes = frame(3, b"abc").to_bytes().expect("small");
        assert_eq!(bytes[..6], [3, 0, 0, 0, 3, 1]);
        assert_eq!(
            bytes[6..10],
            crc32c::crc32c(&[3, 0, 0, 0, 3, 1, b'a', b'b', b'c']).to_le_bytes()
        );
        assert_eq!(&bytes[10..], b"abc");
    }

    #[test]
    fn a_length_over_the_limit_is_refused_from_the_header_alone() {
        for (kind, max) in [(1, CONTROL_BYTES_MAX), (DATA, DATA_BYTES_MAX)] {
            let mut header = [0; HEADER_BYTES];
            header[..4].copy_from_slice(&(max as u32 + 1).to_le_bytes());
            header[4] = kind;
            header[5] = FRAME_VERSION;
            assert_eq!(
                Header::parse(&header),
                Err(WireError::TooLong {
                    what: "a frame body",
                    found: max + 1,
                    max
                })
            );
        }
    }

    #[test]
    fn a_body_over_the_limit_is_not_sent() {
        let large = Frame {
            kind: 1,
            body: Bytes::from(vec![0; CONTROL_BYTES_MAX + 1]),
        };
        assert!(matches!(large.header(), Err(WireError::TooLong { .. })));
        assert!(Frame { kind: DATA, ..large }.header().is_ok());
    }

    #[test]
    fn the_body_is_a_slice_of_what_came() {
        let bytes = Bytes::from(frame(DATA, b"rows").to_bytes().expect("small"));
        let body = Frame::parse(bytes.clone()).expect("whole").body;
        assert_eq!(body.as_ptr(), bytes[HEADER_BYTES..].as_ptr());
    }

    proptest! {
        #[test]
        fn what_is_framed_is_found_again(kind: u8, body: Vec<u8>) {
            let sent = frame(kind, &body);
            prop_assert_eq!(Frame::parse(sent.to_bytes().expect("small").into()), Ok(sent));
        }

        #[test]
        fn every_flipped_byte_is_found(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..64), bit in 0..8_u8) {
            let bytes = frame(kind, &body).to_bytes().expect("small");
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                prop_assert!(Frame::parse(damaged.into()).is_err(), "byte {} bit {}", at, bit);
            }
        }

        #[test]
        fn every_cut_is_found(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(frame(kind, &body).to_bytes().expect("small"));
            for len in 0..bytes.len() {
                prop_assert!(Frame::parse(bytes.slice(..len)).is_err());
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Frame::parse(bytes.into());
        }
    }
}
