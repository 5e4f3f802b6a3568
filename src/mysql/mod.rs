//! Layer 2: everything that talks to a database.

pub mod error;
mod error_fix;
pub mod grants;
pub mod preflight;
pub mod quote;
pub mod session;
pub mod source;
pub mod target;
mod tls;
