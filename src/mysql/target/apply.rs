//! Runs a group's statements and checks their counts.
