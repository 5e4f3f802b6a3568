//! The root supervisor.
