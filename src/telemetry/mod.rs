//! Layer 1: log fields and metrics, named in one place.

pub mod fields;
pub mod log;
pub mod metrics;
