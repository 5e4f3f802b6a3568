//! Owns the job table.
