//! Arguments of the binary.
