//! Carries chitchat messages over our endpoint.
