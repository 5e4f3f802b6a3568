//! Layer 0: decisions, pure: no IO, clock, randomness, log or async.

pub mod change;
pub mod constraint;
pub mod copy_state;
pub mod disposition;
pub mod fault;
pub mod fence_model;
pub mod group;
pub mod gtid_set;
pub mod ids;
pub mod job_merge;
pub mod job_spec;
pub mod job_state;
pub mod key;
pub mod lag;
pub mod member;
pub mod nomination;
pub mod placement;
pub mod progress;
pub mod rate;
pub mod retry;
pub mod row;
pub mod shape;
pub mod size;
pub mod stable_hash;
pub mod value;
