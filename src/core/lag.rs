//! Lag that tells the truth: zero when idle, growing when stuck.
