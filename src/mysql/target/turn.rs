//! The packet that commits a group: fence check, progress, COMMIT.
