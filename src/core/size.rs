//! Byte counts and durations as people write them.
