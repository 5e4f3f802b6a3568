//! How a flow ends.
