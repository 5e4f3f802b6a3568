//! Merges chunks and stream into one order.
