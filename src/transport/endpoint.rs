//! The QUIC endpoint: connections in and out, one port.
