//! Asks the server to order keys that Rust cannot.
