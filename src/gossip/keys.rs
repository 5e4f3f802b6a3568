//! Gossip keys: typed encode and decode, all in one place.
