//! Reading a source: stream, decode, snapshot.

mod assembler;
mod assembler_skip;
mod assembler_statement;
pub mod canonical;
pub mod cascades;
pub mod chunk_reader;
mod defaults;
pub mod definition_hold;
mod dump_connection;
mod dump_feed;
mod event;
pub mod filter_oracle;
mod foreign_text;
#[cfg(fuzzing)]
pub mod fuzz_door;
pub mod heartbeat;
pub mod inspect;
pub mod key_literal;
pub mod key_oracle;
pub mod key_range;
pub mod offline;
mod partial_image;
mod payload;
pub mod prepared;
mod query_session;
pub mod reader;
pub mod reader_event;
mod rows_event;
mod scope;
pub mod start_position;
pub(in crate::mysql) mod table_map;
pub mod tables;
mod xa;
pub mod xid;
