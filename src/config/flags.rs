//! Flags over environment over file over defaults.
