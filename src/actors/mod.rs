//! Layer 4: lifecycles: supervision, membership, job table, placement, tasks.

pub mod job_table;
pub mod ports;
pub mod table_keeper;
pub mod table_view;
