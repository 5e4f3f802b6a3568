//! Segments for what does not fit in memory.
