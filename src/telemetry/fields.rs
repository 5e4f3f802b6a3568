//! Names of log fields.
