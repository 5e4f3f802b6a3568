//! Layer 2: membership and the exchange of the job table.

pub mod attributes;
pub mod error;
pub mod keys;
pub mod lateness;
mod library;
pub mod membership;
pub mod seeds;
pub mod socket;
pub mod table_exchange;
pub mod table_sync;
pub mod view;

pub use error::GossipError;
pub use keys::{Fact, Leaving, TaskFact};
pub use membership::{Membership, MembershipConfig};
pub use view::PeerFacts;
