//! Row keys: taking them from a row, and ordering them as the server does where Rust can.
