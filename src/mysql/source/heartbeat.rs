//! What the source has executed, each second.
