//! A command line to a command.
