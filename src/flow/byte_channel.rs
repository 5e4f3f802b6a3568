//! Bounded channels counted in bytes.
