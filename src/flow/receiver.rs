//! Receives frames and turns them into items.
