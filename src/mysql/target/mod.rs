//! Writing a target: fence, apply, progress.

pub mod apply;
pub mod conflict_store;
mod copied;
pub mod create;
pub mod ddl;
mod ddl_journal;
mod ddl_mapped;
mod ddl_session;
mod explain;
pub mod fence;
pub mod fence_orders;
mod form;
mod in_order;
mod json_literal;
mod large;
pub mod literal;
pub mod meta;
mod misfit;
pub mod packet;
mod picture;
pub mod progress_store;
pub mod purge;
mod replay;
mod shadow;
pub mod statement;
pub mod turn;
pub mod writer;
