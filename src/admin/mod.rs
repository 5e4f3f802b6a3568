//! Layer 5: the command layer and its doors.

pub mod bounded_listener;
pub mod census;
pub mod cluster;
pub mod command;
pub mod execute;
pub mod http;
mod http_conflicts;
mod http_peers;
pub mod job_history;
pub mod job_lines;
pub mod job_plan;
pub mod job_status;
pub mod live;
mod live_check;
mod live_conflicts;
mod live_peers;
mod live_target;
pub mod parse;
pub mod parse_skip;
pub mod refusal;
pub mod render;
pub mod shell;
pub mod views;
