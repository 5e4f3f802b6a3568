//! Opens the redb file, upgrades it, refuses a damaged one.
