//! Layer 4: lifecycles: supervision, membership, job table, placement, tasks.

pub mod job_table;
pub mod membership;
pub mod peer;
pub mod placement;
pub mod sink_task;
pub mod source_task;
pub mod tasks;
