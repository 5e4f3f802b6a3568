//! Layer 6: arguments and what a person sees.

pub mod args;
pub mod client;
pub mod failure;
pub mod help;
pub mod out;
pub mod progress;
pub mod run;
pub mod shell;
pub mod watch;
