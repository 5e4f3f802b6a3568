//! Reads one key range in a consistent view, as canonical rows.
