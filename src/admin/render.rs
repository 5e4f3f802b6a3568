//! Answers as tables.
