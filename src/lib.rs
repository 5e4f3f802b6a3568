//! `peer` moves MySQL changes between sites: the library behind the one binary.
//!
//! Folders are layers; `docs/ARCHITECTURE.md` draws them and `tests/tidy.rs` holds who may import whom.

pub mod actors;
pub mod admin;
pub mod cli;
pub mod config;
pub mod core;
pub mod flow;
pub mod gossip;
pub mod mysql;
pub mod node;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod wire;
