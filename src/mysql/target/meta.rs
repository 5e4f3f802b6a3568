//! The tables of peer_meta.
