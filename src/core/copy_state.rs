//! Which keys of a table are copied, being read or not read yet, and the fold buffer of an open chunk.
