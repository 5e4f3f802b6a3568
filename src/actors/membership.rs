//! Follows the roster.
