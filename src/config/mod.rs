//! Layer 1: what the files say, checked, as valid values.

pub mod cluster;
pub mod fault_list;
pub mod flags;
pub mod job;
