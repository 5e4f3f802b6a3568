//! Exchange of the job table: push and anti-entropy.
