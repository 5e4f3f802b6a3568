//! Layer 2: the only files under data_dir: the database `peer.redb`, `run.json` and spilled rows.

pub mod database;
pub mod error;
pub mod identity;
pub mod job_store;
pub mod run_file;
pub mod spill;

pub use database::Store;
pub use error::StoreError;
pub use job_store::{LoadedJobs, Quarantined};
pub use run_file::RunFile;
