//! The sink's data path, read top to bottom.
