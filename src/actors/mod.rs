//! Layer 4: lifecycles: supervision, membership, job table, placement, tasks.

pub mod cluster_view;
pub mod drain;
pub mod flow_guard;
pub mod handle;
pub mod incoming;
pub mod job_table;
pub mod link_rates;
pub mod me;
pub mod nominee;
pub mod owner_search;
pub mod peer;
pub mod placement;
pub mod ports;
pub mod sink_task;
pub mod source_choice;
pub mod source_task;
pub mod spread;
pub mod sync_table;
pub mod table_keeper;
pub mod table_view;
pub mod target_cleaning;
pub mod target_orders;
pub mod task_entries;
pub mod task_report;
pub mod tasks;
pub mod tasks_msg;
