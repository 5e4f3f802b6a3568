//! The source's data path, read top to bottom.
