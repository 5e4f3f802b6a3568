//! Layer 2: QUIC between peers: identity, framed streams, rate.

pub mod accept;
pub mod endpoint;
pub mod error;
pub mod hello;
pub mod key;
pub mod links;
pub mod quic;
pub mod rate_cap;
pub mod rate_limit;
mod send_window;
pub mod stream;
pub mod tls;
