//! Supervises source and sink tasks.
