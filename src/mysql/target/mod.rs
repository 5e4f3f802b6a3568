//! Writing a target: fence, apply, progress.

pub mod apply;
mod conflict;
pub mod create;
pub mod ddl;
mod ddl_journal;
mod ddl_mapped;
mod ddl_session;
pub mod fence;
pub mod fence_orders;
mod form;
pub mod literal;
pub mod meta;
pub mod packet;
pub mod progress_store;
pub mod purge;
mod shadow;
pub mod statement;
pub mod turn;
pub mod writer;
