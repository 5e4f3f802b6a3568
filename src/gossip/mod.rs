//! Layer 2: membership and the exchange of the job table.

pub mod attributes;
pub mod keys;
pub mod membership;
pub mod socket;
pub mod table_sync;
