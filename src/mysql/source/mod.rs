//! Reading a source: stream, decode, snapshot.

pub mod canonical;
pub mod chunk_reader;
pub mod event;
pub mod heartbeat;
pub mod inspect;
pub mod key_oracle;
pub mod reader;
pub mod rows_event;
pub mod table_map;
