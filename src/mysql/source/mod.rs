//! Reading a source: stream, decode, snapshot.

mod assembler;
pub mod canonical;
pub mod chunk_reader;
mod event;
pub mod heartbeat;
pub mod inspect;
pub mod key_literal;
pub mod key_oracle;
pub mod key_range;
pub mod reader;
mod rows_event;
pub mod start_position;
mod table_map;
pub mod tables;
