//! Layer 3: the data path, one file per stage.

pub mod applier;
mod applier_care;
pub mod byte_channel;
pub mod chunk_tasks;
pub mod cut_off;
pub mod ddl_apply;
pub mod ddl_item;
pub mod error;
pub mod inbox;
pub mod live_limits;
pub mod merge_stage;
pub mod merger;
pub mod passed;
pub mod prerequisites;
pub mod projector;
pub mod receiver;
pub mod sender;
pub mod sink_flow;
pub mod sink_meter;
pub mod source_choice;
pub mod source_flow;
pub mod source_series;
pub mod source_start;
pub mod split;
pub mod status;
pub mod subscription;
pub mod target_pulse;
