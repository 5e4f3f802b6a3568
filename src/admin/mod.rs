//! Layer 5: the command layer and its doors.

pub mod command;
pub mod execute;
pub mod http;
pub mod parse;
pub mod render;
pub mod shell;
