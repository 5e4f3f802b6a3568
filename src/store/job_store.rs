//! Job records on disk.
