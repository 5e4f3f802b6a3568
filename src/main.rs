//! The `peer` binary: see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    peer::cli::run::main()
}
