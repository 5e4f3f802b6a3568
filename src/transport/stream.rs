//! Framed streams with limits.
