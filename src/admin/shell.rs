//! The TCP shell door.
