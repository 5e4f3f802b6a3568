//! Sets up the log output.
