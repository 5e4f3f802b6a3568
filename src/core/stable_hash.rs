//! The one named hash that every build agrees on.
