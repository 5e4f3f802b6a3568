//! The test bed: real servers, real peers, and waiting for conditions instead of hoping.
//!
//! Servers start once per test binary (or are the ones of `PEER_TEST_SOURCE` / `PEER_TEST_TARGET`, which `scripts/test`
//! sets); each test gets schemas of its own. Everything started here ends with the test process, also after a panic or a
//! kill, because a guard process waits for the other end of a pipe to close.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod compare;
pub mod copy_bed;
pub mod guard;
pub mod job;
pub mod job_bed;
pub mod line;
pub mod peers;
pub mod random;
pub mod relay;
pub mod schema;
pub mod servers;
pub mod target;
pub mod traffic;
pub mod wait;
