//! Feeds nomination and runs its effects.
