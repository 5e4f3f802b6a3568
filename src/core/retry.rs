//! Restart and reschedule policy: delays and limits.
