//! What can go wrong between peers.
