//! Layer 1: bytes, pure: frames, batches, compression, limits; versioned.

pub mod batch;
pub mod codec;
pub mod compress;
pub mod error;
pub mod frame;
pub mod message;
pub mod pieces;
mod txn_head;
mod weight;
