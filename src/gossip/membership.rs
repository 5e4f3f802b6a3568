//! chitchat: live and dead members from gossip.
