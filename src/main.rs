//! The `peer` binary: see `cli`.

fn main() {}
