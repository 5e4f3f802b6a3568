//! Layer 1: what the files say, checked, as valid values.

pub mod cluster;
pub(crate) mod cluster_rules;
mod document;
mod fault_list;
pub mod flags;
pub mod job;
mod job_ddl;
mod job_endpoint;
mod job_later;
mod job_placement;
mod job_policy;
pub mod job_set;
mod job_tables;
