//! Layer 2: QUIC between peers: identity, framed streams, rate.

pub mod endpoint;
pub mod error;
pub mod hello;
pub mod key;
pub mod rate_limit;
pub mod stream;
