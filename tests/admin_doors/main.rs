//! The doors of a peer over real sockets, with a scripted cluster behind them: JSON shapes, status codes, the shell as `nc`
//! sees it, and the command line with its exit codes.

// A test may unwrap: the panic is the report.
#![allow(clippy::unwrap_used)]

mod check;
mod command_line;
mod doors;
mod http;
mod plan;
mod scripted;
mod shell;
