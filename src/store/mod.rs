//! Layer 2: the only files under data_dir.

pub mod database;
pub mod identity;
pub mod job_store;
pub mod run_file;
pub mod spill;
