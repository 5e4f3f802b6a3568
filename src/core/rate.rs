//! A token bucket in bytes; time is passed in.
