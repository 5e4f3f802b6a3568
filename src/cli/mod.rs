//! Layer 6: arguments and what a person sees.

pub mod args;
pub mod client;
pub mod run;
pub mod watch;
