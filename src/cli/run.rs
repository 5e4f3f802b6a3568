//! Dispatches subcommands.
