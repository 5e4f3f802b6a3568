//! Acquires, reads and releases the fence; ends older sessions.
