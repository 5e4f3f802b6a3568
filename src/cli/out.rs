//! Data on stdout. A reader that went away (`peer status orders | head`) ends the command quietly, as tools do.

use std::io::{self, ErrorKind, Write};
use std::process;

use crate::cli::failure::EXIT_FAILED;

/// What a shell reports of a tool whose reader went away: 128 + SIGPIPE.
const EXIT_PIPE: i32 = 141;

/// Prints text as it is.
pub fn put(text: &str) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            process::exit(EXIT_PIPE);
        }
        eprintln!("stdout cannot be written: {error}");
        process::exit(i32::from(EXIT_FAILED));
    }
}

/// Prints a line.
pub fn line(text: &str) {
    put(&format!("{text}\n"));
}
