//! Identifiers and text as SQL.
