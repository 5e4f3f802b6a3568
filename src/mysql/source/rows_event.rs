//! Rows events to changes, without a copy per row.
