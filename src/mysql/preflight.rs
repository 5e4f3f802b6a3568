//! Checks both databases before a job is accepted or started.
