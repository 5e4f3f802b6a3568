//! Paces bytes by core::rate.
