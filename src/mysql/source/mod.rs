//! Reading a source: stream, decode, snapshot.

pub mod canonical;
pub mod chunk_reader;
pub mod event;
pub mod heartbeat;
pub mod inspect;
pub mod key_literal;
pub mod key_oracle;
pub mod key_range;
pub mod reader;
pub mod rows_event;
pub mod table_map;
