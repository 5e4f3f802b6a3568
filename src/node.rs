//! Wires a peer together: clock and randomness enter here.

use crate::cli::args::NodeFlags;
use crate::cli::failure::Failure;

/// How a peer is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `peer start`: makes a key in data_dir when there is none.
    Start,
    /// `peer join`: needs a key and a member.
    Join {
        /// `--seed`, never empty.
        seeds: Vec<String>,
    },
}

/// What the command line says about the peer to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Start or join.
    pub mode: Mode,
    /// What was typed.
    pub flags: NodeFlags,
}

/// Runs a peer until it is told to leave.
///
/// # Errors
/// At present always: the parts are not joined yet.
pub fn run(options: NodeOptions) -> Result<(), Failure> {
    let name = match options.mode {
        Mode::Start => "start",
        Mode::Join { .. } => "join",
    };
    Err(crate::admin::refusal::Refusal::not_yet(name).into())
}
