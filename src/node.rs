//! Wires a peer together: clock and randomness enter here.

use crate::admin::refusal::Refusal;
use crate::cli::node_options::{Mode, NodeOptions};
use crate::core::fault::Faults;

/// Runs a peer until it is told to leave.
///
/// # Errors
/// At present always: the parts are not joined yet.
pub fn run(options: NodeOptions) -> Result<(), Faults> {
    let name = match options.mode {
        Mode::Start => "start",
        Mode::Join => "join",
    };
    Err(Refusal::not_yet(name).faults)
}
