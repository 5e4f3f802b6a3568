//! The commands, typed, and what they answer.
