//! Runs a command against the actors.
