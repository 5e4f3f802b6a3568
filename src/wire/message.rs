//! Control messages between peers.
