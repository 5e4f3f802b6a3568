//! Follows a job with bars.
