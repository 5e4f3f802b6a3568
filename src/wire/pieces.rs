//! A batch that is longer than a frame: cut into frames, put together again.
//!
//! Only a batch of one huge row is that long. Used by `flow::sender` and `flow::receiver` around `batch`.

use bytes::Bytes;

use crate::wire::error::WireError;
use crate::wire::frame::{DATA, DATA_BYTES_MAX, DATA_PIECE, Frame};

/// Bytes of a piece: short enough that a slow link shows signs of life between them.
const PIECE_BYTES: usize = 1024 * 1024;

/// The frames of a batch: one, or pieces.
pub fn frames(body: Bytes) -> impl Iterator<Item = Frame> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let mut body = rest.take()?;
        if body.len() <= DATA_BYTES_MAX {
            return Some(Frame { kind: DATA, body });
        }
        rest = Some(body.split_off(PIECE_BYTES));
        Some(Frame { kind: DATA_PIECE, body })
    })
}

/// Puts the pieces of a batch together again.
#[derive(Debug)]
pub struct Pieces {
    held: Vec<u8>,
    bytes_max: usize,
}

impl Pieces {
    /// Holds at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            held: Vec::new(),
            bytes_max,
        }
    }

    /// Takes a frame of a batch; the body when it is the last one.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when they are more than is held.
    pub fn take(&mut self, frame: Frame) -> Result<Option<Bytes>, WireError> {
        let is_last = frame.kind == DATA;
        if self.held.is_empty() && is_last {
            return Ok(Some(frame.body));
        }
        let (found, max) = (self.held.len() + frame.body.len(), self.bytes_max);
        if found > max {
            return Err(WireError::TooLong {
                what: "a batch",
                found,
                max,
            });
        }
        self.held.extend_from_slice(&frame.body);
        Ok(is_last.then(|| std::mem::take(&mut self.held).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_any_length_comes_back_in_frames_that_fit() {
        for length in [0, 5, DATA_BYTES_MAX, DATA_BYTES_MAX + 1, 2 * DATA_BYTES_MAX + 7] {
            let body: Bytes = (0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
            let mut pieces = Pieces::new(usize::MAX);
            let mut found = Vec::new();
            for frame in frames(body.clone()) {
                assert!(frame.header().is_ok(), "{length} bytes: a frame of {}", frame.body.len());
                found.extend(pieces.take(frame).expect("within the limit"));
            }
            assert!(found == [body], "{length} bytes");
        }
    }

    #[test]
    fn more_than_a_batch_may_have_is_refused() {
        let piece = |kind| Frame {
            kind,
            body: Bytes::from_static(&[1; 60]),
        };
        let mut pieces = Pieces::new(100);
        assert_eq!(pieces.take(piece(DATA_PIECE)), Ok(None));
        assert!(matches!(pieces.take(piece(DATA)), Err(WireError::TooLong { found: 120, .. })));
    }
}
